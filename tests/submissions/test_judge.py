"""What follows for an order from the errors of its lines."""

import pytest

from app.submissions.judge import Against, count_differs, forgiven, verdicts
from app.submissions.sent import Part
from app.submissions.submission import Verdict

PARTS = {1: [Part(2, "A", "x"), Part(3, "A", "y")], 2: [Part(4, "B", "x")]}


@pytest.mark.parametrize(
    ("submissions", "first", "second"),
    [
        ([[]], "accepted", "accepted"),
        ([[Against(1, None, None)]], "rejected", "accepted"),
        ([[Against(1, 2, "x")]], "partly_accepted", "accepted"),
        ([[Against(1, 2, "x"), Against(1, 3, "y")]], "rejected", "accepted"),
        ([[Against(2, 4, "another")]], "accepted", "rejected"),
        ([[Against(1, 2, None), Against(2, 4, None)]], "partly_accepted", "rejected"),
        ([[Against(1, 2, "x")], [Against(1, 3, "y")]], "accepted", "accepted"),
        ([[Against(1, None, None)], []], "accepted", "accepted"),
        ([[Against(1, 2, None)], [Against(1, 2, None), Against(2, 4, None)]], "partly_accepted", "accepted"),
    ],
)
def test_lines_make_an_order(submissions: list[list[Against]], first: str, second: str) -> None:
    """An order is taken, in part or not at all, and what one of several submissions of its file took is taken."""
    assert verdicts(PARTS, submissions) == {1: Verdict(first), 2: Verdict(second)}


def test_a_line_of_several_items_is_refused_item_by_item() -> None:
    """Where an order is one line with numbered columns, a SKU says which of its items is meant."""
    parts = {1: [Part(2, "A", "x"), Part(2, "A", "y")]}
    assert verdicts(parts, [[Against(1, 2, "y")]]) == {1: Verdict.PARTLY_ACCEPTED}
    assert verdicts(parts, [[Against(1, 2, None)]]) == {1: Verdict.REJECTED}


@pytest.mark.parametrize(
    ("count", "differs"), [(None, False), (0, False), (9, False), (10, False), (8, True), (11, True)]
)
def test_a_count_differs_unless_the_header_explains_it(count: int | None, differs: bool) -> None:
    """A file that was cut is noticed; whether the header is counted is open, and nothing at all has its own code."""
    assert count_differs(count, 9) is differs


def test_only_what_may_have_come_twice_is_forgiven() -> None:
    """A duplicate is a refusal, unless it may be our own; the same for corrections that change nothing more."""
    assert forgiven(is_order=True, reverses=False, again=False) == frozenset()
    assert forgiven(is_order=True, reverses=False, again=True) == {"CONV_DUPLICATE"}
    assert forgiven(is_order=False, reverses=False, again=True) == {"NO_CHANGE"}
    assert forgiven(is_order=False, reverses=True, again=True) == {"NO_CHANGE", "ALREADY_REVERSED"}

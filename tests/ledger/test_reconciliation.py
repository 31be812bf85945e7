"""Three sides compared: every difference is named, and nothing else."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.ledger.reconciliation import (
    SETTLES_IN,
    WHAT_TO_DO,
    Case,
    Correction,
    Difference,
    Fate,
    Known,
    Ours,
    Theirs,
    compare,
)

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
LONG_AGO, JUST_NOW = NOW - timedelta(days=3), NOW - timedelta(hours=1)
KNOWN = Known(NOW, NOW)


def ours(fate: Fate = Fate.DELIVERED, at: datetime = LONG_AGO, **changes: Any) -> Ours:
    """Return an order of 20.00 USD that arrived long ago."""
    facts: dict[str, Any] = {"truth": 2000, "told": 2000, "since": at, "changed_at": at}
    return Ours("default", "A-1", date(2026, 11, 19), "USD", fate, **(facts | changes))


def theirs(amount: int | None = 2000, state: str = "PENDING", currency: str = "USD", name: str = "1.2.3") -> Theirs:
    """Return its action."""
    return Theirs(name, state, currency, amount)


def judged(case: Case, known: Known = KNOWN) -> list[str]:
    """Return what is wrong, and whether it is too early to say."""
    found, young = compare(case, known)
    return [one.kind.value for one in found] + ["young"] * young


def waiting(fate: Difference = Difference.CORRECTION_NOT_SENT, at: datetime = LONG_AGO) -> Correction:
    """Return a correction that has not arrived."""
    return Correction(fate, at, ("NO_CHANGE",))


REVERSED: dict[str, Any] = {"truth": None, "told": None}
TABLE: list[tuple[str, Ours, list[Theirs], list[str]]] = [
    ("all agree", ours(), [theirs()], []),
    ("an approved action stands", ours(), [theirs(state="APPROVED")], []),
    ("a state nobody knows stands", ours(), [theirs(state="ON_HOLD")], []),
    ("nothing there", ours(), [], ["missing_at_impact"]),
    ("nothing there yet", ours(at=JUST_NOW), [], ["young"]),
    ("two there", ours(), [theirs(), theirs(name="1.2.4")], ["doubled"]),
    ("two there at once", ours(at=JUST_NOW), [theirs(), theirs(name="1.2.4")], ["doubled"]),
    ("two there, one reversed", ours(), [theirs(), theirs(name="1.2.4", state="REVERSED")], []),
    ("less there", ours(), [theirs(1999)], ["amount_differs"]),
    ("other money there", ours(), [theirs(currency="EUR")], ["amount_differs"]),
    ("no amount that can be read", ours(), [theirs(None)], ["amount_differs"]),
    ("reversed there alone", ours(), [theirs(state="REVERSED")], ["state_differs"]),
    ("reversed on both", ours(**REVERSED), [theirs(state="REVERSED")], []),
    ("reversed here alone", ours(**REVERSED), [theirs()], ["state_differs"]),
    ("reversed here just now", ours(at=JUST_NOW, **REVERSED), [theirs()], ["young"]),
    ("reversed here, never there", ours(**REVERSED), [], []),
    ("not sent", ours(Fate.NOT_SENT), [], ["not_sent"]),
    ("not sent yet", ours(Fate.NOT_SENT, JUST_NOW), [], ["young"]),
    ("not sent, and there", ours(Fate.NOT_SENT), [theirs()], ["state_differs"]),
    ("held", ours(Fate.HELD), [], ["held"]),
    ("expired", ours(Fate.EXPIRED), [], ["expired"]),
    ("rejected", ours(Fate.REJECTED), [], ["rejected"]),
    ("rejected, and there", ours(Fate.REJECTED), [theirs()], ["state_differs"]),
    ("nobody's", ours(Fate.NOT_ATTRIBUTED), [], []),
    ("nobody's, and there", ours(Fate.NOT_ATTRIBUTED), [theirs()], ["state_differs"]),
    ("cancelled", ours(Fate.CANCELLED, truth=None, told=None), [], []),
    ("cancelled, and there", ours(Fate.CANCELLED, truth=None, told=None), [theirs()], ["state_differs"]),
    ("unknown", ours(Fate.UNKNOWN), [], ["unknown"]),
    ("unknown, and there after all", ours(Fate.UNKNOWN), [theirs()], []),
    ("corrected and not sent", ours(truth=1500, correction=waiting()), [theirs()], ["correction_not_sent"]),
    ("corrected just now", ours(truth=1500, correction=waiting(at=JUST_NOW)), [theirs()], ["young"]),
    (
        "corrected and refused",
        ours(truth=1500, correction=waiting(Difference.CORRECTION_REJECTED)),
        [theirs()],
        ["correction_rejected"],
    ),
    (
        "corrected and held, and done by hand there",
        ours(truth=1500, correction=waiting(Difference.CORRECTION_HELD)),
        [theirs(1500)],
        ["correction_held"],
    ),
    (
        "corrected and not sent, and wrong there too",
        ours(truth=1500, correction=waiting()),
        [theirs(1700)],
        ["correction_not_sent", "amount_differs"],
    ),
    ("corrected to what it was", ours(correction=waiting()), [theirs()], []),
]


@pytest.mark.parametrize(("name", "one", "actions", "expected"), TABLE, ids=[row[0] for row in TABLE])
def test_what_is_wrong_with_an_order(name: str, one: Ours, actions: list[Theirs], expected: list[str]) -> None:
    """Each way in which an order and its action can stand to each other."""
    assert judged(Case(one, actions, one.truth)) == expected, name


def test_without_impact_only_our_own_side_is_judged() -> None:
    """An account without the API: what has not left is told, and nothing is called missing."""
    assert judged(Case(ours(), None, 2000), Known(NOW, None)) == []
    assert judged(Case(ours(Fate.HELD), None, 2000), Known(NOW, None)) == ["held"]


def test_what_was_not_read_yet_is_not_missing() -> None:
    """While actions are read up to some days ago, an order that was delivered since is too young."""
    behind = Known(NOW, LONG_AGO)
    assert judged(Case(ours(at=LONG_AGO - SETTLES_IN + timedelta(seconds=1)), [], 2000), behind) == ["young"]
    assert judged(Case(ours(at=LONG_AGO - SETTLES_IN), [], 2000), behind) == ["missing_at_impact"]


def test_the_shops_own_file_is_compared_with_what_it_posted() -> None:
    """An order that it does not have, or has with another amount, currency or after its cancellation."""
    assert judged(Case(ours(), [theirs()], None, in_shop=False)) == ["missing_at_shop"]
    assert judged(Case(ours(), [theirs()], 1900, "USD")) == ["amount_differs"]
    assert judged(Case(ours(), [theirs()], 2000, "EUR")) == ["amount_differs"]
    cancelled = ours(Fate.CANCELLED, truth=None, told=None)
    assert judged(Case(cancelled, [], 2000, "USD")) == ["amount_differs"]
    assert judged(Case(cancelled, [], None, in_shop=False)) == []


def test_a_difference_shows_what_each_side_says() -> None:
    """Amounts, since when, the reasons, the actions, and what to do."""
    one = ours(truth=1500, correction=waiting(Difference.CORRECTION_REJECTED))
    [found], _ = compare(Case(one, [theirs()], 1500), KNOWN)
    assert (found.shop, found.service, found.impact) == (1500, 2000, 2000)
    assert (found.since, found.reasons, found.action_ids) == (LONG_AGO, ("NO_CHANGE",), ("1.2.3",))
    assert found.detail == WHAT_TO_DO[Difference.CORRECTION_REJECTED]


def test_every_difference_says_what_to_do() -> None:
    """In a sentence."""
    assert set(WHAT_TO_DO) == set(Difference)


AMOUNTS = st.integers(0, 10**14)


@given(AMOUNTS, AMOUNTS, st.sampled_from(list(Fate)), st.lists(st.sampled_from(["PENDING", "REVERSED"]), max_size=3))
def test_sides_that_agree_never_differ_and_sides_that_do_not_always_do(
    here: int, there: int, fate: Fate, states: list[str]
) -> None:
    """Whatever the amounts: only a delivered order with one standing action of the same amount is quiet."""
    none = fate is Fate.CANCELLED
    one = ours(fate, truth=None if none else here, told=None if none else here)
    actions = [theirs(there, state, name=str(number)) for number, state in enumerate(states)]
    standing = [action for action in actions if action.stands]
    found = judged(Case(one, actions, one.truth))
    arrived = fate is Fate.DELIVERED or (fate is Fate.UNKNOWN and bool(actions))
    if arrived:
        agree = len(standing) == 1 and here == there
    else:
        agree = not standing and fate in {Fate.CANCELLED, Fate.NOT_ATTRIBUTED}
    assert (found == []) == agree

"""The arithmetic of the bench: ratios, medians, spread, and which row fails a run."""

import pytest

from bench.goal import Goal, Result, Rounds, Row, Verdict, alternating

AT_LEAST_TWO = Row("fast", "our job", "a peer", Goal("≥", 2, 3), "/s")
AT_MOST_TWO = Row("lean", "our job", "a peer", Goal("≤", 2), "s")
SMALL = Row("small", "our memory", "", Goal("≤", 64), "MB")
STRETCH_ONLY = Row("far", "our job", "a peer", Goal("≥", stretch=3), "/s")
TOLD = Row("told", "our job", "a peer", Goal("≥"), "/s")


def result(row: Row, *values: float) -> Result:
    """Return a result whose rounds have these values."""
    return Result.of(row, values, [1] * len(values) if row.peer else ())


def test_a_ratio_is_taken_in_each_round_and_not_of_two_medians() -> None:
    """A disturbance that slows a whole round cancels out in its ratio."""
    one = Result.of(AT_LEAST_TWO, ours=[30, 3, 40], peer=[10, 1, 20])
    assert (one.values, one.median, one.spread) == ((3, 3, 2), 3, (2, 3))


def test_a_row_without_a_peer_is_judged_by_its_own_figure() -> None:
    """Memory has a limit of its own."""
    one = result(SMALL, 70, 50, 60)
    assert (one.values, one.median, one.spread, one.verdict) == ((70, 50, 60), 60, (50, 70), Verdict.MET)
    assert SMALL.unit == "MB"
    assert AT_LEAST_TWO.unit == "×"


@pytest.mark.parametrize(
    ("row", "values", "verdict", "stretch"),
    [
        (AT_LEAST_TWO, (1, 2, 9), Verdict.MET, False),
        (AT_LEAST_TWO, (1, 3, 9), Verdict.MET, True),
        (AT_LEAST_TWO, (9, 1.99, 1), Verdict.MISSED, False),
        (AT_MOST_TWO, (1, 2, 9), Verdict.MET, None),
        (AT_MOST_TWO, (1, 2.01, 9), Verdict.MISSED, None),
        (STRETCH_ONLY, (1, 2, 3), Verdict.TOLD, False),
        (STRETCH_ONLY, (3, 3, 3), Verdict.TOLD, True),
        (TOLD, (1, 2, 3), Verdict.TOLD, None),
    ],
)
def test_the_median_is_judged(row: Row, values: tuple[float, ...], verdict: Verdict, *, stretch: bool | None) -> None:
    """A goal is met on its bound too; a stretch is told beside it and changes no verdict."""
    one = result(row, *values)
    assert (one.verdict, one.stretch_is_met) == (verdict, stretch)


@pytest.mark.parametrize(
    ("one", "fails", "fails_indicative"),
    [
        (result(AT_LEAST_TWO, 2, 2, 2), False, False),
        (result(AT_LEAST_TWO, 1, 1, 9), True, False),
        (result(AT_LEAST_TWO, 1, 1, 1.9), True, True),
        (result(AT_MOST_TWO, 3, 3, 1), True, False),
        (result(AT_MOST_TWO, 3, 3, 3), True, True),
        (result(STRETCH_ONLY, 1, 1, 1), False, False),
        (result(TOLD, 1, 1, 1), False, False),
        (Result(AT_LEAST_TWO, reason="node is missing"), True, False),
        (Result(TOLD, reason="node is missing"), False, False),
        (Result(TOLD, reason="12 answers were refusals", is_broken=True), True, True),
    ],
)
def test_what_fails_a_run(one: Result, *, fails: bool, fails_indicative: bool) -> None:
    """A missed goal and what could not be measured, in a short run only what is clear; always what did no work."""
    assert (one.fails(indicative=False), one.fails(indicative=True)) == (fails, fails_indicative)


@pytest.mark.parametrize(("ours", "peer"), [([], []), ([1], []), ([1, 2], [1]), ([1], [1, 2])])
def test_rounds_that_have_no_pair_are_no_result(ours: list[float], peer: list[float]) -> None:
    """A round that one side missed cannot be compared."""
    with pytest.raises(ValueError, match="fast"):
        Result.of(AT_LEAST_TWO, ours, peer)


def test_sides_take_turns_and_none_is_always_first() -> None:
    """What happens to a machine during a run happens to all sides alike."""
    turns: list[str] = []
    alternating(3, {name: lambda name=name: turns.append(name) for name in "abc"})  # type: ignore[misc]
    assert "".join(turns) == "abccbaabc"


def test_rounds_become_a_row() -> None:
    """Figures are kept by name, in the order in which they were taken."""
    rounds = Rounds()
    for ours, peer in ((4, 2), (9, 3)):
        rounds.add("ours", ours)
        rounds.add("peer", peer)
    assert rounds.result(AT_LEAST_TWO, "ours", "peer").values == (2, 3)
    assert rounds.result(SMALL, "ours").values == (4, 9)

"""Chains: whose parent comes first, and what a level asks of an order."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.conversions.chain import generations
from app.conversions.record import Outcome, record
from app.conversions.store import load
from app.database import Database
from tests.support import NOW, order

LINKS = st.lists(st.none() | st.integers(0, 9), max_size=10)


@given(LINKS)
def test_a_parent_comes_before_its_children(links: Sequence[int | None]) -> None:
    """Every order comes once, in the order given among those that come together; a circle has no beginning."""
    orders = [
        order(f"A-{number}", parent=None if link is None else ("default", f"A-{link}"))
        for number, link in enumerate(links)
    ]
    groups = list(generations(orders))
    assert sorted(place for group in groups for place in group) == list(range(len(orders)))
    assert all(group == sorted(group) for group in groups)
    came_in = {place: number for number, group in enumerate(groups) for place in group}
    for place, link in enumerate(links):
        if link in came_in and came_in[place] <= came_in[link]:
            assert _is_in_a_circle(place, links)


def _is_in_a_circle(place: int, links: Sequence[int | None]) -> bool:
    """Say whether the chain from here on has no beginning."""
    seen: set[int] = set()
    here: int | None = place
    while here is not None and here < len(links) and here not in seen:
        seen.add(here)
        here = links[here]
    return here is not None and here < len(links)


def test_an_order_is_judged_by_its_own_parent(database: Database) -> None:
    """Not by that of another body that came with it under the same id."""
    record(database, [order("T", event_type="trial", customer_id="c")], NOW)
    child = order("P", event_type="paid", customer_id="c", parent=("trial", "T"))
    lost = order("P", event_type="paid", customer_id="c", parent=("trial", "U"))
    outcomes = [one.outcome for one in record(database, [child, lost, order("A")], NOW)]
    assert outcomes == [Outcome.NEW, Outcome.REFUSED, Outcome.NEW]
    assert [one.outcome for one in record(database, [lost, child], NOW)] == [Outcome.CONFLICT, Outcome.REPLAYED]


@pytest.mark.parametrize("repeated", [False, True])
def test_a_chain_is_recorded_whole_and_read_back(database: Database, *, repeated: bool) -> None:
    """However it came, and as often; a grandchild too."""
    parent = order("T", event_type="trial", customer_id="c")
    child = order("P", event_type="paid", customer_id="c", parent=("trial", "T"))
    grandchild = order("R", event_type="renewal", customer_id="c", parent=("paid", "P"), click_id=None)
    results = record(database, [grandchild, parent, child], NOW)
    if repeated:
        results = record(database, [child, grandchild, parent], NOW)
    assert {one.outcome for one in results} == {Outcome.REPLAYED if repeated else Outcome.NEW}
    with database.snapshot() as session:
        assert [one.order for one in load(session, [1, 2, 3])] == [parent, child, grandchild]

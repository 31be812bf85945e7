"""Orders are recorded once, together or not at all."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import func, select, text

from app.conversions.record import Outcome, record
from app.conversions.store import CONVERSION, ITEM, REVISION, UNSENT, add_revisions, load
from app.database import Database
from tests.support import NOW, order


def count(database: Database) -> list[int]:
    """Return how many conversions, revisions, items and waiting revisions there are."""
    with database.snapshot() as session:
        tables = (CONVERSION, REVISION, ITEM, UNSENT)
        return [session.connection().execute(select(func.count()).select_from(one)).scalar_one() for one in tables]


def test_a_group_has_one_outcome_per_order(database: Database) -> None:
    """New, repeated within the group, repeated from before, contradicting: in the order in which they were given."""
    record(database, [order("known")], NOW)
    group = [order("A"), order("A"), order("known"), order("A", items=3), order("B"), order("known", currency="EUR")]
    results = record(database, group, NOW)
    assert [one.outcome for one in results] == [
        *(Outcome.NEW, Outcome.REPLAYED, Outcome.REPLAYED, Outcome.CONFLICT, Outcome.NEW, Outcome.CONFLICT)
    ]
    assert [one.order for one in results] == group
    assert results[0].conversion_id == results[1].conversion_id == results[3].conversion_id
    assert count(database) == [3, 3, 6, 3]


def test_nothing_is_something_too(database: Database) -> None:
    """An empty group needs no transaction."""
    assert record(database, [], NOW) == []


def test_what_is_recorded_is_read_back_the_same(database: Database) -> None:
    """Every field, every item, with the offset of the date."""
    full = order(
        "full", promo_code="P", media_id="7", customer_id="ü", customer_status="New", extra={"Note": "😀", "Text1": '"'}
    )
    full = replace(full, items=tuple(replace(one, extra={"Name": "ß"}) for one in full.items))
    plain = order("plain", click_id=None)
    record(database, [full, plain], NOW)
    with database.snapshot() as session:
        found = load(session, [1, 2])
    assert [one.order for one in found] == [full, plain]
    assert [one.order.event_date.isoformat() for one in found] == [full.event_date.isoformat()] * 2
    assert [(one.number, one.recorded_at) for one in found] == [(1, NOW)] * 2


def test_the_same_id_of_another_event_type_is_another_order(database: Database) -> None:
    """Each program numbers its own."""
    results = record(database, [order("A"), order("A", event_type="signup")], NOW)
    assert [one.outcome for one in results] == [Outcome.NEW, Outcome.NEW]


def test_any_body_that_was_ever_accepted_is_a_replay(database: Database) -> None:
    """After a correction the first body still is no second order, for ever."""
    first, corrected = order("A"), order("A", items=1)
    [result] = record(database, [first], NOW)
    with database.transaction() as session:
        add_revisions(session, {result.conversion_id: corrected}, number=2, now=NOW)
    for late in (timedelta(hours=25), timedelta(days=89), timedelta(days=400)):
        outcomes = [one.outcome for one in record(database, [first, corrected, order("A", items=5)], NOW + late)]
        assert outcomes == [Outcome.REPLAYED, Outcome.REPLAYED, Outcome.CONFLICT]


def test_a_group_is_recorded_whole_or_not_at_all(database: Database) -> None:
    """A failure in the middle leaves no order without its items."""
    with database.transaction() as session:
        session.connection().execute(text("ALTER TABLE item RENAME TO gone"))
    with pytest.raises(Exception, match="item"):
        record(database, [order("A"), order("B")], NOW)
    with database.transaction() as session:
        session.connection().execute(text("ALTER TABLE gone RENAME TO item"))
    assert count(database) == [0, 0, 0, 0]


@pytest.mark.parametrize("size", [500, 9_999])
def test_large_orders_and_large_groups_are_no_trouble(database: Database, size: int) -> None:
    """As many items as a file has rows, as many orders as a group has."""
    many = [order(f"A-{number}", items=1) for number in range(500)] if size == 500 else [order(items=size)]
    assert {one.outcome for one in record(database, many, NOW)} == {Outcome.NEW}
    assert {one.outcome for one in record(database, many, NOW)} == {Outcome.REPLAYED}
    assert count(database)[2] == size


def test_the_schema_itself_refuses_a_second_order(database: Database) -> None:
    """Not the code but a unique key is the guard, so that no other program and no later version gets round it."""
    record(database, [order("A")], NOW)
    again = text("INSERT INTO conversion (event_type, order_id, recorded_at) VALUES ('default', 'A', '2026-01-01')")
    with pytest.raises(Exception, match=r"(?i)unique"), database.transaction() as session:
        session.connection().execute(again)
    twice = text("INSERT INTO item SELECT * FROM item")
    with pytest.raises(Exception, match=r"(?i)unique"), database.transaction() as session:
        session.connection().execute(twice)

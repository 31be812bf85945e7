"""New orders are written with few statements, and as every other way of writing them would."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from sqlalchemy import Table, insert, select, text

from app.conversions.group_store import add_new
from app.conversions.order import Item
from app.conversions.record import record
from app.conversions.store import CONVERSION, ITEM, REVISION, UNSENT, add_revisions
from app.database import Database
from tests.support import NOW, order

STATEMENTS = {"sqlite": [7, 8, 60], "postgresql": [1, 1, 1]}


class Counting:
    """A cursor that counts what it is told to do."""

    def __init__(self, cursor: Any) -> None:
        self.cursor, self.count = cursor, 0

    def execute(self, statement: str, parameters: Any = ()) -> Any:
        """Count and do it."""
        self.count += 1
        return self.cursor.execute(statement, parameters)


def test_a_group_of_any_size_needs_few_statements(database: Database) -> None:
    """One on PostgreSQL; on SQLite a few per table, so that a flash sale waits for few."""
    for size, most in zip((1, 2, 500), STATEMENTS[database.dialect], strict=True):
        with database.group() as cursor:
            counting = Counting(cursor)
            orders = [order(f"{size}-{number}", items=3) for number in range(size)]
            made = add_new(counting, orders, NOW, is_sqlite=database.is_sqlite)
        assert counting.count <= most
        assert sorted(made) == list(range(size))


ORDERS = [
    order(
        "Ä/1 \"quoted\" 'single' \\ {}",
        event_type="b2b",
        promo_code="%(rows)s ?1",
        media_id="0077",
        customer_id="1e5",
        customer_status="null",
        extra={"Note": 'ü "x"', "OrderTax": "1.50"},
        event_date=datetime(2026, 3, 1, 0, 30, 0, 250_000, tzinfo=timezone(timedelta(hours=5, minutes=30))),
    ),
    order("1", click_id=None, event_date=datetime(1, 1, 2, tzinfo=UTC)),
    order("2", click_id=None, customer_id="c", parent=("trial \"'", "true")),
    replace(
        order("true", currency="TND"),
        items=tuple(Item(f"{n}", " ", 2**31 - 1, 999_999_999_999_999, {"Name": "😀"} if n else {}) for n in range(3)),
    ),
]


def columns_of(table: Table) -> list[str]:
    """Return the names of a table's columns."""
    return [column.name for column in table.columns]


def rows(database: Database) -> list[Sequence[Any]]:
    """Return everything of the four tables as the database holds it, with SQLite's types, but without ids."""
    found: list[Sequence[Any]] = []
    with database.snapshot() as session:
        for table in (CONVERSION, REVISION, ITEM, UNSENT):
            kinds = ", ".join(f"typeof({name})" for name in columns_of(table)) if database.is_sqlite else "1"
            columns = ", ".join(
                name for name in columns_of(table) if name not in {"id", "conversion_id", "revision_id"}
            )
            by = "order_id" if table is CONVERSION else "conversion_id" if table is REVISION else "revision_id"
            statement = f"SELECT {columns}, {kinds} FROM {table.name} ORDER BY {by}"  # noqa: S608 (names of the schema)
            found += [tuple(row) for row in session.connection().execute(text(statement))]
    return found


def test_a_group_is_written_as_row_by_row(database: Database) -> None:
    """Text byte for byte, whatever it looks like to SQL or JSON, times and numbers of the same type."""
    with database.group() as cursor:
        add_new(cursor, ORDERS, NOW, is_sqlite=database.is_sqlite)
    in_a_group = rows(database)
    with database.transaction() as session:
        for table in (UNSENT, ITEM, REVISION, CONVERSION):
            session.connection().execute(table.delete())
        for one in ORDERS:
            key = {"event_type": one.event_type, "order_id": one.order_id, "recorded_at": NOW}
            made = session.connection().execute(insert(CONVERSION).values(key).returning(CONVERSION.c.id)).scalar_one()
            add_revisions(session, {made: one}, number=1, now=NOW)
    assert rows(database) == in_a_group
    assert len(in_a_group) == 3 * 4 + 2 + 2 + 2 + 3


def test_revisions_are_numbered_in_the_order_in_which_orders_came(database: Database) -> None:
    """Files list orders as they were recorded, not by their names."""
    names = ["C", "a", "B", "Z", "A"]
    record(database, [order("B"), order("0")], NOW)
    record(database, [order(name) for name in names], NOW)
    statement = (
        select(CONVERSION.c.order_id)
        .join(REVISION, REVISION.c.conversion_id == CONVERSION.c.id)
        .order_by(REVISION.c.id)
    )
    with database.snapshot() as session:
        assert session.connection().execute(statement).scalars().all() == ["B", "0", "C", "a", "Z", "A"]

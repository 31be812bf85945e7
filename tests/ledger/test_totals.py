"""What each day brought is known without counting, and is what counting would give."""

import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
import pytest
from alembic import command
from alembic.config import Config
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event

from app.clicks.click import ClickId
from app.clicks.store import NewClick, Note, append, counted, file_some, write_all
from app.conversions.order import Item, Order
from app.conversions.record import record
from app.conversions.total import Total
from app.conversions.totals_store import between
from app.database import Database
from app.migrations import ROOT, Schema, look, migrate
from tests.conftest import driver
from tests.servers import Postgres
from tests.support import NOW, ORDER_KEY, READ_KEY, bearer, body, order

LONG_AGO, FAR_AWAY = date(2000, 1, 1), date(2100, 1, 1)
Days = dict[date, dict[tuple[str, str], Total]]
HISTORY = """
    SELECT conversion.recorded_at, event_type, currency, click_id, promo_code, media_id, revision.id
    FROM conversion JOIN revision ON revision.conversion_id = conversion.id AND number = 1
"""


def told(database: Database) -> Days:
    """Return what the totals say."""
    with database.snapshot() as session:
        return between(session, LONG_AGO, FAR_AWAY)


def history(database: Database) -> Days:
    """Count every order, line by line, in whole numbers of any size."""
    found: Days = {}
    with database.snapshot() as session:
        connection = session.connection()
        amounts: Counter[int] = Counter()
        for revision_id, amount in connection.exec_driver_sql("SELECT revision_id, amount FROM item"):
            amounts[revision_id] += amount
        for row in connection.exec_driver_sql(HISTORY):
            day = datetime.fromisoformat(str(row.recorded_at)).date()
            held = row.click_id is None and row.promo_code is None and row.media_id is None
            one = Total(1, int(row.click_id is not None), int(held), amounts[row.id])
            per_day = found.setdefault(day, {})
            per_day[row.event_type, row.currency] = per_day.get((row.event_type, row.currency), Total()) + one
    return found


class Crash(BaseException):
    """The end of a process in the middle of its work."""


@contextmanager
def crashing(database: Database, statement: int) -> Iterator[None]:
    """End the process that runs inside the block before its n-th statement."""
    executed = 0

    def count(*_: object) -> None:
        nonlocal executed
        executed += 1
        if executed == statement:
            raise Crash

    event.listen(database.engine, "before_cursor_execute", count)
    try:
        yield
    except Crash:
        pass
    finally:
        event.remove(database.engine, "before_cursor_execute", count)


AMOUNTS = st.one_of(st.integers(0, 10**6), st.just(10**16 - 1))
ORDERS = st.builds(
    lambda order_id, event_type, currency, credit, amounts: Order(
        order_id=order_id,
        event_type=event_type,
        event_date=NOW,
        currency=currency,
        items=tuple(Item(f"S{line}", "Tools", 1, amount) for line, amount in enumerate(amounts)),
        **credit,
    ),
    order_id=st.sampled_from("ABCDEFGH"),
    event_type=st.sampled_from(("default", "b2b")),
    currency=st.sampled_from(("USD", "JPY")),
    credit=st.sampled_from(({"click_id": "c"}, {"promo_code": "p"}, {"media_id": "1"}, {})),
    amounts=st.lists(AMOUNTS, min_size=1, max_size=3),
)
GROUPS = st.tuples(st.lists(ORDERS, max_size=6), st.integers(0, 50), st.one_of(st.none(), st.integers(2, 9)))


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(prefix=st.integers(), groups=st.lists(GROUPS, min_size=1, max_size=6))
def test_totals_are_what_counting_gives(
    database: Database, prefix: int, groups: list[tuple[list[Order], int, int | None]]
) -> None:
    """After any groups of orders: new, repeated, contradicting one another, and cut off in the middle."""
    for orders, hours, crash in groups:
        mine = [
            Order(**{name: getattr(one, name) for name in one.__slots__} | {"order_id": f"{prefix}-{one.order_id}"})
            for one in orders
        ]
        now = NOW + timedelta(hours=hours)
        if crash is None:
            record(database, mine, now)
        else:
            with crashing(database, crash):
                record(database, mine, now)
    assert told(database) == history(database)


def test_a_day_may_come_to_more_than_64_bits(database: Database) -> None:
    """Exactly, over orders that are as large as an order can be."""
    largest = tuple(Item(f"S{line}", "Tools", 1, 10**16 - 1) for line in range(9_999))
    for name in "AB":
        record(database, [order(name, items=1)], NOW)
        record(database, [Order("default", f"large-{name}", NOW, "USD", largest, click_id="c")], NOW)
    [(_, totals)] = told(database).items()
    assert totals["default", "USD"].amount == 2 * (9_999 * (10**16 - 1) + 1_000) > 2**64


def test_the_migration_counts_what_is_there(database: Database) -> None:
    """A database that was in use before has totals from its first day on, as if they had always been kept."""
    some = random.Random(7)
    for number in range(60):
        credit: dict[str, Any] = some.choice(({"click_id": "c"}, {"promo_code": "p"}, {"media_id": "1"}, {}))
        one = order(f"A-{number}", items=some.randint(1, 3), **({"click_id": None} | credit))
        record(database, [one], NOW + timedelta(hours=some.randint(-60, 60)))
        clicked(database, f"c-{number}", NOW + timedelta(hours=some.randint(-60, 60)))
    before = told(database), days_of_clicks(database)
    assert before[0] == history(database)
    go_back(database, "0008")
    migrate(database)
    assert look(database) is Schema.CURRENT
    assert (told(database), days_of_clicks(database)) == before


def go_back(database: Database, revision: str) -> None:
    """Undo the migrations after one."""
    config = Config(toml_file=str(ROOT / "pyproject.toml"))
    with database.writing(), database.engine.connect() as connection:
        if database.is_sqlite:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        config.attributes["connection"] = connection
        command.downgrade(config, revision)
        connection.commit()


def clicked(database: Database, click_id: str, at: datetime) -> None:
    """Record a click."""
    with database.transaction() as session:
        write_all(session, [Note(NewClick(click_id=click_id, captured_at=at, source="get"))])


def days_of_clicks(database: Database) -> dict[date, int]:
    """Return how many clicks each day brought."""
    with database.snapshot() as session:
        return counted(session, LONG_AGO, FAR_AWAY)


def test_a_click_counts_once_on_the_day_of_its_capture(database: Database) -> None:
    """Landing again with it counts nothing; that it was forgotten later takes nothing away from the day."""
    late, early = datetime(2026, 11, 22, 23, 59, tzinfo=UTC), datetime(2026, 11, 23, 0, 1, tzinfo=UTC)
    notes = [("a", late), ("b", early), ("a", early), ("c", late)]
    with database.transaction() as session:
        write_all(session, [Note(NewClick(click_id=one, captured_at=at, source="get")) for one, at in notes])
    assert days_of_clicks(database) == {late.date(): 2, early.date(): 1}
    clicked(database, "a", early)
    with database.transaction() as session:
        write_all(session, [Note(forget=frozenset({ClickId("c")}))])
    assert days_of_clicks(database) == {late.date(): 2, early.date(): 1}


def test_what_a_day_brought_is_shown(client: TestClient) -> None:
    """Clicks, and per event type and currency the orders, those with a click id, those held, and the amount."""
    today = datetime.now(UTC).date()
    for click in ("one", "two", "one"):
        client.get("/capture", params={"im_ref": click})
    orders = [body("A"), body("B", click_id=...), body("C", promo_code="P", click_id=...), body("A"), body("J")]
    orders[-1] |= {"currency": "JPY", "items": [{"sku": "1", "category": "c", "quantity": 1, "amount": "1200"}]}
    for one in orders:
        assert client.post("/orders", json=one, headers=bearer(ORDER_KEY)).status_code in {200, 201}
    tomorrow = today + timedelta(days=1)  # the test may run at midnight
    [day] = client.get("/totals", params={"from": str(today), "to": str(tomorrow)}, headers=bearer(READ_KEY)).json()[
        "items"
    ]
    known = {"event_type": "default"}
    assert day["clicks"] == 2
    assert day["recorded"] == [
        known | {"currency": "JPY", "orders": 1, "with_click_id": 1, "held": 0, "amount": "1200"},
        known | {"currency": "USD", "orders": 3, "with_click_id": 1, "held": 1, "amount": "168.00"},
    ]
    assert client.get("/totals?from=2001-01-01&to=2001-01-01", headers=bearer(READ_KEY)).json() == {"items": []}


@pytest.mark.parametrize(
    "query",
    [
        "from=2026-11-22",
        "from=2026-11-22&to=2026-11-21",
        "from=2026-01-01&to=2027-02-05",
        "from=2026-11-31&to=2026-12-01",
        "from=yesterday&to=2026-11-22",
        "from=1795305600&to=2026-11-22",
        "from=9999-12-31&to=9999-12-31x",
    ],
)
def test_days_that_are_none_are_refused(client: TestClient, query: str) -> None:
    """As a problem that points to what is wrong."""
    answer = client.get(f"/totals?{query}", headers=bearer(READ_KEY))
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    assert answer.json()["errors"][0]["pointer"].startswith("/query/")
    assert "Value error" not in answer.text


def test_the_longest_span_and_the_last_day_there_is(client: TestClient) -> None:
    """400 days, and no day so late that it cannot be added to."""
    for query in ("from=2026-01-01&to=2027-02-04", "from=9999-12-31&to=9999-12-31"):
        assert client.get(f"/totals?{query}", headers=bearer(READ_KEY)).status_code == 200


def test_a_crowd_counts_when_it_is_filed(database: Database) -> None:
    """Each new click once, on the day of its capture, however many of them came at once and however often."""
    late, early = datetime(2026, 11, 22, 23, 59, tzinfo=UTC), datetime(2026, 11, 23, 0, 1, tzinfo=UTC)
    clicked(database, "known", late)
    crowd = [
        ("a", late),
        ("b", early),
        ("a", early),
        ("known", early),
        *((f"c-{number}", early) for number in range(20)),
    ]
    with database.group() as cursor:
        append(cursor, database.dialect, [NewClick(one, at) for one, at in crowd])
    assert days_of_clicks(database) == {late.date(): 1}
    more = True
    while more:
        with database.transaction() as session:
            more = file_some(session, 4)
    assert days_of_clicks(database) == {late.date(): 2, early.date(): 21}


def test_adding_to_a_day_touches_no_index(postgres: Postgres, migrated_postgres: str) -> None:
    """PostgreSQL finds room for the new row beside the old one: the tables stay small, however seldom it vacuums."""
    with postgres.new_database(template=migrated_postgres) as url:
        database = Database(driver(url))
        for number in range(200):
            record(database, [order(f"A-{number}")], NOW)
            clicked(database, f"c-{number}", NOW)
        database.close()  # a connection's counts are complete when it has ended
        with psycopg.connect(url) as connection:
            counts = "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname LIKE 'daily_%'"
            assert connection.execute(counts).fetchall() == [(199, 199), (199, 199)]


def test_a_day_that_is_given_twice_is_refused(client: TestClient) -> None:
    """Which of the two is meant is not guessed."""
    answer = client.get("/totals?from=2026-11-01&to=2026-11-02&to=2026-11-30", headers=bearer(READ_KEY))
    assert (answer.status_code, answer.json()["errors"]) == (
        422,
        [{"code": "INVALID_PARAMETER", "detail": "Give it once.", "pointer": "/query/to"}],
    )

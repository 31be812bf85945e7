"""The exporter: what waits becomes files, whole, in order, once; what cannot go is told."""

import gc
import json
import threading
import tracemalloc
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, event, select, text, update

from app.batches import build, exporter
from app.batches.store import BATCH, BATCH_CONTENT, BATCH_LINE, EXPORT, LEFT_OUT, UNDELIVERED
from app.config import Settings
from app.conversions.order import Item
from app.conversions.record import record
from app.conversions.store import CONVERSION, ITEM, REVISION, UNSENT
from app.database import Database
from app.errors import Failure, LeaseLost
from app.event_type import EventType
from app.impact.limits import MAX_FILE_ROWS
from app.ledger import store as ledger
from app.ledger.export_routes import request_export
from app.ledger.exports import ExportView, find_export
from app.ledger.orders import show
from app.ledger.state import OrderState
from tests.conftest import SettingsFactory
from tests.support import NOW, order, parse_rfc4180

NEVER = threading.Event().is_set


def export(
    database: Database, configured: Settings, now: datetime = NOW, stopping: Callable[[], bool] = bool
) -> ExportView:
    """Run an export to its end and return what is told about it."""
    asked = request_export(database)
    claimed = exporter.claim(database, configured)
    assert claimed
    exporter.run(database, configured, claimed, lambda: now, stopping)
    with database.snapshot() as session:
        return find_export(session, asked.id)


def contents(database: Database, view: ExportView) -> list[list[str]]:
    """Return the order ids of each of an export's files, line by line."""
    found = []
    with database.snapshot() as session:
        for batch in view.batches:
            row = session.connection().execute(select(BATCH.c.id).where(BATCH.c.batch_id == batch.id)).one()
            statement = select(BATCH_CONTENT.c.content).where(BATCH_CONTENT.c.batch == row.id)
            content = session.connection().execute(statement).scalar_one()
            header, *rows = parse_rfc4180(content)
            found.append([row[header.index("OrderId")] for row in rows])
    return found


def rows(database: Database, table: Any) -> list[Any]:
    """Return all rows of a table."""
    with database.snapshot() as session:
        return list(session.connection().execute(select(table)).all())


def states(database: Database) -> dict[str, list[str]]:
    """Return the order ids in each state, as the lists tell them."""
    told: dict[str, list[str]] = {}
    with database.snapshot() as session:
        for state in OrderState:
            ids = ledger.page(session, state, 0)
            names = (
                select(CONVERSION.c.order_id)
                .join(REVISION, REVISION.c.conversion_id == CONVERSION.c.id)
                .where(REVISION.c.id.in_(ids))
                .order_by(REVISION.c.id)
            )
            if found := list(session.connection().execute(names).scalars()):
                told[state.value] = found
    return told


# Files ------------------------------------------------------------------------------------------------------------


def greedy(sizes: Sequence[int], most: int) -> list[list[int]]:
    """Return which orders go together: a file is closed when the next order does not fit."""
    files: list[list[int]] = []
    room = 0
    for number, size in enumerate(sizes):
        if not files or size > room:
            files.append([])
            room = most
        files[-1].append(number)
        room -= size
    return files


@given(st.data())
@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
def test_files_are_filled_in_the_order_of_recording(
    database: Database, make_settings: SettingsFactory, data: st.DataObject
) -> None:
    """No order is split, none is out of its turn, and no file is closed while the next order fits."""
    most = data.draw(st.integers(1, 12))
    sizes = data.draw(st.lists(st.integers(1, most), max_size=30))
    run = len(rows(database, EXPORT))
    orders = [order(f"{run}-{number}", items=size) for number, size in enumerate(sizes)]
    record(database, orders, NOW)
    view = export(database, make_settings(max_rows=most))
    wanted = greedy(sizes, most)
    assert contents(database, view) == [
        [f"{run}-{number}" for number in file for _ in range(sizes[number])] for file in wanted
    ]
    assert [(one.orders, one.rows) for one in view.batches] == [
        (len(file), sum(sizes[number] for number in file)) for file in wanted
    ]
    assert (view.exported, view.held, view.expired, view.state) == (len(sizes), 0, 0, "done")


@pytest.mark.parametrize(
    ("sizes", "files"),
    [
        ([9_998], [9_998]),
        ([9_998, 1], [9_999]),
        ([9_999], [9_999]),
        ([9_998, 2], [9_998, 2]),
        ([5_000, 5_000], [5_000, 5_000]),
        ([1, 9_999, 1], [1, 9_999, 1]),
    ],
    ids=str,
)
def test_no_file_reaches_ten_thousand_rows(
    database: Database, make_settings: SettingsFactory, sizes: list[int], files: list[int]
) -> None:
    """impact.com recommends under 10,000 entries a file; 9,999 still go into one."""
    for number, size in enumerate(sizes):
        record(database, [order(f"A-{number}", items=size)], NOW)
    view = export(database, make_settings())
    assert [one.rows for one in view.batches] == files
    assert max(files) < MAX_FILE_ROWS


def test_every_item_knows_its_line_and_its_file_its_name(database: Database, make_settings: SettingsFactory) -> None:
    """What is kept about a file is what is in it."""
    record(database, [order(f"A-{number}", items=size) for number, size in enumerate([2, 3, 1])], NOW)
    view = export(database, make_settings(max_rows=5))
    assert [(row.first_line, row.batch) for row in rows(database, BATCH_LINE)] == [(2, 1), (4, 1), (2, 2)]
    for one in view.batches:
        assert one.filename == f"2026-11-22_ActionData_default_{one.id}.csv"
        assert (one.kind, one.event_type) == ("conversions", "default")
    assert len({one.id for one in view.batches}) == 2
    assert len(rows(database, UNDELIVERED)) == 2


def test_where_an_order_is_a_line_a_file_holds_as_many_orders_as_rows(
    database: Database, make_settings: SettingsFactory
) -> None:
    """However many items they have, more than a file has rows included; each of them is found on its order's line."""
    types = {"whole": EventType(campaign_id=7, action_tracker_id=8, level="order")}
    sizes = [1, 4, 2, 3, 5]
    record(database, [order(f"A-{number}", items=size, event_type="whole") for number, size in enumerate(sizes)], NOW)
    configured = make_settings(max_rows=3, event_types=types)
    view = export(database, configured)
    assert contents(database, view) == [["A-0", "A-1", "A-2"], ["A-3", "A-4"]]
    assert [(one.rows, one.orders) for one in view.batches] == [(3, 3), (2, 2)]
    assert [(row.first_line, row.batch) for row in rows(database, BATCH_LINE)] == [
        (2, 1),
        (3, 1),
        (4, 1),
        (2, 2),
        (3, 2),
    ]
    with database.snapshot() as session:
        shown = show(session, configured, [1, 2, 3, 4, 5])
    assert [[item.line for item in one.items] for one in shown] == [[2], [3] * 4, [4] * 2, [2] * 3, [3] * 5]


def test_an_order_beyond_all_sums_stops_no_other(database: Database, make_settings: SettingsFactory) -> None:
    """Recorded when each item was a line, it is held where a line is an order; many small items are no matter."""
    types = {"whole": EventType(campaign_id=7, action_tracker_id=8, level="order")}
    largest = tuple(Item(f"S{line}", "Tools", 1, 10**16 - 1) for line in range(9_999))
    record(database, [order("A", event_type="whole", items=1_000)], NOW)
    record(database, [order("B", event_type="whole", currency="CLF", items=2)], NOW)
    record(database, [replace(order("C", event_type="whole", currency="CLF"), items=largest)], NOW)
    view = export(database, make_settings(event_types=types))
    assert (view.state, view.exported, view.held) == ("done", 2, 1)
    assert contents(database, view) == [["A", "B"]]
    [left] = rows(database, LEFT_OUT)
    assert (left.reason, "add up to" in left.detail) == ("cannot_be_rendered", True)


def test_each_event_type_has_files_of_its_own(database: Database, make_settings: SettingsFactory) -> None:
    """A file has one campaign and one action tracker."""
    types = {"signup": EventType(campaign_id=7, action_tracker_id=8, columns=("Note",))}
    mixed = [order(f"A-{number}", event_type=("default", "signup")[number % 2]) for number in range(6)]
    record(database, mixed, NOW)
    view = export(database, make_settings(event_types=types))
    assert {one.event_type: one.orders for one in view.batches} == {"default": 3, "signup": 3}
    assert contents(database, view) == [
        [f"A-{number}" for number in numbers for _ in range(2)] for numbers in ((0, 2, 4), (1, 3, 5))
    ]


def test_an_order_is_sent_once(database: Database, make_settings: SettingsFactory) -> None:
    """The next export finds nothing to do, and makes no empty file."""
    record(database, [order()], NOW)
    assert export(database, make_settings()).exported == 1
    again = export(database, make_settings())
    assert (again.exported, again.batches, again.state) == (0, [], "done")


def test_an_export_ends_while_orders_keep_coming(database: Database, make_settings: SettingsFactory) -> None:
    """What arrives during an export goes with the next one."""
    record(database, [order(f"A-{number}", items=1) for number in range(20)], NOW)
    configured = make_settings(max_rows=2)
    asked, claimed = request_export(database), exporter.claim(database, configured)
    assert claimed
    arrived = 0

    def clock() -> datetime:
        nonlocal arrived
        arrived += 1
        assert arrived < 1_000
        record(database, [order(f"B-{arrived}", items=1)], NOW)
        return NOW

    exporter.run(database, configured, claimed, clock)
    with database.snapshot() as session:
        view = find_export(session, asked.id)
    assert (view.state, view.exported, len(view.batches)) == ("done", 20, 10)
    assert export(database, make_settings()).exported == arrived


def test_only_the_latest_worker_may_write(database: Database, make_settings: SettingsFactory) -> None:
    """A worker that was thought dead and comes back changes nothing."""
    configured = make_settings()
    record(database, [order()], NOW)
    request_export(database)
    first = exporter.claim(database, configured)
    assert first
    assert exporter.claim(database, configured) is None
    with database.transaction() as session:
        session.connection().execute(update(EXPORT).values(leased_until=datetime(2020, 1, 1, tzinfo=UTC)))
    second = exporter.claim(database, configured)
    assert second
    with pytest.raises(LeaseLost):
        exporter.run(database, configured, first, lambda: NOW)
    assert rows(database, BATCH) == []
    exporter.run(database, configured, second, lambda: NOW)
    assert len(rows(database, BATCH)) == 1


def test_a_dry_run_changes_nothing(database: Database, make_settings: SettingsFactory) -> None:
    """It says what would be sent and what would not, and the database is the same to the last row."""
    everything = [*(order(f"A-{number}", items=2) for number in range(5)), order("none", click_id=None)]
    record(database, [*everything, order("old", age=timedelta(days=88))], NOW)
    tables = (CONVERSION, REVISION, ITEM, UNSENT, EXPORT, BATCH, BATCH_CONTENT, BATCH_LINE, LEFT_OUT, UNDELIVERED)
    before = [rows(database, table) for table in tables]
    shown = list(build.plans(database, make_settings(max_rows=4), lambda: NOW))
    assert [len(plan.orders) for plan in shown] == [2, 2, 1]
    assert [one.reason for plan in shown for one in plan.omissions] == ["no_attribution", "too_old"]
    assert [rows(database, table) for table in tables] == before
    assert export(database, make_settings(max_rows=4)).exported == 5


# What cannot go ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("credit", "days"),
    [({}, 87), ({"click_id": None, "promo_code": "P"}, 87), ({"click_id": None, "media_id": "7"}, 397)],
    ids=["click", "promo", "media"],
)
def test_age_is_judged_when_the_file_is_made(
    database: Database, make_settings: SettingsFactory, credit: dict[str, Any], days: int
) -> None:
    """A second before the limit an order goes; a second later it is expired, counted, and kept with the reason."""
    limit = timedelta(days=days)
    record(
        database, [order("edge", age=limit, **credit), order("old", age=limit + timedelta(seconds=1), **credit)], NOW
    )
    view = export(database, make_settings())
    assert (view.exported, view.held, view.expired) == (1, 0, 1)
    assert states(database) == {"batched": ["edge"], "expired": ["old"]}
    [left] = rows(database, LEFT_OUT)
    assert (left.reason, f"{days} days" in left.detail) == ("too_old", True)


def test_an_order_that_waited_too_long_expires_in_the_queue(database: Database, make_settings: SettingsFactory) -> None:
    """A cron job that was forgotten for weeks loses orders, and says which."""
    record(database, [order("A", age=timedelta(days=80))], NOW)
    view = export(database, make_settings(), NOW + timedelta(days=8))
    assert (view.exported, view.expired) == (0, 1)
    assert states(database) == {"expired": ["A"]}
    assert export(database, make_settings()).expired == 0


def test_an_order_that_nobody_is_credited_for_is_held(database: Database, make_settings: SettingsFactory) -> None:
    """It is counted in the answer, and the others go."""
    record(database, [order("A"), order("none", click_id=None), order("B")], NOW)
    view = export(database, make_settings())
    assert (view.exported, view.held) == (2, 1)
    assert states(database) == {"batched": ["A", "B"], "held": ["none"]}


def test_orders_of_an_event_type_that_is_gone_wait_for_its_return(
    database: Database, make_settings: SettingsFactory
) -> None:
    """A file of settings that lost a section holds orders back, and the first export after its repair sends them."""
    types = {"signup": EventType(campaign_id=7, action_tracker_id=8)}
    record(database, [order("A"), order("S", event_type="signup")], NOW)
    for _ in range(2):
        view = export(database, make_settings())
        assert view.held == 1
        assert states(database) == {"batched": ["A"], "held": ["S"]}
    assert "put it back" in rows(database, LEFT_OUT)[0].detail
    assert export(database, make_settings(event_types=types)).exported == 1
    assert states(database) == {"batched": ["A", "S"]}


def test_an_order_with_too_many_items_is_held_and_goes_when_it_fits(
    database: Database, make_settings: SettingsFactory
) -> None:
    """The setting was lowered after the order was taken; it is never split."""
    record(database, [order("A", items=3), order("big", items=6), order("B", items=3)], NOW)
    view = export(database, make_settings(max_rows=5))
    assert (view.exported, view.held, [one.rows for one in view.batches]) == (2, 1, [3, 3])
    assert states(database) == {"batched": ["A", "B"], "held": ["big"]}
    assert "raise CAPTURE_MAX_ROWS" in rows(database, LEFT_OUT)[0].detail
    assert export(database, make_settings(max_rows=6)).exported == 1


POISON = {
    "a negative amount": "UPDATE item SET amount = -1 WHERE revision_id = 3 AND position = 0",
    "no quantity": "UPDATE item SET quantity = 0 WHERE revision_id = 3 AND position = 0",
    "no sku": "UPDATE item SET sku = '' WHERE revision_id = 3 AND position = 1",
    "an impossible click id": "UPDATE revision SET click_id = 'no spaces' WHERE id = 3",
    "a currency that is gone": "UPDATE revision SET currency = 'DEM' WHERE id = 3",
    "an address": "UPDATE revision SET customer_id = 'someone@shop.example' WHERE id = 3",
}


@pytest.mark.parametrize("statement", POISON.values(), ids=POISON)
def test_an_order_that_impact_would_refuse_does_not_stop_the_others(
    database: Database, make_settings: SettingsFactory, statement: str
) -> None:
    """It is held with what is wrong with it; repaired, it goes with the next export."""
    record(database, [order(f"A-{number}") for number in range(1, 6)], NOW)
    with database.transaction() as session:
        before = session.connection().execute(select(REVISION).where(REVISION.c.id == 3)).mappings().one()
        items = list(session.connection().execute(select(ITEM).where(ITEM.c.revision_id == 3)).mappings())
        session.connection().execute(text(statement))
    view = export(database, make_settings())
    assert (view.exported, view.held, [one.orders for one in view.batches]) == (4, 1, [4])
    assert states(database) == {"batched": ["A-1", "A-2", "A-4", "A-5"], "held": ["A-3"]}
    assert rows(database, LEFT_OUT)[0].reason == "cannot_be_rendered"
    assert [row.first_line for row in rows(database, BATCH_LINE)] == [2, 4, 6, 8]
    with database.transaction() as session:
        session.connection().execute(update(REVISION).where(REVISION.c.id == 3).values(**before))
        for item in items:
            mine = (ITEM.c.revision_id == 3) & (ITEM.c.position == item["position"])
            session.connection().execute(update(ITEM).where(mine).values(**item))
    assert contents(database, export(database, make_settings())) == [["A-3", "A-3"]]
    assert rows(database, LEFT_OUT) == []


def test_what_cannot_go_leaves_no_gap_in_the_files(database: Database, make_settings: SettingsFactory) -> None:
    """Orders of every kind stay behind, and the others fill the files as if nothing had been between them."""
    kinds: list[dict[str, Any]] = [
        {"click_id": None},
        {"age": timedelta(days=100)},
        {"items": 7},
        {"age": timedelta(days=100), "media_id": "7"},
        {},
        {"age": timedelta(days=87)},
    ]
    bodies = [order(f"{number}", **({"items": 2} | kinds[number % len(kinds)])) for number in range(60)]
    record(database, bodies, NOW)
    with database.transaction() as session:  # as a version before 0006 recorded them
        session.connection().execute(
            update(UNSENT).where(UNSENT.c.revision_id % 4 == 0).values(lines=None, event_at=None, currency=None)
        )
    shown = [(len(plan.orders), plan.rows) for plan in build.plans(database, make_settings(max_rows=6), lambda: NOW)]
    view = export(database, make_settings(max_rows=6))
    going = [number for number in range(60) if number % len(kinds) in {3, 4, 5}]
    assert contents(database, view) == [
        [str(number) for number in going[start : start + 3] for _ in range(2)] for start in range(0, len(going), 3)
    ]
    assert [one for one in shown if one[0]] == [(3, 6)] * 10
    assert (view.exported, view.held, view.expired) == (30, 20, 10)
    reasons = Counter(row.reason for row in rows(database, LEFT_OUT))
    assert reasons == {"no_attribution": 10, "too_old": 10, "too_many_items": 10}
    assert [row.first_line for row in rows(database, BATCH_LINE)] == [2, 4, 6] * 10


def test_an_order_that_changes_meanwhile_is_planned_anew(database: Database, make_settings: SettingsFactory) -> None:
    """One is taken off the list while its file is on the way: that file is made again, of what is left."""
    record(database, [order(f"A-{number}", items=1) for number in range(1, 10)], NOW)
    configured, asked = make_settings(max_rows=3), request_export(database)
    claimed, seen = exporter.claim(database, configured), 0
    assert claimed

    def clock() -> datetime:
        nonlocal seen
        seen += 1
        if seen == 3:  # the third file is planned now, and the second one is not committed yet
            with database.transaction() as session:
                session.connection().execute(delete(UNSENT).where(UNSENT.c.revision_id == 5))
        return NOW

    exporter.run(database, configured, claimed, clock)
    with database.snapshot() as session:
        view = find_export(session, asked.id)
    assert contents(database, view) == [["A-1", "A-2", "A-3"], ["A-4", "A-6", "A-7"], ["A-8", "A-9"]]
    assert view.exported == 8


def test_an_order_taken_under_a_finished_plan_stops_that_file_alone(
    database: Database, make_settings: SettingsFactory
) -> None:
    """The commit finds it gone, changes nothing, and the file is made again of what is left."""
    record(database, [order(f"A-{number}", items=1) for number in range(1, 10)], NOW)
    made = []

    def commit(plan: build.Plan) -> bool:
        made.append(plan.orders)
        if len(made) == 2:
            with database.transaction() as session:
                session.connection().execute(delete(UNSENT).where(UNSENT.c.revision_id == 5))
            return False
        return True

    done = [plan.orders for plan in build.plans(database, make_settings(max_rows=3), lambda: NOW, commit)]
    assert made == [[1, 2, 3], [4, 5, 6], [4, 6, 7], [8, 9]]
    assert done == [[1, 2, 3], [4, 6, 7], [8, 9]]


def test_orders_that_change_all_the_time_end_the_export(database: Database, make_settings: SettingsFactory) -> None:
    """It does not go round for ever."""
    record(database, [order()], NOW)
    with pytest.raises(Failure, match="kept changing"):
        list(build.plans(database, make_settings(), lambda: NOW, lambda _: False))


def test_a_line_break_in_a_value_does_not_shift_the_lines(database: Database, make_settings: SettingsFactory) -> None:
    """None is taken in; if one stands in the database anyway, the file is what the renderer would make of it."""
    record(database, [order("A"), order("B"), order("C")], NOW)
    with database.transaction() as session:
        session.connection().execute(update(ITEM).where(ITEM.c.revision_id == 2).values(category="two\n"))
    view = export(database, make_settings())
    assert contents(database, view) == [["A", "A", "B", "B", "C", "C"]]
    assert [row.first_line for row in rows(database, BATCH_LINE)] == [2, 4, 6]


# Cost -------------------------------------------------------------------------------------------------------------


def test_memory_does_not_grow_with_the_number_of_files(database: Database, make_settings: SettingsFactory) -> None:
    """Twelve files need as much memory as three."""
    configured = make_settings(max_rows=3_000)
    peaks = []
    for run, files in enumerate((2, 3, 12)):  # the first time, something is loaded that stays
        for file in range(files):
            record(database, [order(f"{run}-{file}-{number}", items=3) for number in range(1_000)], NOW)
        tracemalloc.start()
        view = export(database, configured, stopping=lambda: gc.collect() < 0)  # what is needed counts, not garbage
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert len(view.batches) == files
    assert peaks[2] < peaks[1] * 1.3


HISTORY = {"conversion", "revision", "item", "batch_line"}


def test_nothing_reads_through_the_history(database: Database, make_settings: SettingsFactory) -> None:
    """An export of a few new orders costs the same with ten million old ones: every statement starts at a key."""
    configured = make_settings()
    add_history(database)
    record(database, [order(f"new-{number}") for number in range(20)], NOW)
    with database.engine.connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT").exec_driver_sql("ANALYZE")
    statements: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, many: bool) -> None:
        statements.extend((statement, one) for one in (parameters[:1] if many else [parameters]))

    event.listen(database.engine, "before_cursor_execute", note)
    with database.snapshot() as session:
        for state in (OrderState.PENDING, OrderState.HELD, OrderState.EXPIRED, OrderState.BATCHED):
            ledger.page(session, state, 0)
        ledger.page(session, None, OLD - 10)
        ledger.whereabouts(session, [1, 17, OLD])
    view = export(database, configured)
    event.remove(database.engine, "before_cursor_execute", note)
    assert view.exported == 20
    read = [(statement, one) for statement, one in statements if statement.startswith(("SELECT", "UPDATE", "DELETE"))]
    assert len(read) > 10
    scanned = [(tables, statement) for statement, one in read if (tables := full_scans(database, statement, one))]
    assert scanned == []
    assert full_scans(database, "SELECT * FROM item WHERE sku = 'x'", ()) == {"item"}  # so the test can fail


OLD = 50_000
HISTORY_OF = {
    "export (id, state, requested_at, exported, held, expired, token)": "1, 'done', MOMENT, 0, 0, 0, 1 FROM one",
    "batch (id, batch_id, export_id, kind, event_type, filename, created_at, rows, orders, sha256)": (
        "i, 'b-' || i, 1, 'conversions', 'default', 'f-' || i, MOMENT, 500, 500, '' FROM numbers WHERE i <= 100"
    ),
    "conversion (id, event_type, order_id, recorded_at)": "i, 'default', 'old-' || i, MOMENT FROM numbers",
    "revision (id, conversion_id, number, recorded_at, event_date, event_at, currency, click_id, fingerprint)": (
        "i, i, 1, MOMENT, '2026-01-01T00:00:00+00:00', MOMENT, 'USD', 'c', 'x' FROM numbers"
    ),
    "item (revision_id, position, sku, category, quantity, amount)": "i, 0, 'S', 'c', 1, 100 FROM numbers",
    "batch_line (revision_id, batch, first_line)": "i, (i - 1) / 500 + 1, i - (i - 1) / 500 * 500 + 1 FROM numbers",
}
NUMBERS = f"numbers (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM numbers WHERE i < {OLD}), one (i) AS (SELECT 1)"  # noqa: S608 (constants)


def add_history(database: Database) -> None:
    """Insert orders that were sent long ago."""
    moment = "'2026-01-01 00:00:00.000000'" if database.is_sqlite else "TIMESTAMPTZ '2026-01-01T00:00:00Z'"
    with database.transaction() as session:
        connection = session.connection()
        for table, values in HISTORY_OF.items():
            old = values.replace("MOMENT", moment)
            connection.exec_driver_sql(f"WITH RECURSIVE {NUMBERS} INSERT INTO {table} SELECT {old}")
        for table in () if database.is_sqlite else ("conversion", "revision", "batch", "export"):
            connection.exec_driver_sql(f"SELECT setval('{table}_id_seq', {OLD})")


def full_scans(database: Database, statement: str, parameters: Any) -> set[str]:
    """Return the tables of the history that the plan reads from end to end."""
    with database.engine.connect() as connection:
        if database.is_sqlite:
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
            steps = [row[3].split() for row in plan]
            return {step[1] for step in steps if step[0] == "SCAN" and "USING" not in step} & HISTORY
        plan = connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement}", parameters).scalar_one()
        return set(_scanned(plan[0]["Plan"] if isinstance(plan, list) else json.loads(plan)[0]["Plan"])) & HISTORY


def _scanned(node: dict[str, Any]) -> list[str]:
    here = [node["Relation Name"]] if node["Node Type"] == "Seq Scan" else []
    return here + [name for inner in node.get("Plans", []) for name in _scanned(inner)]

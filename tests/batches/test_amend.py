"""Corrections leave once, after what they correct, in files that impact.com accepts; what cannot leave is told."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from sqlalchemy import delete, insert, select, update

from app.batches import amend, exporter
from app.batches.store import BATCH, BATCH_CONTENT, BATCH_LINE, CORRECTION_LINE, EXPORT, UNDELIVERED
from app.config import Settings
from app.conversions.corrections_store import CORRECTION_ITEM, UNSENT_CORRECTION
from app.conversions.record import record
from app.conversions.store import REVISION
from app.database import Database
from app.errors import LeaseLost
from app.event_type import EventType
from app.ledger.export_routes import request_export
from app.ledger.exports import ExportView
from tests.batches.test_build import export, rows
from tests.conftest import SettingsFactory
from tests.corrections import Left, correct, name_action
from tests.support import NOW, order, parse_rfc4180


def deliver(database: Database) -> None:
    """Let every batch have arrived."""
    with database.transaction() as session:
        session.connection().execute(delete(UNDELIVERED))


def sent(database: Database, configured: Settings, *order_ids: str, items: int = 1, **changes: Any) -> None:
    """Record orders, let them leave, and let them arrive."""
    record(database, [order(one, items=items, **changes) for one in order_ids], NOW)
    assert export(database, configured).exported == len(order_ids)
    deliver(database)


def files(database: Database, view: ExportView) -> list[list[list[str]]]:
    """Return the files of modifications of an export, each with its header."""
    found = []
    with database.snapshot() as session:
        for batch in view.batches:
            if batch.kind == "modifications":
                number = select(BATCH.c.id).where(BATCH.c.batch_id == batch.id).scalar_subquery()
                content = select(BATCH_CONTENT.c.content).where(BATCH_CONTENT.c.batch == number)
                found.append(list(parse_rfc4180(session.connection().execute(content).scalar_one())))
    return found


def told(view: ExportView) -> tuple[int, int, int]:
    """Return what an export says of corrections."""
    return view.corrections, view.corrections_waiting, view.corrections_held


HEADER = ["ActionTrackerID", "Oid", "SKU", "Amount", "Quantity", "Category", "Reason"]


def test_a_correction_becomes_a_file(database: Database, make_settings: SettingsFactory) -> None:
    """Those items that impact.com must be told of, with their final values; the file is named for what it is."""
    configured = make_settings()
    sent(database, configured, "A", "B", items=3)
    items = [Left("SKU-0", 500), Left("SKU-1", 1000, reason=None), Left("SKU-2", 0, 0, reason="ITEM_RETURNED")]
    correct(database, "B", items)
    view = export(database, configured)
    assert files(database, view) == [
        [
            HEADER,
            ["4321", "B", "SKU-0", "5.00", "1", "Tools", "ORDER_UPDATE"],
            ["", "", "SKU-2", "0", "0", "Tools", "ITEM_RETURNED"],
        ]
    ]
    [batch] = view.batches
    assert batch.filename == f"2026-11-22_ModificationData_default_{batch.id}.csv"
    assert (batch.kind, batch.rows, batch.orders, told(view), view.exported) == ("modifications", 2, 1, (1, 0, 0), 0)
    assert [(row.correction_id, row.first_line) for row in rows(database, CORRECTION_LINE)] == [(1, 2)]
    assert len(rows(database, UNDELIVERED)) == 1


# After what it corrects -------------------------------------------------------------------------------------------

STATES: list[tuple[str, dict[str, Any] | None, bool]] = [
    ("batched", {}, False),
    ("failed", {"stuck": "failed"}, False),
    ("unknown", {"stuck": "unknown"}, False),
    ("delivered", None, True),
]
"""What the delivery queue says of a batch, and whether corrections of its orders may leave."""


@pytest.mark.parametrize(("queue", "leaves"), [state[1:] for state in STATES], ids=[state[0] for state in STATES])
@pytest.mark.parametrize("what", ["the order", "an earlier correction"])
def test_a_correction_waits_for_what_left_before(
    database: Database, make_settings: SettingsFactory, queue: dict[str, Any] | None, leaves: bool, what: str
) -> None:
    """It never overtakes its order or an earlier correction; those of other orders do not wait for it."""
    configured = make_settings()
    sent(database, configured, "A", "other")
    if what == "an earlier correction":
        correct(database, "A")
        assert told(export(database, configured)) == (1, 0, 0)
        deliver(database)
    last = rows(database, BATCH)[-1].id
    if what == "the order":  # the other one is in a batch of its own
        with database.transaction() as session:
            session.connection().execute(update(BATCH_LINE).where(BATCH_LINE.c.revision_id == 2).values(batch=last))
    if queue is not None:
        with database.transaction() as session:
            session.connection().execute(insert(UNDELIVERED), [{"batch": last, "due_at": NOW, "token": 1, **queue}])
    correct(database, "A", [Left("SKU-0", 300)])
    if what == "an earlier correction":
        correct(database, "other")
    others = int(what == "an earlier correction")
    view = export(database, configured)
    assert told(view) == (leaves + others, 1 - leaves, 0)
    assert [row[1] for file in files(database, view) for row in file[1:]] == ["A"] * leaves + ["other"] * others
    deliver(database)
    assert told(export(database, configured)) == (1 - leaves, 0, 0)


def test_a_correction_of_an_order_that_has_not_left_waits(database: Database, make_settings: SettingsFactory) -> None:
    """There should be none; if there is, it does not overtake its order."""
    record(database, [order("A", click_id=None)], NOW)
    correct(database, "A")
    assert told(export(database, make_settings())) == (0, 1, 0)


def test_a_correction_leaves_once(database: Database, make_settings: SettingsFactory) -> None:
    """Nor does one whose place a later one has taken."""
    configured = make_settings()
    sent(database, configured, "A")
    correct(database, "A", [Left("SKU-0", 700)])
    correct(database, "A", [Left("SKU-0", 300)])
    assert [row[3] for row in files(database, export(database, configured))[0][1:]] == ["3.00"]
    deliver(database)
    assert told(export(database, configured)) == (0, 0, 0)
    assert [row.correction_id for row in rows(database, CORRECTION_LINE)] == [2]


def test_orders_and_corrections_leave_with_one_export(database: Database, make_settings: SettingsFactory) -> None:
    """Each kind in files of its own, and the numbers of each are told."""
    configured = make_settings()
    sent(database, configured, "A")
    correct(database, "A")
    record(database, [order("B"), order("none", click_id=None)], NOW)
    view = export(database, configured)
    assert [batch.kind for batch in view.batches] == ["conversions", "modifications"]
    assert (view.exported, view.held, *told(view)) == (1, 1, 1, 0, 0)


# Files ------------------------------------------------------------------------------------------------------------


def greedy(sizes: Sequence[int], most: int) -> list[list[int]]:
    """Return which corrections go together, in the layouts with a line for each item."""
    made: list[list[int]] = []
    for number, size in enumerate(sizes):
        if not made or sum(sizes[one] for one in made[-1]) + size > most:
            made.append([])
        made[-1].append(number)
    return made


@pytest.mark.parametrize("layout", ["blank", "repeat"])
@pytest.mark.parametrize("sizes", [[2, 3], [3, 3], [5], [5, 1, 4, 1, 5, 2, 2, 2], [1] * 11], ids=str)
def test_files_are_filled_in_the_order_of_recording(
    database: Database, make_settings: SettingsFactory, sizes: list[int], layout: str
) -> None:
    """No order is in two files, none is out of its turn, and no file has more rows than the setting allows."""
    types = {"default": EventType(campaign_id=1, action_tracker_id=2, modification_layout=layout)}  # type: ignore[arg-type]
    configured = make_settings(max_rows=5, event_types=types)
    names = [f"A-{number}" for number in range(len(sizes))]
    sent(database, configured, *names)
    for name, size in zip(names, sizes, strict=True):
        correct(database, name, [Left(f"SKU-{number}", 100) for number in range(size)])
    view = export(database, configured)
    wanted = greedy(sizes, 5)
    assert [batch.rows for batch in view.batches] == [sum(sizes[one] for one in file) for file in wanted]
    starts = [[row[1] for row in file[1:] if row[1]] for file in files(database, view)]
    assert [list(dict.fromkeys(file)) for file in starts] == [[f"A-{one}" for one in file] for file in wanted]
    lines = [2 + sum(sizes[one] for one in file[:place]) for file in wanted for place in range(len(file))]
    assert [row.first_line for row in rows(database, CORRECTION_LINE)] == lines


def test_an_indexed_file_has_a_line_for_each_order(database: Database, make_settings: SettingsFactory) -> None:
    """As wide as its longest order, and no larger than the same items would be in lines."""
    types = {"default": EventType(campaign_id=1, action_tracker_id=2, modification_layout="indexed")}
    configured = make_settings(max_rows=6, event_types=types)
    sent(database, configured, "A", "B", "C", "D")
    for name, size in (("A", 2), ("B", 3), ("C", 1), ("D", 6)):
        correct(database, name, [Left(f"SKU-{number}", 100) for number in range(size)])
    view = export(database, configured)
    assert [[row[1] for row in file[1:]] for file in files(database, view)] == [["A", "B"], ["C"], ["D"]]
    assert [len(file[0]) for file in files(database, view)] == [2 + 5 * 3, 2 + 5, 2 + 5 * 6]
    assert [row.first_line for row in rows(database, CORRECTION_LINE)] == [2, 3, 2, 2]


def test_a_file_names_its_orders_in_one_way_and_has_lines_of_one_level(
    database: Database, make_settings: SettingsFactory
) -> None:
    """By ActionID where impact.com's name is known; the reversal of an order is one line; event types are apart."""
    types = {"signup": EventType(campaign_id=7, action_tracker_id=8)}
    configured = make_settings(event_types=types)
    sent(database, configured, "A", "B", "C", "D", "E")
    sent(database, configured, "S", event_type="signup")
    for name in ("A", "B", "C"):
        correct(database, name)
    for name in ("D", "E"):
        correct(database, name, [Left("SKU-0", 0, 0)], level="order", reverses=True, reason="ITEM_RETURNED")
    correct(database, "S", event_type="signup")
    for name in ("B", "E"):
        name_action(database, name, f"1000.4636.{name}")
    view = export(database, configured)
    item, signup = ["5.00", "1", "Tools", "ORDER_UPDATE"], ["S", "SKU-0", "5.00", "1", "Tools", "ORDER_UPDATE"]
    assert sorted(files(database, view)) == sorted(
        [
            [HEADER, ["4321", "A", "SKU-0", *item], ["4321", "C", "SKU-0", *item]],
            [["ActionID", *HEADER[2:]], ["1000.4636.B", "SKU-0", *item]],
            [["ActionTrackerID", "Oid", "Amount", "Reason"], ["4321", "D", "0", "ITEM_RETURNED"]],
            [["ActionID", "Amount", "Reason"], ["1000.4636.E", "0", "ITEM_RETURNED"]],
            [HEADER, ["8", *signup]],
        ]
    )
    assert told(view) == (6, 0, 0)


def test_a_line_of_an_order_has_what_is_left_of_it(database: Database, make_settings: SettingsFactory) -> None:
    """Where files have a line for each order, its amount is that of all items, changed or not."""
    configured = make_settings()
    sent(database, configured, "A", items=2, currency="JPY")
    correct(database, "A", [Left("SKU-0", 700), Left("SKU-1", 1000, reason=None)], level="order", reason="OTHER")
    assert files(database, export(database, configured))[0][1:] == [["4321", "A", "1700", "OTHER"]]


# What does not leave ----------------------------------------------------------------------------------------------


def held(database: Database) -> list[tuple[int, str | None]]:
    """Return the corrections that wait, each with the reason why it is held."""
    return [(row.correction_id, row.hold_reason) for row in rows(database, UNSENT_CORRECTION)]


def test_an_event_type_that_is_gone_holds_its_corrections(database: Database, make_settings: SettingsFactory) -> None:
    """They are counted, with what to do, and the first export after its return sends them."""
    types = {"signup": EventType(campaign_id=7, action_tracker_id=8)}
    sent(database, make_settings(), "A")
    sent(database, make_settings(event_types=types), "S", event_type="signup")
    correct(database, "S", event_type="signup")
    correct(database, "A")
    assert told(export(database, make_settings())) == (1, 0, 1)
    assert held(database) == [(1, "unknown_event_type")]
    assert "put it back" in rows(database, UNSENT_CORRECTION)[0].hold_detail
    assert told(export(database, make_settings())) == (0, 0, 1)
    assert told(export(database, make_settings(event_types=types))) == (1, 0, 0)


@pytest.mark.parametrize(
    ("lines", "layout", "most", "advice"),
    [(6, "blank", 5, "raise CAPTURE_MAX_ROWS"), (1_001, "indexed", 2_000, "blank or repeat")],
)
def test_a_correction_that_no_file_can_hold_is_held(
    database: Database, make_settings: SettingsFactory, lines: int, layout: str, most: int, advice: str
) -> None:
    """It is never split; the others go, and it goes when it fits."""
    types = {"default": EventType(campaign_id=1, action_tracker_id=2, modification_layout=layout)}  # type: ignore[arg-type]
    configured = make_settings(max_rows=most, event_types=types)
    sent(database, configured, "A", "big", "B")
    big = correct(database, "big", [Left(f"SKU-{number}", 100) for number in range(lines)])
    correct(database, "A")
    correct(database, "B")
    view = export(database, configured)
    assert (told(view), [batch.orders for batch in view.batches]) == ((2, 0, 1), [2])
    assert held(database) == [(big, "too_many_items")]
    assert advice in rows(database, UNSENT_CORRECTION)[0].hold_detail
    assert told(export(database, make_settings(max_rows=2_000))) == (1, 0, 0)


def test_what_only_a_person_can_do_is_left_to_a_person(database: Database, make_settings: SettingsFactory) -> None:
    """The reversal of an order of nothing cannot be said in a file; it is counted with each export."""
    configured = make_settings()
    sent(database, configured, "A", "B")
    correct(database, "A", [Left("SKU-0", 0)], level="order", reverses=True, hold_reason="zero_amount")
    correct(database, "B")
    assert told(export(database, configured)) == (1, 0, 1)
    assert told(export(database, configured)) == (0, 0, 1)
    assert held(database) == [(1, "zero_amount")]


REFUSED: dict[str, tuple[Left, str]] = {
    "a SKU that is blank": (Left(" ", 100), "NO_ITEM"),
    "an amount below zero": (Left("SKU-0", -1), "AMOUNT_NEGATIVE"),
    "a reason that is none": (Left("SKU-0", 100, reason=" "), "BAD_DISPOSITION"),
    "nothing to tell": (Left("SKU-0", 100, reason=None), "nothing to tell"),
}


@pytest.mark.parametrize(("item", "why"), REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("layout", ["blank", "repeat", "indexed"])
def test_a_correction_that_impact_would_refuse_does_not_stop_the_others(
    database: Database, make_settings: SettingsFactory, item: Left, why: str, layout: str
) -> None:
    """It is held with what is wrong with it; repaired, it goes with the next export."""
    types = {"default": EventType(campaign_id=1, action_tracker_id=2, modification_layout=layout)}  # type: ignore[arg-type]
    configured = make_settings(event_types=types)
    sent(database, configured, "A", "bad", "B")
    correct(database, "A")
    bad = correct(database, "bad", [item])
    correct(database, "B")
    view = export(database, configured)
    assert (told(view), [row[1] for row in files(database, view)[0][1:]]) == ((2, 0, 1), ["A", "B"])
    assert held(database) == [(bad, "cannot_be_rendered")]
    assert why in rows(database, UNSENT_CORRECTION)[0].hold_detail
    good = {"sku": "SKU-0", "amount": 1, "reason": "OTHER"}
    with database.transaction() as session:
        mine = update(CORRECTION_ITEM).where(CORRECTION_ITEM.c.correction_id == bad)
        session.connection().execute(mine.values(**good))
    assert told(export(database, configured)) == (1, 0, 0)


# Crashes and other writers ----------------------------------------------------------------------------------------

TABLES = (UNSENT_CORRECTION, CORRECTION_LINE, BATCH, BATCH_CONTENT, UNDELIVERED)


def test_a_dry_run_and_a_crash_before_the_commit_leave_nothing(
    database: Database, make_settings: SettingsFactory
) -> None:
    """The database is the same to the last row, and the next export sends all of it."""
    configured = make_settings(max_rows=2)
    sent(database, configured, "A", "B", "C")
    for name in "ABC":
        correct(database, name)
    before = [rows(database, table) for table in TABLES]
    shown = [plan.corrections for plan in amend.plans(database, configured, lambda: NOW)]
    assert shown == [[1, 2], [3]]

    def crash(_plan: amend.Plan) -> bool:
        raise SystemExit

    with pytest.raises(SystemExit):
        list(amend.plans(database, configured, lambda: NOW, crash))
    assert [rows(database, table) for table in TABLES] == before
    assert told(export(database, configured)) == (3, 0, 0)


def test_only_the_latest_worker_may_write(database: Database, make_settings: SettingsFactory) -> None:
    """A worker that was thought dead and comes back lets no correction leave."""
    configured = make_settings()
    sent(database, configured, "A")
    correct(database, "A")
    before = [rows(database, table) for table in TABLES]
    request_export(database)
    first = exporter.claim(database, configured)
    assert first
    with database.transaction() as session:
        session.connection().execute(update(EXPORT).where(EXPORT.c.slot == 1).values(token=EXPORT.c.token + 1))
    with pytest.raises(LeaseLost):
        exporter.run(database, configured, first, lambda: NOW)
    assert [rows(database, table) for table in TABLES] == before


def supersede(database: Database) -> None:
    """Let a later correction take the place of one."""
    correct(database, "B", [Left("SKU-0", 100)])


def send_again(database: Database) -> None:
    """Let the batch with an order be sent again."""
    with database.transaction() as session:
        batch = select(BATCH_LINE.c.batch).join(REVISION, REVISION.c.id == BATCH_LINE.c.revision_id)
        number = session.connection().execute(batch.where(REVISION.c.conversion_id == 2)).scalar_one()
        session.connection().execute(insert(UNDELIVERED), [{"batch": number, "due_at": NOW}])


@pytest.mark.parametrize("change", [supersede, send_again])
def test_what_changes_under_a_finished_plan_is_planned_anew(
    database: Database, make_settings: SettingsFactory, change: Callable[[Database], None]
) -> None:
    """The commit finds it changed, changes nothing, and the file is made again of what may leave."""
    configured = make_settings()
    for name in ("A", "B", "C"):  # in a batch each
        sent(database, configured, name)
    for name in ("A", "B", "C"):
        correct(database, name)
    request_export(database)
    claimed, made = exporter.claim(database, configured), []
    assert claimed

    def commit(plan: amend.Plan) -> bool:
        made.append(list(plan.corrections))
        if len(made) == 1:
            change(database)
        return amend.commit(database, configured, claimed, plan, NOW)

    done = [plan.corrections for plan in amend.plans(database, configured, lambda: NOW, commit)]
    assert made == [[1, 2, 3], [1, 3]]
    assert done == [[1, 3]]
    assert [row.correction_id for row in rows(database, CORRECTION_LINE)] == [1, 3]
    assert len(rows(database, UNSENT_CORRECTION)) == 1

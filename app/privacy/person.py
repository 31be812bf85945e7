"""Everything that is kept of a person, as they may ask for it: in the words of the tables, order by order."""

import csv
import io
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Column, Table, select
from sqlmodel import Session

from app.actions.store import REPORTED_ACTION
from app.alarms.store import ALARM
from app.batches import store as batches
from app.batches.store import BATCH, BATCH_LINE, EXPORT, LEFT_OUT
from app.clicks.store import Note, note_to_json
from app.conversions.corrections_store import ACTION, CORRECTION, CORRECTION_ITEM
from app.conversions.store import CONVERSION, ITEM, UNSENT
from app.database import only_by_keys
from app.delivery.calls_store import CALL
from app.delivery.store import ATTEMPT, TROUBLE
from app.errors import ContentRemoved
from app.impact.currency import DECIMALS, format_amount
from app.privacy import persons_store
from app.privacy.emptied import Theirs
from app.privacy.erase import Means, Person, Traced, trace
from app.privacy.personal import without_values
from app.privacy.spooled import spooled
from app.submissions.store import RESULT, SUBMISSION, SUBMISSION_ERROR

Facts = dict[str, Any]
_INTERNAL: Final = frozenset({"id", "conversion_id", "revision_id", "batch", "fingerprint", "request", "token"})
"""Numbers that say nothing outside the database, and hashes of what stands beside them."""


def tell(means: Means, person: Person, now: datetime) -> Facts:
    """Return everything that is kept of a person in the database and on this host. Raises Failure."""
    traced = trace(means.database, means.places, person)
    theirs = Theirs(click_ids=person.click_ids, customer_ids=person.customer_ids)
    with means.database.snapshot() as session:
        only_by_keys(session)
        told: Facts = {
            "told_at": now,
            "asked_for": {"customer_ids": sorted(person.customer_ids), "click_ids": sorted(person.click_ids)},
            "clicks": [_without_internal(one) for one in persons_store.clicks_of(session, traced.click_ids)],
            "spool": [_note(one, traced.click_ids) for one in spooled(means.spool, traced.click_ids)],
            "orders": [_order(session, one) for one in sorted(traced.conversion_ids)],
            "files": [_file(session, means, traced, name, theirs) for name in traced.files],
            "mentions": list(_mentions(session, {*person.customer_ids, *traced.click_ids})),
        }
    return told


def _note(note: Note, click_ids: Collection[str]) -> str:
    """Return a note without the clicks of others that it is about too."""
    return note_to_json(note._replace(forget=note.forget.intersection(click_ids))).decode()


def _order(session: Session, conversion_id: int) -> Facts:
    [order] = _rows(session, CONVERSION, CONVERSION.c.id, [conversion_id])
    revisions = persons_store.revisions_of(session, [conversion_id])
    currency = revisions[-1].currency
    return _without_internal(order) | {
        "revisions": [_revision(session, row) for row in revisions],
        "corrections": [
            _without_internal(one)
            | {"items": _items(session, CORRECTION_ITEM, CORRECTION_ITEM.c.correction_id, one["id"], currency)}
            for one in _rows(session, CORRECTION, CORRECTION.c.conversion_id, [conversion_id])
        ],
        "named_by_impact_com": _told(session, ACTION, ACTION.c.conversion_id, [conversion_id]),
        "actions": [
            _as_written(one, one.get("currency"))
            for one in _told(session, REPORTED_ACTION, REPORTED_ACTION.c.conversion_id, [conversion_id])
        ],
    }


def _revision(session: Session, row: Any) -> Facts:
    number = [row.id]
    return _without_internal(row._asdict()) | {
        "items": _items(session, ITEM, ITEM.c.revision_id, row.id, row.currency),
        "waits": _told(session, UNSENT, UNSENT.c.revision_id, number),
        "left_out": _told(session, LEFT_OUT, LEFT_OUT.c.revision_id, number),
        "stands_in": list(_stands_in(session, row.id)),
        "calls": _told(session, CALL, CALL.c.revision_id, number),
        "answers": [
            _without_internal(one) for one in _rows(session, SUBMISSION_ERROR, SUBMISSION_ERROR.c.revision_id, number)
        ],
    }


def _items(session: Session, table: Table, by: Column[Any], number: int, currency: str) -> list[Facts]:
    """Return items with their amounts as people write them; tables hold whole units such as cents."""
    return [_as_written(one, currency) for one in _told(session, table, by, [number])]


def _as_written(facts: Facts, currency: str | None) -> Facts:
    amounts = {name: facts[name] for name in ("amount", "payout") if name in facts}
    if currency not in DECIMALS:
        return facts
    return facts | {name: format_amount(amount, currency) for name, amount in amounts.items()}


def _stands_in(session: Session, revision_id: int) -> Iterator[Facts]:
    for line in _rows(session, BATCH_LINE, BATCH_LINE.c.revision_id, [revision_id]):
        [batch] = _rows(session, BATCH, BATCH.c.id, [line["batch"]])
        yield {"filename": batch["filename"], "first_line": line["first_line"]}


def _file(session: Session, means: Means, traced: Traced, name: str, theirs: Theirs) -> Facts:
    """Return a file that held something of theirs: its lines, when it was sent to whom, and what was answered."""
    order_ids = persons_store.order_ids_in(session, name, traced.conversion_ids)
    theirs = Theirs(order_ids, theirs.click_ids, theirs.customer_ids)
    found = _rows(session, BATCH, BATCH.c.filename, [name])
    facts: Facts = {
        "filename": name,
        "lies_in_journal": name in means.places.journal.names(),
        "lies_in_folder": means.places.lie_in(name),
    }
    if not found:  # an older database was restored
        return facts | {"lines": _lines(means.places.journal.look(name)[0], theirs)}
    number = [found[0]["id"]]
    try:
        lines = _lines(batches.what_is_left_of(session, number[0]), theirs)
    except ContentRemoved:
        lines = []
    submissions = _rows(session, SUBMISSION, SUBMISSION.c.batch, number)
    return (
        _without_internal(found[0])
        | facts
        | {
            "lines": lines,
            "deliveries": _told(session, ATTEMPT, ATTEMPT.c.batch, number),
            "submissions": [_without_internal(one) for one in submissions],
            "result": _told(session, RESULT, RESULT.c.batch, number),
        }
    )


def _lines(content: bytes, theirs: Theirs) -> list[Facts]:
    rows = csv.DictReader(io.StringIO(content.decode(), newline=""))
    return [row for row in rows if theirs.is_of(row["OrderId"], row["ClickId"], row["CustomerId"])]


def _mentions(session: Session, values: set[str]) -> Iterator[Facts]:
    """Yield the sentences that name them in tables that are about something else."""
    for column in (ALARM.c.detail, TROUBLE.c.detail, EXPORT.c.failure):
        for text in session.connection().execute(select(column).where(column.is_not(None))).scalars():
            if without_values(text, values) != text:
                yield {"where": column.table.name, "text": text}


def _told(session: Session, table: Table, by: Column[Any], ids: Sequence[Any]) -> list[Facts]:
    return [_without_internal(one) for one in _rows(session, table, by, ids)]


def _rows(session: Session, table: Table, by: Column[Any], ids: Sequence[Any]) -> list[Facts]:
    found = session.connection().execute(select(table).where(by.in_(ids)).order_by(*table.primary_key))
    return [row._asdict() for row in found]


def _without_internal(row: Facts) -> Facts:
    return {name: value for name, value in row.items() if name not in _INTERNAL and value is not None}

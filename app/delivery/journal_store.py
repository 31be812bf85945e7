"""Every statement by which the journal's files and the records of deliveries are held against each other."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from itertools import islice
from typing import Any, Final

from sqlalchemy import ColumnElement, Row, exists, func, insert, select, update
from sqlmodel import Session

from app.batches import store as batches
from app.batches.store import BATCH, BATCH_LINE, EXPORT, UNDELIVERED
from app.conversions import store as conversions
from app.conversions.store import REVISION
from app.delivery.attempt import AttemptStatus, BatchState
from app.delivery.kept import Kept
from app.delivery.store import ATTEMPT
from app.errors import OutcomeUnknown

CHUNK: Final = 500
CHANNEL: Final = "journal"
"""What attempts that are known from the journal alone are told to have gone by."""
_DETAIL: Final = (
    "An older database was restored, and this file had left before; look at impact.com's File Submissions, then"
    " redeliver or confirm it."
)
_ATTEMPTED: Final[ColumnElement[bool]] = exists().where(ATTEMPT.c.batch == BATCH.c.id)


def attempted(session: Session, names: Collection[str]) -> set[str]:
    """Return which of the files are batches that an attempt is recorded of."""
    found: set[str] = set()
    for chunk in _chunks(names):
        known = select(BATCH.c.filename).where(BATCH.c.filename.in_(chunk), _ATTEMPTED)
        found.update(session.connection().execute(known).scalars())
    return found


def newest_attempted(session: Session, limit: int) -> Sequence[Row[Any]]:
    """Return the newest batches of which an attempt has ended; whoever makes one now is keeping the file itself.

    Their id, filename and event_type.
    """
    ended = exists().where(ATTEMPT.c.batch == BATCH.c.id, ATTEMPT.c.ended_at.is_not(None))
    newest = (
        select(BATCH.c.id, BATCH.c.filename, BATCH.c.event_type).where(ended).order_by(BATCH.c.id.desc()).limit(limit)
    )
    return session.connection().execute(newest).all()


def find_file(session: Session, name: str) -> Row[Any] | None:
    """Return the batch of a file."""
    return session.connection().execute(select(BATCH).where(BATCH.c.filename == name)).one_or_none()


def find_orders(session: Session, event_type: str, order_ids: Collection[str]) -> dict[str, int]:
    """Return the conversions of those orders that are recorded, by OrderId."""
    found: dict[str, int] = {}
    for chunk in _chunks(order_ids):
        keys = conversions.find_keys(session, [(event_type, order_id) for order_id in chunk])
        found |= {order_id: number for (_, order_id), number in keys.items()}
    return found


def unbatched(session: Session, conversion_ids: Collection[int]) -> dict[int, int]:
    """Return the newest revision of those conversions whose newest is in no batch; one before it never leaves."""
    found: dict[int, int] = {}
    for chunk in _chunks(conversion_ids):
        newest = (
            select(REVISION.c.conversion_id, func.max(REVISION.c.id).label("id"))
            .where(REVISION.c.conversion_id.in_(chunk))
            .group_by(REVISION.c.conversion_id)
            .subquery()
        )
        free = select(newest).where(~exists().where(BATCH_LINE.c.revision_id == newest.c.id))
        found.update((row[0], row[1]) for row in session.connection().execute(free))
    return found


def add(session: Session, kept: Kept, sha256: str, revisions: dict[str, int], now: datetime) -> int:
    """Record a kept file as the batch that it was, of an export of its own; `revisions` by OrderId wait no more."""
    values = {"state": "done", "requested_at": now, "ended_at": now, "exported": len(revisions)}
    export = session.connection().execute(insert(EXPORT).returning(EXPORT.c.id), [values]).scalar_one()
    batches.take(session, list(revisions.values()))
    batches.forget_omissions(session, list(revisions.values()))
    row = {
        "batch_id": kept.batch_id,
        "export_id": export,
        "kind": kept.kind.value,
        "event_type": kept.event_type,
        "filename": kept.name,
        "created_at": kept.made_on,
        "rows": kept.rows,
        "orders": len(kept.first_lines),
        "sha256": sha256,
    }
    lines = [kept.first_lines[order_id] for order_id in revisions]
    return batches.add_batch(session, row, kept.content, list(revisions.values()), lines)


def note_unknown_attempt(session: Session, batch: int, now: datetime) -> None:
    """Record that a queued batch may have left, so that a person decides about it."""
    queued = update(UNDELIVERED).where(UNDELIVERED.c.batch == batch)
    held = queued.values(token=UNDELIVERED.c.token + 1, leased_until=None, stuck=BatchState.UNKNOWN.value)
    number = session.connection().execute(held.returning(UNDELIVERED.c.token)).scalar_one()
    new = {"batch": batch, "number": number, "channel": CHANNEL, "started_at": now, "ended_at": now}
    told = {"status": AttemptStatus.UNKNOWN.value, "code": OutcomeUnknown.code, "detail": _DETAIL}
    session.connection().execute(insert(ATTEMPT), [new | told])


def _chunks(values: Collection[Any]) -> Iterable[list[Any]]:
    rest = iter(values)
    while chunk := list(islice(rest, CHUNK)):
        yield chunk

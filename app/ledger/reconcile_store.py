"""What the comparison of sides reads, some orders at a time: along an index of dates, or by keys."""

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import BigInteger, Row, Select, func, literal, select, tuple_
from sqlmodel import Session

from app.actions.store import REPORTED_ACTION
from app.batches.store import BATCH_LINE, CORRECTION_LINE
from app.conversions.corrections_store import CORRECTION, UNSENT_CORRECTION
from app.conversions.store import CONVERSION, ITEM, REVISION
from app.database import UTCDateTime
from app.delivery.attempt import AttemptStatus
from app.delivery.store import ATTEMPT

PAGE: Final = 500


def revisions(session: Session, start: datetime, end: datetime) -> Iterator[Sequence[Row[Any]]]:
    """Yield the revisions of events from `start` to before `end`, some at a time, with their orders' keys."""
    names = ("id", "conversion_id", "event_at", "recorded_at", "currency")
    columns = [REVISION.c[name] for name in names]
    asked = select(*columns, CONVERSION.c.event_type, CONVERSION.c.order_id).join(
        CONVERSION, CONVERSION.c.id == REVISION.c.conversion_id
    )
    yield from _pages(session, asked, REVISION, start, end)


def actions(session: Session, start: datetime, end: datetime) -> Iterator[Sequence[Row[Any]]]:
    """Yield impact.com's actions of events from `start` to before `end`, some at a time."""
    yield from _pages(session, select(REPORTED_ACTION), REPORTED_ACTION, start, end)


def _pages(
    session: Session, asked: Select[Any], table: Any, start: datetime, end: datetime
) -> Iterator[Sequence[Row[Any]]]:
    order = table.c.event_at, table.c.id
    after: tuple[datetime, int] = (start, 0)
    while True:
        behind = tuple_(*order) > tuple_(literal(after[0], UTCDateTime), literal(after[1], BigInteger))
        page = asked.where(behind, table.c.event_at < end).order_by(*order).limit(PAGE)
        rows = session.connection().execute(page).all()
        if rows:
            yield rows
        if len(rows) < PAGE:
            return
        after = rows[-1].event_at, rows[-1].id


def actions_of(session: Session, tracker: str, order_ids: Collection[str]) -> dict[str, list[Row[Any]]]:
    """Return the actions of orders of an action tracker, by order id."""
    theirs = REPORTED_ACTION.c.action_tracker_id == tracker, REPORTED_ACTION.c.order_id.in_(order_ids)
    found: dict[str, list[Row[Any]]] = {}
    for row in session.connection().execute(select(REPORTED_ACTION).where(*theirs)):
        found.setdefault(row.order_id, []).append(row)
    return found


def amounts(session: Session, revision_ids: Collection[int]) -> dict[int, int]:
    """Return what the items of each revision come to. Added up here: a database might leave its whole numbers."""
    lines = select(ITEM.c.revision_id, ITEM.c.amount).where(ITEM.c.revision_id.in_(revision_ids))
    found = dict.fromkeys(revision_ids, 0)
    for row in session.connection().execute(lines):
        found[row.revision_id] += row.amount
    return found


def batches_of(session: Session, revision_ids: Collection[int]) -> dict[int, int]:
    """Return the batch of each revision that is in one."""
    lines = select(BATCH_LINE.c.revision_id, BATCH_LINE.c.batch).where(BATCH_LINE.c.revision_id.in_(revision_ids))
    return {row.revision_id: row.batch for row in session.connection().execute(lines)}


def arrivals(session: Session, batches: Collection[int]) -> dict[int, datetime]:
    """Return when batches arrived, of those that have."""
    arrived = ATTEMPT.c.batch.in_(batches), ATTEMPT.c.status == AttemptStatus.DELIVERED.value
    first = select(ATTEMPT.c.batch, func.min(ATTEMPT.c.ended_at).label("at")).where(*arrived).group_by(ATTEMPT.c.batch)
    return {row.batch: row.at for row in session.connection().execute(first) if row.at is not None}


def corrections_of(session: Session, conversion_ids: Collection[int]) -> dict[int, list[Row[Any]]]:
    """Return the corrections of orders that had left, by order, the newest first."""
    columns = (CORRECTION.c[name] for name in ("id", "conversion_id", "recorded_at", "reverses"))
    mine = CORRECTION.c.conversion_id.in_(conversion_ids), CORRECTION.c.revision_id.is_(None)
    found: dict[int, list[Row[Any]]] = {}
    for row in session.connection().execute(select(*columns).where(*mine).order_by(CORRECTION.c.id.desc())):
        found.setdefault(row.conversion_id, []).append(row)
    return found


def batches_of_corrections(session: Session, correction_ids: Collection[int]) -> dict[int, int]:
    """Return the batch of each correction that is in one."""
    line = CORRECTION_LINE.c
    asked = select(line.correction_id, line.batch).where(line.correction_id.in_(correction_ids))
    return {row.correction_id: row.batch for row in session.connection().execute(asked)}


def held_corrections(session: Session, conversion_ids: Collection[int]) -> dict[int, str]:
    """Return why corrections of orders do not leave, by correction, of those that are held."""
    mine = UNSENT_CORRECTION.c.conversion_id.in_(conversion_ids), UNSENT_CORRECTION.c.hold_reason.is_not(None)
    asked = select(UNSENT_CORRECTION.c.correction_id, UNSENT_CORRECTION.c.hold_reason).where(*mine)
    return {row.correction_id: row.hold_reason for row in session.connection().execute(asked)}

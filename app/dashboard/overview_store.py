"""What the overview tells of just now, asked of the small tables of what is not finished and of the newest records."""

from datetime import datetime
from typing import Any, Final, NamedTuple

from sqlalchemy import Row, func, select
from sqlmodel import Session

from app.batches.store import BATCH, EXPORT, UNDELIVERED
from app.conversions.corrections_store import UNSENT_CORRECTION
from app.conversions.store import UNSENT
from app.delivery.attempt import AttemptStatus
from app.delivery.store import attempts
from app.ledger.deadlines_store import ARRIVED, TO_LEAVE

NEWEST: Final = 50
"""So many of the newest batches are looked through for one that was delivered."""


class Waiting(NamedTuple):
    """What is to leave: orders that are in no batch, batches on their way with their orders, corrections.

    `stuck` batches wait for a person, and are none of those on their way.
    """

    orders: int
    batches: int
    orders_in_batches: int
    stuck: int
    corrections: int


class Delivery(NamedTuple):
    """A batch that was delivered."""

    batch_id: str
    filename: str
    orders: int
    channel: str
    ended_at: datetime


def waiting(session: Session) -> Waiting:
    """Return what waits just now."""
    connection = session.connection()
    unsent = select(func.count()).select_from(UNSENT).where(TO_LEAVE)
    corrections = select(func.count()).select_from(UNSENT_CORRECTION).where(UNSENT_CORRECTION.c.hold_reason.is_(None))
    rows = connection.execute(select(UNDELIVERED.c.batch, UNDELIVERED.c.stuck).where(~ARRIVED)).all()
    under_way = [row.batch for row in rows if row.stuck is None]
    held = select(func.coalesce(func.sum(BATCH.c.orders), 0)).where(BATCH.c.id.in_(under_way))
    in_batches = int(connection.execute(held).scalar_one()) if under_way else 0
    return Waiting(
        orders=connection.execute(unsent).scalar_one(),
        batches=len(under_way),
        orders_in_batches=in_batches,
        stuck=len(rows) - len(under_way),
        corrections=connection.execute(corrections).scalar_one(),
    )


def last_export(session: Session) -> Row[Any] | None:
    """Return the newest export, whether it has ended or not."""
    return session.connection().execute(select(EXPORT).order_by(EXPORT.c.id.desc()).limit(1)).one_or_none()


def last_delivery(session: Session) -> Delivery | None:
    """Return the last delivery among the newest batches."""
    told = select(BATCH.c.id, BATCH.c.batch_id, BATCH.c.filename, BATCH.c.orders)
    rows = session.connection().execute(told.order_by(BATCH.c.id.desc()).limit(NEWEST)).all()
    tried = attempts(session, [row.id for row in rows]) if rows else {}
    arrived = [
        Delivery(row.batch_id, row.filename, row.orders, one.channel, one.ended_at)
        for row in rows
        for one in tried.get(row.id, ())
        if one.status == AttemptStatus.DELIVERED
    ]
    return max(arrived, key=lambda one: one.ended_at, default=None)

"""The records of deliveries, and every statement on them: one row per attempt, from before the first byte leaves."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import BigInteger, CheckConstraint, Column, ForeignKey, Row, delete, func, insert, or_, select, update
from sqlmodel import Field, Session, SQLModel

from app.batches.store import BATCH, UNDELIVERED
from app.database import UTCDateTime, database_now, insert_new
from app.delivery.attempt import AttemptStatus
from app.errors import LeaseLost


class Attempt(SQLModel, table=True):
    """One attempt to hand a batch over. Its number is the token of the claim it was made under."""

    __tablename__ = "attempt"
    __table_args__ = (
        CheckConstraint("status IN ('started', 'delivered', 'failed', 'unknown')", name="attempt_status"),
    )

    batch: int = Field(sa_column=Column(BigInteger, ForeignKey("batch.id"), primary_key=True))
    number: int = Field(primary_key=True)
    channel: str
    started_at: datetime = Field(sa_type=UTCDateTime)
    ended_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    status: str
    detail: str | None = None


ATTEMPT: Final = Attempt.__table__  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True)
class Claim:
    """A worker's right to deliver a batch until its lease ends."""

    batch: int
    number: int


def claim_batch(session: Session, lease: timedelta) -> Claim | None:
    """Take the first batch that is due and that nobody is delivering."""
    connection, now = session.connection(), database_now(session)
    free = or_(UNDELIVERED.c.leased_until.is_(None), UNDELIVERED.c.leased_until <= now)
    due = select(UNDELIVERED).where(UNDELIVERED.c.due_at <= now, free).order_by(UNDELIVERED.c.batch).limit(1)
    row = connection.execute(due).one_or_none()
    if row is None:
        return None
    mine = (
        update(UNDELIVERED)
        .where(UNDELIVERED.c.batch == row.batch, UNDELIVERED.c.token == row.token)
        .values(token=row.token + 1, leased_until=now + lease)
    )
    return Claim(row.batch, row.token + 1) if connection.execute(mine).rowcount == 1 else None


def start(session: Session, claim: Claim, channel: str, now: datetime) -> None:
    """Record an attempt, and that an earlier one that never ended will not be known."""
    connection = session.connection()
    connection.execute(
        update(ATTEMPT)
        .where(ATTEMPT.c.batch == claim.batch, ATTEMPT.c.status == AttemptStatus.STARTED.value)
        .values(status=AttemptStatus.UNKNOWN.value, ended_at=now, detail="The worker stopped in the middle of it.")
    )
    row = {"batch": claim.batch, "number": claim.number, "channel": channel, "started_at": now}
    connection.execute(insert(ATTEMPT), [row | {"status": AttemptStatus.STARTED.value}])


def finish_delivered(session: Session, claim: Claim, now: datetime) -> None:
    """Record that the batch arrived; it leaves the queue. Raises LeaseLost."""
    _end(session, claim, AttemptStatus.DELIVERED, now, None)
    statement = delete(UNDELIVERED).where(_is_ours(claim))
    if session.connection().execute(statement).rowcount != 1:
        raise LeaseLost("Another worker has taken this delivery over.")


def finish_failed(session: Session, claim: Claim, now: datetime, detail: str, due_at: datetime) -> None:
    """Record a failure, and when the next try is due. Raises LeaseLost."""
    _end(session, claim, AttemptStatus.FAILED, now, detail)
    statement = update(UNDELIVERED).where(_is_ours(claim)).values(due_at=due_at, leased_until=None)
    if session.connection().execute(statement).rowcount != 1:
        raise LeaseLost("Another worker has taken this delivery over.")


def file_of(session: Session, batch: int) -> Row[Any]:
    """Return a batch's row."""
    return session.connection().execute(select(BATCH).where(BATCH.c.id == batch)).one()


def requeue(session: Session, batch: int) -> None:
    """Put a batch into the queue again, with the next attempt's number; one that is there becomes due at once."""
    connection, now = session.connection(), database_now(session)
    last = select(func.coalesce(func.max(ATTEMPT.c.number), 0)).where(ATTEMPT.c.batch == batch)
    row = {"batch": batch, "due_at": now, "token": connection.execute(last).scalar_one()}
    connection.execute(insert_new(session, UNDELIVERED), [row])
    connection.execute(update(UNDELIVERED).where(UNDELIVERED.c.batch == batch).values(due_at=now))


def attempts(session: Session, batches: Sequence[int]) -> dict[int, list[Row[Any]]]:
    """Return the attempts of batches, oldest first."""
    statement = select(ATTEMPT).where(ATTEMPT.c.batch.in_(batches)).order_by(ATTEMPT.c.batch, ATTEMPT.c.number)
    found: dict[int, list[Row[Any]]] = {}
    for row in session.connection().execute(statement):
        found.setdefault(row.batch, []).append(row)
    return found


def _is_ours(claim: Claim) -> Any:
    return (UNDELIVERED.c.batch == claim.batch) & (UNDELIVERED.c.token == claim.number)


def _end(session: Session, claim: Claim, status: AttemptStatus, now: datetime, detail: str | None) -> None:
    statement = (
        update(ATTEMPT)
        .where(ATTEMPT.c.batch == claim.batch, ATTEMPT.c.number == claim.number)
        .values(status=status.value, ended_at=now, detail=detail)
    )
    session.connection().execute(statement)

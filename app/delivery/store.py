"""The records of deliveries, and every statement on them: one row per attempt, from before the first byte leaves."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ColumnElement,
    ForeignKey,
    Row,
    delete,
    exists,
    func,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.orm import aliased
from sqlmodel import Field, Session, SQLModel

from app.batches.store import BATCH, BATCH_LINE, CORRECTION_LINE, UNCONFIRMED, UNDELIVERED
from app.conversions.corrections_store import CORRECTION
from app.conversions.store import CONVERSION, REVISION
from app.database import UTCDateTime, database_now, insert_new
from app.delivery.attempt import MOST_DENIALS, AttemptStatus, BatchState, Outcome
from app.errors import CredentialsRefused, LeaseLost, OutcomeUnknown


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
    code: str | None = None
    detail: str | None = None
    sent_bytes: int | None = None


class ChannelTrouble(SQLModel, table=True):
    """Why a channel is, or is about to be, used no more: refused logins in a row, or a receiver that is not trusted.

    The row goes with the next success. `stopped_at` is set once nothing more leaves by the channel.
    """

    __tablename__ = "channel_trouble"

    channel: str = Field(primary_key=True)
    denials: int
    code: str
    detail: str
    stopped_at: datetime | None = Field(default=None, sa_type=UTCDateTime)


ATTEMPT: Final = Attempt.__table__  # type: ignore[attr-defined]
TROUBLE: Final = ChannelTrouble.__table__  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True)
class Claim:
    """A worker's right to deliver a batch until its lease ends.

    `tries` counts the attempts since the batch was queued, this one too; `doubtful` says that the file may have arrived
    by one of them.
    """

    batch: int
    number: int
    event_type: str
    channel: str
    tries: int = 1
    doubtful: bool = False
    batch_id: str = ""


# Claims ---------------------------------------------------------------------------------------------------------


def claim_batch(session: Session, lease: timedelta, allowed: ColumnElement[bool]) -> Row[Any] | None:
    """Take the first batch that is due, is `allowed` to go, and that nobody is delivering; return its row, claimed."""
    connection, now = session.connection(), database_now(session)
    free = or_(UNDELIVERED.c.leased_until.is_(None), UNDELIVERED.c.leased_until <= now)
    due = (
        select(UNDELIVERED, BATCH.c.event_type, BATCH.c.channel, BATCH.c.batch_id)
        .join(BATCH, BATCH.c.id == UNDELIVERED.c.batch)
        .where(UNDELIVERED.c.due_at <= now, UNDELIVERED.c.stuck.is_(None), free, allowed)
        .order_by(UNDELIVERED.c.batch)
        .limit(1)
        .with_for_update(of=UNDELIVERED, skip_locked=True)  # where there is such a thing
    )
    row = connection.execute(due).one_or_none()
    if row is None:
        return None
    mine = (
        update(UNDELIVERED)
        .where(UNDELIVERED.c.batch == row.batch, UNDELIVERED.c.token == row.token)
        .values(token=row.token + 1, leased_until=now + lease)
    )
    return row if connection.execute(mine).rowcount == 1 else None


def start(session: Session, row: Row[Any], channel: str, now: datetime) -> Claim:
    """Record an attempt on a batch just claimed, and that an earlier one that never ended will not be known."""
    connection, number = session.connection(), row.token + 1
    this_batch = ATTEMPT.c.batch == row.batch
    unended = update(ATTEMPT).where(this_batch, ATTEMPT.c.status == AttemptStatus.STARTED.value)
    told = {"code": OutcomeUnknown.code, "detail": "The worker stopped in the middle of it."}
    connection.execute(unended.values(status=AttemptStatus.UNKNOWN.value, ended_at=now, **told))
    unknown = exists().where(this_batch, ATTEMPT.c.number > row.since, ATTEMPT.c.status == AttemptStatus.UNKNOWN.value)
    doubtful = connection.execute(select(unknown)).scalar_one()
    new = {"batch": row.batch, "number": number, "channel": channel, "started_at": now}
    connection.execute(insert(ATTEMPT), [new | {"status": AttemptStatus.STARTED.value}])
    look_after(session, row.batch, now)
    tries = number - row.since
    return Claim(row.batch, number, row.event_type, channel, tries, bool(doubtful), row.batch_id)


def look_after(session: Session, batch: int, now: datetime) -> None:
    """Let it be found out what impact.com makes of a batch that is about to leave, or may have left.

    What was found out before, and a person had to look at, begins anew.
    """
    connection, soon = session.connection(), database_now(session)
    row = {"batch": batch, "since": now, "due_at": soon, "looks": 0, "token": 0}
    connection.execute(insert_new(session, UNCONFIRMED), [row])
    again = update(UNCONFIRMED).where(UNCONFIRMED.c.batch == batch)
    connection.execute(again.where(UNCONFIRMED.c.trouble.is_not(None)).values(since=now, trouble=None))
    connection.execute(again.where(UNCONFIRMED.c.looks > 0).values(due_at=soon, looks=0))


def renew(session: Session, claim: Claim, lease: timedelta, sent_bytes: int) -> bool:
    """Lengthen a claim from now on and note how far it got; say whether it was still ours."""
    until = database_now(session) + lease
    if session.connection().execute(_ours(claim).values(leased_until=until)).rowcount != 1:
        return False
    mine = update(ATTEMPT).where(ATTEMPT.c.batch == claim.batch, ATTEMPT.c.number == claim.number)
    session.connection().execute(mine.values(sent_bytes=sent_bytes))
    return True


def finish(session: Session, claim: Claim, outcome: Outcome, sent_bytes: int, now: datetime) -> None:
    """Record how an attempt ended; a batch that has arrived leaves the queue. Raises LeaseLost."""
    connection = session.connection()
    mine = update(ATTEMPT).where(ATTEMPT.c.batch == claim.batch, ATTEMPT.c.number == claim.number)
    told = {"code": outcome.code, "detail": outcome.detail, "sent_bytes": sent_bytes}
    connection.execute(mine.values(status=outcome.status.value, ended_at=now, **told))
    if connection.execute(_next(session, claim, outcome)).rowcount != 1:
        raise LeaseLost("Another worker has taken this delivery over.")
    if outcome.status is AttemptStatus.DELIVERED:
        connection.execute(delete(TROUBLE).where(TROUBLE.c.channel == claim.channel))
    elif outcome.denials or outcome.stops:
        _note_trouble(session, claim.channel, outcome)


def _next(session: Session, claim: Claim, outcome: Outcome) -> Any:
    """Return the statement on the queue that follows from an outcome."""
    if outcome.status is AttemptStatus.DELIVERED:
        return delete(UNDELIVERED).where(_is_ours(claim))
    if outcome.wait is not None:
        waits = _ours(claim).values(due_at=database_now(session) + outcome.wait, leased_until=None)
        return waits.values(since=claim.number) if outcome.restarts else waits
    unknown = outcome.status is AttemptStatus.UNKNOWN or claim.doubtful
    return _ours(claim).values(stuck=(BatchState.UNKNOWN if unknown else BatchState.FAILED).value, leased_until=None)


def _ours(claim: Claim) -> Any:
    return update(UNDELIVERED).where(_is_ours(claim))


def _is_ours(claim: Claim) -> ColumnElement[bool]:
    same: ColumnElement[bool] = (UNDELIVERED.c.batch == claim.batch) & (UNDELIVERED.c.token == claim.number)
    return same


# Channels -------------------------------------------------------------------------------------------------------


def stopped_channels(session: Session) -> list[str]:
    """Return the channels that nothing leaves by until a person has looked."""
    stopped = select(TROUBLE.c.channel).where(TROUBLE.c.stopped_at.is_not(None))
    return list(session.connection().execute(stopped).scalars())


def troubles(session: Session) -> Sequence[Row[Any]]:
    """Return what is wrong with channels."""
    return session.connection().execute(select(TROUBLE).order_by(TROUBLE.c.channel)).all()


def note_denial(session: Session, channel: str, denied: CredentialsRefused) -> None:
    """Count a refused login of what is no delivery; after some of them the channel is used no more."""
    _note_trouble(session, channel, Outcome(AttemptStatus.FAILED, denied.code, str(denied), denials=1))


def forget_trouble(session: Session, channel: str) -> None:
    """Note that a channel was used with success."""
    session.connection().execute(delete(TROUBLE).where(TROUBLE.c.channel == channel))


def _note_trouble(session: Session, channel: str, outcome: Outcome) -> None:
    connection, now = session.connection(), database_now(session)
    new = {"channel": channel, "denials": 0, "code": outcome.code, "detail": outcome.detail}
    connection.execute(insert_new(session, TROUBLE), [new])
    this = update(TROUBLE).where(TROUBLE.c.channel == channel)
    told = {"code": outcome.code, "detail": outcome.detail}
    connection.execute(this.values(denials=TROUBLE.c.denials + outcome.denials, **told))
    enough = TROUBLE.c.stopped_at.is_(None) & (TROUBLE.c.denials >= (0 if outcome.stops else MOST_DENIALS))
    connection.execute(this.where(enough).values(stopped_at=now))


def try_channel_again(session: Session, channel: str) -> None:
    """Let a channel that was stopped be used for one more attempt, which a success makes good."""
    again = update(TROUBLE).where(TROUBLE.c.channel == channel, TROUBLE.c.stopped_at.is_not(None))
    session.connection().execute(again.values(stopped_at=None, denials=MOST_DENIALS - 1))


# What a person does ---------------------------------------------------------------------------------------------


def requeue(session: Session, batch: int) -> None:
    """Put a batch into the queue again, with the next attempt's number; one that is there becomes due at once."""
    connection, now = session.connection(), database_now(session)
    newest = select(func.coalesce(func.max(ATTEMPT.c.number), 0)).where(ATTEMPT.c.batch == batch)
    last = connection.execute(newest).scalar_one()
    row = {"batch": batch, "due_at": now, "token": last, "since": last}
    connection.execute(insert_new(session, UNDELIVERED), [row])
    again = update(UNDELIVERED).where(UNDELIVERED.c.batch == batch)
    connection.execute(again.values(due_at=now, stuck=None, since=UNDELIVERED.c.token))


def confirm(session: Session, batch: int, now: datetime, by: str = "person") -> bool:
    """Record that the batch was seen at impact.com, and end its delivery; say whether it was under way at all."""
    connection = session.connection()
    ended = delete(UNDELIVERED).where(UNDELIVERED.c.batch == batch).returning(UNDELIVERED.c.token)
    row = connection.execute(ended).first()
    if row is None:
        return False
    new = {"batch": batch, "number": row.token + 1, "channel": by, "started_at": now, "ended_at": now}
    connection.execute(insert(ATTEMPT), [new | {"status": AttemptStatus.DELIVERED.value}])
    look_after(session, batch, now)
    return True


def corrected_since(session: Session, batch: int) -> str | None:
    """Return the name of a file that has a later correction of an order than this batch has.

    It was made when this batch had arrived, and may overtake it if both are sent.
    """
    this, its, later = aliased(CORRECTION_LINE), aliased(CORRECTION), aliased(CORRECTION)
    name = (
        select(BATCH.c.filename)
        .join_from(this, its, its.c.id == this.c.correction_id)
        .join(later, (later.c.conversion_id == its.c.conversion_id) & (later.c.number > its.c.number))
        .join(CORRECTION_LINE, CORRECTION_LINE.c.correction_id == later.c.id)
        .join(BATCH, BATCH.c.id == CORRECTION_LINE.c.batch)
        .where(this.c.batch == batch)
        .order_by(BATCH.c.id.desc())
        .limit(1)
    )
    return session.connection().execute(name).scalar_one_or_none()


def changed_since(session: Session, batch: int) -> str | None:
    """Return the id of an order of a batch that was changed since, to be sent anew.

    It had left with this batch and impact.com had not taken it; sent again as it was, it might be taken twice. For a
    batch of corrections it is an order whose corrections are in what was sent of it since.
    """
    absorbed = (
        select(CONVERSION.c.order_id)
        .join_from(CORRECTION_LINE, CORRECTION, CORRECTION.c.id == CORRECTION_LINE.c.correction_id)
        .join(CONVERSION, CONVERSION.c.id == CORRECTION.c.conversion_id)
        .where(CORRECTION_LINE.c.batch == batch, CORRECTION.c.revision_id.is_not(None))
        .limit(1)
    )
    its, later = aliased(REVISION), aliased(REVISION)
    order = (
        select(CONVERSION.c.order_id)
        .join_from(BATCH_LINE, its, its.c.id == BATCH_LINE.c.revision_id)
        .join(later, (later.c.conversion_id == its.c.conversion_id) & (later.c.number > its.c.number))
        .join(CONVERSION, CONVERSION.c.id == its.c.conversion_id)
        .where(BATCH_LINE.c.batch == batch)
        .limit(1)
    )
    connection = session.connection()
    found: str | None = connection.execute(order).scalar_one_or_none()
    return found or connection.execute(absorbed).scalar_one_or_none()


# Reading --------------------------------------------------------------------------------------------------------


def file_of(session: Session, batch: int) -> Row[Any]:
    """Return a batch's row."""
    return session.connection().execute(select(BATCH).where(BATCH.c.id == batch)).one()


def queued(session: Session, batch: int) -> Row[Any] | None:
    """Return a batch's row in the queue."""
    return session.connection().execute(select(UNDELIVERED).where(UNDELIVERED.c.batch == batch)).one_or_none()


def stuck(session: Session, batches: Sequence[int]) -> set[int]:
    """Return which of the batches wait for a person."""
    found = select(UNDELIVERED.c.batch).where(UNDELIVERED.c.batch.in_(batches), UNDELIVERED.c.stuck.is_not(None))
    return set(session.connection().execute(found).scalars())


def waiting_for_a_person(session: Session) -> list[Row[Any]]:
    """Return the batches that no attempt comes for by itself, as (batch, batch_id, event_type, filename, stuck)."""
    statement = (
        select(UNDELIVERED.c.batch, BATCH.c.batch_id, BATCH.c.event_type, BATCH.c.filename, UNDELIVERED.c.stuck)
        .join(BATCH, BATCH.c.id == UNDELIVERED.c.batch)
        .where(UNDELIVERED.c.stuck.is_not(None))
        .order_by(UNDELIVERED.c.batch)
    )
    return list(session.connection().execute(statement))


def newest_delivery(session: Session, channel: str) -> datetime | None:
    """Return when the newest batch that arrived by a channel did so; batches are looked through from the newest on."""
    arrived = (ATTEMPT.c.channel == channel) & (ATTEMPT.c.status == AttemptStatus.DELIVERED.value)
    newest = (
        select(ATTEMPT.c.ended_at).where(arrived).order_by(ATTEMPT.c.batch.desc(), ATTEMPT.c.number.desc()).limit(1)
    )
    return session.connection().execute(newest).scalar_one_or_none()


def attempts(session: Session, batches: Collection[int]) -> dict[int, list[Row[Any]]]:
    """Return the attempts of batches, oldest first."""
    statement = select(ATTEMPT).where(ATTEMPT.c.batch.in_(batches)).order_by(ATTEMPT.c.batch, ATTEMPT.c.number)
    found: dict[int, list[Row[Any]]] = {}
    for row in session.connection().execute(statement):
        found.setdefault(row.batch, []).append(row)
    return found

"""The records of calls of impact.com's HTTP API, and every statement on them: one row per order or correction.

The row is there before the call is made, so that what has begun is known whatever happens. What has been answered, and
impact.com is through with or not, waits in `unanswered` until the next stage has learned of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ColumnElement,
    ForeignKey,
    Index,
    Row,
    Select,
    func,
    insert,
    or_,
    select,
    update,
)
from sqlmodel import Field, Session, SQLModel

from app.batches.batch import BatchKind
from app.batches.store import BATCH, BATCH_LINE, CORRECTION_LINE, UNDELIVERED
from app.conversions.corrections_store import CORRECTION
from app.database import ROW_ID, UTCDateTime, database_now, insert_new
from app.event_type import HTTP_API


class CallState(StrEnum):
    """How a call stands. `unknown`: impact.com may have taken it, or may not; `refused`: it has not, and says why.

    `failed`: it says that it has not taken it, through no fault of the call's, which is made again.
    """

    STARTED = "started"
    QUEUED = "queued"
    REFUSED = "refused"
    FAILED = "failed"
    UNKNOWN = "unknown"


class Call(SQLModel, table=True):
    """What was asked of impact.com's API for one revision or one correction of a batch; never for both.

    `uri` is where impact.com says what became of it (QueuedUri). `was_unknown`: some try of it may have arrived. `code`
    is what impact.com said when it refused the call, its codes separated by blanks, or `HTTP_400` and the like.
    """

    __tablename__ = "call"
    __table_args__ = (
        CheckConstraint("state IN ('started', 'queued', 'refused', 'failed', 'unknown')", name="call_state"),
        Index("calls_of_batch", "batch", "id"),
    )

    id: int | None = Field(default=None, sa_column=Column(ROW_ID, primary_key=True))
    batch: int = Field(sa_column=Column(BigInteger, ForeignKey("batch.id"), nullable=False))
    revision_id: int | None = Field(
        default=None, sa_column=Column(BigInteger, ForeignKey("revision.id"), nullable=True, unique=True)
    )
    correction_id: int | None = Field(
        default=None, sa_column=Column(BigInteger, ForeignKey("correction.id"), nullable=True, unique=True)
    )
    type: str
    state: str
    tries: int
    was_unknown: bool
    started_at: datetime = Field(sa_type=UTCDateTime)
    ended_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    http_status: int | None = None
    uri: str | None = None
    code: str | None = None
    detail: str | None = None


class Unanswered(SQLModel, table=True):
    """A call that was queued or refused and of which no submission says yet what became of it."""

    __tablename__ = "unanswered"
    __table_args__ = (Index("unanswered_when_due", "due_at"),)

    call: int = Field(sa_column=Column(ROW_ID, ForeignKey("call.id"), primary_key=True, autoincrement=False))
    due_at: datetime = Field(sa_type=UTCDateTime)
    looks: int
    token: int = 0


CALL: Final = Call.__table__  # type: ignore[attr-defined]
UNANSWERED: Final = Unanswered.__table__  # type: ignore[attr-defined]

ENDED: Final = (CallState.QUEUED.value, CallState.REFUSED.value)
"""The states in which nothing of a call is left to do here."""


@dataclass(frozen=True, slots=True)
class ToMake:
    """A call that is to be made: of a revision, or of a correction. `call` and `tries` are there after a try."""

    kind: BatchKind
    subject: int
    call: int | None = None
    tries: int = 0

    @property
    def subjects(self) -> dict[str, int | None]:
        """What the call is about, as its record has it."""
        is_order = self.kind is BatchKind.CONVERSIONS
        return {
            "revision_id": self.subject if is_order else None,
            "correction_id": None if is_order else self.subject,
        }


# What is to be called -------------------------------------------------------------------------------------------


def to_make(session: Session, batch: int, kind: BatchKind, *, unknown_too: bool) -> list[ToMake]:
    """Return the calls of a batch that are not queued or refused, those that were tried least first.

    Those whose outcome is not known are among them only where they are to be made again.
    """
    lines, subject, of_call = _lines(kind)
    tries = func.coalesce(CALL.c.tries, 0)
    again = [CallState.FAILED.value, *([CallState.UNKNOWN.value] if unknown_too else [])]
    statement = (
        select(subject.label("subject"), CALL.c.id.label("call"), tries.label("tries"))
        .select_from(lines.outerjoin(CALL, of_call == subject))
        .where(lines.c.batch == batch, or_(CALL.c.id.is_(None), CALL.c.state.in_(again)))
        .order_by(tries, lines.c.first_line)
    )
    return [ToMake(kind, row.subject, row.call, row.tries) for row in session.connection().execute(statement)]


def left(session: Session, batch: int, kind: BatchKind) -> tuple[int, int]:
    """Return how many calls of a batch are not queued or refused yet, and of how many the outcome is not known."""
    lines, subject, of_call = _lines(kind)
    unknown = CALL.c.state.in_((CallState.UNKNOWN.value, CallState.STARTED.value))
    statement = (
        select(func.count(), func.count().filter(unknown))
        .select_from(lines.outerjoin(CALL, of_call == subject))
        .where(lines.c.batch == batch, or_(CALL.c.id.is_(None), CALL.c.state.not_in(ENDED)))
    )
    return tuple(session.connection().execute(statement).one())  # type: ignore[return-value]


def _lines(kind: BatchKind) -> tuple[Any, Any, Any]:
    """Return the lines of batches of a kind, what they are about, and what its call is found by."""
    if kind is BatchKind.CONVERSIONS:
        return BATCH_LINE, BATCH_LINE.c.revision_id, CALL.c.revision_id
    return CORRECTION_LINE, CORRECTION_LINE.c.correction_id, CALL.c.correction_id


def under_way(session: Session) -> int:
    """Return how many calls are still to be made of the batches that are to leave by calls."""
    connection = session.connection()
    queued = list(connection.execute(select(UNDELIVERED.c.batch).where(UNDELIVERED.c.stuck.is_(None))).scalars())
    of_calls = select(BATCH.c.id, BATCH.c.orders).where(BATCH.c.id.in_(queued), BATCH.c.channel == HTTP_API)
    orders = {row.id: row.orders for row in connection.execute(of_calls)} if queued else {}
    made = select(func.count()).where(CALL.c.batch.in_(orders), CALL.c.state.in_(ENDED))
    done = connection.execute(made).scalar_one() if orders else 0
    return int(sum(orders.values()) - done)


def correction(session: Session, correction_id: int) -> Row[Any]:
    """Return a correction's reason, and whether nothing is left of its order."""
    row = select(CORRECTION.c.reason, CORRECTION.c.reverses).where(CORRECTION.c.id == correction_id)
    return session.connection().execute(row).one()


# Calls as they are made -----------------------------------------------------------------------------------------


def forget_started(session: Session, batch: int, now: datetime) -> None:
    """Note that a call which was begun and never ended may have been taken."""
    begun = update(CALL).where(CALL.c.batch == batch, CALL.c.state == CallState.STARTED.value)
    unknown = {"state": CallState.UNKNOWN.value, "was_unknown": True, "ended_at": now}
    told = {"detail": "The worker stopped in the middle of it."}
    session.connection().execute(begun.values(**unknown, **told))


def begin(session: Session, batch: int, one: ToMake, type_: str, now: datetime) -> int | None:
    """Record that a call is about to be made, and return its id; a row that is there counts one more try.

    Returns None if it was answered meanwhile, to a worker whose lease had ended, so that it is not to be made.
    """
    connection = session.connection()
    values = {"state": CallState.STARTED.value, "tries": one.tries + 1, "started_at": now, "ended_at": None}
    if one.call is not None:
        open_ = update(CALL).where(CALL.c.id == one.call, CALL.c.state.not_in(ENDED))
        return one.call if connection.execute(open_.values(values)).rowcount == 1 else None
    new = {"batch": batch, "type": type_, "was_unknown": False} | one.subjects | values
    number: int = connection.execute(insert(CALL).returning(CALL.c.id), [new]).scalar_one()
    return number


def end(session: Session, call: int, tries: int, values: Mapping[str, Any], *, due_in: timedelta | None) -> None:
    """Record how try number `tries` of a call ended, unless a later one has begun, or a person has seen it arrived.

    With `due_in`, what became of it is asked for after that time.
    """
    this_try = update(CALL).where(CALL.c.id == call, CALL.c.tries == tries, CALL.c.state.not_in(ENDED))
    if session.connection().execute(this_try.values(**values)).rowcount == 1 and due_in is not None:
        row = {"call": call, "due_at": database_now(session) + due_in, "looks": 0, "token": 0}
        session.connection().execute(insert_new(session, UNANSWERED), [row])


# What a person does ---------------------------------------------------------------------------------------------


def make_again(session: Session, batch: int) -> None:
    """Let the calls of which the outcome is not known be made once more."""
    unknown = CALL.c.batch == batch, CALL.c.state == CallState.UNKNOWN.value
    session.connection().execute(update(CALL).where(*unknown).values(state=CallState.FAILED.value))


def has_arrived(session: Session, batch: int, kind: BatchKind, now: datetime) -> None:
    """Record that a person saw at impact.com what the calls of unknown outcome asked for.

    That is as if impact.com had answered that it is there already.
    """
    unknown: Select[Any] = select(CALL.c.id, CORRECTION.c.reverses).where(*_unknown(batch))
    rows = session.connection().execute(unknown.outerjoin(CORRECTION, CORRECTION.c.id == CALL.c.correction_id)).all()
    for row in rows:
        code = (
            "CONV_DUPLICATE" if kind is BatchKind.CONVERSIONS else "ALREADY_REVERSED" if row.reverses else "NO_CHANGE"
        )
        values = {"state": CallState.REFUSED.value, "was_unknown": True, "ended_at": now, "code": code}
        session.connection().execute(update(CALL).where(CALL.c.id == row.id).values(values | {"detail": _SEEN}))
        due = {"call": row.id, "due_at": database_now(session), "looks": 0, "token": 0}
        session.connection().execute(insert_new(session, UNANSWERED), [due])


_SEEN: Final = "A person saw it at impact.com."


def _unknown(batch: int) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return CALL.c.batch == batch, CALL.c.state.in_((CallState.UNKNOWN.value, CallState.STARTED.value))

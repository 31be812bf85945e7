"""The records of calls of impact.com's HTTP API, and every statement on them: one row per order or correction.

The row is there before the call is made, so that what has begun is known whatever happens. What has been answered, and
impact.com is through with or not, waits in `unanswered` until the next stage has learned of it.
"""

from datetime import datetime
from enum import StrEnum
from typing import Final

from sqlalchemy import BigInteger, CheckConstraint, Column, ForeignKey, Index
from sqlmodel import Field, SQLModel

from app.database import ROW_ID, UTCDateTime


class CallState(StrEnum):
    """How a call stands. `unknown`: impact.com may have taken it, or may not; `refused`: it has not, and says why."""

    STARTED = "started"
    QUEUED = "queued"
    REFUSED = "refused"
    UNKNOWN = "unknown"


class Call(SQLModel, table=True):
    """What was asked of impact.com's API for one revision or one correction of a batch; never for both.

    `uri` is where impact.com says what became of it (QueuedUri). `was_unknown`: some try of it may have arrived.
    """

    __tablename__ = "call"
    __table_args__ = (
        CheckConstraint("state IN ('started', 'queued', 'refused', 'unknown')", name="call_state"),
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

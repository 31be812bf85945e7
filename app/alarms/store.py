"""The records of alarms, and every statement on them. Raising and clearing tell who did it, so that one tells others.

Nothing here scans history: alarms that hold have `slot` 1, those that are to be posted have `owed`, and each of the two
is the beginning of an index.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import CheckConstraint, Column, Index, Row, UniqueConstraint, delete, select, update
from sqlmodel import Field, Session, SQLModel

from app.alarms.alarm import Alarm, Held
from app.database import ROW_ID, UTCDateTime, database_now, insert_new

HOLDS: Final = 1
RAISED: Final = "raised"
CLEARED: Final = "cleared"
POST_AGAIN: Final = timedelta(minutes=1)
"""Until a post that failed, or whose process ended in the middle of it, is tried again."""
MOST_SHOWN: Final = 500


class AlarmRow(SQLModel, table=True):
    """An alarm from when it was raised to when it was over. `slot` is 1 while it holds and NULL after.

    `owed` is what the operator's URL has not been told yet; who posts it moves `post_at` on, so that others do not.
    """

    __tablename__ = "alarm"
    __table_args__ = (
        UniqueConstraint("slot", "kind", "subject", name="one_alarm_at_a_time"),
        CheckConstraint("owed IN ('raised', 'cleared')", name="alarm_owed"),
        Index("alarms_owed", "owed", "id"),
        Index("alarms_over", "cleared_at"),
    )

    id: int | None = Field(default=None, sa_column=Column(ROW_ID, primary_key=True))
    slot: int | None
    kind: str
    subject: str
    severity: str
    detail: str
    since: datetime = Field(sa_type=UTCDateTime)
    seen_at: datetime = Field(sa_type=UTCDateTime)
    cleared_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    owed: str | None
    post_at: datetime = Field(sa_type=UTCDateTime)


ALARM: Final = AlarmRow.__table__  # type: ignore[attr-defined]


def holding(session: Session) -> list[Held]:
    """Return the alarms that hold, in the order in which they were raised."""
    columns = (ALARM.c.id, ALARM.c.kind, ALARM.c.subject, ALARM.c.since, ALARM.c.detail, ALARM.c.severity)
    found = select(*columns, ALARM.c.seen_at).where(ALARM.c.slot == HOLDS).order_by(ALARM.c.id)
    return [Held(*row) for row in session.connection().execute(found)]


def newest(session: Session, *, only_holding: bool) -> Sequence[Row[Any]]:
    """Return the newest alarms, those that are over too if asked for, in the order in which they were raised."""
    found = select(ALARM).order_by(ALARM.c.id.desc()).limit(MOST_SHOWN)
    return session.connection().execute(found.where(ALARM.c.slot == HOLDS) if only_holding else found).all()[::-1]


def raise_alarm(session: Session, alarm: Alarm, now: datetime, *, owed: bool) -> bool:
    """Put an alarm on record; say whether it was us who did, and not somebody else a moment before."""
    row = _row(session, alarm, now) | {"slot": HOLDS, "owed": RAISED if owed else None}
    new = insert_new(session, ALARM).values(row).returning(ALARM.c.id)
    return session.connection().execute(new).first() is not None


def record_past(session: Session, alarm: Alarm, since: datetime, now: datetime, *, owed: bool) -> None:
    """Put an alarm on record that could not be while it held."""
    row = _row(session, alarm, now) | {"since": since, "cleared_at": now, "owed": CLEARED if owed else None}
    session.connection().execute(insert_new(session, ALARM).values(row))


def clear(session: Session, alarm_id: int, now: datetime, *, owed: bool) -> bool:
    """Note that an alarm is over; say whether it was us who did."""
    this = update(ALARM).where(ALARM.c.id == alarm_id, ALARM.c.slot == HOLDS)
    over = this.values(slot=None, cleared_at=now, owed=CLEARED if owed else None)
    return session.connection().execute(over).rowcount == 1


def delete_over(session: Session, before: datetime, limit: int) -> int:
    """Delete some of the alarms that were over before a time, the oldest first, and return how many."""
    old = select(ALARM.c.id).where(ALARM.c.cleared_at < before).order_by(ALARM.c.cleared_at).limit(limit)
    chosen = session.connection().execute(old.with_for_update(skip_locked=True)).scalars().all()
    return session.connection().execute(delete(ALARM).where(ALARM.c.id.in_(chosen))).rowcount


def see_again(session: Session, alarm_id: int, alarm: Alarm, now: datetime) -> None:
    """Note that an alarm still holds, as it reads now."""
    this = update(ALARM).where(ALARM.c.id == alarm_id, ALARM.c.slot == HOLDS)
    session.connection().execute(this.values(detail=alarm.detail, severity=alarm.severity.value, seen_at=now))


def next_owed(session: Session) -> Row[Any] | None:
    """Return the first alarm that is to be posted and that nobody is posting."""
    due = select(ALARM).where(ALARM.c.owed.in_((RAISED, CLEARED)), ALARM.c.post_at <= database_now(session))
    return session.connection().execute(due.order_by(ALARM.c.id).limit(1)).one_or_none()


def claim_post(session: Session, row: Row[Any]) -> bool:
    """Take the posting of an alarm upon oneself, for a minute; say whether nobody else has meanwhile."""
    as_seen = update(ALARM).where(ALARM.c.id == row.id, ALARM.c.owed == row.owed, ALARM.c.post_at == row.post_at)
    mine = as_seen.values(post_at=database_now(session) + POST_AGAIN)
    return session.connection().execute(mine).rowcount == 1


def posted(session: Session, row: Row[Any]) -> None:
    """Note that the operator's URL was told; what has changed since then is still owed."""
    this = update(ALARM).where(ALARM.c.id == row.id, ALARM.c.owed == row.owed)
    session.connection().execute(this.values(owed=None))


def _row(session: Session, alarm: Alarm, now: datetime) -> dict[str, Any]:
    about = {"kind": alarm.kind.value, "subject": alarm.subject, "severity": alarm.severity.value}
    times = {"since": now, "seen_at": now, "post_at": database_now(session)}
    return about | {"detail": alarm.detail} | times

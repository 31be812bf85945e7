"""What each day's orders have come to by now, as a worker last counted them, so that no page counts a history."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final, NamedTuple

from sqlalchemy import BigInteger, Date, Index, Row, delete, func, insert, or_, select, update
from sqlmodel import Field, Session, SQLModel

from app.conversions.store import CONVERSION, REVISION, newest_revisions
from app.conversions.totals_store import BILLION
from app.database import UTCDateTime, database_now, insert_new
from app.errors import LeaseLost
from app.ledger.state import OrderState


class DayStanding(SQLModel, table=True):
    """The orders recorded on one day (UTC), of an event type and currency, that are in one state, as they stand now.

    The amount is `billions` times 10⁹ and `rest`, in minor units, as in `daily_total`.
    """

    __tablename__ = "day_standing"

    day: date = Field(primary_key=True, sa_type=Date)
    event_type: str = Field(primary_key=True)
    currency: str = Field(primary_key=True)
    state: str = Field(primary_key=True)
    orders: int = Field(sa_type=BigInteger)
    with_click_id: int = Field(sa_type=BigInteger)
    billions: int = Field(sa_type=BigInteger)
    rest: int = Field(sa_type=BigInteger)


class DayCounted(SQLModel, table=True):
    """When a day was counted, when it is to be again, and who does so just now."""

    __tablename__ = "day_counted"
    __table_args__ = (Index("days_when_due", "due_at"),)

    day: date = Field(primary_key=True, sa_type=Date)
    counted_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    due_at: datetime = Field(sa_type=UTCDateTime)
    token: int
    leased_until: datetime | None = Field(default=None, sa_type=UTCDateTime)


STANDING: Final = DayStanding.__table__  # type: ignore[attr-defined]
COUNTED: Final = DayCounted.__table__  # type: ignore[attr-defined]

NEVER: Final = datetime(9999, 1, 1, tzinfo=UTC)

Kind = tuple[str, str, OrderState]
"""Event type, currency and state of orders."""


class Share(NamedTuple):
    """Some of a day's orders; `amount` in minor units, of any size."""

    orders: int = 0
    with_click_id: int = 0
    amount: int = 0


@dataclass(frozen=True, slots=True)
class Claim:
    """A worker's right to count a day until its lease ends."""

    day: date
    token: int


def first_recorded(session: Session) -> datetime | None:
    """Return when the oldest order was recorded, None if there is none."""
    oldest = select(CONVERSION.c.recorded_at).order_by(CONVERSION.c.id).limit(1)
    found: datetime | None = session.connection().execute(oldest).scalar_one_or_none()
    return found


def newest_day(session: Session) -> date | None:
    """Return the newest day that is, or will be, counted."""
    found: date | None = session.connection().execute(select(func.max(COUNTED.c.day))).scalar_one()
    return found


def add_days(session: Session, days: Sequence[date], due_at: datetime) -> None:
    """Let days be counted from a time on; those that are already counted stay as they are."""
    if days:
        rows = [{"day": day, "due_at": due_at, "token": 0} for day in days]
        session.connection().execute(insert_new(session, COUNTED), rows)


def due(session: Session, now: datetime) -> Row[Any] | None:
    """Return the newest day that is due and that nobody counts."""
    free = or_(COUNTED.c.leased_until.is_(None), COUNTED.c.leased_until <= database_now(session))
    newest = select(COUNTED).where(COUNTED.c.due_at <= now, free).order_by(COUNTED.c.day.desc()).limit(1)
    return session.connection().execute(newest).one_or_none()


def claim(session: Session, now: datetime, lease: timedelta) -> Claim | None:
    """Take the newest day that is due, if there is one that nobody counts."""
    row = due(session, now)
    if row is None:
        return None
    values = {"token": row.token + 1, "leased_until": database_now(session) + lease}
    mine = update(COUNTED).where(COUNTED.c.day == row.day, COUNTED.c.token == row.token).values(**values)
    return Claim(row.day, row.token + 1) if session.connection().execute(mine).rowcount == 1 else None


def keep(session: Session, claim: Claim, lease: timedelta | None, **values: Any) -> None:
    """Lengthen a claim, or end it without a lease. Raises LeaseLost if another worker has taken the day."""
    values["leased_until"] = None if lease is None else database_now(session) + lease
    mine = update(COUNTED).where(COUNTED.c.day == claim.day, COUNTED.c.token == claim.token).values(**values)
    if session.connection().execute(mine).rowcount != 1:
        raise LeaseLost("Another worker has taken the counting of this day over.")


def replace(session: Session, day: date, shares: Mapping[Kind, Share]) -> None:
    """Let a day's orders stand so, in place of what was counted before."""
    connection = session.connection()
    connection.execute(delete(STANDING).where(STANDING.c.day == day))
    rows = []
    for (event_type, currency, state), share in sorted(shares.items()):
        billions, rest = divmod(share.amount, BILLION)
        kind = {"day": day, "event_type": event_type, "currency": currency, "state": state}
        sums = {"orders": share.orders, "with_click_id": share.with_click_id, "billions": billions, "rest": rest}
        rows.append(kind | sums)
    if rows:
        connection.execute(insert(STANDING), rows)


def counted(session: Session, first: date, last: date) -> dict[date, datetime]:
    """Return when days were counted, of those that were."""
    asked = select(COUNTED.c.day, COUNTED.c.counted_at).where(COUNTED.c.day.between(first, last))
    return {row.day: row.counted_at for row in session.connection().execute(asked) if row.counted_at is not None}


def between(session: Session, first: date, last: date) -> Iterator[tuple[date, Kind, Share]]:
    """Yield what the orders of some days have come to, day by day."""
    order = STANDING.c.day, STANDING.c.event_type, STANDING.c.currency, STANDING.c.state
    asked = select(STANDING).where(STANDING.c.day.between(first, last)).order_by(*order)
    for row in session.connection().execute(asked):
        share = Share(row.orders, row.with_click_id, row.billions * BILLION + row.rest)
        yield row.day, (row.event_type, row.currency, OrderState(row.state)), share


def orders(session: Session, after: int, most: int) -> Sequence[Row[Any]]:
    """Return so many orders behind one, in the order of recording."""
    columns = CONVERSION.c.id, CONVERSION.c.event_type, CONVERSION.c.recorded_at
    return (
        session.connection()
        .execute(select(*columns).where(CONVERSION.c.id > after).order_by(CONVERSION.c.id).limit(most))
        .all()
    )


def newest_of(session: Session, conversion_ids: Sequence[int]) -> Sequence[Row[Any]]:
    """Return the newest revision of orders, of those that have one: its order, currency and click id."""
    newest = newest_revisions(session, conversion_ids)
    columns = REVISION.c.id, REVISION.c.conversion_id, REVISION.c.currency, REVISION.c.click_id
    return session.connection().execute(select(*columns).where(REVISION.c.id.in_(newest.values()))).all()

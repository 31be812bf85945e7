"""What each day's orders have come to by now, as a worker last counted them, so that no page counts a history."""

from datetime import date, datetime
from typing import Final

from sqlalchemy import BigInteger, Date, Index
from sqlmodel import Field, SQLModel

from app.database import UTCDateTime


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

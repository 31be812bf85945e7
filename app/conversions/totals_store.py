"""Running totals of each day's orders, so that nothing that is shown has to count a history.

They are added to by the statements that record the orders (group_store).
"""

from datetime import date
from typing import Final

from sqlalchemy import BigInteger, Date, cast, func, select
from sqlmodel import Field, Session, SQLModel

from app.conversions.total import Total

BILLION: Final = 10**9


class DailyTotal(SQLModel, table=True):
    """What one writer recorded on one day (UTC) of an event type and currency, each order once and as it came.

    The amount is `billions` times 10⁹ and `rest`, in minor units: a day may come to more than 64 bits. `rest` may grow
    past a billion, and is never carried over.
    """

    __tablename__ = "daily_total"

    day: date = Field(primary_key=True, sa_type=Date)
    event_type: str = Field(primary_key=True)
    currency: str = Field(primary_key=True)
    slot: int = Field(primary_key=True)
    orders: int = Field(sa_type=BigInteger)
    with_click_id: int = Field(sa_type=BigInteger)
    held: int = Field(sa_type=BigInteger)
    billions: int = Field(sa_type=BigInteger)
    rest: int = Field(sa_type=BigInteger)


TOTAL: Final = DailyTotal.__table__  # type: ignore[attr-defined]


def between(session: Session, first: date, last: date) -> dict[date, dict[tuple[str, str], Total]]:
    """Return the totals of some days in their order, by event type and currency; a day without orders is left out."""
    key = TOTAL.c.day, TOTAL.c.event_type, TOTAL.c.currency
    names = ("orders", "with_click_id", "held", "billions", "rest")
    sums = [cast(func.sum(TOTAL.c[name]), BigInteger).label(name) for name in names]
    asked = select(*key, *sums).where(TOTAL.c.day.between(first, last)).group_by(*key).order_by(*key)
    found: dict[date, dict[tuple[str, str], Total]] = {}
    for row in session.connection().execute(asked):
        total = Total(row.orders, row.with_click_id, row.held, row.billions * BILLION + row.rest)
        found.setdefault(row.day, {})[row.event_type, row.currency] = total
    return found

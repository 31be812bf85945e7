"""The records of orders that a rule gave to another event type than the one they were sent under."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import Column, ForeignKey, insert, select
from sqlmodel import Field, Session, SQLModel

from app.conversions.order import Order
from app.conversions.store import CONVERSION, find_keys
from app.database import ROW_ID, insert_new


class Moved(SQLModel, table=True):
    """An order id that is taken where it was sent, by an order that is recorded under `event_type`.

    Its conversion has no revision. So the unique key guards against a second order whatever becomes of the rules, and
    whoever asks under the one event type is led to the other.
    """

    __tablename__ = "moved"

    conversion_id: int = Field(
        sa_column=Column(ROW_ID, ForeignKey("conversion.id"), primary_key=True, autoincrement=False)
    )
    event_type: str


MOVED: Final = Moved.__table__  # type: ignore[attr-defined]


def move(session: Session, orders: Sequence[Order], now: datetime) -> None:
    """Take the order ids of orders that go under another event type.

    Not those that are taken: what an order is recorded under stays. Nor those that another order has there.
    """
    connection = session.connection()
    goes_under = {order.order_id: order.goes_under for order in orders if order.goes_under}
    there = find_keys(session, [(event_type, order_id) for order_id, event_type in goes_under.items()])
    free = [order for order in orders if order.goes_under and (order.goes_under, order.order_id) not in there]
    keys = sorted({order.key for order in free})  # in one order for everybody, lest two wait for each other
    if not keys:
        return
    rows = [{"event_type": event_type, "order_id": order_id, "recorded_at": now} for event_type, order_id in keys]
    taken = insert_new(session, CONVERSION).returning(CONVERSION.c.id, CONVERSION.c.order_id)
    added = connection.execute(taken, rows).all()
    if added:
        places = [{"conversion_id": row.id, "event_type": goes_under[row.order_id]} for row in added]
        connection.execute(insert(MOVED), places)


def destinations(session: Session, conversion_ids: Sequence[int]) -> dict[int, str]:
    """Return the event types that those of these conversions are recorded under that have moved."""
    if not conversion_ids:
        return {}
    statement = select(MOVED).where(MOVED.c.conversion_id.in_(conversion_ids))
    return {row.conversion_id: row.event_type for row in session.connection().execute(statement)}

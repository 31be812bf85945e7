"""Corrections as they stand in the database once they were accepted, for tests of what becomes of them."""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import delete, func, insert, select

from app.conversions.corrections_store import ACTION, CORRECTION, CORRECTION_ITEM, UNSENT_CORRECTION
from app.conversions.store import CONVERSION
from app.database import Database
from tests.support import NOW


class Left(NamedTuple):
    """What is left of an item; `reason` where impact.com is to be told."""

    sku: str
    amount: int
    quantity: int = 1
    category: str = "Tools"
    reason: str | None = "ORDER_UPDATE"


def correct(
    database: Database,
    order_id: str,
    items: Sequence[Left] = (Left("SKU-0", 500),),
    *,
    event_type: str = "default",
    level: str = "item",
    reverses: bool = False,
    reason: str = "ORDER_UPDATE",
    hold_reason: str | None = None,
) -> int:
    """Let a correction of an order that has left wait, in place of an earlier one that does; return its id."""
    with database.transaction() as session:
        connection = session.connection()
        key = CONVERSION.c.event_type == event_type, CONVERSION.c.order_id == order_id
        conversion_id = connection.execute(select(CONVERSION.c.id).where(*key)).scalar_one()
        mine = CORRECTION.c.conversion_id == conversion_id
        last = connection.execute(select(func.coalesce(func.max(CORRECTION.c.number), 0)).where(mine)).scalar_one()
        row = {"conversion_id": conversion_id, "number": last + 1, "kind": "modification", "reason": reason}
        row |= {"reverses": reverses, "recorded_at": NOW, "request": "", "answer": "{}"}
        correction_id: int = connection.execute(insert(CORRECTION).returning(CORRECTION.c.id), [row]).scalar_one()
        lines = [
            {"correction_id": correction_id, "position": position, **item._asdict()}
            for position, item in enumerate(items)
        ]
        connection.execute(insert(CORRECTION_ITEM), lines)
        connection.execute(delete(UNSENT_CORRECTION).where(UNSENT_CORRECTION.c.conversion_id == conversion_id))
        size = 1 if level == "order" else sum(item.reason is not None for item in items)
        waits = {"correction_id": correction_id, "conversion_id": conversion_id, "event_type": event_type}
        waits |= {"level": level, "lines": size, "hold_reason": hold_reason}
        connection.execute(insert(UNSENT_CORRECTION), [waits])
    return correction_id


def name_action(database: Database, order_id: str, action_id: str) -> None:
    """Let the name that impact.com gave to an order of the default event type be known."""
    with database.transaction() as session:
        key = CONVERSION.c.event_type == "default", CONVERSION.c.order_id == order_id
        conversion_id = session.connection().execute(select(CONVERSION.c.id).where(*key)).scalar_one()
        session.connection().execute(insert(ACTION), [{"conversion_id": conversion_id, "action_id": action_id}])

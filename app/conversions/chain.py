"""What a chained action is, and what an event type's level asks of an order beside what every order has.

Facts: impact.com's page on chained actions (parent and child have the same CustomerId, another event type and another
order id; the parent is tracked first) and its page on event type data (EventCode is required for mobile apps).
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from app.conversions.order import Order, OrderKey
from app.errors import Fault
from app.event_type import EventType
from app.impact.columns import EVENT_CODE


def about_customer(customer_id: str | None, event_type: EventType) -> Fault | None:
    """Say whether an order of this event type needs a customer id and has none."""
    if customer_id is not None or event_type.level != "chained":
        return None
    return Fault("CUSTOMER_ID_MISSING", "A chained action has the customer_id that links it to its parent.")


FORGOTTEN: Final = ""
"""The customer id of an order whose personal fields were removed: nobody knows any more that a child has another."""


def about_event_code(extra: Mapping[str, str], event_type: EventType) -> Fault | None:
    """Say whether an order of this event type needs an EventCode and has none."""
    if event_type.level != "mobile" or event_type.event_code or EVENT_CODE in extra:
        return None
    sentence = f"A mobile app event has an {EVENT_CODE}; send it here, or give the event type an event_code."
    return Fault("EVENT_CODE_MISSING", sentence, f"/{EVENT_CODE}")


def about_parent(
    parent: OrderKey, event_type: str, order_id: str | None, event_types: Mapping[str, EventType]
) -> Iterator[Fault]:
    """Yield what is wrong with the parent that an order names; pointers are into the parent."""
    own, other = event_types.get(event_type), event_types.get(parent[0])
    if own is None or own.level != "chained":
        yield Fault("NOT_CHAINED", 'Only orders of an event type with level = "chained" have a parent.')
    elif parent[0] == event_type or (other and other.action_tracker_id == own.action_tracker_id):
        sentence = "A parent is of another event type, with another action tracker, than its child."
        yield Fault("PARENT_SAME_EVENT_TYPE", sentence, "/event_type")
    if parent[1] == order_id:
        yield Fault("PARENT_SAME_ORDER_ID", "A parent has another order id than its child.", "/order_id")


def about_recorded_parent(order: Order, customers: Mapping[OrderKey, str | None]) -> Fault | None:
    """Say what is wrong with an order beside its parent; `customers` holds the customer ids of recorded parents."""
    if order.parent is None:
        return None
    if order.parent not in customers:
        event_type, order_id = order.parent
        sentence = f"No order {order_id} of the event type {event_type} is recorded; send the parent before the child."
        return Fault("PARENT_NOT_FOUND", sentence, "/parent")
    if customers[order.parent] not in {FORGOTTEN, order.customer_id}:
        sentence = "The parent has another customer_id; a child is linked to its parent by the same one."
        return Fault("PARENT_CUSTOMER_DIFFERS", sentence, "/customer_id")
    return None


def generations(orders: Sequence[Order]) -> Iterator[list[int]]:
    """Yield the places of orders in groups, so that a parent is in an earlier group than its children."""
    waiting = list(range(len(orders)))
    while waiting:
        keys = {orders[place].key for place in waiting}
        ready = {place for place in waiting if orders[place].parent not in keys} or {*waiting}
        yield sorted(ready)
        waiting = [place for place in waiting if place not in ready]

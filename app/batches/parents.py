"""When a chained action may leave: impact.com must have its parent first, or the chain breaks."""

from enum import StrEnum
from typing import Final
from urllib.parse import quote

from app.conversions.order import PARENT_NOT_DELIVERED, OrderKey


class ParentState(StrEnum):
    """Where the parent of a chained action is; but for the first, the reason for which the child is held."""

    DELIVERED = "delivered"
    ON_ITS_WAY = PARENT_NOT_DELIVERED
    EXPIRED = "parent_expired"
    CANCELLED = "parent_cancelled"
    REJECTED = "parent_rejected"


OTHER_CUSTOMER: Final = "parent_customer_differs"
"""Why a chained action is held whose parent was replaced by one of another customer before it left."""


def why_cut_off(child: OrderKey, parent: OrderKey) -> str:
    """Return the sentence about a child that is held because the two have different customers."""
    (own_type, own_id), (event_type, order_id) = child, parent
    path = f"/orders/{quote(own_id, safe='')}?event_type={own_type}"
    return (
        f"Its parent, order {order_id} of {event_type}, was sent with another customer_id, and a child is linked to its"
        f" parent by the same one; replace this order by PUT {path}."
    )


def why_held(parent: OrderKey, state: ParentState) -> str:
    """Return the sentence about a child that is held."""
    event_type, order_id = parent
    return f"Its parent, order {order_id} of {event_type}, {_SENTENCES[state]}"


_SENTENCES: Final = {
    ParentState.ON_ITS_WAY: "has not been delivered yet; it goes with the first export after that.",
    ParentState.EXPIRED: "was too old to be sent, so that impact.com could not link it.",
    ParentState.REJECTED: (
        "was rejected by impact.com, so that it could not link it; GET of that order tells why. It goes when the parent"
        " was repaired and has been delivered."
    ),
    ParentState.CANCELLED: "was reversed before it was sent, so that impact.com could not link it.",
}

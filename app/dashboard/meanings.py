"""What states and reasons are called where people read them."""

from typing import Final

from app.conversions.order import NO_ATTRIBUTION, PARENT_NOT_DELIVERED
from app.delivery.attempt import BatchState
from app.impact.outcomes import NextStep, known_reasons
from app.ledger.state import OrderState

ORDERS: Final = {
    OrderState.PENDING: "waits for the next export",
    OrderState.HELD: "does not leave before somebody has seen to it",
    OrderState.EXPIRED: "was too old to be sent",
    OrderState.CANCELLED: "was reversed before it left",
    OrderState.BATCHED: "is in a file that has not arrived yet",
    OrderState.DELIVERED: "has arrived, and impact.com has not answered yet",
    OrderState.UNKNOWN: "is in a file that may have arrived, or not",
    OrderState.ACCEPTED: "was taken by impact.com",
    OrderState.PARTLY_ACCEPTED: "was taken by impact.com in part",
    OrderState.REJECTED: "was not taken by impact.com",
}
BATCHES: Final = {
    BatchState.RENDERED: "is made, and was not tried yet",
    BatchState.SENDING: "is being sent; failed attempts are repeated",
    BatchState.DELIVERED: "has arrived, and impact.com has not answered yet",
    BatchState.UNKNOWN: "may have arrived, or not",
    BatchState.FAILED: "has not arrived, and is tried no more by itself",
    BatchState.ACCEPTED: "was taken by impact.com",
    BatchState.PARTLY_REJECTED: "was taken by impact.com in part",
    BatchState.REJECTED: "was not taken by impact.com",
}
EXPORTS: Final = {
    "queued": "begins in a moment",
    "running": "is running",
    "done": "is done: its files are queued for delivery",
    "failed": "has failed",
}
STEPS: Final = {
    NextStep.FIX_AND_RESEND: "Fix and send again",
    NextStep.RESEND_LATER: "Send again later",
    NextStep.DO_NOT_RESEND: "Do not send again",
    NextStep.ASK_PARTNER_MANAGER: "Ask the partner manager",
}
HOLDS: Final = {
    NO_ATTRIBUTION: "It names neither a click id nor a promo code or media id, so that nobody would be credited.",
    PARENT_NOT_DELIVERED: "The order that it follows has not been delivered yet; it goes with the export after that.",
    "parent_expired": "The order that it follows was too old to be sent.",
    "parent_cancelled": "The order that it follows was reversed before it was sent.",
    "parent_rejected": "impact.com has not taken the order that it follows.",
    "parent_customer_differs": "The order that it follows was sent with another customer id.",
    "unknown_event_type": "Its event type is not set up any more.",
    "cannot_be_rendered": "It cannot be written as impact.com takes it.",
    "too_many_items": "It has more items than a file may have rows.",
    "too_old": "It is older than impact.com takes it.",
}
"""Why orders are held or left out; where an export has looked at one, its own sentence says more."""


def reasons() -> list[str]:
    """Return every reason that orders can be found by: ours, then impact.com's."""
    return [*HOLDS, *sorted(known_reasons())]

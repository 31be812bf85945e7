"""Where an order is, told from the records of every stage."""

from enum import StrEnum


class OrderState(StrEnum):
    """The states of an order. Every accepted order is in exactly one."""

    PENDING = "pending"
    HELD = "held"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    BATCHED = "batched"
    DELIVERED = "delivered"
    UNKNOWN = "unknown"
    ACCEPTED = "accepted"
    PARTLY_ACCEPTED = "partly_accepted"
    REJECTED = "rejected"


class CorrectionState(StrEnum):
    """The states of a correction. `applied`: the order is as it says, and it sends nothing of its own."""

    APPLIED = "applied"
    WAITING = "waiting"
    HELD = "held"
    BATCHED = "batched"
    DELIVERED = "delivered"
    UNKNOWN = "unknown"
    ACCEPTED = "accepted"
    PARTLY_ACCEPTED = "partly_accepted"
    REJECTED = "rejected"


def correction_state(
    *, waits: bool, hold_reason: str | None, batched: bool, arrived: bool, doubtful: bool, verdict: str | None = None
) -> CorrectionState:
    """Return a correction's state from the same facts of it as an order's."""
    if verdict is not None:
        return CorrectionState(verdict)
    if batched:
        return (
            CorrectionState.DELIVERED if arrived else CorrectionState.UNKNOWN if doubtful else CorrectionState.BATCHED
        )
    if waits:
        return CorrectionState.HELD if hold_reason else CorrectionState.WAITING
    return CorrectionState.APPLIED


def order_state(
    *,
    hold_reason: str | None,
    left_out: str | None,
    cancelled: bool,
    batched: bool,
    arrived: bool,
    doubtful: bool,
    verdict: str | None = None,
) -> OrderState:
    """Return an order's state from its latest revision's records, the rightmost first.

    `hold_reason` is that of its wait, `left_out` the state in which an export left it out, `cancelled` whether it is
    never to leave, `batched` whether it is in a batch, `arrived` whether that was delivered, `doubtful` whether that
    may have arrived, `verdict` what impact.com has decided.
    """
    if verdict is not None:
        return OrderState(verdict)
    if batched:
        return OrderState.DELIVERED if arrived else OrderState.UNKNOWN if doubtful else OrderState.BATCHED
    if cancelled:
        return OrderState.CANCELLED
    if left_out is not None:
        return OrderState(left_out)
    return OrderState.HELD if hold_reason else OrderState.PENDING

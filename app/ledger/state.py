"""Where an order is, told from the records of every stage."""

from enum import StrEnum


class OrderState(StrEnum):
    """The states of an order. Every accepted order is in exactly one."""

    PENDING = "pending"
    HELD = "held"
    EXPIRED = "expired"
    BATCHED = "batched"
    DELIVERED = "delivered"
    UNKNOWN = "unknown"


def order_state(
    *, hold_reason: str | None, left_out: str | None, batched: bool, arrived: bool, doubtful: bool
) -> OrderState:
    """Return an order's state from its latest revision's records, the rightmost first.

    `hold_reason` is that of its wait, `left_out` the state in which an export left it out, `batched` whether it is in a
    batch, `arrived` whether that was delivered, `doubtful` whether that may have arrived.
    """
    if batched:
        return OrderState.DELIVERED if arrived else OrderState.UNKNOWN if doubtful else OrderState.BATCHED
    if left_out is not None:
        return OrderState(left_out)
    return OrderState.HELD if hold_reason else OrderState.PENDING

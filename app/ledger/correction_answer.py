"""The answer to a correction: the order as it is in the end, and what impact.com will be told."""

from dataclasses import asdict
from datetime import datetime
from typing import Final, Literal

from pydantic import BaseModel

from app.conversions.correction import Corrected
from app.conversions.order import Order
from app.conversions.wish import Kind, Line, Wish
from app.impact.currency import format_amount
from app.ledger.orders import Money
from app.ledger.state import CorrectionState

Level = Literal["item", "order"]

DETAILS: Final = {
    CorrectionState.APPLIED: "Nothing of the order had left: the order itself was changed.",
    CorrectionState.WAITING: "It leaves with the first export after all earlier files with this order have arrived.",
    CorrectionState.HELD: "impact.com takes a line that leaves an amount at 0 for a modification, so that no file can"
    " reverse this order: reverse it in impact.com's interface or by its API.",
}
CANCELLED: Final = "Nothing of the order had left, and nothing of it will."
UNDONE: Final = "Nothing differs from what impact.com was told of the order: nothing is sent."


class CorrectedItem(BaseModel):
    """One line of the order in the end; `reason` is there if impact.com is told of it."""

    sku: str
    category: str
    quantity: int
    amount: Money
    reason: str | None


class CorrectionAnswer(BaseModel):
    """A correction that was accepted, and the order as it is then: final values, never differences.

    `level` says how impact.com is told: by the lines that have a `reason`, or by one line for the order; null if there
    is nothing to tell it. `corrected` are the SKUs that were spoken of.
    """

    order_id: str
    event_type: str
    number: int
    kind: Kind
    reason: str
    recorded_at: datetime
    occurred_at: datetime | None
    state: CorrectionState
    hold_reason: str | None
    detail: str
    level: Level | None
    currency: str
    amount: Money
    items: list[CorrectedItem]
    corrected: list[str]
    warnings: list[str]


def answer(
    order: Order, number: int, wish: Wish, corrected: Corrected, level: Level | None, now: datetime, *, had_left: bool
) -> CorrectionAnswer:
    """Return the answer to a correction that was recorded this moment."""
    state = CorrectionState.APPLIED
    if level is not None:
        state = CorrectionState.HELD if corrected.hold_reason else CorrectionState.WAITING
    detail = DETAILS[state]
    if level is None and had_left:
        detail = UNDONE
    elif level is None and corrected.reverses:
        detail = CANCELLED
    return CorrectionAnswer(
        order_id=order.order_id,
        event_type=order.event_type,
        number=number,
        kind=wish.kind,
        reason=wish.reason,
        recorded_at=now,
        occurred_at=wish.occurred_at,
        state=state,
        hold_reason=corrected.hold_reason if level else None,
        detail=detail,
        level=level,
        currency=order.currency,
        amount=format_amount(sum(line.amount for line in corrected.lines), order.currency),
        items=[_item(line, order.currency) for line in corrected.lines],
        corrected=list(corrected.skus),
        warnings=list(corrected.warnings),
    )


def _item(line: Line, currency: str) -> CorrectedItem:
    return CorrectedItem(**asdict(line) | {"amount": format_amount(line.amount, currency)})

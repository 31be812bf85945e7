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
from app.submissions.hold_corrections import ORDER_REJECTED

Level = Literal["item", "order"]

DETAILS: Final = {
    CorrectionState.APPLIED: "Nothing of the order had left: the order itself was changed.",
    CorrectionState.WAITING: "It leaves with the first export after all earlier files with this order have arrived, or"
    " were decided about by impact.com, where CAPTURE_CORRECTIONS_AFTER is accepted.",
    CorrectionState.HELD: "impact.com takes a line that leaves an amount at 0 for a modification, so that no file can"
    " reverse this order: with an account for its API (CAPTURE_IMPACT_ACCOUNT_SID) a call does so with the next export;"
    " without one, reverse it in impact.com's interface.",
}
DETAILS_OF_HOLDS: Final = {
    ORDER_REJECTED: "impact.com has not taken this order: what is left of it goes when the order is repaired and sent"
    " again.",
}
NOTHING_THERE: Final = "impact.com has not taken this order, and nothing of it is sent again."
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
    order: Order,
    number: int,
    wish: Wish,
    corrected: Corrected,
    level: Level | None,
    now: datetime,
    *,
    at_impact: bool | None,
) -> CorrectionAnswer:
    """Return the answer to a correction that was recorded this moment.

    `at_impact` says whether impact.com has taken the order, as far as is known; None if nothing of it has left.
    """
    state = CorrectionState.APPLIED
    if level is not None:
        state = CorrectionState.HELD if corrected.hold_reason else CorrectionState.WAITING
    detail = DETAILS_OF_HOLDS.get(corrected.hold_reason or "", DETAILS[state])
    if level is None:
        detail = _nothing_to_tell(at_impact, reverses=corrected.reverses)
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


def _nothing_to_tell(at_impact: bool | None, *, reverses: bool) -> str:
    if at_impact:
        return UNDONE
    if at_impact is None:
        return CANCELLED if reverses else DETAILS[CorrectionState.APPLIED]
    return NOTHING_THERE if reverses else UNDONE


def _item(line: Line, currency: str) -> CorrectedItem:
    return CorrectedItem(**asdict(line) | {"amount": format_amount(line.amount, currency)})

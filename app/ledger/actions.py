"""An order's action as impact.com tells it, as it is shown."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel
from sqlalchemy import Row
from sqlmodel import Session

from app.actions import store
from app.impact.currency import DECIMALS, format_amount


class ActionView(BaseModel):
    """What impact.com said of the order's action when it was read last; `state` is its own word.

    `locks_at` is when nothing of it can be changed any more, `cleared_at` when the partner was paid.
    """

    id: str
    state: str
    amount: str | None
    payout: str | None
    currency: str | None
    locks_at: datetime | None
    cleared_at: datetime | None


def find_action(session: Session, conversion_id: int, action_id: str | None) -> ActionView | None:
    """Return the action of an order: the one of this name, if there are several, else the newest."""
    actions = store.actions_of(session, [conversion_id]).get(conversion_id)
    if not actions:
        return None
    named = [row for row in actions if row.action_id == action_id]
    return _view(named[0] if named else store.newest(actions))


def _view(row: Row[Any]) -> ActionView:
    return ActionView(
        id=row.action_id,
        state=row.state,
        amount=told_amount(row.amount, row.currency),
        payout=told_amount(row.payout, row.currency),
        currency=row.currency,
        locks_at=row.locks_at,
        cleared_at=row.cleared_at,
    )


def told_amount(amount: int | None, currency: str | None) -> str | None:
    """Return an amount as text, None if it is not known."""
    return None if amount is None or currency not in DECIMALS else format_amount(amount, currency)

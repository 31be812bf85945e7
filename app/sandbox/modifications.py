"""What becomes of a modification or a reversal of an action. Amounts are final values, and 0 reverses."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from app.sandbox.ledger import REVERSED, Action, Item, Ledger, Update
from app.sandbox.money import minor_units, percentage, spread
from app.sandbox.program import MAX_MODIFICATIONS, Program

FILE, PUT, DELETE = "file reason", "API PUT", "API DELETE"
"""Where a reason is given, as the list of reason codes has it."""

_WHOLE: Final = re.compile(r"[0-9]{1,9}", re.ASCII)
_SIGNED: Final = re.compile(r"-?[0-9.]+", re.ASCII)


@dataclass(frozen=True)
class Wish:
    """What one item is to be, or the whole action where no SKU is named. `number` is where that stands."""

    number: int
    reason: str
    sku: str = ""
    amount: str = ""
    quantity: str = ""
    category: str = ""
    delta: str = ""


@dataclass(frozen=True)
class Change:
    """What is wanted of one action, which is named by its id, or by event type and order id."""

    action_id: str
    tracker_id: str
    oid: str
    wishes: Sequence[Wish]
    place: str
    currency: str = ""
    customer_status: str = ""


def find(change: Change, ledger: Ledger) -> Action | None:
    """Return the action that is meant; the newest of its order."""
    if change.action_id:
        return ledger.actions.get(change.action_id)
    return ledger.newest(change.tracker_id, change.oid)


def apply(change: Change, ledger: Ledger, program: Program, now: datetime) -> list[str]:
    """Do what is wanted, and return why each wish was refused, "" where it was done."""
    action = find(change, ledger)
    if action is None:
        return ["ACTION_NOT_FOUND"] * len(change.wishes)
    if why := _refusal(change, action, program, now):
        return [why] * len(change.wishes)
    before = action.amount
    told = [_grant(wish, change, action, program, now, ledger) for wish in change.wishes]
    if not all(told):
        action.modifications += 1
        action.updated_at = now
        action.is_reversed = action.is_reversed or (before > 0 and action.amount == 0)
    return told


def _refusal(change: Change, action: Action, program: Program, now: datetime) -> str:
    """Return why nothing of an action can be changed as is wanted."""
    if change.currency and change.currency != action.currency:
        return "INVALID_CURRENCY_CODE"
    if closed := action.closed_by(now):
        return closed
    return program.options.too_many_reason if action.modifications >= MAX_MODIFICATIONS else ""


def _grant(wish: Wish, change: Change, action: Action, program: Program, now: datetime, ledger: Ledger) -> str:
    if not program.knows_reason(wish.reason, change.place):
        return "BAD_DISPOSITION"
    before = action.amount
    why = _set_item(wish, action) if wish.sku else _set_whole(wish, change, action, program)
    if wish.reason in program.approving and why in {"", "NO_CHANGE"}:
        action.is_approved, why = True, ""
    if not why:
        ledger.updates.append(_update(wish, action, before, program, ledger, now))
    return why


def _update(wish: Wish, action: Action, before: int, program: Program, ledger: Ledger, now: datetime) -> Update:
    """Return the entry of the log for what was done."""
    percent = program.options.payout_percent
    return Update(
        f"{action.id}.{len(ledger.updates) + 1}",
        action,
        REVERSED if before and not action.amount else action.state(now),
        wish.reason,
        wish.sku,
        sum(item.quantity for item in action.items if wish.sku in {"", item.sku}),
        action.amount - before,
        percentage(action.amount, percent) - percentage(before, percent),
        now,
    )


def _set_item(wish: Wish, action: Action) -> str:
    """Give an item its final values, and return why not."""
    item = next((one for one in action.items if one.sku == wish.sku), None)
    if item is None or (wish.quantity and not _WHOLE.fullmatch(wish.quantity)):
        return "MALFORMED"  # nothing can be added to an action
    amount = _amount(wish, item, action.currency)
    if amount is None:
        return "AMOUNT_NEGATIVE_OR_NOT_A_NUMBER"
    quantity = int(wish.quantity) if wish.quantity else item.quantity
    if quantity != item.quantity and not (wish.amount or wish.delta):
        return "MALFORMED"  # another quantity needs its amount
    category = wish.category or item.category
    if (amount, quantity, category) == (item.amount, item.quantity, item.category):
        return "NO_CHANGE"
    item.amount, item.quantity, item.category = amount, quantity, category
    return ""


def _amount(wish: Wish, item: Item, currency: str) -> int | None:
    if wish.delta:
        size = minor_units(wish.delta.removeprefix("-"), currency) if _SIGNED.fullmatch(wish.delta) else None
        amount = None if size is None else item.amount + (-size if wish.delta.startswith("-") else size)
        return None if amount is None or amount < 0 else amount
    return minor_units(wish.amount, currency) if wish.amount else item.amount


def _set_whole(wish: Wish, change: Change, action: Action, program: Program) -> str:
    """Give a whole action its final amount, and return why not."""
    amount = minor_units(wish.amount, action.currency) if wish.amount else action.amount
    if amount is None:
        return "AMOUNT_NEGATIVE_OR_NOT_A_NUMBER"
    if amount == action.amount == 0 and (change.place == DELETE or program.options.zero_reversal == "yes"):
        action.is_reversed = True
        return ""
    status = change.customer_status
    if amount == action.amount and status in {"", action.said.get("CustomerStatus", "")}:
        return "NO_CHANGE"
    if status:
        action.said["CustomerStatus"] = status
    _spread(amount, action.items)
    return ""


def _spread(amount: int, items: list[Item]) -> None:
    """Let items have a new sum, each its share; of a reversed action nothing is left."""
    weights = [item.amount for item in items]
    for item, part in zip(items, spread(amount, weights if any(weights) else [1] * len(items)), strict=True):
        item.amount = part
        item.quantity = item.quantity if amount else 0

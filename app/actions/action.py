"""An action as impact.com tells it: read with care, whatever way it spells numbers, ids and times. Pure.

Facts: the OpenAPI document of Actions (v14). Amounts are JSON numbers there and texts in older examples; the order id
is `Oid`, elsewhere `OrderId`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final, NamedTuple

from app.impact.currency import AMOUNT_LIMIT, DECIMALS
from app.strict_json import unusable

REVERSED: Final = "REVERSED"
"""The state in which nothing is paid for an action."""
MAX_TEXT: Final = 256


class ActionFacts(NamedTuple):
    """What impact.com says of an action. Amounts are in minor units of `currency`, None where they cannot be exact."""

    action_id: str
    campaign_id: str
    action_tracker_id: str
    order_id: str
    state: str
    currency: str | None
    amount: int | None
    payout: int | None
    event_at: datetime | None
    created_at: datetime | None
    locks_at: datetime | None
    cleared_at: datetime | None


@dataclass(frozen=True, slots=True)
class UpdateFacts:
    """A line of impact.com's log: how an action stood from `updated_at` on."""

    action_id: str
    state: str
    locks_at: datetime | None
    updated_at: datetime


def read_action(row: Mapping[str, Any]) -> ActionFacts | None:
    """Return what a row of Actions says, None if it names no action."""
    action_id = _text(row, "Id", "ActionId")
    if not action_id:
        return None
    currency = _text(row, "Currency", "CurrencyCode").upper() or None
    return ActionFacts(
        action_id=action_id,
        campaign_id=_text(row, "CampaignId"),
        action_tracker_id=_text(row, "ActionTrackerId", "EventTypeId"),
        order_id=_text(row, "Oid", "OrderId"),
        state=_text(row, "State", "Status").upper(),
        currency=currency,
        amount=minor_units(_first(row, "Amount", "SaleAmount"), currency),
        payout=minor_units(row.get("Payout"), currency),
        event_at=read_time(_first(row, "EventDate", "ActionDate")),
        created_at=read_time(row.get("CreationDate")),
        locks_at=read_time(row.get("LockingDate")),
        cleared_at=read_time(_first(row, "ClearedDate", "ClearingDate")),
    )


def read_update(row: Mapping[str, Any]) -> UpdateFacts | None:
    """Return what a row of ActionUpdates says, None if it says of no action how it stands since when."""
    action_id, state = _text(row, "ActionId"), _text(row, "State").upper()
    updated_at = read_time(row.get("UpdateDate"))
    if not action_id or not state or updated_at is None:
        return None
    return UpdateFacts(action_id, state, read_time(row.get("LockingDate")), updated_at)


def minor_units(value: Any, currency: str | None) -> int | None:
    """Return an amount in minor units, None if it is none, or not a whole number of them.

    A JSON number may have come through binary floating point: its shortest text is what impact.com wrote, as long as
    that has no more than 15 digits, which no amount below the limit has in a currency of up to three decimals.
    """
    if value is None or isinstance(value, bool) or currency not in DECIMALS:
        return None
    try:
        amount = Decimal(repr(value) if isinstance(value, float) else str(value).strip())
    except InvalidOperation:
        return None
    if not amount.is_finite() or abs(amount) >= AMOUNT_LIMIT:
        return None
    scaled = amount.scaleb(DECIMALS[currency])
    return int(scaled) if scaled == scaled.to_integral_value() else None


def read_time(value: Any) -> datetime | None:
    """Return a time of impact.com's in UTC, None if it is none. One without an offset is UTC."""
    try:
        moment = datetime.fromisoformat(str(value).strip()) if value else None
        if moment is None:
            return None
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _first(row: Mapping[str, Any], *names: str) -> Any:
    """Return what stands under the first of these names that says something."""
    return next((row[name] for name in names if row.get(name) not in (None, "")), None)


def _text(row: Mapping[str, Any], *names: str) -> str:
    """Return the same as text: a number as it is written, nothing where no text can be kept."""
    value = next((row[name] for name in names if isinstance(row.get(name), str | int) and row[name] != ""), "")
    text = str(value)
    return "" if isinstance(value, bool) or len(text) > MAX_TEXT or unusable(text) else text

"""What a call of impact.com's API says of an order, or of a correction of it: what files say, by other names.

A promo code or a media id is there where a file has it. What an order carries in `extra`, and its customer status, is
there in any case: a file has columns for it, a call has none to be configured.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from app.batches.batch import AgeLimit, needs_media_id
from app.batches.modification import Modification, values
from app.conversions.order import Attribution, Item, Order
from app.event_type import EventType
from app.impact.api_fields import (
    ACTIONS,
    APP,
    CONVERSIONS,
    ORDER_AMOUNT,
    ORDER_AMOUNTS,
    deletion_reason,
    item_name,
    numbered,
)
from app.impact.client import Method
from app.impact.columns import EVENT_CODE, Level
from app.impact.currency import format_amount

Fields = dict[str, str]
_PROMO_CODE: Final = frozenset({"PromoCode", "OrderPromoCode"})
_MEDIA_ID: Final = frozenset({"MediaId", "MediaPartnerId"})


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked of the API."""

    method: Method
    uri: str
    fields: Fields


def conversion(order: Order, event_type: EventType, limit: AgeLimit, now: datetime) -> Request:
    """Return the call that reports an order."""
    extra = {name: value for name, value in order.extra.items() if name not in ORDER_AMOUNTS}
    said = {
        "CampaignId": str(event_type.campaign_id),
        "ActionTrackerId": str(event_type.action_tracker_id),
        "EventDate": order.event_date.isoformat(timespec="seconds"),
        "OrderId": order.order_id,
        "ClickId": order.click_id,
        "CustomerId": order.customer_id,
        "CurrencyCode": order.currency,
        "OrderPromoCode": order.promo_code if _tells_promo_code(order, event_type) else None,
        "MediaId": order.media_id if _tells_media_id(order, event_type, limit, now) else None,
        "CustomerStatus": order.customer_status,
    }
    if event_type.level == "mobile":
        said |= {APP: str(event_type.action_tracker_id), EVENT_CODE: event_type.event_code}
    fields = {name: value for name, value in (said | extra).items() if value}
    if not event_type.has_item_lines:
        return Request("POST", CONVERSIONS, fields | {ORDER_AMOUNT: format_amount(order.amount, order.currency)})
    for number, item in enumerate(order.items, 1):
        fields |= _item(item, number, order.currency)
    return Request("POST", CONVERSIONS, fields)


def _tells_promo_code(order: Order, event_type: EventType) -> bool:
    return order.attribution is Attribution.PROMO_CODE or bool(_PROMO_CODE & {*event_type.columns})


def _tells_media_id(order: Order, event_type: EventType, limit: AgeLimit, now: datetime) -> bool:
    return needs_media_id(order, limit, now) or bool(_MEDIA_ID & {*event_type.columns})


def _item(item: Item, number: int, currency: str) -> Fields:
    extra = {item_name(name, number): value for name, value in item.extra.items() if value}
    own = {
        "Sku": item.sku,
        "Category": item.category,
        "Quantity": str(item.quantity),
        "SubTotal": format_amount(item.amount, currency),
    }
    return extra | {item_name(name, number): value for name, value in own.items() if value}


def correction(said: Modification, level: Level, reason: str, event_type: EventType, *, reverses: bool) -> Request:
    """Return the call that corrects an order: what is left of it, or that nothing is."""
    names = _names(said, event_type)
    if reverses:
        return Request("DELETE", ACTIONS, names | {"DispositionCode": deletion_reason(reason)})
    told = names | {"Reason": reason, "DispositionCode": reason}
    if level is Level.ORDER:
        [line] = said.lines
        return Request("PUT", ACTIONS, told | {"Amount": values(line, said.currency, level)[0]})
    return Request("PUT", ACTIONS, told | dict(_lines(said)))


def _names(said: Modification, event_type: EventType) -> Fields:
    if said.action_id:
        return {"ActionId": said.action_id}
    return {"ActionTrackerId": str(event_type.action_tracker_id), "OrderId": said.order_id}


def _lines(said: Modification) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(said.lines, 1):
        cells = values(line, said.currency, Level.ITEM)
        for name, value in zip(("Sku", "Amount", "Quantity", "Category"), cells, strict=False):
            if value:
                yield numbered(name, number), value

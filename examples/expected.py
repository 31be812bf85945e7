"""What should become of every line of `orders.jsonl`: the contract, told a second time and without the service's code.

A demo that asked the service's own rules would agree with it whatever they say.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from examples.catalogue import DECIMALS

CAMPAIGN_ID: Final = "1000"
ACTION_TRACKER_ID: Final = "4321"
COLUMNS: Final = (
    "CampaignId",
    "ActionTrackerId",
    "EventDate",
    "OrderId",
    "ClickId",
    "CustomerId",
    "CurrencyCode",
    "Amount",
    "Category",
    "Sku",
    "Quantity",
)
"""What impact.com wants at least in an item-level file, in this order."""

Order = Mapping[str, Any]
Row = Mapping[str, str]

_EVENT_DAY = re.compile(r'("event_date": ")(\d{4}-\d\d-\d\d)')
_OFFSET = re.compile(r"(Z|[+-]\d\d:\d\d)$")
_LARGE = 300  # items
_MAX_DAYS, _MAX_DAYS_WITH_MEDIA_ID = 88, 398


@dataclass(frozen=True, slots=True)
class Group:
    """Orders of one fate. `state` is what the service says of them after the export, None if they are not recorded."""

    name: str
    status: int
    state: str | None
    why: str


CLICK = Group("with a click id", 201, "delivered", "the click id names the partner")
PROMO = Group("with a promo code only", 201, "delivered", "the code names the partner: PromoCode")
MEDIA = Group("with a partner's id only", 201, "delivered", "the shop names the partner: MediaId")
LARGE = Group(f"one of {_LARGE} items", 201, "delivered", "all its lines stay together in one file")
MEDIA_OLD = Group("89 to 398 days old, partner's id", 201, "delivered", "impact.com takes these by MediaId only")
HELD = Group("without click, code or partner", 201, "held", "no_attribution: a person decides")
TOO_OLD = Group("older than 88 days", 201, "expired", "impact.com would not process them")
TOO_OLD_MEDIA = Group("older than 398 days, partner's id", 201, "expired", "too old even with MediaId")
REPEATED = Group("sent again, same meaning", 200, None, "recorded once, however it is written")
CHANGED = Group("sent again, other content", 409, None, "a change must come as a modification")
FAULTY = Group("with faults of the backend", 422, None, "every fault is named, nothing recorded")

GROUPS: Final = (
    CLICK,
    PROMO,
    MEDIA,
    LARGE,
    MEDIA_OLD,
    HELD,
    TOO_OLD,
    TOO_OLD_MEDIA,
    REPEATED,
    CHANGED,
    FAULTY,
)


@dataclass(frozen=True, slots=True)
class Line:
    """A line to be posted: its text, what it says, and what should become of it."""

    number: int
    text: str
    order: Order
    group: Group


def moved(text: str, days: int) -> str:
    """Return a line's text with its order so many days later, at the same time of day."""

    def later(match: re.Match[str]) -> str:
        return f"{match[1]}{date.fromisoformat(match[2]) + timedelta(days=days)}"

    return _EVENT_DAY.sub(later, text, count=1)


def read_lines(text: str, days: int, now: datetime) -> list[Line]:
    """Return the lines of the file's text, moved by so many days, with what should become of each."""
    lines: list[Line] = []
    first: dict[str, Any] = {}
    for number, one in enumerate((moved(one, days) for one in text.splitlines()), start=1):
        order = json.loads(one, parse_float=Decimal)
        group = group_of(order, now, first)
        if group.state:
            first[order["order_id"]] = meaning(order)
        lines.append(Line(number, one, order, group))
    return lines


def group_of(order: Order, now: datetime, first: Mapping[str, Any]) -> Group:
    """Say which group the order is in. `first`: the meaning of every order that was accepted before, by order id."""
    if faults_of(order):
        return FAULTY
    known = first.get(order["order_id"])
    if known is None:
        return group_of_new(order, now)
    return REPEATED if known == meaning(order) else CHANGED


def group_of_new(order: Order, now: datetime) -> Group:
    """Say which group an order is in that is right and came for the first time."""
    if not {"click_id", "promo_code", "media_id"} & order.keys():
        return HELD
    days = age(order, now).days
    if "media_id" in order:
        return MEDIA if days < _MAX_DAYS else MEDIA_OLD if days < _MAX_DAYS_WITH_MEDIA_ID else TOO_OLD_MEDIA
    if days >= _MAX_DAYS:
        return TOO_OLD
    if len(order["items"]) >= _LARGE:
        return LARGE
    return CLICK if "click_id" in order else PROMO


def age(order: Order, now: datetime) -> timedelta:
    """Return how long ago the order was placed."""
    return now - datetime.fromisoformat(order["event_date"])


def faults_of(order: Order) -> list[str]:
    """Return where the order has one of the faults that the file has, as sorted JSON pointers."""
    decimals = DECIMALS.get(order["currency"])
    found = ["/currency"] if decimals is None else []
    if not _OFFSET.search(order["event_date"]):
        found.append("/event_date")
    if "@" in order["customer_id"]:
        found.append("/customer_id")
    for place, item in enumerate(order["items"]):
        if decimals is not None and wrong_amount(item["amount"], decimals):
            found.append(f"/items/{place}/amount")
    return sorted(found)


def wrong_amount(amount: str | int | Decimal, decimals: int) -> bool:
    """Say whether an amount is negative or has more decimals than its currency."""
    exponent = Decimal(amount).as_tuple().exponent
    return Decimal(amount) < 0 or not isinstance(exponent, int) or -exponent > decimals


def meaning(order: Order) -> Order:
    """Return what the order says, whichever way its amounts are written and its keys are sorted."""
    return {**order, "items": [{**item, "amount": Decimal(item["amount"])} for item in order["items"]]}


def total(order: Order) -> Decimal:
    """Return what the order is worth."""
    return sum((Decimal(item["amount"]) for item in order["items"]), Decimal(0))


def totals(orders: Iterable[Order]) -> dict[str, Decimal]:
    """Return the orders' worth per currency, in alphabetical order."""
    sums: dict[str, Decimal] = {}
    for order in orders:
        sums[order["currency"]] = sums.get(order["currency"], Decimal(0)) + total(order)
    return dict(sorted(sums.items()))


def rows_of(order: Order) -> list[Row]:
    """Return the lines that a file should have for the order: one per SKU, with the amounts of a SKU added up."""
    merged: dict[str, dict[str, Any]] = {}
    for item in order["items"]:
        if known := merged.get(item["sku"]):
            known["quantity"] += item["quantity"]
            known["amount"] += Decimal(item["amount"])
        else:
            merged[item["sku"]] = {**item, "amount": Decimal(item["amount"])}
    return [_row(order, item) for item in merged.values()]


def _row(order: Order, item: Order) -> Row:
    decimals = DECIMALS[order["currency"]]
    values = (
        CAMPAIGN_ID,
        ACTION_TRACKER_ID,
        datetime.fromisoformat(order["event_date"]).isoformat(timespec="seconds"),
        order["order_id"],
        order.get("click_id", ""),
        order["customer_id"],
        order["currency"],
        f"{item['amount']:.{decimals}f}",
        item["category"],
        item["sku"],
        str(item["quantity"]),
    )
    return dict(zip(COLUMNS, values, strict=True)) | _attribution(order)


def _attribution(order: Order) -> dict[str, str]:
    """Return the columns that an order without a click needs."""
    if "click_id" in order:
        return {}
    return {"PromoCode": order.get("promo_code", ""), "MediaId": str(order.get("media_id", ""))}


def in_groups(lines: Sequence[Line]) -> dict[Group, list[Line]]:
    """Return the lines of every group that has some."""
    found = {group: [line for line in lines if line.group is group] for group in GROUPS}
    return {group: members for group, members in found.items() if members}

"""What the shop sold: an order and its items, and what makes two bodies the same order."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final

import orjson

from app.impact.columns import EXTRA, Kind

MAX_ORDER_ID: Final = 64
NO_ATTRIBUTION: Final = "no_attribution"
PARENT_NOT_DELIVERED: Final = "parent_not_delivered"

OrderKey = tuple[str, str]
"""Event type and order id: what makes an order one order."""


class Attribution(StrEnum):
    """By which of its ids an order is credited to a partner."""

    CLICK = "click_id"
    PROMO_CODE = "promo_code"
    MEDIA = "media_id"
    PARENT = "parent"


@dataclass(frozen=True, slots=True)
class Item:
    """One line of an order. `amount` is the line's total in minor units."""

    sku: str
    category: str
    quantity: int
    amount: int
    extra: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Order:
    """An order as it is recorded: valid, its items merged to one line per SKU.

    A chained action may have a `parent`, another order that impact.com must have before it.

    Where a rule for promo codes has added to it, `sent_as` is the fingerprint of what was sent, and `goes_under` the
    event type that it is to be recorded under, if that is another.
    """

    event_type: str
    order_id: str
    event_date: datetime
    currency: str
    items: tuple[Item, ...]
    click_id: str | None = None
    promo_code: str | None = None
    media_id: str | None = None
    customer_id: str | None = None
    customer_status: str | None = None
    extra: Mapping[str, str] = field(default_factory=dict)
    parent: OrderKey | None = None
    sent_as: str | None = field(default=None, compare=False)
    goes_under: str | None = field(default=None, compare=False)

    @property
    def key(self) -> OrderKey:
        """What makes an order one order: two event types may use the same order id."""
        return self.event_type, self.order_id

    @property
    def amount(self) -> int:
        """The sum of the items in minor units."""
        return sum(item.amount for item in self.items)

    @property
    def attribution(self) -> Attribution | None:
        """The first of click id, promo code and media id that the order has; else it is credited as its parent is."""
        if self.click_id is not None:
            return Attribution.CLICK
        if self.promo_code is not None:
            return Attribution.PROMO_CODE
        if self.media_id is not None:
            return Attribution.MEDIA
        return Attribution.PARENT if self.parent is not None else None

    @property
    def hold_reason(self) -> str | None:
        """Why the order must wait for a person or its parent, or None if it may leave."""
        if self.parent is not None:
            return PARENT_NOT_DELIVERED
        return None if self.attribution else NO_ATTRIBUTION

    def with_lines(self, lines: Iterable[tuple[int, int, str]]) -> "Order":
        """Return the order with another quantity, amount and category of each item."""
        items = zip(self.items, lines, strict=True)
        return replace(
            self,
            items=tuple(
                replace(item, quantity=quantity, amount=amount, category=category)
                for item, (quantity, amount, category) in items
            ),
        )

    def fingerprint(self) -> str:
        """Return the SHA-256 of what the order means: equal for bodies that differ only in their writing.

        The order of keys and of items, `10` or `10.00`, and the offset in which one instant is written do not matter.
        Nor do rules, which may change: it is that of the order as it was sent.
        """
        if self.sent_as is not None:
            return self.sent_as
        meaning: dict[str, Any] = {
            "event_type": self.event_type,
            "order_id": self.order_id,
            "event_date": self.event_date.astimezone(UTC).isoformat(),
            "currency": self.currency,
            "click_id": self.click_id,
            "promo_code": self.promo_code,
            "media_id": self.media_id,
            "customer_id": self.customer_id,
            "customer_status": self.customer_status,
            "extra": _meaning(self.extra),
            "items": sorted(
                [item.sku, item.category, item.quantity, item.amount, _meaning(item.extra)] for item in self.items
            ),
        }
        if self.parent is not None:
            meaning["parent"] = self.parent
        return hashlib.sha256(orjson.dumps(meaning, option=orjson.OPT_SORT_KEYS)).hexdigest()


def merge(items: Sequence[Item]) -> tuple[Item, ...]:
    """Make the lines of one SKU one line: quantities and amounts added, the rest from the first.

    Corrections name a line by its SKU, so a SKU must name one line.
    """
    merged: dict[str, Item] = {}
    for item in items:
        first = merged.get(item.sku)
        merged[item.sku] = item if first is None else _added(first, item)
    return tuple(merged.values())


def _added(first: Item, more: Item) -> Item:
    return replace(first, quantity=first.quantity + more.quantity, amount=first.amount + more.amount)


def _meaning(extra: Mapping[str, str]) -> dict[str, str]:
    return {name: _meant(text, EXTRA[name].kind) for name, text in extra.items()} if extra else {}


def _meant(text: str, kind: Kind) -> str:
    match kind:
        case Kind.DECIMAL | Kind.INTEGER:
            number = Decimal(text)
            return format(number.normalize(), "f") if number else "0"
        case Kind.DATETIME:
            return datetime.fromisoformat(text).astimezone(UTC).isoformat()
        case _:
            return text


def is_order_id(value: str) -> bool:
    """Say whether `value` can be an order id."""
    return 0 < len(value) <= MAX_ORDER_ID and value.isprintable() and value == value.strip()

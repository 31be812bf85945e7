"""What a file for impact.com is: which orders go into it, its columns, its lines, its name.

Facts: impact.com's FTP and e-mail conversion guide (columns and their order, lines of an order consecutive, under
10,000 entries, 88 days or 398 with MediaId). CRLF and quoting by RFC 4180; impact.com's documents are silent on both.
"""

import csv
import hashlib
import io
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from itertools import accumulate
from typing import Final

from app.conversions.order import Attribution, Item, Order
from app.event_type import EventType
from app.impact.columns import EVENT_CODE, FIELD_OF, FILE_COLUMNS, OPTIONAL_COLUMNS, TRACKING_CONSENT, Level
from app.impact.currency import format_amount

HEADER_LINES: Final = 1


class BatchKind(StrEnum):
    """What the lines of a file are."""

    CONVERSIONS = "conversions"
    MODIFICATIONS = "modifications"


TITLES: Final = {BatchKind.CONVERSIONS: "ActionData", BatchKind.MODIFICATIONS: "ModificationData"}
"""The word in a file's name; never `receipt_` or `result_` at the beginning, which impact.com ignores."""


@dataclass(frozen=True, slots=True)
class AgeLimit:
    """How old an order may be when it is rendered, in days; the margin is taken off already."""

    days: int
    days_with_media_id: int

    def of(self, order: Order) -> timedelta:
        """Return the age at which `order` is too old."""
        return self.age(has_media_id=order.media_id is not None)

    def age(self, *, has_media_id: bool) -> timedelta:
        """Return the age at which an order with or without a media id is too old."""
        return timedelta(days=self.days_with_media_id if has_media_id else self.days)


@dataclass(frozen=True, slots=True)
class BatchFile:
    """A file as it leaves: `first_lines` holds the line number of each order's first line, the header being line 1."""

    name: str
    content: bytes
    rows: int
    first_lines: tuple[int, ...]

    @property
    def sha256(self) -> str:
        """The SHA-256 of the content, in hex."""
        return sha256(self.content)


def sha256(content: bytes) -> str:
    """Return the SHA-256 of a file, in hex."""
    return hashlib.sha256(content).hexdigest()


def file_name(kind: BatchKind, event_type: str, batch_id: str, day: date) -> str:
    """Return `2026-11-22_ActionData_default_<batch id>.csv`: impact.com asks for a title and a date."""
    return f"{day.isoformat()}_{TITLES[kind]}_{event_type}_{batch_id}.csv"


@dataclass(frozen=True, slots=True)
class Credits:
    """Which ids beside the click id some order of a file is credited by, so that they must be columns of it."""

    promo_code: bool = False
    media_id: bool = False


def is_too_old(order: Order, limit: AgeLimit, now: datetime) -> bool:
    """Say whether impact.com would not process the order any more."""
    return now - order.event_date > limit.of(order)


def needs_media_id(order: Order, limit: AgeLimit, now: datetime) -> bool:
    """Say whether MediaId must be in the file: it is needed for the credit, or for the order's age.

    Where there is no click, a promo code credits only a partner whom impact.com knows by it, and a media id its own.
    """
    if order.media_id is None:
        return False
    return order.click_id is None or now - order.event_date > timedelta(days=limit.days)


def render(name: str, orders: Sequence[Order], event_type: EventType, limit: AgeLimit, now: datetime) -> BatchFile:
    """Return the file of `orders`, in the order given: one line per item, or per order as the event type's level says.

    PromoCode and MediaId are columns when an order of the file is credited by them; they are then filled for those
    orders only, so that what a file says of an order does not depend on its neighbours.
    """
    by_promo_code = {order.key for order in orders if order.attribution is Attribution.PROMO_CODE}
    by_media_id = {order.key for order in orders if needs_media_id(order, limit, now)}
    credited = Credits(promo_code=bool(by_promo_code), media_id=bool(by_media_id))
    added = added_columns(event_type.columns, credited)
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    required = FILE_COLUMNS[event_type.level]
    value_of = [_value_of(column, event_type) for column in event_type.columns]
    for order in orders:
        of_order = _order_cells(order, event_type)
        credit = {
            "PromoCode": order.promo_code if order.key in by_promo_code else None,
            "MediaId": order.media_id if order.key in by_media_id else None,
        }
        after = [credit[column] or "" for column in added]
        for line in lines_of(order, event_type):
            cells = of_order | _item_cells(line, order.currency)
            optional = (value(order, line) or "" for value in value_of)
            writer.writerow((*(cells[column] for column in required), *optional, *after))
    sizes = [len(lines_of(order, event_type)) for order in orders]
    return assemble(name, event_type, credited, out.getvalue(), sizes)


def with_consent(order: Order, event_type: EventType, granted: Collection[str]) -> Order:
    """Return the order as it is told: with TrackingConsent where its event type asks for it and its click has it.

    `granted` are clicks to which the visitor consented. What the shop said of the order itself stays, and of silence
    nothing is told: it is no answer.
    """
    if event_type.tracking_consent and order.click_id in granted and TRACKING_CONSENT not in order.extra:
        return replace(order, extra={**order.extra, TRACKING_CONSENT: "true"})
    return order


def lines_of(order: Order, event_type: EventType) -> tuple[Item, ...]:
    """Return the lines of an order in a file: its items, or the whole order as a single one without a name."""
    return order.items if event_type.has_item_lines else (Item("", "", 0, order.amount),)


def assemble(name: str, event_type: EventType, credited: Credits, lines: str, sizes: Sequence[int]) -> BatchFile:
    """Return the file that has these lines; `sizes` holds the number of lines of each order."""
    header = ",".join((*event_type.file_columns, *added_columns(event_type.columns, credited)))
    *first_lines, end = accumulate(sizes, initial=HEADER_LINES + 1)
    return BatchFile(name, f"{header}\r\n{lines}".encode(), end - HEADER_LINES - 1, tuple(first_lines))


def added_columns(configured: Iterable[str], credited: Credits) -> list[str]:
    """Return the credit columns that the orders need and the event type does not have already."""
    has = set(configured)
    added = ["PromoCode"] if credited.promo_code and not has & {"PromoCode", "OrderPromoCode"} else []
    return added + (["MediaId"] if credited.media_id and not has & {"MediaId", "MediaPartnerId"} else [])


def _order_cells(order: Order, event_type: EventType) -> dict[str, str]:
    return {
        "CampaignId": str(event_type.campaign_id),
        "ActionTrackerId": str(event_type.action_tracker_id),
        "EventDate": order.event_date.isoformat(timespec="seconds"),
        "OrderId": order.order_id,
        "ClickId": order.click_id or "",
        "CustomerId": order.customer_id or "",
        "CurrencyCode": order.currency,
    }


def _item_cells(item: Item, currency: str) -> dict[str, str]:
    return {
        "Amount": format_amount(item.amount, currency),
        "Category": item.category,
        "Sku": item.sku,
        "Quantity": str(item.quantity),
    }


def _value_of(column: str, event_type: EventType) -> Callable[[Order, Item], str | None]:
    """Return where the value of an optional column comes from."""
    if field := FIELD_OF.get(column):
        return lambda order, _: getattr(order, field)
    if OPTIONAL_COLUMNS[column].level is Level.ITEM:
        return lambda _, item: item.extra.get(column)
    default = event_type.event_code if column == EVENT_CODE else None
    return lambda order, _: order.extra.get(column, default)


def expires_at(order: Order, limit: AgeLimit) -> datetime:
    """Return the last instant at which the order can be rendered, in UTC."""
    return order.event_date.astimezone(UTC) + limit.of(order)

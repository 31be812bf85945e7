"""The lines of a file, joined, formatted and put together by the database, in one statement that returns one text.

What a line is, `batch.render` defines; this says the same in SQL, since a million items are formatted where they lie
in a fraction of the time that it takes to bring them here. Tests hold the two against each other byte by byte.
"""

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache, reduce
from typing import Any, Final

from sqlalchemy import (
    CTE,
    BigInteger,
    ColumnElement,
    Select,
    Text,
    and_,
    bindparam,
    case,
    cast,
    func,
    literal,
    or_,
    select,
)
from sqlmodel import Session

from app.batches.batch import Credits, added_columns
from app.clicks.click import GRANTED
from app.clicks.store import CLICK
from app.conversions.store import CONVERSION, ITEM, REVISION
from app.database import UTCDateTime, json_member, number_table, number_values
from app.event_type import EventType
from app.impact.columns import EVENT_CODE, FIELD_OF, FILE_COLUMNS, OPTIONAL_COLUMNS, TRACKING_CONSENT, Level
from app.impact.currency import DECIMALS

Cell = ColumnElement[str]

_UP_TO_SECONDS: Final = len("2026-11-20T18:00:22")
_UP_TO_MICROSECONDS: Final = len("2026-11-20T18:00:22.123456")


def read_lines(
    session: Session,
    revision_ids: Sequence[int],
    event_type: EventType,
    expected: Credits,
    oldest: datetime,
) -> tuple[str, Credits]:
    """Return the lines of revisions by ascending id, and by what some of them are credited.

    The columns for the credits are there as `expected`. What happened before `oldest` is accepted only with its
    MediaId.
    """
    connection, added = session.connection(), tuple(added_columns(event_type.columns, expected))
    dialect = connection.dialect.name
    sent = number_values(dialect, id=revision_ids) | {"oldest": oldest}
    row = connection.execute(_statement(dialect, event_type, added), sent).one()
    return row[0] or "", Credits(promo_code=row[1] == 1, media_id=row[2] == 1)


@lru_cache(maxsize=64)
def _statement(dialect: str, event_type: EventType, added: Sequence[str]) -> Select[str, Any, Any]:
    """Return the statement, which is built once: that takes longer than to read some hundred lines."""
    orders = _orders(dialect, event_type, added)
    if event_type.has_item_lines:
        lines = _by_item(dialect, event_type, added, orders).subquery("lines")
    else:
        lines = _by_order(event_type, added, orders).subquery("lines")
    text = func.aggregate_strings(lines.c.line, "")
    return select(text, func.max(lines.c.promo), func.max(lines.c.media))


def _by_item(dialect: str, event_type: EventType, added: Sequence[str], orders: CTE) -> Select[Any]:
    """Return a line for each item."""
    optional = [
        orders.c[column] if column in orders.c else _cell(json_member(dialect, ITEM.c.extra, column))
        for column in (*event_type.columns, *added)
    ]
    amount = _amount(ITEM.c.amount, orders.c.decimals)
    item = [amount, _cell(ITEM.c.category), _cell(ITEM.c.sku), cast(ITEM.c.quantity, Text)]
    return (
        select(_row(orders.c.before, *item, *optional).concat("\r\n").label("line"), orders.c.promo, orders.c.media)
        .join_from(orders, ITEM, ITEM.c.revision_id == orders.c.id)
        .order_by(orders.c.id, ITEM.c.position)
    )


def _by_order(event_type: EventType, added: Sequence[str], orders: CTE) -> Select[Any]:
    """Return a line for each order."""
    after = [orders.c.after] if "after" in orders.c else []
    cells = (*after, *(orders.c[column] for column in (*event_type.columns, *added)))
    line = _row(orders.c.before, _amount(orders.c.total, orders.c.decimals), *cells).concat("\r\n")
    return select(line.label("line"), orders.c.promo, orders.c.media).order_by(orders.c.id)


def _orders(dialect: str, event_type: EventType, added: Sequence[str]) -> CTE:
    """Return what the lines of an order have in common, formatted once for each order.

    Its cells on the left of the amount are together in `before`; where an order is one line, `total` is the sum of its
    items and the cells on the right are in `after`.
    """
    wanted, by_promo_code, by_media_id = number_table(dialect, "id"), *_credited()
    said = {
        "CampaignId": literal(str(event_type.campaign_id)),
        "ActionTrackerId": literal(str(event_type.action_tracker_id)),
        "EventDate": _to_the_second(REVISION.c.event_date),
        "OrderId": _cell(CONVERSION.c.order_id),
        "ClickId": _cell(REVISION.c.click_id),
        "CustomerId": _cell(REVISION.c.customer_id),
        "CurrencyCode": REVISION.c.currency,
    }
    required = FILE_COLUMNS[event_type.level]
    left, right = required[: required.index("Amount")], required[required.index("Amount") + 1 :]
    together = {"before": _row(*(said[column] for column in left))}
    if not event_type.has_item_lines:
        its_items = select(cast(func.sum(ITEM.c.amount), BigInteger)).where(ITEM.c.revision_id == REVISION.c.id)
        together["total"] = its_items.correlate(REVISION).scalar_subquery()
        if right:
            together["after"] = _row(*(said[column] for column in right))
    credit = {
        "PromoCode": case((by_promo_code, REVISION.c.promo_code)),
        "MediaId": case((by_media_id, REVISION.c.media_id)),
    }
    optional = {
        column: _order_value(dialect, event_type, column) for column in event_type.columns if _is_of_order(column)
    }
    cells = optional | {column: credit[column] for column in added}
    return (
        select(
            REVISION.c.id,
            _decimals(REVISION.c.currency).label("decimals"),
            *(value.label(name) for name, value in together.items()),
            case((by_promo_code, 1), else_=0).label("promo"),
            case((by_media_id, 1), else_=0).label("media"),
            *(_cell(value).label(column) for column, value in cells.items()),
        )
        .join_from(wanted, REVISION, REVISION.c.id == wanted.c.id)
        .join(CONVERSION, CONVERSION.c.id == REVISION.c.conversion_id)
        .cte("orders")
        .prefix_with("MATERIALIZED")
    )


def _credited() -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """Return the conditions under which PromoCode and MediaId must be in a file, as `batch.render` has it."""
    by_promo_code = and_(REVISION.c.click_id.is_(None), REVISION.c.promo_code.is_not(None))
    without_click = REVISION.c.click_id.is_(None)
    return by_promo_code, and_(
        REVISION.c.media_id.is_not(None),
        or_(without_click, REVISION.c.event_at < bindparam("oldest", type_=UTCDateTime)),
    )


def _is_of_order(column: str) -> bool:
    return column in FIELD_OF or OPTIONAL_COLUMNS[column].level is Level.ORDER


def _order_value(dialect: str, event_type: EventType, column: str) -> ColumnElement[Any]:
    if field := FIELD_OF.get(column):
        value: ColumnElement[Any] = REVISION.c[field]
        return value
    sent = json_member(dialect, REVISION.c.extra, column)
    if column == TRACKING_CONSENT and event_type.tracking_consent:
        return func.coalesce(sent, _consent())
    return func.coalesce(sent, event_type.event_code) if column == EVENT_CODE and event_type.event_code else sent


def _consent() -> ColumnElement[str]:
    """Return what an order says of the visitor's consent by its click, as `batch.with_consent` has it."""
    given = CLICK.c.click_id == REVISION.c.click_id, CLICK.c.consent == GRANTED
    return select(literal("true")).where(*given).correlate(REVISION).scalar_subquery()


# Cells ----------------------------------------------------------------------------------------------------------


def _row(*cells: Cell) -> Cell:
    return reduce(lambda before, cell: before.concat(",").concat(cell), cells)


def _cell(value: ColumnElement[Any]) -> Cell:
    """Quote a text that has a comma or a quote; who reads the lines looks for line breaks, which no value has."""
    quoted = literal('"').concat(func.replace(value, '"', '""')).concat('"')
    return case((value.is_(None), ""), (or_(value.like("%,%"), value.like('%"%')), quoted), else_=value)


def _to_the_second(moment: ColumnElement[str]) -> Cell:
    """Take the fraction out of the text of a time."""
    without = func.substr(moment, 1, _UP_TO_SECONDS).concat(func.substr(moment, _UP_TO_MICROSECONDS + 1))
    return case((func.substr(moment, _UP_TO_SECONDS + 1, 1) == ".", without), else_=moment)


def _decimals(currency: ColumnElement[str]) -> ColumnElement[int]:
    """Return how many decimals a currency has; that it is one at all, the check says."""
    return case(*((currency.in_(codes), number) for number, codes in _OTHERS.items()), else_=_USUAL)


def _amount(minor: ColumnElement[int], decimals: ColumnElement[int]) -> Cell:
    """Return an amount in minor units with exactly so many decimals."""
    numbers = {number: _decimal(minor, number) for number in (_USUAL, *_OTHERS)}
    below_zero = {number: literal("-").concat(_decimal(-minor, number)) for number in numbers}
    return case(
        *(((decimals == number) & (minor >= 0), cell) for number, cell in numbers.items()),
        *((decimals == number, cell) for number, cell in below_zero.items()),
        else_="",
    )


def _decimal(minor_units: ColumnElement[int], decimals: int) -> Cell:
    """Write minor units of 0 or more by whole numbers alone, as `format_amount` does."""
    if not decimals:
        return cast(minor_units, Text)
    unit = literal(10**decimals)
    fraction = func.substr(cast(minor_units % unit + unit, Text), 2)
    return cast(minor_units // unit, Text).concat(".").concat(fraction)


_USUAL: Final = 2
_OTHERS: Final[dict[int, list[str]]] = {
    number: sorted(code for code, its in DECIMALS.items() if its == number)
    for number in sorted({*DECIMALS.values()} - {_USUAL})
}
"""Currencies by their decimals, where these are not the usual ones."""

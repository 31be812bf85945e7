"""Files that stand for a side of a comparison: the shop's own orders, and an export of actions from impact.com.

Columns are recognised by their names, whatever their capitals, spaces and underscores.
"""

import csv
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TextIO

from app import strict_json
from app.actions.action import ActionFacts, minor_units, read_action
from app.config import DEFAULT_EVENT_TYPE, Settings
from app.conversions.extra import parse_time
from app.errors import InvalidFile, InvalidInput, NotFound
from app.impact.currency import AMOUNT_LIMIT, DECIMALS
from app.ledger.reconciliation import Sale
from app.ledger.scratch import Scratch

SHOP_COLUMNS: Final = {
    "order_id": ("orderid", "oid", "order", "ordernumber"),
    "amount": ("amount", "total", "saleamount", "ordertotal"),
    "currency": ("currency", "currencycode"),
    "event_date": ("eventdate", "date", "orderdate", "createdat"),
    "event_type": ("eventtype",),
}
ACTION_COLUMNS: Final = {
    "Id": ("actionid", "id"),
    "CampaignId": ("campaignid", "programid"),
    "ActionTrackerId": ("actiontrackerid", "eventtypeid"),
    "Oid": ("oid", "orderid"),
    "State": ("state", "status", "actionstatus"),
    "Amount": ("amount", "saleamount", "revenue"),
    "Payout": ("payout", "actioncost", "actionearnings"),
    "Currency": ("currency", "currencycode", "saleamountcurrency"),
    "EventDate": ("eventdate", "actiondate"),
    "LockingDate": ("lockingdate",),
}
_SHOP_NEEDS: Final = ("order_id", "amount")
_ACTION_NEEDS: Final = ("Id", "Oid", "State", "Amount", "Currency")


def read_shop(path: Path, settings: Settings, scratch: Scratch) -> int:
    """Keep the orders of a shop's file, and return their number. Raises InvalidFile, NotFound."""
    number = 0
    for line, row in _json_lines(path) if _is_json(path) else _rows(path, SHOP_COLUMNS, _SHOP_NEEDS):
        sale = _sale(row, line, settings)
        if not scratch.add_sale(sale):
            raise InvalidFile(f"Line {line:,}: order {sale.order_id!r} is there twice; write each order on one line.")
        number += 1
    return number


def read_actions(path: Path, settings: Settings, scratch: Scratch) -> int:
    """Keep the actions of an export, and return their number. Raises InvalidFile, NotFound."""
    default, number = settings.event_type(DEFAULT_EVENT_TYPE), 0
    tracker = str(default.action_tracker_id) if default else ""
    for line, row in _rows(path, ACTION_COLUMNS, _ACTION_NEEDS):
        one: ActionFacts | None = read_action({"ActionTrackerId": tracker} | {key: row[key] for key in row if row[key]})
        if one is None:
            raise InvalidFile(f"Line {line:,} names no action; export the column Action Id too.")
        scratch.add_action(one)
        number += 1
    return number


def _sale(row: Mapping[str, Any], line: int, settings: Settings) -> Sale:
    event_type, order_id = str(row.get("event_type") or DEFAULT_EVENT_TYPE), row.get("order_id")
    known = settings.event_type(event_type)
    if known is None:
        raise InvalidFile(f"Line {line:,}: there is no event type {event_type!r}.")
    if not isinstance(order_id, str) or not order_id:
        raise InvalidFile(f"Line {line:,} has no order id.")
    currency = str(row.get("currency") or known.currency or "").upper()
    if currency not in DECIMALS:
        raise InvalidFile(f"Line {line:,}: {currency!r} is no currency (ISO 4217); add a column currency.")
    amount = _amount(row, currency)
    if amount is None:
        raise InvalidFile(f"Line {line:,}: the amount of order {order_id!r} is no exact amount of {currency}.")
    return Sale(event_type, order_id, amount, currency, _day(row.get("event_date"), line))


def _amount(row: Mapping[str, Any], currency: str) -> int | None:
    """Return the amount of a row, or what its items come to."""
    items = row.get("items")
    values = [item.get("amount") for item in items if isinstance(item, dict)] if isinstance(items, list) else None
    amounts = [minor_units(one, currency) for one in (values if values is not None else [row.get("amount")])]
    total = sum(one for one in amounts if one is not None)
    fits = total < AMOUNT_LIMIT.scaleb(DECIMALS[currency])
    return total if None not in amounts and amounts and total >= 0 and fits else None


def _day(value: Any, line: int) -> Any:
    """Return the UTC day of a time; one that is a day alone is that."""
    if not value:
        return None
    text = str(value).strip()
    try:
        moment = (
            datetime.fromisoformat(text).replace(tzinfo=UTC) if len(text) == len("2026-11-22") else parse_time(text)
        )
    except ValueError:
        moment = None
    if moment is None:
        raise InvalidFile(f"Line {line:,}: {text!r} is no date; write it as 2026-11-22 or 2026-11-20T18:00:22+01:00.")
    return moment.astimezone(UTC).date()


def _rows(
    path: Path, columns: Mapping[str, tuple[str, ...]], needed: tuple[str, ...]
) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the lines of a CSV file by the names of what they say. Raises InvalidFile."""
    with _opened(path) as content:
        lines = csv.reader(content, strict=True)
        try:
            positions = _positions(next(lines, []), columns, needed)
            for row in lines:
                if row:
                    yield lines.line_num, {name: row[place] for name, place in positions.items() if place < len(row)}
        except csv.Error as error:
            raise InvalidFile(f"Line {lines.line_num:,} cannot be read as CSV ({error}).") from None
        except UnicodeDecodeError:
            raise InvalidFile(f"{path} is not UTF-8; save it as such.") from None


def _positions(header: list[str], columns: Mapping[str, tuple[str, ...]], needed: tuple[str, ...]) -> dict[str, int]:
    names = [re.sub(r"[^a-z0-9]", "", cell.lower()) for cell in header]
    found = {
        name: next(names.index(one) for one in spellings if one in names)
        for name, spellings in columns.items()
        if any(one in names for one in spellings)
    }
    missing = [name for name in needed if name not in found]
    if missing:
        raise InvalidFile(f"No column says what {', '.join(missing)} is; the file has: {', '.join(header)}.")
    return found


def _is_json(path: Path) -> bool:
    with _opened(path) as content:
        try:
            return content.read(1) == "{"
        except UnicodeDecodeError:
            raise InvalidFile(f"{path} is not UTF-8; save it as such.") from None


def _json_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    with _opened(path) as content:
        for line, text in enumerate(content, 1):
            if not text.strip():
                continue
            try:
                value, faults = strict_json.parse(text.encode())
            except InvalidInput as error:
                raise InvalidFile(f"Line {line:,}: {error}") from None
            if faults or not isinstance(value, dict):
                raise InvalidFile(f"Line {line:,}: {faults[0].detail if faults else 'This is no JSON object.'}")
            yield line, value


def _opened(path: Path) -> TextIO:
    try:
        return path.open(encoding="utf-8-sig", newline="")
    except OSError as error:
        raise NotFound(f"{path} cannot be read: {error.strerror}.", code="FILE_UNREADABLE") from error

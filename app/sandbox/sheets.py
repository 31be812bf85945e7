"""Reads files as impact.com's documents describe them: columns by name, conversions and modifications."""

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from app.sandbox.conversions import ALIASES, Line
from app.sandbox.modifications import FILE, Change, Wish

CONVERSION, MODIFICATION = "Conversion", "Modification"

_CONVERSION_NAMES: Final = (
    *("CampaignId", "ActionTrackerId", "EventTypeId", "EventDate", "OrderId", "Oid", "ClickId", "CustomerId"),
    *("CurrencyCode", "Currency", "Amount", "Category", "Sku", "Quantity", "ItemPrice", "ItemSubtotal", "EventCode"),
    *("PromoCode", "OrderPromoCode", "MediaId", "MediaPartnerId", "CustomerStatus"),
)
_MODIFICATION_NAMES: Final = (
    *("ActionID", "ActionTrackerID", "Oid", "OrderId", "Amount", "currencyCode", "CustomerStatus", "SKU", "Quantity"),
    *("Category", "Reason"),
)
_NUMBERED: Final = re.compile(r"(Sku|Amount|Quantity|Category|Reason)([0-9]{1,4})", re.ASCII)


@dataclass(frozen=True)
class Row:
    """One record of a file. One that `is_broken` cannot be told apart into its columns."""

    number: int
    fields: dict[str, str]
    is_broken: bool = False


@dataclass(frozen=True)
class Sheet:
    """A file: what it reports, "" if that cannot be told, and its records."""

    kind: str
    columns: frozenset[str]
    rows: tuple[Row, ...]


def read(content: bytes, *, any_case: bool, first: int) -> Sheet:
    """Read a CSV file; `first` is the number of its first row. Neither a BOM nor another encoding is guessed at."""
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        broken = range(first, first + max(content.count(b"\n") - 1, 1))
        return Sheet("", frozenset(), tuple(Row(number, {}, is_broken=True) for number in broken))
    header, *records = [*_records(text)] or [[]]
    kind = _kind(header or [], any_case)
    names = [_canonical(name, kind, any_case) for name in header or []]
    rows = [
        Row(number, dict(zip(names, cells or [], strict=False)), is_broken=cells is None or len(cells) != len(names))
        for number, cells in enumerate(records, first)
        if cells != []
    ]
    return Sheet(kind, frozenset(names), tuple(rows))


def _records(text: str) -> Iterator[list[str] | None]:
    """Yield the records; where quotes make the rest unreadable, None in its place."""
    try:
        yield from csv.reader(io.StringIO(text, newline=""), strict=True)
    except csv.Error:
        yield None


def _kind(header: Sequence[str], any_case: bool) -> str:
    names = {name.lower() if any_case else name for name in header}
    wanted = (("EventDate", CONVERSION), ("ActionID", MODIFICATION), ("ActionTrackerID", MODIFICATION))
    return next((kind for name, kind in wanted if (name.lower() if any_case else name) in names), "")


def _canonical(name: str, kind: str, any_case: bool) -> str:
    """Return the one name of what a column may be called by several."""
    if any_case:
        known = {one.lower(): one for one in (_MODIFICATION_NAMES if kind == MODIFICATION else _CONVERSION_NAMES)}
        numbered = _NUMBERED.fullmatch(name[:1].upper() + name[1:].lower())
        name = numbered[0] if numbered else known.get(name.lower(), name)
    if kind == MODIFICATION:
        return "Oid" if name == "OrderId" else name
    return ALIASES.get(name, name)


# Conversions ------------------------------------------------------------------------------------------------------


def orders(sheet: Sheet) -> Iterator[tuple[list[Line], bool]]:
    """Yield the lines of each order, and whether lines of the same order stood further up, not next to these."""
    is_item = bool(sheet.columns & {"Sku", "Quantity", "Category"})
    lines = [Line(row.number, row.fields, is_item) for row in sheet.rows if not row.is_broken]
    seen: set[tuple[str, ...]] = set()
    for key, group in groupby(lines, lambda line: _key(line) if is_item else (str(line.number),)):
        yield list(group), key in seen
        seen.add(key)


def _key(line: Line) -> tuple[str, ...]:
    return line.get("CampaignId"), line.get("ActionTrackerId"), line.get("OrderId")


# Modifications ----------------------------------------------------------------------------------------------------


def changes(sheet: Sheet) -> Iterator[Change]:
    """Yield what is wanted of each action, whether its lines repeat its name, leave it out, or are one with numbers."""
    is_item = "SKU" in sheet.columns
    names: tuple[str, ...] = ("", "", "")
    found: list[tuple[tuple[str, ...], Row]] = []
    for row in sheet.rows:
        own = tuple(row.fields.get(name, "") for name in ("ActionID", "ActionTrackerID", "Oid"))
        if row.is_broken:
            names = ("", "", "")  # what follows without a name belongs to nobody who could be told
        else:
            names = own if any(own) else names
            found.append((names, row))
    for (key, _), group in groupby(found, lambda pair: (pair[0], is_item or pair[1].number)):
        rows = [row for _, row in group]
        currency, status = (next((r.fields[n] for r in rows if r.fields.get(n)), "") for n in _WHOLE_ACTION)
        yield Change(key[0], key[1], key[2], [wish for row in rows for wish in _wishes(row)], FILE, currency, status)


_WHOLE_ACTION: Final = ("currencyCode", "CustomerStatus")


def _wishes(row: Row) -> Iterator[Wish]:
    numbers = sorted({int(match[2]) for name in row.fields if (match := _NUMBERED.fullmatch(name))})
    for number in numbers:
        sku, amount, quantity, category, reason = (
            row.fields.get(f"{name}{number}", "") for name in ("Sku", "Amount", "Quantity", "Category", "Reason")
        )
        if sku or amount or quantity or category or reason:
            yield Wish(row.number, reason or row.fields.get("Reason", ""), sku, amount, quantity, category)
    if not numbers:
        get = row.fields.get
        yield Wish(
            row.number, get("Reason", ""), get("SKU", ""), get("Amount", ""), get("Quantity", ""), get("Category", "")
        )

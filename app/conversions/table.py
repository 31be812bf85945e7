"""The columns of a CSV file of orders, and the lines of an order as the body of one.

Layouts: impact.com's own item level (its FTP guide: one line per item, the lines of an order together) and order level
(no column for SKUs: each line is an order), or any other by a mapping.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from operator import itemgetter
from typing import Any, Final

from app.conversions.cells import Convert, Unclear, converter
from app.conversions.mapping import UNIT_PRICE, field_of
from app.conversions.mapping import Mapping as MappingFile
from app.conversions.order import is_order_id
from app.errors import Fault, InvalidFile, pointer_to
from app.impact.columns import EXTRA, Level

NOTES: Final = ("RejectLine", "RejectCode", "RejectReason")
"""Columns of a rejects file beside those of its file; they are not read, so that it can be repaired and imported."""
SINGLE_ITEM: Final = {"sku": "order", "category": "order", "quantity": "1"}
"""The one item of an order whose lines name no SKU."""

_ITEM_FIELDS: Final = frozenset({"sku", "category", "quantity", "amount", UNIT_PRICE})
_REQUIRED: Final = ("order_id", "event_date", "category", "quantity", "amount")
_NAMED: Final = 80
_WHOLE: Final = re.compile(r"[0-9]{1,18}")

EventTypes = Mapping[str, tuple[int, int]]
"""Event type to its campaign and action tracker."""


@dataclass(frozen=True, slots=True)
class _Column:
    """Where a field's text stands, what makes it the text of a body, and what holds where it is empty."""

    name: str
    field: str
    position: int | None
    convert: Convert | None
    default: str | None

    def text(self, row: Sequence[str]) -> str | None:
        """Return what a line says, None if it says nothing. Raises Unclear."""
        cell = row[self.position] if self.position is not None else ""
        if not cell:
            return self.default
        return self.convert(cell) if self.convert else cell


class Table:
    """A file's columns, known from its header; `mapping` says what they mean if it is not impact.com's names."""

    def __init__(self, header: Sequence[str], mapping: MappingFile | None, event_types: EventTypes, key: str) -> None:
        self.width, self.header = len(header), tuple(header)
        self._event_types, self._key = event_types, key
        positions = _mapped(header, mapping) if mapping else _named(header)
        defaults = dict(mapping.defaults) if mapping else {}
        self.is_item_level = "sku" in positions
        if not self.is_item_level:
            defaults = SINGLE_ITEM | defaults
        _require(positions, defaults)
        columns = [
            _Column(
                header[positions[field]] if field in positions else field,
                field,
                positions.get(field),
                converter(field, mapping),
                defaults.get(field),
            )
            for field in dict.fromkeys([*positions, *defaults])
        ]
        self._of_items = [column for column in columns if _is_of_item(column.field)]
        self._of_order = [column for column in columns if not _is_of_item(column.field)]
        self._by_field = {column.field: column for column in columns}
        self._once = [column.position for column in self._of_order if column.position is not None]
        keyed = [positions[one] for one in ("event_type", "campaign_id", "action_tracker_id") if one in positions]
        self._order_id = positions["order_id"]
        self.key_of: Callable[[Sequence[str]], Any] = itemgetter(self._order_id, *keyed)
        """What makes lines the lines of one order."""
        self._keys: dict[tuple[str | None, ...], str] = {}

    @property
    def notes_from(self) -> int | None:
        """The column from which on the file has the notes of a rejects file, if it has them."""
        at = self.width - len(NOTES)
        return at if self.header[at:] == NOTES else None

    def is_blank(self, key: Any) -> bool:
        """Say whether lines with this key name no order, so that each stands for itself."""
        return not (key if isinstance(key, str) else key[0])

    def order_id(self, row: Sequence[str]) -> str | None:
        """Return the id of the order that a line is of, None if it tells none that can be shown."""
        told = row[self._order_id] if len(row) == self.width else ""
        return told if is_order_id(told) else None

    def body(self, rows: Sequence[Sequence[str]]) -> tuple[dict[str, Any], list[Fault]]:
        """Return the body of an order with these lines, and what is wrong with how they say it."""
        faults: list[Fault] = []
        order: dict[str, Any] = {}
        _fill(order, self._of_order, rows[0], "", faults)
        if len(rows) > 1:
            self._compare(rows, faults)
        self._name_event_type(order, faults)
        order["items"] = [self._item(row, place, faults) for place, row in enumerate(rows)]
        return order, faults

    def place_of(self, pointer: str) -> tuple[int, str]:
        """Return at which of an order's lines, and in which column, a fault lies."""
        parts = [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]
        place = int(parts[1]) if parts[:1] == ["items"] and len(parts) > 1 else 0
        field = parts[-1] if parts else ""
        if field == "amount" and UNIT_PRICE in self._by_field:
            field = UNIT_PRICE
        if field == "event_type" and field not in self._by_field:
            field = "action_tracker_id"
        return place, self._by_field[field].name if field in self._by_field else field

    def _item(self, row: Sequence[str], place: int, faults: list[Fault]) -> dict[str, Any]:
        item: dict[str, Any] = {}
        _fill(item, self._of_items, row, f"/items/{place}", faults)
        quantity = item.get("quantity", "")
        if _WHOLE.fullmatch(quantity):
            item["quantity"] = int(quantity)
        if UNIT_PRICE in item:
            item["amount"] = _times(item.pop(UNIT_PRICE), item.get("quantity"))
        return item

    def _compare(self, rows: Sequence[Sequence[str]], faults: list[Fault]) -> None:
        """Look for lines that say something else of the order than its first line; an empty cell says nothing."""
        first = rows[0]
        for row in rows[1:]:
            for position in self._once:
                if row[position] != first[position] and row[position]:
                    name = self.header[position]
                    sentence = f"The lines of the order differ in {name}; all say what its first line says, or nothing."
                    faults.append(Fault("ORDER_DIFFERS", sentence))
                    return

    def _name_event_type(self, order: dict[str, Any], faults: list[Fault]) -> None:
        """Put the event type's key in the place of impact.com's ids."""
        ids = order.pop("campaign_id", None), order.pop("action_tracker_id", None)
        if ids == (None, None):
            order.setdefault("event_type", self._key)
            return
        named = order.get("event_type")
        key = self._keys.get((*ids, named))
        if key is None:
            try:
                key = self._keys[(*ids, named)] = self._event_type(ids, named)
            except Unclear as unclear:
                faults.append(Fault(unclear.code, str(unclear), "/event_type"))
                return
        order["event_type"] = key

    def _event_type(self, ids: tuple[str | None, str | None], named: str | None) -> str:
        found = [
            key
            for key, known in self._event_types.items()
            if all(one is None or one == str(own) for one, own in zip(ids, known, strict=True))
        ]
        if named is not None:
            found = [key for key in found if key == named]
        if not found:
            raise Unclear("ACTIONTRACKER_NOT_FOUND", "No event type that is set up here has these ids.")
        if len(found) > 1 and self._key not in found:
            raise Unclear("ACTIONTRACKER_NOT_FOUND", f"{' and '.join(found)} have these ids; say --event-type.")
        return found[0] if len(found) == 1 else self._key


def _is_of_item(field: str) -> bool:
    return field in _ITEM_FIELDS or (field in EXTRA and EXTRA[field].level is Level.ITEM)


def _fill(into: dict[str, Any], columns: Sequence[_Column], row: Sequence[str], at: str, faults: list[Fault]) -> None:
    for column in columns:
        try:
            text = column.text(row)
        except Unclear as unclear:
            field = "amount" if column.field == UNIT_PRICE else column.field
            place = f"{at}/extra" if field in EXTRA else at
            faults.append(Fault(unclear.code, str(unclear), place + pointer_to(field)))
            continue
        if text is None:
            continue
        if column.field in EXTRA:
            into.setdefault("extra", {})[column.field] = text
        else:
            into[column.field] = text


def _times(price: str, quantity: Any) -> str:
    """Return price times quantity, exactly; the price itself where either is no number, which is a fault anyway."""
    try:
        return format(Decimal(price) * quantity, "f") if isinstance(quantity, int) else price
    except InvalidOperation:
        return price


# The header -------------------------------------------------------------------------------------------------------


def _named(header: Sequence[str]) -> dict[str, int]:
    """Return the positions of the fields in a file with impact.com's own names. Raises InvalidFile."""
    positions: dict[str, int] = {}
    for position, cell in enumerate(header):
        if cell in NOTES:
            continue
        field = field_of(cell.strip())
        if field is None:
            raise InvalidFile(
                f"{cell!r} is no column of impact.com's; take it out, or tell `conversion-capture import` by --mapping"
                " which columns mean what."
            )
        if field in positions:
            raise InvalidFile(f"{cell!r} says again what another column says; take one of the two out.")
        positions[field] = position
    return positions


def _mapped(header: Sequence[str], mapping: MappingFile) -> dict[str, int]:
    """Return the positions of the fields that a mapping names. Raises InvalidFile."""
    absent = [name for name in mapping.columns.values() if name not in header]
    if absent:
        raise InvalidFile(
            f"The file has no column {', '.join(map(repr, absent))}; its first ones are: {', '.join(header[:_NAMED])}."
        )
    twice = [name for name in mapping.columns.values() if header.count(name) > 1]
    if twice:
        raise InvalidFile(f"The file has several columns {', '.join(map(repr, twice))}; give them different names.")
    return {field: header.index(name) for field, name in mapping.columns.items()}


def _require(positions: Mapping[str, int], defaults: Mapping[str, str]) -> None:
    known = {*positions, *defaults}
    if "amount" in known and UNIT_PRICE in known:
        raise InvalidFile("Both the line's total and the price of a unit are there; take one of the two out.")
    if UNIT_PRICE in known:
        known.add("amount")
    missing = [field for field in _REQUIRED if field not in known]
    if "order_id" not in positions:
        missing = [*missing, *(["order_id"] if "order_id" in known else [])]
    if missing:
        raise InvalidFile(
            f"No column says what the {', '.join(missing)} of an order is; see"
            " docs/reference/import-files.md for the layouts, and for mappings of a shop's own columns."
        )

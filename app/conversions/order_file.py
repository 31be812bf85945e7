"""The orders of a file, whatever its format: some at a time, each with its lines, and a reason where there is none.

An order is told whole or not at all: lines beside one that cannot be read may belong to the same order, so that they
are refused with it.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from itertools import compress, pairwise
from operator import ne
from typing import Any, Final

from app import strict_json
from app.check.runs import Runs
from app.conversions.csv_records import MAX_LINE, Block, Lines, Records
from app.conversions.order import Order
from app.conversions.order_body import Rules, read_order, read_value
from app.conversions.table import Table
from app.errors import Fault, InvalidFile, InvalidInput

REJECTED: Final = "rejected"
"""The member of a rejects file's NDJSON that says why; it is not read, so that it can be repaired and imported."""
DEFAULT: Final = "default"
"""The event type of a body that names none."""
MOST_APART: Final = 10_000
_REJECTED: Final = b'"rejected"'
_MOST_TOGETHER: Final = 4 * MAX_LINE
_TOLD: Final = 3
_UNDECODED: Final = re.compile("[\udc80-\udcff]")


@dataclass(frozen=True, slots=True)
class Entry:
    """Some lines of a file that belong together: an order, or what is wrong with them."""

    block: Block
    first: int
    end: int
    order: Order | None
    code: str = ""
    reason: str = ""
    order_id: str | None = None
    """Of lines with something wrong: the order that they are of, if all of them say the same."""

    @property
    def lines(self) -> int:
        """The number of its records."""
        return self.end - self.first


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some entries, and where in the file the next one begins."""

    entries: list[Entry]
    offset: int
    line: int


@dataclass(frozen=True, slots=True)
class Reading:
    """How orders are read: `event_type` is that of those that name none."""

    rules: Rules
    now: datetime
    event_type: str


# CSV --------------------------------------------------------------------------------------------------------------


def find_apart(records: Records, table: Table) -> set[str]:
    """Return the keys of the orders whose lines are not together, reading to the end. Raises InvalidFile."""
    found: set[str] = set()
    previous: Any = None
    with closing(Runs()) as runs:
        while block := records.read():
            keys = [table.key_of(row) for row in block.rows if len(row) == table.width]
            begins = compress(enumerate(keys, block.line), map(ne, keys, [previous, *keys]))
            new = [(_text(key), line) for line, key in begins if not table.is_blank(key)]
            previous = keys[-1] if keys else previous
            lines = dict(new)
            if len(lines) < len(new) or not runs.begin_all(lines):
                found |= {key for key, line in new if runs.begin(key, line)}
        found |= {f",{late.order_id}" for late in runs.late()}
    if len(found) > MOST_APART:
        raise InvalidFile(
            f"The lines of {len(found):,} orders are not together; sort the file by its orders and import it then."
        )
    return found


def _text(key: Any) -> str:
    return f",{key}" if isinstance(key, str) else "," + "\x1f".join(key)


class CsvOrders:
    """The orders of a CSV file behind its header, from where `records` stand; `apart` are keys of `find_apart`."""

    def __init__(self, records: Records, table: Table, reading: Reading, apart: set[str]) -> None:
        self._records, self._table, self._reading, self._apart = records, table, reading, apart
        self._goes_on = False
        """Whether the order of the lines that were handed out last may go on: it was too long to wait for its end."""

    def __iter__(self) -> Iterator[Chunk]:
        while block := self._records.read():
            bounds = self._bounds(block)
            may_go_on = self._table.is_item_level and not self._records.have_ended
            too_long = may_go_on and not bounds[1:-1]
            if too_long and len(block.data) <= _MOST_TOGETHER:
                self._records.put_back(block, 0)  # it comes again with more behind it
                continue
            if may_go_on and not too_long:
                bounds.pop()  # the last order may go on
                self._records.put_back(block, bounds[-1])
            entries = [self._entry(block, first, end) for first, end in pairwise(bounds)]
            if too_long or self._goes_on:
                entries[0] = _refused(block, 0, bounds[1], [_TOO_LONG], self._table)
            self._goes_on = too_long
            yield Chunk(entries, self._records.offset, self._records.line)

    def _bounds(self, block: Block) -> list[int]:
        """Return the places where another order begins, and the end. What cannot be read joins its neighbours."""
        number, table = len(block.rows), self._table
        if not table.is_item_level:
            return list(range(number + 1))
        keys = [table.key_of(row) if len(row) == table.width else None for row in block.rows]
        if None in keys or any(map(table.is_blank, set(keys))):
            return [0, *(at for at in range(1, number) if self._begins(keys[at - 1], keys[at])), number]
        return [0, *compress(range(1, number), map(ne, keys, keys[1:])), number]

    def _begins(self, before: Any, key: Any) -> bool:
        if before is None or key is None:
            return False
        return bool(before != key) or self._table.is_blank(key)

    def _entry(self, block: Block, first: int, end: int) -> Entry:
        rows, table = block.rows[first:end], self._table
        unreadable = [
            fault
            for place, row in enumerate(rows, first)
            if (fault := _unreadable(block, place, len(row), table.width))
        ]
        if unreadable:
            return _refused(block, first, end, unreadable, table)
        if self._apart and table.is_item_level and _text(table.key_of(rows[0])) in self._apart:
            return _refused(block, first, end, [_APART], table)
        text = "".join(map("".join, rows))
        if not text.isprintable() and _UNDECODED.search(text):
            return _refused(block, first, end, [_NOT_DECODED], table)
        body, faults = table.body(rows)
        if not text.isprintable():
            faults += strict_json.text_faults(body)
        try:
            order = read_value(body, faults, self._reading.rules, self._reading.now)
        except InvalidInput as invalid:
            return _refused(block, first, end, invalid.faults, table)
        return Entry(block, first, end, order)


_APART: Final = Fault(
    "OID_DUPLICATE",
    "The lines of this order are not together in the file, so that none of them is recorded; put them together.",
)
_TOO_LONG: Final = Fault("TOO_MANY_ITEMS", "So many lines of one order, or so many that cannot be read, are not taken.")
_NOT_DECODED: Final = Fault("NOT_DECODED", "The line is not in the encoding of the file: UTF-8, or the mapping's.")


def _unreadable(block: Block, place: int, cells: int, width: int) -> Fault | None:
    """Return why a record tells no order, with its line, or None if it may."""
    if cells == width:
        return None
    fault = block.broken.get(place) or Fault(
        "CELL_COUNT", f"There are {cells} cells instead of {width}; quote cells that have the delimiter."
    )
    return Fault(fault.code, f"line {block.line_of(place)} may belong to this order: {fault.detail}", "/")


def _refused(block: Block, first: int, end: int, faults: Sequence[Fault], table: Table) -> Entry:
    """Return an entry without an order, with its faults told by line and column."""
    told = [_sentence(fault, block, first, table) for fault in faults[:_TOLD]]
    if len(faults) > _TOLD:
        told.append(f"and {len(faults) - _TOLD} more faults")
    named = {table.order_id(row) for row in block.rows[first:end]}
    order_id = named.pop() if len(named) == 1 else None
    return Entry(block, first, end, None, InvalidInput(faults).code, "; ".join(told), order_id)


def _sentence(fault: Fault, block: Block, first: int, table: Table) -> str:
    if fault.pointer in {"", "/"}:
        return fault.detail
    place, column = table.place_of(fault.pointer)
    return f"line {block.line_of(first + place)}, {column}: {fault.detail}"


# NDJSON -----------------------------------------------------------------------------------------------------------


class NdjsonOrders:
    """The orders of a file of bodies as `POST /orders` takes them, one a line."""

    def __init__(self, records: Lines, reading: Reading) -> None:
        self._records, self._reading = records, reading

    def __iter__(self) -> Iterator[Chunk]:
        while block := self._records.read():
            entries = [self._entry(block, place) for place in range(len(block.starts))]
            yield Chunk(entries, self._records.offset, self._records.line)

    def _entry(self, block: Block, place: int) -> Entry:
        try:
            return Entry(block, place, place + 1, self._order(block.raw(place)))
        except InvalidInput as invalid:
            return Entry(block, place, place + 1, None, invalid.code, str(invalid))

    def _order(self, line: bytes) -> Order:
        reading = self._reading
        if reading.event_type == DEFAULT and _REJECTED not in line:
            return read_order(line, reading.rules, reading.now)
        value, faults = strict_json.parse(line)
        if isinstance(value, dict):
            value.pop(REJECTED, None)
            value.setdefault("event_type", reading.event_type)
        return read_value(value, faults, reading.rules, reading.now)

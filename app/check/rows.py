"""The rules on the rows of a conversion file and on the orders that they make up.

Facts: impact.com's FTP guide (order columns repeated on consecutive lines, one line per item), its page on chained
actions (linked by CustomerId) and its conversion reference (by what an order is credited).

Nearly all rows of nearly all files are right, so a block of rows is first looked at column by column, where the work is
done by sets, slices and one pattern per column. Only a block that is not certainly right is read row by row, and only
that reading finds anything.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import chain, compress, repeat
from operator import itemgetter, ne
from typing import Final, NamedTuple

from app.check.findings import (
    RIGHT_AT_ONCE,
    RULES,
    AtOnce,
    Finding,
    Problem,
    Rule,
    Severity,
    amount_rule,
    amounts_at_once,
    chained_customer_id,
    event_date_rule,
    event_dates_at_once,
)
from app.check.header import ITEM_LEVEL, MONEY, has_a_line_per_order, level_of
from app.check.records import Block
from app.check.runs import OrderKey, Runs
from app.impact.currency import DECIMALS
from app.impact.limits import MAX_FILE_ROWS

_MEDIA: Final = ("MediaId", "MediaPartnerId")
_CREDITS_OF_APPS: Final = ("AppleIfa", "AppleIfv", "GoogAId", "AndroidId")
_CREDITS: Final = ("ClickId", "PromoCode", "OrderPromoCode", *_MEDIA, "UniqueUrl", "CallerId", *_CREDITS_OF_APPS)
"""Each credits an order to a partner."""
_CREDITS_BY_HISTORY: Final = ("CustomerId", "CustomProfileId")
"""These do only if impact.com knows the same customer from an earlier click."""

_HARDLY_REPEATED: Final = frozenset({"OrderId", "ClickId", "CustomerId", "EventDate"})
_REMEMBERED: Final = 1024
"""Right values of a column that are remembered, so that their rule need not look again."""

_Cells = Sequence[str]
"""What the rows have in one column."""


class _Column(NamedTuple):
    position: int
    name: str
    rule: Rule
    at_once: AtOnce | None
    right: set[str]


class Rows:
    """Reads the rows of a file, block by block; what is wrong goes into `found`."""

    def __init__(self, columns: Mapping[str, int], width: int, now: datetime, runs: Runs, found: list[Finding]) -> None:
        self.count = 0
        self._last_line = 1
        self._width = width
        self._runs = runs
        self._found = found
        self._columns = columns
        self._names = [name for name in columns if name not in ITEM_LEVEL]
        self._order_positions = [columns[name] for name in self._names]
        self._order_cells = _getter(self._order_positions)
        place = {name: position for position, name in enumerate(self._names)}
        self._order_id = place.get("OrderId")
        self._tracker = place.get("ActionTrackerId")
        self._currency = place.get("CurrencyCode")
        self._media = [place[name] for name in _MEDIA if name in place]
        self._one_line = has_a_line_per_order(columns)
        self._credits = [place[name] for name in credits_among(columns) if name in place]
        self._histories = [place[name] for name in _CREDITS_BY_HISTORY if name in place]
        self._order_rules = {
            with_media: order_rules(place, now, level_of(columns), with_media_id=with_media)
            for with_media in (False, True)
        }
        self._item_rules = {decimals: _item_rules(columns, decimals) for decimals in {None, *DECIMALS.values()}}
        self._items = self._item_rules[None]  # for the currency of the order that is being read
        self._previous: tuple[str, ...] | None = None
        self._first: tuple[str, ...] = ()  # what the first line of the order says
        self._key: OrderKey = ""  # empty where the order has no id

    def read(self, block: Block, misread: Iterable[int]) -> None:
        """Judge the rows of a block; a line of `misread` is reported already and may seem blank."""
        self._last_line = block.lines[-1] if block.lines else self._last_line
        if block.is_plain and self._read_at_once(block):
            return
        for line, cells in zip(block.lines, block.records, strict=True):
            if len(cells) == self._width:
                self._read_row(line, cells)
            elif cells:
                self.count += 1
                self._found.append(misshapen(line, cells, self._width, self._columns.get("OrderId")))
            elif line not in misread:
                self._found.append(blank_line(line))

    # Many rows at once ------------------------------------------------------------------------------------------

    def _read_at_once(self, block: Block) -> bool:
        """Take the block in if all of it is certainly right; else leave everything as it is and return False."""
        records = block.records
        if self._order_id is None or set(map(len, records)) != {self._width}:
            return False
        columns = list(zip(*records, strict=True))
        orders, lines = self._orders_of(columns, block.lines)
        keys = dict(zip(self._keys_of(orders), lines, strict=True))
        if len(keys) < len(lines) or "" in keys or self._key in keys:
            return False
        if not (self._are_right_orders(orders) and self._are_right_items(columns, records)):
            return False
        if not self._runs.begin_all(keys):
            return False
        self.count += len(records)
        if lines:
            last = tuple(cells[-1] for cells in orders)
            self._key, self._first, self._previous = self._key_of(last), last, last
            self._items = self._item_rules[self._decimals_of(last)]
        return True

    def _orders_of(self, columns: Sequence[_Cells], lines: Sequence[int]) -> tuple[Sequence[_Cells], Sequence[int]]:
        """Return what orders begin, column by column, and at which lines."""
        said = [columns[position] for position in self._order_positions]
        if self._one_line or self._are_all_others(said):
            return said, lines
        orders = list(zip(*said, strict=True))
        begins = list(map(ne, orders, chain([self._previous], orders)))
        new = list(zip(*compress(orders, begins), strict=True))
        return new or [()] * len(said), list(compress(lines, begins))

    def _are_all_others(self, said: Sequence[_Cells]) -> bool:
        """Say whether every row has another order id than the row before, which is soon known if one has not."""
        ids, before = said[self._order_id or 0], self._previous[self._order_id or 0] if self._previous else None
        return all(map(ne, ids, chain([before], ids)))

    def _are_right_orders(self, orders: Sequence[_Cells]) -> bool:
        if not all(is_right(column, orders[column.position]) for column in self._order_rules[False]):
            return False
        credited = [orders[position] for position in self._credits]
        return any(map(all, credited)) or (bool(credited) and all(map(any, zip(*credited, strict=True))))

    def _are_right_items(self, columns: Sequence[Sequence[str]], records: Sequence[Sequence[str]]) -> bool:
        position = self._columns.get("CurrencyCode")
        all_decimals = {None} if position is None else {DECIMALS.get(code) for code in set(columns[position])}
        for decimals in all_decimals:
            part = columns
            if len(all_decimals) > 1 and position is not None:
                part = list(
                    zip(*[cells for cells in records if DECIMALS.get(cells[position]) == decimals], strict=True)
                )
            if not all(is_right(column, part[column.position]) for column in self._item_rules[decimals]):
                return False
        return True

    # Row by row -------------------------------------------------------------------------------------------------

    def _read_row(self, line: int, cells: Sequence[str]) -> None:
        self.count += 1
        order = self._order_cells(cells)
        if order != self._previous or self._one_line:
            self._previous = order
            self._read_order(line, order)
        for column in self._items:
            self._judge(line, column, cells[column.position])

    def about_count(self) -> Iterator[Finding]:
        """Judge the number of rows."""
        yield from about_count(self.count, self._last_line)

    def _read_order(self, line: int, order: tuple[str, ...]) -> None:
        key = self._key_of(order)
        if key and key == self._key and not self._one_line:
            self._compare(line, order)
        else:
            self._key, self._first = key, order
            if key and (duplicate := self._runs.begin(key, line)):
                self._found.append(duplicate)
        for column in self._order_rules[any(order[position] for position in self._media)]:
            self._judge(line, column, order[column.position])
        self._items = self._item_rules[self._decimals_of(order)]
        if not self._is_credited(order):
            problem = _about_credit(by_history=any(order[position] for position in self._histories))
            self._note(line, "ClickId", problem)

    def _is_credited(self, order: tuple[str, ...]) -> bool:
        return any(order[position] for position in self._credits)

    def _decimals_of(self, order: tuple[str, ...]) -> int | None:
        return None if self._currency is None else DECIMALS.get(order[self._currency])

    def _key_of(self, order: tuple[str, ...]) -> OrderKey:
        order_id = "" if self._order_id is None else order[self._order_id]
        return f"{'' if self._tracker is None else order[self._tracker]},{order_id}" if order_id else ""

    def _keys_of(self, orders: Sequence[_Cells]) -> list[OrderKey]:
        """Return the same for many orders."""
        ids = orders[self._order_id or 0]
        trackers = repeat("", len(ids)) if self._tracker is None else orders[self._tracker]
        return [f"{tracker},{order_id}" if order_id else "" for tracker, order_id in zip(trackers, ids, strict=True)]

    def _compare(self, line: int, order: tuple[str, ...]) -> None:
        for name, first, here in zip(self._names, self._first, order, strict=True):
            if first != here:
                sentence = f"{name} differs from the order's first line; repeat what that line says."
                self._note(line, name, Problem("CHECK_ORDER_DIFFERS", sentence))

    def _judge(self, line: int, column: _Column, value: str) -> None:
        if value not in column.right:
            problem = column.rule(value)
            if problem:
                self._note(line, column.name, problem)

    def _note(self, line: int, name: str, problem: Problem) -> None:
        order_id = self._key.partition(",")[2] or None
        self._found.append(Finding(problem.code, line, name, order_id, problem.detail, problem.severity))


def misshapen(line: int, cells: Sequence[str], width: int, order_id_at: int | None) -> Finding:
    """Return the finding that a line has more or fewer cells than the header."""
    order_id = cells[order_id_at] if order_id_at is not None and order_id_at < len(cells) else None
    detail = f"There are {len(cells)} cells instead of {width}; quote cells that have commas, keep empty ones."
    return Finding("CHECK_CELL_COUNT", line, None, order_id, detail)


def blank_line(line: int) -> Finding:
    """Return the finding that a line is blank."""
    return Finding("CHECK_BLANK_LINE", line, None, None, "The line is blank.", "warning")


def about_count(count: int, last_line: int) -> Iterator[Finding]:
    """Judge the number of rows of a file that ends at a line."""
    if not count:
        sentence = "There are no rows; the file needs a line for each item."
        yield Finding("CHECK_NO_ROWS", last_line, None, None, sentence)
    elif count >= MAX_FILE_ROWS:
        severity: Severity = "warning" if count == MAX_FILE_ROWS else "fault"
        sentence = f"There are {count:,} rows, not under {MAX_FILE_ROWS:,}; split the file between orders."
        yield Finding("CHECK_TOO_MANY_ROWS", last_line, None, None, sentence, severity)


def _getter(positions: Sequence[int]) -> Callable[[Sequence[str]], tuple[str, ...]]:
    """Return what picks these cells of a row."""
    if len(positions) > 1:
        return itemgetter(*positions)
    return lambda cells: tuple(cells[position] for position in positions)


def order_rules(places: Mapping[str, int], now: datetime, level: str, *, with_media_id: bool) -> list[_Column]:
    """Return the rules for the columns of an order in a file of this level, which stand at `places`."""
    special = {"EventDate": event_date_rule(now, with_media_id=with_media_id)}
    if level == "chained":
        special["CustomerId"] = chained_customer_id
    at_once = RIGHT_AT_ONCE | {"EventDate": event_dates_at_once(now, with_media_id=with_media_id)}
    return [
        _Column(position, name, special.get(name) or RULES[name], at_once.get(name), set())
        for name, position in places.items()
    ]


def credits_among(columns: Mapping[str, int]) -> list[str]:
    """Return the columns that credit an order; a chained action is credited through CustomerId as its parent is."""
    names = [name for name in _CREDITS if name in columns]
    return [*names, "CustomerId"] if level_of(columns) == "chained" and "CustomerId" in columns else names


def _item_rules(columns: Mapping[str, int], decimals: int | None) -> list[_Column]:
    rule, at_once = amount_rule(decimals), amounts_at_once(decimals)
    return [
        _Column(position, name, rule, at_once, set())
        if name in MONEY
        else _Column(position, name, RULES[name], RIGHT_AT_ONCE.get(name), set())
        for name, position in columns.items()
        if name in ITEM_LEVEL and name not in _superfluous_money(columns)
    ]


def _superfluous_money(columns: Mapping[str, int]) -> list[str]:
    return [name for name in columns if name in MONEY][1:]


def is_right(column: _Column, values: _Cells) -> bool:
    """Say whether all values are right, remembering those that may come again."""
    if column.at_once and column.at_once(values):
        return True
    unknown = set(values).difference(column.right)
    if any(map(column.rule, unknown)):
        return False
    if column.name not in _HARDLY_REPEATED:
        if len(column.right) >= _REMEMBERED:
            column.right.clear()
        column.right.update(unknown)
    return True


def _about_credit(*, by_history: bool) -> Problem:
    if by_history:
        sentence = (
            "Only the customer's id can credit this order, if impact.com knows it from an earlier click; add ClickId."
        )
        return Problem("ACTION_REF_NOT_FOUND", sentence, "warning")
    return Problem(
        "ACTION_REF_NOT_FOUND", "Nothing credits this order to a partner; add ClickId or take the order out."
    )

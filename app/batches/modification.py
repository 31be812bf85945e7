"""What a file of modifications is: what it says of an order, and in which layout.

impact.com's documents name the columns of such a file but show no template of one with items, so that the layout is a
setting of the event type.
"""

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple

from app.batches.batch import HEADER_LINES, BatchFile
from app.event_type import ModificationLayout
from app.impact.columns import Level
from app.impact.currency import format_amount
from app.impact.modifications import BY_ACTION, BY_ORDER, INDEXED_VALUES, ITEM_VALUES, ORDER_VALUES


class Line(NamedTuple):
    """What an item is in the end, `amount` in minor units; of a whole order, only amount and reason."""

    amount: int
    reason: str
    sku: str = ""
    quantity: int = 0
    category: str = ""


@dataclass(frozen=True, slots=True)
class Modification:
    """What impact.com is told of an order: the final values of its lines that have changed.

    At the level of orders that is one line.
    """

    order_id: str
    action_id: str | None
    currency: str
    lines: tuple[Line, ...]


class Form(NamedTuple):
    """What all orders of a file have in common: the level of its lines, and by which ids it names orders.

    `is_of_nothing`: orders of nothing that are reversed, which only a call can say.
    """

    level: Level
    by_action: bool
    is_of_nothing: bool = False


def room(sizes: Sequence[int], form: Form, layout: ModificationLayout, most: int) -> int:
    """Return how many of the first orders go into one file of at most `most` rows; `sizes` are their lines.

    In the indexed layout every line has the columns of the longest one, so that a file is limited by its cells: as many
    as it would have with a line for each item.
    """
    if is_indexed(form, layout):
        area = (number * longest for number, longest in enumerate(accumulate(sizes, max), 1))
        return sum(1 for size in area if size <= most)
    return sum(1 for rows in accumulate(sizes) if rows <= most)


def is_indexed(form: Form, layout: ModificationLayout) -> bool:
    """Say whether an order is one line, whatever it has for items."""
    return form.level is Level.ITEM and layout == "indexed"


def render(
    name: str, orders: Sequence[Modification], form: Form, layout: ModificationLayout, action_tracker_id: int
) -> BatchFile:
    """Return the file of `orders`, in the order given."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    width = max(len(order.lines) for order in orders) if is_indexed(form, layout) else 0
    rows_of = _rows_of(form, layout, width)
    writer.writerow(_header(form, width))
    sizes = []
    for order in orders:
        names = _names(order, form, action_tracker_id)
        rows = list(rows_of(names, [values(line, order.currency, form.level) for line in order.lines]))
        writer.writerows(rows)
        sizes.append(len(rows))
    *first_lines, end = accumulate(sizes, initial=HEADER_LINES + 1)
    return BatchFile(name, out.getvalue().encode(), end - HEADER_LINES - 1, tuple(first_lines))


def values(line: Line, currency: str, level: Level) -> tuple[str, ...]:
    """Return what a file says of a line, in the order of the columns.

    Where nothing is left the amount is a plain 0, as impact.com's documents have it; others have exactly the currency's
    decimals.
    """
    amount = format_amount(line.amount, currency) if line.amount else "0"
    if level is Level.ORDER:
        return amount, line.reason
    return line.sku, amount, str(line.quantity), line.category, line.reason


def _header(form: Form, width: int) -> Iterator[str]:
    yield from BY_ACTION if form.by_action else BY_ORDER
    if width:
        yield from (f"{value}{number}" for number in range(1, width + 1) for value in INDEXED_VALUES)
    else:
        yield from ORDER_VALUES if form.level is Level.ORDER else ITEM_VALUES


def _names(order: Modification, form: Form, action_tracker_id: int) -> tuple[str, ...]:
    """Return what names an order."""
    return (order.action_id or "",) if form.by_action else (str(action_tracker_id), order.order_id)


Row = Iterable[str]
RowsOf = Callable[[tuple[str, ...], list[tuple[str, ...]]], Iterator[Row]]


def _rows_of(form: Form, layout: ModificationLayout, width: int) -> RowsOf:
    """Return what makes the rows of an order from its names and the values of its lines."""
    if is_indexed(form, layout):
        return lambda names, lines: _one_row(names, lines, width)
    if layout == "blank":
        return _named_once
    return lambda names, lines: ((*names, *line) for line in lines)


def _one_row(names: tuple[str, ...], lines: list[tuple[str, ...]], width: int) -> Iterator[Row]:
    empty = [""] * (len(INDEXED_VALUES) * (width - len(lines)))
    yield (*names, *(value for line in lines for value in line), *empty)


def _named_once(names: tuple[str, ...], lines: list[tuple[str, ...]]) -> Iterator[Row]:
    for line in lines:
        yield (*names, *line)
        names = ("",) * len(names)


# Reading back -----------------------------------------------------------------------------------------------------


class Said(NamedTuple):
    """What a file says of an order: the row at which it begins, from 0, and the values of its lines."""

    row: int
    lines: tuple[tuple[str, ...], ...]


def form_of(header: Sequence[str]) -> Form | None:
    """Return the form of a file that was made here, or None if it was not."""
    for by_action, names in ((False, BY_ORDER), (True, BY_ACTION)):
        if tuple(header[: len(names)]) == names:
            value_columns = tuple(header[len(names) :])
            if value_columns == ORDER_VALUES:
                return Form(Level.ORDER, by_action)
            if value_columns == ITEM_VALUES or _is_numbered(value_columns):
                return Form(Level.ITEM, by_action)
    return None


def _is_numbered(columns: tuple[str, ...]) -> bool:
    width = len(columns) // len(INDEXED_VALUES)
    wanted = (f"{value}{number}" for number in range(1, width + 1) for value in INDEXED_VALUES)
    return width > 0 and columns == tuple(wanted)


def read_back(rows: Iterable[Sequence[str]], form: Form) -> dict[str, Said]:
    """Return what a file that was made here says of each order, by its OrderId or ActionID."""
    names = len(BY_ACTION if form.by_action else BY_ORDER)
    each = len(ORDER_VALUES if form.level is Level.ORDER else ITEM_VALUES)
    found: dict[str, Said] = {}
    order = ""
    for number, row in enumerate(rows):
        order = row[names - 1] or order
        lines = (tuple(row[start : start + each]) for start in range(names, len(row), each))
        here = tuple(line for line in lines if any(line))
        before = found.get(order, Said(number, ()))
        found[order] = Said(before.row, before.lines + here)
    return found

"""The header of a conversion file: which columns there are, and what is wrong with their names.

Facts: impact.com's FTP guide (the minimum columns and their order), its page on chained actions (theirs), and its
conversion reference (other names of some of them, and the columns that may follow).
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from app.check.findings import Finding, Problem, shown
from app.impact.columns import (
    CHAINED_COLUMNS,
    ITEM_COLUMNS,
    MINIMUM_COLUMNS,
    ONE_LINE_LEVELS,
    OPTIONAL_COLUMNS,
    ORDER_COLUMNS,
    Level,
)

MONEY: Final = ("Amount", "ItemPrice", "ItemSubtotal")
"""One of these says what an item costs: the line's total, the price of a unit, the line's total before discounts."""

ITEM_LEVEL: Final = frozenset({*ITEM_COLUMNS, *MONEY}) | {
    name for name, parameter in OPTIONAL_COLUMNS.items() if parameter.level is Level.ITEM
}
"""The columns that may differ between the lines of an order."""

_ALIASES: Final = {"Oid": "OrderId", "Currency": "CurrencyCode"}
_ONE_OF: Final = (("PromoCode", "OrderPromoCode"), ("MediaId", "MediaPartnerId"))
_KNOWN: Final = frozenset({*MINIMUM_COLUMNS, *OPTIONAL_COLUMNS, *_ALIASES, *MONEY})
_BY_LOWER_CASE: Final = {name.lower(): name for name in _KNOWN}
_ITEMS: Final = ("Category", "Sku", "Quantity")


def level_of(columns: Mapping[str, int]) -> str:
    """Return what the columns of a file say of its level: `item` (mobile app events too), `order` or `chained`.

    A file without any column that names an item has a line for each order; that of chained actions has the customer on
    the left of the order.
    """
    if not columns.keys().isdisjoint(_ITEMS):
        return "item"
    is_chained = columns.get("CustomerId", len(columns)) < columns.get("OrderId", -1)
    return "chained" if is_chained else "order"


def has_a_line_per_order(columns: Mapping[str, int]) -> bool:
    """Say whether an order has a single line in a file with these columns."""
    return level_of(columns) in ONE_LINE_LEVELS


def read_header(cells: Sequence[str], found: list[Finding]) -> dict[str, int]:
    """Return the position of each column under its name in the FTP guide; empty if `cells` is no header at all."""
    columns: dict[str, int] = {}
    problems: list[tuple[str | None, Problem]] = []
    for position, cell in enumerate(cells):
        name = _BY_LOWER_CASE.get(cell.strip().lower())
        problems += [(cell, problem) for problem in _about_cell(cell, name, columns)]
        if name is not None:
            columns.setdefault(_ALIASES.get(name, name), position)
    if columns:
        problems += _about_columns(columns)
    else:
        sentence = "The first line must name the columns, separated by commas; nothing else was checked."
        problems = [(None, Problem("CHECK_HEADER_MISSING", sentence))]
    found += [Finding(problem.code, 1, name, None, problem.detail, problem.severity) for name, problem in problems]
    return columns


def _about_cell(cell: str, name: str | None, columns: Mapping[str, int]) -> Iterator[Problem]:
    if name is None:
        yield Problem("CHECK_COLUMN_UNKNOWN", f"{shown(cell)} is no column of a conversion file; take it out.")
        return
    if cell != name:
        yield Problem("CHECK_COLUMN_CASE", f"{shown(cell)} must be written {name}.")
    canonical = _ALIASES.get(name, name)
    if canonical in columns:
        yield Problem("CHECK_COLUMN_TWICE", f"There are two columns for {canonical}; take one out.")
    elif name in _ALIASES or name in MONEY[1:]:
        usual = _ALIASES.get(name, MONEY[0])
        yield Problem("CHECK_COLUMN_ALIAS", f"{name} is accepted; {usual} is the usual column.", "warning")


def _about_columns(columns: Mapping[str, int]) -> Iterator[tuple[str | None, Problem]]:
    for one, other in _ONE_OF:
        if one in columns and other in columns:
            yield other, Problem("CHECK_COLUMN_TWICE", f"{one} and {other} mean the same; take one out.")
    money = [name for name in columns if name in MONEY]
    if len(money) > 1:
        yield (
            money[1],
            Problem("CHECK_AMOUNT_TWICE", f"{' and '.join(money)} exclude each other; take all but one out."),
        )
    if has_a_line_per_order(columns):
        yield from _about_item_columns(columns)
    guide = {"item": MINIMUM_COLUMNS, "order": ORDER_COLUMNS, "chained": CHAINED_COLUMNS}[level_of(columns)]
    wanted = [money[0] if name in MONEY and money else name for name in guide]
    missing = [name for name in wanted if name not in columns]
    for name in missing:
        yield name, Problem("CHECK_COLUMN_MISSING", f"The column {name} is missing; add it, empty if need be.")
    if not missing and sorted(columns, key=columns.__getitem__)[: len(wanted)] != wanted:
        sentence = "The columns stand in another order than in impact.com's guide; the guide's is the safe one."
        yield None, Problem("CHECK_COLUMN_ORDER", sentence, "warning")


def _about_item_columns(columns: Mapping[str, int]) -> Iterator[tuple[str, Problem]]:
    for name in columns:
        if name in ITEM_LEVEL and name != MONEY[0]:
            sentence = (
                f"{name} belongs to an item; add Category, Sku and Quantity with a line for each, or take it out."
            )
            yield name, Problem("NO_ITEM", sentence)

"""The header of a file of modifications: which columns there are, and what is wrong with their names.

Facts: impact.com's page on the parameters of modifications and reversals, in both editions.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from app.check.findings import Finding, Problem, shown
from app.impact.modifications import BY_ACTION, BY_ORDER, INDEXED_VALUES, ITEM_VALUES, OPTIONAL_VALUES, ORDER_VALUES

ACTION: Final = BY_ACTION[0]
TRACKER, ORDER = BY_ORDER

_ALIASES: Final = {"OrderId": ORDER}
_KNOWN: Final = frozenset({*BY_ACTION, *BY_ORDER, *ITEM_VALUES, *ORDER_VALUES, *OPTIONAL_VALUES, *_ALIASES})
_BY_LOWER_CASE: Final = {name.lower(): name for name in _KNOWN}
_INDEXED_BY_LOWER_CASE: Final = {name.lower(): name for name in INDEXED_VALUES}
_NUMBERED: Final = re.compile(rf"({'|'.join(INDEXED_VALUES)})([1-9][0-9]{{0,4}})", re.IGNORECASE | re.ASCII)
_UNMISTAKABLE: Final = re.compile(rf"{ACTION}|Reason[0-9]*", re.IGNORECASE | re.ASCII)
_OF_ITEMS: Final = ("SKU", "Quantity", "Category")


@dataclass(slots=True)
class Columns:
    """Where the columns of a file of modifications stand.

    `named` holds those that the order has once by their names; `numbered` those of each item by its number, under the
    names that they have without it.
    """

    named: dict[str, int] = field(default_factory=dict)
    numbered: dict[int, dict[str, int]] = field(default_factory=dict)

    @property
    def has_items(self) -> bool:
        """Whether each line is an item of an order."""
        return "SKU" in self.named

    @property
    def order_column(self) -> str:
        """The column that names an order."""
        return ORDER if ORDER in self.named else ACTION


def is_modification(cells: Sequence[str]) -> bool:
    """Say whether a header is that of a file of modifications, well or badly made: orders have a date and no reason."""
    names = [cell.strip() for cell in cells]
    return "eventdate" not in map(str.lower, names) and any(map(_UNMISTAKABLE.fullmatch, names))


def read_modification_header(cells: Sequence[str], found: list[Finding]) -> Columns:
    """Return where the columns stand."""
    columns = Columns()
    problems: list[tuple[str | None, Problem]] = []
    for position, cell in enumerate(cells):
        problems += [(cell, problem) for problem in _place(columns, position, cell)]
    problems += [*_about_names(columns.named), *_about_values(columns)]
    found += [Finding(problem.code, 1, name, None, problem.detail, problem.severity) for name, problem in problems]
    return columns


def _place(columns: Columns, position: int, cell: str) -> Iterator[Problem]:
    """Note where a column stands, and say what is wrong with its name."""
    places, name, spelled = columns.named, _BY_LOWER_CASE.get(cell.strip().lower(), ""), ""
    if numbered := _NUMBERED.fullmatch(cell.strip()):
        spelled = _INDEXED_BY_LOWER_CASE[numbered[1].lower()]
        places, name = columns.numbered.setdefault(int(numbered[2]), {}), f"{spelled}{numbered[2]}"
    if not name:
        yield Problem("CHECK_COLUMN_UNKNOWN", f"{shown(cell)} is no column of a modification file; take it out.")
        return
    if cell != name:
        yield Problem("CHECK_COLUMN_CASE", f"{shown(cell)} must be written {name}.")
    if name in _ALIASES:
        yield Problem("CHECK_COLUMN_ALIAS", f"{name} is accepted; {_ALIASES[name]} is the usual column.", "warning")
    key = spelled or _ALIASES.get(name, name)
    if key in places:
        yield Problem("CHECK_COLUMN_TWICE", f"There are two columns for {name}; take one out.")
    places.setdefault(key, position)


def _about_names(named: Mapping[str, int]) -> Iterator[tuple[str, Problem]]:
    """Judge by what orders are named."""
    if ACTION in named:
        if ORDER in named:
            sentence = f"{ACTION} and {ORDER} both name the action; impact.com wants one of the two, take one out."
            yield ACTION, Problem("CHECK_NAMED_TWICE", sentence, "warning")
        return
    for name in BY_ORDER:
        if name not in named:
            yield name, _missing(name, f"or name each action by its {ACTION}")


def _about_values(columns: Columns) -> Iterator[tuple[str, Problem]]:
    """Judge what is said of orders."""
    named, numbered = columns.named, columns.numbered
    if numbered:
        yield from _about_numbers(columns)
        return
    if "Reason" not in named:
        yield "Reason", _missing("Reason", "each line needs one")
    if "Amount" not in named and (columns.has_items or not named.keys() & OPTIONAL_VALUES):
        yield "Amount", _missing("Amount", "it is the final value")
    if not columns.has_items and named.keys() & _OF_ITEMS:
        yield "SKU", _missing("SKU", "each line that is an item needs one")
    if columns.has_items and "CustomerStatus" in named:
        sentence = "CustomerStatus can be changed for whole orders only; take the column out."
        yield "CustomerStatus", Problem("CHECK_COLUMN_UNKNOWN", sentence)


def _about_numbers(columns: Columns) -> Iterator[tuple[str, Problem]]:
    for name in columns.named.keys() & ITEM_VALUES:
        sentence = f"{name} stands beside numbered columns; give it a number or take the numbers out."
        yield name, Problem("CHECK_COLUMN_UNKNOWN", sentence)
    for number in range(1, max(columns.numbered) + 1):
        for name in ("Sku", "Amount", "Reason"):
            if name not in columns.numbered.get(number, {}):
                yield f"{name}{number}", _missing(f"{name}{number}", "each number needs one")


def _missing(name: str, why: str) -> Problem:
    return Problem("CHECK_COLUMN_MISSING", f"The column {name} is missing; add it, {why}.")

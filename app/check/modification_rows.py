"""The rules on the rows of a file of modifications and on the orders that they make up.

Facts: impact.com's page on the parameters of modifications and reversals, its reason codes, and its file submission
errors. Whether an order exists, is locked or is reversed already, only impact.com knows.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from app.check.findings import RULES, Finding, Problem, amount_rule, shown
from app.check.modification_header import ACTION, ORDER, TRACKER, Columns
from app.check.records import Block
from app.check.rows import about_count, blank_line, misshapen
from app.check.runs import OrderKey, Runs
from app.impact.currency import DECIMALS
from app.impact.modifications import ACTION_ID_LENGTH, AMOUNT_DIGITS, SKU_LENGTH
from app.impact.reasons import LONGEST_REASON, STANDARD_REASONS

_ACTION_ID: Final = re.compile(rf"[A-Za-z0-9._-]{{1,{ACTION_ID_LENGTH}}}")
_REASON: Final = re.compile(rf"[!-~](?:[ -~]{{0,{LONGEST_REASON - 2}}}[!-~])?")
_QUANTITY: Final = re.compile(r"[0-9]{1,10}")
_OTHER_VALUES: Final = ("Category", "CustomerStatus", "currencyCode")
_OPTIONAL_RULES: Final = {"currencyCode": RULES["CurrencyCode"], "CustomerStatus": RULES["CustomerStatus"]}


class ModificationRows:
    """Reads the rows of a file of modifications, block by block; what is wrong goes into `found`."""

    def __init__(self, columns: Columns, width: int, runs: Runs, found: list[Finding]) -> None:
        self.count = 0
        self._last_line = 1
        self._columns = columns
        self._named = columns.named
        self._width = width
        self._runs = runs
        self._found = found
        self._key: OrderKey = ""  # empty where the order has no name
        self._skus: set[str] = set()
        self._line = 0

    def read(self, block: Block, misread: Iterable[int]) -> None:
        """Judge the rows of a block; a line of `misread` is reported already and may seem blank."""
        for line, cells in zip(block.lines, block.records, strict=True):
            self._last_line = self._line = line
            if len(cells) == self._width:
                self.count += 1
                self._read_row(cells)
            elif cells:
                self.count += 1
                self._found.append(misshapen(line, cells, self._width, self._named.get(self._columns.order_column)))
            elif line not in misread:
                self._found.append(blank_line(line))

    def about_count(self) -> Iterator[Finding]:
        """Judge the number of rows."""
        yield from about_count(self.count, self._last_line)

    def _read_row(self, cells: Sequence[str]) -> None:
        action, tracker, order = (self._cell(cells, name) for name in (ACTION, TRACKER, ORDER))
        goes_on = self._columns.has_items and self._key and not (action or tracker or order)
        if not goes_on:
            self._read_names(action, tracker, order)
        currency = self._cell(cells, "currencyCode")
        for name, rule in _OPTIONAL_RULES.items():
            if value := self._cell(cells, name):
                self._note(name, rule(value))
        decimals = DECIMALS.get(currency) if currency else None
        if self._columns.numbered:
            self._read_numbered(cells, decimals)
        else:
            self._read_values({name: cells[position] for name, position in self._named.items()}, "", decimals)

    def _cell(self, cells: Sequence[str], name: str) -> str:
        return cells[self._named[name]] if name in self._named else ""

    # The order ----------------------------------------------------------------------------------------------------

    def _read_names(self, action: str, tracker: str, order: str) -> None:
        """Begin an order, or go on with the one before where each of its lines names it."""
        key = f"{tracker},{order}" if order else f",{action}" if action else ""
        if key and key == self._key and self._columns.has_items:
            return
        self._key, self._skus = key, set()
        if key and (duplicate := self._runs.begin(key, self._line)):
            self._found.append(duplicate)
        if not key:
            sentence = f"The line names no order; give its {ACTION}, or its {ORDER} with its {TRACKER}."
            self._note(self._columns.order_column, Problem("OID_MISSING", sentence))
        elif order:
            self._note(ORDER, RULES["OrderId"](order))
            self._note(TRACKER, RULES["ActionTrackerId"](tracker))
        elif not _ACTION_ID.fullmatch(action):
            sentence = f"{shown(action)} is no action id; write it as impact.com shows it, such as 1000.4636.158133."
            self._note(ACTION, Problem("MALFORMED", sentence))

    # Its values ---------------------------------------------------------------------------------------------------

    def _read_numbered(self, cells: Sequence[str], decimals: int | None) -> None:
        said = False
        for number, places in self._columns.numbered.items():
            values = {name: cells[position] for name, position in places.items()}
            if any(values.values()):
                said = True
                self._read_values({"SKU": values.pop("Sku", ""), **values}, str(number), decimals)
        if not said:
            self._note("Sku1", Problem("NO_ITEM", "The line says nothing of any item; fill one in or take it out."))

    def _read_values(self, values: Mapping[str, str], number: str, decimals: int | None) -> None:
        """Judge what is said of an order or an item; the columns have a `number` where there are several."""
        if "SKU" in values:
            column = f"Sku{number}" if number else "SKU"
            for problem in self._about_sku(values["SKU"]):
                self._note(column, problem)
        quantity = values.get("Quantity")
        if "Amount" in values:
            self._note(f"Amount{number}", _about_amount(values, decimals))
        if quantity and not _QUANTITY.fullmatch(quantity):
            sentence = f"{shown(quantity)} is not a quantity; write the whole number that is left."
            self._note(f"Quantity{number}", Problem("MALFORMED", sentence))
        if category := values.get("Category"):
            self._note(f"Category{number}", RULES["Category"](category))
        if "Reason" in values:
            self._note(f"Reason{number}", _about_reason(values["Reason"]))

    def _about_sku(self, value: str) -> Iterator[Problem]:
        if problem := RULES["Sku"](value):
            yield problem
        elif len(value) > SKU_LENGTH:
            sentence = f"The SKU has more than {SKU_LENGTH} characters, as long as impact.com's older document allows."
            yield Problem("MALFORMED", sentence, "warning")
        if value and value in self._skus:
            sentence = "The order has this SKU already; say the final values of an item once."
            yield Problem("CHECK_SKU_TWICE", sentence, "warning")
        self._skus.add(value)

    def _note(self, column: str, problem: Problem | None) -> None:
        if problem:
            order_id = self._key.partition(",")[2] or None
            self._found.append(Finding(problem.code, self._line, column, order_id, problem.detail, problem.severity))


def _about_amount(values: Mapping[str, str], decimals: int | None) -> Problem | None:
    """Judge the amount beside the other values of its order or item."""
    amount = values["Amount"]
    if not amount and values.get("Quantity"):
        return Problem("CHECK_QUANTITY_ALONE", "A new quantity needs its new amount; fill that in.")
    if not amount and any(map(values.get, _OTHER_VALUES)):
        return None
    if not amount:
        return Problem("NO_CHANGE", "Nothing would change; write the final amount, 0 to reverse.")
    problem = amount_rule(decimals)(amount)
    if problem and problem.code == "AMOUNT_NEGATIVE_OR_NOT_A_NUMBER":
        sentence = f"{shown(amount)} is not a plain amount of 0 or more; write what is left in the end, like 1234.50."
        return Problem(problem.code, sentence)
    if problem is None and len(amount.partition(".")[0].lstrip("0")) > AMOUNT_DIGITS:
        sentence = (
            f"impact.com's older document has {AMOUNT_DIGITS} digits before the point; ask whether more are taken."
        )
        return Problem("CHECK_AMOUNT_TOO_LARGE", sentence, "warning")
    return problem


def _about_reason(value: str) -> Problem | None:
    if value in STANDARD_REASONS:
        return None
    if not value:
        return Problem("BAD_DISPOSITION", "The line has no reason; give one of impact.com's codes, such as OTHER.")
    if not _REASON.fullmatch(value):
        return Problem("BAD_DISPOSITION", f"{shown(value)} cannot be a reason code; write one, such as ITEM_RETURNED.")
    if value.upper() in STANDARD_REASONS:
        return Problem("BAD_DISPOSITION", f"{shown(value)} must be written {value.upper()}.")
    sentence = f"{shown(value)} is none of the standard codes; the event type needs it as a custom code."
    return Problem("BAD_DISPOSITION", sentence, "warning")

"""What impact.com should believe after our files, in the order in which they came: a small pure model of its ledger.

It reads the files by itself, and refuses what the documents say impact.com refuses, so that a test can say that
nothing was refused.
"""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import groupby

Row = dict[str, str]


@dataclass
class Line:
    """One item of an action; an action without items has one line whose SKU is empty."""

    amount: Decimal
    quantity: int | None = None
    category: str | None = None


@dataclass
class Action:
    """A conversion that was taken."""

    lines: dict[str, Line]
    modifications: int = 0
    is_reversed: bool = False

    @property
    def amount(self) -> Decimal:
        """What the partner is paid by."""
        return sum((line.amount for line in self.lines.values()), Decimal())


@dataclass
class Receiver:
    """What was received: `actions` by tracker and order id, and `refused`, which should stay empty."""

    actions: dict[tuple[str, str], Action] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)

    def take(self, name: str, content: bytes) -> None:
        """Take a file. Orders that come again are refused, which does no harm; values that come again are put back."""
        rows = list(csv.DictReader(io.StringIO(content.decode(), newline=""), strict=True))
        title = name.split("_")[1]
        if name in self.files:
            if self.files[name] != content:
                self.refused.append(f"{name}: came again with another content")
            if title == "ModificationData":
                refused, self.refused = self.refused, []
                self._modify(rows)
                self.refused = refused
            return
        self.files[name] = content
        if title == "ActionData":
            self._convert(rows)
        elif title == "ModificationData":
            self._modify(rows)
        else:
            self.refused.append(f"{name}: no file of ours")

    def _convert(self, rows: list[Row]) -> None:
        for key, lines in groupby(rows, key=lambda row: (row["ActionTrackerId"], row["OrderId"])):
            if key in self.actions:
                self.refused.append(f"OID_DUPLICATE {key}")
                continue
            items = {row.get("Sku", ""): _line(row) for row in lines}
            self.actions[key] = Action(items)

    def _modify(self, rows: list[Row]) -> None:
        for key, lines in _by_action(rows):
            action = self.actions.get(key)
            if action is None:
                self.refused.append(f"ACTION_NOT_FOUND {key}")
            elif action.is_reversed:
                self.refused.append(f"ALREADY_REVERSED {key}")
            else:
                self._change(key, action, lines)

    def _change(self, key: tuple[str, str], action: Action, lines: list[Row]) -> None:
        action.modifications += 1
        if "SKU" not in lines[0]:
            self._change_order(key, action, lines)
            return
        for row in lines:
            line = action.lines.get(row["SKU"])
            if line is None or not row["Reason"]:
                self.refused.append(f"{key} {row}: no such item, or no reason")
                continue
            after = _line(row)
            if after == line:
                self.refused.append(f"NO_CHANGE {key} {row}")
            if after.quantity != line.quantity and not row["Amount"]:
                self.refused.append(f"{key} {row}: a quantity without its amount")
            action.lines[row["SKU"]] = after
        action.is_reversed = not any(line.quantity or line.amount for line in action.lines.values())

    def _change_order(self, key: tuple[str, str], action: Action, lines: list[Row]) -> None:
        (row,) = lines
        amount = Decimal(row["Amount"])
        if amount == action.amount:
            self.refused.append(f"NO_CHANGE {key} {row}")
        if amount == 0:
            action.is_reversed = True
            action.lines = {sku: Line(Decimal(), 0, line.category) for sku, line in action.lines.items()}
        elif set(action.lines) == {""}:
            action.lines[""].amount = amount
        else:
            self.refused.append(f"{key} {row}: the amounts of the items are not known any more")


def _line(row: Row) -> Line:
    quantity = row.get("Quantity")
    return Line(Decimal(row["Amount"]), int(quantity) if quantity else None, row.get("Category"))


def _by_action(rows: list[Row]) -> Iterator[tuple[tuple[str, str], list[Row]]]:
    """Yield each action with its lines, whatever the layout; a blank identifier is that of the line before."""
    found: list[tuple[tuple[str, str], list[Row]]] = []
    for row in rows:
        key = (row["ActionTrackerID"], row["Oid"])
        lines = list(_indexed(row)) if "SKU1" in row or "Sku1" in row else [row]
        if not any(key) or (found and found[-1][0] == key):
            found[-1][1].extend(lines)
        else:
            found.append((key, lines))
    yield from found


def _indexed(row: Row) -> Iterator[Row]:
    """Yield the lines that numbered columns hold."""
    numbered = {name.upper(): value for name, value in row.items()}
    number = 1
    while numbered.get(f"SKU{number}"):
        columns = ("SKU", "Amount", "Quantity", "Category", "Reason")
        yield {name: numbered.get(f"{name.upper()}{number}", row.get(name, "")) for name in columns}
        number += 1

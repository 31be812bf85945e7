"""What a shop believes of its orders after all it has said: a small pure model, with arithmetic of its own.

Amounts are whole minor units. What the service refuses, the model refuses by the same code, and nothing changes.
"""

from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

Key = tuple[str, str]


@dataclass(frozen=True)
class Piece:
    """A line of an order: what is left of it. With no pieces left it is reversed."""

    amount: int
    quantity: int

    def worth(self, amount: int) -> "Piece":
        """Return it with another amount; a line that comes down to 0 is reversed."""
        return Piece(amount, 0 if self.amount and not amount else self.quantity)


GONE = Piece(0, 0)


class Refused(Exception):
    """A correction that changes nothing."""


@dataclass
class Sold:
    """An order as the shop knows it."""

    currency: str
    lines: dict[str, Piece]
    is_reversed: bool = False

    def corrected(self, kind: str, body: dict[str, Any]) -> "Sold | str":
        """Return the order after a correction, or the code by which it is refused."""
        try:
            return self._corrected(kind, body)
        except Refused as refused:
            return str(refused)

    def _corrected(self, kind: str, body: dict[str, Any]) -> "Sold":
        if self.is_reversed:
            raise Refused("ALREADY_REVERSED")
        lines = getattr(self, f"_after_{kind}")(body)
        if not any(line.quantity for line in lines.values()) or (self.amount and not _sum(lines)):
            return replace(self, lines=dict.fromkeys(lines, GONE), is_reversed=True)
        if lines == self.lines:
            raise Refused("ALREADY_REVERSED" if kind == "reversals" else "NO_CHANGE")
        return replace(self, lines=lines)

    @property
    def amount(self) -> int:
        """What all lines come to."""
        return _sum(self.lines)

    def left(self) -> dict[str, Piece]:
        """Return the lines of which something is left."""
        return {sku: line for sku, line in self.lines.items() if line.quantity}

    def _after_modifications(self, body: dict[str, Any]) -> dict[str, Piece]:
        if "items" not in body:
            weights = [line.amount for line in self.lines.values()]
            shares = shared(body["amount"], weights if any(weights) else [one.quantity for one in self.lines.values()])
            return {sku: line.worth(share) for (sku, line), share in zip(self.lines.items(), shares, strict=True)}
        lines = dict(self.lines)
        for item in self._open(body["items"]):
            line = self.lines[item["sku"]]
            lines[item["sku"]] = replace(line, quantity=item.get("quantity", line.quantity)).worth(item["amount"])
        return lines

    def _after_reversals(self, body: dict[str, Any]) -> dict[str, Piece]:
        named = [item["sku"] for item in body["items"]] if "items" in body else list(self.lines)
        return self.lines | dict.fromkeys(named, GONE)

    def _after_refunds(self, body: dict[str, Any]) -> dict[str, Piece]:
        if "items" not in body:
            if body["amount"] > self.amount:
                raise Refused("REFUND_EXCEEDS_ORDER")
            shares = shared(body["amount"], [line.amount for line in self.lines.values()])
            changed = zip(self.lines.items(), shares, strict=True)
            return {sku: line.worth(line.amount - share) for (sku, line), share in changed}
        lines = dict(self.lines)
        for item in self._open(body["items"]):
            line, pieces = self.lines[item["sku"]], item.get("quantity", 0)
            if pieces > line.quantity:
                raise Refused("REFUND_EXCEEDS_ORDER")
            back = item.get("amount", sum(prices(line)[:pieces]))
            if back > line.amount:
                raise Refused("REFUND_EXCEEDS_ORDER")
            if pieces == line.quantity and back < line.amount:
                raise Refused("INVALID_QUANTITY")
            lines[item["sku"]] = Piece(line.amount, line.quantity - pieces).worth(line.amount - back)
        return lines

    def _open(self, items: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return what is asked of lines of which something is left, as the order has them."""
        if not all(self.lines[item["sku"]].quantity for item in items):
            raise Refused("ALREADY_REVERSED")
        return sorted(items, key=lambda item: list(self.lines).index(item["sku"]))


@dataclass
class Shop:
    """All orders, those that were cancelled before anything of them left, and those that nobody is credited with."""

    orders: dict[Key, Sold] = field(default_factory=dict)
    cancelled: set[Key] = field(default_factory=set)
    held: set[Key] = field(default_factory=set)


def shared(total: int, weights: list[int]) -> list[int]:
    """Share a sum out in proportion; what cannot be divided goes to the largest, one unit each."""
    if not any(weights):
        return [total] + [0] * (len(weights) - 1)
    exact = [Fraction(total * weight, sum(weights)) for weight in weights]
    shares = [int(share) for share in exact]
    for _, place in sorted((-weight, place) for place, weight in enumerate(weights))[: total - sum(shares)]:
        shares[place] += 1
    return shares


def prices(line: Piece) -> list[int]:
    """Return the price of each piece, the cheapest first: as even as whole units allow."""
    return sorted((line.amount + place) // line.quantity for place in range(line.quantity))


def _sum(lines: dict[str, Piece]) -> int:
    return sum(line.amount for line in lines.values())

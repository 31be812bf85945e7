"""What a correction asks for, and the lines of the order that it asks for it of."""

from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum


class Kind(StrEnum):
    """What is asked for: new final values, nothing left, or something given back."""

    MODIFICATION = "modification"
    REVERSAL = "reversal"
    REFUND = "refund"


@dataclass(frozen=True, slots=True)
class ItemWish:
    """What a correction says of one line; None where it says nothing."""

    sku: str
    amount: Decimal | None = None
    quantity: int | None = None
    category: str | None = None


@dataclass(frozen=True, slots=True)
class Wish:
    """A correction as it is asked for: of some items, or of the whole order."""

    kind: Kind
    reason: str
    items: tuple[ItemWish, ...] = ()
    amount: Decimal | None = None
    occurred_at: datetime | None = None
    action_id: str | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """One line of an order as it is; `reason` says why impact.com must be told of it, if it must."""

    sku: str
    category: str
    quantity: int
    amount: int
    reason: str | None = field(default=None, compare=False)

    @property
    def is_reversed(self) -> bool:
        """Whether nothing is left of it."""
        return not self.quantity

    def reversed(self) -> "Line":
        """Return the line with nothing left of it."""
        return replace(self, amount=0, quantity=0)

    def left_with(self, amount: int) -> "Line":
        """Return the line with another amount; nothing is left of one that comes down to 0."""
        return replace(self, amount=amount, quantity=self.quantity if amount or not self.amount else 0)


Lines = tuple[Line, ...]

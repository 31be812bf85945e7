"""What orders come to: how many, how many of them with a click id or held, and their exact amount."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from app.conversions.order import Order


@dataclass(frozen=True, slots=True)
class Total:
    """Some orders of one event type and currency, as they were recorded. `amount` in minor units, of any size."""

    orders: int = 0
    with_click_id: int = 0
    held: int = 0
    amount: int = 0

    @classmethod
    def of(cls, order: Order) -> Self:
        """Return the total of one order."""
        return cls(1, int(order.click_id is not None), int(order.hold_reason is not None), order.amount)

    def __add__(self, other: "Total") -> "Total":
        return Total(
            self.orders + other.orders,
            self.with_click_id + other.with_click_id,
            self.held + other.held,
            self.amount + other.amount,
        )


def totals_of(orders: Iterable[Order]) -> dict[tuple[str, str], Total]:
    """Return what orders come to, by event type and currency."""
    found: dict[tuple[str, str], Total] = {}
    for order in orders:
        key = order.event_type, order.currency
        found[key] = found.get(key, Total()) + Total.of(order)
    return found

"""What orders come to: how many, how many of them with a click id or held, and their exact amount."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Total:
    """Some orders of one event type and currency, as they were recorded. `amount` in minor units, of any size."""

    orders: int = 0
    with_click_id: int = 0
    held: int = 0
    amount: int = 0

    def __add__(self, other: "Total") -> "Total":
        return Total(
            self.orders + other.orders,
            self.with_click_id + other.with_click_id,
            self.held + other.held,
            self.amount + other.amount,
        )

"""What days brought and what has become of it, added up for people: never one currency to another."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Final

ARRIVED: Final = ("accepted", "partly_accepted", "rejected", "delivered")
"""The states of orders that have reached impact.com, or lie ready for it, whatever it made of them."""
GROUPS: Final[Mapping[str, Sequence[str]]] = {
    "accepted": ("accepted", "partly_accepted"),
    "on its way": ("pending", "batched", "delivered", "unknown"),
    "held": ("held",),
    "refused": ("rejected", "expired"),
    "cancelled": ("cancelled",),
}
"""What a chart tells apart, by what it means to the partner who waits for a commission."""
STATES: Final = tuple(state for group in GROUPS.values() for state in group)


@dataclass(frozen=True, slots=True)
class Day:
    """A day (UTC). `orders` as they were recorded; `states` and `amounts` as they stood when they were counted.

    `amounts` are in minor units, by currency and state.
    """

    day: date
    clicks: int = 0
    orders: int = 0
    with_click_id: int = 0
    states: Counter[str] = field(default_factory=Counter)
    amounts: Mapping[str, Counter[str]] = field(default_factory=dict)
    counted_at: datetime | None = None

    @property
    def arrived(self) -> int:
        """How many of its orders had reached impact.com when they were counted."""
        return sum(self.states[state] for state in ARRIVED)

    @property
    def counted(self) -> int:
        """How many of its orders were counted."""
        return self.states.total()

    @property
    def shown_states(self) -> list[tuple[str, int]]:
        """The states that any of its orders is in, with their number."""
        return [(state, self.states[state]) for state in STATES if self.states[state]]


def span(last: date, number: int) -> list[date]:
    """Return so many days up to the last one."""
    return [last - timedelta(days=ago) for ago in reversed(range(number))]


def currencies(days: Iterable[Day]) -> list[str]:
    """Return the currencies of some days' orders."""
    return sorted({currency for day in days for currency in day.amounts})


def states_of(days: Iterable[Day], currency: str) -> list[str]:
    """Return the states that some days' orders of a currency are in, in the order of their lives' ends."""
    found = {state for day in days for state in day.amounts.get(currency, ())}
    return [state for state in STATES if state in found]


def amount(day: Day, currency: str, states: Iterable[str]) -> int:
    """Return what a day's orders of a currency come to that were in some states."""
    of_the_day = day.amounts.get(currency, Counter())
    return sum(of_the_day[state] for state in states)


def counted_at(days: Iterable[Day]) -> datetime | None:
    """Return since when all of what is shown of the days' orders holds: the oldest of the counts."""
    return min((day.counted_at for day in days if day.counted_at is not None), default=None)

"""What somebody looks for among orders, as it was typed: kept as it is, so that a form shows it again."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import date
from typing import Final

from app.ledger.state import OrderState

_DAY_LENGTH: Final = len("2026-11-22")
LONGEST: Final = 1_000
"""No id that an order can have is longer."""


@dataclass(frozen=True, slots=True)
class Asked:
    """The fields of the form for orders."""

    text: str = ""
    state: str = ""
    reason: str = ""
    event_type: str = ""
    first: str = ""
    last: str = ""

    @property
    def filters(self) -> Mapping[str, str]:
        """All but the text, which may be a customer's or a click's id and stands in no address."""
        return {name: value for name, value in asdict(self).items() if name != "text" and value}

    @property
    def order_state(self) -> OrderState | None:
        """The state that is looked for."""
        return OrderState(self.state) if self.state else None

    @property
    def first_day(self) -> date | None:
        """The first day that is looked at."""
        return _day(self.first)

    @property
    def last_day(self) -> date | None:
        """The last day that is looked at."""
        return _day(self.last)

    def faults(self) -> Mapping[str, str]:
        """Return what is wrong, by field."""
        found: dict[str, str] = {}
        if len(self.text) > LONGEST:
            found["text"] = "No id is so long."
        if self.state and self.state not in list(OrderState):
            found["state"] = "There is no such state; choose one of the list."
        days = {}
        for name in ("first", "last"):
            try:
                days[name] = _day(getattr(self, name))
            except ValueError:
                found[name] = "Write the day as 2026-11-22."
        if (first := days.get("first")) and (last := days.get("last")) and first > last:
            found["last"] = "The last day is before the first."
        return found


def read(given: Callable[[str], str]) -> Asked:
    """Return what a query or a form has, blanks around it aside, which come with copied text."""
    return Asked(**{name: given(name).strip() for name in Asked.__dataclass_fields__})


def _day(text: str) -> date | None:
    if text and len(text) != _DAY_LENGTH:
        raise ValueError(text)
    return date.fromisoformat(text) if text else None


def cursor(text: str) -> int:
    """Return where a search goes on, 0 if that is no place."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < len(str(2**63)) else 0

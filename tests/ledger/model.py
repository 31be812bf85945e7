"""What the ledger promises, as a small pure model: no database, no files, no crash."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

Body = dict[str, Any]
Key = tuple[str, str]

MAX_AGE: Final = timedelta(days=87)
MAX_AGE_WITH_MEDIA_ID: Final = timedelta(days=397)
CREDITS: Final = ("click_id", "promo_code", "media_id")


def key_of(body: Body) -> Key:
    """Return what makes an order one order."""
    return body["event_type"], body["order_id"]


def meaning(body: Body) -> Any:
    """Return what is left of a body when its writing does not matter."""
    return (
        key_of(body),
        datetime.fromisoformat(body["event_date"]),
        body["currency"],
        tuple(body.get(name) for name in CREDITS),
        sorted(
            (item["sku"], item["category"], item["quantity"], Decimal(str(item["amount"]))) for item in body["items"]
        ),
    )


@dataclass
class Entry:
    """An order that was accepted, and where it is. `waits`: an export will look at it."""

    body: Body
    state: str
    waits: bool = True


@dataclass
class Plan:
    """What one commit of an export does."""

    sent: list[Key] = field(default_factory=list)
    held: list[Key] = field(default_factory=list)
    held_for_now: list[Key] = field(default_factory=list)
    expired: list[Key] = field(default_factory=list)


@dataclass
class Model:
    """The ledger as a merchant thinks of it."""

    max_rows: int
    event_types: set[str]
    orders: dict[Key, Entry] = field(default_factory=dict)
    batches: list[list[Key]] = field(default_factory=list)
    undelivered: set[int] = field(default_factory=set)
    under_way: set[int] = field(default_factory=set)
    doubtful: set[int] = field(default_factory=set)
    export_is_open: bool = False

    def accept(self, body: Body) -> int:
        """Return the status that an order is answered with."""
        known = self.orders.get(key_of(body))
        if known is None:
            credited = any(name in body for name in CREDITS)
            self.orders[key_of(body)] = Entry(body, "pending" if credited else "held")
            return 201
        return 200 if meaning(known.body) == meaning(body) else 409

    def plans(self, now: datetime) -> list[Plan]:
        """Return what an export does, commit by commit: files in the order of recording, each as full as can be."""
        waiting = [key for key, entry in self.orders.items() if entry.waits]
        return [
            plan
            for event_type in sorted({event_type for event_type, _ in waiting})
            for plan in self._plans([key for key in waiting if key[0] == event_type], now)
        ]

    def _plans(self, waiting: list[Key], now: datetime) -> Iterator[Plan]:
        while waiting:
            plan, rows = Plan(), 0
            while waiting:
                place = self._place(plan, waiting[0], now)
                if place is plan.sent:
                    rows += len(self.orders[waiting[0]].body["items"])
                    if rows > self.max_rows:
                        break
                place.append(waiting.pop(0))
            yield plan

    def _place(self, plan: Plan, key: Key, now: datetime) -> list[Key]:
        body = self.orders[key].body
        if not any(name in body for name in CREDITS):
            return plan.held
        if body["event_type"] not in self.event_types or len(body["items"]) > self.max_rows:
            return plan.held_for_now
        limit = MAX_AGE_WITH_MEDIA_ID if "media_id" in body else MAX_AGE
        return plan.expired if now - datetime.fromisoformat(body["event_date"]) > limit else plan.sent

    def commit(self, plan: Plan) -> None:
        """Do what a commit of an export does."""
        for state, keys in (("held", plan.held), ("expired", plan.expired), ("batched", plan.sent)):
            for key in keys:
                self.orders[key].state, self.orders[key].waits = state, False
        for key in plan.held_for_now:
            self.orders[key].state = "held"
        if plan.sent:
            self.undelivered.add(len(self.batches))
            self.batches.append(plan.sent)

    def begin_delivery(self, number: int) -> None:
        """Note that a batch's delivery has begun; if one had begun before and never ended, nobody knows of that one."""
        if number in self.under_way:
            self.doubtful.add(number)
        self.under_way.add(number)
        self._set(number, delivered=False)

    def end_delivery(self, number: int, code: str | None) -> None:
        """Note how it ended: `code` is the failure's, None if the file arrived."""
        self.under_way.discard(number)
        if code is None:
            self.undelivered.discard(number)
        if code == "OUTCOME_UNKNOWN":
            self.doubtful.add(number)
        self._set(number, delivered=code is None)

    def _set(self, number: int, *, delivered: bool) -> None:
        for key in self.batches[number]:
            if delivered or self.orders[key].state == "delivered":  # what arrived once has arrived
                self.orders[key].state = "delivered"
            else:
                self.orders[key].state = "unknown" if number in self.doubtful else "batched"

    def counts(self) -> Counter[str]:
        """Return the orders per state."""
        return Counter(entry.state for entry in self.orders.values())

    def sums(self) -> Counter[tuple[str, str]]:
        """Return the amounts per state and currency, in thousandths."""
        sums: Counter[tuple[str, str]] = Counter()
        for entry in self.orders.values():
            amount = sum(Decimal(str(item["amount"])) for item in entry.body["items"])
            sums[entry.state, entry.body["currency"]] += int(amount * 1000)
        return sums

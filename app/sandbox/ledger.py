"""The actions that the sandbox has accepted, and what was changed of them. All of it is in memory."""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime

PENDING, APPROVED, REVERSED = "PENDING", "APPROVED", "REVERSED"


@dataclass
class Item:
    """One SKU of an action, its amount in minor units; of a whole order without items the SKU is empty."""

    sku: str
    category: str
    quantity: int
    amount: int


@dataclass
class Action:
    """A conversion that was accepted."""

    id: str
    campaign_id: str
    tracker_id: str
    oid: str
    partner_id: str
    customer_id: str
    currency: str
    event_date: datetime
    created_at: datetime
    updated_at: datetime
    locks_at: datetime
    items: list[Item]
    said: dict[str, str] = field(default_factory=dict)
    """The rest of what the merchant told of it."""
    modifications: int = 0
    is_reversed: bool = False
    is_approved: bool = False

    @property
    def amount(self) -> int:
        """What is left of it, in minor units."""
        return sum(item.amount for item in self.items)

    def state(self, now: datetime) -> str:
        """Return its state; one that has locked is approved."""
        if self.is_reversed:
            return REVERSED
        return APPROVED if self.is_approved or now >= self.locks_at else PENDING

    def closed_by(self, now: datetime) -> str:
        """Return why nothing of it can be changed any more, "" if it can."""
        if self.is_reversed:
            return "ALREADY_REVERSED"
        if self.is_approved:
            return "ALREADY_APPROVED"
        return "ALREADY_LOCKED" if now >= self.locks_at else ""


@dataclass(frozen=True)
class Update:
    """One change of an action, or of one of its items; amounts in minor units."""

    id: str
    action: Action
    state: str
    reason: str
    sku: str
    quantity: int
    delta_amount: int
    delta_payout: int
    at: datetime


class Ledger:
    """Actions by what they are asked for."""

    def __init__(self) -> None:
        self.actions: dict[str, Action] = {}
        self.updates: list[Update] = []
        self._by_order: dict[tuple[str, str], list[Action]] = defaultdict(list)
        self._by_customer: dict[tuple[str, str], list[Action]] = defaultdict(list)

    def next_id(self, campaign_id: str, tracker_id: str) -> str:
        """Return the id of the next action: dotted, as impact.com's are."""
        return f"{campaign_id}.{tracker_id}.{len(self.actions) + 100_001}"

    def add(self, action: Action) -> None:
        """Keep an action."""
        self.actions[action.id] = action
        self._by_order[action.tracker_id, action.oid].append(action)
        if action.customer_id:
            self._by_customer[action.campaign_id, action.customer_id].append(action)

    def newest(self, tracker_id: str, oid: str) -> Action | None:
        """Return the newest action of an order."""
        found = self._by_order.get((tracker_id, oid))
        return found[-1] if found else None

    def of_customer(self, campaign_id: str, customer_id: str) -> list[Action]:
        """Return what a customer has done before."""
        return self._by_customer.get((campaign_id, customer_id), []) if customer_id else []

    def named(self, oid: str) -> list[Action]:
        """Return all actions of an order id."""
        return [action for action in self.actions.values() if action.oid == oid]

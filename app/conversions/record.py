"""Recording orders: exactly once, however often and from wherever they come.

What guards against a second order is the unique key in the schema; this code only reads what the key did.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from sqlmodel import Session

from app.conversions import store, totals_store
from app.conversions.order import Order
from app.conversions.total import totals_of
from app.database import Database, retried


class Outcome(StrEnum):
    """What became of an order that was sent."""

    NEW = "new"
    REPLAYED = "replayed"
    CONFLICT = "conflict"


@dataclass(frozen=True, slots=True)
class Result:
    """An order's outcome, and the conversion it is recorded as."""

    order: Order
    outcome: Outcome
    conversion_id: int


@retried
def record(database: Database, orders: Sequence[Order], now: datetime) -> list[Result]:
    """Record orders in one transaction, and return one result each, in the same order; durable on return.

    A body that means the same as any that was ever accepted for its order is a replay; another is a conflict and
    changes nothing. Raises Unavailable when the database is away: nothing of the group is recorded then.
    """
    if not orders:
        return []
    with database.transaction() as session:
        return _record(session, orders, now)


def _record(session: Session, orders: Sequence[Order], now: datetime) -> list[Result]:
    first: dict[tuple[str, str], Order] = {}
    for order in orders:
        first.setdefault(order.key, order)
    # In one order for everybody, so that two transactions with the same orders do not wait for each other.
    created = store.claim_keys(session, sorted(first), now)
    if created:
        store.add_revisions(session, {created[key]: first[key] for key in first if key in created}, number=1, now=now)
        totals_store.add(session, now.astimezone(UTC).date(), totals_of(first[key] for key in created))
    if len(created) == len(orders):
        return [Result(order, Outcome.NEW, created[order.key]) for order in orders]
    ids = created | store.find_keys(session, [key for key in first if key not in created])
    known = store.fingerprints(session, list(ids.values()))
    return [
        Result(order, _outcome(order, ids, known, is_new=order.key in created and before == 0), ids[order.key])
        for order, before in _with_repeats(orders)
    ]


def _with_repeats(orders: Sequence[Order]) -> Iterator[tuple[Order, int]]:
    """Yield each order with the number of times that its key came before it."""
    seen: Counter[tuple[str, str]] = Counter()
    for order in orders:
        yield order, seen[order.key]
        seen[order.key] += 1


def _outcome(order: Order, ids: dict[tuple[str, str], int], known: dict[int, set[str]], *, is_new: bool) -> Outcome:
    if is_new:
        return Outcome.NEW
    return Outcome.REPLAYED if order.fingerprint() in known[ids[order.key]] else Outcome.CONFLICT

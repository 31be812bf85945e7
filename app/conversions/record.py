"""Recording orders: exactly once, however often and from wherever they come.

What guards against a second order is the unique key in the schema; this code only reads what the key did.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from app.conversions import group_store, store
from app.conversions.order import Order
from app.database import Database, retried


class Outcome(StrEnum):
    """What became of an order that was sent."""

    NEW = "new"
    REPLAYED = "replayed"
    CONFLICT = "conflict"


@dataclass(frozen=True, slots=True)
class Result:
    """An order's outcome, the conversion it is recorded as, and the time at which its group was recorded."""

    order: Order
    outcome: Outcome
    conversion_id: int
    at: datetime


@retried
def record(database: Database, orders: Sequence[Order], now: datetime) -> list[Result]:
    """Record orders together or not at all, and return one result each, in the same order; durable on return.

    A body that means the same as any that was ever accepted for its order is a replay; another is a conflict and
    changes nothing. Raises Unavailable when the database is away. Whether they are recorded is not always known then,
    and the same again is answered right in either case.
    """
    if not orders:
        return []
    first: dict[tuple[str, str], Order] = {}
    for order in orders:
        first.setdefault(order.key, order)
    distinct = list(first.values())
    with database.group() as cursor:
        created = group_store.add_new(cursor, distinct, now, is_sqlite=database.is_sqlite)
    if len(created) == len(orders):
        return [Result(order, Outcome.NEW, created[place], now) for place, order in enumerate(orders)]
    new = {distinct[place].key: conversion_id for place, conversion_id in created.items()}
    ids, known = _recorded(database, [key for key in first if key not in new], new)
    return [
        Result(order, _outcome(order, ids, known, is_new=order.key in new and before == 0), ids[order.key], now)
        for order, before in _with_repeats(orders)
    ]


def foretell(database: Database, orders: Sequence[Order]) -> list[Outcome]:
    """Say what `record` would make of orders, each by itself, and change nothing. Raises Unavailable."""
    ids, known = _recorded(database, list({order.key for order in orders}), {})
    return [_outcome(order, ids, known, is_new=order.key not in ids) for order in orders]


def _recorded(
    database: Database, keys: Sequence[tuple[str, str]], new: dict[tuple[str, str], int]
) -> tuple[dict[tuple[str, str], int], dict[int, set[str]]]:
    """Return the conversions of `new` and of those keys that are recorded, and every fingerprint of theirs."""
    with database.snapshot() as session:
        ids = new | store.find_keys(session, keys)
        return ids, store.fingerprints(session, list(ids.values()))


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

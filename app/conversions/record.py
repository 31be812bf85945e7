"""Recording orders: exactly once, however often and from wherever they come.

What guards against a second order is the unique key in the schema; this code only reads what the key did.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from pydantic import SecretStr

from app.conversions import group_store, moved_store, store
from app.conversions.chain import about_recorded_parent, generations
from app.conversions.fingerprint import is_among
from app.conversions.order import Order, OrderKey
from app.database import Database, retried
from app.errors import Fault


class Outcome(StrEnum):
    """What became of an order that was sent."""

    NEW = "new"
    REPLAYED = "replayed"
    CONFLICT = "conflict"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Result:
    """An order's outcome, the conversion it is recorded as, and the time at which its group was recorded.

    One that is refused for its parent has the faults, and no conversion.
    """

    order: Order
    outcome: Outcome
    conversion_id: int
    at: datetime
    faults: tuple[Fault, ...] = ()


@retried
def record(database: Database, orders: Sequence[Order], now: datetime, key: SecretStr | None = None) -> list[Result]:
    """Record orders together or not at all, and return one result each, in the same order; durable on return.

    Those with a parent are recorded after those without, and refused if it is not recorded or has another customer.
    A body that means the same as any that was ever accepted for its order is a replay; another is a conflict and
    changes nothing. An order whose id has moved to another event type is looked for there, whatever the rules are now.
    `key` is that of fingerprints: by it an order is known again whose personal fields are gone.
    Raises Unavailable when the database is away. Whether they are recorded is not always known then,
    and the same again is answered right in either case.
    """
    if not any(order.parent for order in orders):
        return _record(database, orders, now, key)
    results: dict[int, Result] = {}
    for generation in generations(orders):
        faults = _about_parents(database, {place: orders[place] for place in generation})
        right = [place for place in generation if place not in faults]
        results |= zip(right, _record(database, [orders[place] for place in right], now, key), strict=True)
        results |= {place: Result(orders[place], Outcome.REFUSED, 0, now, (fault,)) for place, fault in faults.items()}
    return [results[place] for place in range(len(orders))]


def _about_parents(database: Database, orders: Mapping[int, Order]) -> dict[int, Fault]:
    """Return what is wrong with orders beside their parents; of an order that is recorded already, nothing is."""
    children = {place: order for place, order in orders.items() if order.parent}
    if not children:
        return {}
    with database.snapshot() as session:
        known = store.find_keys(session, [order.key for order in children.values()])
        customers = store.customers(session, [order.parent for order in children.values() if order.parent])
    new = {place: order for place, order in children.items() if order.key not in known}
    return {place: fault for place, order in new.items() if (fault := about_recorded_parent(order, customers))}


def _record(database: Database, orders: Sequence[Order], now: datetime, key: SecretStr | None) -> list[Result]:
    if not orders:
        return []
    if any(order.goes_under for order in orders):
        orders = _where_they_go(database, orders, now)
    first: dict[OrderKey, Order] = {}
    for order in orders:
        first.setdefault(order.key, order)
    distinct = list(first.values())
    with database.group() as cursor:
        created = group_store.add_new(cursor, distinct, now, is_sqlite=database.is_sqlite)
    if len(created) == len(orders):
        return [Result(order, Outcome.NEW, created[place], now) for place, order in enumerate(orders)]
    new = {distinct[place].key: conversion_id for place, conversion_id in created.items()}
    ids, known, moved = _recorded(database, [key for key in first if key not in new], new)
    elsewhere = [_under(order, moved[ids[order.key]]) for order in orders if ids[order.key] in moved]
    results = iter(record(database, elsewhere, now, key))
    return [
        next(results)
        if ids[order.key] in moved
        else Result(
            order, _outcome(order, ids, known, key, is_new=order.key in new and before == 0), ids[order.key], now
        )
        for order, before in _with_repeats(orders)
    ]


def _where_they_go(database: Database, orders: Sequence[Order], now: datetime) -> list[Order]:
    """Return the orders under the event types that rules give them, where their own has no such order yet.

    If this is as far as it gets, the same again goes on from here, whatever the rules say by then.
    """
    moving = [order for order in orders if order.goes_under]
    with database.transaction() as session:
        moved_store.move(session, moving, now)
        ids = store.find_keys(session, [order.key for order in moving])
        places = moved_store.destinations(session, list(ids.values()))
    under = {key: places[conversion_id] for key, conversion_id in ids.items() if conversion_id in places}
    return [_under(order, under[order.key]) if order.goes_under and order.key in under else order for order in orders]


def _under(order: Order, event_type: str) -> Order:
    return replace(order, event_type=event_type, sent_as=order.fingerprint(), goes_under=None)


def foretell(database: Database, orders: Sequence[Order], key: SecretStr | None = None) -> list[Outcome]:
    """Say what `record` would make of orders, each by itself, and change nothing. Raises Unavailable.

    A parent that is not recorded may come in the same file, so that parents are not looked for.
    """
    ids, known, moved = _recorded(database, list({order.key for order in orders}), {})
    if moved:
        there = [_under(order, moved[ids[order.key]]) if ids.get(order.key) in moved else order for order in orders]
        return foretell(database, there, key)
    return [_outcome(order, ids, known, key, is_new=order.key not in ids) for order in orders]


def _recorded(
    database: Database, keys: Sequence[OrderKey], new: dict[OrderKey, int]
) -> tuple[dict[OrderKey, int], dict[int, set[str]], dict[int, str]]:
    """Return the conversions of `new` and of those keys that are recorded, their fingerprints, and where some moved."""
    with database.snapshot() as session:
        ids = new | store.find_keys(session, keys)
        known = store.fingerprints(session, list(ids.values()))
        return ids, known, moved_store.destinations(session, list(ids.values() - known.keys()))


def _with_repeats(orders: Sequence[Order]) -> Iterator[tuple[Order, int]]:
    """Yield each order with the number of times that its key came before it."""
    seen: Counter[OrderKey] = Counter()
    for order in orders:
        yield order, seen[order.key]
        seen[order.key] += 1


def _outcome(
    order: Order, ids: dict[OrderKey, int], known: dict[int, set[str]], key: SecretStr | None, *, is_new: bool
) -> Outcome:
    if is_new:
        return Outcome.NEW
    return Outcome.REPLAYED if is_among(order.fingerprint(), known[ids[order.key]], key) else Outcome.CONFLICT

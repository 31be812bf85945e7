"""The overview: what is to be done, how things stand just now, and what the last days brought."""

from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from sqlalchemy import Row
from sqlmodel import Session

from app.alarms import store as alarms
from app.alarms.alarm import Kind
from app.clicks import store as clicks
from app.config import Settings
from app.conversions import totals_store as totals
from app.conversions.total import Total
from app.dashboard import overview_store as store
from app.dashboard import todo
from app.dashboard.days import Day, span
from app.dashboard.overview_store import Delivery, Waiting
from app.dashboard.todo import Task
from app.dashboard.words import number
from app.delivery.attempt import next_pull
from app.ledger.deadlines import Deadlines, deadlines
from app.ledger.standings import CountedDay, read_days
from app.ledger.state import OrderState
from app.ledger.store import PAGE, page

FOLDER: Final = "folder"


@dataclass(frozen=True, slots=True)
class Now:
    """How things stand. `held` is a number of orders, as it is told; `pull_at` when impact.com fetches files next.

    `is_pulled` says that it fetches them at all, from the folder.
    """

    tasks: Sequence[Task]
    waiting: Waiting
    held: str
    last_export: Row[Any] | None
    last_delivery: Delivery | None
    is_pulled: bool
    pull_at: datetime | None


def look(session: Session, settings: Settings, now: datetime) -> Now:
    """Return how things stand just now, and what a person is to do about it."""
    held = len(page(session, OrderState.HELD, 0))
    shown = f"more than {PAGE}" if held > PAGE else number(held)
    holding, soon = alarms.holding(session), deadlines(session, settings, now)
    tasks = [todo.of_alarm(one) for one in holding]
    if held:
        tasks.append(todo.of_held_orders(shown, soon.first_held_order_expires_at))
    tasks += _before_it_ends(soon, {one.kind for one in holding})
    is_pulled = FOLDER in settings.channels_in_use
    return Now(
        tasks=todo.most_severe_first(tasks),
        waiting=store.waiting(session),
        held=shown,
        last_export=store.last_export(session),
        last_delivery=store.last_delivery(session),
        is_pulled=is_pulled,
        pull_at=next_pull(now, settings.folder_pulled_at) if is_pulled and settings.folder_pulled_at else None,
    )


def _before_it_ends(soon: Deadlines, alarms_of: set[str]) -> list[Task]:
    """Return what ends soon and no alarm tells of."""
    tasks = []
    if soon.orders_expiring and Kind.ORDERS_EXPIRING not in alarms_of:
        what = f"Orders on their way that become too old within {soon.within_days} days: {number(soon.orders_expiring)}"
        do = "See that their batches are delivered before."
        tasks.append(todo.of_deadline(what, do, soon.first_order_expires_at))
    if soon.corrections_locking:
        what = (
            f"Refunds or changes whose actions lock within {soon.within_days} days: {number(soon.corrections_locking)}"
        )
        do = "See that they leave before; impact.com takes none of them afterwards."
        tasks.append(todo.of_deadline(what, do, soon.first_correction_locks_at))
    return tasks


def read(session: Session, last: date, number_of_days: int) -> list[Day]:
    """Return what so many days up to the last one brought, in their order, those that brought nothing too."""
    wanted = span(last, number_of_days)
    clicked = clicks.counted(session, wanted[0], last)
    recorded = totals.between(session, wanted[0], last)
    standings = read_days(session, wanted[0], last)
    return [_day(day, clicked.get(day, 0), recorded.get(day, {}).values(), standings.get(day)) for day in wanted]


def _day(day: date, clicked: int, recorded: Collection[Total], standing: CountedDay | None) -> Day:
    """Return a day over all event types; only amounts are kept apart by currency."""
    states, amounts = Counter[str](), defaultdict[str, Counter[str]](Counter)
    for (_, currency), shares in (standing.by if standing else {}).items():
        for state, share in shares.items():
            states[state] += share.orders
            amounts[currency][state] += share.amount
    return Day(
        day=day,
        clicks=clicked,
        orders=sum(one.orders for one in recorded),
        with_click_id=sum(one.with_click_id for one in recorded),
        states=states,
        amounts=amounts,
        counted_at=standing.counted_at if standing else None,
    )

"""Comparing what the shop said, what has left from here and what impact.com has, day by day; nothing is written."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final

from sqlalchemy import Row
from sqlmodel import Session

from app.actions import store as actions
from app.actions.read import campaigns, trackers
from app.config import Settings
from app.conversions import store as conversions
from app.database import only_by_keys
from app.errors import Fault, InvalidInput, pointer_to
from app.ledger import reconcile_store as store
from app.ledger.balance import read_ours
from app.ledger.reconciliation import (
    Case,
    Difference,
    Fate,
    Found,
    Known,
    Sale,
    Theirs,
    compare,
)
from app.ledger.scratch import Scratch

MOST_DAYS: Final = 45

Sink = Callable[[Found], object]
Day = tuple[date | None, str, str]
"""A day (UTC) of events, an event type and a currency."""


@dataclass(slots=True)
class Side:
    """The orders of a side that stand, and what they come to in minor units."""

    orders: int = 0
    amount: int = 0

    def add(self, amount: int | None) -> None:
        """Count an order; an amount that cannot be read adds nothing."""
        self.orders += 1
        self.amount += amount or 0


@dataclass(slots=True)
class Sides:
    """A day's three sides."""

    shop: Side = field(default_factory=Side)
    service: Side = field(default_factory=Side)
    impact: Side = field(default_factory=Side)


@dataclass(slots=True)
class Tally:
    """What a comparison comes to."""

    days: dict[Day, Sides] = field(default_factory=dict)
    differences: dict[Difference, int] = field(default_factory=dict)
    too_young: int = 0
    not_attributed: int = 0

    def of(self, day: date | None, event_type: str, currency: str) -> Sides:
        """Return a day's sides."""
        return self.days.setdefault((day, event_type, currency), Sides())


@dataclass(frozen=True, slots=True)
class Files:
    """What stands for a side in place of what is on record."""

    scratch: Scratch
    shop: bool = False
    actions: bool = False


def check_period(first: date, last: date) -> None:
    """Raise InvalidInput if there are no days from one to the other, or too many."""
    if not timedelta(0) <= last - first < timedelta(days=MOST_DAYS):
        detail = f"`to` is the day of `from` or a later one, and both together at most {MOST_DAYS} days."
        raise InvalidInput([Fault("INVALID_PARAMETER", detail, pointer_to("query", "to"))])


def known(session: Session, settings: Settings, now: datetime, files: Files | None = None) -> Known:
    """Return what may be judged now."""
    if files is not None and files.actions:
        return Known(now, now)
    return Known(now, actions.read_up_to(session, campaigns(settings)) if settings.has_api else None)


def reconcile(
    session: Session,
    settings: Settings,
    period: tuple[date, date],
    known: Known,
    sink: Sink,
    files: Files | None = None,
) -> Tally:
    """Compare the sides on some days, both included. Each difference goes to `sink`. Raises InvalidInput."""
    check_period(*period)
    only_by_keys(session)
    start = datetime.combine(period[0], time(), UTC)
    work = _Work(session, settings, (start, start + (period[1] - period[0]) + timedelta(days=1)), known, sink, files)
    work.orders()
    if work.sales:
        work.sales_left(work.sales)
    if known.impact_up_to is not None:
        work.actions_left()
    return work.tally


class _Work:
    """One comparison, some orders at a time, so that a month of a million takes no more memory than a day of ten."""

    def __init__(
        self,
        session: Session,
        settings: Settings,
        span: tuple[datetime, datetime],
        known: Known,
        sink: Sink,
        files: Files | None,
    ) -> None:
        self.session, self.span, self.known, self.sink = session, span, known, sink
        self.sales = files.scratch if files is not None and files.shop else None
        self.their_file = files.scratch if files is not None and files.actions else None
        self.types = trackers(settings)
        self.tracker_of = {key: tracker for tracker, keys in self.types.items() for key in keys}
        self.tally = Tally()

    def orders(self) -> None:
        """Compare the orders that are recorded."""
        for page in store.revisions(self.session, *self.span):
            newest = conversions.newest_revisions(self.session, [row.conversion_id for row in page])
            rows = [row for row in page if newest.get(row.conversion_id) == row.id]
            for case in self._cases(rows) if rows else ():
                self._count(case)
                found, young = compare(case, self.known)
                self.tally.too_young += young
                for one in found:
                    self._tell(one)

    def _tell(self, found: Found) -> None:
        self.tally.differences[found.kind] = self.tally.differences.get(found.kind, 0) + 1
        self.sink(found)

    def _count(self, case: Case) -> None:
        ours = case.ours
        sides = self.tally.of(ours.day, ours.event_type, ours.currency)
        if case.in_shop and case.shop is not None:
            self.tally.of(ours.day, ours.event_type, case.shop_currency or ours.currency).shop.add(case.shop)
        if ours.fate is Fate.DELIVERED and ours.told is not None:
            sides.service.add(ours.told)
        for one in case.standing:
            self.tally.of(ours.day, ours.event_type, one.currency or ours.currency).impact.add(one.amount)
        self.tally.not_attributed += ours.fate is Fate.NOT_ATTRIBUTED

    def _cases(self, rows: Sequence[Row[Any]]) -> Iterator[Case]:
        ours = list(read_ours(self.session, rows))
        theirs = self._theirs(rows) if self.known.impact_up_to is not None else None
        sales = self._sales(self.sales, rows) if self.sales else None
        for one in ours:
            key = one.event_type, one.order_id
            known_there = theirs is not None and one.event_type in self.tracker_of
            case = Case(one, theirs.get(key, []) if theirs is not None and known_there else None, one.truth)
            if sales is not None:
                sale = sales.get(key)
                told = {"shop": sale.amount, "shop_currency": sale.currency} if sale else {"shop": None}
                case = replace(case, in_shop=sale is not None, **told)
            yield case

    def _theirs(self, rows: Sequence[Row[Any]]) -> dict[tuple[str, str], Sequence[Theirs]]:
        found: dict[tuple[str, str], Sequence[Theirs]] = {}
        for event_type, order_ids in _by_type(rows).items():
            if tracker := self.tracker_of.get(event_type):
                for order_id, some in self._actions_of(tracker, order_ids).items():
                    found[event_type, order_id] = some
        return found

    def _actions_of(self, tracker: str, order_ids: Sequence[str]) -> Mapping[str, Sequence[Theirs]]:
        if self.their_file:
            return self.their_file.actions_of(tracker, order_ids)
        found = store.actions_of(self.session, tracker, order_ids)
        return {order_id: [_theirs(row) for row in some] for order_id, some in found.items()}

    def _sales(self, scratch: Scratch, rows: Sequence[Row[Any]]) -> dict[tuple[str, str], Sale]:
        return {
            (event_type, order_id): sale
            for event_type, order_ids in _by_type(rows).items()
            for order_id, sale in scratch.take_sales(event_type, order_ids).items()
        }

    def sales_left(self, scratch: Scratch) -> None:
        """Tell the sales of the shop's file that are not recorded, of these days or of no day that is known."""
        for sales in scratch.sales_left():
            there = conversions.find_keys(self.session, [(one.event_type, one.order_id) for one in sales])
            for one in sales:
                if (one.event_type, one.order_id) not in there and self._is_in_span(one.day):
                    self.tally.of(one.day, one.event_type, one.currency).shop.add(one.amount)
                    kind = Difference.MISSING_IN_SERVICE
                    self._tell(Found(kind, one.event_type, one.order_id, one.day, one.currency, shop=one.amount))

    def _is_in_span(self, day: date | None) -> bool:
        return day is None or self.span[0].date() <= day < self.span[1].date()

    def actions_left(self) -> None:
        """Tell the actions of these days that are of no order that is recorded, and of an event type of ours."""
        for page in self._all_actions():
            mine = [one for one in page if one[0] in self.types and one[3].stands]
            there = actions.orders_of(self.session, [(one[0], one[1]) for one in mine], self.types)
            for tracker, order_id, event_at, one in mine:
                day = event_at and event_at.date()
                if (tracker, order_id) in there or not self._is_in_span(day):
                    continue
                event_type, currency = self.types[tracker][0], one.currency or ""
                self.tally.of(day, event_type, currency).impact.add(one.amount)
                kind, told = Difference.MISSING_IN_SERVICE, {"impact": one.amount, "impact_currency": one.currency}
                found = Found(kind, event_type, order_id, day, currency, action_ids=(one.action_id,))
                self._tell(replace(found, since=event_at, **told))  # type: ignore[arg-type]

    def _all_actions(self) -> Iterator[list[tuple[str, str, datetime | None, Theirs]]]:
        if self.their_file:
            yield from self.their_file.actions()
            return
        for page in store.actions(self.session, *self.span):
            yield [(row.action_tracker_id, row.order_id, row.event_at, _theirs(row)) for row in page]


def _theirs(row: Row[Any]) -> Theirs:
    return Theirs(row.action_id, row.state, row.currency, row.amount)


def _by_type(rows: Iterable[Row[Any]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for row in rows:
        found.setdefault(row.event_type, []).append(row.order_id)
    return found

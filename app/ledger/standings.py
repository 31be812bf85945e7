"""Counting what each day's orders have come to by now, so that no page counts a history.

An order belongs to the day (UTC) on which it was first recorded, once, and stands there as its newest revision does and
corrections have left it. A day is counted in small steps with rests between, and its numbers change all at once.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from sqlalchemy import Row
from sqlmodel import Session

from app.conversions import corrections_store
from app.conversions.moments_store import SLACK, first_since
from app.conversions.store import CONVERSION
from app.database import Database, only_by_keys, retried
from app.ledger import reconcile_store
from app.ledger import standings_store as store
from app.ledger.standings_store import Claim, Kind, Share
from app.ledger.state import OrderState
from app.ledger.store import whereabouts

Clock = Callable[[], datetime]
Rest = Callable[[float], bool]
"""Is called with how long a step took, lets others have their turn, and says whether to stop."""

CHUNK: Final = 500
LEASE: Final = timedelta(minutes=1)
DAY: Final = timedelta(days=1)


@dataclass(slots=True)
class CountedDay:
    """What the orders of a day had come to at `counted_at`, by event type and currency, and state."""

    counted_at: datetime
    by: dict[tuple[str, str], dict[OrderState, Share]] = field(default_factory=dict)


def read_days(session: Session, first: date, last: date) -> dict[date, CountedDay]:
    """Return what the orders of each day have come to, of those days that were counted, in their order."""
    days = {day: CountedDay(at) for day, at in sorted(store.counted(session, first, last).items())}
    for day, (event_type, currency, state), share in store.between(session, first, last):
        days[day].by.setdefault((event_type, currency), {})[state] = share
    return days


_AGAIN: Final = ((1, timedelta(minutes=1), 3), (13, timedelta(hours=1), 40), (100, DAY, 1_000))
"""Up to which age in days a day is counted again, after how long at least, and after how many times as it took.

So today and yesterday have half of the time for counting at most, two weeks a third, and a hundred days a tenth.
"""


def due_again(day: date, now: datetime, took: timedelta) -> datetime | None:
    """Say when a day is to be counted again that took so long; None for never: it was counted after its last age."""
    age = (now.date() - day).days
    return next((now + max(least, times * took) for oldest, least, times in _AGAIN if age <= oldest), None)


def count_one(database: Database, clock: Clock, rest: Rest) -> bool:
    """Count a day that is due, the newest first, and say whether there was one. Raises LeaseLost."""
    began = clock()
    claim = _claim(database, began)
    if claim is None:
        return False
    shares = _count(database, claim, clock, rest)
    if shares is None:
        return False
    now = clock()
    again = due_again(claim.day, now, now - began)
    with database.transaction() as session:
        store.keep(session, claim, None, counted_at=began, due_at=again or store.NEVER)
        store.replace(session, claim.day, shares)
    return True


def _claim(database: Database, now: datetime) -> Claim | None:
    """Take a day that is due; nothing is written where there is none."""
    with database.snapshot() as session:
        if not _new_days(session, now.date()) and store.due(session, now) is None:
            return None
    return _take(database, now)


@retried
def _take(database: Database, now: datetime) -> Claim | None:
    with database.transaction() as session:
        store.add_days(session, _new_days(session, now.date()), now)
        return store.claim(session, now, LEASE)


def _new_days(session: Session, today: date) -> list[date]:
    """Return the days up to today that nobody has thought of yet."""
    newest = store.newest_day(session)
    if newest is None:
        oldest = store.first_recorded(session)
        newest = (today if oldest is None else min(oldest.date(), today)) - DAY
    return [newest + number * DAY for number in range(1, (today - newest).days + 1)]


def _count(database: Database, claim: Claim, clock: Clock, rest: Rest) -> dict[Kind, Share] | None:
    """Return what a day's orders come to, None if it is to be left to another time."""
    begins = datetime.combine(claim.day, datetime.min.time(), UTC)
    shares: dict[Kind, Share] = {}
    after: int | None = None
    renew_at = clock() + LEASE / 3
    while True:
        began = time.monotonic()
        with database.snapshot() as session:
            only_by_keys(session)
            if after is None:
                after = first_since(session, CONVERSION, begins) - 1
            rows = store.orders(session, after, CHUNK)
            _add(session, [row for row in rows if row.recorded_at.date() == claim.day], shares)
        stops = rest(time.monotonic() - began)
        if len(rows) < CHUNK or rows[-1].recorded_at >= begins + DAY + SLACK:
            return shares
        after = rows[-1].id
        if stops or clock() >= renew_at:
            with database.transaction() as session:
                store.keep(session, claim, None if stops else LEASE)
            renew_at = clock() + LEASE / 3
        if stops:
            return None


def _add(session: Session, rows: Sequence[Row[Any]], shares: dict[Kind, Share]) -> None:
    """Add orders to what their kinds come to."""
    event_types = {row.id: row.event_type for row in rows}
    newest = store.newest_of(session, list(event_types)) if rows else ()
    ids, orders = [row.id for row in newest], [row.conversion_id for row in newest]
    places = whereabouts(session, ids) if ids else {}
    amounts = reconcile_store.amounts(session, ids) if ids else {}
    truths = corrections_store.truths(session, orders) if ids else {}
    lines = corrections_store.lines_of(session, list(truths.values())) if truths else {}
    for row in newest:
        state, amount = places[row.id].order_state, amounts[row.id]
        if places[row.id].cancelled:
            amount = 0
        elif row.conversion_id in truths:
            amount = sum(line.amount for line in lines[truths[row.conversion_id]])
        kind = event_types[row.conversion_id], row.currency, state
        had = shares.get(kind, Share())
        shares[kind] = Share(had.orders + 1, had.with_click_id + (row.click_id is not None), had.amount + amount)

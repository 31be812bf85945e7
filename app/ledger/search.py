"""Finding orders: by what a person has in hand, and by what they have in common; the newest come first.

A search takes one step at a time, and a step looks at so many orders at most: where few of them fit, it says how to go
on rather than go on by itself.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice
from typing import Final

from pydantic import BaseModel
from sqlalchemy import Row
from sqlmodel import Session

from app.config import Settings
from app.conversions import terms_store
from app.conversions.moments_store import SLACK, first_since
from app.conversions.store import REVISION
from app.database import only_by_keys
from app.ledger import search_store as store
from app.ledger.orders import OrderView, show
from app.ledger.search_store import Candidates, Span
from app.ledger.state import OrderState
from app.ledger.store import whereabouts
from app.strict_json import unusable
from app.submissions.store import objections_to_orders

PAGE: Final = 50
CHUNK: Final = 200


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which orders are looked for; what is None does not matter.

    `text` is an order id, click id, customer id or SKU, to the letter. `reason` is why an order is held, was left out
    by an export, or was refused by impact.com. `first` and `last` are days (UTC), both included, on which what counts
    of an order was recorded.
    """

    text: str | None = None
    state: OrderState | None = None
    reason: str | None = None
    first: date | None = None
    last: date | None = None
    event_type: str | None = None


class Found(BaseModel):
    """Some of the orders that were looked for, the newest first; `next` is what to give as `after` to search on.

    With `next`, there may be few items, or none: as many orders were looked at as a step does. Where `searched_up_to`
    is not null, orders of before are found by their order id alone: their other terms are still being filed.
    """

    items: list[OrderView]
    next: str | None
    searched_up_to: datetime | None


def search(session: Session, settings: Settings, wanted: Wanted, after: int | None) -> Found:
    """Return a page of the orders that are wanted, the newest first; `after` is the `next` of the page before."""
    only_by_keys(session)
    if any(unusable(one) for one in (wanted.text, wanted.reason, wanted.event_type) if one is not None):
        return Found(items=[], next=None, searched_up_to=None)
    candidates = _candidates(session, wanted, _span(session, wanted, after))
    ids = list(islice(_fitting(session, wanted, candidates.ids), PAGE + 1))
    more = ids[PAGE - 1] if len(ids) > PAGE else candidates.ids[-1] if candidates.more else None
    return Found(
        items=show(session, settings, ids[:PAGE])[::-1],
        next=None if more is None else str(more),
        searched_up_to=_searched_up_to(session) if wanted.text is not None else None,
    )


def _span(session: Session, wanted: Wanted, after: int | None) -> Span:
    """Return between which revisions the orders are, by the days and by the page before."""
    first = 0 if wanted.first is None else first_since(session, REVISION, _midnight(wanted.first))
    last = terms_store.LAST if after is None else after - 1
    if wanted.last is not None and wanted.last < date.max:
        end = _midnight(wanted.last + timedelta(days=1)) + 2 * SLACK
        last = min(last, first_since(session, REVISION, end) - 1)
    return first, last


def _candidates(session: Session, wanted: Wanted, span: Span) -> Candidates:
    """Return what may fit, from where the fewest are."""
    if wanted.text is not None:
        return store.with_text(session, wanted.text, span)
    if wanted.reason is not None:
        return store.with_reason(session, wanted.reason, span)
    return store.newest(session, span) if wanted.state is None else store.in_state(session, wanted.state, span)


def _fitting(session: Session, wanted: Wanted, revision_ids: Sequence[int]) -> Iterator[int]:
    """Yield those of the revisions that are the newest of their order and are what is wanted."""
    for start in range(0, len(revision_ids), CHUNK):
        rows = store.facts(session, revision_ids[start : start + CHUNK])
        rows = [row for row in rows if _is_of(wanted, row)]
        if wanted.text is not None:
            skus = store.having_sku(session, [row.id for row in rows], wanted.text) if rows else set()
            told = [{row.order_id, row.click_id, row.customer_id} for row in rows]
            rows = [row for row, texts in zip(rows, told, strict=True) if wanted.text in texts or row.id in skus]
        yield from _standing_so(session, wanted, [row.id for row in rows])


def _is_of(wanted: Wanted, row: Row[tuple[int]]) -> bool:
    day = row.recorded_at.date()
    return (
        (wanted.event_type is None or row.event_type == wanted.event_type)
        and (wanted.first is None or wanted.first <= day)
        and (wanted.last is None or day <= wanted.last)
    )


def _standing_so(session: Session, wanted: Wanted, revision_ids: list[int]) -> list[int]:
    """Return those of the revisions that are in the state, and have the reason, that is wanted."""
    if not revision_ids or wanted.state is wanted.reason is None:
        return revision_ids
    places, codes = whereabouts(session, revision_ids), dict[int, set[str | None]]()
    if wanted.reason is not None:
        objections = objections_to_orders(session, revision_ids)
        for one, place in places.items():
            codes[one] = {place.reason or place.hold_reason, *(each.code for each in objections.get(one, ()))}
    return [
        one
        for one in revision_ids
        if (wanted.state is None or places[one].order_state is wanted.state)
        and (wanted.reason is None or wanted.reason in codes[one])
    ]


def _searched_up_to(session: Session) -> datetime | None:
    begins = terms_store.filed(session).begins
    return store.recorded_at(session, begins) if begins else None


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)

"""Where orders are looked for, from the newest to the oldest.

Each statement walks along a key, and no further than it is told: a step costs the same however many orders there are.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import BigInteger, ColumnElement, String, Table, and_, literal, select, tuple_
from sqlmodel import Session

from app.batches.store import BATCH, BATCH_LINE, LEFT_OUT, UNCONFIRMED, UNDELIVERED
from app.conversions import store as conversions
from app.conversions import terms_store
from app.conversions.corrections_store import CANCELLED
from app.conversions.store import CONVERSION, ITEM, REVISION, UNSENT
from app.conversions.terms_store import Term
from app.ledger.state import OrderState
from app.submissions.store import JUDGED_ORDER, SUBMISSION_ERROR

LOOK: Final = 2_000
"""So many orders are looked at in a step, at most."""
FEW: Final = 20
"""Of as many batches it is looked up between which orders they lie."""

Span = tuple[int, int]
"""Revisions from the first to the last, both included."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """Revisions that may be what is looked for, the newest first; `more`: there may be others before the last."""

    ids: Sequence[int]
    more: bool


def with_text(session: Session, text: str, span: Span) -> Candidates:
    """Return the revisions that may have a text as order id, click id, customer id or SKU.

    What is not filed by its terms yet is among them, but for what is older than all that is.
    """
    filed = terms_store.filed(session)
    walks = [_of_orders(session, _with_order_id(session, text), span)]
    walks += [terms_store.with_term(session, terms_store.number_of(kind, text), span, LOOK) for kind in Term]
    walks.append(_walk(session, REVISION.c.id, (max(span[0], filed.done + 1), span[1])))
    return _merged(walks)


def with_reason(session: Session, reason: str, span: Span) -> Candidates:
    """Return the revisions that are held, were left out, or were refused by impact.com for a reason."""
    waits = _walk(session, UNSENT.c.revision_id, span, UNSENT.c.hold_reason == reason)
    left_out, refused = (_along(session, table.c.reason, reason, span) for table in (LEFT_OUT, SUBMISSION_ERROR))
    return _merged([waits, left_out, refused])


def in_state(session: Session, state: OrderState, span: Span) -> Candidates:
    """Return the revisions that may be in a state: those of the small tables that say so, where there are such."""
    if state in _IN_FILES:
        return _merged([_in_batches(session, _IN_FILES[state], span)])
    walks = [_walk(session, column, span, *conditions) for column, *conditions in _WALKS.get(state, ())]
    return _merged([*walks, *(_along(session, column, state.value, span) for column in _SAID_BY.get(state, ()))])


_IN_FILES: Final = {
    OrderState.BATCHED: UNDELIVERED,
    OrderState.UNKNOWN: UNDELIVERED,
    OrderState.DELIVERED: UNCONFIRMED,
}
_WALKS: Final[dict[OrderState, Sequence[tuple[ColumnElement[Any], ...]]]] = {
    OrderState.PENDING: [(UNSENT.c.revision_id, UNSENT.c.hold_reason.is_(None))],
    OrderState.HELD: [(UNSENT.c.revision_id, UNSENT.c.hold_reason.is_not(None))],
    OrderState.CANCELLED: [(CANCELLED.c.revision_id,)],
    OrderState.ACCEPTED: [(BATCH_LINE.c.revision_id,)],
}
"""Where orders in a state are: which revisions of a table. Almost all that has left is accepted in the end."""
_SAID_BY: Final[dict[OrderState, Sequence[Any]]] = {
    OrderState.HELD: [LEFT_OUT.c.state],
    OrderState.EXPIRED: [LEFT_OUT.c.state],
    OrderState.PARTLY_ACCEPTED: [JUDGED_ORDER.c.verdict],
    OrderState.REJECTED: [JUDGED_ORDER.c.verdict],
}
"""Where a column says so itself."""


def newest(session: Session, span: Span) -> Candidates:
    """Return the revisions as they come."""
    return _merged([_walk(session, REVISION.c.id, span)])


def facts(session: Session, revision_ids: Sequence[int]) -> list[Any]:
    """Return what orders are told by, of those revisions that are the newest of their order: the newest first."""
    names = ("id", "conversion_id", "recorded_at", "click_id", "customer_id")
    asked = (
        select(*(REVISION.c[name] for name in names), CONVERSION.c.event_type, CONVERSION.c.order_id)
        .join(CONVERSION, CONVERSION.c.id == REVISION.c.conversion_id)
        .where(REVISION.c.id.in_(revision_ids))
    )
    rows = session.connection().execute(asked).all()
    count = conversions.newest_revisions(session, [row.conversion_id for row in rows])
    return sorted((row for row in rows if count[row.conversion_id] == row.id), key=lambda row: -row.id)


def having_sku(session: Session, revision_ids: Sequence[int], sku: str) -> set[int]:
    """Return those of the revisions that have an item with this SKU."""
    these = select(ITEM.c.revision_id).where(ITEM.c.revision_id.in_(revision_ids), ITEM.c.sku == sku)
    return set(session.connection().execute(these).scalars())


def recorded_at(session: Session, revision_id: int) -> datetime | None:
    """Return when the first revision from this one on was recorded."""
    first = select(REVISION.c.recorded_at).where(REVISION.c.id >= revision_id).order_by(REVISION.c.id).limit(1)
    found: datetime | None = session.connection().execute(first).scalar_one_or_none()
    return found


def _merged(walks: Sequence[Sequence[int]]) -> Candidates:
    """Return the newest ids of several walks; one that stopped at its bound fills a step with what is no older."""
    ids = sorted(set().union(*walks), reverse=True)
    return Candidates(ids[:LOOK], more=len(ids) > LOOK or any(len(walk) == LOOK for walk in walks))


def _walk(session: Session, column: ColumnElement[int], span: Span, *conditions: ColumnElement[bool]) -> list[int]:
    """Return the newest ids of a table within a span."""
    within = select(column).where(column.between(*span), *conditions).order_by(column.desc()).limit(LOOK)
    return list(session.connection().execute(within).scalars())


def _along(session: Session, of: Any, value: str, span: Span) -> list[int]:
    """Return the newest revisions within a span that a column has a value for, along the column's own index.

    PostgreSQL is asked by pairs, since a planner that may leave the value out of the order may walk along the ids of
    all values. SQLite goes by the value itself, which it takes for a key in this spelling too.
    """
    one = of.table.c.revision_id
    first, last = (tuple_(literal(value, String), literal(end, BigInteger)) for end in span)
    within = tuple_(of, one) >= first, tuple_(of, one) <= last, of.is_not_distinct_from(value), one.between(*span)
    newest_of = select(one).where(*within).order_by(of.desc(), one.desc()).limit(LOOK)
    return list(session.connection().execute(newest_of).scalars())


def _in_batches(session: Session, waiting: Table, span: Span) -> list[int]:
    """Return the newest revisions within a span that are in files of a kind: between the ends of each, if they are few.

    An order is in its file where it was recorded, so that the ends are the first line and the last.
    """
    connection = session.connection()
    batches = connection.execute(select(waiting.c.batch).limit(FEW + 1)).scalars().all()
    if len(batches) > FEW:
        return _walk(session, BATCH_LINE.c.revision_id, span)
    mine = select(BATCH_LINE.c.revision_id).where(BATCH_LINE.c.batch == BATCH.c.id).limit(1).correlate(BATCH)
    line = BATCH_LINE.c.first_line
    ends = (mine.order_by(order).scalar_subquery() for order in (line, line.desc()))
    lines = connection.execute(select(*ends).where(BATCH.c.id.in_(batches))).all()
    found: list[int] = []
    for first, last in _apart((first, last) for first, last in lines if first is not None):
        found += _walk(session, BATCH_LINE.c.revision_id, (max(first, span[0]), min(last, span[1])))
        if len(found) >= LOOK:
            break
    return found[:LOOK]


def _apart(spans: Iterable[Span]) -> list[Span]:
    """Return spans that do not overlap and hold the same, the newest first."""
    apart: list[Span] = []
    for first, last in sorted(spans):
        if apart and first <= apart[-1][1]:
            apart[-1] = apart[-1][0], max(last, apart[-1][1])
        else:
            apart.append((first, last))
    return apart[::-1]


def _of_orders(session: Session, conversion_ids: Sequence[int], span: Span) -> list[int]:
    """Return the newest revisions of orders, the newest first, of those that are within a span."""
    found = conversions.newest_revisions(session, conversion_ids).values() if conversion_ids else ()
    return sorted((one for one in found if span[0] <= one <= span[1]), reverse=True)


def _with_order_id(session: Session, order_id: str) -> list[int]:
    """Return the orders of this id, of whichever event type."""
    asked = select(CONVERSION.c.id).where(
        and_(CONVERSION.c.event_type.in_(_event_types(session)), CONVERSION.c.order_id == order_id)
    )
    return list(session.connection().execute(asked).scalars())


def _event_types(session: Session) -> list[str]:
    """Return the event types that there are orders of, from one to the next by the natural key."""
    found: list[str] = []
    after = select(CONVERSION.c.event_type).order_by(CONVERSION.c.event_type).limit(1)
    one = session.connection().execute(after).scalar_one_or_none()
    while one is not None:
        found.append(one)
        one = session.connection().execute(after.where(CONVERSION.c.event_type > one)).scalar_one_or_none()
    return found

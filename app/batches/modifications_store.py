"""Every statement on corrections on their way into files.

A correction leaves when all that left of its order before has arrived: no batch that holds the order, or an earlier
correction of it, is in the delivery queue.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from sqlalchemy import Row, Select, bindparam, delete, exists, false, func, or_, select, update
from sqlmodel import Session

from app.batches.modification import Form, Line, Modification
from app.batches.store import BATCH_LINE, CORRECTION_LINE, GIVEN_UP, UNCONFIRMED, UNDELIVERED
from app.conversions.correction import ZERO_AMOUNT
from app.conversions.corrections_store import ACTION, CORRECTION, CORRECTION_ITEM, UNSENT_CORRECTION
from app.conversions.store import CONVERSION, REVISION
from app.database import numbers
from app.impact.columns import Level

LOOKED_AT_AGAIN: Final = ("unknown_event_type", "too_many_items", "cannot_be_rendered")
"""Why an export holds a correction back; the next one looks whether the cause is gone. Other reasons stand."""
_TO_LEAVE: Final = UNSENT_CORRECTION.c.hold_reason.is_(None) | UNSENT_CORRECTION.c.hold_reason.in_(LOOKED_AT_AGAIN)
_IS_OF_NOTHING: Final = UNSENT_CORRECTION.c.hold_reason == ZERO_AMOUNT
_HAS_ACTION: Final = exists().where(ACTION.c.conversion_id == UNSENT_CORRECTION.c.conversion_id)


class ToLeave(NamedTuple):
    """A correction that is to leave, and whether it reverses its order."""

    correction_id: int
    conversion_id: int
    reverses: bool


class Waiting(NamedTuple):
    """A correction that waits, and how many lines it has."""

    correction_id: int
    conversion_id: int
    lines: int


@dataclass(frozen=True, slots=True)
class Hold:
    """Why a correction does not leave."""

    correction_id: int
    reason: str
    detail: str


# What waits -------------------------------------------------------------------------------------------------------


def waiting_forms(
    session: Session, only: Sequence[int] | None = None, *, zero_too: bool = False
) -> list[tuple[str, Form]]:
    """Return the event types and forms of what waits, and with `zero_too` of what only a call can say.

    With `only`, of these corrections.
    """
    of_nothing = func.coalesce(_IS_OF_NOTHING, false()).label("of_nothing")
    by_action, one = _HAS_ACTION.label("by_action"), UNSENT_CORRECTION.c
    found = select(one.event_type, one.level, by_action, of_nothing).distinct()
    if only is not None:
        found = found.where(one.correction_id.in_(_all_of(session, only)))
    rows = session.connection().execute(found.where(or_(_TO_LEAVE, _IS_OF_NOTHING) if zero_too else _TO_LEAVE))
    return sorted((row.event_type, Form(Level(row.level), bool(row.by_action), bool(row.of_nothing))) for row in rows)


def newest_waiting(session: Session) -> int:
    """Return the newest correction that waits, or 0."""
    newest = select(func.coalesce(func.max(UNSENT_CORRECTION.c.correction_id), 0))
    return int(session.connection().execute(newest).scalar_one())


def waiting(
    session: Session,
    event_type: str,
    form: Form,
    *,
    after: int,
    upto: int,
    limit: int,
    only: Sequence[int] | None = None,
) -> list[Waiting]:
    """Return what waits, in the order of recording; with `only`, of these corrections."""
    one = UNSENT_CORRECTION.c
    statement = (
        select(one.correction_id, one.conversion_id, one.lines)
        .where(one.event_type == event_type, one.correction_id > after, one.correction_id <= upto)
        .where(_IS_OF_NOTHING if form.is_of_nothing else _TO_LEAVE)
        .where(one.level == form.level.value, _HAS_ACTION if form.by_action else ~_HAS_ACTION)
        .order_by(one.correction_id)
        .limit(limit)
    )
    if only is not None:
        statement = statement.where(one.correction_id.in_(_all_of(session, only)))
    return [Waiting(*row) for row in session.connection().execute(statement)]


def to_leave(session: Session) -> list[ToLeave]:
    """Return every correction that is to leave."""
    found = (
        select(UNSENT_CORRECTION.c.correction_id, UNSENT_CORRECTION.c.conversion_id, CORRECTION.c.reverses)
        .join(CORRECTION, CORRECTION.c.id == UNSENT_CORRECTION.c.correction_id)
        .where(_TO_LEAVE)
    )
    return [ToLeave(*row) for row in session.connection().execute(found)]


def not_arrived(session: Session, conversion_ids: Sequence[int], *, until_accepted: bool = False) -> set[int]:
    """Return the orders of which something is on its way, or whose newest revision has not left at all.

    With `until_accepted` that is also what has arrived, while impact.com may still say what it makes of it.
    """
    connection, these = session.connection(), _all_of(session, conversion_ids)
    queued = set(connection.execute(select(UNDELIVERED.c.batch)).scalars())
    revisions = (
        select(REVISION.c.conversion_id, BATCH_LINE.c.batch)
        .outerjoin(BATCH_LINE, BATCH_LINE.c.revision_id == REVISION.c.id)
        .where(REVISION.c.conversion_id.in_(these))
        .order_by(REVISION.c.id)
    )
    earlier = (
        select(CORRECTION.c.conversion_id, CORRECTION_LINE.c.batch)
        .join(CORRECTION_LINE, CORRECTION_LINE.c.correction_id == CORRECTION.c.id)
        .where(CORRECTION.c.conversion_id.in_(these))
    )
    left = connection.execute(revisions).all()
    newest = {row.conversion_id: row.batch for row in left}
    batches = [row for row in (*left, *connection.execute(earlier)) if row.batch is not None]
    if until_accepted:
        these = _all_of(session, sorted({row.batch for row in batches}))
        undecided = select(UNCONFIRMED.c.batch).where(UNCONFIRMED.c.batch.in_(these))
        to_come = func.coalesce(UNCONFIRMED.c.trouble, "") != GIVEN_UP
        queued |= set(connection.execute(undecided.where(to_come)).scalars())
    on_the_way = {row.conversion_id for row in batches if row.batch in queued}
    return on_the_way | {one for one in conversion_ids if newest.get(one) is None}


def unsent(session: Session) -> tuple[int, int]:
    """Return how many corrections are to leave, and how many are held."""
    one = UNSENT_CORRECTION.c.hold_reason
    counts = select(func.count().filter(one.is_(None)), func.count(one))
    return tuple(session.connection().execute(counts).one())  # type: ignore[return-value]


def take(session: Session, correction_ids: Sequence[int]) -> int:
    """Let corrections wait no more, and return how many did: fewer than asked for means that orders have changed.

    One that is held by now does not go.
    """
    mine = UNSENT_CORRECTION.c.correction_id.in_(_all_of(session, correction_ids))
    return session.connection().execute(delete(UNSENT_CORRECTION).where(mine, or_(_TO_LEAVE, _IS_OF_NOTHING))).rowcount


def hold(session: Session, holds: Sequence[Hold]) -> None:
    """Note why corrections do not leave."""
    if holds:
        this = update(UNSENT_CORRECTION).where(UNSENT_CORRECTION.c.correction_id == bindparam("correction"))
        noted = this.values(hold_reason=bindparam("reason"), hold_detail=bindparam("detail"))
        rows = [{"correction": one.correction_id, "reason": one.reason, "detail": one.detail} for one in holds]
        session.connection().execute(noted, rows)


def release(session: Session, conversion_ids: Sequence[int], reason: str) -> None:
    """Let those corrections of these orders leave that were held for one reason."""
    held = UNSENT_CORRECTION.c.conversion_id.in_(_all_of(session, conversion_ids))
    these = update(UNSENT_CORRECTION).where(held, UNSENT_CORRECTION.c.hold_reason == reason)
    session.connection().execute(these.values(hold_reason=None, hold_detail=None))


def never_told(session: Session, correction_ids: Sequence[int]) -> Sequence[Row[Any]]:
    """Return id, conversion_id and event_type of those reversals that neither wait nor stand in a file."""
    columns = CORRECTION.c.id, CORRECTION.c.conversion_id, CONVERSION.c.event_type
    reversals = select(*columns).join(CONVERSION, CONVERSION.c.id == CORRECTION.c.conversion_id)
    neither = [
        ~exists().where(table.c.correction_id == CORRECTION.c.id) for table in (CORRECTION_LINE, UNSENT_CORRECTION)
    ]
    mine = CORRECTION.c.id.in_(_all_of(session, correction_ids)), CORRECTION.c.reverses.is_(True)
    return session.connection().execute(reversals.where(*mine, *neither)).all()


# What they say ----------------------------------------------------------------------------------------------------


def load(session: Session, correction_ids: Sequence[int], level: Level) -> dict[int, Modification]:
    """Return what impact.com is told by corrections, by ascending id."""
    connection = session.connection()
    orders = (
        select(CORRECTION, CONVERSION.c.order_id, ACTION.c.action_id, _CURRENCY.label("currency"))
        .join(CONVERSION, CONVERSION.c.id == CORRECTION.c.conversion_id)
        .outerjoin(ACTION, ACTION.c.conversion_id == CORRECTION.c.conversion_id)
        .where(CORRECTION.c.id.in_(_all_of(session, correction_ids)))
        .order_by(CORRECTION.c.id)
    )
    items = (
        select(CORRECTION_ITEM)
        .where(CORRECTION_ITEM.c.correction_id.in_(_all_of(session, correction_ids)))
        .order_by(CORRECTION_ITEM.c.correction_id, CORRECTION_ITEM.c.position)
    )
    lines: dict[int, list[Row[Any]]] = {}
    for item in connection.execute(items):
        lines.setdefault(item.correction_id, []).append(item)
    return {
        row.id: Modification(row.order_id, row.action_id, row.currency, _lines(row, lines.get(row.id, []), level))
        for row in connection.execute(orders)
    }


_CURRENCY: Final = (
    select(REVISION.c.currency)
    .where(REVISION.c.conversion_id == CORRECTION.c.conversion_id)
    .order_by(REVISION.c.number.desc())
    .limit(1)
    .correlate(CORRECTION)
    .scalar_subquery()
)


def _lines(correction: Row[Any], items: Sequence[Row[Any]], level: Level) -> tuple[Line, ...]:
    """Return the lines of a correction: the order, or those of its items that have a reason."""
    if level is Level.ORDER:
        amount = 0 if correction.reverses else sum(item.amount for item in items)
        return (Line(amount, correction.reason),)
    return tuple(Line(one.amount, one.reason, one.sku, one.quantity, one.category) for one in items if one.reason)


def _all_of(session: Session, ids: Sequence[int]) -> Select[tuple[int]]:
    return select(numbers(session, id=ids).c.id)

"""What comes to an end soon, asked of the small tables of what is not finished; no statement scans a history."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Row, and_, case, exists, func, literal_column, or_, select, union_all
from sqlmodel import Session

from app.actions.store import REPORTED_ACTION
from app.batches.batch import AgeLimit
from app.batches.store import BATCH_LINE, CORRECTION_LINE, LEFT_OUT, UNDELIVERED
from app.conversions.corrections_store import CORRECTION, UNSENT_CORRECTION
from app.conversions.order import NO_ATTRIBUTION, PARENT_NOT_DELIVERED
from app.conversions.store import CONVERSION, REVISION, UNSENT
from app.delivery.attempt import AttemptStatus
from app.delivery.store import ATTEMPT

ARRIVED: Final = exists().where(
    ATTEMPT.c.batch == UNDELIVERED.c.batch, ATTEMPT.c.status == AttemptStatus.DELIVERED.value
)
"""A batch that was delivered may be sent again on purpose; its orders are not late."""
NOT_ARRIVED: Final = BATCH_LINE.c.batch.in_(select(UNDELIVERED.c.batch).where(~ARRIVED))
TO_LEAVE: Final = or_(UNSENT.c.hold_reason.is_(None), UNSENT.c.hold_reason == PARENT_NOT_DELIVERED)
"""A chained action waits for its parent, and is as late as that."""

Number = tuple[int, datetime | None]
"""How many there are, and when the first of them ends."""


def expiring(session: Session, limit: AgeLimit, upto: datetime) -> Number:
    """Return the orders to be delivered that will be too old at `upto`."""
    ids = union_all(
        select(UNSENT.c.revision_id.label("id")).where(TO_LEAVE), select(BATCH_LINE.c.revision_id).where(NOT_ARRIVED)
    ).subquery()
    age, age_with_media_id = timedelta(days=limit.days), timedelta(days=limit.days_with_media_id)
    at, no_media_id = REVISION.c.event_at, REVISION.c.media_id.is_(None)
    old = or_(and_(no_media_id, at < upto - age), and_(~no_media_id, at < upto - age_with_media_id))
    told = select(func.count(), func.min(case((no_media_id, at))), func.min(case((~no_media_id, at))))
    number, first, first_with_media_id = (
        session.connection().execute(told.where(REVISION.c.id.in_(select(ids.c.id)), old)).one()
    )
    ends = (first and first + age, first_with_media_id and first_with_media_id + age_with_media_id)
    return number, min(filter(None, ends), default=None)


def held_and_expiring(session: Session, limit: AgeLimit, now: datetime, upto: datetime) -> Number:
    """Return the orders that wait for a person and will be too old at `upto`; those that are already are none of them.

    What an export has not seen yet is held for its attribution alone, and has no media id.
    """
    connection, age = session.connection(), timedelta(days=limit.days)
    looked_at_again = exists().where(UNSENT.c.revision_id == LEFT_OUT.c.revision_id, TO_LEAVE)
    left_out = select(func.count(), func.min(LEFT_OUT.c.expires_at)).where(
        LEFT_OUT.c.state == "held",
        LEFT_OUT.c.expires_at >= now,
        LEFT_OUT.c.expires_at < upto,
        ~looked_at_again,
    )
    new = select(func.count(), func.min(UNSENT.c.event_at)).where(
        UNSENT.c.hold_reason == NO_ATTRIBUTION, UNSENT.c.event_at >= now - age, UNSENT.c.event_at < upto - age
    )
    number, first = connection.execute(left_out).one()
    number_of_new, first_new = connection.execute(new).one()
    return number + number_of_new, min(filter(None, (first, first_new and first_new + age)), default=None)


def waiting_corrections(session: Session, event_types: Sequence[str]) -> Sequence[Row[Any]]:
    """Return event type, event time and impact.com's own locking date of each correction of these that waits."""
    has_left = exists().where(BATCH_LINE.c.revision_id == REVISION.c.id)
    theirs = REPORTED_ACTION.c.conversion_id == UNSENT_CORRECTION.c.conversion_id
    locks_at = select(func.max(REPORTED_ACTION.c.locks_at)).where(theirs).scalar_subquery().label("locks_at")
    waiting = (
        select(UNSENT_CORRECTION.c.event_type, REVISION.c.event_at, locks_at)
        .join_from(UNSENT_CORRECTION, REVISION, REVISION.c.conversion_id == UNSENT_CORRECTION.c.conversion_id)
        .where(UNSENT_CORRECTION.c.event_type.in_(event_types), has_left)
    )
    return session.connection().execute(waiting).all()


def corrected_often(session: Session, least: int) -> list[str]:
    """Return the ids of orders of which so many corrections have left."""
    connection = session.connection()
    # The number is written out, since an index that holds only these corrections is used only if the statement says so.
    candidates = select(CORRECTION.c.conversion_id).where(CORRECTION.c.number >= literal_column(str(least)))
    found = set(connection.execute(candidates).scalars())
    if not found:
        return []
    sent = (
        select(CONVERSION.c.order_id)
        .join_from(CONVERSION, CORRECTION, CORRECTION.c.conversion_id == CONVERSION.c.id)
        .join(CORRECTION_LINE, CORRECTION_LINE.c.correction_id == CORRECTION.c.id)
        .where(CONVERSION.c.id.in_(found))
        .group_by(CONVERSION.c.id, CONVERSION.c.order_id)
        .having(func.count() >= least)
        .order_by(CONVERSION.c.id)
    )
    return list(connection.execute(sent).scalars())

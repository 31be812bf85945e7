"""What alarms go by, read across the stages. No statement scans history.

`unsent`, `unsent_correction` and `undelivered` hold only what is not finished, `channel_trouble` a row per channel;
what is asked of exports goes by the newest ones, of batches and orders by a key. The orders of a batch, or its
corrections, stand in it in the order of recording, so that its first line is its oldest.
"""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final, NamedTuple

from sqlalchemy import Row, and_, exists, func, literal_column, or_, select, true, union_all
from sqlalchemy.orm import aliased
from sqlmodel import Session

from app.actions import store as actions
from app.alarms.rules import MOST_COUNTED, MOST_REJECTED
from app.batches.batch import HEADER_LINES
from app.batches.modifications_store import LOOKED_AT_AGAIN
from app.batches.store import BATCH, BATCH_LINE, CORRECTION_LINE, EXPORT, UNCONFIRMED, UNDELIVERED
from app.conversions.correction import ZERO_AMOUNT
from app.conversions.corrections_store import CORRECTION, UNSENT_CORRECTION
from app.conversions.store import CONVERSION, REVISION, UNSENT
from app.delivery.attempt import MOST_DENIALS, AttemptStatus
from app.delivery.store import TROUBLE, attempts
from app.ledger.deadlines_store import ARRIVED, NOT_ARRIVED, TO_LEAVE
from app.submissions.store import JUDGED_CORRECTION, JUDGED_ORDER, RESULT, SUBMISSION, SUBMISSION_ERROR, is_judged
from app.submissions.submission import Verdict

MOST_STUCK: Final = 100
"""As many batches that wait for a person have an alarm each; a flood of alarms helps nobody."""
FIRST_LINE: Final = HEADER_LINES + 1


class Missing(NamedTuple):
    """A batch without a result, and when and by which channel it was delivered."""

    batch_id: str
    filename: str
    ended_at: datetime
    channel: str


_HOLD_REASON: Final = UNSENT_CORRECTION.c.hold_reason
# The small tables stand in subqueries since SQLite, asked for a join, may begin at the large one.


def oldest_unsent(session: Session) -> datetime | None:
    """Return when the oldest order was recorded that is to leave and has not been delivered."""
    waiting = select(func.min(UNSENT.c.revision_id).label("id")).where(TO_LEAVE)
    in_batches = select(func.min(BATCH_LINE.c.revision_id)).where(NOT_ARRIVED, BATCH_LINE.c.first_line == FIRST_LINE)
    ids = union_all(waiting, in_batches).subquery()
    found = select(func.min(REVISION.c.recorded_at)).where(REVISION.c.id.in_(select(ids.c.id)))
    oldest: datetime | None = session.connection().execute(found).scalar_one()
    return oldest


def oldest_correction(session: Session) -> datetime | None:
    """Return when the oldest correction was made that is to leave and has not been delivered."""
    waiting = select(func.min(UNSENT_CORRECTION.c.correction_id).label("id")).where(_HOLD_REASON.is_(None))
    its_batch_is_under_way = CORRECTION_LINE.c.batch.in_(select(UNDELIVERED.c.batch).where(~ARRIVED))
    first = its_batch_is_under_way, CORRECTION_LINE.c.first_line == FIRST_LINE
    ids = union_all(waiting, select(func.min(CORRECTION_LINE.c.correction_id)).where(*first)).subquery()
    found = select(func.min(CORRECTION.c.recorded_at)).where(CORRECTION.c.id.in_(select(ids.c.id)))
    oldest: datetime | None = session.connection().execute(found).scalar_one()
    return oldest


def held_corrections(session: Session, since: datetime, zero_before: datetime) -> list[tuple[str, str, str | None]]:
    """Return the corrections that are held, the oldest first, as order id, reason and detail.

    Of those that an export never looks at again, only the ones made after `since`; reversals of nothing, which may
    leave by a call, only if they were made before `zero_before`.
    """
    stays = and_(_HOLD_REASON != ZERO_AMOUNT, CORRECTION.c.recorded_at > since)
    zero = and_(_HOLD_REASON == ZERO_AMOUNT, CORRECTION.c.recorded_at > since, CORRECTION.c.recorded_at <= zero_before)
    told = or_(_HOLD_REASON.in_(LOOKED_AT_AGAIN), stays, zero)
    rows = (
        select(CONVERSION.c.order_id, _HOLD_REASON, UNSENT_CORRECTION.c.hold_detail)
        .join_from(UNSENT_CORRECTION, CORRECTION, CORRECTION.c.id == UNSENT_CORRECTION.c.correction_id)
        .join(CONVERSION, CONVERSION.c.id == UNSENT_CORRECTION.c.conversion_id)
        .where(told)
        .order_by(UNSENT_CORRECTION.c.correction_id)
        .limit(MOST_COUNTED)
    )
    return [(row.order_id, row.hold_reason, row.hold_detail) for row in session.connection().execute(rows)]


def last_comparison(session: Session) -> Any:
    """Return what a worker's last comparison of orders with impact.com's actions has found, if there is one."""
    return actions.last_comparison(session)


def last_export(session: Session) -> datetime | None:
    """Return when the newest export that is done ended; if there is none, when the first order was recorded."""
    done = select(EXPORT.c.ended_at).where(EXPORT.c.state == "done").order_by(EXPORT.c.id.desc()).limit(1)
    first = select(REVISION.c.recorded_at).where(REVISION.c.id == select(func.min(REVISION.c.id)).scalar_subquery())
    connection = session.connection()
    ended: datetime | None = connection.execute(done).scalar() or connection.execute(first).scalar()
    return ended


def failed_export(session: Session) -> Row[Any] | None:
    """Return the newest export that ended, if it failed."""
    ended = select(EXPORT).where(EXPORT.c.ended_at.is_not(None)).order_by(EXPORT.c.id.desc()).limit(1)
    row = session.connection().execute(ended).one_or_none()
    return row if row is not None and row.state == "failed" else None


def exports_that_expired_orders(session: Session, since: datetime) -> list[Row[Any]]:
    """Return the exports that left out orders for their age and were asked for after `since`."""
    # The zero is written out, since an index that holds only these exports is used only if the statement says so.
    recent = and_(EXPORT.c.expired > literal_column("0"), EXPORT.c.requested_at > since)
    return list(session.connection().execute(select(EXPORT).where(recent).order_by(EXPORT.c.requested_at)))


def stuck_batches(session: Session) -> list[tuple[str, str, str, str | None]]:
    """Return the oldest batches that wait for a person, as (batch_id, filename, stuck, channel)."""
    connection = session.connection()
    waiting = (
        select(UNDELIVERED.c.batch, UNDELIVERED.c.stuck)
        .where(UNDELIVERED.c.stuck.is_not(None))
        .order_by(UNDELIVERED.c.batch)
        .limit(MOST_STUCK)
    )
    stuck = {row.batch: row.stuck for row in connection.execute(waiting)}
    told = select(BATCH.c.id, BATCH.c.batch_id, BATCH.c.filename, BATCH.c.channel)
    files = connection.execute(told.where(BATCH.c.id.in_(stuck)).order_by(BATCH.c.id)).all() if stuck else []
    return [(row.batch_id, row.filename, stuck[row.id], row.channel) for row in files]


def stopped_channels(session: Session) -> list[Row[Any]]:
    """Return the channels that nothing leaves by, and those that were let try again and have not succeeded since."""
    doubtful = or_(TROUBLE.c.stopped_at.is_not(None), TROUBLE.c.denials >= MOST_DENIALS - 1)
    return list(session.connection().execute(select(TROUBLE).where(doubtful).order_by(TROUBLE.c.channel)))


def results_missing(session: Session, before: datetime, before_a_pull: datetime) -> list[Missing]:
    """Return the oldest batches without a result, delivered before a time, or left in the folder before another one."""
    known = exists().where(RESULT.c.batch == UNCONFIRMED.c.batch)
    waiting = select(UNCONFIRMED.c.batch).where(UNCONFIRMED.c.trouble.is_(None), UNCONFIRMED.c.since < before, ~known)
    connection = session.connection()
    batches = list(connection.execute(waiting.order_by(UNCONFIRMED.c.batch).limit(MOST_STUCK)).scalars())
    last = {batch: tried[-1] for batch, tried in attempts(session, batches).items()} if batches else {}
    late = {
        batch: one
        for batch, one in last.items()
        if one.status == AttemptStatus.DELIVERED
        and one.ended_at < (before_a_pull if one.channel == "folder" else before)
    }
    shown = sorted(late)[:MOST_STUCK]
    files = select(BATCH.c.id, BATCH.c.batch_id, BATCH.c.filename).where(BATCH.c.id.in_(shown)).order_by(BATCH.c.id)
    return [
        Missing(row.batch_id, row.filename, late[row.id].ended_at, late[row.id].channel)
        for row in (connection.execute(files) if shown else ())
    ]


def results_doubtful(session: Session, since: datetime) -> list[tuple[str, str, str, tuple[int | None, int]]]:
    """Return the oldest batches whose result does not add up, with impact.com's count of their records and ours."""
    connection = session.connection()
    waiting = (
        select(UNCONFIRMED.c.batch, UNCONFIRMED.c.trouble, BATCH.c.batch_id, BATCH.c.filename, BATCH.c.rows)
        .join(BATCH, BATCH.c.id == UNCONFIRMED.c.batch)
        .where(UNCONFIRMED.c.trouble.is_not(None), UNCONFIRMED.c.since > since)
        .order_by(UNCONFIRMED.c.batch)
        .limit(MOST_STUCK)
    )
    rows = connection.execute(waiting).all()
    counts = select(SUBMISSION.c.batch, SUBMISSION.c.total_records).where(
        SUBMISSION.c.batch.in_([row.batch for row in rows])
    )
    newest = (
        {row.batch: row.total_records for row in connection.execute(counts.order_by(SUBMISSION.c.id))} if rows else {}
    )
    return [(row.batch_id, row.filename, row.trouble, (newest.get(row.batch), row.rows)) for row in rows]


def rejected(session: Session, since: datetime) -> tuple[int, list[str]]:
    """Return how many of the newest orders and corrections were not taken since a time, and why, most frequent first.

    An order that was repaired, and so has a later revision, counts no more.
    """
    reasons, number = Counter[str](), 0
    later = aliased(REVISION)
    this = REVISION.c.id == JUDGED_ORDER.c.revision_id, later.c.conversion_id == REVISION.c.conversion_id
    repairs = select(func.count()).where(*this, later.c.id > JUDGED_ORDER.c.revision_id).correlate(JUDGED_ORDER)
    for judged, key, stands in (
        (JUDGED_ORDER, "revision_id", repairs.scalar_subquery() == 0),
        (JUDGED_CORRECTION, "correction_id", true()),
    ):
        for verdict in (Verdict.REJECTED, Verdict.PARTLY_ACCEPTED):
            refused = select(judged.c[key], judged.c.submission_id).where(is_judged(judged, verdict), stands)
            newest = session.connection().execute(refused.order_by(judged.c[key].desc()).limit(MOST_REJECTED)).all()
            ids = _recent(session, {row[0]: row.submission_id for row in newest}, since)
            number += len(ids)
            reasons.update(_reasons(session, key, ids))
    return number, [code for code, _ in reasons.most_common()]


def _recent(session: Session, submissions: dict[int, int], since: datetime) -> list[int]:
    """Return those records whose submissions were recorded after a time."""
    recent: set[int] = set()
    for some in _by_few(sorted(set(submissions.values()))):
        found = select(SUBMISSION.c.id).where(SUBMISSION.c.id.in_(some), SUBMISSION.c.recorded_at > since)
        recent.update(session.connection().execute(found).scalars())
    return [record for record, submission in submissions.items() if submission in recent]


def _reasons(session: Session, key: str, ids: list[int]) -> Iterator[str]:
    for some in _by_few(ids):
        told = select(SUBMISSION_ERROR.c.reason).where(
            SUBMISSION_ERROR.c[key].in_(some), SUBMISSION_ERROR.c.rejects.is_(True)
        )
        yield from session.connection().execute(told).scalars()


def _by_few(ids: list[int]) -> Iterator[list[int]]:
    """Cut a list into such as are looked up by key, whatever the planner thinks of longer ones."""
    return (ids[start : start + MOST_STUCK] for start in range(0, len(ids), MOST_STUCK))

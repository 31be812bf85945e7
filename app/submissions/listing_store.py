"""Every statement that lists submissions: each begins at a key or at the index of a filter, and none reads them all."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Row, Select, and_, func, or_, select
from sqlmodel import Session

from app.batches.store import BATCH, BATCH_LINE, CORRECTION_LINE
from app.conversions.corrections_store import CORRECTION
from app.conversions.store import CONVERSION, REVISION
from app.submissions.store import SUBMISSION, SUBMISSION_ERROR

PAGE: Final = 100


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which submissions are asked for; what is None does not matter. `conversion_id` is the order's."""

    status: str | None = None
    type: str | None = None
    reason: str | None = None
    conversion_id: int | None = None
    since: datetime | None = None
    until: datetime | None = None


def page(session: Session, wanted: Wanted, after: int) -> Sequence[Row[Any]]:
    """Return a page of submissions and one more, by their dates; those with a reason as they were recorded."""
    one = SUBMISSION.c
    statement = _SHOWN
    for column, value in ((one.status, wanted.status), (one.type, wanted.type)):
        statement = statement if value is None else statement.where(column == value)
    if wanted.conversion_id is not None:
        statement = statement.where(one.id.in_(_of_order(session, wanted.conversion_id)))
    connection = session.connection()
    if wanted.reason is not None:
        return _with_reason(session, statement.where(*_within(wanted, None, 0)), wanted.reason, after)
    began = connection.execute(select(one.submission_date).where(one.id == after)).scalar_one_or_none()
    statement = statement.where(*_within(wanted, began, after)).order_by(one.submission_date, one.id)
    return connection.execute(statement.limit(PAGE + 1)).all()


_SHOWN: Final = select(SUBMISSION)


def batches_of(session: Session, numbers: Collection[int]) -> dict[int, Row[Any]]:
    """Return the id and the event type of batches."""
    named = select(BATCH.c.id, BATCH.c.batch_id, BATCH.c.event_type).where(BATCH.c.id.in_(numbers))
    return {row.id: row for row in session.connection().execute(named)} if numbers else {}


def newest(session: Session, before: int, most: int) -> Sequence[Row[Any]]:
    """Return the newest submissions of those with a number below `before`, newest first."""
    statement = _SHOWN.where(SUBMISSION.c.id < before).order_by(SUBMISSION.c.id.desc()).limit(most)
    return session.connection().execute(statement).all()


def of_batch(session: Session, batch: int, most: int) -> Sequence[Row[Any]]:
    """Return the first submissions of a batch: of its file, or of its calls."""
    statement = _SHOWN.where(SUBMISSION.c.batch == batch).order_by(SUBMISSION.c.id).limit(most)
    return session.connection().execute(statement).all()


def _with_reason(session: Session, statement: Select[Any], reason: str, after: int) -> Sequence[Row[Any]]:
    """Return a page of those submissions that have a reason, looked through by the reason's own index."""
    connection, error = session.connection(), SUBMISSION_ERROR.c
    found: list[Row[Any]] = []
    while len(found) <= PAGE:
        has_it = select(error.submission_id).distinct().where(error.reason == reason, error.submission_id > after)
        ids = connection.execute(has_it.order_by(error.submission_id).limit(PAGE + 1)).scalars().all()
        if not ids:
            break
        found += connection.execute(statement.where(SUBMISSION.c.id.in_(ids)).order_by(SUBMISSION.c.id)).all()
        after = ids[-1]
    return found[: PAGE + 1]


def _within(wanted: Wanted, began: datetime | None, after: int) -> list[ColumnElement[bool]]:
    date, conditions = SUBMISSION.c.submission_date, list[ColumnElement[bool]]()
    if wanted.since is not None:
        conditions.append(date >= wanted.since)
    if wanted.until is not None:
        conditions.append(date < wanted.until)
    if began is not None:
        conditions += [date >= began, or_(date > began, and_(date == began, SUBMISSION.c.id > after))]
    return conditions


def _of_order(session: Session, conversion_id: int) -> list[int]:
    """Return the submissions of an order: of its calls, and of the files that it or a correction of it stands in."""
    connection = session.connection()
    revisions = _ids(session, select(REVISION.c.id).where(REVISION.c.conversion_id == conversion_id))
    corrections = _ids(session, select(CORRECTION.c.id).where(CORRECTION.c.conversion_id == conversion_id))
    batches = set(_ids(session, select(BATCH_LINE.c.batch).where(BATCH_LINE.c.revision_id.in_(revisions))))
    batches |= set(
        _ids(session, select(CORRECTION_LINE.c.batch).where(CORRECTION_LINE.c.correction_id.in_(corrections)))
    )
    one = SUBMISSION.c
    found = set(connection.execute(select(one.id).where(one.revision_id.in_(revisions))).scalars())
    found |= set(connection.execute(select(one.id).where(one.correction_id.in_(corrections))).scalars())
    files = select(one.id).where(one.batch.in_(batches), one.revision_id.is_(None), one.correction_id.is_(None))
    return sorted(found | set(connection.execute(files).scalars()))


def _ids(session: Session, statement: Select[Any]) -> list[int]:
    return list(session.connection().execute(statement).scalars())


def of_orders_newest(session: Session, revision_id: int, batch: int | None) -> Sequence[Row[Any]]:
    """Return the submissions of a revision: of its call, or of the file that it stands in."""
    one = SUBMISSION.c
    connection = session.connection()
    found = connection.execute(_SHOWN.where(one.revision_id == revision_id).order_by(one.id)).all()
    if found or batch is None:
        return found
    of_file = _SHOWN.where(one.batch == batch, one.revision_id.is_(None)).order_by(one.id)
    return connection.execute(of_file.limit(PAGE)).all()


def batch_of(session: Session, revision_id: int) -> int | None:
    """Return the number of the batch that a revision is in."""
    placed = select(BATCH_LINE.c.batch).where(BATCH_LINE.c.revision_id == revision_id)
    return session.connection().execute(placed).scalar_one_or_none()


def find(session: Session, submission_id: int) -> Row[Any] | None:
    """Return a submission."""
    return session.connection().execute(_SHOWN.where(SUBMISSION.c.id == submission_id)).one_or_none()


def errors(session: Session, submission_id: int, after: int) -> tuple[int, Sequence[Row[Any]]]:
    """Return how many errors a submission has, and a page of them and one more."""
    connection, error = session.connection(), SUBMISSION_ERROR.c
    number = select(func.count()).select_from(SUBMISSION_ERROR).where(error.submission_id == submission_id)
    rows = select(SUBMISSION_ERROR).where(error.submission_id == submission_id, error.id > after)
    return connection.execute(number).scalar_one(), connection.execute(rows.order_by(error.id).limit(PAGE + 1)).all()


def orders_of(session: Session, revision_ids: Collection[int], correction_ids: Collection[int]) -> dict[Any, Row[Any]]:
    """Return event type, order id and `extra` of revisions and corrections, by ("revision" or "correction", id)."""
    connection, found = session.connection(), dict[Any, Row[Any]]()
    order = (CONVERSION.c.event_type, CONVERSION.c.order_id)
    revisions = select(REVISION.c.id, *order, REVISION.c.extra).join(
        CONVERSION, CONVERSION.c.id == REVISION.c.conversion_id
    )
    corrections = select(CORRECTION.c.id, *order).join(CONVERSION, CONVERSION.c.id == CORRECTION.c.conversion_id)
    for row in connection.execute(revisions.where(REVISION.c.id.in_(revision_ids))) if revision_ids else ():
        found["revision", row.id] = row
    for row in connection.execute(corrections.where(CORRECTION.c.id.in_(correction_ids))) if correction_ids else ():
        found["correction", row.id] = row
    return found

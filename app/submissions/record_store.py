"""Every statement that records what impact.com made of a batch, or reads what is to be judged by."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any, Final, NamedTuple

from sqlalchemy import Row, Select, Table, delete, func, insert, select, update
from sqlmodel import Session

from app.batches import store as batches
from app.batches.batch import BatchKind
from app.batches.store import BATCH, BATCH_LINE, CORRECTION_LINE
from app.conversions.corrections_store import CORRECTION
from app.conversions.store import CONVERSION, REVISION
from app.database import insert_new, numbers
from app.submissions.sent import Sent
from app.submissions.store import JUDGED_CORRECTION, JUDGED_ORDER, RESULT, SUBMISSION, SUBMISSION_ERROR
from app.submissions.submission import COMPLETE, FileVerdict, Source, Told, Verdict

CHUNK: Final = 500


class Kind(NamedTuple):
    """Where the records of a batch stand, and the verdicts on them: revisions, or corrections."""

    lines: Table
    judged: Table
    key: str


ORDERS: Final = Kind(BATCH_LINE, JUDGED_ORDER, "revision_id")
CORRECTIONS: Final = Kind(CORRECTION_LINE, JUDGED_CORRECTION, "correction_id")


def kind_of(batch: Row[Any]) -> Kind:
    """Return what the records of a batch are."""
    return ORDERS if batch.kind == BatchKind.CONVERSIONS else CORRECTIONS


def lock(session: Session, batch: int) -> Row[Any]:
    """Return a batch's row; nobody else records anything of it until the transaction ends."""
    return session.connection().execute(select(BATCH).where(BATCH.c.id == batch).with_for_update()).one()


# What was sent --------------------------------------------------------------------------------------------------


def sent(session: Session, batch: Row[Any]) -> Sent:
    """Return what a batch's file says on which line, and of whom."""
    kind = kind_of(batch)
    placed = select(kind.lines.c.first_line, kind.lines.c[kind.key]).where(kind.lines.c.batch == batch.id)
    owners: dict[int, int] = {row[0]: row[1] for row in session.connection().execute(placed)}
    names = {} if kind is ORDERS else _order_ids(session, list(owners.values()))
    return Sent(batches.what_is_left_of(session, batch.id), owners, names)


def _order_ids(session: Session, correction_ids: Sequence[int]) -> dict[int, str]:
    """Return the order ids of corrections, since their file may name actions."""
    found: dict[int, str] = {}
    for start in range(0, len(correction_ids), CHUNK):
        these = CORRECTION.c.id.in_(correction_ids[start : start + CHUNK])
        named = select(CORRECTION.c.id, CONVERSION.c.order_id).join(
            CONVERSION, CONVERSION.c.id == CORRECTION.c.conversion_id
        )
        found |= {row.id: row.order_id for row in session.connection().execute(named.where(these))}
    return found


def reversals(session: Session, batch: int) -> set[int]:
    """Return the corrections of a batch that reverse their order."""
    lines = select(CORRECTION.c.id).join(CORRECTION_LINE, CORRECTION_LINE.c.correction_id == CORRECTION.c.id)
    mine = lines.where(CORRECTION_LINE.c.batch == batch, CORRECTION.c.reverses.is_(True))
    return set(session.connection().execute(mine).scalars())


# Submissions ----------------------------------------------------------------------------------------------------


def put(session: Session, batch: int, told: Told, source: str, **facts: Any) -> int:
    """Record a submission of a batch, in place of what was recorded of the same one, and return its id."""
    connection = session.connection()
    values = asdict(told) | {"batch": batch, "source": source} | facts
    is_it = SUBMISSION.c.impact_id.is_not_distinct_from(told.impact_id), SUBMISSION.c.source == source
    same = update(SUBMISSION).where(SUBMISSION.c.batch == batch, *is_it)
    if source == Source.API:
        found = connection.execute(same.values(values).returning(SUBMISSION.c.id)).scalar()
        if found is not None:
            return int(found)
    return int(connection.execute(insert(SUBMISSION).values(values).returning(SUBMISSION.c.id)).scalar_one())


def of_record(session: Session, key: str, record: int) -> Row[Any] | None:
    """Return the newest submission of a revision or correction that went by a call."""
    mine = select(SUBMISSION).where(SUBMISSION.c[key] == record).order_by(SUBMISSION.c.id.desc()).limit(1)
    return session.connection().execute(mine).one_or_none()


def change(session: Session, submission_id: int, **values: Any) -> None:
    """Record something else of a submission."""
    session.connection().execute(update(SUBMISSION).where(SUBMISSION.c.id == submission_id).values(values))


def put_errors(session: Session, submission_id: int, rows: Sequence[Mapping[str, Any]]) -> None:
    """Record the errors of a submission, in place of those that were recorded."""
    connection = session.connection()
    connection.execute(delete(SUBMISSION_ERROR).where(SUBMISSION_ERROR.c.submission_id == submission_id))
    if rows:
        connection.execute(insert(SUBMISSION_ERROR), [{**row, "submission_id": submission_id} for row in rows])


def submissions_of(session: Session, batch: int) -> Sequence[Row[Any]]:
    """Return the submissions of a batch, the oldest first."""
    mine = select(SUBMISSION).where(SUBMISSION.c.batch == batch).order_by(SUBMISSION.c.id)
    return session.connection().execute(mine).all()


def errors_of(session: Session, submission_ids: Sequence[int]) -> Sequence[Row[Any]]:
    """Return the errors of submissions in their order."""
    these = select(SUBMISSION_ERROR).where(SUBMISSION_ERROR.c.submission_id.in_(submission_ids))
    return session.connection().execute(these.order_by(SUBMISSION_ERROR.c.id)).all()


def forgive(session: Session, error_ids: Sequence[int]) -> None:
    """Note that errors do not stand against what they are about."""
    for start in range(0, len(error_ids), CHUNK):
        these = SUBMISSION_ERROR.c.id.in_(error_ids[start : start + CHUNK])
        session.connection().execute(update(SUBMISSION_ERROR).where(these).values(rejects=False))


# Verdicts -------------------------------------------------------------------------------------------------------


def judge_one(session: Session, kind: Kind, record: int, submission_id: int, verdict: Verdict) -> None:
    """Record the verdict on a revision or correction that went by a call."""
    connection, judged = session.connection(), kind.judged
    row = {kind.key: record, "submission_id": submission_id, "verdict": verdict.value}
    connection.execute(insert_new(session, judged), [row])
    connection.execute(update(judged).where(judged.c[kind.key] == record).values(row))


def judge(session: Session, batch: Row[Any], found: Mapping[int, tuple[Verdict, int]]) -> None:
    """Record the verdicts on the records of a file that were not accepted, in place of earlier ones."""
    connection, kind = session.connection(), kind_of(batch)
    connection.execute(delete(kind.judged).where(kind.judged.c[kind.key].in_(_records(batch))))
    rows = [
        {kind.key: record, "submission_id": submission, "verdict": verdict.value}
        for record, (verdict, submission) in found.items()
    ]
    if rows:
        connection.execute(insert(kind.judged), rows)


def judged(session: Session, batch: Row[Any]) -> tuple[int, dict[Verdict, int]]:
    """Return how many records a batch has, and how many of them have which verdict of their own."""
    connection, kind = session.connection(), kind_of(batch)
    number = select(func.count()).select_from(kind.lines).where(kind.lines.c.batch == batch.id)
    verdicts = select(kind.judged.c.verdict, func.count().label("number")).where(
        kind.judged.c[kind.key].in_(_records(batch))
    )
    rows = connection.execute(verdicts.group_by(kind.judged.c.verdict)).all()
    return int(connection.execute(number).scalar_one()), {Verdict(row.verdict): row.number for row in rows}


def verdicts_of(session: Session, batch: Row[Any]) -> dict[int, Verdict]:
    """Return the verdicts of their own that a batch's records have."""
    kind = kind_of(batch)
    mine = select(kind.judged.c[kind.key], kind.judged.c.verdict).where(kind.judged.c[kind.key].in_(_records(batch)))
    return {row[0]: Verdict(row[1]) for row in session.connection().execute(mine)}


def _records(batch: Row[Any]) -> Select[Any]:
    kind = kind_of(batch)
    return select(kind.lines.c[kind.key]).where(kind.lines.c.batch == batch.id)


def orders_of(session: Session, revision_ids: Sequence[int]) -> list[int]:
    """Return the conversions that revisions are of."""
    these = REVISION.c.id.in_(select(numbers(session, id=revision_ids).c.id))
    return list(session.connection().execute(select(REVISION.c.conversion_id).where(these)).scalars())


def put_result(
    session: Session, batch: int, verdict: FileVerdict, accepted: int, rejected: int, source: str, now: datetime
) -> None:
    """Record the result of a batch, in place of an earlier one."""
    connection = session.connection()
    row = {"verdict": verdict.value, "accepted": accepted, "rejected": rejected, "source": source, "recorded_at": now}
    connection.execute(insert_new(session, RESULT), [{"batch": batch, **row}])
    connection.execute(update(RESULT).where(RESULT.c.batch == batch).values(row))


def result_of(session: Session, batch: int) -> Row[Any] | None:
    """Return the result of a batch."""
    return session.connection().execute(select(RESULT).where(RESULT.c.batch == batch)).one_or_none()


def is_complete(row: Row[Any]) -> bool:
    """Say whether impact.com is through with a submission."""
    return str(row.status).casefold() == COMPLETE.casefold()

"""The records of what impact.com made of what was sent, and every statement on them.

A batch of which everything is known has a `result`. An order of it is accepted unless a `judged_order` says otherwise;
an order that went by a call of its own has one in any case. Corrections likewise.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ColumnElement,
    ForeignKey,
    Index,
    Row,
    Table,
    literal_column,
    select,
)
from sqlmodel import Field, Session, SQLModel

from app.batches import verdicts_store
from app.batches.store import BATCH_LINE, CORRECTION_LINE
from app.database import ROW_ID, UTCDateTime
from app.submissions.submission import Verdict


class Submission(SQLModel, table=True):
    """What impact.com shows of one call, or of one file, under its own names as far as it has them.

    A call has a `revision_id` or a `correction_id`, a file a `file_name`. Texts are kept as they came. `lines_told`
    says how the lines of a file's errors were counted.
    """

    __tablename__ = "submission"
    __table_args__ = (
        Index("submissions_of_batch", "batch"),
        Index("submissions_of_revision", "revision_id"),
        Index("submissions_of_correction", "correction_id"),
        Index("submissions_by_status", "status", "submission_date", "id"),
        Index("submissions_by_type", "type", "submission_date", "id"),
        Index("submissions_by_date", "submission_date", "id"),
    )

    id: int | None = Field(default=None, sa_column=Column(ROW_ID, primary_key=True))
    batch: int = Field(sa_column=Column(BigInteger, ForeignKey("batch.id"), nullable=False))
    revision_id: int | None = Field(default=None, sa_column=Column(BigInteger, ForeignKey("revision.id")))
    correction_id: int | None = Field(default=None, sa_column=Column(BigInteger, ForeignKey("correction.id")))
    impact_id: str | None
    type: str
    status: str
    submission_date: datetime | None = Field(default=None, sa_type=UTCDateTime)
    completion_date: datetime | None = Field(default=None, sa_type=UTCDateTime)
    error_type: str | None
    error_reason: str | None
    file_name: str | None
    total_records: int | None
    total_errors: int | None
    uri: str | None
    errors_uri: str | None
    lines_told: str | None = None
    source: str
    recorded_at: datetime = Field(sa_type=UTCDateTime)


class SubmissionError(SQLModel, table=True):
    """One reason why impact.com did not take something, joined to what we sent where it could be.

    `line` is our line, the header being line 1, or what impact.com said where it could not be joined. `rejects` says
    that it stands against the order: it does not where it only says that the order is there already.
    """

    __tablename__ = "submission_error"
    __table_args__ = (
        Index("errors_of_submission", "submission_id", "id"),
        Index("errors_by_reason", "reason", "submission_id"),
        Index("orders_by_reason", "reason", "revision_id"),
        Index("errors_of_revision", "revision_id"),
        Index("errors_of_correction", "correction_id"),
    )

    id: int | None = Field(default=None, sa_column=Column(ROW_ID, primary_key=True))
    submission_id: int = Field(sa_column=Column(BigInteger, ForeignKey("submission.id"), nullable=False))
    revision_id: int | None = Field(default=None, sa_column=Column(BigInteger, ForeignKey("revision.id")))
    correction_id: int | None = Field(default=None, sa_column=Column(BigInteger, ForeignKey("correction.id")))
    line: int | None
    order_id: str | None
    sku: str | None
    category: str | None
    error_type: str | None
    reason: str
    rejects: bool


class Result(SQLModel, table=True):
    """A batch of which everything is known. `source` says from where: `api`, `calls` or `file` (read by a person)."""

    __tablename__ = "result"
    __table_args__ = (CheckConstraint("verdict IN ('accepted', 'partly_rejected', 'rejected')", name="result_verdict"),)

    batch: int = Field(sa_column=Column(ROW_ID, ForeignKey("batch.id"), primary_key=True, autoincrement=False))
    verdict: str
    accepted: int
    rejected: int
    source: str
    recorded_at: datetime = Field(sa_type=UTCDateTime)


class JudgedCorrection(SQLModel, table=True):
    """What impact.com decided about a correction, where its batch's result does not say it."""

    __tablename__ = "judged_correction"
    __table_args__ = (
        CheckConstraint(verdicts_store.VERDICTS, name="judged_correction_verdict"),
        Index("corrections_by_verdict", "verdict", "correction_id"),
    )

    correction_id: int = Field(
        sa_column=Column(ROW_ID, ForeignKey("correction.id"), primary_key=True, autoincrement=False)
    )
    submission_id: int = Field(sa_column=Column(BigInteger, ForeignKey("submission.id"), nullable=False))
    verdict: str


SUBMISSION: Final = Submission.__table__  # type: ignore[attr-defined]
SUBMISSION_ERROR: Final = SubmissionError.__table__  # type: ignore[attr-defined]
RESULT: Final = Result.__table__  # type: ignore[attr-defined]
JUDGED_ORDER: Final = verdicts_store.JUDGED_ORDER
JUDGED_CORRECTION: Final = JudgedCorrection.__table__  # type: ignore[attr-defined]


def is_judged(judged: Table, verdict: Verdict) -> ColumnElement[bool]:
    """Say which records have a verdict. It is written out, since by a parameter an index of all of them is walked."""
    same: ColumnElement[bool] = judged.c.verdict == literal_column(f"'{verdict.value}'")
    return same


def order_verdicts(session: Session, revision_ids: Collection[int]) -> dict[int, Verdict]:
    """Return what impact.com decided about revisions, of those that it has decided about."""
    return _verdicts(session, BATCH_LINE, JUDGED_ORDER, revision_ids)


def correction_verdicts(session: Session, correction_ids: Collection[int]) -> dict[int, Verdict]:
    """Return what impact.com decided about corrections, of those that it has decided about."""
    return _verdicts(session, CORRECTION_LINE, JUDGED_CORRECTION, correction_ids)


def _verdicts(session: Session, lines: Table, judged: Table, ids: Collection[int]) -> dict[int, Verdict]:
    """Ask each table by its own key: a planner that may join them may find reading one of them whole cheaper."""
    connection, [line], [key] = session.connection(), lines.primary_key, judged.primary_key
    placed = connection.execute(select(line, lines.c.batch).where(line.in_(ids))).all()
    decided = results(session, {row.batch for row in placed}) if placed else {}
    accepted = (row[0] for row in placed if row.batch in decided)
    rows = connection.execute(select(key, judged.c.verdict).where(key.in_(ids)))
    return dict.fromkeys(accepted, Verdict.ACCEPTED) | {row[0]: Verdict(row[1]) for row in rows}


def results(session: Session, batches: Collection[int]) -> dict[int, Row[Any]]:
    """Return the results of batches, of those that have one."""
    found = session.connection().execute(select(RESULT).where(RESULT.c.batch.in_(batches)))
    return {row.batch: row for row in found}


@dataclass(frozen=True, slots=True)
class Objection:
    """A reason that stands against an order or a correction, as impact.com gave it, and where."""

    code: str
    sku: str | None
    line: int | None


def objections_to_orders(session: Session, revision_ids: Collection[int]) -> dict[int, list[Objection]]:
    """Return the reasons that stand against revisions, in the order in which impact.com gave them."""
    return _objections(session, SUBMISSION_ERROR.c.revision_id, revision_ids)


def objections_to_corrections(session: Session, correction_ids: Collection[int]) -> dict[int, list[Objection]]:
    """Return the reasons that stand against corrections likewise."""
    return _objections(session, SUBMISSION_ERROR.c.correction_id, correction_ids)


def _objections(session: Session, of: ColumnElement[int], ids: Collection[int]) -> dict[int, list[Objection]]:
    error, found = SUBMISSION_ERROR.c, dict[int, list[Objection]]()
    told = select(of.label("of"), error.reason, error.sku, error.line).where(of.in_(ids), error.rejects.is_(True))
    for row in session.connection().execute(told.order_by(error.id)):
        found.setdefault(row.of, []).append(Objection(row.reason, row.sku, row.line))
    return found


def refused_in(session: Session, batch: int) -> dict[int, Verdict]:
    """Return the revisions, or the corrections, of a batch that impact.com has not taken whole, in their order."""
    found: dict[int, Verdict] = {}
    for lines, judged in ((BATCH_LINE, JUDGED_ORDER), (CORRECTION_LINE, JUDGED_CORRECTION)):
        [of], [key] = lines.primary_key, judged.primary_key
        refused = select(key, judged.c.verdict).join(lines, of == key)
        mine = refused.where(lines.c.batch == batch, judged.c.verdict != Verdict.ACCEPTED.value)
        found |= {row[0]: Verdict(row[1]) for row in session.connection().execute(mine.order_by(lines.c.first_line))}
    return found

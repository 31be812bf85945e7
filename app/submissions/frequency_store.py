"""The statements that count reasons: the newest are read first, along their keys, and no more than are shown."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Row, Select, select
from sqlmodel import Session

from app.submissions.store import SUBMISSION, SUBMISSION_ERROR

CHUNK: Final = 1_000


def errors_before(session: Session, before: int | None) -> Sequence[Row[Any]]:
    """Return errors by descending id, of those below `before`: as many as are read at once."""
    error = SUBMISSION_ERROR.c
    told: Select[Any] = select(
        error.id, error.submission_id, error.reason, error.revision_id, error.correction_id, error.rejects
    )
    newest = told if before is None else told.where(error.id < before)
    return session.connection().execute(newest.order_by(error.id.desc()).limit(CHUNK)).all()


def recorded_at(session: Session, submissions: Collection[int]) -> dict[int, datetime]:
    """Return when submissions were recorded here."""
    one = SUBMISSION.c
    told = select(one.id, one.recorded_at).where(one.id.in_(submissions))
    return {row.id: row.recorded_at for row in session.connection().execute(told)} if submissions else {}

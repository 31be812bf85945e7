"""What every stage has on record of one order. Every statement starts at a key of it."""

from collections.abc import Collection, Sequence
from typing import Any, Final

from sqlalchemy import Row, Select, select
from sqlmodel import Session

from app.actions.store import REPORTED_ACTION
from app.batches.store import BATCH, BATCH_LINE
from app.clicks.store import CLICK, NEW_CLICK
from app.conversions.store import REVISION
from app.delivery.calls_store import CALL
from app.submissions.store import RESULT, SUBMISSION

MOST: Final = 50
"""So many revisions, and so many actions, of an order are told of: the newest."""


def click(session: Session, click_id: str) -> Row[Any] | None:
    """Return when, where and how a click was captured; one that is not filed yet lies in a table that is small."""
    for table in (CLICK, NEW_CLICK):
        told = table.c.captured_at, table.c.source, table.c.landing_url, table.c.consent
        captured: Select[Any] = select(*told).where(table.c.click_id == click_id)
        if (row := session.connection().execute(captured.order_by(table.c.captured_at).limit(1)).first()) is not None:
            return row
    return None


def revisions(session: Session, conversion_id: int) -> list[int]:
    """Return the newest revisions of an order, oldest first."""
    mine = select(REVISION.c.id).where(REVISION.c.conversion_id == conversion_id)
    newest = session.connection().execute(mine.order_by(REVISION.c.number.desc()).limit(MOST)).scalars()
    return list(newest)[::-1]


def files(session: Session, revision_ids: Collection[int]) -> Sequence[Row[Any]]:
    """Return the batches that revisions are in, with their line."""
    placed: Select[Any] = select(BATCH, BATCH_LINE.c.revision_id, BATCH_LINE.c.first_line)
    mine = placed.join(BATCH_LINE, BATCH_LINE.c.batch == BATCH.c.id).where(BATCH_LINE.c.revision_id.in_(revision_ids))
    return session.connection().execute(mine.order_by(BATCH_LINE.c.revision_id)).all()


def calls(session: Session, revision_ids: Collection[int]) -> Sequence[Row[Any]]:
    """Return the calls that were made for revisions."""
    mine = select(CALL).where(CALL.c.revision_id.in_(revision_ids)).order_by(CALL.c.id)
    return session.connection().execute(mine).all()


def submissions(session: Session, batches: Collection[int], revision_ids: Collection[int]) -> Sequence[Row[Any]]:
    """Return what impact.com made of files, and of calls for revisions."""
    connection, submission = session.connection(), SUBMISSION.c
    of_files = select(SUBMISSION).where(submission.batch.in_(batches), submission.file_name.is_not(None))
    of_calls = select(SUBMISSION).where(submission.revision_id.in_(revision_ids))
    rows = [*connection.execute(of_files), *connection.execute(of_calls)]
    return sorted(rows, key=lambda row: int(row.id))


def results(session: Session, batches: Collection[int]) -> dict[int, Row[Any]]:
    """Return the results of those batches of which everything is known."""
    known = select(RESULT).where(RESULT.c.batch.in_(batches))
    return {row.batch: row for row in session.connection().execute(known)}


def actions(session: Session, conversion_id: int) -> Sequence[Row[Any]]:
    """Return the order's actions as impact.com told of them last, oldest first."""
    mine = select(REPORTED_ACTION).where(REPORTED_ACTION.c.conversion_id == conversion_id)
    newest = mine.order_by(REPORTED_ACTION.c.id.desc()).limit(MOST)
    return session.connection().execute(newest).all()[::-1]

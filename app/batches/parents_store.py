"""Where the parents of chained actions are, read by keys alone."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlmodel import Session

from app.batches.parents import ParentState
from app.batches.store import BATCH_LINE, LEFT_OUT, UNDELIVERED
from app.conversions import store as conversions
from app.conversions.corrections_store import CANCELLED
from app.conversions.order import OrderKey


def parent_states(session: Session, parents: Sequence[OrderKey]) -> dict[OrderKey, ParentState]:
    """Return the states of recorded orders, each by its newest revision."""
    if not parents:
        return {}
    ids = conversions.find_keys(session, list(dict.fromkeys(parents)))
    newest = conversions.newest_revisions(session, list(ids.values()))
    states = _states(session, list(newest.values()))
    return {key: states.get(newest.get(number, 0), ParentState.ON_ITS_WAY) for key, number in ids.items()}


def _states(session: Session, revision_ids: Sequence[int]) -> dict[int, ParentState]:
    """Return the states of those revisions whose way has ended.

    A batch has arrived when it is not in `undelivered` any more; while it is sent again, it is there once more.
    """
    connection = session.connection()
    placed = select(BATCH_LINE.c.revision_id, BATCH_LINE.c.batch).where(BATCH_LINE.c.revision_id.in_(revision_ids))
    batches = {row.revision_id: row.batch for row in connection.execute(placed)}
    queued = select(UNDELIVERED.c.batch).where(UNDELIVERED.c.batch.in_(set(batches.values())))
    on_its_way = set(connection.execute(queued).scalars()) if batches else set()
    old = select(LEFT_OUT.c.revision_id).where(LEFT_OUT.c.revision_id.in_(revision_ids), LEFT_OUT.c.state == "expired")
    cancelled = select(CANCELLED.c.revision_id).where(CANCELLED.c.revision_id.in_(revision_ids))
    return (
        dict.fromkeys(connection.execute(old).scalars(), ParentState.EXPIRED)
        | dict.fromkeys(connection.execute(cancelled).scalars(), ParentState.CANCELLED)
        | {revision: ParentState.DELIVERED for revision, batch in batches.items() if batch not in on_its_way}
    )

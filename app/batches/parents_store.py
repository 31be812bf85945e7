"""Where the parents of chained actions are, read by keys alone."""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import select
from sqlmodel import Session

from app.batches.parents import ParentState
from app.batches.store import BATCH_LINE, LEFT_OUT, UNDELIVERED
from app.batches.verdicts_store import JUDGED_ORDER
from app.conversions import store as conversions
from app.conversions.corrections_store import CANCELLED
from app.conversions.order import OrderKey

_BY_VERDICT: Final = {
    "accepted": ParentState.DELIVERED,
    "partly_accepted": ParentState.DELIVERED,
    "rejected": ParentState.REJECTED,
}


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

    A batch has arrived when it is not in `undelivered` any more; while it is sent again, it is there once more. What
    impact.com has decided about an order counts more.
    """
    connection = session.connection()
    placed = select(BATCH_LINE.c.revision_id, BATCH_LINE.c.batch).where(BATCH_LINE.c.revision_id.in_(revision_ids))
    batches = {row.revision_id: row.batch for row in connection.execute(placed)}
    queued = select(UNDELIVERED.c.batch).where(UNDELIVERED.c.batch.in_(set(batches.values())))
    on_its_way = set(connection.execute(queued).scalars()) if batches else set()
    old = select(LEFT_OUT.c.revision_id).where(LEFT_OUT.c.revision_id.in_(revision_ids), LEFT_OUT.c.state == "expired")
    cancelled = select(CANCELLED.c.revision_id).where(CANCELLED.c.revision_id.in_(revision_ids))
    judged = select(JUDGED_ORDER.c.revision_id, JUDGED_ORDER.c.verdict)
    verdicts = connection.execute(judged.where(JUDGED_ORDER.c.revision_id.in_(revision_ids)))
    return (
        dict.fromkeys(connection.execute(old).scalars(), ParentState.EXPIRED)
        | dict.fromkeys(connection.execute(cancelled).scalars(), ParentState.CANCELLED)
        | {revision: ParentState.DELIVERED for revision, batch in batches.items() if batch not in on_its_way}
        | {row.revision_id: _BY_VERDICT[row.verdict] for row in verdicts}
    )

"""Corrections of orders that impact.com has not taken are held: it would only answer that it knows no such action."""

from collections.abc import Collection, Iterable
from typing import Final

from sqlmodel import Session

from app.batches import modifications_store
from app.batches.modifications_store import Hold, ToLeave
from app.conversions import corrections_store as corrections
from app.conversions import store as conversions
from app.conversions.correction import ZERO_AMOUNT
from app.conversions.store import LOOKUP_CHUNK
from app.database import Database, only_by_keys, retried
from app.submissions.store import order_verdicts
from app.submissions.submission import Verdict

ORDER_REJECTED: Final = "order_rejected"
REJECTED_DETAIL: Final = (
    "impact.com has not taken this order; GET /orders/{order_id} says why. Repair the order: then it is sent again as"
    " it is by now, and this correction with it."
)


def hold_corrections(session: Session, conversion_ids: Collection[int] | None = None) -> None:
    """Hold the corrections that wait of these orders, or of all, as far as impact.com has not taken the order.

    The reversal of a whole order waits no more: there is nothing to reverse. To be called where a verdict is recorded,
    and before an export.
    """
    wanted = None if conversion_ids is None else set(conversion_ids)
    waiting = [one for one in modifications_store.to_leave(session) if wanted is None or one.conversion_id in wanted]
    for start in range(0, len(waiting), LOOKUP_CHUNK):
        _hold(session, waiting[start : start + LOOKUP_CHUNK])


def release_corrections(session: Session, conversion_ids: Collection[int]) -> None:
    """Let the corrections of orders leave that impact.com has taken after all, such as when their file came again.

    The reversal of one that waited no more, since there was nothing to reverse, waits again.
    """
    ids = sorted(conversion_ids)
    modifications_store.release(session, ids, ORDER_REJECTED)
    newest = conversions.newest_revisions(session, ids)
    for one in modifications_store.never_told(session, list(corrections.truths(session, ids).values())):
        [recorded] = conversions.load(session, [newest[one.conversion_id]])
        corrections.wait(
            session,
            correction_id=one.id,
            conversion_id=one.conversion_id,
            event_type=one.event_type,
            level="order",
            lines=1,
            hold_reason=None if recorded.order.amount else ZERO_AMOUNT,
        )


@retried
def hold_all(database: Database) -> None:
    """Do so with all that waits."""
    with database.transaction() as session:
        only_by_keys(session)
        hold_corrections(session)


def _hold(session: Session, waiting: Iterable[ToLeave]) -> None:
    by_order = {one.conversion_id: one for one in waiting}
    newest = conversions.newest_revisions(session, list(by_order))
    verdicts = order_verdicts(session, list(newest.values()))
    rejected = [by_order[order] for order, revision in newest.items() if verdicts.get(revision) is Verdict.REJECTED]
    for one in rejected:
        if one.reverses:
            corrections.withdraw(session, one.conversion_id)
    held = (one.correction_id for one in rejected if not one.reverses)
    modifications_store.hold(session, [Hold(one, ORDER_REJECTED, REJECTED_DETAIL) for one in held])

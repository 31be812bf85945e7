"""Retention: what is personal in orders, and the files of batches, goes when it is as old as the settings say.

In small steps, between which everybody else gets his turn. The mark is moved last, so that whatever stops it, the next
one goes on from there.
"""

import logging
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Row

from app.batches import store as batches
from app.batches.store import OLD
from app.conversions import store as conversions
from app.database import only_by_keys, retried
from app.privacy import persons_store, store
from app.privacy.emptied import Theirs
from app.privacy.erase import Means
from app.privacy.files import Fate, empty_file, empty_kept
from app.privacy.key import settled_key

logger = logging.getLogger(__name__)

STEP: Final = 200
FILES: Final = 20
DECIDED_AFTER: Final = timedelta(days=420)
"""After so long impact.com takes no order of a file any more (398 days, with a media id), and tells nothing of it."""


def clear_old_files(means: Means, days: int, now: datetime) -> Iterator[int]:
    """Remove the content of files that are so old and decided about; yield after each step how many that were."""
    after = 0
    while True:
        with means.database.snapshot() as session:
            only_by_keys(session)
            some = persons_store.oldest_contents(session, after, FILES)
        old = [row for row in some if row.created_at < now - timedelta(days=days)]
        yield sum(_clear_file(means, row.filename, now) for row in old)
        if len(old) < FILES:
            return
        after = old[-1].id


def _clear_file(means: Means, name: str, now: datetime) -> bool:
    with means.database.snapshot() as session:
        only_by_keys(session)
        batch = persons_store.look_at_file(session, name)
        if batch.is_under_way or not (batch.is_decided or batch.created_at < now - DECIDED_AFTER):
            return False
    empty_kept(means.places, batch, Theirs(everyone=True), now, OLD)
    return _forget_content(means, batch.id, name, now)


@retried
def _forget_content(means: Means, number: int, name: str, now: datetime) -> bool:
    with means.database.transaction() as session, means.database.overwriting(session):
        only_by_keys(session)
        batches.lock_batch(session, number)
        if persons_store.look_at_file(session, name).is_under_way:  # somebody sends it again just now
            return False
        batches.remove_content(session, number, None, now, OLD)
    return True


def clear_old_orders(means: Means, days: int, now: datetime) -> Iterator[int]:
    """Clear the orders that are so old, by their date and by their recording; yield how many after each step.

    One that stands in a file under way is waited for, and those recorded after it too. One that still waits after so
    long can leave by its media id at most, which stays. Raises Misconfigured.
    """
    with means.database.transaction() as session:
        settled_key(session, means.key)
    more = True
    while more:
        number, more = _clear_some(means, now - timedelta(days=days), now)
        yield number


def _clear_some(means: Means, before: datetime, now: datetime) -> tuple[int, bool]:
    """Clear the next orders; return how many, and whether there may be more."""
    with means.database.snapshot() as session:
        only_by_keys(session)
        rows = persons_store.revisions_after(session, store.cleared_up_to(session), STEP)
        old = list(_while_old(rows, before))
        files = persons_store.files_of(session, [row.id for row in old])
        order_ids = {
            name: persons_store.order_ids_in(session, name, {row.conversion_id for row in old})
            for name in files.values()
        }
    waits = set()
    for number, name in files.items():
        theirs = Theirs(order_ids[name])
        if empty_file(means.database, means.places, name, theirs, now, OLD, dry_run=False)[0] is Fate.WAITS:
            waits.add(number)
    cleared = _clear_orders(means, [row.id for row in old], waits)
    return cleared, bool(old) and len(old) == STEP and not waits


def _while_old(rows: list[Row[Any]], before: datetime) -> Iterator[Row[Any]]:
    for row in rows:
        if row.recorded_at >= before or row.event_at >= before:
            return
        yield row


@retried
def _clear_orders(means: Means, revision_ids: list[int], waits: set[int]) -> int:
    assert means.key is not None  # noqa: S101 (it was settled)
    if not revision_ids:
        return 0
    with means.database.transaction() as session, means.database.overwriting(session):
        only_by_keys(session)
        rows = persons_store.revisions_after(session, revision_ids[0] - 1, len(revision_ids))
        if persons_store.count_waiting(session, [row.id for row in rows]):
            batches.interrupt_exports(session)  # one may have planned them with what is being removed
        conversions.lock_all(session, {row.conversion_id for row in rows})
        ids = {row.conversion_id for row in rows}
        late = persons_store.in_batches(session, ids) | persons_store.in_batches(session, ids, waits)
        first_late = min((row.id for row in rows if row.conversion_id in late), default=None)
        rows = [row for row in rows if first_late is None or row.id < first_late]
        if first_late is not None:
            logger.warning("purge.waits", extra={"detail": "Orders stand in a file that is still under way."})
        if not rows:
            return 0
        cleared = persons_store.clear_orders(session, rows, means.key, hold=False)
        store.note_cleared(session, rows[-1].id)
    return cleared.orders

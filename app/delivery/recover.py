"""After an older database was restored: what the journal shows to have left is put on record again, as not known.

Nothing is sent by it, and each order is in the batch again that it left with. A person then looks at impact.com's File
Submissions, and confirms each batch or lets it be sent again.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlmodel import Session

from app.batches import store as batches
from app.batches.batch import sha256
from app.database import Database, retried
from app.delivery import journal_store as store
from app.delivery.hold import Hold
from app.delivery.kept import Damaged, Kept, read_kept
from app.delivery.removal import NotMarked

logger = logging.getLogger(__name__)


class Fate(StrEnum):
    """What became of a kept file that the database did not know."""

    RECOVERED = "recovered"
    REFUSED = "refused"
    DAMAGED = "damaged"


@dataclass(frozen=True, slots=True)
class Recovery:
    """A kept file and what became of it.

    `missing` are orders that the database does not know, `elsewhere` those that another batch holds: neither is put
    into this one. In a file of modifications they are orders whose correction is so. `changed` are orders that are
    cancelled or come to something else by now than what left. `detail` is what is wrong with a damaged file.
    """

    name: str
    fate: Fate
    rows: int = 0
    orders: int = 0
    missing: Sequence[str] = ()
    elsewhere: Sequence[str] = ()
    changed: Sequence[str] = ()
    detail: str = ""
    of_corrections: bool = False


def recover(
    database: Database, hold: Hold, now: datetime, *, dry_run: bool = False, without_missing: bool = False
) -> Iterator[Recovery]:
    """Yield what becomes of each file that is not known, those kept first first. Raises ChannelUnavailable.

    Each is recorded in a transaction of its own. One with missing orders is refused, unless `without_missing`.
    """
    for name in reversed(hold.lost(database)):
        try:
            kept = read_kept(name, *hold.journal.look(name))
        except (Damaged, NotMarked) as error:
            yield Recovery(name, Fate.DAMAGED, detail=str(error))
        else:
            yield _recover(database, kept, now, dry_run=dry_run, without_missing=without_missing)


@retried
def _recover(database: Database, kept: Kept, now: datetime, *, dry_run: bool, without_missing: bool) -> Recovery:
    with database.snapshot() if dry_run else database.transaction() as session:
        batch = store.find_file(session, kept.name)
        recovery, records = Recovery(kept.name, Fate.RECOVERED, kept.rows, len(kept.first_lines)), dict[str, int]()
        if not dry_run:
            store.lock_orders(session, kept)
        if batch is None:
            compare = _compare_corrections if kept.form else _compare
            recovery, records = compare(session, kept, without_missing=without_missing)
        if dry_run or recovery.fate is not Fate.RECOVERED or store.attempted(session, [kept.name]):
            return recovery
        number = batch.id if batch else store.add(session, kept, sha256(kept.content), records, now)
        if kept.removal:
            batches.remove_content(session, number, kept.content, kept.removal.at, kept.removal.why)
        store.note_unknown_attempt(session, number, now)
    logger.warning("delivery.recovered", extra={"file": kept.name, "orders": len(kept.first_lines)})
    return recovery


def _compare(session: Session, kept: Kept, *, without_missing: bool) -> tuple[Recovery, dict[str, int]]:
    """Return what can become of a file, and the revisions by OrderId that go back into its batch."""
    conversions = store.find_orders(session, kept.event_type, kept.first_lines)
    free = store.unbatched(session, conversions.values())
    missing = [order_id for order_id in kept.first_lines if order_id not in conversions]
    elsewhere = [order_id for order_id, number in conversions.items() if number not in free]
    revisions = {order_id: free[number] for order_id, number in conversions.items() if number in free}
    fate = Fate.REFUSED if missing and not without_missing else Fate.RECOVERED
    changed = store.changed_since(session, kept, revisions)
    return Recovery(kept.name, fate, kept.rows, len(kept.first_lines), missing, elsewhere, changed), revisions


def _compare_corrections(session: Session, kept: Kept, *, without_missing: bool) -> tuple[Recovery, dict[str, int]]:
    """Return the same for a file of modifications: those corrections go back into it that say what it says."""
    free, placed = store.corrections_that_say(session, kept)
    missing = [name for name in kept.first_lines if name not in free and name not in placed]
    fate = Fate.REFUSED if missing and not without_missing else Fate.RECOVERED
    size = kept.rows, len(kept.first_lines)
    return Recovery(kept.name, fate, *size, missing, placed, of_corrections=True), free


def explain(one: Recovery) -> str:
    """Return lines for a person: what became of a file, and what is to be done about it."""
    size = f"{one.name}: {one.fate}, {one.rows} rows of {one.orders} orders"
    what = "orders' corrections" if one.of_corrections else "orders"
    lines = [f"{one.name}: {one.fate}. {one.detail}" if one.fate is Fate.DAMAGED else f"{size}."]
    if one.missing and one.fate is Fate.REFUSED:
        lines.append(f"  The database does not know these {what}; post them again first, or use --without-missing:")
    elif one.missing:
        lines.append(f"  Recorded without these {what}; if one of them is posted again, it is sent again:")
    lines += [f"    {order_id}" for order_id in one.missing]
    if one.elsewhere:
        lines.append(f"  These {what} are in another batch, and stay there; they may have left twice:")
    lines += [f"    {order_id}" for order_id in one.elsewhere]
    if one.changed:
        lines.append(
            "  These orders were changed or reversed after the restore, as if they had not left. impact.com has what"
            " this file says: give them their amounts in its interface or by its API:"
        )
    return "\n".join([*lines, *(f"    {order_id}" for order_id in one.changed)])

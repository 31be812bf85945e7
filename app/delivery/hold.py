"""Nothing leaves while the database knows less than the journal: an older backup was restored, or it is another one."""

import logging
import threading
from collections.abc import Container
from typing import Any, Final

from sqlalchemy import Row

from app.batches import store as batches
from app.database import Database
from app.delivery import journal_store as store
from app.delivery.journal import Journal
from app.delivery.parcel import Parcel
from app.delivery.removal import Removal
from app.errors import ChannelUnavailable, ContentRemoved

logger = logging.getLogger(__name__)

NEWEST: Final = 200
"""Files that are looked up each time: a database that was restored lacks at least the last ones that were kept."""


class Hold:
    """Whether everything is held, found anew whenever it is asked; `reason` is why, or None."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.reason: str | None = None
        self._names: list[str] = []
        self._known: set[str] = set()
        self._unknown: list[str] = []
        self._lock = threading.Lock()

    def applies(self, database: Database) -> bool:
        """Say whether nothing may be batched or delivered now. What other hosts have attempted is kept here too."""
        with self._lock:
            try:
                reason = why(self._lost(database))
                if reason is None:
                    copy_attempted(database, self.journal, self._known)
            except ChannelUnavailable as error:
                reason = str(error)
            self._tell(reason)
        return reason is not None

    def lost(self, database: Database) -> list[str]:
        """Return the kept files of which the database knows no attempt, those kept last first."""
        with self._lock:
            return self._lost(database)

    def _lost(self, database: Database) -> list[str]:
        names = self.journal.names()  # before the snapshot: what is kept had its attempt committed before
        if names is not self._names:  # it is the same list as long as nothing is kept
            self._names, self._unknown = names, [name for name in names if name not in self._known]
        asked = list(dict.fromkeys([*names[:NEWEST], *self._unknown]))
        with database.snapshot() as session:
            known = store.attempted(session, asked)
            if not self._known.isdisjoint(set(asked) - known):  # another database is in its place: ask for every file
                asked, self._known, known = names, set(), store.attempted(session, names)
        self._known |= known
        self._unknown = [name for name in asked if name not in known]
        return self._unknown

    def _tell(self, reason: str | None) -> None:
        if reason and reason != self.reason:
            logger.error("delivery.all_held", extra={"detail": reason})
        elif self.reason and not reason:
            logger.warning("delivery.all_released", extra={"detail": "The database knows every kept file."})
        self.reason = reason


def why(lost: list[str]) -> str | None:
    """Return the sentence that says why nothing leaves, or None if no file is lost."""
    if not lost:
        return None
    files = "1 file that has" if len(lost) == 1 else f"{len(lost)} files that have"
    return (
        f"The database knows nothing of {files} left, so that nothing more leaves: it is older than the journal, or"
        " another one; run `conversion-capture doctor`."
    )


def copy_attempted(database: Database, journal: Journal, there: Container[str]) -> None:
    """Keep the newest files that any host has attempted, so that this one would notice too. Raises ChannelUnavailable.

    Reads the newest batches by their key, and contents only of those that are not `there` yet.
    """
    with database.snapshot() as session:
        newest = store.newest_attempted(session, NEWEST)
    for row in reversed(newest):  # oldest first, so that the newest is the one kept last
        if row.filename not in there:
            _copy(database, journal, row)


def _copy(database: Database, journal: Journal, row: Row[Any]) -> None:
    with database.snapshot() as session:
        try:
            content = batches.what_is_left_of(session, row.id)
        except ContentRemoved:  # so old that nobody needs to be kept from sending it
            return
    if row.removed_at is None:
        journal.keep(Parcel(row.filename, content, row.event_type))
    else:
        journal.keep_removed(row.filename, content, Removal(row.sha256, row.removed_at, row.removed_why))

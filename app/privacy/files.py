"""The files of batches, wherever they lie: in the database, in the journal, in the folder that impact.com reads."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Row
from sqlmodel import Session

from app.batches import store as batches
from app.batches.batch import TITLES, BatchKind, sha256
from app.batches.store import ERASED
from app.database import Database, only_by_keys, retried
from app.delivery.channels import Channels
from app.delivery.channels.folder import FolderChannel, FolderSettings
from app.delivery.durable import sync
from app.delivery.journal import Journal
from app.delivery.removal import NotMarked, Removal
from app.errors import ContentRemoved, Failure
from app.privacy import persons_store, store
from app.privacy.emptied import Emptied, Theirs, empty
from app.submissions.store import results

FEW: Final = 20
"""So few ids are looked for in the bytes of a file before it is read line by line."""
PULLED_WITHIN: Final = timedelta(days=3)
"""impact.com fetches once a day: a file that has lain in the folder for so long was fetched, or never will be."""
_TITLE: Final = f"_{TITLES[BatchKind.CONVERSIONS]}_"


class Fate(StrEnum):
    """What became of a file: nothing of theirs was in it, it was emptied, or it is still under way."""

    UNTOUCHED = "untouched"
    EMPTIED = "emptied"
    WAITS = "waits"


@dataclass(frozen=True, slots=True)
class Places:
    """Where files lie on this host, apart from the database."""

    journal: Journal
    folders: Sequence[Path]

    @classmethod
    def of(cls, journal: Journal, channels: Channels) -> "Places":
        """Return the journal, and the folders that files are left in, or were before another channel was set up."""
        in_use = [one.path for one in channels.values() if isinstance(one, FolderChannel)]
        return cls(journal, in_use or [FolderSettings().path])

    def lie_in(self, name: str) -> bool:
        """Say whether a file lies in a folder."""
        return any((folder / name).exists() for folder in self.folders)

    def take_away(self, name: str) -> bool:
        """Delete a file from the folders, durably, and say whether there was one. Raises OSError."""
        there = [path for folder in self.folders for path in (folder / name, *folder.glob(f"{name}.*.part"))]
        there = [path for path in there if path.exists()]
        for path in there:
            path.unlink(missing_ok=True)
            sync(path.parent)
        return bool(there)


def is_of_orders(name: str) -> bool:
    """Say whether a file is one of orders; files of modifications hold nothing that is personal."""
    return _TITLE in name


def find_in_journal(journal: Journal, theirs: Theirs) -> dict[str, Collection[str]]:
    """Return the kept files that hold something of theirs, and the click ids in it. Raises Failure.

    One that lies there whole beside what is left of it is among them: nobody needs it any more, whoever it tells of.
    """
    sought = [one.replace('"', '""').encode() for one in (*theirs.click_ids, *theirs.customer_ids)]  # as a file has it
    found: dict[str, Collection[str]] = {}
    for name in filter(is_of_orders, journal.names()):
        try:
            content, _ = journal.look(name)
            is_worth_it = len(sought) > FEW or any(one in content for one in sought)
            if is_worth_it and (emptied := empty(content, theirs)).lines:
                found[name] = emptied.click_ids
            elif journal.has_whole(name):
                found[name] = ()
        except (NotMarked, ValueError):
            raise Failure(
                f"{name} in the journal is damaged, so that nobody can say whom it tells of; put a good copy in its"
                " place, or move it away, and repeat the command."
            ) from None
    return found


def empty_file(
    database: Database, places: Places, name: str, theirs: Theirs, now: datetime, why: str = ERASED, *, dry_run: bool
) -> tuple[Fate, str]:
    """Take what is theirs out of a file wherever it lies; return its fate, and the batch's id or its own name.

    It cannot be had or sent again then. One that is under way, or that impact.com may not have fetched yet, stays.
    """
    fate, batch = _in_database(database, places, name, theirs, now, why, dry_run=dry_run)
    if fate is Fate.WAITS or not is_of_orders(name):
        return fate, batch.batch_id if batch is not None else name
    removal = Removal("" if batch is None else batch.sha256, now, why)
    is_kept = _in_journal(places.journal, name, theirs, removal, dry_run=True)
    if batch is None and is_kept and places.lie_in(name) and now - places.journal.kept_at(name) < PULLED_WITHIN:
        return Fate.WAITS, name
    emptied = fate is Fate.EMPTIED or is_kept
    if (emptied or (batch is not None and batch.removed_at is not None)) and not dry_run:
        emptied = places.take_away(name) or emptied
        _in_journal(places.journal, name, theirs, removal, dry_run=False)  # last: it may be all that leads there
    return Fate.EMPTIED if emptied else Fate.UNTOUCHED, batch.batch_id if batch is not None else name


@retried
def _in_database(
    database: Database, places: Places, name: str, theirs: Theirs, now: datetime, why: str, *, dry_run: bool
) -> tuple[Fate, Row[Any] | None]:
    with database.transaction() as session, database.overwriting(session):
        only_by_keys(session)
        batch = persons_store.find_file(session, name)
        if batch is None:
            return Fate.UNTOUCHED, None
        if batch.is_under_way or _may_still_be_fetched(session, places, batch, now):
            return Fate.WAITS, batch
        try:
            emptied = empty(batches.what_is_left_of(session, batch.id), theirs)
        except ContentRemoved:
            emptied = Emptied(b"", 0)
        except ValueError:
            raise Failure(
                f"The stored content of {name} is not what was rendered, so that nobody can say whom it tells of;"
                " restore the database."
            ) from None
        if emptied.lines and not dry_run:
            batches.remove_content(session, batch.id, emptied.content, now, why)
            store.note_traces(session)
    return Fate.EMPTIED if emptied.lines else Fate.UNTOUCHED, batch


def _may_still_be_fetched(session: Session, places: Places, batch: Row[Any], now: datetime) -> bool:
    """Say whether a file lies in the folder and impact.com has neither said what it makes of it nor had time enough.

    What it said before the file was left there again says nothing of that.
    """
    arrived = persons_store.arrived_at(session, batch.id)
    if arrived is None or not places.lie_in(batch.filename):
        return False
    result = results(session, [batch.id]).get(batch.id)
    return now - arrived < PULLED_WITHIN and (result is None or result.recorded_at < arrived)


def empty_kept(places: Places, batch: Row[Any], theirs: Theirs, now: datetime, why: str) -> None:
    """Take what is theirs out of a file that nobody needs, but for the database. Raises Failure."""
    if is_of_orders(batch.filename):
        _in_journal(places.journal, batch.filename, theirs, Removal(batch.sha256, now, why), dry_run=False)
    places.take_away(batch.filename)


def _in_journal(journal: Journal, name: str, theirs: Theirs, removal: Removal, dry_run: bool) -> bool:
    """Let the journal keep a file without what is theirs; say whether something was, or might have been."""
    if name not in journal.names():
        return False
    content, before = journal.look(name)
    emptied = empty(content, theirs)
    if not emptied.lines:
        return journal.has_whole(name) if dry_run else journal.drop_whole(name)
    if not dry_run:
        fresh = removal if removal.sha256 else replace(removal, sha256=sha256(content))
        journal.keep_removed(name, emptied.content, before or fresh)
    return True

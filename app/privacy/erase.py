"""Erasing a person: what is kept of them goes, wherever it lies; what was sold, and that it is known, stays.

Whatever stops it, the same again finishes it: what leads to everything else, the rows of their orders, goes last.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

from pydantic import SecretStr
from sqlmodel import Session

from app.batches import store as batches
from app.clicks.click import ClickId
from app.clicks.store import delete_by_ids
from app.conversions import store as conversions
from app.conversions.terms import find_by_term
from app.conversions.terms_store import Term
from app.database import Database, only_by_keys, retried
from app.errors import Failure, Unavailable
from app.privacy import persons_store, store
from app.privacy.emptied import Theirs
from app.privacy.files import Fate, Places, empty_file, find_in_journal
from app.privacy.key import settled_key
from app.privacy.spooled import forget_in_spool

STEP: Final = 100
"""So many orders go in one transaction."""


@dataclass(frozen=True, slots=True)
class Person:
    """By which ids somebody is named. Kept of them are the orders with one of these, and the clicks of those."""

    customer_ids: frozenset[str] = frozenset()
    click_ids: frozenset[str] = frozenset()


@dataclass(slots=True)
class Traced:
    """What leads to what is kept of a person."""

    conversion_ids: set[int] = field(default_factory=set)
    click_ids: set[str] = field(default_factory=set)
    files: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Means:
    """What an erasure works with: `spool` is the folder of this host, `key` the one that fingerprints are put under."""

    database: Database
    places: Places
    spool: Path
    key: SecretStr | None


def trace(database: Database, places: Places, person: Person) -> Traced:
    """Return what leads to what is kept of a person: in the database and, of files that it does not know, the journal.

    Raises Failure.
    """
    with database.snapshot() as session:
        only_by_keys(session)
        found = Traced(click_ids=set(person.click_ids))
        for kind, ids in ((Term.CUSTOMER, person.customer_ids), (Term.CLICK, person.click_ids)):
            for one in ids:
                found.conversion_ids |= find_by_term(session, kind, one)
        revisions = persons_store.revisions_of(session, found.conversion_ids)
        found.click_ids |= {row.click_id for row in revisions if row.click_id}
        files = set(persons_store.files_of(session, [row.id for row in revisions]).values())
    theirs = Theirs(click_ids=person.click_ids, customer_ids=person.customer_ids)
    for name, click_ids in find_in_journal(places.journal, theirs).items():
        files.add(name)
        found.click_ids |= set(click_ids)
    found.files = sorted(files)
    return found


class Erasure:
    """One erasure, step by step, and what it has done so far; a dry run changes nothing and counts the same."""

    def __init__(self, means: Means, person: Person, now: datetime, *, dry_run: bool = False) -> None:
        self._means, self._person, self._now, self._dry_run = means, person, now, dry_run
        self._traced = Traced()
        self.counts: Counter[str] = Counter()
        self.waits_for: set[str] = set()
        """Batches that are still under way, which hold data of the person."""

    @property
    def found_nothing(self) -> bool:
        """Whether nothing is kept of the person."""
        return not self.waits_for and not self.counts.total()

    def steps(self, *, compact: bool = False) -> Iterator[str]:
        """Erase, and yield what each step was about. With `compact` the database is written anew in any case.

        Raises Failure; the same again goes on then.
        """
        self._settle_key()
        self._traced = trace(self._means.database, self._means.places, self._person)
        yield "traced"
        self._clicks()
        yield "clicks"
        for name in self._traced.files:
            self._file(name)
            yield "files"
        self._sentences()
        yield "sentences"
        orders = sorted(self._traced.conversion_ids)
        for start in range(0, len(orders), STEP):
            self._orders(set(orders[start : start + STEP]))
            yield "orders"
        if not self._dry_run and (compact or self._has_traces()):
            leave_no_trace(self._means.database)
        yield "traces"

    @retried
    def _settle_key(self) -> None:
        with self._transaction() as session:
            settled_key(session, self._means.key)

    def _file(self, name: str) -> None:
        with _disk():
            fate, batch = empty_file(
                self._means.database, self._means.places, name, self._theirs(name), self._now, dry_run=self._dry_run
            )
        if fate is Fate.WAITS:
            self.waits_for.add(batch)
        elif fate is Fate.EMPTIED:
            self.counts["files"] += 1

    def _theirs(self, name: str) -> Theirs:
        with self._means.database.snapshot() as session:
            only_by_keys(session)
            order_ids = persons_store.order_ids_in(session, name, self._traced.conversion_ids)
        return Theirs(order_ids, self._person.click_ids, self._person.customer_ids)

    @retried
    def _clicks(self) -> None:
        with self._transaction() as session, _disk():
            only_by_keys(session)
            ids = {ClickId(one) for one in self._traced.click_ids}
            notes = forget_in_spool(session, self._means.spool, ids, dry_run=self._dry_run) if ids else 0
            clicks = persons_store.clicks_of(session, ids)
            if clicks:
                delete_by_ids(session, ids)
                store.note_traces(session)
        self.counts.update(clicks=len(clicks), notes=notes)

    @retried
    def _orders(self, some: set[int]) -> None:
        """Clear some orders; those that stand in a batch under way stay, since they lead to it."""
        assert self._means.key is not None  # noqa: S101 (it was settled)
        with self._transaction() as session:
            only_by_keys(session)
            revisions = persons_store.revisions_of(session, some)
            if persons_store.count_waiting(session, [row.id for row in revisions]):
                batches.interrupt_exports(session)
            conversions.lock_all(session, some)
            late = persons_store.in_batches(session, some)
            late |= persons_store.in_batches(session, some, self._waiting(session))
            revisions = persons_store.revisions_of(session, some - late)
            cleared = persons_store.clear_orders(session, revisions, self._means.key, hold=True)
            if cleared.orders:
                store.note_traces(session)
            for batch in persons_store.under_way(session, late):
                self.waits_for.add(batch)
        self.counts.update(late=len(late), orders=cleared.orders, held=cleared.held, sentences=cleared.sentences)

    def _waiting(self, session: Session) -> list[int]:
        return [row.id for one in self.waits_for if (row := batches.find_batch(session, one))]

    @retried
    def _sentences(self) -> None:
        with self._transaction() as session:
            values = {*self._person.customer_ids, *self._traced.click_ids}
            changed = persons_store.clear_short_tables(session, values)
            if changed:
                store.note_traces(session)
        self.counts["sentences"] += changed

    def _has_traces(self) -> bool:
        with self._means.database.snapshot() as session:
            return store.has_traces(session)

    @contextmanager
    def _transaction(self) -> Iterator[Session]:
        with self._means.database.transaction() as session:
            with self._means.database.overwriting(session):
                yield session
            if self._dry_run:
                session.rollback()


def leave_no_trace(database: Database) -> None:
    """Let neither the database's file nor its log hold what was erased."""
    try:
        database.leave_no_trace([table.name for table in persons_store.TOUCHED])
    except Unavailable as away:
        raise Unavailable(
            "What was erased may still lie in the database's file: it could not be written anew, for which it needs as"
            f" much free disk as it has, twice, and nobody who reads for long. Repeat the command. {away}"
        ) from away
    with database.transaction() as session:
        store.forget_traces(session)


@contextmanager
def _disk() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Failure(
            f"{error.filename or 'A file'} cannot be read or written ({error.strerror}); repeat the command as the"
            " account that the service runs under."
        ) from error

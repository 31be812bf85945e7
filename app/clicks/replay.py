"""Notes go into the database: straight, or from the spool, each segment exactly once.

How far a segment is replayed is written in the transaction that replays it. When it is replayed it is emptied first,
then the database forgets it, then the file goes; so a crash between any two of these steps leaves nothing to repeat.
"""

import logging
from collections.abc import Callable, Sequence
from typing import Final

from sqlmodel import Session

from app.clicks.spool import Line, Segment, Spool
from app.clicks.store import (
    NewClick,
    Note,
    append,
    claim_segment,
    file_some,
    forget_segment,
    is_unfiled,
    note_from_json,
    reach_in_segment,
    write,
    write_all,
)
from app.database import Database, refuses_values, retried
from app.metrics import count_notes

logger = logging.getLogger(__name__)

FEW: Final = 12
"""So many clicks at a time go where they belong; more of them are a crowd."""
FILED_AT_ONCE: Final = 250
"""Filing may touch a page of the disk for each click, and new ones wait so long."""

Write = Callable[[Session, Sequence[Note]], int]
"""Writes notes and returns how many were refused."""


class Replay:
    """The way of notes into one database; used by one thread. Whatever it raises, the same call may be made again.

    `check` raises a Failure while the database is away or its schema is not the one that is worked with.
    """

    def __init__(self, database: Database, spool: Spool, check: Callable[[], None]) -> None:
        self.database, self.spool = database, spool
        self._check = check
        self._store = retried(self._stored)
        self._append = retried(self._appended)
        self._file = retried(self._filed)
        self._replay = retried(self._replayed)
        self.has_crowd = False
        """Whether clicks wait to be filed, as far as is known."""

    def store(self, notes: Sequence[Note]) -> int:
        """Write the notes in one transaction and return how many of them the database refused for their content."""
        clicks = [note.record for note in notes if note.record is not None]
        if FEW < len(clicks) == len(notes):
            try:
                self._append(clicks)
            except Exception as exc:
                if not refuses_values(exc):
                    raise
            else:
                return 0
        return _or_singly(lambda write: self._store(notes, write))

    def file(self) -> None:
        """File some of the clicks that came in a crowd."""
        self.has_crowd = self._file()

    def begin(self) -> bool:
        """See whether the database can be used, and replay a first piece."""
        self._check()
        more = self.piece()
        self._look_for_a_crowd()
        return more

    def piece(self) -> bool:
        """Replay some lines of the oldest segment that has any; say whether there was one that can be read."""
        try:
            self.spool.adopt()
            segment = self.spool.next()
            if segment is not None:
                _or_singly(lambda write: self._replay(segment, write))
                return True
            self._remove_finished(with_current=False)
        except OSError as exc:
            logger.error("spool.fault", extra={"reason": exc.strerror})  # noqa: TRY400 (the reason says it all)
        return False

    def tidy(self) -> bool:
        """Replay what other processes left and remove what is replayed; say whether there may be more to do."""
        if self.piece():
            return True
        self._look_for_a_crowd()
        try:
            self._remove_finished(with_current=True)
        except OSError as exc:
            logger.error("spool.fault", extra={"reason": exc.strerror})  # noqa: TRY400 (the reason says it all)
        return False

    def _stored(self, notes: Sequence[Note], write: Write) -> int:
        with self.database.transaction() as session:
            return write(session, notes)

    def _appended(self, clicks: Sequence[NewClick]) -> None:
        with self.database.group() as cursor:
            append(cursor, self.database.dialect, clicks)
        self.has_crowd = True

    def _filed(self) -> bool:
        with self.database.transaction() as session:
            return file_some(session, FILED_AT_ONCE)

    def _look_for_a_crowd(self) -> None:
        """See whether another process ended before it had filed its own."""
        with self.database.snapshot() as session:
            self.has_crowd = self.has_crowd or is_unfiled(session)

    def _replayed(self, segment: Segment, write: Write) -> int:
        with self.database.transaction() as session:
            position = claim_segment(session, segment.name)
            lines = segment.read(position)
            notes, faults = _notes(lines)
            refused = write(session, notes)
            if lines:
                reach_in_segment(session, segment.name, lines[-1].end)
        if position != segment.position:
            segment.recount(position)
        if not lines:  # the file is shorter than it was
            segment.end = position
        else:
            segment.advance(lines)
        for fault in faults:
            logger.error("spool.damaged", extra={"segment": segment.name, "offset": fault.offset})
        count_notes("lost", len(faults))
        count_notes("replayed", len(notes) - refused)
        return refused

    def _remove_finished(self, *, with_current: bool) -> None:
        for segment in self.spool.finished(with_current=with_current):
            self.spool.clear(segment)
            with self.database.transaction() as session:
                forget_segment(session, segment.name)
            self.spool.remove(segment)


def _or_singly(work: Callable[[Write], int]) -> int:
    """Do `work` with all notes at once; if the database refuses one of them, with each apart from the others."""
    try:
        return work(_all)
    except Exception as exc:
        if not refuses_values(exc):
            raise
    return work(_each)


def _all(session: Session, notes: Sequence[Note]) -> int:
    write_all(session, notes)
    return 0


def _each(session: Session, notes: Sequence[Note]) -> int:
    refused = 0
    for note in notes:
        try:
            with session.begin_nested():
                write(session, note)
        except Exception as exc:
            if not refuses_values(exc):
                raise
            refused += 1
            cause = getattr(exc, "orig", exc)  # its text may quote the note
            facts = {"error": type(cause).__name__, "sqlstate": getattr(cause, "sqlstate", None)}
            logger.error("note.refused", extra=facts)  # noqa: TRY400
    count_notes("refused", refused)
    return refused


def _notes(lines: Sequence[Line]) -> tuple[list[Note], list[Line]]:
    """Return what the lines say, and the lines that say nothing."""
    notes, faults = [], []
    for line in lines:
        try:
            notes.append(note_from_json(line.payload or b""))
        except ValueError:
            faults.append(line)
    return notes, faults

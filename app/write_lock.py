"""One writer at a time on an embedded database: one thread of one process.

SQLite itself lets one write at a time, but its checkpoint follows a commit after that lock is gone. In versions before
3.51.3 (3.44.6 and 3.50.7 aside) a write and a checkpoint of two connections at the same instant can damage the database
on rare occasions (SQLite's release notes, "WAL-reset bug"). Whoever writes here holds this lock until its checkpoint is
over, so that the two never meet.
"""

import fcntl
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from app.errors import Unavailable

SHORTEST_NAP: Final = 0.0005
LONGEST_NAP: Final = 0.01


class WriteLock:
    """A lock that threads queue for, around one on a file beside the database, which other processes see.

    The file stays; the system lets go of the lock when a process ends, however it ends.
    """

    def __init__(self, database: Path) -> None:
        self._path = database.with_name(f"{database.name}.lock")
        self._thread = threading.Lock()
        self._descriptor: int | None = None

    @contextmanager
    def hold(self, seconds: float) -> Iterator[None]:
        """Hold the lock. Raises Unavailable if it is not free within so many seconds."""
        end = time.monotonic() + seconds
        if not self._thread.acquire(timeout=seconds):
            raise Unavailable("The database is busy; repeat the call in a few seconds.")
        try:
            descriptor = self._take(end)
            try:
                yield
            finally:
                fcntl.flock(descriptor, fcntl.LOCK_UN)
        finally:
            self._thread.release()

    def _take(self, end: float) -> int:
        try:
            if self._descriptor is None:
                self._descriptor = os.open(self._path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
            nap = SHORTEST_NAP
            while not _taken(self._descriptor):
                if time.monotonic() > end:
                    raise Unavailable("The database is busy; repeat the call in a few seconds.")
                time.sleep(nap)
                nap = min(2 * nap, LONGEST_NAP)
        except OSError as error:
            raise Unavailable(f"{self._path} cannot be opened: {error.strerror}.") from error
        return self._descriptor

    def close(self) -> None:
        """Close the file; it is opened again when the lock is held again."""
        with self._thread:
            if self._descriptor is not None:
                os.close(self._descriptor)
                self._descriptor = None


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True

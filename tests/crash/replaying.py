"""A process that replays a spool and may be killed at any moment, or kills itself at a named one."""

import os
import signal
from pathlib import Path

from app.clicks import spool as spools
from app.clicks.replay import Replay
from app.clicks.spool import Segment, Spool
from app.database import Database

SMALL_PIECE = 2_000
STEPS = ("replayed", "cleared", "forgotten", "removed")


class Mortal(Spool):
    """A spool whose process dies when a segment has come so far."""

    step = ""

    def clear(self, segment: Segment) -> None:
        self._reach("replayed")
        super().clear(segment)
        self._reach("cleared")

    def remove(self, segment: Segment) -> None:
        self._reach("forgotten")
        super().remove(segment)
        self._reach("removed")

    def _reach(self, step: str) -> None:
        if step == self.step:
            os.kill(os.getpid(), signal.SIGKILL)


def run(url: str, folder: Path, step: str = "") -> None:
    """Replay everything, in many small transactions, and remove what is replayed; die at `step`."""
    spools.PIECE_BYTES = SMALL_PIECE  # type: ignore[misc] # more moments to be killed in
    database, spool = Database(url), Mortal(folder, 10**8)
    spool.step = step
    replay = Replay(database, spool, lambda: None)
    while replay.tidy():
        pass
    spool.close()
    database.close()

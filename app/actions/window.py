"""Which times are asked for next, so that no instant is missed and impact.com's limits are kept. Pure.

Facts: the OpenAPI document of Actions (v14): at most 45 days in one call, at most 3 years back, at most ten pages.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

MOST: Final = timedelta(days=44)
"""A day less than impact.com takes, whichever of its days it counts."""
FARTHEST: Final = timedelta(days=3 * 365 - 1)
SMALLEST: Final = timedelta(minutes=1)
MOST_PAGES: Final = 10


class Kind(StrEnum):
    """What is read: actions by their last update, actions by the date on which they lock, and the log of updates.

    A state that changes is no update to impact.com, which is why there are three.
    """

    UPDATED = "updated"
    LOCKING = "locking"
    LOG = "log"


OVERLAP: Final = {
    Kind.UPDATED: timedelta(hours=6),
    Kind.LOCKING: timedelta(days=2),
    Kind.LOG: timedelta(hours=6),
}
"""So much of what was read is read again: what impact.com shows late, and actions that are approved after they lock."""


@dataclass(frozen=True, slots=True)
class Window:
    """The times from `start` to `end`, both included."""

    start: datetime
    end: datetime

    @property
    def query_times(self) -> tuple[str, str]:
        """Both as impact.com writes them, in whole seconds that leave nothing out."""
        end = self.end + timedelta(seconds=1) if self.end.microsecond else self.end
        return f"{self.start:%Y-%m-%dT%H:%M:%SZ}", f"{end:%Y-%m-%dT%H:%M:%SZ}"


def beginning(kind: Kind, read_up_to: datetime | None, first: datetime, now: datetime) -> datetime:
    """Return where to begin when everything up to `read_up_to` has been read, or nothing from `first` on."""
    known = first if read_up_to is None else read_up_to
    return max(min(known, now) - OVERLAP[kind], now - FARTHEST)


def window_from(start: datetime, now: datetime, width: timedelta = MOST) -> Window | None:
    """Return the next window of a run up to `now`, None at its end. The next one begins where it ends."""
    return Window(start, min(start + width, now)) if start < now else None


def narrower(window: Window, pages: int | None) -> timedelta | None:
    """Return a width to try instead of one with too many `pages`; None if it cannot be made narrower."""
    width = window.end - window.start
    smaller = min(width / 2, width * MOST_PAGES / (pages + 1)) if pages else width / 2
    return smaller if smaller >= SMALLEST else None

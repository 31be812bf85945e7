"""When impact.com is asked what became of something: soon, then at growing intervals, and in time.

Facts: impact.com keeps submissions for at most 90 days.
"""

from datetime import datetime, timedelta
from typing import Final

KEPT: Final = timedelta(days=90)
LONGEST_WAIT: Final = timedelta(hours=6)
LEASE: Final = timedelta(minutes=2)
"""So long whoever has begun to ask is left alone with it."""
FIRST_PAUSE: Final = timedelta(seconds=30)
LONGEST_PAUSE: Final = timedelta(minutes=15)


def wait(looks: int, first_seconds: int) -> timedelta:
    """Return how long to wait after so many looks, of which the first came after so many seconds."""
    first = timedelta(seconds=first_seconds)
    longest: timedelta = max(LONGEST_WAIT, first)
    grown: timedelta = min(first * (1 << min(looks, 16)), longest)
    return grown


def is_over(since: datetime, now: datetime) -> bool:
    """Say whether impact.com will not tell any more what became of something that was sent then."""
    return now - since >= KEPT


def pause(failures: int, told: timedelta | None) -> timedelta:
    """Return how long nothing is asked after impact.com's API could not be used so many times in a row."""
    grown: timedelta = min(FIRST_PAUSE * (1 << min(failures - 1, 10)), LONGEST_PAUSE)
    return grown if told is None else told

"""What one attempt to hand a batch over can come to, and what follows."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

FIRST_WAIT: Final = timedelta(seconds=4)
LONGEST_WAIT: Final = timedelta(minutes=15)


class AttemptStatus(StrEnum):
    """How an attempt stands. `unknown`: it was begun, and what became of it was never recorded."""

    STARTED = "started"
    DELIVERED = "delivered"
    FAILED = "failed"
    UNKNOWN = "unknown"


class BatchState(StrEnum):
    """Where a batch is, as it is told outside."""

    RENDERED = "rendered"
    SENDING = "sending"
    DELIVERED = "delivered"
    FAILED = "failed"


def next_try(number: int, now: datetime) -> datetime:
    """Return when to try again after attempt `number` failed: soon, then at growing intervals."""
    wait: timedelta = FIRST_WAIT * (1 << min(number - 1, 10))
    return now + min(wait, LONGEST_WAIT)


def batch_state(attempts: Sequence[str]) -> BatchState:
    """Return a batch's state from its attempts, oldest first: what arrived once has arrived, else the latest tells."""
    if AttemptStatus.DELIVERED in attempts:
        return BatchState.DELIVERED
    if not attempts:
        return BatchState.RENDERED
    return BatchState.FAILED if attempts[-1] == AttemptStatus.FAILED else BatchState.SENDING

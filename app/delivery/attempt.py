"""What one attempt to hand a batch over can come to, and what follows."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from enum import StrEnum
from typing import Final

from app.errors import ChannelRefused, CredentialsRefused, DeliveryError, OutcomeUnknown, ReceiverNotTrusted

FIRST_WAIT: Final = timedelta(seconds=4)
LONGEST_WAIT: Final = timedelta(minutes=15)
IMPACT: Final = "impact.com"
"""Who is named in an attempt that was found out to have arrived, and in what is wrong with reading results."""
SPREAD: Final = 4
"""A wait is up to a quarter shorter by chance, so that replicas and batches do not come back all at once."""
MOST_DENIALS: Final = 3
"""Logins that may be refused in a row before a channel is used no more: a fourth might lock the account."""


class AttemptStatus(StrEnum):
    """How an attempt stands. `unknown`: the file may have arrived, or may not."""

    STARTED = "started"
    DELIVERED = "delivered"
    FAILED = "failed"
    UNKNOWN = "unknown"


class BatchState(StrEnum):
    """Where a batch is, as it is told outside."""

    RENDERED = "rendered"
    SENDING = "sending"
    DELIVERED = "delivered"
    UNKNOWN = "unknown"
    FAILED = "failed"
    ACCEPTED = "accepted"
    PARTLY_REJECTED = "partly_rejected"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an attempt came to. Without a `wait` there is no next one: it has arrived, or a person has to look.

    `denials` is how many more attempts at a login the channel has behind it; `stops` says that it is used no more.
    `restarts`: it got further, or nothing was tried at all, so that tries are counted from here on.
    """

    status: AttemptStatus
    code: str | None = None
    detail: str | None = None
    wait: timedelta | None = None
    denials: int = 0
    stops: bool = False
    restarts: bool = False


ARRIVED: Final = Outcome(AttemptStatus.DELIVERED)
HELD_FOR_A_PERSON: Final = Outcome(
    AttemptStatus.UNKNOWN,
    OutcomeUnknown.code,
    "It is not known whether the file arrived; look at impact.com's File Submissions, then redeliver or confirm it.",
)


def after(error: DeliveryError, tries: int, limit: int, chance: float) -> Outcome:
    """Say what follows when try number `tries` of at most `limit` has failed; `chance` is from 0 to below 1."""
    status = AttemptStatus.UNKNOWN if isinstance(error, OutcomeUnknown) else AttemptStatus.FAILED
    of_the_channel = isinstance(error, CredentialsRefused | ReceiverNotTrusted)
    gives_up = tries >= limit or (isinstance(error, ChannelRefused) and not of_the_channel)
    return Outcome(
        status,
        error.code,
        str(error),
        wait=None if gives_up else wait(tries, chance),
        denials=int(isinstance(error, CredentialsRefused)),
        stops=isinstance(error, ReceiverNotTrusted),
    )


def wait(tries: int, chance: float) -> timedelta:
    """Return how long to wait after try number `tries` failed: soon, then at growing intervals."""
    longest: timedelta = min(FIRST_WAIT * (1 << min(tries - 1, 10)), LONGEST_WAIT)
    return longest * (1 - chance / SPREAD)


def next_pull(delivered_at: datetime, daily_at: time | None) -> datetime:
    """Return by when impact.com, which pulls every 24 hours, fetches a file; `daily_at` in UTC, if that is known."""
    if daily_at is None:
        return delivered_at + timedelta(days=1)
    same_day = datetime.combine(delivered_at.astimezone(UTC).date(), daily_at, UTC)
    return same_day if same_day > delivered_at else same_day + timedelta(days=1)


def batch_state(statuses: Sequence[str], *, stuck: bool, verdict: str | None = None) -> BatchState:
    """Return a batch's state from its attempts, oldest first; `stuck` if no further one comes by itself.

    What arrived once has arrived. A file that may have arrived stays unknown until one is known to have arrived.
    `verdict` is what impact.com has decided, where it has.
    """
    if verdict is not None:
        return BatchState(verdict)
    if AttemptStatus.DELIVERED in statuses:
        return BatchState.DELIVERED
    if not statuses:
        return BatchState.RENDERED
    if AttemptStatus.UNKNOWN in statuses:
        return BatchState.UNKNOWN
    return BatchState.FAILED if stuck else BatchState.SENDING

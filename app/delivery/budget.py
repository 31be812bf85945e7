"""How many calls of impact.com's API may be made: an account has so many an hour, and others spend of them too.

Calls are counted by minutes. A minute counts until the whole of it is an hour ago, so that in no hour, wherever it
begins, there are more calls than were allowed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from app.impact.rate_limit import WINDOW, Limits

MINUTES: Final = 60
FIRST_CLOSURE: Final = timedelta(seconds=30)
LONGEST_CLOSURE: Final = timedelta(minutes=15)
NEW_WINDOW: Final = timedelta(minutes=1)
"""By so much later a reset is another one, and what remains until then too."""


@dataclass(frozen=True, slots=True)
class Share:
    """The calls that the service may make in any hour, and how many of them only to read."""

    calls: int
    reserve: int


@dataclass(frozen=True, slots=True)
class Told:
    """What impact.com said last of its limit, and until when it is not called at all."""

    limit: int | None = None
    remaining: int | None = None
    resets_at: datetime | None = None
    closed_until: datetime | None = None
    seen_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """The budget as it stands in `minute`: what was spent minute by minute, and what impact.com said."""

    minute: int
    spent: Mapping[int, int]
    told: Told


def minute_of(moment: datetime) -> int:
    """Return the minute of a time, counted since 1970."""
    return int(moment.timestamp()) // 60


def first_counted(minute: int) -> int:
    """Return the oldest minute of which some part may be less than an hour ago."""
    return minute - MINUTES


def calls_left(standing: Standing, share: Share, now: datetime, *, to_read: bool) -> int:
    """Return how many calls may be made now; 0 or less for none."""
    if standing.told.closed_until is not None and now < standing.told.closed_until:
        return 0
    kept = 0 if to_read else share.reserve
    left = share.calls - kept - sum(standing.spent.values())
    remaining = remaining_of(standing.told, now)
    return left if remaining is None else min(left, remaining - kept)


def remaining_of(told: Told, now: datetime) -> int | None:
    """Return how many calls impact.com has left for the account, or None if nobody knows."""
    return told.remaining if told.resets_at is not None and now < told.resets_at else None


def opens_at(standing: Standing, share: Share, now: datetime, *, to_read: bool) -> datetime:
    """Return when the next call may be made, if none may be made now."""
    told, kept = standing.told, 0 if to_read else share.reserve
    times = [now]
    if told.closed_until is not None:
        times.append(told.closed_until)
    remaining = remaining_of(told, now)
    if remaining is not None and remaining <= kept and told.resets_at is not None:
        times.append(told.resets_at)
    excess = sum(standing.spent.values()) - (share.calls - kept) + 1
    for minute, number in sorted(standing.spent.items()):
        if excess <= 0:
            break
        excess -= number
        times.append(datetime.fromtimestamp((minute + MINUTES + 1) * 60, UTC))
    return max(times)


def after_call(told: Told) -> Told:
    """Return what remains once a call more is under way, which the next answer will say."""
    return told if told.remaining is None else replace(told, remaining=max(told.remaining - 1, 0))


def after_answer(told: Told, limits: Limits, now: datetime, *, refused: bool) -> Told:
    """Return what is known after an answer; `refused` says that it took no call since there were too many (429).

    Answers come in any order: of two about one window, what leaves less is believed.
    """
    told = replace(told, limit=limits.limit if limits.limit is not None else told.limit)
    if limits.remaining is not None:
        resets_at = limits.resets_at or now + WINDOW
        known = remaining_of(told, now)
        same = known is not None and told.resets_at is not None and resets_at < told.resets_at + NEW_WINDOW
        remaining = min(limits.remaining, known) if same and known is not None else limits.remaining
        told = replace(told, remaining=remaining, resets_at=resets_at)
    if refused:
        return replace(told, closed_until=_closed_until(told, limits, now), seen_at=now)
    reopened = told.closed_until is not None and told.closed_until <= now
    return replace(told, closed_until=None if reopened else told.closed_until, seen_at=now)


def _closed_until(told: Told, limits: Limits, now: datetime) -> datetime:
    """Return when to call again: as impact.com says, else at growing intervals."""
    said = limits.retry_at or limits.resets_at
    if said is not None and said > now:
        return said
    if told.closed_until is None or told.seen_at is None:
        return now + FIRST_CLOSURE
    return now + min(max(2 * (told.closed_until - told.seen_at), FIRST_CLOSURE), LONGEST_CLOSURE)

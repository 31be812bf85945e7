"""What impact.com's API says of its limit of calls.

Facts: its page on rate limits (1,000 calls an hour, 429 when over). Its text has X-RateLimit-Reset in seconds until the
reset, its example a Unix time: both are read. Retry-After is documented for another API of it only.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final

WINDOW: Final = timedelta(hours=1)
LONGEST_RESET: Final = 2 * WINDOW
"""A reset that is further away was misread, by them or by us."""
_UNIX_TIMES: Final = 1_000_000_000
_UNIX_MILLISECONDS: Final = 1_000_000_000_000
_NUMBER: Final = re.compile(r"\s*([0-9]{1,15})(?:\.[0-9]*)?\s*(?:[,;].*)?")


@dataclass(frozen=True, slots=True)
class Limits:
    """What an answer's headers say; None where they do not."""

    limit: int | None = None
    remaining: int | None = None
    resets_at: datetime | None = None
    retry_at: datetime | None = None


def limits_of(headers: Mapping[str, str], now: datetime) -> Limits:
    """Return what the headers of an answer say of the limit. `headers` does not mind capitals."""
    reset = _number(headers, "X-RateLimit-Reset")
    return Limits(
        limit=_number(headers, "X-RateLimit-Limit"),
        remaining=_number(headers, "X-RateLimit-Remaining"),
        resets_at=None if reset is None else _moment(reset, now),
        retry_at=_retry_at(headers, now),
    )


def _number(headers: Mapping[str, str], name: str) -> int | None:
    found = _NUMBER.fullmatch(headers.get(name, ""))
    return int(found[1]) if found else None


def _moment(reset: int, now: datetime) -> datetime:
    """Return the time that a number means, between now and the longest wait there is."""
    latest = now + LONGEST_RESET
    if reset < _UNIX_TIMES:
        return min(now + timedelta(seconds=min(reset, int(LONGEST_RESET.total_seconds()))), latest)
    seconds = reset // 1000 if reset >= _UNIX_MILLISECONDS else reset
    return latest if seconds > latest.timestamp() else max(datetime.fromtimestamp(seconds, UTC), now)


def _retry_at(headers: Mapping[str, str], now: datetime) -> datetime | None:
    seconds = _number(headers, "Retry-After")
    if seconds is not None:
        return _moment(min(seconds, _UNIX_TIMES - 1), now)
    try:
        told = parsedate_to_datetime(headers["Retry-After"])
    except (KeyError, ValueError, OverflowError):
        return None
    aware = told if told.tzinfo else told.replace(tzinfo=UTC)
    return min(max(aware, now), now + LONGEST_RESET)

"""What a click is, what is kept about it, and which of two clicks counts.

A click id (impact.com's `im_ref`) is opaque and case-sensitive: it is checked, never parsed and never rewritten. Times
in this module are whole seconds since 1970 (UTC), since that is what the companion cookie holds.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NewType
from urllib.parse import SplitResult, urlsplit

from app.impact.limits import CLICK_ID

ClickId = NewType("ClickId", str)
"""A text that has passed `click_id_of`: safe in a cookie, a header, a row and a CSV file as it is."""

SECONDS_PER_DAY: Final = 86_400
MAX_LANDING_URL: Final = 2_000
MAX_ORIGIN: Final = 300

_HOST: Final = re.compile(r"[^\s/?#@\\:\[\]]+|[0-9a-f:.]+")


@dataclass(frozen=True, slots=True)
class Kept:
    """A click in the visitor's cookies; `captured_at` is None where the companion cookie does not tell."""

    click_id: ClickId
    captured_at: int | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a landing: when its click was captured and how many seconds its cookie may live from now.

    `max_age` None: the cookie stays as it is; 0: it has outlived the window and goes. `recorded`: the click gets a row.
    """

    captured_at: int
    max_age: int | None
    recorded: bool


def click_id_of(text: str) -> ClickId | None:
    """Return `text` as a click id, or None if it cannot be one (impact.com: opaque, up to 64 characters)."""
    return ClickId(text) if CLICK_ID.fullmatch(text) else None


def last_click_wins(
    landed: ClickId, captured_at: int | None, kept: Sequence[Kept], *, now: int, window: int
) -> Verdict:
    """Decide between the click that landed and those in the visitor's cookies; `window` is a click's life in seconds.

    Another id replaces the cookie unless it was captured before the cookie's click. The same id leaves its time as it
    was, so that renewing never lengthens a life. A time that is missing, unreadable or in the future counts as now.
    """
    captured = now if captured_at is None else min(captured_at, now)
    current = _newest(kept, now)
    again = current is not None and current.click_id == landed
    if again:
        known = [one.captured_at for one in kept if one.click_id == landed and _is_past(one.captured_at, now)]
        captured = min((time for time in known if time is not None), default=captured)
    left = window - (now - captured)
    if left <= 0:
        return Verdict(captured, max_age=0 if again else None, recorded=False)
    if current is not None and not again and captured < _time(current, now):
        return Verdict(captured, max_age=None, recorded=True)
    return Verdict(captured, max_age=left, recorded=True)


def _newest(kept: Sequence[Kept], now: int) -> Kept | None:
    """Of several cookies of one name the newest click counts; of equals the one that the browser sent first."""
    return max(kept, key=lambda one: _time(one, now), default=None)


def _time(one: Kept, now: int) -> int:
    return one.captured_at if one.captured_at is not None and one.captured_at <= now else now


def _is_past(time: int | None, now: int) -> bool:
    return time is not None and time <= now


def landing_url(text: str) -> str | None:
    """Return a web address without query, fragment and userinfo, at most 2,000 characters; None if it is none."""
    parts = _web_address(text)
    return f"{_origin(parts)}{parts.path}"[:MAX_LANDING_URL] if parts else None


def origin_of(text: str) -> str | None:
    """Return the origin (RFC 6454) of a web address in lower case, default ports left out; None if it is none."""
    parts = _web_address(text)
    return _origin(parts) if parts else None


def _web_address(text: str) -> SplitResult | None:
    # Control characters and lone surrogates end here: PostgreSQL would refuse what SQLite takes.
    if not text.isprintable() or " " in text:
        return None
    try:
        parts = urlsplit(text)
        is_web = parts.scheme in {"http", "https"} and _HOST.fullmatch(parts.hostname or "")
        return parts if is_web and len(_origin(parts)) <= MAX_ORIGIN else None
    except ValueError:  # a port that is no number, a bracket that is not closed
        return None


def _origin(parts: SplitResult) -> str:
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    default = {"http": 80, "https": 443}[parts.scheme]
    port = "" if parts.port in {None, default} else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}"

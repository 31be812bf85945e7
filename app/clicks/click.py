"""What a click is, what is kept about it, and which of two clicks counts.

A click id (impact.com's `im_ref`) is opaque and case-sensitive: it is checked, never parsed and never rewritten. Times
in this module are whole seconds since 1970 (UTC), since that is what the companion cookie holds.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final, NamedTuple, NewType, TypeGuard
from urllib.parse import SplitResult, urlsplit

from app.impact.limits import CLICK_ID

ClickId = NewType("ClickId", str)
"""A text that has passed `click_id_of`: safe in a cookie, a header, a row and a CSV file as it is."""

GRANTED: Final = "granted"
"""The visitor's consent: the page said that it was given."""
IMPLIED: Final = "implied"
"""The page said nothing about it, and the shop's settings do not ask for it."""

SECONDS_PER_DAY: Final = 86_400
MAX_LANDING_URL: Final = 2_000
MAX_ORIGIN: Final = 300
_REMEMBERED: Final = 500
"""Characters of an address whose reading is remembered: popular pages come again and again, and memory is bounded."""

_HOST: Final = re.compile(r"[^\s/?#@\\:\[\]]+|[0-9a-f:.]+")


class Kept(NamedTuple):
    """A click in the visitor's cookies; `captured_at` is None where the companion cookie does not tell."""

    click_id: ClickId
    captured_at: int | None


class Verdict(NamedTuple):
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

    Another id replaces the visitor's click unless it was captured before it. The same id keeps the oldest time that any
    cookie gives it, so that renewing never lengthens a life. A time that is missing or in the future counts as now.
    """
    arrived = now if captured_at is None else min(captured_at, now)
    if not kept and arrived == now:
        return Verdict(now, max_age=window, recorded=True)
    since = captured_since(landed, kept, now)
    captured = arrived if since is None else since
    current = visitors_click(kept, now=now, window=window)
    left = window - (now - captured)
    if left <= 0:
        ends = any(one.click_id == landed for one in kept) and (current is None or current.click_id == landed)
        return Verdict(captured, max_age=0 if ends else None, recorded=False)
    if current is not None and current.click_id != landed and arrived < _rank(current, now):
        return Verdict(captured, max_age=None, recorded=True)
    return Verdict(captured, max_age=left, recorded=True)


def visitors_click(kept: Sequence[Kept], *, now: int, window: int) -> Kept | None:
    """Return the one click that counts where a browser sends several cookies; None if there is none within its window.

    The newest that has a time, not in the future, counts; those without one come last; of equals the first one sent.
    """
    alive = [one for one in kept if not is_past(one.captured_at, now) or now - _rank(one, now) < window]
    return max(alive, key=lambda one: _rank(one, now), default=None)


def captured_since(click_id: ClickId, kept: Sequence[Kept], now: int) -> int | None:
    """Return the oldest time, not in the future, that the visitor's cookies give a click; None if they give none."""
    times = (one.captured_at for one in kept if one.click_id == click_id)
    return min((time for time in times if is_past(time, now)), default=None)


def is_past(time: int | None, now: int) -> TypeGuard[int]:
    """Say whether there is a time, and it has come."""
    return time is not None and time <= now


def _rank(one: Kept, now: int) -> int:
    return one.captured_at if is_past(one.captured_at, now) else -1


def landing_url(text: str) -> str | None:
    """Return a web address without query, fragment and userinfo, at most 2,000 characters; None if it is none."""
    return _landing_url(text) if len(text) <= _REMEMBERED else _landing_url.__wrapped__(text)


@lru_cache(maxsize=4_096)
def _landing_url(text: str) -> str | None:
    parts = _web_address(text)
    return f"{_origin(parts)}{parts.path}"[:MAX_LANDING_URL] if parts else None


def origin_of(text: str) -> str | None:
    """Return the origin (RFC 6454) of a web address in lower case, default ports left out; None if it is none."""
    return _origin_of(text) if len(text) <= _REMEMBERED else _origin_of.__wrapped__(text)


@lru_cache(maxsize=4_096)
def _origin_of(text: str) -> str | None:
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

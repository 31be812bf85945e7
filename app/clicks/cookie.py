"""The visitor's two first-party cookies: the click id, and `<name>_at` with the epoch second of its capture.

Written and read by hand (RFC 6265), because the usual cookie parsers quote and unquote `/`, `:` and `=`, which click
ids are made of. Both cookies have the same attributes: were only the click id HttpOnly, a script could still write a
newer time beside an older id, and that would lengthen its life.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Final

from publicsuffixlist import PublicSuffixList

from app.clicks.click import ClickId, Kept, Verdict, click_id_of

_HOST: Final = re.compile(r"(?=.{1,253}$)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})+")
_EPOCH_SECONDS: Final = re.compile(r"[0-9]{1,12}")


@dataclass(frozen=True, slots=True)
class CookieRule:
    """Name and attributes, as set by `CAPTURE_COOKIE_…`."""

    name: str
    domain: tuple[str, ...]
    secure: bool
    http_only: bool

    @property
    def companion(self) -> str:
        """The name of the cookie that holds the time of the capture."""
        return f"{self.name}_at"


def kept_clicks(header: str, rule: CookieRule) -> list[Kept]:
    """Return the clicks of a Cookie header in the order they were sent; values that are no click ids are left out.

    A browser sends one cookie per domain and path that fits, so there may be several. Times go with ids by position
    where there are as many of them; otherwise the oldest one goes with all, which lengthens nobody's life.
    """
    ids = _values(header, rule.name)
    times = [_epoch(value) for value in _values(header, rule.companion)]
    if len(times) != len(ids):
        oldest = min((time for time in times if time is not None), default=None)
        times = [oldest] * len(ids)
    pairs = ((click_id_of(value), time) for value, time in zip(ids, times, strict=True))
    return [Kept(click_id, time) for click_id, time in pairs if click_id is not None]


def _values(header: str, name: str) -> list[str]:
    parts = (part.strip(" \t").partition("=") for part in header.split(";"))
    return [value for key, equals, value in parts if equals and key == name]


def _epoch(value: str) -> int | None:
    return int(value) if _EPOCH_SECONDS.fullmatch(value) else None


def set_cookies(rule: CookieRule, host: str, click_id: ClickId, verdict: Verdict) -> tuple[str, str]:
    """Return the two Set-Cookie values that keep a click as long as `verdict` grants it."""
    if not verdict.max_age:
        return expire_cookies(rule, host)
    attributes = f"Max-Age={verdict.max_age}; {_attributes(rule, host)}"
    return f"{rule.name}={click_id}; {attributes}", f"{rule.companion}={verdict.captured_at}; {attributes}"


def expire_cookies(rule: CookieRule, host: str) -> tuple[str, str]:
    """Return the two Set-Cookie values that make the browser forget the click."""
    attributes = f"Max-Age=0; {_attributes(rule, host)}"
    return f"{rule.name}=; {attributes}", f"{rule.companion}=; {attributes}"


def _attributes(rule: CookieRule, host: str) -> str:
    # A browser drops a `__Host-` cookie that names a domain (RFC 6265bis).
    domain = None if rule.name.lower().startswith("__host-") else cookie_domain(rule.domain, host)
    parts = [
        "Path=/",
        f"Domain={domain}" if domain else "",
        "SameSite=Lax",
        "Secure" if rule.secure else "",
        "HttpOnly" if rule.http_only else "",
    ]
    return "; ".join(part for part in parts if part)


def cookie_domain(setting: Sequence[str], host: str) -> str | None:
    """Return the Domain attribute for a request to `host` (a Host header, with or without port); None = host-only.

    `auto` takes the registrable domain by the public suffix list; listed domains give the longest one that the host
    equals or is below. An IP address, a single label and a public suffix have no domain to share.
    """
    name = host.lower().rpartition(":")[0] if re.search(r":[0-9]*$", host) else host.lower()
    if not _HOST.fullmatch(name) or name.rpartition(".")[2].isdigit():
        return None
    if tuple(setting) == ("auto",):
        return registrable_domain(name)
    fitting = [one for one in setting if name == one or name.endswith(f".{one}")]
    return max(fitting, key=len, default=None) if tuple(setting) != ("host",) else None


@lru_cache(maxsize=1_024)
def registrable_domain(name: str) -> str | None:
    """Return the public suffix of a host name (publicsuffix.org) with one label before it; None if there is none."""
    domain: str | None = _suffixes().privatesuffix(name)
    return domain


@cache
def _suffixes() -> PublicSuffixList:
    return PublicSuffixList()

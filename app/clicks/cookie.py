"""The visitor's two first-party cookies: the click id, and `<name>_at` with the epoch second of its capture.

Written and read by hand (RFC 6265), because the usual cookie parsers quote and unquote `/`, `:` and `=`, which click
ids are made of. Both cookies have the same attributes: were only the click id HttpOnly, a script could still write a
newer time beside an older id, and that would lengthen its life.
"""

import re
from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Final, NamedTuple

from publicsuffixlist import PublicSuffixList

from app.clicks.click import ClickId, Kept, Verdict, click_id_of, is_past

MAX_DOMAINS: Final = 8
"""Domains that are cleared for one host: proxies limit an answer's headers, and no shop lies deeper."""

COMPANION: Final = "_at"

_HOST: Final = re.compile(r"(?=.{1,253}$)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})+")
_EPOCH_SECONDS: Final = re.compile(r"[0-9]{1,12}")


class CookieRule(NamedTuple):
    """Name and attributes, as set by `CAPTURE_COOKIE_…`."""

    name: str
    domain: tuple[str, ...]
    secure: bool
    http_only: bool

    @property
    def companion(self) -> str:
        """The name of the cookie that holds the time of the capture."""
        return f"{self.name}{COMPANION}"


def kept_clicks(header: str, rule: CookieRule) -> list[Kept]:
    """Return the clicks of a Cookie header in the order they were sent; values that are no click ids are left out.

    A browser sends one cookie per domain and path that fits, so there may be several. Times go with ids by position
    where there are as many of them; otherwise the oldest one goes with all, which lengthens nobody's life.
    """
    if not header:
        return []
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


def is_settled(header: str, rule: CookieRule, click_id: ClickId, now: int) -> bool:
    """Say whether a Cookie header holds this click alone, once and with a time that has come, or no click at all."""
    if not header:
        return True
    ids, times = _values(header, rule.name), _values(header, rule.companion)
    return ids in ([], [click_id]) and len(times) <= len(ids) and all(is_past(_epoch(time), now) for time in times)


def set_cookies(rule: CookieRule, attributes: str, click_id: ClickId, verdict: Verdict) -> tuple[str, str]:
    """Return the Set-Cookie values that keep a click as long as `verdict` grants it."""
    rest = f"Max-Age={verdict.max_age}; {attributes}"
    return f"{rule.name}={click_id}; {rest}", f"{rule.name}{COMPANION}={verdict.captured_at}; {rest}"


def attributes(rule: CookieRule, host: str) -> str:
    """Return the attributes, but for its age, of a cookie that is set for `host`."""
    return _attributes(rule, _target(rule, host))


def expire_cookies(rule: CookieRule, host: str) -> tuple[str, ...]:
    """Return the Set-Cookie values that make the browser forget every click that it would send to `host`."""
    return (*_expire(rule, _target(rule, host)), *expire_shadows(rule, host))


def expire_shadows(rule: CookieRule, host: str) -> tuple[str, ...]:
    """Return the Set-Cookie values that remove what could stand beside the cookie that `set_cookies` sets.

    A browser keeps host-only cookies and those of each domain apart, and sends them all.
    """
    target = _target(rule, host)
    return tuple(one for domain in _domains(rule, host) if domain != target for one in _expire(rule, domain))


def _expire(rule: CookieRule, domain: str | None) -> tuple[str, str]:
    attributes = f"Max-Age=0; {_attributes(rule, domain)}"
    return f"{rule.name}=; {attributes}", f"{rule.companion}=; {attributes}"


def _attributes(rule: CookieRule, domain: str | None) -> str:
    parts = [
        "Path=/",
        f"Domain={domain}" if domain else "",
        "SameSite=Lax",
        "Secure" if rule.secure else "",
        "HttpOnly" if rule.http_only else "",
    ]
    return "; ".join(part for part in parts if part)


def _target(rule: CookieRule, host: str) -> str | None:
    return None if _is_host_prefixed(rule) else cookie_domain(rule.domain, host)


def _is_host_prefixed(rule: CookieRule) -> bool:
    """Say whether a browser refuses this cookie with a domain (RFC 6265bis)."""
    return rule.name.lower().startswith("__host-")


def _domains(rule: CookieRule, host: str) -> list[str | None]:
    """Return the Domain attributes that a cookie seen at `host` can have: none, the host, and each one above it."""
    name = host_name(host)
    top = None if name is None or _is_host_prefixed(rule) else registrable_domain(name)
    if name is None or top is None:
        return [None]
    labels = name.removesuffix(top).split(".")[:-1]
    return [None, *(".".join((*labels[number:], top)) for number in range(len(labels) + 1))][:MAX_DOMAINS]


def cookie_domain(setting: Sequence[str], host: str) -> str | None:
    """Return the Domain attribute for a request to `host` (a Host header, with or without port); None = host-only.

    `auto` takes the registrable domain by the public suffix list; listed domains give the longest one that the host
    equals or is below. An IP address, a single label and a public suffix have no domain to share.
    """
    name = host_name(host)
    if name is None:
        return None
    if tuple(setting) == ("auto",):
        return registrable_domain(name)
    fitting = [one for one in setting if name == one or name.endswith(f".{one}")]
    return max(fitting, key=len, default=None) if tuple(setting) != ("host",) else None


def host_name(host: str) -> str | None:
    """Return the name in a Host header, in lower case and without the port; None for addresses and single labels."""
    name = host.lower().rpartition(":")[0] if re.search(r":[0-9]*$", host) else host.lower()
    return name if _HOST.fullmatch(name) and not name.rpartition(".")[2].isdigit() else None


def is_same_site(host: str, other: str) -> bool:
    """Say whether a Host header and a host name lie on one registrable domain, where a cookie needs no hand-over."""
    name = host_name(host)
    return name is not None and (name == other or registrable_domain(name) == (registrable_domain(other) or ""))


@lru_cache(maxsize=1_024)
def registrable_domain(name: str) -> str | None:
    """Return the public suffix of a host name (publicsuffix.org) with one label before it; None if there is none."""
    domain: str | None = _suffixes().privatesuffix(name)
    return domain


@cache
def _suffixes() -> PublicSuffixList:
    return PublicSuffixList()

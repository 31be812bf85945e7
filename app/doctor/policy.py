"""Content Security Policies, as far as they concern one script and the calls it makes (W3C CSP Level 3)."""

import re
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple
from urllib.parse import SplitResult, urlsplit

from app.doctor.site import DEFAULT_PORTS, origin

Policy = Mapping[str, Sequence[str]]
"""Directive to its sources."""
SCRIPT: Final = ("script-src-elem", "script-src", "default-src")
CONNECT: Final = ("connect-src", "default-src")

_HOST_SOURCE: Final = re.compile(
    r"(?:(?P<scheme>[a-z][a-z0-9+.-]*)://)?(?P<host>\*|(?:\*\.)?[a-z0-9_.-]+)(?::(?P<port>\*|[0-9]+))?(?P<path>/.*)?",
    re.IGNORECASE,
)
_SCHEME_SOURCE: Final = re.compile(r"([a-z][a-z0-9+.-]*):", re.IGNORECASE)


class Element(NamedTuple):
    """What a script element says of itself."""

    src: str
    nonce: str = ""
    integrity: str = ""


def policies(values: Sequence[str]) -> list[Policy]:
    """Return the policies in headers and meta elements; of a directive that stands twice the first counts."""
    return [_policy(text) for value in values for text in value.split(",") if text.strip()]


def _policy(text: str) -> Policy:
    found: dict[str, Sequence[str]] = {}
    for directive in text.split(";"):
        name, *sources = directive.split() or [""]
        found.setdefault(name.lower(), sources)
    return found


def blocks_call(policy: Policy, url: str, page: str) -> str:
    """Return the directive that keeps a page from calling an address; empty if none does."""
    name, sources = _deciding(policy, CONNECT)
    return "" if not name or any(_matches(one, url, page) for one in sources) else name


def blocks_script(policy: Policy, url: str, page: str, element: Element | None) -> str:
    """Return the directive that keeps a page from loading a script; empty if none does.

    `element` is the one that stands in the page; None: another script adds it, which 'strict-dynamic' trusts.
    """
    name, sources = _deciding(policy, SCRIPT)
    if not name or _is_named(sources, element):
        return ""
    if "'strict-dynamic'" in [one.lower() for one in sources]:
        return name if element else ""
    return "" if any(_matches(one, url, page) for one in sources) else name


def _is_named(sources: Sequence[str], element: Element | None) -> bool:
    """Say whether a policy names the element itself, by its nonce or its hash."""
    if element is None:
        return False
    hashes = [f"'{one}'" for one in element.integrity.split()]
    by_hash = bool(hashes) and all(one in sources for one in hashes)
    return by_hash or bool(element.nonce and f"'nonce-{element.nonce}'" in sources)


def _deciding(policy: Policy, names: Sequence[str]) -> tuple[str, Sequence[str]]:
    return next(((name, policy[name]) for name in names if name in policy), ("", ()))


def _matches(source: str, url: str, page: str) -> bool:
    if source == "*":
        return True
    if source.lower() == "'self'":
        return _is_self(url, page)
    if scheme := _SCHEME_SOURCE.fullmatch(source):
        return _scheme_fits(scheme[1], urlsplit(url).scheme)
    found = _HOST_SOURCE.fullmatch(source)
    return found is not None and _fits(found.groupdict(), urlsplit(url), page)


def _is_self(url: str, page: str) -> bool:
    (scheme, host, port), (own_scheme, own_host, own_port) = origin(url), origin(page)
    upgraded = (own_scheme, scheme, own_port, port) == ("http", "https", 80, 443)
    return host == own_host and ((scheme, port) == (own_scheme, own_port) or upgraded)


def _fits(source: Mapping[str, str | None], url: SplitResult, page: str) -> bool:
    host, wanted = url.hostname or "", (source["host"] or "").lower()
    if wanted == "*":
        host_fits = True
    elif wanted.startswith("*."):
        host_fits = host.endswith(wanted[1:])
    else:
        host_fits = host == wanted
    scheme_fits = _scheme_fits(source["scheme"] or urlsplit(page).scheme, url.scheme)
    return host_fits and scheme_fits and _port_fits(source["port"], url) and _path_fits(source["path"], url.path)


def _scheme_fits(wanted: str, scheme: str) -> bool:
    return scheme == wanted.lower() or (wanted.lower(), scheme) == ("http", "https")


def _port_fits(wanted: str | None, url: SplitResult) -> bool:
    port = url.port or DEFAULT_PORTS.get(url.scheme)
    return wanted == "*" or (int(wanted) if wanted else DEFAULT_PORTS.get(url.scheme)) == port


def _path_fits(wanted: str | None, path: str) -> bool:
    return not wanted or wanted == "/" or (path.startswith(wanted) if wanted.endswith("/") else path == wanted)

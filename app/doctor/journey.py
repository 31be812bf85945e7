"""The way of a visitor from a partner's link to the shop's page, and whether the click id gets there."""

import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote_to_bytes, urlsplit, urlunsplit

from app.clicks.cookie import registrable_domain
from app.doctor.site import DEFAULT_PORTS, origin
from app.doctor.web import Headers, Page, Unreached, Web, get, plain

MOST_HOPS: Final = 10
LANGUAGES: Final = ("de", "en", "fr")


@dataclass(frozen=True, slots=True)
class Click:
    """A made-up click id, by the parameters that may carry one and the cookie that keeps it."""

    id: str
    parameters: Sequence[str]
    cookie: str

    def added_to(self, url: str) -> str:
        """Return an address that carries it."""
        parts = urlsplit(url)
        query = "&".join(filter(None, (parts.query, f"{self.parameters[0]}={self.id}")))
        return urlunsplit((parts.scheme, parts.netloc, parts.path or "/", query, ""))

    def is_in(self, url: str) -> bool:
        """Say whether an address carries it, byte for byte."""
        pairs = (part.partition("=") for part in urlsplit(url).query.split("&"))
        return any(name in self.parameters and unquote_to_bytes(value) == self.id.encode() for name, _, value in pairs)

    def is_set_by(self, page: Page) -> bool:
        """Say whether an answer puts it into the cookie, as a service at the shop's own server does."""
        return any(one.startswith(f"{self.cookie}={self.id};") for one in page.headers.get_list("set-cookie"))


def new_click(parameters: Sequence[str], cookie: str) -> Click:
    """Return a click id that no click has; in capitals too, so that a shop that changes them is noticed."""
    return Click(f"doctor-{secrets.token_hex(8)}-aZ", parameters, cookie)


@dataclass(slots=True)
class Journey:
    """What came on the way. `lost` says at which hop the click id went, `stopped` why no page was reached."""

    pages: list[Page] = field(default_factory=list)
    lost: str = ""
    stopped: str = ""


def travel(web: Web, url: str, click: Click, headers: Headers | None = None) -> Journey:
    """Follow redirects from an address that carries a click id, hop by hop."""
    journey, address, kept = Journey(), click.added_to(url), False
    with web.visitor() as visitor:
        try:
            for _ in range(MOST_HOPS + 1):
                page = get(visitor, address, headers)
                journey.pages.append(page)
                kept, address = kept or click.is_set_by(page), page.leads_to
                if not address:
                    return journey
                if not kept and not journey.lost and not click.is_in(address):
                    journey.lost = f"{plain(page.url)} redirects to {plain(address)} ({page.status})"
            journey.stopped = f"{plain(url)} redirects more than {MOST_HOPS} times."
        except Unreached as why:
            journey.stopped = str(why)
    return journey


@dataclass(frozen=True, slots=True)
class Way:
    """One of the addresses under which links may name a page; `may_be_missing`: there may be no such host."""

    name: str
    url: str
    headers: Headers | None = None
    may_be_missing: bool = False


def ways(url: str) -> Iterator[Way]:
    """Yield how else links and visitors arrive at a page."""
    parts = urlsplit(url)
    scheme, host, port = origin(url)
    if port == DEFAULT_PORTS[scheme]:
        if scheme == "https":
            yield Way("by http", urlunsplit(("http", host, *parts[2:])))
        bare = host.removeprefix("www.")
        if bare != host:
            yield Way("without www", urlunsplit((scheme, bare, *parts[2:])), may_be_missing=True)
        elif registrable_domain(host) == host:
            yield Way("with www", urlunsplit((scheme, f"www.{host}", *parts[2:])), may_be_missing=True)
    if parts.path.strip("/"):
        path = parts.path.rstrip("/") if parts.path.endswith("/") else f"{parts.path}/"
        name = "with a slash at the end" if path.endswith("/") else "without the slash at the end"
        yield Way(name, urlunsplit((*parts[:2], path, *parts[3:])))
    for language in LANGUAGES:
        yield Way(f"in language {language}", url, {"Accept-Language": language})

"""Pages as a browser gets them, by the service's one way out: one request at a time, with a deadline and a limit."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final, NamedTuple

import httpx

from app import egress
from app.doctor.site import Names, is_address
from app.errors import ApiUnavailable, ChannelUnavailable, DeliveryError
from app.impact.connection import Connection

SECONDS: Final = 10.0
MOST_BYTES: Final = 1024 * 1024
BROWSER: Final = {
    "User-Agent": "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko)"
    " Version/17.4 Safari/605.1.15 conversion-capture-doctor",
    "Accept": "text/html,application/xhtml+xml,*/*;q=0.8",
    "Accept-Encoding": "identity",
    "Connection": "close",
}
"""What a page is asked for with: a browser's words, since some shops answer others nothing, and our name."""

Headers = Mapping[str, str]


class Unreached(Exception):
    """A page was not reached; the sentence says why."""


class Page(NamedTuple):
    """An answer. Of a long body the beginning is there."""

    url: str
    status: int
    headers: httpx.Headers
    body: str

    @property
    def leads_to(self) -> str:
        """Where a redirect leads; empty if this is none. Raises Unreached."""
        location = self.headers.get("location", "")
        if self.status not in {301, 302, 303, 307, 308} or not location:
            return ""
        try:
            url = httpx.URL(self.url).join(location)
        except (httpx.InvalidURL, ValueError):
            raise Unreached(f"{plain(self.url)} redirects to something that is no address.") from None
        if not is_address(str(url)):
            raise Unreached(f"{plain(self.url)} redirects to something that is no page.")
        return str(url)


class Web:
    """The network. `transport` and `look_up` stand for it in tests."""

    def __init__(
        self,
        *,
        allow_private: bool,
        transport: httpx.BaseTransport | None = None,
        look_up: Callable[[str, float], tuple[str, list[egress.Address]]] = egress.look_up,
    ) -> None:
        self._transport = transport or Connection(SECONDS, allow_private=allow_private)
        self._look_up = look_up

    def visitor(self) -> httpx.Client:
        """Return a new browser, which keeps its cookies and follows nothing by itself."""
        return httpx.Client(transport=self._transport, headers=BROWSER, trust_env=False, timeout=SECONDS)

    def names(self, host: str) -> Names:
        """Return what DNS says of a host. Raises Unreached."""
        try:
            return Names(host, *self._look_up(host, SECONDS))
        except ChannelUnavailable as error:
            raise Unreached(str(error)) from error


def get(visitor: httpx.Client, url: str, headers: Headers | None = None) -> Page:
    """Return a page. Raises Unreached."""
    body = bytearray()
    try:
        with visitor.stream("GET", url, headers=headers, follow_redirects=False) as answer:
            with suppress(httpx.HTTPError, ApiUnavailable):  # the head is what matters
                for chunk in answer.iter_bytes():
                    body += chunk
                    if len(body) > MOST_BYTES:
                        break
            return Page(url, answer.status_code, answer.headers, body[:MOST_BYTES].decode("utf-8", "replace"))
    except DeliveryError as error:
        raise Unreached(str(error)) from error
    except httpx.TimeoutException:
        raise Unreached(f"{plain(url)} does not answer in time.") from None
    except (httpx.HTTPError, httpx.InvalidURL, UnicodeError):
        raise Unreached(f"{plain(url)} gives no answer that can be read.") from None


def plain(url: str) -> str:
    """Return an address without what follows its path."""
    return url.partition("#")[0].partition("?")[0]

"""impact.com's HTTP API for brands: one call, its answer read with care, and every failure told apart.

Facts: the API's OpenAPI documents (v14) and its pages on authentication, errors and rate limits. Redirects are not
followed: they would carry the token away. Of a call that was sent and not answered nobody knows whether it was taken.
"""

import logging
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, Literal
from urllib.parse import unquote

import httpx

from app.errors import ApiRefused, ApiUnavailable, ChannelRefused, OutcomeUnknown
from app.impact.answers import body_of, failure, queued_uri_of, rows_of
from app.impact.connection import Connection

__all__ = ["Account", "Answer", "Client", "Method", "rows_of"]

logger = logging.getLogger(__name__)

Method = Literal["POST", "PUT", "DELETE"]
Heard = Callable[[int, Mapping[str, str]], None]
"""Is told the status and the headers of each answer, before anything is made of it."""
MOST_BYTES: Final = 1024 * 1024
MOST_BYTES_OF_LISTS: Final = 64 * 1024 * 1024
KINDS: Final = frozenset(
    {"Conversions", "Actions", "ActionUpdates", "APISubmissions", "FTPFileSubmissions", "Campaigns"}
)
"""What a log says of a call: these names and no more, since what follows them may be an id of somebody."""


@dataclass(frozen=True, slots=True)
class Account:
    """Whose API is called, and how."""

    url: str
    sid: str
    token: str = field(repr=False)
    version: str = "14"
    body: Literal["form", "json"] = "form"
    seconds: float = 30
    allow_private: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """What impact.com said: the JSON object, and its headers."""

    body: Mapping[str, Any]
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Reply:
    """An answer as it came. `content` is None if it was cut or too long, as far as that is known."""

    status: int
    headers: Mapping[str, str]
    content: bytes | None


class Client:
    """Calls the API. `transport` stands for the network."""

    def __init__(self, account: Account, transport: httpx.BaseTransport | None = None) -> None:
        self.account = account
        self._http = httpx.Client(
            base_url=account.url,
            auth=httpx.BasicAuth(account.sid, account.token),
            headers={
                "Accept": "application/json",
                "Accept-Encoding": "identity",
                "Connection": "close",
                "IR-Version": account.version,
                "User-Agent": "conversion-capture",
            },
            timeout=account.seconds,
            follow_redirects=False,
            trust_env=False,
            transport=transport or Connection(account.seconds, allow_private=account.allow_private),
        )

    def path(self, uri: str) -> str:
        """Return the path of something of the account: `APISubmissions/A-1`, or as impact.com gives it itself.

        Raises ApiRefused if it lies elsewhere, where the token has no business.
        """
        own = f"/Advertisers/{self.account.sid}/"
        path = uri.removeprefix(self.account.url)
        is_plain = path.isascii() and path.isprintable() and not any(one in path for one in " \\#")
        inner = path.removeprefix(own)
        if not is_plain or inner.startswith("/") or "://" in inner or ".." in unquote(unquote(inner)):
            detail = "impact.com's API pointed to an address outside the account; nothing was sent there."
            raise ApiRefused(detail, http_status=0)
        return own + inner

    def get(self, uri: str, query: Mapping[str, str] | None = None, heard: Heard | None = None) -> Answer:
        """Read something. Raises ApiUnavailable, ApiRefused or CredentialsRefused."""
        params = dict(query) if query else None
        try:
            reply = self._send("GET", uri, MOST_BYTES_OF_LISTS, heard, params=params)
        except httpx.HTTPError as error:
            raise ApiUnavailable(f"impact.com's API cannot be reached ({type(error).__name__}).") from error
        except ApiRefused:
            raise
        except ChannelRefused as error:  # the host must not be called: a later look will say the same, and harm nothing
            raise ApiUnavailable(str(error)) from error
        refusal = failure(reply.status, reply.content or b"")
        if refusal:
            raise refusal
        return Answer(body_of(reply.content), reply.headers)

    def submit(self, method: Method, uri: str, fields: Mapping[str, str], heard: Heard | None = None) -> str:
        """Ask for a change, and return where impact.com says what became of it: a path of the account.

        Raises those, ChannelRefused or ReceiverNotTrusted for a host that must not be called, and OutcomeUnknown if the
        call may have been taken.
        """
        body: dict[str, Any] = {"data": dict(fields)} if self.account.body == "form" else {"json": dict(fields)}
        try:
            reply = self._send(method, uri, MOST_BYTES, heard, **body)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise ApiUnavailable(f"impact.com's API cannot be reached ({type(error).__name__}).") from error
        except httpx.HTTPError as error:
            raise OutcomeUnknown("impact.com's API has not answered; it may have taken the call.") from error
        refusal = failure(reply.status, reply.content or b"")
        if refusal:
            raise refusal
        uri = queued_uri_of(reply.status, reply.content)
        try:
            return self.path(uri)
        except ApiRefused as elsewhere:
            raise OutcomeUnknown(f"{elsewhere} It may have taken the call.") from elsewhere

    def close(self) -> None:
        """Close every connection."""
        self._http.close()

    def _send(self, method: str, uri: str, most: int, heard: Heard | None, **what: Any) -> _Reply:
        """Send one request and return the answer.

        Raises httpx.HTTPError if it did not come, and ApiRefused if it must not be asked for.
        """
        path, began = self.path(uri), time.monotonic()
        status: int | str = "none"
        try:
            with self._http.stream(method, path, **what) as answer:
                status = answer.status_code
                if heard:
                    heard(answer.status_code, answer.headers)
                return _Reply(answer.status_code, answer.headers, _content(answer, most))
        except httpx.InvalidURL as error:
            raise ApiRefused("impact.com's API pointed to something that is no address.", http_status=0) from error
        except ChannelRefused as error:  # the host is not to be called, or is not who it should be
            status = error.code
            raise
        finally:
            milliseconds = round((time.monotonic() - began) * 1000)
            facts = {"method": method, "path": self._kind(path), "status": status, "ms": milliseconds}
            logger.info("api.called", extra=facts)

    def _kind(self, path: str) -> str:
        """Return as much of a path as a log may say."""
        kind = path.removeprefix(f"/Advertisers/{self.account.sid}/").partition("?")[0].partition("/")[0]
        return kind if kind in KINDS else "other"


def _content(answer: httpx.Response, most: int) -> bytes | None:
    """Return what an answer says, or None if it is longer than that or ends too early."""
    content = bytearray()
    with suppress(httpx.HTTPError):
        for chunk in answer.iter_bytes():
            content += chunk
            if len(content) > most:
                return None
        return bytes(content)
    return None

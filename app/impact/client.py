"""impact.com's HTTP API for brands: one call, its answer read with care, and every failure told apart.

Facts: the API's OpenAPI documents (v14) and its pages on authentication, errors and rate limits. An answer is JSON;
numbers may come as texts, and errors in two spellings. Redirects are not followed: they would carry the token away.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Literal

import httpx
import orjson

from app.errors import ApiRefused, ApiUnavailable, CredentialsRefused, OutcomeUnknown

Method = Literal["POST", "PUT", "DELETE"]


@dataclass(frozen=True, slots=True)
class Account:
    """Whose API is called, and how."""

    url: str
    sid: str
    token: str = field(repr=False)
    version: str = "14"
    body: Literal["form", "json"] = "form"
    seconds: float = 30


@dataclass(frozen=True, slots=True)
class Answer:
    """What impact.com said: the JSON object, and what its headers say of the rate limit."""

    body: Mapping[str, Any]
    limits: Mapping[str, str]


class Client:
    """Calls the API. `transport` stands for the network."""

    def __init__(self, account: Account, transport: httpx.BaseTransport | None = None) -> None:
        self.account = account
        self._http = httpx.Client(
            base_url=account.url,
            auth=httpx.BasicAuth(account.sid, account.token),
            headers={"Accept": "application/json", "IR-Version": account.version},
            timeout=account.seconds,
            follow_redirects=False,
            trust_env=False,
            transport=transport,
        )

    def path(self, uri: str) -> str:
        """Return the path of something of the account: `APISubmissions/A-1`, or as impact.com gives it itself.

        Raises ApiRefused if it lies elsewhere, where the token has no business.
        """
        own = f"/Advertisers/{self.account.sid}/"
        path = uri.removeprefix(self.account.url)
        if path.startswith(own):
            return path
        if path.startswith("/") or "://" in path or ".." in path:
            detail = "impact.com's API pointed to an address outside the account; nothing was sent there."
            raise ApiRefused(detail, http_status=0)
        return own + path

    def get(self, uri: str, query: Mapping[str, str] | None = None) -> Answer:
        """Read something. Raises ApiUnavailable, ApiRefused or CredentialsRefused."""
        try:
            answer = self._http.get(self.path(uri), params=dict(query) if query else None)
        except httpx.HTTPError as error:
            raise ApiUnavailable(f"impact.com's API cannot be reached ({type(error).__name__}).") from error
        return _read(answer)

    def submit(self, method: Method, uri: str, fields: Mapping[str, str]) -> Answer:
        """Ask for a change. Raises those, and OutcomeUnknown if it may have been taken."""
        body: dict[str, Any] = {"data": dict(fields)} if self.account.body == "form" else {"json": dict(fields)}
        try:
            answer = self._http.request(method, self.path(uri), **body)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise ApiUnavailable(f"impact.com's API cannot be reached ({type(error).__name__}).") from error
        except httpx.HTTPError as error:
            raise OutcomeUnknown("impact.com's API has not answered; it may have taken the call.") from error
        return _read(answer)

    def close(self) -> None:
        """Close every connection."""
        self._http.close()


def _read(answer: httpx.Response) -> Answer:
    """Return a good answer. Raises ApiUnavailable, ApiRefused or CredentialsRefused."""
    status = answer.status_code
    if status in {401, 403}:
        raise CredentialsRefused(f"impact.com's API refuses the account's token (HTTP {status}).")
    if status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise ApiUnavailable(f"impact.com's API takes no calls now (HTTP {status}).")
    if not answer.is_success:
        raise ApiRefused(f"impact.com's API refuses the call (HTTP {status}).", http_status=status)
    try:
        body = orjson.loads(answer.content)
    except orjson.JSONDecodeError as error:
        raise ApiUnavailable("impact.com's API answers with something that is no JSON.") from error
    if not isinstance(body, dict):
        raise ApiUnavailable("impact.com's API answers with something that is no JSON object.")
    return Answer(body, answer.headers)


def rows_of(body: Mapping[str, Any], *names: str) -> list[Mapping[str, Any]]:
    """Return the rows of a list under the first of these names that is there; a single row may stand alone."""
    found: Any = next((body[name] for name in names if name in body), [])
    rows = found if isinstance(found, list) else [found]
    return [row for row in rows if isinstance(row, Mapping)]

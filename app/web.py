"""HTTP that every room shares: bodies with a limit, refusals as problem details, one log line per request."""

import itertools
import logging
import secrets
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime
from http import HTTPStatus
from typing import Annotated, Any, Final

from fastapi import Depends, FastAPI, Query, Request
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BeforeValidator
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.config import Settings
from app.errors import PROBLEM_JSON, Failure, Fault, InvalidInput, TooLarge, pointer_to, problem
from app.logs import begin_request, log_request
from app.metrics import count_request

logger = logging.getLogger(__name__)

KIB: Final = 1024
MIB: Final = 1024 * KIB
ORDERS_PREFIXES: Final = (b"/orders/", b"/dashboard/orders/")
_OURS: Final = "Value error, "
"""What pydantic puts before a message of ours."""


async def settings_of(request: Request) -> Settings:
    """Return the settings of the service that got this request; a coroutine, so that it waits for no thread."""
    settings: Settings = request.app.state.settings
    return settings


async def now() -> datetime:
    """Return the time of day."""
    return datetime.now(UTC)


SettingsDep = Annotated[Settings, Depends(settings_of)]
Now = Annotated[datetime, Depends(now)]
Cursor = Annotated[int, Query(ge=0, lt=2**63, description="`next` of the page before.")]


def _iso_day(value: Any) -> date:
    """Read a day, and not the number of seconds that would pass for one."""
    if len(value) != len("2026-11-22"):
        raise ValueError("write the day as 2026-11-22")
    return date.fromisoformat(value)


IsoDay = BeforeValidator(_iso_day)


PROBLEM_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["type", "title", "status", "detail", "code"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["code", "detail", "pointer"],
                "properties": {name: {"type": "string"} for name in ("code", "detail", "pointer")},
            },
        },
    },
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI description of refusals with these statuses."""
    content = {PROBLEM_JSON: {"schema": PROBLEM_SCHEMA}}
    return {status: {"description": HTTPStatus(status).phrase, "content": content} for status in statuses}


def limited_body(limit: int) -> Callable[[Request], Awaitable[bytes]]:
    """Return a dependency that reads a body of at most `limit` bytes and holds no more than that. Raises TooLarge."""

    async def read(request: Request) -> bytes:
        announced = request.headers.get("content-length", "0")
        if announced.isdigit() and int(announced) > limit:
            raise too_large(limit)
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > limit:
                raise too_large(limit)
        return bytes(body)

    return read


def too_large(limit: int) -> TooLarge:
    """Return the refusal of a body of more than `limit` bytes."""
    return TooLarge(f"The body has more than {limit} bytes; send less at a time.")


def accepts_gzip(header: str) -> bool:
    """Say whether gzip is listed and not refused by `q=0` (RFC 9110, 12.5.3)."""
    for one in header.lower().split(","):
        coding, _, weight = one.replace(" ", "").partition(";q=")
        if coding in {"gzip", "*"}:
            return weight.strip("0.") != "" or not weight
    return False


def require_each_once(request: Request) -> None:
    """Refuse a call that gives a parameter several values, of which only one would count. Raises InvalidInput."""
    given = Counter(name for name, _ in request.query_params.multi_items())
    twice = [name for name in _names(request.scope["route"].dependant) if given[name] > 1]
    if twice:
        raise InvalidInput(
            [Fault("INVALID_PARAMETER", "Give it once.", pointer_to("query", name)) for name in sorted(twice)]
        )


def _names(dependant: Dependant) -> set[str]:
    """Return the names of a route's query parameters."""
    own = {field.alias for field in dependant.query_params}
    return own.union(*map(_names, dependant.dependencies))


class RawOrderPaths:
    """Leaves the paths of orders percent-encoded, so that an order id may hold a slash (`%2F`)."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the call on with the path as it came."""
        raw: bytes = scope.get("raw_path") or b""
        if scope["type"] == "http" and raw.startswith(ORDERS_PREFIXES):
            scope["path"] = raw.decode("ascii", "replace")
        await self.app(scope, receive, send)


class RequestLog:
    """Writes one line per request: its route, never its path or query, which may hold ids of people."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the call on and note how it ended."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began, status, request_id = time.perf_counter(), 0, new_request_id()
        begin_request(request_id)

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), *headers_of_all(scope, request_id)]
            await send(message)

        try:
            await self.app(scope, receive, noting)
        finally:
            route = getattr(scope.get("route"), "path", "")
            note_request(request_id, scope["method"], route, status, time.perf_counter() - began)


_PROCESS: Final = secrets.token_hex(8)
_calls: Final = itertools.count(1)


def new_request_id() -> str:
    """Return an id that no other request has, in whatever process: a random half, and a number that counts."""
    return f"{_PROCESS}{next(_calls):016x}"


def headers_of_all(scope: Scope, request_id: str) -> list[tuple[bytes, bytes]]:
    """Return the headers that every answer has."""
    added = [(b"x-request-id", request_id.encode())]
    if scope["app"].state.stopping():  # the caller's next connection finds another replica
        added.append((b"connection", b"close"))
    return added


def note_request(request_id: str, method: str, route: str, status: int, seconds: float) -> None:
    """Log and count a request. `route` is its template, or empty where none matched."""
    log_request(request_id, method, route, status, round(seconds * 1000, 1))
    count_request(route, status)


def log_failure(failure: Failure) -> None:
    """Log a refusal that is the service's own fault."""
    if failure.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        logger.error("refused", extra={"code": failure.code, "detail": str(failure)}, exc_info=failure.__cause__)


def unexpected(error: Exception) -> dict[str, Any]:
    """Log what should not happen, and return what its caller is told."""
    logger.error("failed", exc_info=error)
    return problem(HTTPStatus.INTERNAL_SERVER_ERROR, "INTERNAL_ERROR", "This should not happen; see the service's log.")


def install_refusals(app: FastAPI) -> None:
    """Make every refusal of the service, and of the framework, an RFC 9457 problem.

    The handlers are coroutines, since plain functions would wait for a thread, which a database that hangs may hold.
    """

    @app.exception_handler(Failure)
    async def refuse(_request: Request, failure: Failure) -> JSONResponse:
        log_failure(failure)
        return _response(failure.status, failure.problem(), failure.headers)

    @app.exception_handler(RequestValidationError)
    async def refuse_parameters(_request: Request, error: RequestValidationError) -> JSONResponse:
        told = [(one["msg"].removeprefix(_OURS).rstrip("."), one["loc"]) for one in error.errors()]
        faults = [Fault("INVALID_PARAMETER", f"{message}.", pointer_to(*place)) for message, place in told]
        invalid = InvalidInput(faults)
        return _response(invalid.status, invalid.problem(), {})

    @app.exception_handler(HTTPException)
    async def refuse_route(_request: Request, error: HTTPException) -> JSONResponse:
        status = HTTPStatus(error.status_code)
        body = problem(status, status.name, f"{status.description or status.phrase}.")
        return _response(status, body, dict(error.headers or {}))

    @app.exception_handler(Exception)
    async def fail(_request: Request, error: Exception) -> JSONResponse:
        return _response(HTTPStatus.INTERNAL_SERVER_ERROR, unexpected(error), {})


def _response(status: HTTPStatus, body: dict[str, Any], headers: dict[str, str]) -> JSONResponse:
    return JSONResponse(body, status, headers | {"Cache-Control": "no-store"}, media_type=PROBLEM_JSON)

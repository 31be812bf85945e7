"""Thin routes: calls that a visitor or a checkout waits for go straight to their function, past the framework.

Routing, dependencies and middleware cost several times what such a call needs itself. A thin route is described like
every other one, in the same OpenAPI document, and has the same refusals, log line and numbers; its function takes the
`Call` and returns the `Answer`.
"""

import functools
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from time import perf_counter
from types import SimpleNamespace
from typing import Any, Final, NamedTuple, cast

import orjson
from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute
from starlette.datastructures import State
from starlette.types import ASGIApp, Receive, Scope, Send

from app.errors import PROBLEM_JSON, Failure
from app.logs import begin_request
from app.web import headers_of_all, log_failure, new_request_id, note_request, too_large, unexpected

Headers = list[tuple[bytes, bytes]]


class Disconnected(Exception):
    """The caller went away before the body was there."""


class Call:
    """A call as the server hands it over."""

    __slots__ = ("_receive", "scope")

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self.scope = scope
        self._receive = receive

    @property
    def state(self) -> State:
        """What the application holds for its routes."""
        state: State = self.scope["app"].state
        return state

    @property
    def client(self) -> str:
        """The caller's address, or nothing where the server knows none."""
        address = self.scope.get("client")
        return address[0] if address else ""

    def headers(self) -> dict[bytes, bytes]:
        """Return the headers. Repeated ones are joined: by a comma (RFC 9110), cookies by a semicolon (RFC 9113)."""
        found: Headers = self.scope["headers"]
        given = dict(found)
        return given if len(given) == len(found) else _joined(found)

    async def body(self, limit: int) -> bytes:
        """Return the body, or its first `limit` + 1 bytes as soon as it is known to be longer. Raises Disconnected."""
        message = await self._receive()
        first: bytes = message.get("body", b"")
        if message["type"] == "http.request" and not message.get("more_body", False):
            return first[: limit + 1]
        body = bytearray(first)
        while len(body) <= limit and message.get("more_body", False):
            message = await self._receive()
            body += message.get("body", b"")
        if message["type"] == "http.disconnect":
            raise Disconnected
        return bytes(body[: limit + 1])

    async def whole_body(self, limit: int) -> bytes:
        """Return the body. Raises TooLarge as soon as it is known to be longer than `limit` bytes, and Disconnected."""
        announced = self.headers().get(b"content-length", b"0")
        if announced.isdigit() and int(announced) > limit:
            raise too_large(limit)
        body = await self.body(limit)
        if len(body) > limit:
            raise too_large(limit)
        return body


class Answer(NamedTuple):
    """What goes back; names of headers in lower case. Its length is added, and what every answer of the service has."""

    status: int
    headers: Headers
    body: bytes = b""


Endpoint = Callable[[Call], Awaitable[Answer]]


class ThinRoute(APIRoute):
    """A route whose function takes the Call itself. What is said of it in its decorator goes into the document only."""

    def __init__(self, path: str, endpoint: Endpoint, **described: Any) -> None:
        super().__init__(path, _described(endpoint), **described)
        self.serve = functools.partial(_serve, path, endpoint)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a call that came by way of the framework."""
        if self.methods and scope["method"] not in self.methods:
            await super().handle(scope, receive, send)
        else:
            await self.serve(scope, receive, send)


Decorator = Callable[[Endpoint], Endpoint]


def thin(router: APIRouter, method: str, path: str, **described: Any) -> Decorator:
    """Make a function the thin route of a router whose other routes are not."""

    def add(endpoint: Endpoint) -> Endpoint:
        router.add_api_route(path, endpoint, methods=[method], route_class_override=ThinRoute, **described)
        return endpoint

    return add


class Application(FastAPI):
    """FastAPI, with thin routes before it."""

    def __init__(self, **described: Any) -> None:
        super().__init__(**described)
        self.state = cast("State", SimpleNamespace())  # which is read several times a call, and quicker
        self._thin: dict[tuple[str, str], ASGIApp] = {}

    def add_thin_routes(self, router: APIRouter) -> None:
        """Let calls of a router's thin routes pass the framework by."""
        thin = [route for route in router.routes if isinstance(route, ThinRoute)]
        self._thin |= {(method, route.path): route.serve for route in thin for method in route.methods or ()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a call, or begin and end with the process."""
        if scope["type"] == "http" and (serve := self._thin.get((scope["method"], scope["path"]))):
            scope["app"] = self
            await serve(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


def problem_answer(failure: Failure, headers: Headers | None = None) -> Answer:
    """Return a refusal as an RFC 9457 problem, with `headers` in place of the one that keeps caches away."""
    own = [(name.lower().encode(), value.encode()) for name, value in failure.headers.items()]
    first = _UNCACHED if headers is None else headers
    return Answer(int(failure.status), [*first, *own, _IS_PROBLEM], orjson.dumps(failure.problem()))


_UNCACHED: Final[Headers] = [(b"cache-control", b"no-store")]
_IS_PROBLEM: Final = (b"content-type", PROBLEM_JSON.encode())


async def _serve(path: str, endpoint: Endpoint, scope: Scope, receive: Receive, send: Send) -> None:
    began, request_id, status = perf_counter(), new_request_id(), 0
    begin_request(request_id)
    try:
        status, headers, body = await endpoint(Call(scope, receive))
    except Disconnected:
        note_request(request_id, scope["method"], path, status, perf_counter() - began)
        return
    except Exception as error:  # noqa: BLE001 (the caller gets an answer, the log gets the rest)
        status, headers, body = _failed(error)
    added = headers_of_all(scope, request_id)
    if status != HTTPStatus.NO_CONTENT:
        added.append((b"content-length", b"%d" % len(body)))
    try:
        await send({"type": "http.response.start", "status": status, "headers": headers + added})
        await send({"type": "http.response.body", "body": body})
    finally:
        note_request(request_id, scope["method"], path, status, perf_counter() - began)


def _failed(error: Exception) -> Answer:
    if isinstance(error, Failure):
        log_failure(error)
        return problem_answer(error)
    return Answer(HTTPStatus.INTERNAL_SERVER_ERROR, [*_UNCACHED, _IS_PROBLEM], orjson.dumps(unexpected(error)))


def _joined(found: Headers) -> dict[bytes, bytes]:
    given: dict[bytes, bytes] = {}
    for name, value in found:
        between = b"; " if name == b"cookie" else b", "
        given[name] = given[name] + between + value if name in given else value
    return given


def _described(endpoint: Endpoint) -> Callable[[], None]:
    """Return what stands for the function in the document: its name and its words, without a parameter."""

    def stand_in() -> None:
        raise NotImplementedError

    stand_in.__name__, stand_in.__doc__ = endpoint.__name__, endpoint.__doc__
    return stand_in

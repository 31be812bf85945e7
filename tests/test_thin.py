"""Calls that pass the framework by: the same refusals, lines and headers as everywhere else."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse

from app.errors import Conflict, Unavailable
from app.thin import Answer, Application, Call, Disconnected, ThinRoute
from app.web import RequestLog, install_refusals

LIMIT = 10

router = APIRouter(route_class=ThinRoute)


@router.get("/headers")
async def get_headers(call: Call) -> Answer:
    """Tell the headers of the call."""
    return Answer(200, [(b"x-one", b"1"), (b"x-one", b"2")], repr(sorted(call.headers().items())).encode())


@router.post("/body")
async def post_body(call: Call) -> Answer:
    """Tell the body, as far as it goes."""
    return Answer(200, [], await call.body(LIMIT))


@router.get("/nothing")
async def get_nothing(call: Call) -> Answer:
    """Say nothing."""
    return Answer(204, [])


@router.get("/refused")
async def get_refused(call: Call) -> Answer:
    """Refuse."""
    raise Unavailable("Come back.")


@router.get("/conflict")
async def get_conflict(call: Call) -> Answer:
    """Refuse otherwise."""
    raise Conflict("Not so.")


@router.get("/broken")
async def get_broken(call: Call) -> Answer:
    """Fail."""
    raise ValueError("secret")


@pytest.fixture
def app() -> Application:
    """An application with these calls, and one that is not thin."""
    made = Application()
    made.include_router(router)
    made.add_thin_routes(router)
    made.add_middleware(RequestLog)
    install_refusals(made)
    made.state.stopping = lambda: False

    @made.get("/thick")
    async def get_thick(request: Request) -> PlainTextResponse:
        return PlainTextResponse(request.headers["x-one"])

    return made


def send(app: Application, method: str, path: str, **details: object) -> httpx.Response:
    """Return the application's answer to one call."""

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="https://track.shop.example") as client:
            return await client.request(method, path, **details)  # type: ignore[arg-type]

    return asyncio.run(ask())


def test_a_thin_call_passes_the_framework_by(app: Application) -> None:
    """No middleware sees it; what belongs to every answer is there all the same."""
    seen: list[str] = []

    class Spy:
        def __init__(self, inner: object) -> None:
            self.inner = inner

        async def __call__(self, scope: dict[str, str], receive: object, send: object) -> None:
            seen.append(scope["path"])
            await self.inner(scope, receive, send)  # type: ignore[operator]

    app.add_middleware(Spy)
    thin, thick = send(app, "GET", "/nothing"), send(app, "GET", "/thick", headers={"x-one": "1"})
    assert seen == ["/thick"]
    assert len({thin.headers["x-request-id"], thick.headers["x-request-id"]}) == 2
    assert len(thin.headers["x-request-id"]) == 32


def test_repeated_headers_are_one(app: Application) -> None:
    """Joined by a comma, cookies by a semicolon, in the order in which they came; values stay as they are."""
    headers = [("X-One", "a"), ("Cookie", "a=1"), ("x-one", "b"), ("cookie", "b=2"), ("x-two", "c, d")]
    told = send(app, "GET", "/headers", headers=headers)
    for one in ((b"x-one", b"a, b"), (b"cookie", b"a=1; b=2"), (b"x-two", b"c, d")):
        assert repr(one) in told.text
    assert told.headers.get_list("x-one") == ["1", "2"]


def test_an_answer_says_how_long_it_is(app: Application) -> None:
    """A body has its length, also an empty one; what has no body by its status has none."""
    assert send(app, "POST", "/body", content=b"abc").headers["content-length"] == "3"
    assert send(app, "POST", "/body").headers["content-length"] == "0"
    assert "content-length" not in send(app, "GET", "/nothing").headers


@pytest.mark.parametrize("size", [0, 1, LIMIT - 1, LIMIT, LIMIT + 1, 10_000])
@pytest.mark.parametrize("step", [1, 3, 10_000])
def test_no_more_of_a_body_is_held_than_tells_that_it_is_too_long(app: Application, size: int, step: int) -> None:
    """One byte more than the limit, in however many pieces it comes."""
    whole = bytes(range(256)) * 40

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, size, step):
            yield whole[start : min(start + step, size)]

    assert send(app, "POST", "/body", content=pieces()).content == whole[: min(size, LIMIT + 1)]


def test_refusals_are_problems(app: Application) -> None:
    """With their own status, code and headers, and never to be kept by a cache."""
    away, conflict = send(app, "GET", "/refused"), send(app, "GET", "/conflict")
    assert (away.status_code, away.json()["code"], away.headers["retry-after"]) == (503, "UNAVAILABLE", "5")
    assert (conflict.status_code, conflict.json()["detail"]) == (409, "Not so.")
    for answer in (away, conflict):
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["cache-control"] == "no-store"


def test_what_should_not_happen_is_told_to_the_log_alone(app: Application, caplog: pytest.LogCaptureFixture) -> None:
    """The caller learns that it is the service's fault, and nothing of what was going on inside."""
    answer = send(app, "GET", "/broken")
    assert (answer.status_code, answer.json()["code"]) == (500, "INTERNAL_ERROR")
    assert "secret" not in answer.text
    assert "secret" in caplog.text


def test_a_wrong_method_is_refused_by_the_framework(app: Application) -> None:
    """As for every other path."""
    answer = send(app, "DELETE", "/headers")
    assert (answer.status_code, answer.json()["code"], answer.headers["allow"]) == (405, "METHOD_NOT_ALLOWED", "GET")


def test_a_service_that_stops_sends_its_callers_elsewhere(app: Application) -> None:
    """Their next connection finds another replica."""
    assert "connection" not in send(app, "GET", "/nothing").headers
    app.state.stopping = lambda: True
    assert send(app, "GET", "/nothing").headers["connection"] == "close"


def test_every_call_has_a_line(app: Application, caplog: pytest.LogCaptureFixture) -> None:
    """Its route, status and time, and the id that its answer has."""
    caplog.set_level("INFO", "app.web")
    answers = [send(app, "GET", path) for path in ("/nothing", "/broken", "/refused")]
    lines = [vars(record) for record in caplog.records if record.getMessage() == "request"]
    told = [(line["request_id"], line["method"], line["route"], line["status"]) for line in lines]
    expected = [("/nothing", 204), ("/broken", 500), ("/refused", 503)]
    assert told == [
        (answer.headers["x-request-id"], "GET", route, status)
        for answer, (route, status) in zip(answers, expected, strict=True)
    ]
    assert all(line["ms"] >= 0 for line in lines)


def test_a_caller_who_goes_away_gets_no_answer(app: Application, caplog: pytest.LogCaptureFixture) -> None:
    """A body that ends early is no body: it is not handed on, and nobody is answered."""
    caplog.set_level("INFO", "app.web")
    messages: list[dict[str, Any]] = [
        {"type": "http.request", "body": b"ha", "more_body": True},
        {"type": "http.disconnect"},
    ]
    sent: list[object] = []

    async def receive() -> dict[str, Any]:
        return messages.pop(0)

    async def note(message: object) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/body", "headers": [], "query_string": b""}
    asyncio.run(app(scope, receive, note))
    assert sent == []
    assert [getattr(record, "status", None) for record in caplog.records] == [0]


def test_a_call_that_is_only_described_has_no_other_way(app: Application) -> None:
    """The document names it by its function and its words; its function is what answers, by whichever way it comes."""
    path = app.openapi()["paths"]["/headers"]["get"]
    assert (path["summary"], path["description"]) == ("Get Headers", "Tell the headers of the call.")
    plain = Application()
    plain.include_router(router)  # not among the thin ones
    plain.state.stopping = lambda: False
    assert send(plain, "GET", "/headers").status_code == 200
    assert json.dumps(path).count("parameters") == 0


def test_disconnecting_is_no_failure() -> None:
    """It is not taken for one of the service's refusals."""
    assert not issubclass(Disconnected, (Conflict, Unavailable))

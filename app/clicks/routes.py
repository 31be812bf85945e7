"""`/capture` and `/handoff` over HTTP: raw calls go to the verbs, their answers go back. Public, without a key."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request, Response
from starlette.requests import ClientDisconnect

from app.clicks.capture import Answer, Arrival, capture, preflight
from app.clicks.handoff import handoff
from app.clicks.landing import MAX_BODY
from app.clicks.limiter import RateLimit, RateLimited
from app.clicks.redirect import MAX_TARGET
from app.clicks.store import Note
from app.config import Settings
from app.errors import PROBLEM_JSON, MalformedRequest
from app.impact.limits import CLICK_ID
from app.metrics import count_landing
from app.web import PROBLEM_SCHEMA, SettingsDep

router = APIRouter(tags=["Capture"])


async def body_of(request: Request) -> bytes:
    """Return the body, or its first bytes as soon as it is known to be too long; the rest is never held.

    The verb refuses what is too long, since its refusals carry the headers that let the page read them.
    """
    body = b""
    try:
        async for chunk in request.stream():
            body += chunk[: MAX_BODY + 1 - len(body)]
            if len(body) > MAX_BODY:
                break
    except ClientDisconnect:
        raise MalformedRequest("The body ended early.") from None
    return body


def arrival_of(request: Request, body: bytes = b"") -> Arrival:
    """Return the call without anything of the framework's."""
    headers: dict[str, str] = {}
    for name, value in request.headers.items():
        # RFC 9110 joins repeated headers by a comma; RFC 9113 joins cookies by a semicolon.
        between = "; " if name == "cookie" else ", "
        headers[name] = f"{headers[name]}{between}{value}" if name in headers else value
    return Arrival(
        request.method, request.url.scheme, request.scope["query_string"], headers, body, now=datetime.now(UTC)
    )


def response_to(answer: Answer) -> Response:
    """Return the answer as a response; headers go out as they are."""
    response = Response(answer.body, answer.status)
    for name, value in answer.headers:
        response.headers.append(name, value)
    return response


# These are coroutines, since plain functions wait for a thread, and the threads may all be waiting for a database.


async def keep_of(request: Request) -> Callable[[Note], Awaitable[None]]:
    """Return what makes a note durable, or says in the log that it could not; it never raises."""
    keep: Callable[[Note], Awaitable[None]] = request.app.state.keep
    return keep


async def limited(request: Request) -> RateLimited | None:
    """Count the call against its client; return the refusal if it is one too many."""
    limit: RateLimit | None = request.app.state.rate_limit
    if limit is None:
        return None
    return await limit.over(request.client.host if request.client else "", datetime.now(UTC).timestamp())


Keep = Annotated[Callable[[Note], Awaitable[None]], Depends(keep_of)]
Limited = Annotated[RateLimited | None, Depends(limited)]


async def _answer(
    arrival: Arrival, settings: Settings, keep: Callable[[Note], Awaitable[None]], limited: RateLimited | None
) -> Response:
    done = capture(arrival, settings, limited)
    count_landing(done.outcome)
    if done.note is not None:
        await keep(done.note)
    return response_to(done.answer)


CLICK_ID_SCHEMA: Final = {
    "type": "string",
    "pattern": f"^{CLICK_ID.pattern}$",
    "description": "The click id, exactly as impact.com put it into the landing page's address.",
}


def _parameter(name: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "description": description, "schema": schema}


QUERY: Final = [
    _parameter(
        "im_ref",
        "The click id. CAPTURE_PARAMETERS (`im_ref`, then `irclickid`) says where else it may stand.",
        CLICK_ID_SCHEMA,
    ),
    _parameter("url", "The landing page; kept without query and fragment.", {"type": "string"}),
    _parameter("referrer", "Where the visitor came from; only its origin is kept.", {"type": "string"}),
    _parameter(
        "consent",
        "The visitor's choice. `denied` expires the cookies and deletes the click.",
        {"type": "string", "enum": ["granted", "denied"]},
    ),
    _parameter(
        "to",
        "Where to send the visitor on to: an https address on a storefront origin or a linked domain.",
        {"type": "string", "format": "uri", "maxLength": MAX_TARGET},
    ),
    _parameter(
        "im_linked",
        "`<captured>.<issued>` of a link from another domain of the shop. The click keeps its age, and is ignored when"
        " the link is older than two minutes (five, where it ends in `.s`: issued by a server).",
        {"type": "string"},
    ),
]

BODY_SCHEMA: Final = {
    "type": "object",
    "properties": {
        "im_ref": CLICK_ID_SCHEMA,
        "url": {"type": "string", "description": "The landing page; kept without query and fragment."},
        "referrer": {"type": "string", "description": "Where the visitor came from; only its origin is kept."},
        "captured_at": {
            "description": "When the click id arrived, if not just now. Times in the future count as now.",
            "anyOf": [{"type": "string", "format": "date-time"}, {"type": "integer", "description": "Epoch seconds."}],
        },
        "consent": {"type": "boolean", "description": "`false` expires the cookies and deletes the click."},
        "im_linked": {"description": "The same as in the query of GET; a wrong one leaves the click unused."},
    },
    "examples": [{"im_ref": "QiiWXOVnrQ3SQHl24jQjyxBGUkmzfJ3i1VHrWM0", "url": "https://www.shop.example/boots"}],
}


def _problem(description: str) -> dict[str, Any]:
    return {"description": description, "content": {PROBLEM_JSON: {"schema": PROBLEM_SCHEMA}}}


DONE: Final = "Done, or nothing to do. Sets the cookie and its companion `<name>_at` when a click was kept."
BAD: Final = _problem("A click id that cannot be one, an address in `to` that is not the shop's, or malformed input.")
STRANGER: Final = _problem(
    "The Origin is not one of CAPTURE_STOREFRONT_ORIGINS, or a page of another site made the browser call."
)
TOO_OFTEN: Final = _problem("The client calls more often than CAPTURE_RATE_LIMIT allows.")


@router.get(
    "/capture",
    summary="Capture a landing",
    status_code=204,
    response_class=Response,
    responses={
        204: {"description": DONE},
        302: {"description": "The same, and on to the address in `to`."},
        400: BAD,
        403: STRANGER,
        429: TOO_OFTEN,
    },
    openapi_extra={"parameters": QUERY},
)
async def get_capture(request: Request, settings: SettingsDep, keep: Keep, limited: Limited) -> Response:
    """Keep the click id of the query in a first-party cookie and record the click."""
    return await _answer(arrival_of(request), settings, keep, limited)


@router.post(
    "/capture",
    summary="Capture a landing from a script",
    status_code=204,
    response_class=Response,
    responses={
        204: {"description": DONE},
        400: BAD,
        403: STRANGER,
        413: _problem("The body is longer than 16 KiB."),
        415: _problem("The body is neither application/json nor text/plain."),
        429: TOO_OFTEN,
    },
    openapi_extra={
        "requestBody": {
            "description": "JSON. Sent as text/plain it needs no preflight. Without `im_ref`, CAPTURE_PARAMETERS"
            " names the keys that are looked for. Unknown keys are ignored.",
            "required": False,
            "content": {"application/json": {"schema": BODY_SCHEMA}, "text/plain": {"schema": BODY_SCHEMA}},
        }
    },
)
async def post_capture(
    request: Request, body: Annotated[bytes, Depends(body_of)], settings: SettingsDep, keep: Keep, limited: Limited
) -> Response:
    """Keep the click id of the body in a first-party cookie and record the click, or forget both."""
    return await _answer(arrival_of(request, body), settings, keep, limited)


@router.options(
    "/capture",
    summary="Ask whether a page may call",
    status_code=204,
    response_class=Response,
    responses={204: {"description": "It may."}, 403: STRANGER},
)
async def options_capture(request: Request, settings: SettingsDep) -> Response:
    """Answer the preflight request that browsers send before JSON goes to another origin."""
    return response_to(preflight(arrival_of(request), settings))


TARGET: Final = {
    "name": "to",
    "in": "query",
    "required": True,
    "description": "Where to: an https address on a linked domain or a storefront origin.",
    "schema": {"type": "string", "format": "uri", "maxLength": MAX_TARGET},
}


@router.get(
    "/handoff",
    summary="Go to another domain of the shop, with the click",
    status_code=302,
    response_class=Response,
    responses={
        302: {"description": "On to `to`, with `im_ref` and `im_linked` where the visitor has a click to hand over."},
        400: _problem("The address in `to` is not the shop's."),
    },
    openapi_extra={"parameters": [TARGET]},
)
@router.head("/handoff", include_in_schema=False)
async def get_handoff(request: Request, settings: SettingsDep, limited: Limited) -> Response:
    """Redirect a visitor; on the way to a linked domain of another site the click of the cookies goes along."""
    return response_to(handoff(arrival_of(request), settings, limited=limited is not None))

"""`/capture` over HTTP: hands the raw call to the verb and its answer to the server. Public, without a key."""

from datetime import UTC, datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request, Response
from starlette.requests import ClientDisconnect

from app.clicks.capture import Answer, Arrival, capture, preflight
from app.clicks.landing import MAX_BODY
from app.clicks.redirect import MAX_TARGET
from app.database import DatabaseDep
from app.errors import PROBLEM_JSON, MalformedRequest
from app.impact.limits import CLICK_ID
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
    },
    "examples": [{"im_ref": "QiiWXOVnrQ3SQHl24jQjyxBGUkmzfJ3i1VHrWM0", "url": "https://www.shop.example/boots"}],
}


def _problem(description: str) -> dict[str, Any]:
    return {"description": description, "content": {PROBLEM_JSON: {"schema": PROBLEM_SCHEMA}}}


DONE: Final = "Done, or nothing to do. Sets the cookie and its companion `<name>_at` when a click was kept."
BAD: Final = _problem("A click id that cannot be one, an address in `to` that is not the shop's, or malformed input.")
STRANGER: Final = _problem("The Origin is not one of CAPTURE_STOREFRONT_ORIGINS.")


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
    },
    openapi_extra={"parameters": QUERY},
)
def get_capture(request: Request, settings: SettingsDep, database: DatabaseDep) -> Response:
    """Keep the click id of the query in a first-party cookie and record the click."""
    return response_to(capture(arrival_of(request), settings, database))


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
def post_capture(
    request: Request, body: Annotated[bytes, Depends(body_of)], settings: SettingsDep, database: DatabaseDep
) -> Response:
    """Keep the click id of the body in a first-party cookie and record the click, or forget both."""
    return response_to(capture(arrival_of(request, body), settings, database))


@router.options(
    "/capture",
    summary="Ask whether a page may call",
    status_code=204,
    response_class=Response,
    responses={204: {"description": "It may."}, 403: STRANGER},
)
def options_capture(request: Request, settings: SettingsDep) -> Response:
    """Answer the preflight request that browsers send before JSON goes to another origin."""
    return response_to(preflight(arrival_of(request), settings))

"""`/capture` and `/handoff` over HTTP: raw calls go to the verbs, their answers go back. Public, without a key."""

from time import time
from typing import Any, Final

from fastapi import APIRouter, Response

from app.clicks.capture import Arrival, capture, preflight
from app.clicks.handoff import handoff
from app.clicks.landing import MAX_BODY
from app.clicks.limiter import RateLimit, RateLimited
from app.clicks.redirect import MAX_TARGET
from app.errors import PROBLEM_JSON
from app.impact.limits import CLICK_ID
from app.metrics import count_landing
from app.thin import Answer, Call, ThinRoute
from app.web import PROBLEM_SCHEMA

router = APIRouter(tags=["Capture"], route_class=ThinRoute)


def arrival_of(call: Call, body: bytes = b"") -> Arrival:
    """Return the call without anything of the server's."""
    scope = call.scope
    return Arrival(scope["method"], scope["scheme"], scope["query_string"], call.headers(), body, int(time()))


async def limited(call: Call, limit: RateLimit) -> RateLimited | None:
    """Count the call against its client; return the refusal if it is one too many."""
    return await limit.over(call.client, time())


async def _answer(call: Call, body: bytes = b"") -> Answer:
    state = call.state
    refused = await limited(call, state.rate_limit) if state.rate_limit else None
    done = capture(arrival_of(call, body), state.settings, refused)
    count_landing(done.outcome)
    if done.note is not None:
        await state.keep(done.note)
    return done.answer


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
async def get_capture(call: Call) -> Answer:
    """Keep the click id of the query in a first-party cookie and record the click."""
    return await _answer(call)


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
async def post_capture(call: Call) -> Answer:
    """Keep the click id of the body in a first-party cookie and record the click, or forget both."""
    return await _answer(call, await call.body(MAX_BODY))


@router.options(
    "/capture",
    summary="Ask whether a page may call",
    status_code=204,
    response_class=Response,
    responses={204: {"description": "It may."}, 403: STRANGER},
)
async def options_capture(call: Call) -> Answer:
    """Answer the preflight request that browsers send before JSON goes to another origin."""
    return preflight(arrival_of(call), call.state.settings)


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
async def get_handoff(call: Call) -> Answer:
    """Redirect a visitor; on the way to a linked domain of another site the click of the cookies goes along."""
    state = call.state
    refused = await limited(call, state.rate_limit) if state.rate_limit else None
    return handoff(arrival_of(call), state.settings, limited=refused is not None)

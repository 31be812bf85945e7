"""HTTP of orders."""

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal
from urllib.parse import unquote_to_bytes

from fastapi import APIRouter, Depends, Header, Path, Query, Response

from app.config import DEFAULT_EVENT_TYPE
from app.conversions.credit_body import CreditBody, read_credit
from app.conversions.order import is_order_id
from app.conversions.order_body import OrderBody
from app.database import DatabaseDep
from app.errors import NotFound
from app.ledger import intake
from app.ledger.collect import collect
from app.ledger.evidence import Evidence, as_text
from app.ledger.explain import explain
from app.ledger.explanation import Explanation
from app.ledger.intake_table import accept_table
from app.ledger.orders import OrderDetail, OrderPage, find_order, list_orders
from app.ledger.revise import attribute, replace_order
from app.ledger.state import OrderState
from app.security import Right, authorise, key_of, requires
from app.thin import Answer, Call, thin
from app.web import MIB, Cursor, Now, SettingsDep, limited_body, problems

router = APIRouter(tags=["orders"])

BODY_LIMIT: Final = MIB
BULK_LIMIT: Final = 16 * MIB
_IS_JSON: Final = (b"content-type", b"application/json")


def _order_schema() -> dict[str, Any]:
    """Return the schema of a body in one piece, since a route cannot add to the document's components."""
    schema = OrderBody.model_json_schema()
    parts = schema.pop("$defs")
    schema["properties"]["items"]["items"] = parts["ItemBody"]
    schema["properties"]["parent"]["anyOf"][0] = parts["ParentBody"]
    return schema


_ORDER_BODY: Final[dict[str, Any]] = {
    "requestBody": {"required": True, "content": {"application/json": {"schema": _order_schema()}}}
}
_REPLAYED: Final[dict[int | str, dict[str, Any]]] = {
    200: {"model": OrderDetail, "description": "The same order again."}
}
_CREDIT_BODY: Final[dict[str, Any]] = {
    "requestBody": {"required": True, "content": {"application/json": {"schema": CreditBody.model_json_schema()}}}
}
_BULK_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/x-ndjson": {"schema": {"type": "string", "description": "One order per line."}},
            "text/csv": {"schema": {"type": "string", "description": "impact.com's item-level or order-level layout."}},
        },
    }
}
_BULK_ANSWER: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "One line per line: `order_id`, `status`, and `problem` if there is one; of a CSV file one per"
        " order, with the `line` at which it begins.",
        "content": {"application/x-ndjson": {"schema": {"type": "string"}}},
    }
}


def order_id_in_path(
    order_id: Annotated[str, Path(description="Percent-encoded once; a slash in it as %2F.", min_length=1)],
) -> str:
    """Return the order id that the path names. Raises NotFound if no order can have it."""
    try:
        decoded = unquote_to_bytes(order_id).decode("utf-8")
    except UnicodeDecodeError:
        decoded = ""
    if not is_order_id(decoded):
        raise NotFound("No order can have this id.", code="ORDER_NOT_FOUND")
    return decoded


OrderId = Annotated[str, Depends(order_id_in_path)]


@thin(
    router,
    "POST",
    "/orders",
    status_code=201,
    dependencies=[Depends(requires(Right.ORDER))],  # for the document: a thin route sees to it itself
    openapi_extra=_ORDER_BODY,
    response_model=OrderDetail,
    responses={**_REPLAYED, **problems(401, 403, 409, 413, 422, 503)},
)
async def post_order(call: Call) -> Answer:
    """Record an order. It is durable before the answer; the same order again is answered 200 for ever."""
    authorise(key_of(call.headers().get(b"authorization", b"")), call.state.settings, Right.ORDER)
    body = await call.whole_body(BODY_LIMIT)
    accepted = await call.state.intake.accept(body, datetime.now(UTC))
    return Answer(accepted.status, [_IS_JSON, *accepted.headers], accepted.content)


@router.post(
    "/orders/bulk",
    dependencies=[Depends(requires(Right.ORDER))],
    openapi_extra=_BULK_BODY,
    response_class=Response,
    responses=_BULK_ANSWER | problems(401, 403, 413, 422, 503),
)
def post_orders(
    body: Annotated[bytes, Depends(limited_body(BULK_LIMIT))],
    database: DatabaseDep,
    settings: SettingsDep,
    now: Now,
    content_type: Annotated[str, Header(include_in_schema=False)] = "",
) -> Response:
    """Record up to 10,000 lines of orders, one a line (NDJSON), or CSV (`text/csv`). A bad order stops no other."""
    is_table = content_type.partition(";")[0].strip().lower() == "text/csv"
    accept = accept_table if is_table else intake.accept_many
    answers = accept(database, settings, body, now)
    return Response(answers, media_type="application/x-ndjson")


@router.put(
    "/orders/{order_id}",
    dependencies=[Depends(requires(Right.ORDER))],
    openapi_extra=_ORDER_BODY,
    responses=problems(401, 403, 404, 409, 413, 422, 503),
)
def put_order(
    order_id: OrderId,
    body: Annotated[bytes, Depends(limited_body(BODY_LIMIT))],
    response: Response,
    database: DatabaseDep,
    settings: SettingsDep,
    now: Now,
    event_type: str | None = None,
) -> OrderDetail:
    """Replace an order of which nothing has left. Its history is kept; the same again changes nothing."""
    order = intake.read_replacement(body, order_id, settings, now)
    revised = replace_order(database, settings, event_type, order, now)
    if revised.unchanged:
        response.headers["Idempotent-Replayed"] = "true"
    return revised.view


@router.put(
    "/orders/{order_id}/attribution",
    dependencies=[Depends(requires(Right.ORDER))],
    openapi_extra=_CREDIT_BODY,
    responses=problems(401, 403, 404, 409, 413, 422, 503),
)
def put_attribution(
    order_id: OrderId,
    body: Annotated[bytes, Depends(limited_body(BODY_LIMIT))],
    database: DatabaseDep,
    settings: SettingsDep,
    now: Now,
    event_type: str = DEFAULT_EVENT_TYPE,
) -> OrderDetail:
    """Say whom an order of which nothing has left is credited to. A held order goes with the next export then.

    What is not named stays as it is, and null takes it away.
    """
    named = read_credit(body, intake.rules(settings), now)
    return attribute(database, settings, (event_type, order_id), named, now)


@router.get(
    "/orders",
    dependencies=[Depends(requires(Right.READ, Right.ORDER))],
    responses=problems(401, 403, 422, 503),
)
def get_orders(
    database: DatabaseDep, settings: SettingsDep, state: OrderState | None = None, after: Cursor = 0
) -> OrderPage:
    """List orders in the order of recording, 100 to a page."""
    with database.snapshot() as session:
        return list_orders(session, settings, state, after)


@router.get(
    "/orders/{order_id}",
    dependencies=[Depends(requires(Right.READ, Right.ORDER))],
    responses=problems(401, 403, 404, 422, 503),
)
def get_order(
    order_id: OrderId, database: DatabaseDep, settings: SettingsDep, event_type: str = DEFAULT_EVENT_TYPE
) -> OrderDetail:
    """Say what an order is as it stands, where it is, and what was corrected."""
    with database.snapshot() as session:
        return find_order(session, settings, event_type, order_id)


@router.get(
    "/orders/{order_id}/explanation",
    dependencies=[Depends(requires(Right.READ, Right.ORDER))],
    responses=problems(401, 403, 404, 422, 503),
)
def get_explanation(
    order_id: OrderId, database: DatabaseDep, settings: SettingsDep, now: Now, event_type: str = DEFAULT_EVENT_TYPE
) -> Explanation:
    """Say why an order was credited or not, step by step, and what can still be done."""
    with database.snapshot() as session:
        return explain(session, settings, (event_type, order_id), now)


_EVIDENCE: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "A file, as text or with `?format=json` as JSON.",
        "content": {"text/plain": {"schema": {"type": "string"}}},
        "model": Evidence,
    }
}


@router.get(
    "/orders/{order_id}/evidence",
    dependencies=[Depends(requires(Right.READ, Right.ORDER))],
    response_class=Response,
    responses=_EVIDENCE | problems(401, 403, 404, 422, 503),
)
def get_evidence(
    order_id: OrderId,
    database: DatabaseDep,
    settings: SettingsDep,
    now: Now,
    event_type: str = DEFAULT_EVENT_TYPE,
    form: Annotated[Literal["text", "json"], Query(alias="format")] = "text",
) -> Response:
    """Return what is on record of an order as a file for a partner's claim: nothing in it tells who the customer is."""
    with database.snapshot() as session:
        told = collect(session, settings, (event_type, order_id), now)
    is_json = form == "json"
    name = f"evidence-{re.sub('[^A-Za-z0-9._-]', '_', order_id)}.{'json' if is_json else 'txt'}"
    headers = {
        "Content-Disposition": f'attachment; filename="{name}"',
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
    }
    content = told.model_dump_json(indent=2) if is_json else as_text(told)
    return Response(content, media_type="application/json" if is_json else "text/plain", headers=headers)

"""HTTP of corrections: modifications, reversals and refunds of orders."""

import re
from collections.abc import Callable
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Header, Path, Response
from pydantic import AfterValidator, BaseModel, Field
from pydantic_core import PydanticCustomError

from app.config import DEFAULT_EVENT_TYPE
from app.conversions.correction_body import BODIES
from app.conversions.wish import Kind
from app.database import DatabaseDep
from app.errors import NotFound
from app.ledger.correction_answer import CorrectionAnswer
from app.ledger.corrections import Answered, Request, accept, unknown_order
from app.ledger.order_routes import BODY_LIMIT, order_id_in_path
from app.security import Right, requires
from app.web import Now, SettingsDep, limited_body, problems

router = APIRouter(tags=["corrections"])

Body = Annotated[bytes, Depends(limited_body(BODY_LIMIT))]
_KEY: Final = r"^[!-~]{1,255}$"


def _key(value: str) -> str:
    if not re.fullmatch(_KEY, value):
        raise PydanticCustomError("key", "An Idempotency-Key has 1 to 255 visible characters of ASCII, and no blank")
    return value


IdempotencyKey = Annotated[
    Annotated[str, AfterValidator(_key), Field(json_schema_extra={"pattern": _KEY})] | None,
    Header(
        description="A name of your own for this correction of this order: the same call again gets the first answer."
    ),
]


Route = Callable[..., Response]


def corrected_order(order_id: Annotated[str, Path(description="Percent-encoded once; a slash in it as %2F.")]) -> str:
    """Return the order id that the path names. Raises NotFound if no order can have it."""
    try:
        return order_id_in_path(order_id)
    except NotFound:
        raise unknown_order() from None


CorrectedOrder = Annotated[str, Depends(corrected_order)]


def _body(kind: Kind) -> dict[str, Any]:
    """Return the schema of a body in one piece, since a route cannot add to the document's components."""
    model: type[BaseModel] = BODIES[kind]
    schema = model.model_json_schema()
    [item] = schema.pop("$defs").values()
    items = schema["properties"]["items"]
    for one in (items, *items.get("anyOf", ())):
        if "items" in one:
            one["items"] = item
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def _accepted(kind: Kind) -> Any:
    """Return the dependency that records a correction of this kind."""

    def answered(
        order_id: CorrectedOrder,
        body: Body,
        database: DatabaseDep,
        settings: SettingsDep,
        now: Now,
        event_type: str = DEFAULT_EVENT_TYPE,
        idempotency_key: IdempotencyKey = None,
    ) -> Answered:
        return accept(database, settings, Request(event_type, order_id, kind, body, idempotency_key), now)

    return Depends(answered)


def _post(kind: Kind) -> Callable[[Route], Route]:
    return router.post(
        f"/orders/{{order_id}}/{kind.value}s",
        status_code=202,
        dependencies=[Depends(requires(Right.ORDER))],
        openapi_extra=_body(kind),
        response_model=CorrectionAnswer,
        responses=problems(401, 403, 404, 409, 413, 422, 503),
    )


def _response(answered: Answered) -> Response:
    headers = {"Idempotent-Replayed": "true"} if answered.replayed else None
    return Response(answered.content, 202, headers, media_type="application/json")


@_post(Kind.MODIFICATION)
def post_modification(answered: Annotated[Answered, _accepted(Kind.MODIFICATION)]) -> Response:
    """Give lines of an order, or the order, new final values."""
    return _response(answered)


@_post(Kind.REVERSAL)
def post_reversal(answered: Annotated[Answered, _accepted(Kind.REVERSAL)]) -> Response:
    """Leave nothing of some lines, or of the whole order."""
    return _response(answered)


@_post(Kind.REFUND)
def post_refund(answered: Annotated[Answered, _accepted(Kind.REFUND)]) -> Response:
    """Say what was given back; the new final values are worked out here."""
    return _response(answered)

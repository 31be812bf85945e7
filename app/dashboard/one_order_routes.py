"""HTTP of the page of one order, and of saying whom it is credited to."""

from typing import Annotated, Final

import orjson
from fastapi import Query, Response

from app.conversions.credit_body import read_credit
from app.conversions.order import MAX_ORDER_ID
from app.dashboard.credit import FIELDS, changed, faults_of
from app.dashboard.desk import DeskDep
from app.dashboard.forms import Form, Posted
from app.dashboard.links import order_path
from app.dashboard.order_page import Tried, order_page
from app.dashboard.pages import page_router
from app.errors import Conflict, InvalidInput
from app.ledger.collect import collect
from app.ledger.evidence import as_text, file_name
from app.ledger.intake import rules
from app.ledger.order_routes import OrderId
from app.ledger.revise import attribute
from app.security import Right

router = page_router()

OrderIdInQuery = Annotated[str, Query(min_length=1, max_length=MAX_ORDER_ID)]
DONE: Final = {"credited": "Done. Whom it is credited to is on record."}
"""What was done before the page is shown again."""


@router.get("/orders/{event_type}/{order_id}")
def get_order(desk: DeskDep, event_type: str, order_id: OrderId, done: str = "") -> Response:
    """Show one order."""
    return order_page(desk, (event_type, order_id), done=DONE.get(done))


@router.get("/orders/{event_type}")
def get_order_by_query(
    desk: DeskDep,
    event_type: str,
    order_id: OrderIdInQuery,
    done: str = "",
) -> Response:
    """Show one order whose id a browser would take for a step of the path."""
    return order_page(desk, (event_type, order_id), done=DONE.get(done))


@router.get("/evidence")
def get_evidence(desk: DeskDep, event_type: str, order_id: OrderIdInQuery) -> Response:
    """Return what is on record of an order as a file for a partner's claim, which does not tell who the customer is."""
    with desk.database.snapshot() as session:
        told = collect(session, desk.settings, (event_type, order_id), desk.now)
    headers = {"Content-Disposition": f'attachment; filename="{file_name(order_id, "txt")}"'}
    return Response(as_text(told), media_type="text/plain", headers=headers)


@router.post("/release")
def post_release(desk: DeskDep, form: Posted) -> Response:
    """Credit an order as the form says; a held one leaves with the next export then."""
    desk.require(Right.ORDER)
    key = form.get("event_type"), form.get("order_id")
    try:
        named = read_credit(orjson.dumps(changed(form.get)), rules(desk.settings), desk.now)
        order = attribute(desk.database, desk.settings, key, named, desk.now)
    except InvalidInput as invalid:
        return order_page(desk, key, tried=Tried(_typed(form), faults_of(invalid), invalid.status))
    except Conflict as refused:
        return order_page(desk, key, tried=Tried(_typed(form), {"": str(refused)}, refused.status))
    return desk.go_to(order_path(order.event_type, order.order_id, done="credited"))


def _typed(form: Form) -> dict[str, str]:
    return {name: form.get(name) for name in FIELDS}

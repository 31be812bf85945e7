"""HTTP of the list of orders: finding them by what they have in common, and by what a person has in hand."""

from http import HTTPStatus
from typing import Final

from fastapi import Response

from app.dashboard import asked as asking
from app.dashboard.asked import Asked
from app.dashboard.desk import Desk, DeskDep
from app.dashboard.forms import Posted
from app.dashboard.links import HOME, with_query
from app.dashboard.meanings import ORDERS, reasons
from app.dashboard.pages import is_part, page_router
from app.ledger.search import Found, Wanted, search
from app.web import Cursor

router = page_router()

ORDERS_PATH: Final = f"{HOME}/orders"


@router.get("/orders")
def get_orders(desk: DeskDep, after: Cursor = 0) -> Response:
    """List orders, the newest first, by what they have in common."""
    given = desk.request.query_params
    asked = asking.read(lambda name: "" if name == "text" else given.get(name, ""))
    return _listed(desk, asked, after)


@router.get("/orders/search")
def get_search(desk: DeskDep) -> Response:
    """Begin anew: what was looked for is in no address, so that it cannot be shown again."""
    return desk.go_to(ORDERS_PATH)


@router.post("/orders/search")
def post_search(desk: DeskDep, form: Posted) -> Response:
    """Find orders by a text that stands in no address; without one, the address has it all."""
    asked = asking.read(form.get)
    if asked.text:
        return _found(desk, asked, asking.cursor(form.get("after")))
    if is_part(desk.request):
        return _listed(desk, asked, 0)
    return desk.go_to(with_query(ORDERS_PATH, **asked.filters))


def _listed(desk: Desk, asked: Asked, after: int) -> Response:
    """Return orders by their filters; a page's script gives the address that shows them again."""
    response = _found(desk, asked, after)
    if is_part(desk.request):
        response.headers["HX-Push-Url"] = with_query(ORDERS_PATH, **asked.filters, after=after or None)
    return response


def _found(desk: Desk, asked: Asked, after: int) -> Response:
    faults = asked.faults()
    found = Found(items=[], next=None, searched_up_to=None)
    if not faults:
        wanted = Wanted(
            text=asked.text or None,
            state=asked.order_state,
            reason=asked.reason or None,
            first=asked.first_day,
            last=asked.last_day,
            event_type=asked.event_type or None,
        )
        with desk.database.snapshot() as session:
            found = search(session, desk.settings, wanted, after or None)
    values = {"asked": asked, "after": after, "found": found, "faults": faults, "states": ORDERS, "reasons": reasons()}
    status = HTTPStatus.UNPROCESSABLE_ENTITY if faults else HTTPStatus.OK
    return desk.page("orders.html", status, event_types=desk.settings.event_type_keys, **values)

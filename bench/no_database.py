"""`POST /orders` without a database: the service's own reading, rules and answer, and a writer that keeps nothing.

What the route costs beyond the database is the ceiling of any way to write. Nothing of the service is patched: its
parts are put together here as the service does it, and `keep_nothing` stands where orders are recorded.
"""

from http import HTTPStatus
from typing import Annotated

from fastapi import Depends, FastAPI, Response

from app.conversions.order import Order
from app.conversions.order_body import read_order
from app.ledger.intake import Accepted, rules
from app.ledger.order_routes import BODY_LIMIT
from app.ledger.orders import OrderView, show_new
from app.security import Right, requires
from app.service import assemble
from app.web import Now, RequestLog, SettingsDep, install_refusals, limited_body


def keep_nothing(order: Order) -> Order:
    """Stand where an order is recorded: it counts as new, and is forgotten."""
    return order


def post_order(
    body: Annotated[bytes, Depends(limited_body(BODY_LIMIT))], settings: SettingsDep, now: Now, response: Response
) -> OrderView:
    """Answer an order as the service answers a new one."""
    order = keep_nothing(read_order(body, rules(settings), now))
    accepted = Accepted(HTTPStatus.CREATED, show_new(settings, order, now))
    response.headers.update(accepted.headers)
    return accepted.order


def create() -> FastAPI:
    """Return the application, its settings from the environment as the service's are."""
    service = assemble()
    app = FastAPI()
    app.state.settings = service.settings
    app.state.stopping = service.stopping.is_set
    app.get("/", status_code=204, response_class=Response)(lambda: None)
    app.post("/orders", status_code=201, dependencies=[Depends(requires(Right.ORDER))])(post_order)
    app.add_middleware(RequestLog)
    install_refusals(app)
    return app

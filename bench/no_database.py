"""`POST /orders` without a database: the service's own reading, rules and answer, and a writer that keeps nothing.

What the route costs beyond the database is the ceiling of any way to write. Nothing of the service is patched: it is
the service itself, whose intake hands its orders to somebody else.
"""

from datetime import datetime

from fastapi import FastAPI, Response

from app.conversions.order import Order
from app.conversions.record import Outcome, Result
from app.ledger.intake import Intake
from app.main import create_app
from app.service import assemble


async def keep_nothing(order: Order, now: datetime) -> Result:
    """Stand where orders are recorded: each counts as new, and is forgotten."""
    return Result(order, Outcome.NEW, 1, now)


def create() -> FastAPI:
    """Return the application, its settings from the environment as the service's are."""
    service = assemble()
    app = create_app(service, with_worker=False)
    app.state.intake = Intake(service.settings, service.database, keep_nothing)
    app.get("/", status_code=204, response_class=Response)(lambda: None)  # by which a peer shows that it has started
    return app

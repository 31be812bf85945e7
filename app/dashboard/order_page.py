"""The page of one order: its life, its explanation, and whom it is credited to."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

from fastapi import Response

from app.conversions.order import OrderKey
from app.dashboard.credit import FIELDS
from app.dashboard.desk import Desk
from app.dashboard.life import line_of
from app.dashboard.meanings import HOLDS, ORDERS
from app.errors import NotFound
from app.ledger.explain import explain
from app.ledger.orders import find_order
from app.ledger.revise import CHANGEABLE
from app.ledger.state import OrderState
from app.security import Right

MOST_ITEMS: Final = 100
"""As many items of an order are shown; the page stays light."""
CREDITABLE: Final = CHANGEABLE | {OrderState.REJECTED}
"""The states in which an order may be credited otherwise; whether it may in fact is found out by whoever does it."""


@dataclass(frozen=True, slots=True)
class Tried:
    """What was typed into the form of an order, and what is wrong with it by field."""

    typed: Mapping[str, str] = field(default_factory=dict)
    faults: Mapping[str, str] = field(default_factory=dict)
    status: HTTPStatus = HTTPStatus.OK


NOTHING_TRIED: Final = Tried()


def order_page(desk: Desk, key: OrderKey, *, done: str | None = None, tried: Tried = NOTHING_TRIED) -> Response:
    """Return the page of an order; `done` says what was done to it just now. Raises NotFound."""
    with desk.database.snapshot() as session:
        try:
            told = explain(session, desk.settings, key, desk.now)
        except NotFound as missing:
            detail = "No order with this id is recorded for this event type. Look for it under Orders, which has all."
            raise NotFound(detail) from missing
        order = find_order(session, desk.settings, *key)
    return desk.page(
        "order.html",
        tried.status,
        order=order,
        told=told,
        line=line_of(told.steps, order.state),
        states=ORDERS,
        holds=HOLDS,
        fields=FIELDS,
        is_creditable=order.state in CREDITABLE,
        may_credit=desk.visitor.may(Right.ORDER),
        tried=tried,
        done=done,
        most_items=MOST_ITEMS,
    )

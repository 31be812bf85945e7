"""An order as it is shown: what it said, and where it is."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any, Final, Self

import orjson
from pydantic import BaseModel, Field
from sqlmodel import Session

from app.batches.batch import AgeLimit, expires_at
from app.batches.build import age_limit
from app.config import Settings
from app.conversions import corrections_store as corrections
from app.conversions import store as conversions
from app.conversions.order import NO_ATTRIBUTION, PARENT_NOT_DELIVERED, Order
from app.conversions.store import Recorded
from app.conversions.wish import Kind
from app.errors import NotFound
from app.impact.currency import format_amount
from app.ledger import corrections_store, store
from app.ledger.actions import ActionView, find_action
from app.ledger.state import CorrectionState, OrderState
from app.ledger.store import Whereabouts
from app.strict_json import unusable
from app.submissions.listing import SubmissionView, reasons_of, submissions_of_revision
from app.submissions.reason_view import ReasonView
from app.submissions.store import objections_to_corrections, objections_to_orders

Money = Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+)?$", description="Decimal text with the currency's decimals.")]


class ItemView(BaseModel):
    """One line of an order; `line` is its line number in the batch's file, the header being line 1."""

    sku: str
    category: str
    quantity: int
    amount: Money
    extra: dict[str, str]
    line: int | None


class BatchRef(BaseModel):
    """The batch that an order is in."""

    id: str
    filename: str
    first_line: int


class ParentRef(BaseModel):
    """The order that a chained action follows."""

    event_type: str
    order_id: str


class OrderView(BaseModel):
    """An order and where it is. `reason` and `detail` explain held and expired; `hold_reason` is only for held."""

    order_id: str
    event_type: str
    state: OrderState
    hold_reason: str | None
    reason: str | None
    detail: str | None
    attributed_by: str | None
    event_date: str
    expires_at: datetime
    currency: str
    amount: Money
    click_id: str | None
    promo_code: str | None
    media_id: str | None
    customer_id: str | None
    customer_status: str | None
    extra: dict[str, str]
    parent: ParentRef | None
    items: list[ItemView]
    revision: int
    recorded_at: datetime
    batch: BatchRef | None


class CorrectionView(BaseModel):
    """A correction of an order, and where it is; `filename` where it has left with a file.

    `reasons` are those for which impact.com has not taken it, or some lines of it.
    """

    number: int
    kind: Kind
    reason: str
    recorded_at: datetime
    occurred_at: datetime | None
    state: CorrectionState
    hold_reason: str | None
    filename: str | None
    reasons: list[ReasonView]


class OrderDetail(OrderView):
    """An order and its newest 100 corrections; their numbers count from 1.

    `locks_at` is when impact.com locks it: as it says itself, else by the event type's rule. `action_id` is its own
    name for it, `action` what it said of it last. `reasons` say why it was not taken, or not whole; `submissions` are
    what impact.com shows of it, or of its file.
    """

    locks_at: datetime | None
    action_id: str | None
    action: ActionView | None
    reasons: list[ReasonView]
    submissions: list[SubmissionView]
    corrections: list[CorrectionView]


class OrderPage(BaseModel):
    """A page of orders; `next` is what to give as `after` for the next one."""

    items: list[OrderView]
    next: str | None

    @classmethod
    def of(cls, views: Sequence[OrderView], revision_ids: Sequence[int]) -> Self:
        """Cut a page from one view more than it holds."""
        more = len(revision_ids) > store.PAGE
        return cls(items=list(views[: store.PAGE]), next=str(revision_ids[store.PAGE - 1]) if more else None)


def find_order(session: Session, settings: Settings, event_type: str, order_id: str) -> OrderDetail:
    """Return one order with its corrections. Raises NotFound."""
    return show_one(session, settings, find_conversion(session, event_type, order_id))


def find_conversion(session: Session, event_type: str, order_id: str) -> int:
    """Return the id under which an order is recorded. Raises NotFound."""
    conversion_id = None if unusable(event_type + order_id) else store.find_order(session, event_type, order_id)
    if conversion_id is None:
        detail = "No order with this id is recorded for this event type; ?event_type=KEY names another one."
        raise NotFound(detail, code="ORDER_NOT_FOUND")
    return conversion_id


def list_orders(session: Session, settings: Settings, state: OrderState | None, after: int) -> OrderPage:
    """Return a page of orders in the order of recording."""
    revision_ids = store.page(session, state, after)
    return OrderPage.of(show(session, settings, revision_ids), revision_ids)


def show_one(session: Session, settings: Settings, conversion_id: int) -> OrderDetail:
    """Return an order with its corrections."""
    [newest] = store.newest_revisions(session, [conversion_id])
    [view] = show(session, settings, [newest])
    known = settings.event_type(view.event_type)
    action_id = corrections_store.action_of(session, conversion_id)
    action = find_action(session, conversion_id, action_id)
    by_rule = known.locks_at(datetime.fromisoformat(view.event_date)) if known else None
    return OrderDetail(
        **dict(view),
        locks_at=(action and action.locks_at) or by_rule,
        action_id=action_id,
        action=action,
        reasons=reasons_of(objections_to_orders(session, [newest]).get(newest, ())),
        submissions=submissions_of_revision(session, settings, newest),
        corrections=_corrections(session, conversion_id),
    )


def show(session: Session, settings: Settings, revision_ids: Sequence[int]) -> list[OrderView]:
    """Return the views of revisions, by ascending id."""
    places = store.whereabouts(session, revision_ids)
    recorded = conversions.load(session, revision_ids)
    limit = age_limit(settings)
    return [
        OrderView(**_facts(one.order, one.number, one.recorded_at, places[one.revision_id], limit))
        for one in _as_they_are(session, recorded, places)
    ]


def _as_they_are(
    session: Session, recorded: Sequence[Recorded], places: Mapping[int, Whereabouts]
) -> Iterator[Recorded]:
    """Yield orders with what corrections have left of them."""
    truths = corrections.truths(session, [one.conversion_id for one in recorded])
    lines = corrections.lines_of(session, list(truths.values())) if truths else {}
    for one in recorded:
        if places[one.revision_id].cancelled:
            yield replace(one, order=one.order.with_lines((0, 0, item.category) for item in one.order.items))
        elif one.conversion_id in truths:
            left = lines[truths[one.conversion_id]]
            yield replace(one, order=one.order.with_lines((line.quantity, line.amount, line.category) for line in left))
        else:
            yield one


def _corrections(session: Session, conversion_id: int) -> list[CorrectionView]:
    rows = corrections_store.corrections_of(session, conversion_id)
    ids = [row.id for row in rows]
    places = corrections_store.places(session, conversion_id, ids) if rows else {}
    objections = objections_to_corrections(session, ids) if rows else {}
    return [
        CorrectionView(
            number=row.number,
            kind=Kind(row.kind),
            reason=row.reason,
            recorded_at=row.recorded_at,
            occurred_at=row.occurred_at,
            state=places[row.id].state,
            hold_reason=places[row.id].hold_reason,
            filename=places[row.id].filename,
            reasons=reasons_of(objections.get(row.id, ())),
        )
        for row in rows
    ]


def show_new(order: Order, limit: AgeLimit, now: datetime, locks_at: datetime | None = None) -> bytes:
    """Return the view of an order that was recorded this moment, in JSON, without the detour of a model."""
    facts = _facts(order, 1, now, _JUST_RECORDED[order.hold_reason], limit)
    facts["locks_at"] = locks_at
    facts.update(_NOT_CORRECTED)
    return orjson.dumps(facts, option=orjson.OPT_UTC_Z)


_NOT_CORRECTED: Final[dict[str, Any]] = {
    "action_id": None,
    "action": None,
    "reasons": [],
    "submissions": [],
    "corrections": [],
}
_JUST_RECORDED: Final = {
    reason: Whereabouts(hold_reason=reason) for reason in (None, NO_ATTRIBUTION, PARENT_NOT_DELIVERED)
}


def _facts(order: Order, revision: int, recorded_at: datetime, place: Whereabouts, limit: AgeLimit) -> dict[str, Any]:
    """Return the fields of an OrderView."""
    state = place.order_state
    reason = place.reason or place.hold_reason
    return {
        "order_id": order.order_id,
        "event_type": order.event_type,
        "state": state,
        "hold_reason": reason if state is OrderState.HELD else None,
        "reason": reason,
        "detail": place.detail,
        "attributed_by": order.attribution,
        "event_date": order.event_date.isoformat(),
        "expires_at": expires_at(order, limit),
        "currency": order.currency,
        "amount": format_amount(order.amount, order.currency),
        "click_id": order.click_id,
        "promo_code": order.promo_code,
        "media_id": order.media_id,
        "customer_id": order.customer_id,
        "customer_status": order.customer_status,
        "extra": order.extra,
        "parent": dict(zip(("event_type", "order_id"), order.parent, strict=True)) if order.parent else None,
        "items": _items(order, place),
        "revision": revision,
        "recorded_at": recorded_at,
        "batch": _batch(place),
    }


def _batch(place: Whereabouts) -> BatchRef | None:
    if place.batch_id is None or place.filename is None or place.first_line is None:
        return None
    return BatchRef(id=place.batch_id, filename=place.filename, first_line=place.first_line)


def _items(order: Order, place: Whereabouts) -> list[dict[str, Any]]:
    first, step = place.first_line, 0 if place.one_line else 1
    return [
        {
            "sku": item.sku,
            "category": item.category,
            "quantity": item.quantity,
            "amount": format_amount(item.amount, order.currency),
            "extra": item.extra,
            "line": None if first is None else first + step * position,
        }
        for position, item in enumerate(order.items)
    ]

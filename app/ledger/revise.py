"""Changing an order that impact.com has nothing of: it gets a new revision, and its history is kept.

Nothing of it has left, or impact.com has not taken what did, and nothing of it is under way.

The order is locked first, and then its wait: whoever else changes it, and the exporter, have come before or come
after. An export that had planned the revision before finds it gone and plans anew.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import quote

from sqlmodel import Session

from app.batches import modifications_store
from app.batches import store as batches
from app.batches.batch import AgeLimit, is_too_old
from app.batches.build import age_limit
from app.config import Settings
from app.conversions import corrections_store as corrections
from app.conversions import store as conversions
from app.conversions.chain import about_recorded_parent
from app.conversions.credit import credit_anew
from app.conversions.fingerprint import is_among
from app.conversions.order import Order
from app.conversions.store import Recorded
from app.database import Database, retried
from app.errors import Conflict, Fault, InvalidInput
from app.ledger import store
from app.ledger.orders import OrderDetail, find_conversion, find_order, show
from app.ledger.standing import as_it_stands
from app.ledger.state import OrderState
from app.submissions.store import order_verdicts
from app.submissions.submission import Verdict

CHANGEABLE: Final = frozenset({OrderState.PENDING, OrderState.HELD, OrderState.EXPIRED})
"""As long as nothing has left; an order that impact.com has not taken may be changed too."""


@dataclass(frozen=True, slots=True)
class Revised:
    """An order as it is now, and whether that is what it was before."""

    view: OrderDetail
    unchanged: bool


@dataclass(frozen=True, slots=True)
class _Newest:
    """What an order says now, and why it may not be changed, if it may not."""

    recorded: Recorded
    refusal: Conflict | None = None


@retried
def attribute(
    database: Database, settings: Settings, key: tuple[str, str], named: Mapping[str, str | None], now: datetime
) -> OrderDetail:
    """Credit an order by other ids than before; `named` are those that change. The same again changes nothing.

    Raises NotFound, and Conflict where it is too late for it.
    """
    with database.transaction() as session:
        newest = _lock(session, settings, key)
        before = newest.recorded.order
        after = credit_anew(before, named, settings.promo_codes)
        if newest.refusal and any(getattr(before, name) != value for name, value in named.items()):
            raise newest.refusal
        if not newest.refusal and after != before:
            _refuse_if_too_old(after, age_limit(settings), now)
            revise(session, newest.recorded, after, now)
        return find_order(session, settings, *before.key)


@retried
def replace_order(database: Database, settings: Settings, asked: str | None, order: Order, now: datetime) -> Revised:
    """Let an order say something else altogether, under the event type that it is recorded under.

    `asked` is the event type that the caller names beside the body. What the order says already changes nothing.
    Raises NotFound, InvalidInput if the body is of another event type, and Conflict where it is too late.
    """
    with database.transaction() as session:
        newest = _lock(session, settings, order.key)
        before, after = newest.recorded.order, order
        if asked is not None and asked not in {order.event_type, before.event_type}:
            raise InvalidInput(
                [Fault("EVENT_TYPE_MISMATCH", "This is not the event type that was asked for.", "/event_type")]
            )
        if after.event_type != before.event_type:
            after = replace(order, event_type=before.event_type, sent_as=order.fingerprint())
        said = store.fingerprint(session, newest.recorded.revision_id)
        unchanged = is_among(after.fingerprint(), {said}, settings.fingerprint_key)
        if not unchanged and newest.refusal:
            raise newest.refusal
        if not unchanged:
            _refuse_without_parent(session, after)
            revise(session, newest.recorded, after, now)
        return Revised(find_order(session, settings, *before.key), unchanged)


def _lock(session: Session, settings: Settings, key: tuple[str, str]) -> _Newest:
    """Return what an order says, which stays so until the transaction ends. Raises NotFound."""
    conversion_id = find_conversion(session, *key)
    conversions.lock(session, conversion_id)
    revision_ids = store.newest_revisions(session, [conversion_id])
    conversions.lock_wait(session, revision_ids[0])
    [recorded] = conversions.load(session, revision_ids)
    if store.is_cancelled(session, recorded.revision_id):
        return _Newest(recorded, _cancelled())
    verdict = order_verdicts(session, revision_ids).get(recorded.revision_id)
    if verdict is Verdict.REJECTED:
        return _rejected(session, recorded)
    [view] = show(session, settings, revision_ids)
    state = OrderState(verdict.value) if verdict else view.state
    return _Newest(recorded, None if state in CHANGEABLE else _has_left(recorded.order, state))


def _rejected(session: Session, recorded: Recorded) -> _Newest:
    """Return an order that impact.com has not taken, with what corrections have left of it."""
    order = as_it_stands(session, recorded)
    if not order.items:
        return _Newest(recorded, _reversed())
    recorded = replace(recorded, order=order)
    return _Newest(recorded, None if is_at_rest(session, recorded) else _under_way())


def is_at_rest(session: Session, recorded: Recorded) -> bool:
    """Say whether nothing of an order that has left is on its way, which stays so until the transaction ends.

    An export that is about to take a correction of it is waited for, and so is who sends its file again.
    """
    corrections.lock_waits(session, [recorded.conversion_id])
    batch = batches.batch_of(session, recorded.revision_id)
    if batch is not None:
        batches.lock_batch(session, batch.id)
    return not modifications_store.not_arrived(session, [recorded.conversion_id])


def revise(session: Session, before: Recorded, order: Order, now: datetime) -> int:
    """Let a revision take the place of the one before, of which no export says anything any more, and return it.

    It stands also for what was corrected since the one before had left.
    """
    conversions.withdraw(session, before.revision_id)
    batches.forget_omissions(session, [before.revision_id])
    new = {before.conversion_id: order}
    revision_id = conversions.add_revisions(session, new, number=before.number + 1, now=now)[before.conversion_id]
    corrections.replace_with(session, before.conversion_id, revision_id)
    return revision_id


def _refuse_without_parent(session: Session, order: Order) -> None:
    """Raise InvalidInput if the chain of an order would not hold."""
    fault = about_recorded_parent(order, conversions.customers(session, [order.parent] if order.parent else []))
    if fault:
        raise InvalidInput([fault])


def _cancelled() -> Conflict:
    return Conflict(
        "This order was reversed before it had left, and never leaves. If there was a sale after all, post it under an"
        " order id of its own.",
        code="ORDER_CANCELLED",
    )


def _reversed() -> Conflict:
    return Conflict(
        "impact.com has not taken this order, and it was reversed since: nothing of it is sent again. If there was a"
        " sale after all, post it under an order id of its own.",
        code="ORDER_CANCELLED",
    )


def _under_way() -> Conflict:
    return Conflict(
        "impact.com has not taken this order, and a file with it, or with a correction of it, is on its way again; once"
        " that has arrived, ask again.",
        code="ORDER_HAS_LEFT",
    )


def _has_left(order: Order, state: OrderState) -> Conflict:
    path = f"/orders/{quote(order.order_id, safe='')}"
    if state is OrderState.PARTLY_ACCEPTED:
        return Conflict(
            "impact.com has taken a part of this order, and would refuse it as CONV_DUPLICATE if it came again. What it"
            f" has of it you correct by POST {path}/modifications; have the rest added in impact.com's interface.",
            code="ORDER_HAS_LEFT",
        )
    return Conflict(
        f"This order is {state}: it stands in a file, and impact.com changes nothing of what it has but amounts,"
        f" quantities and categories. Those you correct by POST {path}/modifications or take back by POST"
        f" {path}/reversals; for another credit, ask impact.com.",
        code="ORDER_HAS_LEFT",
    )


def _refuse_if_too_old(order: Order, limit: AgeLimit, now: datetime) -> None:
    """Raise Conflict if the order would only expire."""
    if not is_too_old(order, limit, now):
        return
    helps = order.media_id is None and now - order.event_date <= timedelta(days=limit.days_with_media_id)
    raise Conflict(
        f"This order is older than the {limit.of(order).days} days for which impact.com takes it so."
        + (f" Name its media_id as well: with one it is taken for {limit.days_with_media_id} days." if helps else ""),
        code="ORDER_TOO_OLD",
    )

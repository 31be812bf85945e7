"""Collecting what is on record of an order for those who ask for proof. Reads by keys alone."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Row
from sqlmodel import Session

from app.config import Settings
from app.conversions import store as conversions
from app.conversions.store import Recorded
from app.database import only_by_keys
from app.delivery import store as deliveries
from app.impact.currency import format_amount
from app.ledger import explain_store as store
from app.ledger.evidence import (
    ActionEvidence,
    ClickEvidence,
    CorrectionEvidence,
    DeliveryEvidence,
    Evidence,
    ItemEvidence,
    SentEvidence,
    host_and_path,
    is_inside,
)
from app.ledger.explain import SOURCES, explain
from app.ledger.orders import OrderDetail, find_conversion, show_one
from app.submissions.listing import reasons_of
from app.submissions.store import Objection, objections_to_orders, order_verdicts

API: Final = "impact.com's API"


def collect(session: Session, settings: Settings, key: tuple[str, str], now: datetime) -> Evidence:
    """Return the evidence for an order. Raises NotFound."""
    only_by_keys(session)
    conversion_id = find_conversion(session, *key)
    view = show_one(session, settings, conversion_id)
    revisions = conversions.load(session, store.revisions(session, conversion_id))
    order, explanation = revisions[-1].order, explain(session, settings, key, now)
    click = store.click(session, order.click_id) if order.click_id is not None else None
    between = None if click is None else order.event_date - click.captured_at
    known = settings.event_type(view.event_type)
    return Evidence(
        made_at=now,
        order_id=view.order_id,
        event_type=view.event_type,
        campaign_id=known.campaign_id if known else None,
        action_tracker_id=known.action_tracker_id if known else None,
        credited=explanation.credited,
        summary=explanation.summary,
        order_time=order.event_date,
        recorded_at=revisions[0].recorded_at,
        attributed_by=view.attributed_by,
        click_id=view.click_id,
        promo_code=view.promo_code,
        media_id=view.media_id,
        click=_click(click),
        seconds_between=None if between is None else int(between.total_seconds()),
        window_days=settings.cookie_days,
        inside_window=None if between is None else is_inside(between, settings.cookie_days),
        currency=view.currency,
        amount=format_amount(order.amount, order.currency),
        amount_left=view.amount,
        items=_items(revisions[-1], view),
        sent=list(_sent(session, revisions)),
        action=None if view.action is None else ActionEvidence.model_validate(dict(view.action)),
        locks_at=view.locks_at,
        corrections=[CorrectionEvidence.model_validate(dict(one)) for one in view.corrections],
    )


def _click(row: Row[Any] | None) -> ClickEvidence | None:
    if row is None:
        return None
    return ClickEvidence(
        captured_at=row.captured_at,
        captured_by=SOURCES.get(row.source, row.source),
        landing_page=host_and_path(row.landing_url),
        consent=row.consent,
    )


def _items(newest: Recorded, view: OrderDetail) -> list[ItemEvidence]:
    return [
        ItemEvidence(
            sku=item.sku,
            category=item.category,
            quantity=item.quantity,
            amount=format_amount(item.amount, newest.order.currency),
            quantity_left=left.quantity,
            amount_left=left.amount,
        )
        for item, left in zip(newest.order.items, view.items, strict=True)
    ]


def _sent(session: Session, revisions: Sequence[Recorded]) -> Iterator[SentEvidence]:
    """Yield the files that the order was in, oldest first."""
    numbers = {one.revision_id: one.number for one in revisions}
    files = store.files(session, numbers)
    attempts = deliveries.attempts(session, [row.id for row in files])
    calls = {row.revision_id: row for row in store.calls(session, numbers)}
    verdicts, objections = order_verdicts(session, numbers), objections_to_orders(session, numbers)
    for row in files:
        verdict = verdicts.get(row.revision_id)
        yield SentEvidence(
            revision=numbers[row.revision_id],
            filename=row.filename,
            line=row.first_line,
            sha256=row.sha256,
            written_at=row.created_at,
            deliveries=_deliveries(attempts.get(row.id, []), calls.get(row.revision_id)),
            decision=verdict and verdict.value,
            reasons=reasons_of(_of(objections, row.revision_id)),
        )


def _of(objections: Mapping[int, Sequence[Objection]], revision_id: int) -> Sequence[Objection]:
    return objections.get(revision_id, ())


def _deliveries(attempts: Sequence[Row[Any]], call: Row[Any] | None) -> list[DeliveryEvidence]:
    """Return the attempts at a file, or the call where the order left by one."""
    if call is not None:
        at = call.ended_at or call.started_at
        return [DeliveryEvidence(at=at, channel=API, outcome=call.state)]
    return [
        DeliveryEvidence(at=one.ended_at or one.started_at, channel=one.channel, outcome=one.status) for one in attempts
    ]

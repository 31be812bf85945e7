"""Explaining an order: the records of every stage about it, as steps in plain sentences. Reads by keys alone."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote

from sqlalchemy import Row
from sqlmodel import Session

from app.clicks.click import GRANTED, IMPLIED
from app.config import DEFAULT_EVENT_TYPE, Settings
from app.conversions import store as conversions
from app.conversions.store import Recorded
from app.database import only_by_keys
from app.delivery import store as deliveries
from app.impact.currency import format_amount
from app.impact.outcomes import reason
from app.ledger import explain_store as store
from app.ledger.explanation import End, Explanation, Stage, Step, credited, summary, what_next
from app.ledger.orders import OrderDetail, find_conversion, show_one
from app.submissions.store import Objection, objections_to_orders, order_verdicts

SHOWN: Final = 10
"""So many attempts at a delivery are told of, the last ones, and so many places of a reason, the first ones."""
SOURCES: Final = {"get": "by /capture", "post": "by the script", "redirect": "by a redirect"}


_CONSENTS: Final = {
    GRANTED: " The page said that the visitor had consented.",
    IMPLIED: " The page said nothing of the visitor's consent.",
}


def explain(session: Session, settings: Settings, key: tuple[str, str], now: datetime) -> Explanation:
    """Say of an order why it was credited or not, and what can still be done. Raises NotFound."""
    only_by_keys(session)
    conversion_id = find_conversion(session, *key)
    view = show_one(session, settings, conversion_id)
    revisions = conversions.load(session, store.revisions(session, conversion_id))
    newest = revisions[-1]
    verdict = order_verdicts(session, [newest.revision_id]).get(newest.revision_id)
    objections = objections_to_orders(session, [one.revision_id for one in revisions])
    actions = store.actions(session, conversion_id)
    end = End(
        state=view.state,
        verdict=verdict,
        codes=[one.code for one in objections.get(newest.revision_id, ())],
        detail=view.detail,
        expires_at=view.expires_at,
        locks_at=(actions[-1].locks_at if actions else None) or view.locks_at,
        path=f"/orders/{quote(view.order_id, safe='')}",
        query="" if view.event_type == DEFAULT_EVENT_TYPE else f"?event_type={view.event_type}",
        batch_id=view.batch.id if view.batch else None,
        reversed=not any(item.quantity for item in view.items),
        action_state=actions[-1].state if actions else None,
    )
    steps = [
        *_click(session, settings, newest),
        *_on_its_way(session, revisions, objections),
        *_left_out(view),
        *_corrections(view),
        *map(_action, actions),
    ]
    return Explanation(
        order_id=view.order_id,
        event_type=view.event_type,
        credited=credited(end),
        summary=summary(end),
        steps=steps,
        next=what_next(end, now),
    )


# Before it leaves -------------------------------------------------------------------------------------------------


def _click(session: Session, settings: Settings, newest: Recorded) -> Iterator[Step]:
    order = newest.order
    if order.click_id is None:
        text = "The order names no click id: none was in the visitor's cookie."
        if newest.cleared:
            text = "What was personal in the order was removed since, its click id too, if it had one."
        yield Step(at=None, stage=Stage.CLICK, text=text)
        return
    row = store.click(session, order.click_id)
    if row is not None:
        text = f"Its click was captured {SOURCES.get(row.source, row.source)}."
        days = (order.event_date.astimezone(UTC) - row.captured_at).days
        if row.captured_at > order.event_date:
            text += " That was after the order."
        elif days > settings.cookie_days:
            text += f" That was {days} days before the order, and the cookie lives for {settings.cookie_days}."
        text += _CONSENTS.get(row.consent, "")
        yield Step(at=row.captured_at, stage=Stage.CLICK, text=text)
        return
    text = (
        f"Its click id is not among the captured ones: it was deleted at the visitor's wish or after"
        f" {settings.keep_clicks_days} days, or was captured elsewhere. The order keeps it all the same."
    )
    yield Step(at=None, stage=Stage.CLICK, text=text)


def _revision(one: Recorded) -> Step:
    order = one.order
    what = "Recorded" if one.number == 1 else f"Recorded anew, as revision {one.number}"
    amount = f"{format_amount(order.amount, order.currency)} {order.currency}"
    items = "1 item" if len(order.items) == 1 else f"{len(order.items)} items"
    by = f"credited by its {order.attribution}" if order.attribution else "with nobody to credit it to"
    if one.cleared and order.attribution is None:
        by = "by whom it was credited is not known any more"
    return Step(at=one.recorded_at, stage=Stage.ORDER, text=f"{what}: {items}, {amount}, {by}.")


def _left_out(view: OrderDetail) -> Iterator[Step]:
    """Tell of what keeps the order back."""
    if view.reason is not None:
        text = f"Left out as {view.state} ({view.reason}). {view.detail or ''}".strip()
        yield Step(at=None, stage=Stage.EXPORT, text=text)


# On its way -------------------------------------------------------------------------------------------------------


def _on_its_way(
    session: Session, revisions: Sequence[Recorded], objections: dict[int, list[Objection]]
) -> Iterator[Step]:
    """Tell of each revision, the file that it was in, what became of that, and what impact.com made of it."""
    revision_ids = [one.revision_id for one in revisions]
    files = {row.revision_id: row for row in store.files(session, revision_ids)}
    batches = [row.id for row in files.values()]
    attempts, results = deliveries.attempts(session, batches), store.results(session, batches)
    calls = {row.revision_id: row for row in store.calls(session, revision_ids)}
    submissions = store.submissions(session, batches, revision_ids)
    verdicts = order_verdicts(session, revision_ids)
    for revision in revisions:
        yield _revision(revision)
        row = files.get(revision.revision_id)
        if row is None:
            continue
        orders = "1 order" if row.orders == 1 else f"{row.orders} orders"
        text = f"Written to {row.filename}, from line {row.first_line} on, with {orders} in all."
        yield Step(at=row.created_at, stage=Stage.BATCH, text=text)
        yield from map(_attempt, attempts.get(row.id, [])[-SHOWN:])
        if row.revision_id in calls:
            yield _call(calls[row.revision_id])
        mine = [one for one in submissions if one.batch == row.id and one.revision_id in {None, row.revision_id}]
        yield from map(_submission, mine)
        known = results.get(row.id)
        if row.revision_id in verdicts:
            at = known.recorded_at if known is not None else mine[-1].recorded_at if mine else None
            yield _verdict(at, verdicts[row.revision_id].value, objections.get(row.revision_id, []))


def _attempt(row: Row[Any]) -> Step:
    told = f" {row.detail}" if row.detail else ""
    text = f"Attempt {row.number} by {row.channel}: {row.status}.{told}"
    return Step(at=row.ended_at or row.started_at, stage=Stage.DELIVERY, text=text)


def _call(row: Row[Any]) -> Step:
    told = f" {row.detail}" if row.detail else ""
    tries = "1 try" if row.tries == 1 else f"{row.tries} tries"
    doubt = " An earlier try may have arrived." if row.was_unknown and row.state != "unknown" else ""
    text = f"Call of impact.com's API, {row.type}: {row.state}, after {tries}.{told}{doubt}"
    return Step(at=row.ended_at or row.started_at, stage=Stage.DELIVERY, text=text)


def _submission(row: Row[Any]) -> Step:
    what = f"impact.com's submission {row.impact_id}" if row.impact_id else "impact.com's answer"
    counts = "" if row.total_errors is None else f", with {row.total_errors} errors in its file"
    return Step(
        at=row.completion_date or row.recorded_at, stage=Stage.SUBMISSION, text=f"{what} is {row.status}{counts}."
    )


def _verdict(at: datetime | None, verdict: str, objections: Sequence[Objection]) -> Step:
    told = _objections(objections)
    text = " ".join([f"impact.com's decision about it: {verdict.replace('_', ' ')}.", *told])
    return Step(at=at, stage=Stage.SUBMISSION, text=text)


def _objections(objections: Sequence[Objection]) -> Iterator[str]:
    """Tell of each reason once, with the first of the places that it stands at."""
    places: dict[str, list[str]] = {}
    for one in objections:
        place = [f"SKU {one.sku}"] if one.sku else []
        place += [f"line {one.line}"] if one.line else []
        places.setdefault(one.code, []).extend([", ".join(place)] if place else [])
    for code, found in places.items():
        more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
        at = f"{'; '.join(found[:SHOWN])}{more}: " if found else ""
        yield f"{at}{reason(code).sentence}"


# Afterwards -------------------------------------------------------------------------------------------------------


def _corrections(view: OrderDetail) -> Iterator[Step]:
    for one in view.corrections:
        text = f"Correction {one.number}, a {one.kind} ({one.reason}): {one.state.replace('_', ' ')}"
        text += f" ({one.hold_reason})" if one.hold_reason else ""
        text += f", in {one.filename}." if one.filename else "."
        told = (f"{each.code}: {each.meaning}. {each.what_to_do}." for each in one.reasons)
        yield Step(at=one.recorded_at, stage=Stage.CORRECTION, text=" ".join([text, *told]))


def _action(row: Row[Any]) -> Step:
    text = f"impact.com told of its action {row.action_id}: {row.state}"
    for name, amount in (("amount", row.amount), ("payout", row.payout)):
        if amount is not None and row.currency is not None:
            text += f", {name} {format_amount(amount, row.currency)} {row.currency}"
    if row.locks_at is not None:
        text += f", locks at {row.locks_at.isoformat(timespec='seconds')}"
    return Step(at=row.read_at, stage=Stage.ACTION, text=f"{text}.")

"""Which orders of a refused file are repaired, and the revisions in which those go that are sent again as they are."""

import csv
import io
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import groupby
from typing import Any

from sqlalchemy import Row
from sqlmodel import Session

from app.batches import modifications_store
from app.batches import store as batches
from app.batches.batch import AgeLimit, is_too_old, render
from app.batches.build import age_limit
from app.config import Settings
from app.conversions import corrections_store as corrections
from app.conversions import store as conversions
from app.conversions.order import Order
from app.conversions.store import Recorded
from app.event_type import EventType
from app.impact.columns import TRACKING_CONSENT
from app.impact.currency import DECIMALS
from app.ledger import store
from app.ledger.mending import Chosen, Later, Left, Refused, why_it_stays
from app.ledger.standing import as_it_stands
from app.ledger.store import Whereabouts
from app.submissions.store import objections_to_orders
from app.submissions.submission import Verdict

Lines = list[dict[str, str]]
"""What a file says of an order, by column; what is blank is left out."""


def choose_orders(
    session: Session,
    settings: Settings,
    batch: Row[Any],
    refused: Mapping[int, Verdict],
    named: Collection[str],
    now: datetime,
) -> Chosen:
    """Choose among revisions of a batch that impact.com has not taken, and let those wait that are sent again.

    Their orders are locked first: nobody changes them meanwhile, and no correction of them leaves.
    """
    recorded = conversions.load(session, list(refused))
    ids = [one.conversion_id for one in recorded]
    conversions.lock_all(session, ids)
    corrections.lock_waits(session, sorted(ids))
    batches.lock_batch(session, batch.id)
    newest, truths = conversions.newest_revisions(session, ids), corrections.truths(session, ids)
    places = store.whereabouts(session, list(newest.values()))
    under_way = modifications_store.not_arrived(session, ids)
    differing = _differing(batches.what_is_left_of(session, batch.id), recorded, settings, now)
    objections = objections_to_orders(session, list(refused))
    chosen, again = Chosen(), dict[int, tuple[Recorded, Order]]()
    for one in recorded:
        latest = newest[one.conversion_id]
        order = as_it_stands(session, one) if one.conversion_id in truths and latest == one.revision_id else one.order
        codes = [each.code for each in objections.get(one.revision_id, ())]
        why = why_it_stays(
            Refused(
                verdict=refused[one.revision_id],
                codes=codes,
                named=order.order_id in named,
                later=None if latest == one.revision_id else _later(places[latest]),
                differs=order.order_id in differing,
                nothing_left=not order.items,
                at_rest=one.conversion_id not in under_way,
                too_old=is_too_old(order, age_limit(settings), now),
            )
        )
        if why is not None:
            chosen.left.append(Left(order.order_id, why, codes))
        elif latest == one.revision_id:
            again[one.conversion_id] = one, order
        else:
            chosen.goes[latest] = order.order_id
    chosen.goes |= _revise(session, again, truths.keys(), now)
    return chosen


def _later(place: Whereabouts) -> Later:
    """Return what has become of a later revision."""
    held = place.detail or place.hold_reason or place.state
    return Later(filename=place.filename, held=held, cancelled=place.cancelled)


def _revise(
    session: Session, again: Mapping[int, tuple[Recorded, Order]], corrected: Collection[int], now: datetime
) -> dict[int, str]:
    """Give orders a new revision, as they stand by now, and return it with the order's id.

    One that says what the one before said is the same body.
    """
    added: dict[int, str] = {}
    by_number = sorted(again.values(), key=lambda one: one[0].number)
    for number, several in groupby(by_number, key=lambda one: one[0].number):
        orders = {before.conversion_id: _same_body(session, before, order) for before, order in several}
        revision_ids = conversions.add_revisions(session, orders, number=number + 1, now=now)
        added |= {revision_id: orders[conversion_id].order_id for conversion_id, revision_id in revision_ids.items()}
        for conversion_id in orders.keys() & corrected:
            corrections.replace_with(session, conversion_id, revision_ids[conversion_id])
    return added


def _same_body(session: Session, before: Recorded, order: Order) -> Order:
    if order != before.order:
        return order
    return replace(order, sent_as=store.fingerprint(session, before.revision_id))


# What has changed since -------------------------------------------------------------------------------------------


def _differing(content: bytes, recorded: Sequence[Recorded], settings: Settings, now: datetime) -> set[str]:
    """Return the orders of which a file would say something else now than it did, since settings have changed."""
    orders = [one.order for one in recorded if one.order.currency in DECIMALS]
    event_type = settings.event_type(orders[0].event_type) if orders else None
    if event_type is None:
        return set()
    before, after = _lines(content), _lines(_rendered(orders, event_type, age_limit(settings), now))
    return {order_id for order_id, lines in after.items() if lines != before.get(order_id)}


def _rendered(orders: Sequence[Order], event_type: EventType, limit: AgeLimit, now: datetime) -> bytes:
    return render("", orders, event_type, limit, now).content


def _lines(content: bytes) -> dict[str, Lines]:
    """Return the lines of each order of a file."""
    rows: Iterable[dict[str, str]] = csv.DictReader(io.StringIO(content.decode(), newline=""))
    said = ({column: value for column, value in row.items() if value and column != TRACKING_CONSENT} for row in rows)
    # What the click adds of its own is no setting, and goes with the click.
    return {order_id: list(lines) for order_id, lines in groupby(said, key=lambda row: row.get("OrderId", ""))}

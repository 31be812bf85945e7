"""How orders stand on record: what the shop has said is left of them, and what of that has arrived at impact.com."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Row
from sqlmodel import Session

from app.conversions import corrections_store
from app.conversions.order import NO_ATTRIBUTION
from app.ledger import reconcile_store as store
from app.ledger.reconciliation import Correction, Difference, Fate, Ours
from app.ledger.store import Whereabouts, whereabouts
from app.submissions.store import (
    Objection,
    correction_verdicts,
    objections_to_corrections,
    objections_to_orders,
)
from app.submissions.submission import Verdict


def read_ours(session: Session, rows: Sequence[Row[Any]]) -> Iterator[Ours]:
    """Yield what is on record of orders, given as their newest revisions."""
    ids = [row.id for row in rows]
    places, amounts = whereabouts(session, ids), store.amounts(session, ids)
    batches = store.batches_of(session, ids)
    arrived = store.arrivals(session, set(batches.values()))
    rejected = [one for one in ids if places[one].verdict not in {None, Verdict.ACCEPTED}]
    reasons = objections_to_orders(session, rejected)
    corrected = _corrections(session, [row.conversion_id for row in rows])
    for row in rows:
        place, at = places[row.id], arrived.get(batches.get(row.id, 0))
        fate = _fate(place)
        truth = None if fate is Fate.CANCELLED else amounts[row.id]
        ours = Ours(
            row.event_type,
            row.order_id,
            row.event_at.date(),
            row.currency,
            fate,
            since=at or row.recorded_at,
            changed_at=at or row.recorded_at,
            truth=truth,
            told=truth,
            reasons=_codes(reasons.get(row.id)) or tuple(filter(None, (place.reason or place.hold_reason,))),
        )
        yield corrected[row.conversion_id].applied(ours) if row.conversion_id in corrected else ours


def _codes(objections: Sequence[Objection] | None) -> tuple[str, ...]:
    """Return impact.com's codes, each once."""
    return tuple(dict.fromkeys(one.code for one in objections or ()))


def _fate(place: Whereabouts) -> Fate:
    if place.batch_id is not None:
        if place.verdict == Verdict.REJECTED:
            return Fate.REJECTED
        return Fate.DELIVERED if place.arrived or place.verdict else Fate.UNKNOWN if place.doubtful else Fate.NOT_SENT
    if place.cancelled:
        return Fate.CANCELLED
    reason = place.reason or place.hold_reason
    if reason == NO_ATTRIBUTION:
        return Fate.NOT_ATTRIBUTED
    if place.state is not None:
        return Fate(place.state)
    return Fate.HELD if reason else Fate.NOT_SENT


@dataclass(frozen=True, slots=True)
class _Corrected:
    """What corrections say of an order that had left; an amount of None says that it is reversed."""

    truth: int | None
    told: int | None
    told_at: datetime | None
    """When the last of them arrived; None: none has, and what the order said is what was told."""
    waiting: Correction | None

    def applied(self, ours: Ours) -> Ours:
        """Return the order with this."""
        ours = replace(ours, truth=self.truth, correction=self.waiting)
        return replace(ours, told=self.told, changed_at=self.told_at) if self.told_at else ours


def _corrections(session: Session, conversion_ids: Sequence[int]) -> dict[int, _Corrected]:
    """Return what corrections say of those of these orders that have one."""
    found = store.corrections_of(session, conversion_ids)
    arrived, rejected = _fates(session, [row.id for rows in found.values() for row in rows])
    told = {one: _last_told(rows, arrived, rejected) for one, rows in found.items()}
    newest = [rows[0].id for rows in found.values()]
    reasons = objections_to_corrections(session, [one for one in newest if one in rejected])
    held = store.held_corrections(session, list(found)) if found else {}
    lines = corrections_store.lines_of(session, [*newest, *(row.id for row in told.values() if row)]) if found else {}

    def left(row: Row[Any] | None) -> int | None:
        return None if row is None or row.reverses else sum(line.amount for line in lines[row.id])

    def waiting(row: Row[Any]) -> Correction:
        if row.id in rejected:
            return Correction(Difference.CORRECTION_REJECTED, row.recorded_at, _codes(reasons.get(row.id)))
        if row.id in held:
            return Correction(Difference.CORRECTION_HELD, row.recorded_at, (held[row.id],))
        return Correction(Difference.CORRECTION_NOT_SENT, row.recorded_at)

    return {
        one: _Corrected(
            left(rows[0]),
            left(last := told[one]),
            arrived[last.id] if last else None,
            None if last and last.id == rows[0].id else waiting(rows[0]),
        )
        for one, rows in found.items()
    }


def _fates(session: Session, ids: Sequence[int]) -> tuple[dict[int, datetime], set[int]]:
    """Return when corrections arrived, of those that have, and which of them impact.com has refused."""
    arrived: dict[int, datetime] = {}
    rejected: set[int] = set()
    for start in range(0, len(ids), store.PAGE):
        some = ids[start : start + store.PAGE]
        batches = store.batches_of_corrections(session, some)
        at = store.arrivals(session, set(batches.values()))
        arrived |= {one: at[batch] for one, batch in batches.items() if batch in at}
        rejected |= {one for one, its in correction_verdicts(session, some).items() if its is Verdict.REJECTED}
    return arrived, rejected


def _last_told(rows: Sequence[Row[Any]], arrived: Collection[int], rejected: Collection[int]) -> Row[Any] | None:
    """Return the newest correction that impact.com has been told of and has not refused."""
    return next((row for row in rows if row.id in arrived and row.id not in rejected), None)

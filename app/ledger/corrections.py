"""What a shop says of an order after it had sent it: recorded once, and answered with what impact.com will be told.

While nothing of the order has left, the order itself changes or is cancelled. After that the correction waits for the
file that holds the order to be delivered; of several that wait only the newest is left, with what all of them say.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime

import orjson
from sqlmodel import Session

from app.batches import store as batches
from app.config import Settings
from app.conversions import corrections_store as store
from app.conversions import store as conversions
from app.conversions.correction import Corrected, Newer, correct
from app.conversions.correction_body import fingerprint, read_correction
from app.conversions.store import Recorded
from app.conversions.wish import Kind, Wish
from app.database import Database, only_by_keys, retried
from app.errors import Conflict, Fault, InvalidInput, NotFound
from app.impact.reasons import known_reasons
from app.ledger.correction_answer import answer
from app.ledger.standing import Case, level_of, look, number_of_lines
from app.ledger.store import find_order
from app.strict_json import unusable
from app.submissions.hold_corrections import ORDER_REJECTED, REJECTED_DETAIL


@dataclass(frozen=True, slots=True)
class Request:
    """A correction as it came, of the order that its path names."""

    event_type: str
    order_id: str
    kind: Kind
    body: bytes
    idempotency_key: str | None = None


@dataclass(frozen=True, slots=True)
class Answered:
    """The answer in JSON, and whether it is that of an earlier call under the same key."""

    content: bytes
    replayed: bool = False


def unknown_order() -> NotFound:
    """Return the refusal of a correction of an order that is not recorded."""
    return NotFound(
        "No order with this id is recorded for this event type: POST /orders first; ?event_type=KEY names another one.",
        code="ACTION_NOT_FOUND",
    )


@retried
def accept(database: Database, settings: Settings, request: Request, now: datetime) -> Answered:
    """Record a correction, durably. Raises InvalidInput, NotFound, Conflict or Unavailable: then nothing changed."""
    if unusable(request.event_type):
        raise unknown_order()
    event_type = settings.event_type(request.event_type)
    reasons = event_type.known_reasons if event_type else known_reasons()
    wish = read_correction(request.body, request.kind, reasons, now)
    with database.transaction() as session:
        only_by_keys(session)
        conversion_id = find_order(session, request.event_type, request.order_id)
        if conversion_id is None:
            raise unknown_order()
        conversions.lock(session, conversion_id)
        known = request.idempotency_key and store.with_key(session, conversion_id, request.idempotency_key)
        if known:
            return _replay(known.request, known.answer, wish)
        _require_own_action(session, conversion_id, wish)
        case = look(session, conversion_id, event_type)
        standing = replace(case.standing, newer=tuple(_newer(session, conversion_id, wish)))
        corrected = _held_if_rejected(case, correct(standing, wish, now))
        return Answered(_record(session, case, wish, corrected, request.idempotency_key, now))


def _replay(request: str, answer: str, wish: Wish) -> Answered:
    if request != fingerprint(wish):
        detail = "This Idempotency-Key was used for another correction of this order; give each one its own."
        raise InvalidInput([Fault("IDEMPOTENCY_KEY_REUSED", detail)])
    return Answered(answer.encode(), replayed=True)


def _require_own_action(session: Session, conversion_id: int, wish: Wish) -> None:
    """Raise Conflict if the correction names another order's action, which would be changed in its place."""
    if wish.action_id is not None and store.names_another(session, conversion_id, wish.action_id):
        raise Conflict(
            f"Another order is the action {wish.action_id} at impact.com; look up which of the two it is. Nothing was"
            " changed.",
            code="ACTION_ID_TAKEN",
        )


def _held_if_rejected(case: Case, corrected: Corrected) -> Corrected:
    """Hold what cannot be told, since impact.com has not taken the order."""
    return replace(corrected, hold_reason=ORDER_REJECTED) if case.rejected else corrected


def _newer(session: Session, conversion_id: int, wish: Wish) -> Iterator[Newer]:
    if wish.occurred_at is not None:
        for row in store.later_than(session, conversion_id, wish.occurred_at):
            yield Newer(Kind(row.kind), frozenset(orjson.loads(row.answer)["corrected"]))


# What becomes of it ---------------------------------------------------------------------------------------------


def _record(
    session: Session, case: Case, wish: Wish, corrected: Corrected, idempotency_key: str | None, now: datetime
) -> bytes:
    """Record a correction and what follows from it, and return the answer."""
    recorded, in_place = case.recorded, case.standing.told is None
    level, order = level_of(case, corrected), recorded.order
    had_left = None if in_place else not case.rejected
    content = answer(order, case.number, wish, corrected, level, now, at_impact=had_left).model_dump_json()
    row = {
        "conversion_id": recorded.conversion_id,
        "number": case.number,
        "kind": wish.kind.value,
        "reason": wish.reason,
        "reverses": corrected.reverses,
        "occurred_at": wish.occurred_at,
        "recorded_at": now,
        "revision_id": _revise(session, recorded, corrected, now) if in_place else None,
        "idempotency_key": idempotency_key,
        "request": fingerprint(wish),
        "answer": content,
    }
    correction_id = store.add(session, row, () if in_place else corrected.lines)
    if wish.action_id is not None:
        store.name_action(session, recorded.conversion_id, wish.action_id)
    if in_place and corrected.reverses:
        store.cancel(session, recorded.revision_id, correction_id)
    elif level is not None:
        store.wait(
            session,
            correction_id=correction_id,
            conversion_id=recorded.conversion_id,
            event_type=order.event_type,
            level=level,
            lines=number_of_lines(level, corrected.lines),
            hold_reason=corrected.hold_reason,
            hold_detail=REJECTED_DETAIL if case.rejected else None,
        )
    return content.encode()


def _revise(session: Session, recorded: Recorded, corrected: Corrected, now: datetime) -> int:
    """Return the revision that a correction makes of an order that has not left; a cancelled one keeps its last."""
    batches.forget_omissions(session, [recorded.revision_id])
    if corrected.reverses:
        return recorded.revision_id
    order = recorded.order.with_lines((line.quantity, line.amount, line.category) for line in corrected.lines)
    order = replace(order, items=tuple(item for item in order.items if item.quantity))
    conversion_id = recorded.conversion_id
    added = conversions.add_revisions(session, {conversion_id: order}, number=recorded.number + 1, now=now)
    return added[conversion_id]

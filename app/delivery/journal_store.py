"""Every statement by which the journal's files and the records of deliveries are held against each other."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Any, Final

from sqlalchemy import Row, exists, func, insert, select, update
from sqlmodel import Session

from app.batches import modifications_store as modifications
from app.batches import store as batches
from app.batches.batch import BatchKind
from app.batches.modification import Form, Modification, values
from app.batches.store import BATCH, BATCH_LINE, CORRECTION_LINE, EXPORT, UNDELIVERED
from app.conversions import store as conversions
from app.conversions.corrections_store import ACTION, CANCELLED, CORRECTION
from app.conversions.order import Order
from app.conversions.store import CONVERSION, REVISION
from app.database import only_by_keys
from app.delivery.attempt import AttemptStatus, BatchState
from app.delivery.kept import Kept
from app.delivery.store import ATTEMPT, look_after
from app.errors import OutcomeUnknown
from app.impact.columns import Level
from app.impact.currency import DECIMALS, format_amount

CHUNK: Final = 500
CHANNEL: Final = "journal"
"""What attempts that are known from the journal alone are told to have gone by."""
_DETAIL: Final = (
    "An older database was restored, and this file had left before; look at impact.com's File Submissions, then"
    " redeliver or confirm it."
)
_FIRST_ATTEMPT: Final = select(ATTEMPT.c.number).where(ATTEMPT.c.batch == BATCH.c.id).limit(1).scalar_subquery()


def attempted(session: Session, names: Collection[str]) -> set[str]:
    """Return which of the files are batches that an attempt is recorded of.

    Each is asked for by itself: PostgreSQL would join all attempts there are with the few files that EXISTS names.
    """
    only_by_keys(session)
    found: set[str] = set()
    for chunk in _chunks(names):
        known = select(BATCH.c.filename).where(BATCH.c.filename.in_(chunk), _FIRST_ATTEMPT.is_not(None))
        found.update(session.connection().execute(known).scalars())
    return found


def newest_attempted(session: Session, limit: int) -> Sequence[Row[Any]]:
    """Return the newest batches of which an attempt has ended; whoever makes one now is keeping the file itself.

    Their id, filename and event_type, their hash, and when and why their content was removed.
    """
    only_by_keys(session)
    ended = exists().where(ATTEMPT.c.batch == BATCH.c.id, ATTEMPT.c.ended_at.is_not(None))
    names = ("id", "filename", "event_type", "sha256", "removed_at", "removed_why")
    newest = select(*(BATCH.c[name] for name in names)).where(ended).order_by(BATCH.c.id.desc()).limit(limit)
    return session.connection().execute(newest).all()


def find_file(session: Session, name: str) -> Row[Any] | None:
    """Return the batch of a file."""
    return session.connection().execute(select(BATCH).where(BATCH.c.filename == name)).one_or_none()


def find_orders(session: Session, event_type: str, order_ids: Collection[str]) -> dict[str, int]:
    """Return the conversions of those orders that are recorded, by OrderId."""
    found: dict[str, int] = {}
    for chunk in _chunks(order_ids):
        keys = conversions.find_keys(session, [(event_type, order_id) for order_id in chunk])
        found |= {order_id: number for (_, order_id), number in keys.items()}
    return found


def lock_orders(session: Session, kept: Kept) -> None:
    """Let nobody change the orders of a file until the transaction ends."""
    find = _find_actions if kept.form and kept.form.by_action else find_orders
    conversions.lock_all(session, find(session, kept.event_type, kept.first_lines).values())


def unbatched(session: Session, conversion_ids: Collection[int]) -> dict[int, int]:
    """Return the newest revision of those conversions whose newest is in no batch; one before it never leaves."""
    found: dict[int, int] = {}
    for chunk in _chunks(conversion_ids):
        newest = (
            select(REVISION.c.conversion_id, func.max(REVISION.c.id).label("id"))
            .where(REVISION.c.conversion_id.in_(chunk))
            .group_by(REVISION.c.conversion_id)
            .subquery()
        )
        free = select(newest).where(~exists().where(BATCH_LINE.c.revision_id == newest.c.id))
        found.update((row[0], row[1]) for row in session.connection().execute(free))
    return found


def changed_since(session: Session, kept: Kept, revisions: Mapping[str, int]) -> list[str]:
    """Return those orders, by OrderId, that are cancelled, or whose revision comes to something else than in the file.

    `revisions` are those that go back into it.
    """
    cancelled, same = set[int](), set[str]()
    for chunk in _chunks(revisions.values()):
        never = select(CANCELLED.c.revision_id).where(CANCELLED.c.revision_id.in_(chunk))
        cancelled.update(session.connection().execute(never).scalars())
        for one in conversions.load(session, chunk):
            name = one.order.order_id
            if kept.said[name] == _comes_to(one.order, whole=all(len(line) == 1 for line in kept.said[name])):
                same.add(name)
    return [name for name, revision_id in revisions.items() if name not in same or revision_id in cancelled]


def _comes_to(order: Order, *, whole: bool) -> tuple[tuple[str, ...], ...]:
    if order.currency not in DECIMALS:
        return ()
    if whole:
        return ((format_amount(order.amount, order.currency),),)
    return tuple((format_amount(item.amount, order.currency), str(item.quantity)) for item in order.items)


def corrections_that_say(session: Session, kept: Kept) -> tuple[dict[str, int], list[str]]:
    """Return, by the names of their orders, the first corrections in no batch that say what a kept file says.

    And the names of those orders that have such a correction in a batch.
    """
    form = kept.form or Form(Level.ITEM, by_action=False)
    find = _find_actions if form.by_action else find_orders
    orders = find(session, kept.event_type, kept.first_lines)
    known = _corrections_of(session, orders.values())
    said = modifications.load(session, [one for some in known.values() for one, _ in some], form.level)
    free: dict[str, int] = {}
    placed = []
    for name, conversion_id in orders.items():
        same = [
            (there, one) for one, there in known.get(conversion_id, ()) if _says(said[one], form) == kept.said[name]
        ]
        if any(there for there, _ in same):
            placed.append(name)
        elif same:
            free[name] = min(same)[1]
    return free, placed


def _says(one: Modification, form: Form) -> tuple[tuple[str, ...], ...]:
    return tuple(values(line, one.currency, form.level) for line in one.lines)


def _find_actions(session: Session, event_type: str, action_ids: Collection[str]) -> dict[str, int]:
    """Return the conversions of those orders whose names at impact.com are known, by ActionID."""
    found: dict[str, int] = {}
    for chunk in _chunks(action_ids):
        known = (
            select(ACTION.c.action_id, ACTION.c.conversion_id)
            .join(CONVERSION, CONVERSION.c.id == ACTION.c.conversion_id)
            .where(ACTION.c.action_id.in_(chunk), CONVERSION.c.event_type == event_type)
        )
        found.update((row.action_id, row.conversion_id) for row in session.connection().execute(known))
    return found


def _corrections_of(session: Session, conversion_ids: Collection[int]) -> dict[int, list[tuple[int, bool]]]:
    """Return the corrections of orders that had left, the oldest first, and whether each is in a batch."""
    found: dict[int, list[tuple[int, bool]]] = {}
    placed = exists().where(CORRECTION_LINE.c.correction_id == CORRECTION.c.id).label("placed")
    for chunk in _chunks(conversion_ids):
        of_orders = CORRECTION.c.conversion_id.in_(chunk), CORRECTION.c.revision_id.is_(None)
        every = select(CORRECTION.c.id, CORRECTION.c.conversion_id, placed).where(*of_orders).order_by(CORRECTION.c.id)
        for row in session.connection().execute(every):
            found.setdefault(row.conversion_id, []).append((row.id, bool(row.placed)))
    return found


def add(session: Session, kept: Kept, sha256: str, records: dict[str, int], now: datetime) -> int:
    """Record a kept file as the batch that it was, of an export of its own.

    `records`, its revisions or corrections by the names of their orders, wait no more.
    """
    is_correction, ids = kept.kind is BatchKind.MODIFICATIONS, list(records.values())
    values = {"state": "done", "requested_at": now, "ended_at": now}
    values["corrections" if is_correction else "exported"] = len(ids)
    export = session.connection().execute(insert(EXPORT).returning(EXPORT.c.id), [values]).scalar_one()
    row = {
        "batch_id": kept.batch_id,
        "export_id": export,
        "kind": kept.kind.value,
        "event_type": kept.event_type,
        "filename": kept.name,
        "created_at": kept.made_on,
        "rows": kept.rows,
        "orders": len(kept.first_lines),
        "sha256": sha256,
    }
    if kept.removal:  # it is known to have left, and is never sent
        row |= {"sha256": kept.removal.sha256, "removed_at": kept.removal.at, "removed_why": kept.removal.why}
    lines = [kept.first_lines[name] for name in records]
    if is_correction:
        modifications.take(session, ids)
        return batches.add_modifications(session, row, kept.content, ids, lines)
    batches.take(session, ids)
    batches.forget_omissions(session, ids)
    return batches.add_batch(session, row, kept.content, ids, lines)


def note_unknown_attempt(session: Session, batch: int, now: datetime) -> None:
    """Record that a queued batch may have left, so that a person decides about it."""
    queued = update(UNDELIVERED).where(UNDELIVERED.c.batch == batch)
    held = queued.values(token=UNDELIVERED.c.token + 1, leased_until=None, stuck=BatchState.UNKNOWN.value)
    number = session.connection().execute(held.returning(UNDELIVERED.c.token)).scalar_one()
    new = {"batch": batch, "number": number, "channel": CHANNEL, "started_at": now, "ended_at": now}
    told = {"status": AttemptStatus.UNKNOWN.value, "code": OutcomeUnknown.code, "detail": _DETAIL}
    session.connection().execute(insert(ATTEMPT), [new | told])
    look_after(session, batch, now)


def _chunks(values: Collection[Any]) -> Iterable[list[Any]]:
    rest = iter(values)
    while chunk := list(islice(rest, CHUNK)):
        yield chunk

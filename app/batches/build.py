"""The exporter: what waits becomes files, one transaction a file.

A file is planned and rendered from a read snapshot, then committed together with the removal of its `unsent` rows. A
crash before that commit leaves nothing behind, one after it leaves a batch that waits for its delivery: there is no
state in between to repair.
"""

import io
import logging
import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from sqlmodel import Session

from app.batches import store
from app.batches.batch import AgeLimit, BatchFile, BatchKind, file_name, is_too_old, render
from app.batches.store import Claim, Omission, Waiting
from app.check.check import Check
from app.config import Settings
from app.conversions import store as conversions
from app.conversions.store import Recorded
from app.database import Database, database_now, retried
from app.errors import Failure, LeaseLost, Unavailable
from app.event_type import EventType
from app.impact.currency import DECIMALS
from app.impact.limits import MAX_AGE_DAYS_WITH_MEDIA_ID

logger = logging.getLogger(__name__)

READ_CHUNK: Final = 250
MOST_OMISSIONS: Final = 5_000
MOST_REPLANS: Final = 20

Clock = Callable[[], datetime]


@dataclass(slots=True)
class Plan:
    """The next file of an event type, and what is left out on the way to it. `last` is the last revision looked at."""

    event_type: str
    orders: list[Recorded] = field(default_factory=list)
    omissions: list[Omission] = field(default_factory=list)
    rows: int = 0
    last: int = 0
    batch_id: str = ""
    file: BatchFile | None = None

    @property
    def taken(self) -> list[int]:
        """The revisions whose wait is over."""
        return [one.revision_id for one in self.orders] + [one.revision_id for one in self.omissions if not one.again]

    def count(self, state: str) -> int:
        """Return how many revisions are left out in `state`."""
        return sum(one.state == state for one in self.omissions)


def age_limit(settings: Settings) -> AgeLimit:
    """Return the age limits less the margin."""
    margin = settings.event_age_margin_days
    return AgeLimit(settings.max_event_age_days - margin, MAX_AGE_DAYS_WITH_MEDIA_ID - margin)


def claim(database: Database, settings: Settings) -> Claim | None:
    """Take the open export, if it is free."""
    with database.transaction() as session:
        claimed = store.claim_export(session, timedelta(seconds=settings.lease_seconds))
    if claimed:
        logger.debug("export.claimed", extra={"export": claimed.export_id})
    return claimed


def run(
    database: Database, settings: Settings, claimed: Claim, clock: Clock, stopping: Callable[[], bool] = bool
) -> None:
    """Build every file of an export that is ours, and end it. Stops between files when `stopping` says so.

    Raises LeaseLost if another worker has taken over, Unavailable if the database is away: both leave the export open,
    and whoever takes it up goes on after the last file. Any other failure ends it, so that the next one can begin.
    """
    try:
        for plan in plans(
            database, settings, clock, commit=lambda plan: _commit(database, settings, claimed, plan, clock())
        ):
            if stopping():
                _release(database, claimed)
                logger.info("export.interrupted", extra={"export": claimed.export_id, "last": plan.last})
                return
    except (LeaseLost, Unavailable):
        raise
    except Exception as error:
        reason = str(error) if isinstance(error, Failure) else "An unexpected error; see the service's log."
        _end(database, claimed, clock(), "failed", reason)
        raise
    logger.debug("export.ending", extra={"export": claimed.export_id})
    _end(database, claimed, clock(), "done", None)
    logger.info("export.done", extra={"export": claimed.export_id})


def plans(
    database: Database, settings: Settings, clock: Clock, commit: Callable[[Plan], bool] | None = None
) -> Iterator[Plan]:
    """Yield file after file of everything that waits now. Without `commit` this is a dry run and changes nothing.

    What is recorded meanwhile is left to the next export, so that an export ends.
    """
    with database.snapshot() as session:
        event_types, upto = store.waiting_event_types(session), store.newest_waiting(session)
    for key in event_types:
        after, replans = 0, 0
        while plan := _plan(database, settings, key, after, upto, clock()):
            if commit is not None and not commit(plan):
                replans += 1
                if replans > MOST_REPLANS:
                    raise Failure("Orders kept changing while they were exported; trigger the export again.")
                continue
            after = plan.last
            yield plan


# Planning: reads only -------------------------------------------------------------------------------------------


def _plan(database: Database, settings: Settings, key: str, after: int, upto: int, now: datetime) -> Plan | None:
    """Return the next file of an event type, or None if nothing of it waits after revision `after`."""
    with database.snapshot() as session:
        logger.debug("export.selecting", extra={"event_type": key, "after": after})
        plan = _select(session, settings, key, after, upto, now)
    if plan.last == after:
        return None
    logger.debug("export.selected", extra={"event_type": key, "orders": len(plan.orders)})
    event_type = settings.event_type(key)
    if plan.orders and event_type:
        plan.batch_id = secrets.token_hex(8)
        name = file_name(BatchKind.CONVERSIONS, key, plan.batch_id, now.date())
        plan.file = _render_accepted(plan, name, event_type, age_limit(settings), now)
    return plan


def _select(session: Session, settings: Settings, key: str, after: int, upto: int, now: datetime) -> Plan:
    plan, limit = Plan(key, last=after), age_limit(settings)
    configured = settings.event_type(key) is not None
    for waiting, recorded in _read(session, key, after, upto):
        omission = _omission(waiting, recorded, settings.max_rows, limit, now, configured=configured)
        if omission is None:
            if plan.rows + len(recorded.order.items) > settings.max_rows:
                break
            plan.orders.append(recorded)
            plan.rows += len(recorded.order.items)
        else:
            plan.omissions.append(omission)
        plan.last = waiting.revision_id
        if len(plan.omissions) >= MOST_OMISSIONS:
            break
    return plan


def _read(session: Session, key: str, after: int, upto: int) -> Iterator[tuple[Waiting, Recorded]]:
    """Yield what waits in the order of recording, a bounded number of orders in memory at a time."""
    while chunk := store.waiting(session, key, after=after, upto=upto, limit=READ_CHUNK):
        loaded = {one.revision_id: one for one in conversions.load(session, [one.revision_id for one in chunk])}
        yield from ((one, loaded[one.revision_id]) for one in chunk)
        after = chunk[-1].revision_id


def _omission(
    waiting: Waiting, recorded: Recorded, max_rows: int, limit: AgeLimit, now: datetime, *, configured: bool
) -> Omission | None:
    """Say why a revision does not go, or None if it goes."""
    order, revision = recorded.order, waiting.revision_id
    if waiting.hold_reason:
        return Omission(revision, "held", waiting.hold_reason, "It has no click id, promo code or media id.")
    if not configured:
        detail = f"The event type {order.event_type} is not set up any more; put it back into CAPTURE_EVENT_TYPES."
        return Omission(revision, "held", "unknown_event_type", detail, again=True)
    if order.currency not in DECIMALS:  # a newer version of ISO 4217 may have dropped it
        detail = f"{order.currency} is no currency of ISO 4217 any more, so that its decimals are not known."
        return Omission(revision, "held", "cannot_be_rendered", detail, again=True)
    if len(order.items) > max_rows:
        detail = f"It has {len(order.items)} items, and a file at most {max_rows} rows; raise CAPTURE_MAX_ROWS."
        return Omission(revision, "held", "too_many_items", detail, again=True)
    if is_too_old(order, limit, now):
        days = limit.of(order).days
        detail = f"Its event date is more than {days} days ago; impact.com does not process such a line any more."
        return Omission(revision, "expired", "too_old", detail)
    return None


def _render_accepted(plan: Plan, name: str, event_type: EventType, limit: AgeLimit, now: datetime) -> BatchFile | None:
    """Render the plan's orders, and hold those whose lines impact.com would refuse, so that the others go."""
    while plan.orders:
        file = render(name, [one.order for one in plan.orders], event_type, limit, now)
        logger.debug("batch.rendered", extra={"file": name, "rows": file.rows})
        faults = _faults(file, plan.orders, now)
        logger.debug("batch.checked", extra={"file": name, "refused": len(faults)})
        if not faults:
            return file
        plan.omissions += [
            Omission(revision, "held", "cannot_be_rendered", detail, again=True) for revision, detail in faults.items()
        ]
        plan.orders = [one for one in plan.orders if one.revision_id not in faults]
    return None


def _faults(file: BatchFile, orders: Sequence[Recorded], now: datetime) -> dict[int, str]:
    """Return what the checker refuses, by revision. Raises Failure when a fault belongs to no order."""
    by_order_id = {one.order.order_id: one.revision_id for one in orders}
    faults: dict[int, str] = {}
    for finding in Check(file.name, io.BytesIO(file.content), now=now).findings():
        if finding.severity != "fault":
            continue
        revision = by_order_id.get(finding.order_id or "")
        if revision is None:
            raise Failure(f"The file {file.name} would be refused: {finding.code}, {finding.detail}")
        faults.setdefault(revision, f"{finding.code}: {finding.detail}")
    return faults


# Committing -----------------------------------------------------------------------------------------------------


@retried
def _commit(database: Database, settings: Settings, claimed: Claim, plan: Plan, now: datetime) -> bool:
    """Make a plan durable and renew the lease. Returns False, changing nothing, if an order has changed since."""
    with database.transaction() as session:
        if store.take(session, plan.taken) != len(plan.taken):
            session.rollback()
            return False
        logger.debug("batch.taken", extra={"event_type": plan.event_type})
        _progress(session, settings, claimed, plan)
        store.omit(session, claimed.export_id, plan.omissions)
        if plan.file:
            _add(session, claimed, plan, plan.file, now)
        logger.debug("batch.committing", extra={"event_type": plan.event_type})
    logger.debug("batch.committed", extra={"event_type": plan.event_type})
    return True


def _progress(session: Session, settings: Settings, claimed: Claim, plan: Plan) -> None:
    store.advance_export(
        session,
        claimed,
        exported=store.EXPORT.c.exported + len(plan.orders),
        held=store.EXPORT.c.held + plan.count("held"),
        expired=store.EXPORT.c.expired + plan.count("expired"),
        leased_until=database_now(session) + timedelta(seconds=settings.lease_seconds),
    )


def _add(session: Session, claimed: Claim, plan: Plan, file: BatchFile, now: datetime) -> None:
    revisions = [one.revision_id for one in plan.orders]
    store.forget_omissions(session, revisions)
    row = {
        "batch_id": plan.batch_id,
        "export_id": claimed.export_id,
        "kind": BatchKind.CONVERSIONS.value,
        "event_type": plan.event_type,
        "filename": file.name,
        "created_at": now,
        "rows": file.rows,
        "orders": len(plan.orders),
        "sha256": file.sha256,
    }
    store.add_batch(session, row, file.content, zip(revisions, file.first_lines, strict=True))
    logger.debug("batch.added", extra={"batch": plan.batch_id})


def _release(database: Database, claimed: Claim) -> None:
    """Let another worker go on at once."""
    with database.transaction() as session:
        store.advance_export(session, claimed, leased_until=None)


def _end(database: Database, claimed: Claim, now: datetime, state: str, failure: str | None) -> None:
    with database.transaction() as session:
        store.advance_export(session, claimed, state=state, slot=None, ended_at=now, failure=failure, leased_until=None)

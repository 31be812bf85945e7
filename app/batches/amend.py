"""Corrections that may leave become files of modifications, one transaction a file.

They are planned, rendered and checked from read snapshots, and committed together with the removal of their
`unsent_correction` rows, as the files of orders are. A file names all its orders in the same way, and its lines are of
one level.
"""

import logging
import secrets
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Final

from sqlmodel import Session

from app.batches import modifications_store as store
from app.batches import store as batches
from app.batches.batch import BatchFile, BatchKind, file_name
from app.batches.commit import Clock, Room, Ways, advance, batch_row, until_committed
from app.batches.modification import Form, Modification, is_indexed, render
from app.batches.modification import room as room_of_file
from app.batches.modifications_store import Hold, Waiting
from app.batches.store import Claim
from app.check.check import faults_of
from app.check.findings import Finding
from app.config import Settings
from app.database import Database, only_by_keys, retried
from app.errors import Failure
from app.event_type import HTTP_API, EventType
from app.impact.currency import DECIMALS
from app.impact.modifications import MOST_INDEXED

logger = logging.getLogger(__name__)

READ_CHUNK: Final = 1_000
MOST_HOLDS: Final = 5_000


@dataclass(slots=True)
class Plan:
    """The next file of an event type and a form, and what is held on the way to it. `last` was looked at last.

    `corrections` are those that go, `orders` the conversions that they are of, and `sizes` their numbers of lines.
    `only` are those that may go, if not all that wait may; `channel` is the way out if it is settled here, and `most`
    how many corrections may go by it.
    """

    event_type: str
    form: Form
    now: datetime
    channel: str | None = None
    most: int | None = None
    only: Sequence[int] | None = None
    last: int = 0
    corrections: list[int] = field(default_factory=list)
    orders: list[int] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    holds: list[Hold] = field(default_factory=list)
    batch_id: str = field(default_factory=lambda: secrets.token_hex(8))
    file: BatchFile | None = None

    @property
    def name(self) -> str:
        """The name of the file."""
        return file_name(BatchKind.MODIFICATIONS, self.event_type, self.batch_id, self.now.date())

    def add(self, correction_id: int, conversion_id: int, size: int) -> None:
        """Let a correction go with this file."""
        self.corrections.append(correction_id)
        self.orders.append(conversion_id)
        self.sizes.append(size)

    def hold(self, holds: Sequence[Hold]) -> None:
        """Let corrections stay back after all."""
        self.holds += holds
        held = {one.correction_id for one in holds}
        going = [one for one in zip(self.corrections, self.orders, self.sizes, strict=True) if one[0] not in held]
        self.corrections, self.orders, self.sizes = map(list, zip(*going, strict=True)) if going else ([], [], [])


def plans(
    database: Database,
    settings: Settings,
    clock: Clock,
    commit: Callable[[Plan], bool] | None = None,
    room: Room = int,
) -> Iterator[Plan]:
    """Yield file after file of all corrections that may leave now. Without `commit` this is a dry run.

    By calls leave as many as there is `room` for, and what only a call can say. What is recorded meanwhile is left to
    the next export, so that an export ends.
    """
    with database.snapshot() as session:
        forms, upto = store.waiting_forms(session, zero_too=settings.has_api), store.newest_waiting(session)
    for these in forms:
        ways = partial(Ways.of, settings, these[0], room)
        yield from until_committed(partial(_planned, database, settings, these, upto, clock, ways, None), commit)


def plans_of(
    database: Database,
    settings: Settings,
    correction_ids: Sequence[int],
    channel: str | None,
    clock: Clock,
    commit: Callable[[Plan], bool],
) -> Iterator[Plan]:
    """Yield file after file of these corrections alone, as far as they may leave now, each committed."""
    with database.snapshot() as session:
        forms = store.waiting_forms(session, correction_ids, zero_too=settings.has_api)
    upto, ways = max(correction_ids), partial(Ways, channel)
    for these in forms:
        planned = partial(_planned, database, settings, these, upto, clock, ways, correction_ids)
        yield from until_committed(planned, commit)


def _planned(
    database: Database,
    settings: Settings,
    these: tuple[str, Form],
    upto: int,
    clock: Clock,
    new_ways: Callable[[], Ways],
    only: Sequence[int] | None,
    after: int,
) -> Iterator[Plan]:
    """Yield the files of an event type and a form from correction `after` on, checked."""
    (key, form), ways = these, new_ways()
    while True:
        channel, most = (HTTP_API, None) if form.is_of_nothing else ways.next()
        with database.snapshot() as session:
            only_by_keys(session)
            plan = _select(session, settings, Plan(key, form, clock(), channel, most, only, last=after), upto)
            loaded = store.load(session, plan.corrections, form.level)
        if plan.last == after:
            return
        after = plan.last
        _render_acceptable(plan, loaded, settings.event_type(key))
        ways.took(channel, len(plan.corrections))
        if plan.file or plan.holds:
            yield plan


# Planning: reads only -------------------------------------------------------------------------------------------


def _select(session: Session, settings: Settings, plan: Plan, upto: int) -> Plan:
    """Fill a plan with what may leave next, as far as it goes into one file."""
    event_type = settings.event_type(plan.event_type)
    while len(plan.holds) < MOST_HOLDS:
        chunk = store.waiting(
            session, plan.event_type, plan.form, after=plan.last, upto=upto, limit=READ_CHUNK, only=plan.only
        )
        waits = _not_ready(session, settings, [row.conversion_id for row in chunk])
        ready = [row for row in chunk if row.conversion_id not in waits]
        holds = {row.correction_id: hold for row in ready if (hold := _hold(row, plan.form, event_type, settings))}
        going = [row for row in ready if row.correction_id not in holds]
        layout = event_type.modification_layout if event_type else "blank"
        sizes = plan.sizes + [row.lines for row in going]
        fitting = room_of_file(sizes, plan.form, layout, settings.max_rows) - len(plan.sizes)
        if plan.most is not None:
            fitting = min(fitting, plan.most - len(plan.sizes))
        is_full = fitting < len(going)
        end = going[fitting].correction_id if is_full else upto + 1
        plan.holds += [hold for correction_id, hold in holds.items() if correction_id < end]
        for row in going[:fitting]:
            plan.add(*row)
        plan.last = max((row.correction_id for row in chunk if row.correction_id < end), default=plan.last)
        if is_full or len(chunk) < READ_CHUNK:
            break
    return plan


def _not_ready(session: Session, settings: Settings, conversion_ids: Sequence[int]) -> set[int]:
    """Return the orders whose corrections have to wait for what left of them before."""
    return store.not_arrived(session, conversion_ids, until_accepted=settings.corrections_after == "accepted")


def _hold(row: Waiting, form: Form, event_type: EventType | None, settings: Settings) -> Hold | None:
    """Say why a correction does not go, or None if it goes."""
    correction_id, _, lines = row
    if event_type is None:
        detail = "Its event type is not set up any more; put it back into CAPTURE_EVENT_TYPES."
        return Hold(correction_id, "unknown_event_type", detail)
    if lines > settings.max_rows:
        detail = f"It has {lines} lines, and a file at most {settings.max_rows} rows; raise CAPTURE_MAX_ROWS."
        return Hold(correction_id, "too_many_items", detail)
    if lines > MOST_INDEXED and is_indexed(form, event_type.modification_layout):
        detail = (
            f"It has {lines} items, and a line of the layout indexed at most {MOST_INDEXED};"
            " set the event type's modification_layout to blank or repeat."
        )
        return Hold(correction_id, "too_many_items", detail)
    return None


# Rendering and checking -----------------------------------------------------------------------------------------


def _render_acceptable(plan: Plan, loaded: dict[int, Modification], event_type: EventType | None) -> None:
    """Render a plan's file, less the corrections that cannot be rendered or that impact.com would refuse."""
    held = [hold for correction_id in plan.corrections if (hold := _unspeakable(correction_id, loaded))]
    while True:
        plan.hold(held)
        if not plan.corrections or event_type is None:
            plan.file = None
            return
        said = [loaded[correction_id] for correction_id in plan.corrections]
        layout = event_type.modification_layout
        plan.file = render(plan.name, said, plan.form, layout, event_type.action_tracker_id)
        held = _refused(plan, plan.file, said)
        if not held:
            logger.debug("batch.checked", extra={"file": plan.name, "rows": plan.file.rows})
            return


def _unspeakable(correction_id: int, loaded: dict[int, Modification]) -> Hold | None:
    """Say why a correction has no lines."""
    said = loaded[correction_id]
    if said.currency not in DECIMALS:
        detail = f"{said.currency} is no currency of ISO 4217 any more, so that its decimals are not known."
        return Hold(correction_id, "cannot_be_rendered", detail)
    if not said.lines:
        return Hold(
            correction_id, "cannot_be_rendered", "None of its items has changed, so that there is nothing to tell."
        )
    return None


def _refused(plan: Plan, file: BatchFile, said: Sequence[Modification]) -> list[Hold]:
    """Return the corrections that the checker refuses. Raises Failure when a fault belongs to none."""
    by_name = {one.action_id if plan.form.by_action else one.order_id: place for place, one in enumerate(said)}
    refused: dict[int, Hold] = {}
    for fault in faults_of(file.name, file.content, now=plan.now):
        place = by_name.get(fault.order_id, _place(file, fault))
        if place < 0:
            raise Failure(f"The file {file.name} would be refused: {fault.code}, {fault.detail}")
        correction_id = plan.corrections[place]
        detail = f"{fault.code}: {fault.detail}"
        refused.setdefault(correction_id, Hold(correction_id, "cannot_be_rendered", detail))
    return list(refused.values())


def _place(file: BatchFile, fault: Finding) -> int:
    """Return which order of the file a fault's line belongs to, -1 for the header."""
    return bisect_right(file.first_lines, fault.line) - 1


# Committing -----------------------------------------------------------------------------------------------------


@retried
def commit(database: Database, settings: Settings, claimed: Claim, plan: Plan, now: datetime) -> bool:
    """Make a plan durable and renew the lease. Returns False, changing nothing, if something has changed since.

    That is a later correction of one of its orders, or a batch with one of them that is sent again.
    """
    with database.transaction() as session:
        only_by_keys(session)
        taken = store.take(session, plan.corrections)
        advance(session, settings, claimed, corrections=len(plan.corrections))  # before the look: see pause_export
        if taken != len(plan.corrections) or _not_ready(session, settings, plan.orders):
            session.rollback()
            return False
        logger.debug("batch.taken", extra={"event_type": plan.event_type})
        store.hold(session, [] if plan.form.is_of_nothing else plan.holds)  # these have their reason already
        if plan.file:
            size = len(plan.orders)
            kind, channel = BatchKind.MODIFICATIONS, plan.channel
            row = batch_row(kind, plan.event_type, plan.batch_id, plan.file, size, claimed, now, channel)
            batches.add_modifications(session, row, plan.file.content, plan.corrections, plan.file.first_lines)
            logger.debug("batch.added", extra={"batch": plan.batch_id})
        logger.debug("batch.committing", extra={"event_type": plan.event_type})
    logger.debug("batch.committed", extra={"event_type": plan.event_type})
    return True

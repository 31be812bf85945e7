"""What waits becomes files of orders, one transaction a file.

A file is planned and rendered from a read snapshot, then committed together with the removal of its `unsent` rows. A
crash before that commit leaves nothing behind, one after it leaves a batch that waits for its delivery: there is no
state in between to repair.
"""

import logging
import secrets
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from itertools import accumulate, compress
from typing import Final
from urllib.parse import quote

from sqlmodel import Session

from app.batches import store
from app.batches.ahead import ahead
from app.batches.batch import (
    HEADER_LINES,
    AgeLimit,
    BatchFile,
    BatchKind,
    Credits,
    added_columns,
    assemble,
    file_name,
    is_too_old,
    render,
    with_consent,
)
from app.batches.commit import Clock, Room, Ways, advance, batch_row, until_committed
from app.batches.lines_store import read_lines
from app.batches.parents import OTHER_CUSTOMER, ParentState, why_cut_off, why_held
from app.batches.parents_store import parent_states
from app.batches.store import Claim, Omission, Waiting
from app.check.check import faults_of
from app.clicks.store import granted
from app.config import DEFAULT_EVENT_TYPE, Settings
from app.conversions import store as conversions
from app.conversions.chain import about_recorded_parent
from app.conversions.order import PARENT_NOT_DELIVERED, Order, OrderKey
from app.conversions.store import Recorded
from app.database import Database, only_by_keys, retried
from app.errors import Failure
from app.event_type import EventType
from app.impact.currency import AMOUNT_LIMIT, DECIMALS
from app.impact.limits import MAX_AGE_DAYS_WITH_MEDIA_ID

logger = logging.getLogger(__name__)

READ_CHUNK: Final = 1_000
AHEAD: Final = 1
"""Files that are rendered and checked while one is committed; each is as much memory again."""
MOST_OMISSIONS: Final = 5_000
_ANY_NUMBER: Final = 2**31 - 1
_SUMMED_SAFELY: Final = 900
"""So many items of the largest amount that there is add up to less than 64 bits; the sum of more is looked at first."""


@dataclass(slots=True)
class Plan:
    """The next file of an event type, and what is left out on the way to it. `last` is the last revision looked at.

    `orders` are the revisions that go, and `sizes` their numbers of lines. `only` are those that may go, if not all
    that wait may; `channel` is the way out if it is settled here, and `most` how many orders may go by it.
    """

    event_type: str
    now: datetime
    channel: str | None = None
    most: int | None = None
    only: Sequence[int] | None = None
    orders: list[int] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    omissions: list[Omission] = field(default_factory=list)
    rows: int = 0
    last: int = 0
    batch_id: str = field(default_factory=lambda: secrets.token_hex(8))
    file: BatchFile | None = None

    @property
    def name(self) -> str:
        """The name of the file."""
        return file_name(BatchKind.CONVERSIONS, self.event_type, self.batch_id, self.now.date())

    @property
    def taken(self) -> list[int]:
        """The revisions whose wait is over."""
        return self.orders + [one.revision_id for one in self.omissions if not one.again]

    def fitting(self, sizes: Sequence[int], max_rows: int) -> int:
        """Return how many more revisions go into this file, by their sizes; what is left out has none."""
        by_rows = bisect_right(list(accumulate(sizes)), max_rows - self.rows)
        if self.most is None:
            return by_rows
        return min(by_rows, bisect_right(list(accumulate(map(bool, sizes))), self.most - len(self.orders)))

    def count(self, state: str) -> int:
        """Return how many revisions are left out in `state`."""
        return sum(one.state == state for one in self.omissions)

    def add(self, revision_ids: Sequence[int], sizes: Sequence[int], omitted: Mapping[int, Omission]) -> None:
        """Let revisions go with this file, those that are omitted aside."""
        goes = [revision_id not in omitted for revision_id in revision_ids]
        self.orders += compress(revision_ids, goes)
        self.sizes += compress(sizes, goes)
        self.omissions += [omitted[revision_id] for revision_id in revision_ids if revision_id in omitted]
        self.rows = sum(self.sizes)
        self.last = revision_ids[-1]

    def hold(self, omissions: Sequence[Omission]) -> None:
        """Let revisions stay back after all."""
        self.omissions += omissions
        held = {one.revision_id for one in omissions}
        kept = [revision_id not in held for revision_id in self.orders]
        self.orders, self.sizes = list(compress(self.orders, kept)), list(compress(self.sizes, kept))
        self.rows = sum(self.sizes)


def age_limit(settings: Settings) -> AgeLimit:
    """Return the age limits less the margin."""
    margin = settings.event_age_margin_days
    return AgeLimit(settings.max_event_age_days - margin, MAX_AGE_DAYS_WITH_MEDIA_ID - margin)


def plans(
    database: Database,
    settings: Settings,
    clock: Clock,
    commit: Callable[[Plan], bool] | None = None,
    room: Room = int,
) -> Iterator[Plan]:
    """Yield file after file of everything that waits now. Without `commit` this is a dry run and changes nothing.

    Of event types whose orders leave by calls, as many do as there is `room` for; the others leave by files. What is
    recorded meanwhile is left to the next export, so that an export ends.
    """
    with database.snapshot() as session:
        event_types, upto = store.waiting_event_types(session), store.newest_waiting(session)
    for key in event_types:
        plans_after = partial(
            _accepted, database, settings, key, upto, clock, partial(Ways.of, settings, key, room), None
        )
        yield from until_committed(plans_after, commit)


def plans_of(
    database: Database,
    settings: Settings,
    key: str,
    revision_ids: Sequence[int],
    channel: str | None,
    clock: Clock,
    commit: Callable[[Plan], bool],
) -> Iterator[Plan]:
    """Yield file after file of these revisions alone, as far as they wait, each committed; all leave by `channel`."""
    upto, ways = max(revision_ids), partial(Ways, channel)
    yield from until_committed(partial(_accepted, database, settings, key, upto, clock, ways, revision_ids), commit)


def _accepted(
    database: Database,
    settings: Settings,
    key: str,
    upto: int,
    clock: Clock,
    new_ways: Callable[[], Ways],
    only: Sequence[int] | None,
    after: int,
) -> Iterator[Plan]:
    """Yield the files of an event type from revision `after` on, checked, the next ones while one is committed."""
    planned = _planned(database, settings, key, after, upto, clock, new_ways(), only)
    return ahead(lambda plan: _accept(database, settings, _render(database, settings, plan)), planned, AHEAD)


def rendered(database: Database, settings: Settings, key: str, after: int, upto: int, clock: Clock) -> Iterator[Plan]:
    """Yield the files of an event type from revision `after` on, as they are before they are checked."""
    planned = _planned(database, settings, key, after, upto, clock, Ways(None))
    return ahead(partial(_render, database, settings), planned, AHEAD)


# Planning: reads only -------------------------------------------------------------------------------------------


def _planned(
    database: Database,
    settings: Settings,
    key: str,
    after: int,
    upto: int,
    clock: Clock,
    ways: Ways,
    only: Sequence[int] | None = None,
) -> Iterator[Plan]:
    """Yield the files of an event type, one after the other, without their content; first what goes by calls."""
    while True:
        with database.snapshot() as session:
            logger.debug("export.selecting", extra={"event_type": key, "after": after})
            channel, most = ways.next()
            plan = _select(session, settings, Plan(key, clock(), channel, most, only, last=after), upto)
        if plan.last == after:
            return
        ways.took(channel, len(plan.orders))
        logger.debug("export.selected", extra={"event_type": key, "orders": len(plan.orders)})
        yield plan
        after = plan.last


def _select(session: Session, settings: Settings, plan: Plan, upto: int) -> Plan:
    """Fill a plan with what comes next, as far as it goes into one file."""
    while True:
        chunk = store.waiting(
            session,
            plan.event_type,
            after=plan.last,
            upto=upto,
            limit=READ_CHUNK,
            oldest=plan.now - timedelta(days=age_limit(settings).days),
            most_lines=_SUMMED_SAFELY if _is_one_line(settings, plan) else settings.max_rows,
            only=plan.only,
        )
        sizes, omitted = _judged(session, settings, plan, chunk)
        fitting = plan.fitting(sizes, settings.max_rows)
        if fitting:
            plan.add(chunk.revision_ids[:fitting], sizes[:fitting], omitted)
        if fitting < READ_CHUNK or len(plan.omissions) >= MOST_OMISSIONS:
            return plan


def _judged(
    session: Session, settings: Settings, plan: Plan, chunk: Waiting
) -> tuple[Sequence[int], dict[int, Omission]]:
    """Return how many lines each revision needs, and those that do not go, which need none.

    Of the orders, only those are loaded that may have a reason to stay.
    """
    event_type, limit = settings.event_type(plan.event_type), age_limit(settings)
    configured, most_items = event_type is not None, _most_items(settings, plan)
    one_line = _is_one_line(settings, plan)
    doubtful = {
        revision_id: hold_reason
        for revision_id, currency, hold_reason, is_usual in zip(
            chunk.revision_ids, chunk.currencies, chunk.hold_reasons, chunk.are_usual, strict=True
        )
        if not (is_usual and currency in DECIMALS and configured)
    }
    sizes: dict[int, int] = {}
    omitted: dict[int, Omission] = {}
    loaded = conversions.load(session, list(doubtful))
    named = [one.order.parent for one in loaded if one.order.parent]
    parents, customers = parent_states(session, named), conversions.customers(session, named)
    for one in loaded:
        reason = doubtful[one.revision_id]
        if reason == PARENT_NOT_DELIVERED:
            reason = None  # it may be delivered by now
        omission = _omission(one, reason, most_items, limit, plan.now, configured=configured)
        omission = omission or _behind_parent(one, parents, customers) or (_beyond_a_line(one) if one_line else None)
        if omission:
            omitted[one.revision_id] = omission
        sizes[one.revision_id] = 0 if omission else len(one.order.items)
    items = zip(chunk.revision_ids, chunk.lines, strict=True)
    lines = [sizes.get(revision_id, number or 0) for revision_id, number in items]
    return [min(number, 1) for number in lines] if one_line else lines, omitted


def _most_items(settings: Settings, plan: Plan) -> int:
    """Return how many items an order can have at most and still go into one file."""
    return _ANY_NUMBER if _is_one_line(settings, plan) else settings.max_rows


def _is_one_line(settings: Settings, plan: Plan) -> bool:
    """Say whether an order is one line of this file, whatever its items."""
    event_type = settings.event_type(plan.event_type)
    return event_type is not None and not event_type.has_item_lines


def _beyond_a_line(recorded: Recorded) -> Omission | None:
    """Say why an order does not go whose items add up to more than a line can say."""
    order = recorded.order
    if order.amount < AMOUNT_LIMIT * 10 ** DECIMALS[order.currency]:
        return None
    detail = "Its items add up to 1,000,000,000,000 or more, and are one line."
    return Omission(recorded.revision_id, "held", "cannot_be_rendered", detail, again=True)


def _omission(
    recorded: Recorded,
    hold_reason: str | None,
    most_items: int,
    limit: AgeLimit,
    now: datetime,
    *,
    configured: bool = True,
) -> Omission | None:
    """Say why a revision does not go, or None if it goes."""
    order, revision = recorded.order, recorded.revision_id
    if hold_reason:
        detail = f"It has no click id, promo code or media id; name one by PUT {_attribution_of(order)}."
        return Omission(revision, "held", hold_reason, detail)
    if not configured:
        detail = f"The event type {order.event_type} is not set up any more; put it back into CAPTURE_EVENT_TYPES."
        return Omission(revision, "held", "unknown_event_type", detail, again=True)
    if order.currency not in DECIMALS:  # a newer version of ISO 4217 may have dropped it
        detail = f"{order.currency} is no currency of ISO 4217 any more, so that its decimals are not known."
        return Omission(revision, "held", "cannot_be_rendered", detail, again=True)
    if len(order.items) > most_items:
        detail = f"It has {len(order.items)} items, and a file at most {most_items} rows; raise CAPTURE_MAX_ROWS."
        return Omission(revision, "held", "too_many_items", detail, again=True)
    if is_too_old(order, limit, now):
        days = limit.of(order).days
        detail = f"Its event date is more than {days} days ago; impact.com does not process such a line any more."
        if order.media_id is None and now - order.event_date <= timedelta(days=limit.days_with_media_id):
            detail += (
                f" With its partner's media_id it would for {limit.days_with_media_id} days: name that by PUT"
                f" {_attribution_of(order)}."
            )
        return Omission(revision, "expired", "too_old", detail)
    return None


def _behind_parent(
    recorded: Recorded, parents: Mapping[OrderKey, ParentState], customers: Mapping[OrderKey, str | None]
) -> Omission | None:
    """Say why a chained action does not go yet, or None if its parent has arrived or it has none."""
    parent = recorded.order.parent
    if parent is None:
        return None
    state = parents.get(parent, ParentState.ON_ITS_WAY)
    if state is not ParentState.DELIVERED:
        return Omission(recorded.revision_id, "held", state.value, why_held(parent, state), again=True)
    if about_recorded_parent(recorded.order, customers) is None:
        return None  # as it was when the order came, unless the parent was replaced before it left
    return Omission(recorded.revision_id, "held", OTHER_CUSTOMER, why_cut_off(recorded.order.key, parent), again=True)


def _attribution_of(order: Order) -> str:
    """Return the path by which an order gets its attribution."""
    path = f"/orders/{quote(order.order_id, safe='')}/attribution"
    return path if order.event_type == DEFAULT_EVENT_TYPE else f"{path}?event_type={order.event_type}"


# Rendering and checking -----------------------------------------------------------------------------------------


def _render(database: Database, settings: Settings, plan: Plan) -> Plan:
    """Let the database render a plan's file."""
    event_type = settings.event_type(plan.event_type)
    if not plan.orders or event_type is None:
        return plan
    oldest = plan.now - timedelta(days=age_limit(settings).days)
    needed = Credits()
    with database.snapshot() as session:
        only_by_keys(session)
        while True:
            expected = needed
            lines, needed = read_lines(session, plan.orders, event_type, expected, oldest)
            if added_columns(event_type.columns, needed) == added_columns(event_type.columns, expected):
                break
    plan.file = assemble(plan.name, event_type, needed, lines, plan.sizes)
    logger.debug("batch.rendered", extra={"file": plan.name, "rows": plan.rows})
    return plan


def _accept(database: Database, settings: Settings, plan: Plan) -> Plan:
    """Check a plan's rendered file; if anything is wrong, hold the orders that are to blame, so that the others go."""
    event_type = settings.event_type(plan.event_type)
    if plan.file is None or event_type is None:
        return plan
    faults = faults_of(plan.name, plan.file.content, now=plan.now)
    logger.debug("batch.checked", extra={"file": plan.name, "refused": len(faults)})
    if faults or not _is_plain(plan.file):
        with database.snapshot() as session:
            loaded = load_as_told(session, event_type, plan.orders)
        _render_acceptable(plan, loaded, event_type, settings)
    return plan


def load_as_told(session: Session, event_type: EventType, revision_ids: Sequence[int]) -> list[Recorded]:
    """Return revisions with what their event type adds to them when they are told to impact.com."""
    loaded = conversions.load(session, revision_ids)
    if not event_type.tracking_consent:
        return loaded
    clicks = {one.order.click_id for one in loaded if one.order.click_id is not None}
    consents = granted(session, clicks)
    return [replace(one, order=with_consent(one.order, event_type, consents)) for one in loaded]


def _is_plain(file: BatchFile) -> bool:
    """Say whether there are as many line ends as there are lines, so that none of them stands within a value."""
    ends = (file.content.count(end) for end in (b"\n", b"\r", b"\r\n"))
    return set(ends) == {HEADER_LINES + file.rows}


def _render_acceptable(plan: Plan, loaded: list[Recorded], event_type: EventType, settings: Settings) -> None:
    """Render a plan's file from its orders, less those that cannot be rendered or that impact.com would refuse."""
    limit = age_limit(settings)
    judged = (_omission(one, None, _most_items(settings, plan), limit, plan.now) for one in loaded)
    held = [omission for omission in judged if omission]
    while True:
        plan.hold(held)
        going = set(plan.orders)
        loaded = [one for one in loaded if one.revision_id in going]
        plan.file = render(plan.name, [one.order for one in loaded], event_type, limit, plan.now) if loaded else None
        held = _refused(plan.file, loaded, plan.now) if plan.file else []
        if not held:
            return


def _refused(file: BatchFile, orders: Sequence[Recorded], now: datetime) -> list[Omission]:
    """Return the orders that the checker refuses. Raises Failure when a fault belongs to no order."""
    by_order_id = {one.order.order_id: one.revision_id for one in orders}
    refused: dict[int, Omission] = {}
    for fault in faults_of(file.name, file.content, now=now):
        revision = by_order_id.get(fault.order_id or "")
        if revision is None:
            raise Failure(f"The file {file.name} would be refused: {fault.code}, {fault.detail}")
        detail = f"{fault.code}: {fault.detail}"
        refused.setdefault(revision, Omission(revision, "held", "cannot_be_rendered", detail, again=True))
    return list(refused.values())


# Committing -----------------------------------------------------------------------------------------------------


@retried
def commit(database: Database, settings: Settings, claimed: Claim, plan: Plan, now: datetime) -> bool:
    """Make a plan durable and renew the lease. Returns False, changing nothing, if an order has changed since."""
    with database.transaction() as session:
        only_by_keys(session)
        if store.take(session, plan.taken) != len(plan.taken):
            session.rollback()
            return False
        logger.debug("batch.taken", extra={"event_type": plan.event_type})
        counts = {state: plan.count(state) for state in ("held", "expired")}
        advance(session, settings, claimed, exported=len(plan.orders), **counts)
        store.omit(session, claimed.export_id, plan.omissions, age_limit(settings))
        if plan.file:
            _add(session, claimed, plan, plan.file, now)
        logger.debug("batch.committing", extra={"event_type": plan.event_type})
    logger.debug("batch.committed", extra={"event_type": plan.event_type})
    return True


def _add(session: Session, claimed: Claim, plan: Plan, file: BatchFile, now: datetime) -> None:
    store.forget_omissions(session, plan.orders)
    kind, size = BatchKind.CONVERSIONS, len(plan.orders)
    row = batch_row(kind, plan.event_type, plan.batch_id, file, size, claimed, now, plan.channel)
    store.add_batch(session, row, file.content, plan.orders, file.first_lines)
    logger.debug("batch.added", extra={"batch": plan.batch_id})

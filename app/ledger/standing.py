"""An order as a correction of it finds it: what the shop has said of it, and what impact.com believes of that."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

import orjson
from sqlalchemy import Row
from sqlmodel import Session

from app.conversions import corrections_store as store
from app.conversions import store as conversions
from app.conversions.belief import Told, believed
from app.conversions.correction import CLOSED, Corrected, Standing
from app.conversions.order import Order
from app.conversions.store import Recorded
from app.conversions.wish import Line, Lines
from app.event_type import EventType
from app.ledger import corrections_store as ledger
from app.ledger.correction_answer import Level
from app.submissions.store import correction_verdicts, objections_to_corrections, order_verdicts
from app.submissions.submission import Verdict

APPROVED: Final = "APPROVED"
"""The state in which impact.com takes no corrections of an action any more."""


@dataclass(frozen=True, slots=True)
class Case:
    """All that there is to know of an order while it is corrected.

    `by_item`: its items have left line by line. `rejected`: impact.com has not taken the order, so that it knows
    nothing that could be corrected.
    """

    recorded: Recorded
    standing: Standing
    number: int
    by_item: bool
    rejected: bool = False


def look(session: Session, conversion_id: int, event_type: EventType | None) -> Case:
    """Take the order out of the exporter's hands and look at it: what waits is taken first, since it may be leaving."""
    recorded = conversions.newest_of(session, conversion_id)
    conversions.withdraw(session, recorded.revision_id)
    waited = store.withdraw(session, conversion_id)
    return case_of(session, recorded, event_type, waited=waited)


def case_of(session: Session, recorded: Recorded, event_type: EventType | None, *, waited: bool) -> Case:
    """Return what there is to know of an order; `waited` says whether a correction of it does or did, until now."""
    conversion_id = recorded.conversion_id
    as_recorded = lines_of(recorded.order)
    before = store.newest(session, conversion_id)
    standing = Standing(recorded.order.currency, as_recorded, is_reversed=bool(before and before.reverses))
    if recorded.number > 1:
        gone = conversions.skus_before(session, conversion_id, recorded.revision_id)
        standing = replace(standing, gone=frozenset(gone - {line.sku for line in as_recorded}))
    case = Case(recorded, standing, before.number + 1 if before else 1, by_item=False)
    batch = ledger.left_by(session, recorded.revision_id)
    if batch is None:
        return case
    case = replace(case, by_item=_left_by_item(batch, len(as_recorded), event_type))
    return _after_leaving(session, case, event_type, waited=waited)


def lines_of(order: Order) -> Lines:
    """Return the lines of an order as corrections have them."""
    return tuple(Line(one.sku, one.category, one.quantity, one.amount) for one in order.items)


def _left_by_item(batch: Row[Any], items: int, event_type: EventType | None) -> bool:
    """Say whether the items of an order have left line by line: its file tells, whatever the settings are by now.

    A file in which every order is one line, and the order one item, may be of either kind; then the settings tell.
    """
    if batch.rows != batch.orders or items > 1:
        return bool(batch.rows != batch.orders)
    return event_type is not None and event_type.has_item_lines


def _after_leaving(session: Session, case: Case, event_type: EventType | None, *, waited: bool) -> Case:
    """Add what corrections have left of an order that has left, and what impact.com knows of that."""
    conversion_id, standing = case.recorded.conversion_id, case.standing
    truth = store.truths(session, [conversion_id]).get(conversion_id)
    if truth is not None:
        standing = replace(standing, lines=store.lines_of(session, [truth])[truth])
    recorded = lines_of(case.recorded.order)
    verdict = order_verdicts(session, [case.recorded.revision_id]).get(case.recorded.revision_id)
    if verdict is Verdict.REJECTED:
        return replace(case, standing=replace(standing, told=recorded), rejected=True)
    sent = ledger.sent(session, conversion_id)
    verdicts = correction_verdicts(session, sent)
    told = _told(session, recorded, sent, verdicts)
    standing = replace(
        standing,
        told=told,
        sent=sum(verdicts.get(one) is not Verdict.REJECTED for one in sent),
        refused=_is_refused(verdicts) and told != standing.lines and not waited,
    )
    return replace(case, standing=_closing(session, case.recorded, standing, sent, event_type))


def _is_refused(verdicts: Mapping[int, Verdict]) -> bool:
    return any(one is not Verdict.ACCEPTED for one in verdicts.values())


def _told(session: Session, recorded: Lines, sent: Sequence[int], verdicts: Mapping[int, Verdict]) -> Lines:
    """Return the lines as impact.com has them; what it has not judged counts as taken."""
    if not sent:
        return recorded
    if not _is_refused(verdicts):
        return store.lines_of(session, sent[-1:])[sent[-1]]
    taken = [one for one in sent if verdicts.get(one) is not Verdict.REJECTED]
    lines, said = store.lines_of(session, taken), ledger.told_as(session, taken)
    partly = [one for one in taken if verdicts.get(one) is Verdict.PARTLY_ACCEPTED]
    objections = objections_to_corrections(session, partly)

    def told(one: int) -> Told:
        row = said[one]
        whole = bool(row.reverses) or orjson.loads(row.answer).get("level") == "order"
        refused = {each.sku for each in objections.get(one, ())} if one in partly else set()
        if one in partly and (None in refused or not refused):  # it is not known which: then all are told again
            refused = {line.sku for line in lines[one]}
        return Told(lines[one], whole, frozenset(sku for sku in refused if sku))

    return believed(recorded, map(told, taken))


def _closing(
    session: Session, recorded: Recorded, standing: Standing, sent: Sequence[int], event_type: EventType | None
) -> Standing:
    """Add until when the action can be changed: impact.com's own word comes before the event type's rule."""
    action = ledger.reported(session, recorded.conversion_id)
    codes = (
        {one.code for found in objections_to_corrections(session, sent).values() for one in found} if sent else set()
    )
    closed = next((code for code in CLOSED if code in codes), None)
    if action is not None and action.state == APPROVED:
        closed = "ALREADY_APPROVED"
    by_rule = event_type.locks_at(recorded.order.event_date) if event_type else None
    locks_at: datetime | None = action.locks_at if action is not None and action.locks_at is not None else by_rule
    return replace(standing, locks_at=locks_at, closed=closed)


def level_of(case: Case, corrected: Corrected) -> Level | None:
    """Return by what lines impact.com is told of a correction, or None if there is nothing to tell it.

    Nothing comes after the reversal of an order, so that this is one line of it also where all others name items.
    """
    told = case.standing.told
    if told is None or corrected.lines == told:
        return None
    if corrected.reverses:
        return None if case.rejected else "order"
    if case.by_item:
        return "item"
    same = sum(line.amount for line in corrected.lines) == sum(line.amount for line in told)
    return None if same else "order"


def number_of_lines(level: Level, lines: Lines) -> int:
    """Return how many lines of a file a correction is."""
    return 1 if level == "order" else sum(line.reason is not None for line in lines)


def as_it_stands(session: Session, recorded: Recorded) -> Order:
    """Return what is left of an order that has left, after all corrections; without items if nothing is left."""
    truth = store.truths(session, [recorded.conversion_id]).get(recorded.conversion_id)
    if truth is None:
        return recorded.order
    lines = store.lines_of(session, [truth])[truth]
    order = recorded.order.with_lines((line.quantity, line.amount, line.category) for line in lines)
    return replace(order, items=tuple(item for item in order.items if item.quantity))

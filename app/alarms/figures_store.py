"""How much there is of what is not finished; no statement scans a history."""

from typing import Final

from sqlalchemy import case, func, select
from sqlmodel import Session

from app.batches.store import GIVEN_UP, LEFT_OUT, UNCONFIRMED, UNDELIVERED
from app.conversions.corrections_store import CANCELLED, UNSENT_CORRECTION
from app.conversions.store import UNSENT
from app.delivery.attempt import BatchState
from app.ledger.deadlines_store import TO_LEAVE

MOST_HELD: Final = 100
"""So many of the orders that an export has left out as held are counted: nobody need ever have seen to them."""


def open_batches(session: Session, *, with_results: bool) -> dict[str, int]:
    """Return how many batches are in each state that is not the last one.

    A batch is `delivered` until impact.com has told its result; where it is not asked for results, that is the end.
    """
    tried = case((UNDELIVERED.c.token == 0, BatchState.RENDERED.value), else_=BatchState.SENDING.value)
    state = func.coalesce(UNDELIVERED.c.stuck, tried).label("state")
    found = session.connection().execute(select(state, func.count()).group_by(state))
    states = (BatchState.RENDERED, BatchState.SENDING, BatchState.UNKNOWN, BatchState.FAILED)
    numbers = dict.fromkeys([one.value for one in states], 0) | {row[0]: row[1] for row in found}
    if with_results:
        again = UNCONFIRMED.c.batch.in_(select(UNDELIVERED.c.batch))
        awaited = select(func.count()).where(func.coalesce(UNCONFIRMED.c.trouble, "") != GIVEN_UP, ~again)
        numbers[BatchState.DELIVERED.value] = session.connection().execute(awaited).scalar_one()
    return numbers


def unsent(session: Session) -> dict[tuple[str, str], int]:
    """Return how many orders and corrections no batch holds yet, by whether they wait for an export or for a person."""
    orders = case((TO_LEAVE, "pending"), else_="held").label("state")
    corrections = case((UNSENT_CORRECTION.c.hold_reason.is_(None), "pending"), else_="held").label("state")
    numbers = {(what, state): 0 for what in ("orders", "corrections") for state in ("pending", "held")}
    for what, state, table in (("orders", orders, UNSENT), ("corrections", corrections, UNSENT_CORRECTION)):
        found = select(state, func.count()).select_from(table).group_by(state)
        numbers |= {(what, row[0]): row[1] for row in session.connection().execute(found)}
    numbers["orders", "held"] += _left_out(session)
    return numbers


def _left_out(session: Session) -> int:
    """Return how many orders an export has left out as held; it takes most of them from `unsent`.

    Whether one is elsewhere is counted one by one: an EXISTS might be made of all that were ever cancelled.
    """
    elsewhere = [
        select(func.count()).where(other == LEFT_OUT.c.revision_id).correlate(LEFT_OUT).scalar_subquery()
        for other in (UNSENT.c.revision_id, CANCELLED.c.revision_id)
    ]
    held = LEFT_OUT.c.state == "held", *(number == 0 for number in elsewhere)
    some = select(LEFT_OUT.c.revision_id).where(*held).order_by(LEFT_OUT.c.revision_id).limit(MOST_HELD)
    return session.connection().execute(select(func.count()).select_from(some.subquery())).scalar_one()

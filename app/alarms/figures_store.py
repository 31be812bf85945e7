"""How much there is of what is not finished; no statement scans a history."""

from sqlalchemy import case, func, select
from sqlmodel import Session

from app.batches.store import GIVEN_UP, UNCONFIRMED, UNDELIVERED
from app.conversions.corrections_store import UNSENT_CORRECTION
from app.conversions.store import UNSENT
from app.delivery.attempt import BatchState
from app.ledger.deadlines_store import TO_LEAVE


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
    return numbers

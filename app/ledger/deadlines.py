"""What a person should see to before it is too late: ages, locking dates, and the number of modifications."""

from datetime import datetime, timedelta
from typing import Any, Final

from pydantic import BaseModel
from sqlalchemy import Row
from sqlmodel import Session

from app.batches.build import age_limit
from app.config import Settings
from app.conversions.correction import WARNED_FROM
from app.ledger import deadlines_store as store

KINDS: Final = ("orders_expiring", "held_orders_expiring", "corrections_locking", "actions_near_limit")


class Deadlines(BaseModel):
    """What ends within `within_days` (CAPTURE_DEADLINE_DAYS), and when the first of it does.

    `orders_expiring` are on their way, `held_orders_expiring` wait for a person; both will be too old for impact.com.
    `corrections_locking` have not left, and their actions lock then, or have locked. `actions_near_limit` have nearly
    as many modifications as impact.com takes of one action.
    """

    within_days: int
    orders_expiring: int
    first_order_expires_at: datetime | None
    held_orders_expiring: int
    first_held_order_expires_at: datetime | None
    corrections_locking: int
    first_correction_locks_at: datetime | None
    actions_near_limit: int


def deadlines(session: Session, settings: Settings, now: datetime) -> Deadlines:
    """Return what comes to its end soon."""
    limit, upto = age_limit(settings), now + timedelta(days=settings.deadline_days)
    expiring, first = store.expiring(session, limit, upto)
    held, first_held = store.held_and_expiring(session, limit, now, upto)
    locking = _locking(session, settings, upto)
    return Deadlines(
        within_days=settings.deadline_days,
        orders_expiring=expiring,
        first_order_expires_at=first,
        held_orders_expiring=held,
        first_held_order_expires_at=first_held,
        corrections_locking=len(locking),
        first_correction_locks_at=min(locking, default=None),
        actions_near_limit=len(store.corrected_often(session, WARNED_FROM)),
    )


def _locking(session: Session, settings: Settings, upto: datetime) -> list[datetime]:
    """Return when the actions lock whose corrections still wait, as far as that is before `upto`."""
    waiting = store.waiting_corrections(session, settings.event_type_keys)
    ends = [row.locks_at or _by_rule(settings, row) for row in waiting]
    return [end for end in ends if end is not None and end < upto]


def _by_rule(settings: Settings, row: Row[Any]) -> datetime | None:
    """Return when the event type's rule says that the action of a correction locks."""
    event_type = settings.event_type(row.event_type)
    return event_type.locks_at(row.event_at) if event_type else None

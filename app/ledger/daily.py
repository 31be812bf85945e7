"""The comparison that a worker makes by itself each day, so that somebody is told of what nobody has looked for."""

from datetime import datetime, timedelta
from typing import Final

from app.actions import store
from app.config import Settings
from app.database import Database
from app.ledger.reconcile import known, reconcile
from app.ledger.reconciliation import Difference

DAYS: Final = 7
AFTER: Final = timedelta(days=3)
"""By then an order has left, and impact.com shows it."""


def compare_daily(database: Database, settings: Settings, now: datetime) -> bool:
    """Compare the orders of a week once a day, when impact.com's actions have been read; say whether that was done."""
    last = (now - AFTER).date()
    period = last - timedelta(days=DAYS - 1), last
    with database.snapshot() as session:
        before, what = store.last_comparison(session), known(session, settings, now)
        made = before is not None and before.day >= now.date()
        if made or what.impact_up_to is None or now - what.impact_up_to > timedelta(days=1):
            return False
        found = reconcile(session, settings, period, what, lambda _: None).differences
    missing, doubled = (found.get(kind, 0) for kind in (Difference.MISSING_AT_IMPACT, Difference.DOUBLED))
    with database.transaction() as session:
        store.note_comparison(
            session, day=now.date(), first=period[0], last=period[1], missing=missing, doubled=doubled
        )
    return True

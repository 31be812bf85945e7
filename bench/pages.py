"""A page of the dashboard as the service reads it: searches, and the numbers of the days on the overview."""

import time
from datetime import UTC, date, datetime, timedelta
from typing import Final

from pydantic import SecretStr

from app.config import Settings
from app.database import Database
from app.ledger.search import Wanted, search
from app.ledger.state import OrderState
from app.ledger.totals import list_days
from bench import fill
from bench.goal import Broken

TIMES: Final = 10
"""A round reads every page so often: one is over in milliseconds."""
LONG_AGO: Final = date(2020, 1, 1)
SEARCHES: Final = (
    Wanted(),
    Wanted(text=fill.order_id(fill.SOUGHT)),
    Wanted(text=fill.click_id(fill.SOUGHT)),
    Wanted(first=LONG_AGO),
    Wanted(text=fill.click_id(fill.SOUGHT), state=OrderState.DELIVERED, first=LONG_AGO),
)
EMPTY: Final = (Wanted(state=OrderState.HELD), Wanted(reason="NO_ITEM"))


def read(url: str) -> float:
    """Read an overview and a page of each search, and return the seconds that they take together."""
    values = {"database_url": SecretStr(url), "campaign_id": 1000, "action_tracker_id": 4321}
    settings, database = Settings.model_validate(values), Database(url)
    today = datetime.now(UTC).date()
    try:
        began = time.perf_counter()
        for _ in range(TIMES):
            _show(database, settings, today)
        return (time.perf_counter() - began) / TIMES
    finally:
        database.close()


def _show(database: Database, settings: Settings, today: date) -> None:
    """Read them once. Raises Broken if something is missing."""
    with database.snapshot() as session:
        days = list_days(session, today - timedelta(days=fill.MOST_DAYS_SHOWN - 1), today)
        found = [bool(search(session, settings, wanted, None).items) for wanted in (*SEARCHES, *EMPTY)]
    if len(days.items) != fill.MOST_DAYS_SHOWN or found != [True] * len(SEARCHES) + [False] * len(EMPTY):
        raise Broken("a page of the dashboard does not show what is there")

"""Retention: what is older than the settings keep is deleted in small steps, so that nobody who writes waits for it.

Orders are never deleted, since their keys guard against a second one for ever; nor are batches, of which their name,
hash and lines stay. What is personal in them, and their content, goes where the settings say so.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Final

from sqlmodel import Session

from app.alarms.store import delete_over
from app.clicks.store import delete_old
from app.config import Settings
from app.dashboard.session_store import delete_ended
from app.database import Database, retried
from app.errors import Unavailable
from app.privacy.clear import clear_old_files, clear_old_orders
from app.privacy.erase import Means
from app.privacy.files import Places
from app.service import Service

logger = logging.getLogger(__name__)

STEP: Final = 500
"""So many rows go in one transaction: a few milliseconds."""
SHORTEST_REST: Final = 0.02
"""Longer than another process of this host looks away from the lock of an embedded database."""
EVERY_SECONDS: Final = 3_600.0

Delete = Callable[[Session, datetime, int], int]
Rest = Callable[[float], object]
"""Is called between two steps with how long others are to have their turn."""


def purge(database: Database, settings: Settings, now: datetime, rest: Rest) -> Iterator[tuple[str, int]]:
    """Delete what is too old, and yield after each step what it was about and how many rows went."""
    for what, days, delete in (
        ("clicks", settings.keep_clicks_days, delete_old),
        ("alarms", settings.keep_alarms_days, delete_over),
        ("sessions", 0, delete_ended),
    ):
        gone = STEP
        while gone == STEP:
            began = time.monotonic()
            gone = _step(database, delete, now - timedelta(days=days))
            yield what, gone
            rest(max(SHORTEST_REST, time.monotonic() - began))


def everything(service: Service, rest: Rest) -> Iterator[tuple[str, int]]:
    """Do so, and then remove what is too old of files and of what is personal in orders. Raises Failure."""
    settings, now = service.settings, service.clock()
    yield from purge(service.database, settings, now, rest)
    means = means_of(service)
    yield from _rested("files", clear_old_files(means, settings.keep_files_days, now), rest)
    if settings.keep_personal_days is not None:
        yield from _rested("orders", clear_old_orders(means, settings.keep_personal_days, now), rest)


def means_of(service: Service) -> Means:
    """Return what data of people are removed with on this host."""
    places, settings = Places.of(service.hold.journal, service.channels), service.settings
    return Means(service.database, places, settings.spool_path, settings.fingerprint_key)


def _rested(what: str, steps: Iterator[int], rest: Rest) -> Iterator[tuple[str, int]]:
    """Yield what each step was about, and rest as long as it has taken."""
    began = time.monotonic()
    for number in steps:
        yield what, number
        rest(max(SHORTEST_REST, time.monotonic() - began))
        began = time.monotonic()


@retried
def _step(database: Database, delete: Delete, before: datetime) -> int:
    with database.transaction() as session:
        return delete(session, before, STEP)


def purge_now_and_then(service: Service) -> None:
    """Delete what is too old every hour, until the service is told to stop."""
    while not service.stopping.wait(EVERY_SECONDS):
        try:
            purge_once(service)
        except Unavailable as away:
            logger.warning("purge.database_away", extra={"detail": str(away)})
        except Exception:
            logger.exception("purge.failed")


def purge_once(service: Service) -> None:
    """Delete what is too old, but not beyond a step when the service is told to stop; say what went."""
    service.require_usable()
    gone = Counter[str]()
    for what, number in everything(service, service.stopping.wait):
        gone[what] += number
        if service.stopping.is_set():
            break
    if gone.total():
        logger.info("purge.done", extra=dict(gone))

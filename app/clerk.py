"""The clerk: files orders by what they are found by and counts what each day's have come to, while others rest.

Both are for whoever looks at orders, and give way to whoever takes and sends them: the clerk rests many times as long
as it works.
"""

import logging
import threading
import time
from collections.abc import Callable
from typing import Final

from app.conversions.terms import file_some
from app.errors import LeaseLost, Unavailable
from app.ledger.standings import count_one
from app.service import Service
from app.watcher import REST_SHARE

logger = logging.getLogger(__name__)

FILE_EVERY_SECONDS: Final = 2.0
COUNT_EVERY_SECONDS: Final = 5.0
SHORTEST_REST: Final = 0.05


def clerks(service: Service) -> list[threading.Thread]:
    """Return the threads that file and count."""
    steps = (("file_terms", FILE_EVERY_SECONDS, file_terms), ("count_days", COUNT_EVERY_SECONDS, count_days))
    return [
        threading.Thread(target=_now_and_then, args=(service, seconds, step), name=name, daemon=True)
        for name, seconds, step in steps
    ]


def file_terms(service: Service) -> None:
    """File whatever is to be filed."""
    began = time.monotonic()
    while file_some(service.database, service.clock()) and not _rests(service, time.monotonic() - began):
        began = time.monotonic()


def count_days(service: Service) -> None:
    """Count every day that is due."""
    while count_one(service.database, service.clock, lambda took: _rests(service, took)):
        if service.stopping.is_set():
            return


def _rests(service: Service, took: float) -> bool:
    """Let others have their turn after a step that took so long, and say whether the service is told to stop."""
    return service.stopping.wait(max(SHORTEST_REST, REST_SHARE * took))


def _now_and_then(service: Service, seconds: float, step: Callable[[Service], None]) -> None:
    """Take a step every so many seconds until the service is told to stop."""
    while not service.stopping.wait(seconds):
        try:
            service.require_usable()
            step(service)
        except LeaseLost as lost:
            logger.warning("clerk.lease_lost", extra={"detail": str(lost)})
        except Unavailable as away:
            logger.warning("clerk.database_away", extra={"detail": str(away)})
        except Exception:
            logger.exception("clerk.failed")

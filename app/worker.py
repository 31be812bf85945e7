"""The worker: builds exports, delivers batches, and goes on after whatever stopped it.

It lives in a thread of the service and can run alone; any number may run, since leases decide who works on what.
"""

import logging
import threading
from typing import Final

from app.batches import build
from app.delivery import deliver
from app.errors import Failure, LeaseLost, Unavailable
from app.service import Service

logger = logging.getLogger(__name__)

LOOK_EVERY_SECONDS: Final = 1.0
REST_SECONDS: Final = 3.0


def work(service: Service, stopping: threading.Event) -> bool:
    """Do what there is to do now, and say whether there was anything."""
    worked = False
    if (claimed := build.claim(service.database, service.settings)) is not None:
        build.run(service.database, service.settings, claimed, service.clock, stopping.is_set)
        worked = True
    while not stopping.is_set():
        delivery = deliver.claim(service.database, service.settings, service.clock())
        if delivery is None:
            break
        deliver.deliver(service.database, service.channel, delivery, service.clock)
        worked = True
    return worked


def run(service: Service) -> None:
    """Work until the service is told to stop. A failure is logged, and the work is tried again."""
    while not service.stopping.is_set():
        pause = _once(service)
        service.wake.wait(pause)
        service.wake.clear()


def _once(service: Service) -> float:
    """Work once and return how long to rest."""
    try:
        if not service.schema_is_checked:
            service.prepare()
        return 0 if work(service, service.stopping) else LOOK_EVERY_SECONDS
    except LeaseLost as lost:
        logger.warning("worker.lease_lost", extra={"detail": str(lost)})
    except Unavailable as away:
        logger.warning("worker.database_away", extra={"detail": str(away)})
        return REST_SECONDS
    except Failure as failure:
        logger.exception("worker.failed", extra={"code": failure.code})
        return REST_SECONDS
    except Exception:
        logger.exception("worker.failed")
        return REST_SECONDS
    return 0


class WorkerThread:
    """A worker in a thread of this process."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.thread = threading.Thread(target=run, args=(service,), name="worker", daemon=True)

    def start(self) -> None:
        """Begin to work."""
        self.thread.start()

    def stop(self, seconds: float) -> None:
        """Ask it to stop at the next step's edge, and wait for that."""
        self.service.stopping.set()
        self.service.wake.set()
        self.thread.join(seconds)

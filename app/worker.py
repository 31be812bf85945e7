"""The worker: builds exports, delivers batches, and goes on after whatever stopped it.

Building, delivering files, making calls, asking impact.com what became of it and reading its actions have a thread
each, so that no receiver's trouble holds up an export, and calls, which are many and slow, no file. They live in the
service and can run alone; any number may run, since leases decide who works on what. Every process watches for alarms
too, and a worker deletes what is too old, files orders and counts days.
"""

import logging
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Final

from app.actions.read import read_due
from app.batches import exporter
from app.clerk import clerks
from app.delivery import calling, deliver
from app.delivery import store as deliveries
from app.delivery.api import room_for_calls
from app.delivery.file_submissions import is_there
from app.errors import Failure, LeaseLost, Unavailable
from app.event_type import HTTP_API
from app.ledger.daily import compare_daily
from app.purge import purge_now_and_then
from app.service import Service
from app.submissions import follow_store
from app.submissions.follow import Follower
from app.submissions.hold_corrections import hold_all
from app.watcher import watchers

logger = logging.getLogger(__name__)

LOOK_EVERY_SECONDS: Final = 1.0
REST_SECONDS: Final = 3.0


def build_one(service: Service) -> bool:
    """Build the open export if it is free, and say whether there was one."""
    if service.hold.applies(service.database):
        return False
    claimed = exporter.claim(service.database, service.settings)
    if claimed is None:
        return False
    hold_all(service.database)
    room = partial(room_for_calls, service.database, service.settings, service.clock)
    exporter.run(service.database, service.settings, claimed, service.clock, service.stopping.is_set, room)
    service.bell.ring()
    return True


def deliver_one(service: Service, *, by_calls: bool | None = None) -> bool:
    """Deliver a batch that is due, by calls or by files if that is said, and say whether there was one."""
    if service.hold.applies(service.database):
        return False
    claimed = deliver.claim(service.database, service.settings, service.clock(), by_calls=by_calls)
    if claimed is None:
        return False
    rest = service.settings, claimed, service.clock, service.stopping
    if claimed.channel == HTTP_API and service.api:
        calling.deliver(service.database, service.hold.journal, service.api, *rest)
    else:
        asks = partial(is_there, service.database, service.api, service.clock) if service.api else deliver.nobody_knows
        deliver.deliver(service.database, service.hold.journal, service.channels[claimed.channel], *rest, asks)
    return True


def read_actions(service: Service) -> bool:
    """Read what is due of impact.com's actions, or compare them once a day; say whether there was anything to do."""
    if service.api is None:
        return False
    database, settings = service.database, service.settings
    if read_due(database, service.api, settings, service.clock, service.stopping.is_set):
        return True
    return compare_daily(database, settings, service.clock())


def call_one(service: Service) -> bool:
    """Make the calls of a batch that is due, and say whether there was one."""
    return deliver_one(service, by_calls=True)


def work(service: Service) -> bool:
    """Do what there is to do now, one thing after the other, and say whether there was anything."""
    worked = build_one(service)
    while not service.stopping.is_set() and deliver_one(service):
        worked = True
    return worked


class Worker:
    """The worker's threads in this process; one that does not work only watches."""

    def __init__(self, service: Service, *, works: bool = True) -> None:
        self.service = service
        self._began = False
        api = service.api
        self._follower = Follower(service.database, api, service.settings) if api is not None else None
        with_account = (call_one, self._follow_one, read_actions) if api is not None else ()
        steps = (build_one, self._deliver_one, *with_account)
        self.threads = [
            threading.Thread(target=self._loop, args=(step,), name=step.__name__.strip("_"), daemon=True)
            for step in (steps if works else ())
        ] + watchers(service)
        if works:
            self.threads.append(threading.Thread(target=purge_now_and_then, args=(service,), name="purge", daemon=True))
            self.threads += clerks(service)

    def start(self) -> None:
        """Begin to work."""
        for thread in self.threads:
            thread.start()

    def stop(self, seconds: float) -> None:
        """Ask it to stop at the next step's edge, and wait for that."""
        self.service.stopping.set()
        self.service.bell.ring()
        end = time.monotonic() + seconds
        for thread in self.threads:
            thread.join(max(0.0, end - time.monotonic()))

    def _deliver_one(self, service: Service) -> bool:
        """Deliver a batch; before the first one, let stopped channels try once more: a setting may have changed.

        What an older version has sent until now is looked after from then on.
        """
        if not self._began:
            try_stopped_channels(service)
            with service.database.transaction() as session:
                follow_store.adopt(session)
            self._began = True
        return deliver_one(service, by_calls=False)

    def _follow_one(self, _service: Service) -> bool:
        """Ask impact.com what became of something that was sent, and say whether anything was due."""
        return self._follower is not None and self._follower.step(self.service.clock())

    def _loop(self, step: Callable[[Service], bool]) -> None:
        """Take step after step until the service is told to stop."""
        heard = self.service.bell.rings
        while not self.service.stopping.is_set():
            heard = self.service.bell.wait(heard, _rest(self.service, step))


def run(service: Service) -> None:
    """Work until the service is told to stop."""
    worker = Worker(service)
    worker.start()
    for thread in worker.threads:
        thread.join()


def _rest(service: Service, step: Callable[[Service], bool]) -> float:
    """Take one step and return how long to rest. A failure is logged, and the step is tried again."""
    try:
        if not service.schema_is_checked:
            service.prepare()
        return 0 if step(service) else LOOK_EVERY_SECONDS
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


def try_stopped_channels(service: Service) -> None:
    """Give each channel that was stopped one more attempt."""
    with service.database.transaction() as session:
        for channel in {*service.channels, HTTP_API}:
            deliveries.try_channel_again(session, channel)

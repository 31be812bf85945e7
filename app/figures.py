"""Numbers that are read from the database: the same from every replica, and absent while they cannot be known."""

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import Session

from app.alarms import facts, figures_store
from app.config import Settings
from app.delivery import budget_store
from app.delivery.api import share_of
from app.delivery.budget import remaining_of
from app.errors import Unavailable
from app.lane import Lane
from app.ledger.deadlines import KINDS, deadlines
from app.service import Service

FRESH_SECONDS: Final = 5.0
REST_SHARE: Final = 20
"""What was read stands for so many times as long as it took to read, so that it costs little however much there is."""
LOOK_SECONDS: Final = 0.8


class Figures:
    """Reads them in a thread of its own, one reading at a time, and not again while they are fresh."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._lane = Lane("figures")
        self._reading: asyncio.Future[Sequence[Metric]] | None = None
        self._fresh_until = 0.0

    async def look(self) -> Sequence[Metric]:
        """Return the numbers, or none if the database is away or does not answer soon."""
        if self._reading is None or (self._reading.done() and time.monotonic() >= self._fresh_until):
            self._reading = self._lane.run(self._read)
        done, _ = await asyncio.wait({self._reading}, timeout=LOOK_SECONDS)
        return self._reading.result() if done else ()

    def close(self) -> None:
        """End the thread; what it has begun to read is waited for a moment."""
        self._lane.close()
        self._lane.join()

    def _read(self) -> Sequence[Metric]:
        began = time.monotonic()
        try:
            with self._service.database.snapshot() as session:
                found = list(read(session, self._service.settings, self._service.clock()))
        except (Unavailable, SQLAlchemyError):  # also where the schema is not this version's
            return ()
        now = time.monotonic()
        self._fresh_until = now + max(FRESH_SECONDS, REST_SHARE * (now - began))
        return found


def read(session: Session, settings: Settings, now: datetime) -> Iterator[Metric]:
    """Yield every number."""
    yield from _ages(session, now)
    yield from _numbers(session, settings, now)
    if settings.has_api:
        yield from _budget(session, settings, now)


def _ages(session: Session, now: datetime) -> Iterator[Metric]:
    yield _one(
        "capture_oldest_unsent_order_seconds",
        "Seconds since the oldest order was recorded that is to leave and has not been delivered; 0 if there is none.",
        _age(facts.oldest_unsent(session), now),
    )
    yield _one(
        "capture_oldest_unsent_correction_seconds",
        "The same of corrections.",
        _age(facts.oldest_correction(session), now),
    )
    exported = facts.last_export(session)
    if exported is not None:
        yield _one(
            "capture_last_export_seconds",
            "Seconds since the newest export that is done ended; before the first one, since the first order.",
            _age(exported, now),
        )


def _numbers(session: Session, settings: Settings, now: datetime) -> Iterator[Metric]:
    unsent = {"/".join(key): number for key, number in figures_store.unsent(session).items()}
    yield _family(
        "capture_unsent",
        "Orders and corrections that are in no batch: pending for an export, or held for a person.",
        ("what", "state"),
        unsent,
    )
    ends = deadlines(session, settings, now)
    yield _family(
        "capture_deadlines",
        "What comes to its end within CAPTURE_DEADLINE_DAYS: orders that will be too old, on their way or held,"
        " corrections whose actions lock, and actions with nearly as many modifications as impact.com takes.",
        ("kind",),
        {kind: getattr(ends, kind) for kind in KINDS},
    )
    yield _family(
        "capture_batches",
        "Batches that are not at their end: rendered, sending, unknown and failed (both wait for a person), delivered"
        " (impact.com's result is awaited).",
        ("state",),
        figures_store.open_batches(session, with_results=settings.has_api),
    )


def _budget(session: Session, settings: Settings, now: datetime) -> Iterator[Metric]:
    standing = budget_store.standing(session, now)
    spent, limit = sum(standing.spent.values()), share_of(settings).calls
    yield _one("capture_api_budget_spent", "Calls of impact.com's API in the last hour, of all replicas.", spent)
    yield _one("capture_api_budget_limit", "Calls of an hour by CAPTURE_IMPACT_BUDGET_PER_HOUR.", limit)
    remaining = remaining_of(standing.told, now)
    if remaining is not None:
        yield _one("capture_api_limit_remaining", "Calls that impact.com says it has left for the account.", remaining)


def _age(moment: datetime | None, now: datetime) -> float:
    return 0.0 if moment is None else max((now - moment).total_seconds(), 0.0)


def _one(name: str, told: str, number: float) -> Metric:
    return GaugeMetricFamily(name, told, value=number)


def _family(name: str, told: str, labels: Sequence[str], numbers: Mapping[str, float]) -> Metric:
    """Return numbers by their labels' values, which stand in the key with a slash between."""
    family = GaugeMetricFamily(name, told, labels=labels)
    for key, number in numbers.items():
        family.add_metric(key.split("/"), number)
    return family

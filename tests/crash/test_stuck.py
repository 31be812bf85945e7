"""Many deliveries of dead workers wait among one that is alive and slow: all are rescued, and it keeps its claim."""

import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import insert, select

from app.batches.batch import BatchKind, file_name
from app.batches.store import BATCH, BATCH_CONTENT, UNDELIVERED
from app.config import Settings
from app.conversions.record import record
from app.delivery import heartbeat, store
from app.delivery.parcel import Parcel, Progress
from app.errors import LeaseLost
from app.ledger.export_routes import request_export
from app.service import Service
from app.worker import build_one, deliver_one
from tests.conftest import SettingsFactory
from tests.crash.shop import SECONDS
from tests.crash.victim import has_work
from tests.soak import SOAK
from tests.support import NOW, order

STUCK = 5_000 if SOAK else 300
LEASE_SECONDS = 3


class Quick:
    """A channel that takes no time."""

    def __init__(self) -> None:
        self.sent: Counter[str] = Counter()

    def send(self, parcel: Parcel, _progress: Progress) -> None:
        self.sent[parcel.name] += 1

    def ask(self, _parcel: Parcel) -> None:
        return None


class Slow(Quick):
    """One that takes so many seconds, and then until it is told that it may end."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds
        self.begun, self.may_end = threading.Event(), threading.Event()

    def send(self, parcel: Parcel, progress: Progress) -> None:
        self.begun.set()
        end = time.monotonic() + self.seconds
        while time.monotonic() < end or not self.may_end.wait(0.02):
            progress(0)
        super().send(parcel, progress)


def make_busy(service: Service, settings: Settings, stuck: int) -> None:
    """Give a service batches that workers have claimed, who then died, and one more, which is free."""
    service.settings = settings
    record(service.database, [order()], NOW)
    request_export(service.database)
    build_one(service)
    with service.database.transaction() as session:
        connection = session.connection()
        for table in (BATCH, BATCH_CONTENT, UNDELIVERED):
            [row] = connection.execute(select(table)).mappings()
            connection.execute(insert(table), [copy_of(dict(row), number) for number in range(2, stuck + 2)])
        for _ in range(stuck):
            claimed = store.claim_batch(session, timedelta(seconds=-1), UNDELIVERED.c.token == 0)
            assert claimed
            store.start(session, claimed, "folder", NOW)


def copy_of(row: dict[str, Any], number: int) -> dict[str, Any]:
    """Return the row of another batch with the same content."""
    batch_id = f"{number:016x}"
    name = file_name(BatchKind.CONVERSIONS, "default", batch_id, NOW.date())
    other = {"id": number, "batch": number, "batch_id": batch_id, "filename": name}
    return row | {column: value for column, value in other.items() if column in row}


def rescue(service: Service, most: int) -> tuple[Slow, Quick]:
    """Let a worker send the batch that is left for three lease times and until another has sent `most` others."""
    slow, quick = Slow(3 * service.settings.lease_seconds), Quick()
    live = replace(service, channels={"folder": slow})
    thread = threading.Thread(target=deliver, args=(live,))
    thread.start()
    assert slow.begun.wait(SECONDS)
    service.channels = {"folder": quick}
    while thread.is_alive():
        if quick.sent.total() == most:
            slow.may_end.set()
        if not deliver_one(service):
            thread.join(0.02)
    return slow, quick


def deliver(service: Service) -> None:
    """Deliver a batch; what it is refused is for the test to see from what was sent."""
    with suppress(LeaseLost):
        deliver_one(service)


def test_all_stuck_deliveries_are_rescued_and_a_live_one_is_not_touched(
    service: Service, make_settings: SettingsFactory, record_property: Callable[[str, object], None]
) -> None:
    """A sender that is slower than its lease keeps its claim by its heartbeat, however many others have died."""
    make_busy(service, make_settings(lease_seconds=LEASE_SECONDS), STUCK)
    slow, quick = rescue(service, STUCK)
    assert (slow.sent.total(), quick.sent.total()) == (1, STUCK)
    assert set((slow.sent + quick.sent).values()) == {1}
    assert not has_work(service)
    record_property("rescued", STUCK)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_without_a_heartbeat_the_live_one_would_lose_its_claim(
    service: Service, make_settings: SettingsFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The negative control: the same check sees that a file is sent by two."""
    monkeypatch.setattr(heartbeat, "SHORTEST_SECONDS", 3_600)
    make_busy(service, make_settings(lease_seconds=1), 10)
    slow, quick = rescue(service, 11)
    assert (slow.sent.total(), quick.sent.total()) == (1, 11)

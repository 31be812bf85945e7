"""The clerk files and counts by itself in every worker, goes on after what failed, and stops when it is told to."""

from datetime import datetime

import pytest
from sqlalchemy import func, select

from app import clerk
from app.clerk import clerks
from app.conversions.record import record
from app.conversions.terms_store import ORDER_TERM
from app.errors import Unavailable
from app.ledger.standings import CountedDay, read_days
from app.ledger.standings_store import Share
from app.service import Service
from app.worker import Worker
from tests.servers import wait_until
from tests.support import NOW, order


class Broken:
    """A clock that fails whoever asks it, for a while."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self) -> datetime:
        self.asked += 1
        if self.asked <= 4:
            raise RuntimeError("The clock is broken.") if self.asked % 2 else Unavailable("The database is away.")
        return NOW


def _shares(day: CountedDay) -> list[Share]:
    return [share for states in day.by.values() for share in states.values()]


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the clerk look at once, and again soon."""
    monkeypatch.setattr(clerk, "FILE_EVERY_SECONDS", 0.02)
    monkeypatch.setattr(clerk, "COUNT_EVERY_SECONDS", 0.02)


def test_orders_are_filed_and_counted_by_themselves(service: Service) -> None:
    """Whoever looks finds what was recorded a little earlier, also where something failed for a while."""
    clock = service.clock = Broken()
    threads = clerks(service)
    for thread in threads:
        thread.start()
    record(service.database, [order(f"N-{number}", items=1) for number in range(3)], NOW)

    def is_done() -> bool:
        with service.database.snapshot() as session:
            filed = session.connection().execute(select(func.count()).select_from(ORDER_TERM)).scalar_one()
            days = read_days(session, NOW.date(), NOW.date())
        return filed == 3 * 2 and [share.orders for day in days.values() for share in _shares(day)] == [3]

    wait_until(is_done, "orders were not filed and counted")
    assert clock.asked > 4
    service.stopping.set()
    for thread in threads:
        thread.join(5)
        assert not thread.is_alive()


def test_a_worker_has_a_clerk_and_one_who_only_watches_has_none(service: Service) -> None:
    """Every process that works files and counts; a process beside it that only serves does not."""
    names = [{thread.name for thread in Worker(service, works=works).threads} for works in (True, False)]
    assert [{"file_terms", "count_days"} <= some for some in names] == [True, False]

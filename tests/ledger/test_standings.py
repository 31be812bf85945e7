"""What each day's orders have come to is counted by itself, and is what looking at every order would give."""

import random
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import insert, update

from app.conversions.moments_store import first_since
from app.conversions.order import Item
from app.conversions.record import record
from app.conversions.store import CONVERSION, REVISION
from app.database import Database
from app.errors import LeaseLost
from app.ledger import standings
from app.ledger.orders import list_orders
from app.ledger.standings import CountedDay, count_one, due_again, read_days
from app.ledger.standings_store import COUNTED, Share
from app.ledger.state import OrderState
from app.service import Service
from tests.conftest import Clock
from tests.ledger.story import live
from tests.support import NOW, READ_KEY, bearer, order

TODAY = NOW.date()
LONG_AGO, FAR_AWAY = date(2000, 1, 1), date(2100, 1, 1)


def go_on(_took: float) -> bool:
    """Neither rest nor stop."""
    return False


def count_all(service: Service, clock: Clock | None = None) -> int:
    """Count every day that is due, and say how many were."""
    number = 0
    while count_one(service.database, clock or Clock(NOW), go_on):
        number += 1
    return number


def counted(service: Service) -> dict[date, CountedDay]:
    """Return all that was counted."""
    with service.database.snapshot() as session:
        return read_days(session, LONG_AGO, FAR_AWAY)


def looked_at(service: Service) -> dict[tuple[date, str, str, OrderState], Share]:
    """Look at every order as the list of orders shows it."""
    found: dict[tuple[date, str, str, OrderState], Share] = {}
    with service.database.snapshot() as session:
        after, more = 0, True
        while more:
            page = list_orders(session, service.settings, None, after)
            for one in page.items:
                [first] = session.connection().execute(
                    CONVERSION.select().where(
                        CONVERSION.c.event_type == one.event_type, CONVERSION.c.order_id == one.order_id
                    )
                )
                kind = first.recorded_at.date(), one.event_type, one.currency, one.state
                had = found.get(kind, Share())
                amount = int(one.amount.replace(".", ""))
                found[kind] = Share(had.orders + 1, had.with_click_id + (one.click_id is not None), had.amount + amount)
            more, after = page.next is not None, int(page.next or 0)
    return found


def flat(days: dict[date, CountedDay]) -> dict[tuple[date, str, str, OrderState], Share]:
    """Return what was counted in the same shape."""
    return {
        (day, *key, state): share
        for day, one in days.items()
        for key, states in one.by.items()
        for state, share in states.items()
    }


@pytest.fixture(autouse=True)
def _small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a day be counted in several steps."""
    monkeypatch.setattr(standings, "CHUNK", 7)


@pytest.fixture
def clock() -> Clock:
    """The service's clock shows the real time, as its callers' clocks do."""
    return Clock(datetime.now(UTC))


def test_what_is_counted_is_what_every_order_says(service: Service, client: TestClient, clock: Clock) -> None:
    """Whatever becomes of orders (files, verdicts, corrections, changes), each counts once, where it stands now."""
    live(service, client, clock, random.Random(8))
    assert count_all(service, clock) >= 1
    expected = looked_at(service)
    assert len({state for *_, state in expected}) >= 6
    assert flat(counted(service)) == expected
    assert sum(share.orders for share in flat(counted(service)).values()) == 60
    shown = client.get(
        f"/totals?from={clock.now.date() - timedelta(days=1)}&to={clock.now.date()}", headers=bearer(READ_KEY)
    )
    told = {
        (date.fromisoformat(day["day"]), one["event_type"], one["currency"], OrderState(one["state"])): Share(
            one["orders"], one["with_click_id"], int(one["amount"].replace(".", ""))
        )
        for day in shown.json()["items"]
        for one in day["standing"]
    }
    assert told == expected
    assert {day["counted_at"] for day in shown.json()["items"]} != {None}


def test_an_order_counts_on_the_day_of_its_first_recording(service: Service) -> None:
    """Midnight (UTC) parts days exactly, also where replicas' clocks differ, and a change moves no order."""
    midnight = datetime(TODAY.year, TODAY.month, TODAY.day, tzinfo=UTC)
    for place, seconds in enumerate([-3_600, -1, 0, 1, 2, 3, 20, -1, -20, 30] + [3_600] * 20):
        record(service.database, [order(f"N-{place}", items=1)], midnight + timedelta(seconds=seconds))
    with service.database.transaction() as session:
        session.connection().execute(update(REVISION).values(recorded_at=NOW))
    count_all(service)
    by_day = {
        day: sum(share.orders for share in one.by["default", "USD"].values()) for day, one in counted(service).items()
    }
    assert by_day == {TODAY - timedelta(days=1): 4, TODAY: 26}


def test_amounts_beyond_64_bits_are_exact(service: Service) -> None:
    """A day may come to more than a database's whole numbers hold."""
    most = 10**14 - 1
    orders = [order(f"N-{one}") for one in range(3)]
    many = tuple(Item(f"S-{number}", "", 1, most) for number in range(4_000))
    orders += [order(f"M-{one}", items=1).with_lines([(1, 1, "")]) for one in range(2)]
    orders += [type(orders[0])("default", f"L-{one}", NOW, "USD", many, click_id="c") for one in range(30)]
    record(service.database, orders, NOW)
    count_all(service)
    [share] = [one for states in counted(service)[TODAY].by.values() for one in states.values()]
    assert share == Share(35, 35, 30 * 4_000 * most + 3 * 2_000 + 2)
    assert share.amount > 2**63


def test_all_days_are_counted_and_then_as_often_as_their_age_asks_for(service: Service) -> None:
    """An upgraded database's days all come, the newest first; a day that nobody changes any more is left alone."""
    for days in (104, 20, 0):
        record(service.database, [order(f"N-{days}")], NOW - timedelta(days=days))
    clock, order_of_counting = Clock(NOW), []
    while count_one(service.database, clock, go_on):
        order_of_counting.append(len(counted(service)))
    assert order_of_counting == list(range(1, 106))
    assert count_all(service, clock) == 0
    for hours, number in ((1 / 12, 2), (2, 14), (26, 102), (24 * 50, 150)):
        clock.now = NOW + timedelta(hours=hours)
        assert count_all(service, clock) == number, hours
    assert next(iter(counted(service).values())).counted_at == NOW


@pytest.mark.parametrize("age", [0, 1, 2, 13, 14, 100])
def test_no_day_takes_the_time_of_others(age: int) -> None:
    """However long the days of an age take to count, they leave time for others."""
    took = timedelta(hours=5)
    again = due_again(TODAY - timedelta(days=age), NOW, took)
    assert again is not None
    assert again - NOW >= 3 * took
    assert due_again(TODAY - timedelta(days=101), NOW, took) is None


def test_one_worker_counts_a_day_and_another_takes_over(service: Service) -> None:
    """Two workers count different days; a worker that was overtaken changes nothing; who stops lets others go on."""
    for days in (1, 0):
        record(service.database, [order(f"N-{days}-{number}") for number in range(20)], NOW - timedelta(days=days))
    seen: list[date] = []

    def other_takes_over(_took: float) -> bool:
        if not seen:
            seen.append(TODAY)
            assert count_one(service.database, Clock(NOW), go_on)
            assert list(counted(service)) == [TODAY - timedelta(days=1)]
            with service.database.transaction() as session:
                session.connection().execute(update(COUNTED).values(leased_until=NOW - timedelta(days=9_000)))
            assert count_one(service.database, Clock(NOW), go_on)
        return False

    with pytest.raises(LeaseLost):
        count_one(service.database, Clock(NOW), other_takes_over)
    assert {day: one.counted_at for day, one in counted(service).items()} == {
        TODAY - timedelta(days=1): NOW,
        TODAY: NOW,
    }
    clock = Clock(NOW + timedelta(minutes=10))
    assert not count_one(service.database, clock, lambda _took: True)
    assert count_all(service, clock) == 2


@pytest.fixture
def times(database: Database) -> list[datetime]:
    """Orders at times that are in order up to some seconds, with gaps between their ids."""
    luck, at = random.Random(5), NOW
    rows: list[dict[str, Any]] = []
    for number in range(1, 60):
        at += timedelta(seconds=luck.choice([0, 1, 50, 4_000]))
        row = {"id": number * number, "event_type": "default", "order_id": f"N-{number}"}
        rows.append(row | {"recorded_at": at - timedelta(seconds=luck.choice([0, 0, 7]))})
    with database.transaction() as session:
        session.connection().execute(insert(CONVERSION), rows)
    return [row["recorded_at"] for row in rows]


def test_a_moment_is_found_without_an_index(database: Database, times: list[datetime]) -> None:
    """Nothing before the id that is found was recorded at the moment or later."""
    with database.snapshot() as session:
        for moment in (NOW - timedelta(days=9), NOW + timedelta(days=9), *times):
            first = first_since(session, CONVERSION, moment)
            before = CONVERSION.select().where(CONVERSION.c.id < first)
            assert all(row.recorded_at < moment for row in session.connection().execute(before)), moment
            behind = CONVERSION.select().where(
                CONVERSION.c.id >= first, CONVERSION.c.recorded_at < moment - timedelta(minutes=2)
            )
            assert not session.connection().execute(behind).all()

"""What is old goes, in small steps between which everybody else gets his turn; what guards orders stays for ever."""

import logging
from collections.abc import Callable
from datetime import timedelta

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import event, func, insert, select

from app.alarms.alarm import Alarm, Kind
from app.alarms.store import ALARM, clear, holding, raise_alarm
from app.clicks.store import CLICK
from app.conversions.record import record
from app.conversions.store import CONVERSION
from app.database import Database
from app.purge import STEP, purge, purge_once
from app.service import Service
from tests.support import NOW, ORDER_KEY, bearer, body, order


def add_clicks(database: Database, number: int, days: int) -> None:
    """Record clicks that are so old at NOW."""
    rows = [
        {"click_id": f"{days}-{one}", "captured_at": NOW - timedelta(days=days), "source": "get"}
        for one in range(number)
    ]
    with database.transaction() as session:
        session.connection().execute(insert(CLICK), rows)


def click_ids(database: Database) -> set[str]:
    """Return the clicks that are there."""
    with database.snapshot() as session:
        return set(session.connection().execute(select(CLICK.c.click_id)).scalars())


def nothing(_seconds: float) -> None:
    """Rest no time at all."""


def purged(service: Service, rest: Callable[[float], object] = nothing) -> list[tuple[str, int]]:
    """Purge to the end and return the steps."""
    return list(purge(service.database, service.settings, service.clock(), rest))


def test_clicks_go_when_they_are_older_than_the_setting(service: Service) -> None:
    """To the day; an order keeps its click id, and is recorded only once also when its click is gone."""
    service.settings = service.settings.model_copy(update={"keep_clicks_days": 90})
    for days in (91, 90, 1):
        add_clicks(service.database, 1, days)
    old = order("A", click_id="91-0")
    record(service.database, [old], NOW - timedelta(days=91))
    assert purged(service) == [("clicks", 1), ("alarms", 0), ("sessions", 0)]
    assert click_ids(service.database) == {"90-0", "1-0"}
    [result] = record(service.database, [old], NOW)
    assert result.outcome == "replayed"
    with service.database.snapshot() as session:
        assert session.connection().execute(select(func.count()).select_from(CONVERSION)).scalar_one() == 1


def test_alarms_go_when_they_were_over_for_long_and_never_while_they_hold(service: Service) -> None:
    """Thirty days after its end nobody asks for an alarm any more."""
    with service.database.transaction() as session:
        for days, subject in ((100, "holds"), (100, "over for long"), (100, "over since yesterday")):
            raise_alarm(session, Alarm(Kind.EXPORT_FAILED, subject, ""), NOW - timedelta(days=days), owed=False)
        held = {one.subject: one.id for one in session.connection().execute(select(ALARM))}
        clear(session, held["over for long"], NOW - timedelta(days=31), owed=False)
        clear(session, held["over since yesterday"], NOW - timedelta(days=1), owed=False)
    assert purged(service) == [("clicks", 0), ("alarms", 1), ("sessions", 0)]
    with service.database.snapshot() as session:
        left = set(session.connection().execute(select(ALARM.c.subject)).scalars())
        assert [one.id for one in holding(session)] == [held["holds"]]
    assert left == {"holds", "over since yesterday"}


def test_a_landing_and_an_order_get_through_between_any_two_steps(service: Service, client: TestClient) -> None:
    """However much is old, nobody waits for more than the few rows of one step: no lock outlives it."""
    add_clicks(service.database, 3 * STEP + 1, 500)
    turns: list[float] = []

    def others(seconds: float) -> None:
        number = len(turns)
        assert client.get("/capture", params={"im_ref": f"meanwhile-{number}"}).status_code == 204
        answer = client.post("/orders", json=body(f"M-{number}"), headers=bearer(ORDER_KEY))
        assert answer.status_code == 201
        turns.append(seconds)

    assert purged(service, others) == [("clicks", STEP)] * 3 + [("clicks", 1), ("alarms", 0), ("sessions", 0)]
    assert min(turns) > 0
    assert click_ids(service.database) == {f"meanwhile-{number}" for number in range(len(turns))}


def test_a_step_is_a_transaction_of_few_rows(service: Service) -> None:
    """What was deleted stays deleted when the rest is cut off, and goes on from there."""
    add_clicks(service.database, 3 * STEP, 500)
    commits = 0

    @event.listens_for(service.database.engine, "commit")
    def count(_connection: object) -> None:
        nonlocal commits
        commits += 1

    steps = purge(service.database, service.settings, NOW, nothing)
    for number in range(1, 3):
        assert next(steps) == ("clicks", STEP)
        assert commits == number
        assert len(click_ids(service.database)) == (3 - number) * STEP
    del steps
    assert purged(service)[0] == ("clicks", STEP)
    assert click_ids(service.database) == set()


def test_who_is_told_to_stop_stops_at_the_next_step(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    """A worker ends in time however much there is to delete, and says what went."""
    caplog.set_level(logging.INFO)
    add_clicks(service.database, 3 * STEP, 500)
    service.stopping.set()
    purge_once(service)
    assert len(click_ids(service.database)) == 2 * STEP
    service.stopping.clear()
    purge_once(service)
    assert click_ids(service.database) == set()
    told = [one.__dict__["clicks"] for one in caplog.records if one.getMessage() == "purge.done"]
    assert told == [STEP, 2 * STEP]
    purge_once(service)
    assert len([one for one in caplog.records if one.getMessage() == "purge.done"]) == 2

"""Nobody has to look whether impact.com took what was sent: what it did not take, or does not tell, is an alarm."""

from datetime import timedelta

import pytest
from pydantic import SecretStr

from app.alarms.store import holding
from app.alarms.watch import Watch
from app.errors import CredentialsRefused
from app.service import Service
from tests.conftest import Clock
from tests.submissions.impact import Impact, export, follower, look, make_due

HOUR = timedelta(hours=1)


@pytest.fixture
def service(service: Service) -> Service:
    """A service with an account at impact.com."""
    account = {"impact_account_sid": "SID", "impact_auth_token": SecretStr("token")}
    service.settings = service.settings.model_copy(update=account)
    return service


@pytest.fixture
def api() -> Impact:
    """What impact.com knows."""
    return Impact()


def alarms(service: Service, clock: Clock) -> dict[str, str]:
    """Look once, and return what holds of results by its kind."""
    watch = Watch(service.database, service.settings, "host", list, service.require_usable)
    watch.look(clock.now)
    with service.database.snapshot() as session:
        kinds = {"result_missing", "result_doubtful", "orders_rejected", "credentials_refused"}
        return {one.kind: one.detail for one in holding(session) if one.kind in kinds}


def test_a_file_without_a_result_is_an_alarm_until_there_is_one(service: Service, api: Impact, clock: Clock) -> None:
    """48 hours from the folder, which impact.com empties once a day; without an account nobody could know."""
    [name] = export(service, "A")
    clock.now += 47 * HOUR
    assert alarms(service, clock) == {}
    clock.now += 2 * HOUR
    assert name in alarms(service, clock)["result_missing"]
    api.has(name)
    look(service, api, clock)
    assert alarms(service, clock) == {}


def test_without_an_account_no_result_is_awaited(service: Service, clock: Clock) -> None:
    """Nothing can be asked then, and nothing is missed."""
    service.settings = service.settings.model_copy(update={"impact_account_sid": ""})
    export(service, "A")
    clock.now += 100 * HOUR
    assert alarms(service, clock) == {}


def test_rejected_orders_are_told_with_their_reasons(service: Service, api: Impact, clock: Clock) -> None:
    """How many, why, and what to do; for a week."""
    [name] = export(service, "A", "B")
    api.has(name, {"OrderId": "A", "Reason": "CONTRACT_NOT_FOUND"})
    clock.now += HOUR
    look(service, api, clock)
    told = alarms(service, clock)["orders_rejected"]
    assert "not whole: 1;" in told
    assert "CONTRACT_NOT_FOUND: No contract with the partner" in told
    clock.now += timedelta(days=7)
    assert alarms(service, clock) == {}


def test_a_file_that_was_cut_is_told(service: Service, api: Impact, clock: Clock) -> None:
    """impact.com's count and ours, and what to do; the whole file ends it."""
    [name] = export(service, "A", "B")
    api.has(name, records=3)
    clock.now += HOUR
    look(service, api, clock)
    assert f"{name} has 4 rows, and impact.com counts 3 records" in alarms(service, clock)["result_doubtful"]
    api.has(name, records=4, number="F-2")
    look(service, api, clock)
    assert alarms(service, clock) == {}


def test_a_refused_token_is_told(service: Service, api: Impact, clock: Clock) -> None:
    """That nothing is learned any more does not go unnoticed; the next success ends it."""
    [name] = export(service, "A")
    api.fails = [CredentialsRefused("The token is refused (HTTP 401).") for _ in range(3)]
    following = follower(service, api)
    for _ in range(3):
        clock.now += HOUR
        make_due(service.database)
        following.step(clock.now)
    assert "CAPTURE_IMPACT_AUTH_TOKEN" in alarms(service, clock)["credentials_refused"]
    api.has(name)
    look(service, api, clock)
    assert alarms(service, clock) == {}

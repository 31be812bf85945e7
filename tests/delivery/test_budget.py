"""The budget of calls: in no hour are there more than were allowed, whoever calls and whatever impact.com says."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.config import Settings
from app.database import Database
from app.delivery import budget_store
from app.delivery.api import Api
from app.delivery.budget import Share, Standing, Told, after_answer, calls_left, first_counted, minute_of, opens_at
from app.errors import ApiUnavailable, BudgetSpent
from app.impact.client import Account, Client
from app.impact.rate_limit import Limits, limits_of
from tests.conftest import Clock, SettingsFactory
from tests.support import NOW

HOUR = timedelta(hours=1)
SHARE = Share(calls=10, reserve=3)
URI = "/Advertisers/sid/APISubmissions/A-1"

Answer = Callable[[httpx.Request], httpx.Response]


def taken(**headers: str) -> Answer:
    """Take every call, with these headers."""
    told = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda _request: httpx.Response(200, json={"QueuedUri": URI}, headers=told)


def api(database: Database, settings: Settings, clock: Callable[[], datetime], answer: Answer = taken()) -> Api:  # noqa: B008
    """Return a replica's way to the API."""
    account = Account("https://api.impact.example", "sid", "token")
    return Api(Client(account, httpx.MockTransport(answer)), database, settings, clock)


@pytest.fixture
def settings(make_settings: SettingsFactory) -> Settings:
    """Ten calls an hour, of which three are kept for reading."""
    known = {"impact_account_sid": "sid", "impact_auth_token": "token"}
    return make_settings(impact_budget_per_hour=10, impact_reserve_per_hour=3, **known)


def calls_until_spent(one: Api, *, to_read: bool) -> tuple[int, timedelta]:
    """Call until no call may be made any more; return how many were, and how long to wait."""
    for number in range(1_000):
        try:
            if to_read:
                one.get("APISubmissions/A-1")
            else:
                one.submit("POST", "Conversions", {})
        except BudgetSpent as spent:
            return number, spent.wait or timedelta()
    raise AssertionError("there was no end of it")


def standing(spent: dict[int, int], now: datetime, told: Told = Told()) -> Standing:  # noqa: B008
    """Return how a budget stands of which these minutes were used."""
    minute = minute_of(now)
    return Standing(minute, {one: number for one, number in spent.items() if one >= first_counted(minute)}, told)


@given(st.lists(st.integers(0, 700), max_size=80), st.booleans())
def test_no_hour_has_more_calls_than_were_allowed(pauses: list[int], to_read: bool) -> None:
    """However the calls lie, an hour that begins at any of them holds no more; each is let through when it was told."""
    now, made, spent = NOW, list[datetime](), dict[int, int]()
    for pause in pauses:
        now += timedelta(seconds=pause)
        if calls_left(standing(spent, now), SHARE, now, to_read=to_read) <= 0:
            now = opens_at(standing(spent, now), SHARE, now, to_read=to_read)
        assert calls_left(standing(spent, now), SHARE, now, to_read=to_read) > 0
        spent[minute_of(now)] = spent.get(minute_of(now), 0) + 1
        made.append(now)
    most = 10 if to_read else 7
    assert all(sum(begin <= one < begin + HOUR for one in made) <= most for begin in made)


def test_what_is_kept_for_reading_is_left(database: Database, settings: Settings, clock: Clock) -> None:
    """Orders leave seven calls of ten alone; reading may use them all; an hour later everything is there again."""
    one = api(database, settings, clock)
    number, wait = calls_until_spent(one, to_read=False)
    assert (number, HOUR <= wait <= 1.2 * HOUR) == (7, True)
    assert calls_until_spent(one, to_read=True)[0] == 3
    clock.now += timedelta(minutes=59, seconds=59)
    assert calls_until_spent(one, to_read=True)[0] == 0
    clock.now += timedelta(minutes=1, seconds=1)
    assert calls_until_spent(one, to_read=False)[0] == 7


def test_three_replicas_share_one_budget(database: Database, settings: Settings) -> None:
    """Threads of three replicas, clocks apart, for hours: no hour has more calls than one alone might make."""
    made, lock = list[datetime](), threading.Lock()
    clock = Clock(NOW)

    def answer(_request: httpx.Request) -> httpx.Response:
        with lock:
            made.append(clock.now)
        return httpx.Response(200, json={"QueuedUri": URI})

    def replica(ahead: timedelta) -> None:
        one = api(database, settings, lambda: clock.now + ahead, answer)
        for to_read in (False, True):
            calls_until_spent(one, to_read=to_read)

    for _ in range(8):
        threads = [threading.Thread(target=replica, args=(timedelta(seconds=ahead),)) for ahead in (0, -40, 300)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        clock.now += timedelta(minutes=17)
    assert all(sum(begin <= one < begin + HOUR for one in made) <= 10 for begin in made)
    assert len(made) >= 20


@pytest.mark.parametrize("reset", ["1200", str(int((NOW + timedelta(minutes=20)).timestamp()))])
def test_others_who_spend_are_reckoned_with(database: Database, settings: Settings, clock: Clock, reset: str) -> None:
    """impact.com says that four calls are left: one more order goes, three are kept for reading until the reset."""
    headers = {"X_RateLimit_Limit": "1000", "X_RateLimit_Remaining": "4", "X_RateLimit_Reset": reset}
    number, wait = calls_until_spent(api(database, settings, clock, taken(**headers)), to_read=False)
    assert (number, timedelta(minutes=20) <= wait <= timedelta(minutes=22)) == (2, True)  # the first one asked
    with database.snapshot() as session:
        told = budget_store.standing(session, clock.now).told
    assert (told.limit, told.remaining, told.resets_at) == (1000, 3, NOW + timedelta(minutes=20))
    clock.now += timedelta(minutes=20)
    assert calls_until_spent(api(database, settings, clock), to_read=False)[0] == 5


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 30),
        ({"Retry-After": "90"}, 90),
        ({"Retry-After": "Sun, 22 Nov 2026 12:02:00 GMT"}, 120),
        ({"X-RateLimit-Reset": "600"}, 600),
        ({"X-RateLimit-Reset": str(int((NOW + timedelta(minutes=5)).timestamp()))}, 300),
        ({"X-RateLimit-Reset": "nonsense", "Retry-After": "soon"}, 30),
    ],
)
def test_nobody_calls_when_impact_com_says_stop(
    database: Database, settings: Settings, clock: Clock, headers: dict[str, str], seconds: int
) -> None:
    """429 closes the API for every replica: until it says, in whatever way, or for a while that grows."""
    refused = api(database, settings, clock, lambda _request: httpx.Response(429, headers=headers))
    with pytest.raises(ApiUnavailable) as error:
        refused.submit("POST", "Conversions", {})
    assert error.value.wait
    assert seconds <= error.value.wait.total_seconds() <= seconds * 1.2
    other = api(database, settings, clock)
    assert calls_until_spent(other, to_read=True)[0] == 0
    clock.now += timedelta(seconds=seconds)
    other.get("APISubmissions/A-1")


def test_the_wait_grows_while_impact_com_goes_on_refusing() -> None:
    """Without a word of when, it is asked after 30 seconds, a minute, two, and at last every quarter of an hour."""
    told, now, waits = Told(), NOW, list[float]()
    for _ in range(8):
        told = after_answer(told, Limits(), now, refused=True)
        assert told.closed_until
        waits.append((told.closed_until - now).total_seconds())
        now = told.closed_until
    assert waits == [30, 60, 120, 240, 480, 900, 900, 900]
    assert after_answer(told, Limits(), now, refused=False).closed_until is None


def test_of_answers_in_any_order_the_smaller_rest_counts() -> None:
    """An older answer that arrives late does not give back what is spent; a new window does."""
    first = after_answer(Told(), Limits(remaining=5, resets_at=NOW + HOUR), NOW, refused=False)
    late = after_answer(first, Limits(remaining=9, resets_at=NOW + HOUR), NOW, refused=False)
    assert late.remaining == 5
    anew = after_answer(late, Limits(remaining=900, resets_at=NOW + 2 * HOUR), NOW, refused=False)
    assert anew.remaining == 900


@given(
    st.dictionaries(
        st.sampled_from(["X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset", "Retry-After"]),
        st.text(st.characters(codec="latin-1"), max_size=30) | st.integers(-(10**20), 10**20).map(str),
    )
)
@example({"X-RateLimit-Reset": "999999999999"})
@example({"X-RateLimit-Reset": "253402300800000"})
@example({"Retry-After": "Mon, 23 Nov 2026 99999999999999999999:12:08 GMT"})
def test_no_header_is_too_strange(headers: dict[str, Any]) -> None:
    """Nonsense is no limit, and no wait is longer than two hours."""
    limits = limits_of(headers, NOW)
    for moment in (limits.resets_at, limits.retry_at):
        assert moment is None or NOW <= moment <= NOW + 2 * HOUR
    assert (limits.resets_at or NOW).tzinfo is UTC or (limits.resets_at or NOW).utcoffset() == timedelta()

"""Reading impact.com's actions: all of them, once an hour, whatever happens in between."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from app.actions import store
from app.actions.read import LEASE, read_due
from app.actions.store import ACTIONS_READ, REPORTED_ACTION
from app.actions.window import Kind
from app.conversions.corrections_store import ACTION
from app.conversions.record import record
from app.database import Database
from app.errors import ApiRefused, ApiUnavailable, LeaseLost
from app.event_type import EventType
from app.ledger.export_routes import request_export
from app.service import Service
from app.worker import Worker, read_actions
from tests.actions.impact import FakeApi, action
from tests.conftest import Clock
from tests.corrections import name_action
from tests.support import NOW, order, work


@pytest.fixture
def impact(clock: Clock) -> FakeApi:
    """impact.com."""
    return FakeApi(clock.now)


def read(service: Service, impact: FakeApi) -> int:
    """Read what is due, and return how many readings that were."""
    impact.now = service.clock()
    number = 0
    while read_due(service.database, impact.api, service.settings, service.clock):
        number += 1
    return number


def kept(database: Database) -> dict[str, Any]:
    """Return the actions that are kept."""
    with database.snapshot() as session:
        return {row.action_id: row for row in session.connection().execute(select(REPORTED_ACTION))}


def names(database: Database) -> set[str]:
    """Return the names of actions that corrections use."""
    with database.snapshot() as session:
        return set(session.connection().execute(select(ACTION.c.action_id)).scalars())


def leave(service: Service, *order_ids: str, at: datetime = NOW) -> None:
    """Let orders leave."""
    record(service.database, [order(one) for one in order_ids], at)
    request_export(service.database)
    work(service)


def test_an_action_finds_its_order(service: Service, impact: FakeApi) -> None:
    """By action tracker and order id: with its amount to the cent, its locking date and its name for corrections."""
    leave(service, "A-1", "a-1")
    impact.rows["StartDate"] = [(NOW, action("A-1", Amount=42.1, LockingDate="2026-12-22T00:00:00-08:00"))]
    assert read(service, impact) == len(Kind)
    [row] = kept(service.database).values()
    assert (row.conversion_id, row.amount, row.payout, row.state) == (1, 4210, 250, "PENDING")
    assert row.locks_at.isoformat() == "2026-12-22T08:00:00+00:00"
    assert names(service.database) == {"1000.4321.A-1"}


def test_nothing_is_asked_twice_within_the_hour(service: Service, impact: FakeApi, clock: Clock) -> None:
    """CAPTURE_ACTIONS_POLL_SECONDS; and then the last hours are read again."""
    assert (read(service, impact), read(service, impact)) == (len(Kind), 0)
    clock.now += timedelta(hours=1)
    impact.calls.clear()
    assert read(service, impact) == len(Kind)
    [window] = impact.windows()
    assert window == (NOW - timedelta(hours=6), clock.now)


def test_the_first_reading_goes_back_to_the_first_order(service: Service, impact: FakeApi, clock: Clock) -> None:
    """In windows that impact.com takes; and every one of them is kept."""
    leave(service, "A-1")
    clock.now += timedelta(days=100)
    impact.rows["StartDate"] = [(NOW + timedelta(days=day), action(f"D-{day}")) for day in range(101)]
    read(service, impact)
    assert len(kept(service.database)) == 101
    assert impact.windows()[0][0] <= NOW


@pytest.mark.parametrize("tells_pages", [True, False])
def test_too_many_pages_are_read_in_narrower_windows(
    service: Service, impact: FakeApi, clock: Clock, tells_pages: bool
) -> None:
    """More than ten pages are an error to impact.com, whether it counts them for us or not: nothing is missed."""
    leave(service, "A-1")
    clock.now += timedelta(days=30)
    impact.tells_pages = tells_pages
    impact.rows["StartDate"] = [(NOW + timedelta(hours=number), action(f"H-{number}")) for number in range(90)]
    read(service, impact)
    assert len(kept(service.database)) == 90


def test_a_refusal_that_is_not_about_pages_ends(service: Service, impact: FakeApi, clock: Clock) -> None:
    """It is tried with less a few times, then told, and tried again an hour later: the budget is not eaten up."""
    impact.failures = [ApiRefused("No such program.", http_status=400)] * 1_000
    assert read(service, impact) == len(Kind)
    assert len(impact.calls) <= 6 * len(Kind)
    clock.now += timedelta(hours=1)
    impact.failures = []
    impact.rows["StartDate"] = [(NOW, action("A-1"))]
    read(service, impact)
    assert list(kept(service.database)) == ["1000.4321.A-1"]


def test_a_spent_budget_is_waited_for(service: Service, impact: FakeApi, clock: Clock) -> None:
    """What was read before stays read; the rest is read when there are calls again."""
    leave(service, "A-1")
    clock.now += timedelta(days=60)
    impact.rows["StartDate"] = [(NOW + timedelta(days=day), action(f"D-{day}")) for day in range(60)]
    original = impact.get

    def get(uri: str, query: Any = None) -> Any:
        if len(impact.calls) == 3:
            impact.failures = [ApiUnavailable("Spent.", wait=timedelta(minutes=20))]
        return original(uri, query)

    impact.get = get  # type: ignore[method-assign]
    read(service, impact)
    assert 0 < len(kept(service.database)) < 60
    clock.now += timedelta(minutes=20)
    read(service, impact)
    assert len(kept(service.database)) == 60


def test_an_approval_is_learned_by_the_locking_date_and_by_the_log(
    service: Service, impact: FakeApi, clock: Clock
) -> None:
    """A state that changes is no update to impact.com, so that it is asked for in these two ways."""
    impact.rows["StartDate"] = [(NOW, action("A-1")), (NOW, action("A-2"))]
    read(service, impact)
    clock.now += timedelta(hours=2)
    impact.rows["StartDate"] = []
    impact.rows["LockingDateStart"] = [(NOW + timedelta(hours=1), action("A-1", State="APPROVED"))]
    old, new = NOW - timedelta(hours=1), NOW + timedelta(hours=1)
    impact.log = [
        (moment, {"ActionId": name, "State": state, "UpdateDate": moment.isoformat()})
        for moment, name, state in ((new, "1000.4321.A-2", "REVERSED"), (old, "1000.4321.A-2", "APPROVED"))
    ]
    read(service, impact)
    found = kept(service.database)
    assert {name: row.state for name, row in found.items()} == {
        "1000.4321.A-1": "APPROVED",
        "1000.4321.A-2": "REVERSED",
    }


def test_an_old_line_of_the_log_takes_nothing_back(service: Service, impact: FakeApi) -> None:
    """What was read of the action itself later counts."""
    impact.rows["StartDate"] = [(NOW, action("A-1", State="REVERSED"))]
    before = NOW - timedelta(hours=1)
    impact.log = [(before, {"ActionId": "1000.4321.A-1", "State": "PENDING", "UpdateDate": before.isoformat()})]
    read(service, impact)
    assert kept(service.database)["1000.4321.A-1"].state == "REVERSED"


def test_of_two_actions_the_newest_is_corrected(service: Service, impact: FakeApi) -> None:
    """Unless the shop has said which one it is."""
    leave(service, "A-1", "A-2")
    name_action(service.database, "A-2", "1000.4321.older")
    for order_id in ("A-1", "A-2"):
        impact.rows["StartDate"] += [
            (NOW, action(order_id, Id=f"{order_id}.new", CreationDate="2026-11-22T13:00:00Z")),
            (NOW, action(order_id, Id=f"{order_id}.old", CreationDate="2026-11-22T12:00:00Z")),
        ]
    read(service, impact)
    assert names(service.database) == {"A-1.new", "1000.4321.older"}


def test_actions_without_an_order_of_ours_are_kept(service: Service, impact: FakeApi) -> None:
    """Of another event type, or of an order that was never posted; also where two event types have one order id."""
    service.settings = service.settings.model_copy(
        update={"event_types": {"other": EventType(campaign_id=2000, action_tracker_id=5)}}
    )
    record(service.database, [order("A-1"), order("A-1", event_type="other")], NOW)
    rows = [action("A-1"), action("A-1", Id="2", ActionTrackerId=5), action("A-1", Id="3", ActionTrackerId=6)]
    impact.rows["StartDate"] = [(NOW, row) for row in [*rows, action("nobody")]]
    read(service, impact)
    found = {row.action_id: row.conversion_id for row in kept(service.database).values()}
    assert found == {"1000.4321.A-1": 1, "2": 2, "3": None, "1000.4321.nobody": None}
    assert {query["CampaignId"] for _, query in impact.calls if query} == {"1000", "2000"}


def test_one_worker_reads_at_a_time_and_a_dead_one_is_replaced(service: Service, clock: Clock) -> None:
    """A claim is nobody else's until its lease ends; what its owner still says after that is refused."""
    database, lease = service.database, timedelta(0)
    with database.transaction() as session:
        store.plan(session, [1000], clock.now)
        claims = [store.claim(session, [1000], clock.now, LEASE) for _ in range(len(Kind) + 1)]
    assert [one.kind for one in claims if one] == [Kind.UPDATED, Kind.LOG, Kind.LOCKING] or len(set(claims)) == 4
    assert claims[-1] is None
    with database.transaction() as session:
        first = claims[0]
        assert first
        store.renew(session, first, lease)
    with database.transaction() as session:
        second = store.claim(session, [1000], clock.now, LEASE)
    assert second
    assert (second.kind, second.token) == (first.kind, first.token + 1)
    with pytest.raises(LeaseLost), database.transaction() as session:
        store.advance(session, first, clock.now)
    with database.snapshot() as session:
        assert set(session.connection().execute(select(ACTIONS_READ.c.read_up_to)).scalars()) == {None}


def test_actions_are_read_only_where_there_is_an_account(service: Service, impact: FakeApi) -> None:
    """A worker without one has no thread for it, and one that only watches has none either."""

    def threads(**how: bool) -> set[str]:
        return {thread.name for thread in Worker(service, **how).threads}

    assert "read_actions" not in threads()
    assert not read_actions(service)
    service.api = impact.api
    assert "read_actions" in threads()
    assert "actions" not in threads(works=False)
    assert read_actions(service)
    assert impact.calls

"""The comparison of shop, service and impact.com, from what is on record: by call, by command, with files."""

import csv
import io
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr
from sqlalchemy import Table, insert, select, update

from app.actions import store as actions
from app.actions.action import read_action
from app.actions.read import trackers
from app.actions.store import ACTIONS_READ
from app.alarms import facts, rules
from app.conversions import store as conversions
from app.conversions.record import record
from app.conversions.store import CONVERSION, REVISION
from app.database import Database
from app.errors import InvalidFile, InvalidInput
from app.ledger.daily import compare_daily
from app.ledger.deadlines import deadlines
from app.ledger.export_routes import request_export
from app.ledger.reconcile import Files, Tally, known, reconcile
from app.ledger.reconciliation import Found
from app.ledger.scratch import Scratch
from app.ledger.side_files import read_actions, read_shop
from app.service import Service
from app.submissions.store import JUDGED_CORRECTION, JUDGED_ORDER, SUBMISSION, SUBMISSION_ERROR
from tests.actions.impact import action
from tests.conftest import Clock
from tests.corrections import Left, correct
from tests.support import NOW, READ_KEY, bearer, order, work

LATER = NOW + timedelta(days=3)
DAY = NOW.date()
PERIOD = (DAY - timedelta(days=1), DAY)


@pytest.fixture
def service(service: Service) -> Service:
    """The service of an account that may ask impact.com."""
    account = {"impact_account_sid": "sid", "impact_auth_token": SecretStr("token")}
    service.settings = service.settings.model_copy(update=account)
    return service


class World:
    """Orders and actions as a test wants them."""

    def __init__(self, service: Service) -> None:
        self.service, self.database = service, service.database
        self.rounds = 0
        self.last: list[Callable[[], object]] = []
        """What is to happen after everything else has left."""

    def read_up_to(self, moment: datetime) -> None:
        """Let impact.com's actions be known up to some time."""
        with self.database.transaction() as session:
            actions.plan(session, [1000], NOW)
            session.connection().execute(update(ACTIONS_READ).values(read_up_to=moment))

    def leave(self, *order_ids: str, **changes: Any) -> None:
        """Let orders of 20.00 USD leave at NOW."""
        record(self.database, [order(one, **changes) for one in order_ids], NOW)
        request_export(self.database)
        work(self.service)

    def tell(self, *rows: dict[str, Any]) -> None:
        """Let impact.com have actions."""
        found = [one for one in map(read_action, rows) if one]
        with self.database.transaction() as session:
            actions.keep(session, found, trackers(self.service.settings), LATER)

    def reject(self, order_id: str, *codes: str) -> None:
        """Let impact.com have refused an order."""
        with self.database.snapshot() as session:
            mine = select(REVISION.c.id).join(CONVERSION, CONVERSION.c.id == REVISION.c.conversion_id)
            revision = session.connection().execute(mine.where(CONVERSION.c.order_id == order_id)).scalar_one()
        self._refuse(JUDGED_ORDER, "revision_id", revision, codes)

    def reject_correction(self, correction_id: int, *codes: str) -> None:
        """Let impact.com have refused a correction."""
        self._refuse(JUDGED_CORRECTION, "correction_id", correction_id, codes)

    def _refuse(self, judged: Table, name: str, number: int, codes: tuple[str, ...]) -> None:
        with self.database.transaction() as session:
            connection = session.connection()
            row = {"batch": 1, "type": "Conversion", "status": "Complete", "source": "api", "recorded_at": NOW}
            submission = connection.execute(insert(SUBMISSION).returning(SUBMISSION.c.id), [row]).scalar_one()
            one = {name: number, "submission_id": submission}
            connection.execute(insert(judged), [one | {"verdict": "rejected"}])
            connection.execute(insert(SUBMISSION_ERROR), [one | {"reason": code, "rejects": True} for code in codes])

    def compare(self, files: Files | None = None, now: datetime = LATER) -> tuple[list[Found], Tally]:
        """Compare the sides."""
        found: list[Found] = []
        with self.database.snapshot() as session:
            what = known(session, self.service.settings, now, files)
            tally = reconcile(session, self.service.settings, PERIOD, what, found.append, files)
        return found, tally


@pytest.fixture
def world(service: Service) -> World:
    """A service whose account is read."""
    world = World(service)
    world.read_up_to(LATER)
    return world


def _missing(world: World, name: str) -> None:
    world.leave(name)


def _doubled(world: World, name: str) -> None:
    world.leave(name)
    world.tell(action(name), action(name, Id=f"{name}.2"))


def _amount(world: World, name: str) -> None:
    world.leave(name)
    world.tell(action(name, Amount="20.01"))


def _reversed(world: World, name: str) -> None:
    world.leave(name)
    world.tell(action(name, State="REVERSED"))


def _rejected(world: World, name: str) -> None:
    world.leave(name)
    world.reject(name, "INVALID_SKU")


def _not_sent(world: World, name: str) -> None:
    world.last.append(lambda: record(world.database, [order(name)], NOW))


def _unposted(world: World, name: str) -> None:
    world.tell(action(name))


def _uncorrected(world: World, name: str) -> None:
    world.leave(name)
    world.tell(action(name))
    world.last.append(lambda: correct(world.database, name, [Left("SKU-0", 500), Left("SKU-1", 1000)]))


def _fine(world: World, name: str) -> None:
    world.leave(name)
    world.tell(action(name))


def _nobodys(world: World, name: str) -> None:
    record(world.database, [order(name, click_id=None)], NOW)


def _elsewhere(world: World, name: str) -> None:
    world.tell(action(name, ActionTrackerId=999))


PLANTS: dict[Callable[[World, str], None], str | None] = {
    _missing: "missing_at_impact",
    _doubled: "doubled",
    _amount: "amount_differs",
    _reversed: "state_differs",
    _rejected: "rejected",
    _unposted: "missing_in_service",
    _uncorrected: "correction_not_sent",
    _not_sent: "not_sent",
    _fine: None,
    _nobodys: None,
    _elsewhere: None,
}


def test_exactly_what_was_planted_is_found(world: World) -> None:
    """Each kind of fault on record, among orders without one; and the totals of each side to the cent."""
    plants = [*PLANTS, _missing, _fine, _uncorrected]
    for number, plant in enumerate(plants):
        plant(world, f"P-{number}")
    for happen in world.last:
        happen()
    found, tally = world.compare()
    expected = {(f"P-{number}", kind) for number, plant in enumerate(plants) if (kind := PLANTS[plant])}
    assert {(one.order_id, one.kind.value) for one in found} == expected
    assert len(found) == len(expected)
    assert {one.reasons for one in found if one.kind.value == "rejected"} == {("INVALID_SKU",)}
    [sides] = tally.days.values()
    assert (sides.shop.orders, sides.shop.amount) == (12, 12 * 2000 - 2 * 500)
    assert (sides.service.orders, sides.service.amount) == (9, 9 * 2000)
    assert (sides.impact.orders, sides.impact.amount) == (8, 8 * 2000 + 1)
    assert (tally.too_young, tally.not_attributed) == (0, 1)


def test_more_than_a_page_of_orders_of_one_instant(world: World) -> None:
    """Orders that happened at the same moment are all compared, each once."""
    world.leave(*(f"M-{number}" for number in range(600)))
    world.tell(*(action(f"M-{number}") for number in range(599)))
    found, tally = world.compare()
    assert [one.order_id for one in found] == ["M-599"]
    assert [(one.shop.orders, one.impact.orders) for one in tally.days.values()] == [(600, 599)]


def test_the_day_is_that_of_the_event_in_utc(world: World) -> None:
    """An order of another day is left out on every side, whenever it was posted, and its action belongs to its day."""
    world.leave("new")
    world.leave("old", age=timedelta(days=5))
    world.tell(action("old", EventDate=NOW.isoformat()), action("new", EventDate="2026-01-01T00:00:00Z"))
    found, tally = world.compare()
    assert (found, [day for day, *_ in tally.days]) == ([], [DAY])


def test_what_was_delivered_today_is_not_missing(world: World) -> None:
    """It is counted apart for a day, and until impact.com's actions have been read after that."""
    world.leave("A-1")
    found, tally = world.compare(now=NOW + timedelta(hours=23))
    assert (found, tally.too_young) == ([], 1)
    world.read_up_to(NOW + timedelta(hours=2))
    found, tally = world.compare()
    assert (found, tally.too_young) == ([], 1)


def test_a_correction_that_arrived_is_what_was_told(world: World, clock: Clock) -> None:
    """impact.com should have the amount of the last one, and a reversed order should not stand there."""
    world.leave("A-1", "A-2", "A-3")
    world.tell(action("A-1", Amount="15.00"), action("A-2", State="REVERSED"), action("A-3"))
    for name in ("A-1", "A-3"):
        correct(world.database, name, [Left("SKU-0", 500), Left("SKU-1", 1000)])
    correct(world.database, "A-2", [Left("SKU-0", 0, 0), Left("SKU-1", 0, 0)], reverses=True)
    request_export(world.database)
    work(world.service)
    clock.now = LATER
    found, tally = world.compare()
    assert [(one.order_id, one.kind.value, one.service, one.impact) for one in found] == [
        ("A-3", "amount_differs", 1500, 2000)
    ]
    [sides] = tally.days.values()
    assert (sides.shop.amount, sides.service.amount, sides.impact.amount) == (3000, 3000, 3500)


def test_a_correction_that_was_refused_was_not_told(world: World, clock: Clock) -> None:
    """impact.com goes on with what it had before, which is what is compared; the refusal is named with its reason."""
    world.leave("A-1")
    world.tell(action("A-1"))
    correction = correct(world.database, "A-1", [Left("SKU-0", 500), Left("SKU-1", 1000)])
    request_export(world.database)
    work(world.service)
    world.reject_correction(correction, "BAD_DISPOSITION")
    clock.now = LATER
    [found], tally = world.compare()
    assert (found.kind, found.shop, found.service, found.impact) == ("correction_rejected", 1500, 2000, 2000)
    assert found.reasons == ("BAD_DISPOSITION",)
    [sides] = tally.days.values()
    assert (sides.shop.amount, sides.service.amount) == (1500, 2000)


def test_an_order_that_was_replaced_counts_as_it_is_now(world: World) -> None:
    """Its earlier revisions are history, also where they were of another day."""
    record(world.database, [order("A-1", items=5), order("A-2", items=5)], NOW)
    with world.database.transaction() as session:
        elsewhere = order("A-2", age=timedelta(days=9))
        conversions.add_revisions(session, {1: order("A-1"), 2: elsewhere}, number=2, now=NOW)
    _, tally = world.compare(now=NOW)
    [sides] = tally.days.values()
    assert (sides.shop.orders, sides.shop.amount, tally.too_young) == (1, 2000, 1)


@settings(max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.lists(st.tuples(st.sampled_from("sri "), st.integers(0, 3)), max_size=30))
def test_files_of_both_sides_are_compared(data: list[tuple[str, int]], world: World, tmp_path: Path) -> None:
    """Orders that only the shop's file has, only the service has, or only an export of actions has, are all named."""
    world.rounds += 1  # all of them on one database
    world.leave("first")
    expected, shop, theirs = (
        set(),
        ["Order ID,Total,Currency", "first,20.00,USD"],
        [
            "Action Id,OID,Status,Sale Amount,Currency,Event Date",
            f"1.first,first,PENDING,20.00,USD,{NOW.isoformat()}",
        ],
    )
    for number, (where, cents) in enumerate(data):
        name = f"{world.rounds}-{number}"
        if where == "r":
            record(world.database, [order(name, click_id=None)], NOW)
            expected.add((name, "missing_at_shop"))
        elif where == "s":
            shop.append(f"{name},1.0{cents},USD")
            expected.add((name, "missing_in_service"))
        elif where == "i":
            theirs.append(f"1.{name},{name},APPROVED,1.0{cents},USD,{NOW.isoformat()}")
            expected.add((name, "missing_in_service"))
    files = Files(Scratch(), shop=True, actions=True)
    (tmp_path / "shop.csv").write_text("\r\n".join(shop))
    (tmp_path / "actions.csv").write_text("\n".join(theirs))
    read_shop(tmp_path / "shop.csv", world.service.settings, files.scratch)
    read_actions(tmp_path / "actions.csv", world.service.settings, files.scratch)
    found, _ = world.compare(files)
    mine = {(one.order_id, one.kind.value) for one in found if one.order_id.startswith(f"{world.rounds}-")}
    assert mine == expected


def test_the_shops_orders_as_they_were_to_be_posted(world: World, tmp_path: Path) -> None:
    """NDJSON of POST /orders: what its items come to is compared; a day outside is left out."""
    world.leave("A-1")
    world.tell(action("A-1"))
    items = [{"sku": "1", "amount": "12.50"}, {"sku": "2", "amount": 7.5}]
    rows = [{"order_id": "A-1", "items": items, "event_date": NOW.isoformat(), "currency": "USD"}]
    rows += [rows[0] | {"order_id": "A-2"}, rows[0] | {"order_id": "A-3", "event_date": "2026-01-01T00:00:00+00:00"}]
    path = tmp_path / "orders.ndjson"
    path.write_text("\n".join(map(json.dumps, rows)))
    files = Files(Scratch(), shop=True)
    assert read_shop(path, world.service.settings, files.scratch) == 3
    found, _ = world.compare(files)
    assert [(one.order_id, one.kind.value, one.shop) for one in found] == [("A-2", "missing_in_service", 2000)]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("order_id,amount\nA,1.00\n", "Line 2: '' is no currency"),
        ("order_id,currency\nA,USD\n", "No column says what amount is"),
        ("order_id,amount,currency\nA,1.001,USD\n", "Line 2: the amount of order 'A' is no exact amount of USD"),
        ("order_id,amount,currency\nA,1,USD\nA,1,USD\n", "Line 3: order 'A' is there twice"),
        ("order_id,amount,currency,event_date\nA,1,USD,soon\n", "'soon' is no date"),
        ("order_id,amount,currency,event_type\nA,1,USD,none\n", "there is no event type 'none'"),
        ('order_id,amount,currency\n"A,1,USD\n', "cannot be read as CSV"),
        ('{"order_id": "A", "items": [], "currency": "USD"}\n', "no exact amount"),
        ("{nonsense\n", "Line 1: "),
    ],
)
def test_a_file_that_cannot_be_read_says_where(service: Service, tmp_path: Path, content: str, said: str) -> None:
    """The line, and what to do."""
    path = tmp_path / "shop"
    path.write_text(content)
    with pytest.raises(InvalidFile, match=said):
        read_shop(path, service.settings, Scratch())


def test_the_call(world: World, client: TestClient, clock: Clock) -> None:
    """JSON with the totals and what to do; CSV with every difference, by parameter or by Accept."""
    clock.now = datetime.now(UTC) - timedelta(days=5)
    world.leave("A-1", "A-2", event_date=clock.now)
    world.tell(action("A-1"))
    world.read_up_to(datetime.now(UTC))
    client.app.state.settings = world.service.settings  # type: ignore[attr-defined]
    query = {"from": str(clock.now.date()), "to": str(clock.now.date())}
    told = client.get("/reconciliation", params=query, headers=bearer(READ_KEY)).json()
    [day] = told["days"]
    both, one = {"orders": 2, "amount": "40.00"}, {"orders": 1, "amount": "20.00"}
    assert (day["shop"], day["service"], day["impact"]) == (both, both, one)
    [found] = told["differences"]
    assert (found["order_id"], found["kind"], told["counts"]) == ("A-2", "missing_at_impact", {"missing_at_impact": 1})
    assert "File Submissions" in found["detail"]
    for parameters, headers in ((query | {"format": "csv"}, {}), (query, {"Accept": "text/csv"})):
        answer = client.get("/reconciliation", headers=bearer(READ_KEY) | headers, params=parameters)
        assert answer.headers["content-type"].startswith("text/csv")
        header, row = csv.reader(io.StringIO(answer.text, newline=""))
        assert dict(zip(header, row, strict=True))["order_id"] == "A-2"


def test_an_order_shows_its_action(world: World, client: TestClient) -> None:
    """With impact.com's locking date in the place of the rule's; null where it has none."""
    world.leave("A-1", "A-2")
    world.tell(action("A-1", State="APPROVED", ClearedDate="2027-01-02T00:00:00Z"))
    shown = client.get("/orders/A-1", headers=bearer(READ_KEY)).json()
    assert shown["action"] == {
        "id": "1000.4321.A-1",
        "state": "APPROVED",
        "amount": "20.00",
        "payout": "2.50",
        "currency": "USD",
        "locks_at": "2026-12-22T08:00:00Z",
        "cleared_at": "2027-01-02T00:00:00Z",
    }
    assert (shown["locks_at"], shown["action_id"]) == ("2026-12-22T08:00:00Z", "1000.4321.A-1")
    assert client.get("/orders/A-2", headers=bearer(READ_KEY)).json()["action"] is None


def test_a_correction_locks_when_impact_says_so(world: World) -> None:
    """Its date counts for what is told of deadlines, also where the event type has no rule."""
    world.leave("A-1")
    world.tell(action("A-1", LockingDate=(NOW + timedelta(days=2)).isoformat()))
    correct(world.database, "A-1")
    with world.database.snapshot() as session:
        told = deadlines(session, world.service.settings, NOW)
    assert (told.corrections_locking, told.first_correction_locks_at) == (1, NOW + timedelta(days=2))


def test_what_nobody_looked_for_is_an_alarm(world: World) -> None:
    """Once a day, when actions have been read, a week is compared; the next day's comparison ends the alarm."""
    world.leave("A-1", "A-2", "A-3")
    world.tell(action("A-2"), action("A-2", Id="2"), action("A-3"))

    def alarms() -> list[str]:
        with world.database.snapshot() as session:
            return [alarm.detail for alarm in rules.actions_differ(facts.last_comparison(session))]

    now = NOW + timedelta(days=4)
    assert not compare_daily(world.database, world.service.settings, now + timedelta(days=1))  # read too long ago
    world.read_up_to(now)
    assert [compare_daily(world.database, world.service.settings, now) for _ in range(2)] == [True, False]
    [told] = alarms()
    assert "impact.com lacks 1 that were delivered, and has 1 several times" in told
    assert "Of the orders of 2026-11-17 to 2026-11-23" in told
    world.tell(action("A-1"), action("A-2", Id="2", State="REVERSED"))
    world.read_up_to(now + timedelta(days=1))
    assert compare_daily(world.database, world.service.settings, now + timedelta(days=1))
    assert alarms() == []


@pytest.mark.parametrize(("first", "last"), [("2026-11-02", "2026-11-01"), ("2026-01-01", "2026-03-01"), ("x", "y")])
def test_a_period_is_at_most_45_days(client: TestClient, first: str, last: str) -> None:
    """Else 422 says so."""
    answer = client.get("/reconciliation", params={"from": first, "to": last}, headers=bearer(READ_KEY))
    assert answer.status_code == 422


def test_without_an_account_impact_is_not_known(service: Service, database: Database) -> None:
    """Then nothing is missing there, since nobody has looked."""
    service.settings = service.settings.model_copy(update={"impact_account_sid": ""})
    world = World(service)
    world.leave("A-1")
    assert world.compare()[0] == []
    with database.snapshot() as session:
        assert known(session, service.settings, LATER).impact_up_to is None
        with pytest.raises(InvalidInput):
            reconcile(session, service.settings, PERIOD[::-1], known(session, service.settings, LATER), print)

"""A chained action is refused where its chain could not hold, and leaves when its parent has arrived, never before."""

import json
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import insert, select, update

from app import worker
from app.batches.store import BATCH, UNDELIVERED
from app.conversions.corrections_store import CANCELLED, CORRECTION
from app.conversions.record import Outcome, record
from app.database import Database
from app.delivery import resume
from app.delivery.parcel import Parcel, Progress
from app.errors import ChannelRefused, ChannelUnavailable, OutcomeUnknown
from app.ledger.export_routes import request_export
from app.main import create_app
from app.promo_code import PromoRule, PromoRules
from app.service import Service
from tests.conftest import Clock, SettingsFactory
from tests.soak import SOAK
from tests.submissions.impact import Impact, filenames, look
from tests.support import EXPORT_KEY, NOW, ORDER_KEY, bearer, body, order, parse_rfc4180, work

TYPES: dict[str, dict[str, Any]] = {
    "trial": {"campaign_id": 1000, "action_tracker_id": 801, "level": "chained"},
    "paid": {"campaign_id": 1000, "action_tracker_id": 802, "level": "chained"},
    "twin": {"campaign_id": 1000, "action_tracker_id": 801, "level": "order"},
    "app": {"campaign_id": 1000, "action_tracker_id": 803, "level": "mobile"},
}


CODE = {"EventCode": "SALE"}


class Crash(BaseException):
    """The worker dies."""


class Receiver:
    """Takes files, unless it is told to fail; a file counts as arrived only where the worker hears of it."""

    def __init__(self) -> None:
        self.fails: BaseException | None = None
        self.arrived: list[str] = []

    def send(self, parcel: Parcel, progress: Progress) -> None:
        """Take the file, or fail."""
        if self.fails is not None:
            raise self.fails
        progress(len(parcel.content))
        header, *rows = parse_rfc4180(parcel.content)
        self.arrived += [row[header.index("OrderId")] for row in rows]

    def ask(self, _parcel: Parcel) -> bool | None:
        """Know nothing."""
        return None


@pytest.fixture
def receiver() -> Receiver:
    """Where files go."""
    return Receiver()


@pytest.fixture
def service(database: Database, make_settings: SettingsFactory, clock: Clock, receiver: Receiver) -> Service:
    """The service with event types that are chained."""
    return Service(make_settings(event_types=TYPES), database, {"folder": receiver}, clock, schema_is_checked=True)


@pytest.fixture
def client(service: Service) -> Iterator[TestClient]:
    """A checkout backend's connection to it."""
    with TestClient(create_app(service, with_worker=False)) as connected:
        yield connected


def post(client: TestClient, order_id: str, **changes: Any) -> Any:
    """Send an order."""
    return client.post("/orders", content=json.dumps(body(order_id, **changes)), headers=bearer(ORDER_KEY))


def get(client: TestClient, order_id: str, event_type: str = "paid") -> dict[str, Any]:
    """Ask for an order."""
    answer = client.get(f"/orders/{order_id}", params={"event_type": event_type}, headers=bearer(ORDER_KEY))
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def export(client: TestClient, service: Service) -> dict[str, Any]:
    """Let an export run, and what it made be delivered."""
    number = client.post("/exports", headers=bearer(EXPORT_KEY)).json()["id"]
    work(service)
    told: dict[str, Any] = client.get(f"/exports/{number}", headers=bearer(EXPORT_KEY)).json()
    return told


CHILD = {"event_type": "paid", "parent": {"event_type": "trial", "order_id": "T-1"}}


# At the door ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "code", "pointer"),
    [
        ({"parent": {"event_type": "trial", "order_id": "nobody"}}, "PARENT_NOT_FOUND", "/parent"),
        ({"parent": {"order_id": "T-1"}}, "PARENT_NOT_FOUND", "/parent"),
        ({"customer_id": "somebody-else"}, "PARENT_CUSTOMER_DIFFERS", "/customer_id"),
        ({"customer_id": ...}, "CUSTOMER_ID_MISSING", "/customer_id"),
        ({"parent": {"event_type": "paid", "order_id": "T-1"}}, "PARENT_SAME_EVENT_TYPE", "/parent/event_type"),
        ({"event_type": "trial"}, "PARENT_SAME_EVENT_TYPE", "/parent/event_type"),
        ({"event_type": "default"}, "NOT_CHAINED", "/parent"),
        ({"event_type": "app", "extra": CODE}, "NOT_CHAINED", "/parent"),
        ({"order_id": "T-1"}, "PARENT_SAME_ORDER_ID", "/parent/order_id"),
        ({"parent": {}}, "OID_MISSING", "/parent/order_id"),
        ({"parent": {"order_id": " "}}, "INVALID_ORDER_ID", "/parent/order_id"),
        ({"parent": {"order_id": "T", "colour": "red"}}, "UNKNOWN_FIELD", "/parent/colour"),
        ({"parent": "T-1"}, "INVALID", "/parent"),
    ],
)
def test_a_chain_that_would_break_is_refused(
    client: TestClient, changes: dict[str, Any], code: str, pointer: str
) -> None:
    """The sentence and the place say what to correct, and nothing is recorded."""
    assert post(client, "T-1", event_type="trial").status_code == 201
    said = {"order_id": "P-1"} | CHILD | changes
    answer = post(client, **said)
    assert answer.status_code == 422, answer.text
    assert answer.json()["code"] == code
    assert pointer in {error["pointer"] for error in answer.json()["errors"]}
    listed = client.get("/orders", headers=bearer(ORDER_KEY)).json()["items"]
    assert [one["order_id"] for one in listed] == ["T-1"]


def put(client: TestClient, order_id: str, **changes: Any) -> Any:
    """Replace an order."""
    content = json.dumps(body(order_id, event_date=NOW.isoformat(), **changes))
    path = f"/orders/{order_id}?event_type={changes['event_type']}"
    return client.put(path, content=content, headers=bearer(ORDER_KEY))


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"parent": {"event_type": "trial", "order_id": "nobody"}}, "PARENT_NOT_FOUND"),
        ({"customer_id": "somebody-else"}, "PARENT_CUSTOMER_DIFFERS"),
    ],
)
def test_a_chain_that_a_replacement_would_break_is_refused(
    client: TestClient, changes: dict[str, Any], code: str
) -> None:
    """What replaces an order is looked at as the order was."""
    assert post(client, "T-1", event_type="trial").status_code == 201
    assert post(client, "P-1", **CHILD).status_code == 201
    answer = put(client, "P-1", **CHILD | changes)
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert get(client, "P-1")["revision"] == 1


def test_a_parent_that_has_moved_is_not_found(service: Service, make_settings: SettingsFactory) -> None:
    """Its sender is told so, and other orders of a bulk are taken."""
    rules = PromoRules(rules=(PromoRule(code="ANNA", media_id="11", event_type="twin"),))
    service.settings = make_settings(promo_codes=rules, event_types=TYPES)
    with TestClient(create_app(service, with_worker=False)) as client:
        moved = post(client, "M-1", promo_code="Anna", click_id=...)
        assert (moved.status_code, moved.json()["event_type"]) == (201, "twin")
        answer = post(client, "P-1", event_type="paid", parent={"order_id": "M-1"})
        assert (answer.status_code, answer.json()["code"]) == (422, "PARENT_NOT_FOUND")


def test_parent_and_child_have_another_action_tracker(client: TestClient) -> None:
    """Two names for one action tracker do not make a chain."""
    assert post(client, "T-1", event_type="twin").status_code == 201
    answer = post(client, "P-1", event_type="trial", parent={"event_type": "twin", "order_id": "T-1"})
    assert (answer.status_code, answer.json()["code"]) == (422, "PARENT_SAME_EVENT_TYPE")


def test_faults_of_the_level_are_told_with_the_others(client: TestClient) -> None:
    """Whoever sends a chained action corrects everything at once."""
    answer = post(client, "P-1", customer_id=..., items=[], **CHILD)
    assert {error["code"] for error in answer.json()["errors"]} == {"CUSTOMER_ID_MISSING", "NO_ITEM"}


def test_a_mobile_app_event_needs_its_code(
    client: TestClient, service: Service, make_settings: SettingsFactory
) -> None:
    """From the order, or from the event type."""
    answer = post(client, "A-1", event_type="app", extra={"AppleIfa": "x"})
    assert (answer.status_code, answer.json()["code"]) == (422, "EVENT_CODE_MISSING")
    assert answer.json()["errors"][0]["pointer"] == "/extra/EventCode"
    assert post(client, "A-1", event_type="app").json()["code"] == "EVENT_CODE_MISSING"
    assert post(client, "A-1", event_type="app", extra=CODE).status_code == 201
    service.settings = make_settings(event_types=TYPES | {"app": TYPES["app"] | {"event_code": "SALE"}})
    with TestClient(create_app(service, with_worker=False)) as again:
        then = (NOW - timedelta(hours=1)).isoformat()
        assert post(again, "A-2", event_type="app", event_date=then).status_code == 201
        assert [one["rows"] for one in export(again, service)["batches"]] == [2]


def test_a_mobile_app_event_does_not_leave_without_its_code(
    client: TestClient, service: Service, make_settings: SettingsFactory
) -> None:
    """Where the settings named one that is gone by now, it is held, and goes when there is one again."""
    record(service.database, [order("A-1", event_type="app"), order("A-2", event_type="app", extra=CODE)], NOW)
    first = export(client, service)
    assert (first["exported"], first["held"]) == (1, 1)
    held = get(client, "A-1", "app")
    assert held["hold_reason"] == "cannot_be_rendered"
    assert "CHECK_EVENT_CODE_MISSING" in held["detail"]
    service.settings = make_settings(event_types=TYPES | {"app": TYPES["app"] | {"event_code": "SALE"}})
    assert export(client, service)["exported"] == 1


def test_an_order_that_is_one_line_is_not_more_than_a_line_can_say(client: TestClient) -> None:
    """Its items are added up, and the sum is told to be too large."""
    items = [{"sku": sku, "category": "c", "quantity": 1, "amount": "500000000000"} for sku in "AB"]
    answer = post(client, "T-1", event_type="trial", items=items)
    assert (answer.status_code, answer.json()["code"]) == (422, "AMOUNT_TOO_LARGE")
    items[0]["amount"] = "499999999999.99"
    assert post(client, "T-1", event_type="trial", items=items).status_code == 201
    assert post(client, "T-1", items=items).status_code == 201


def test_a_child_is_shown_with_its_parent_and_its_repetition_is_one(client: TestClient, service: Service) -> None:
    """Held from the beginning, credited through its parent; the same again is answered 200, another parent 409."""
    post(client, "T-1", event_type="trial")
    post(client, "T-2", event_type="trial")
    answer = post(client, "P-1", click_id=..., **CHILD)
    assert answer.status_code == 201, answer.text
    child = answer.json()
    assert (child["state"], child["hold_reason"], child["attributed_by"]) == ("held", "parent_not_delivered", "parent")
    assert child["parent"] == {"event_type": "trial", "order_id": "T-1"}
    assert get(client, "P-1") == child
    date = {"event_date": child["event_date"]}
    assert post(client, "P-1", click_id=..., **CHILD, **date).status_code == 200
    other = CHILD | {"parent": {"event_type": "trial", "order_id": "T-2"}}
    assert post(client, "P-1", click_id=..., **other, **date).status_code == 409
    held = client.get("/orders", params={"state": "held"}, headers=bearer(ORDER_KEY)).json()["items"]
    assert [one["order_id"] for one in held] == ["P-1"]


def test_one_bulk_may_have_whole_chains_in_any_order(client: TestClient) -> None:
    """A parent among the same lines counts as sent before; a chain without its beginning is refused, line by line."""
    types = {"trial": "default", "paid": "trial"}
    lines = [body(f"{key}-{number}", event_type=key) for number in range(3) for key in ("paid", "trial", "default")]
    for one in lines:
        if one["event_type"] in types:
            key, number = types[one["event_type"]], one["order_id"][-1]
            one["parent"] = {"event_type": key, "order_id": f"{key}-{number}"}
    lines[2]["order_id"] = "default-9"
    content = "\n".join(json.dumps(one) for one in lines)
    answer = client.post("/orders/bulk", content=content, headers=bearer(ORDER_KEY))
    told = [json.loads(line) for line in answer.text.splitlines()]
    assert [one["status"] for one in told] == [422, 422, 201] + [201] * 6
    assert {one["problem"]["code"] for one in told[:2]} == {"PARENT_NOT_FOUND"}
    assert [one["order_id"] for one in told] == [one["order_id"] for one in lines]


def test_a_repetition_is_one_even_if_the_parent_is_another_by_now(database: Database) -> None:
    """What was accepted is never refused later; a new order is."""
    parent = order("T-1", event_type="trial", customer_id="c")
    child = order("P-1", event_type="paid", customer_id="c", parent=("trial", "T-1"))
    orphan = order("P-2", event_type="paid", customer_id="c", parent=("trial", "T-2"))
    assert [one.outcome for one in record(database, [child, parent, orphan], NOW)] == [
        *(Outcome.NEW, Outcome.NEW, Outcome.REFUSED)
    ]
    with database.transaction() as session:
        session.connection().exec_driver_sql("UPDATE revision SET customer_id = 'd' WHERE parent_order_id IS NULL")
    again = record(database, [child, order("P-3", event_type="paid", customer_id="c", parent=("trial", "T-1"))], NOW)
    assert [one.outcome for one in again] == [Outcome.REPLAYED, Outcome.REFUSED]
    assert [fault.code for fault in again[1].faults] == ["PARENT_CUSTOMER_DIFFERS"]


# On the way out -------------------------------------------------------------------------------------------------------


def chain(service: Service, **of_parent: Any) -> None:
    """Record a parent and its child."""
    parent = order("T-1", **({"event_type": "trial", "customer_id": "c"} | of_parent))
    child = order("P-1", event_type="paid", customer_id="c", parent=parent.key)
    outcomes = [one.outcome for one in record(service.database, [parent, child], NOW)]
    assert outcomes == [Outcome.NEW, Outcome.NEW]


@pytest.mark.parametrize("level", ["default", "trial", "app"])
def test_a_child_leaves_with_the_export_after_its_parent_has_arrived(
    client: TestClient, service: Service, receiver: Receiver, level: str
) -> None:
    """Whatever the level of the parent; until then each export counts it as held and says why."""
    chain(service, event_type=level, extra=CODE if level == "app" else {})
    first = export(client, service)
    assert (first["exported"], first["held"]) == (1, 1)
    held = get(client, "P-1")
    assert (held["state"], held["hold_reason"]) == ("held", "parent_not_delivered")
    assert f"order T-1 of {level}, has not been delivered yet" in held["detail"]
    second = export(client, service)
    assert (second["exported"], second["held"]) == (1, 0)
    assert receiver.arrived[-1] == "P-1"
    child = get(client, "P-1")
    assert (child["state"], child["hold_reason"], child["detail"]) == ("delivered", None, None)
    assert client.get("/orders", params={"state": "held"}, headers=bearer(ORDER_KEY)).json()["items"] == []


@pytest.mark.parametrize(
    "failure",
    [ChannelUnavailable("away"), ChannelRefused("no"), OutcomeUnknown("no answer")],
    ids=["away", "refused", "unknown"],
)
def test_a_child_waits_as_long_as_its_parent_has_not_certainly_arrived(
    client: TestClient, service: Service, receiver: Receiver, failure: Exception
) -> None:
    """A file that is tried again, that failed or whose arrival is unknown is none that impact.com has."""
    chain(service)
    receiver.fails = failure
    export(client, service)
    for _ in range(2):
        assert export(client, service)["held"] == 1
        assert get(client, "P-1")["hold_reason"] == "parent_not_delivered"
    receiver.fails = None
    [batch] = client.get("/batches", headers=bearer(EXPORT_KEY)).json()["items"]
    if isinstance(failure, OutcomeUnknown):
        confirmed = client.post(f"/batches/{batch['id']}/confirmation", headers=bearer(EXPORT_KEY))
        assert confirmed.status_code == 200, confirmed.text
    else:
        client.post(f"/batches/{batch['id']}/redelivery", headers=bearer(EXPORT_KEY))
        work(service)
    assert (export(client, service)["exported"], get(client, "P-1")["state"]) == (1, "delivered")


def test_a_child_of_a_held_parent_waits(client: TestClient, service: Service) -> None:
    """Its parent may still be released."""
    chain(service, click_id=None)
    assert export(client, service)["held"] == 2
    assert get(client, "P-1")["hold_reason"] == "parent_not_delivered"


def test_a_child_of_an_expired_parent_says_so_until_it_is_too_old_itself(
    client: TestClient, service: Service, clock: Clock
) -> None:
    """It is not lost, and does not wait in vain for ever."""
    chain(service, age=timedelta(days=88))
    told = export(client, service)
    assert (told["exported"], told["held"], told["expired"]) == (0, 1, 1)
    assert get(client, "P-1")["hold_reason"] in {"parent_not_delivered", "parent_expired"}
    assert export(client, service)["held"] == 1
    child = get(client, "P-1")
    assert (child["state"], child["hold_reason"]) == ("held", "parent_expired")
    assert "too old" in child["detail"]
    clock.now = NOW + timedelta(days=88)
    assert export(client, service)["expired"] == 1
    assert get(client, "P-1")["state"] == "expired"


def test_a_child_of_a_rejected_parent_is_held(client: TestClient, service: Service, clock: Clock) -> None:
    """A parent that impact.com has not taken cannot be linked to; once it is taken, the child goes."""
    chain(service)
    export(client, service)
    impact, [name] = Impact(), filenames(service.database)
    impact.has(name, {"OrderId": "T-1", "Reason": "CONTRACT_NOT_FOUND"})
    clock.now += timedelta(hours=1)
    look(service, impact, clock)
    assert export(client, service)["held"] == 1
    child = get(client, "P-1")
    assert (child["state"], child["hold_reason"]) == ("held", "parent_rejected")
    assert "rejected by impact.com" in child["detail"]
    redeliver(service, name)
    clock.now += timedelta(hours=1)
    impact.has(name, number="F-2")
    look(service, impact, clock)
    assert (export(client, service)["exported"], get(client, "P-1")["state"]) == (1, "delivered")


def redeliver(service: Service, name: str) -> None:
    """Send a file again."""
    with service.database.transaction() as session:
        batch = session.connection().execute(select(BATCH.c.id).where(BATCH.c.filename == name)).scalar_one()
        resume.redeliver(session, service.settings, batch, "trial")
    work(service)


def test_a_child_does_not_follow_a_parent_of_another_customer(
    client: TestClient, service: Service, receiver: Receiver
) -> None:
    """The parent was replaced before it left: the child says so and waits until it is replaced too."""
    chain(service)
    assert put(client, "T-1", event_type="trial", customer_id="another").status_code == 200
    assert export(client, service)["exported"] == 1
    assert export(client, service)["held"] == 1
    child = get(client, "P-1")
    assert child["hold_reason"] == "parent_customer_differs"
    assert "PUT /orders/P-1?event_type=paid" in child["detail"]
    assert put(client, "P-1", **CHILD, customer_id="another").status_code == 200
    assert export(client, service)["exported"] == 1
    assert receiver.arrived == ["T-1", "P-1"]


def test_a_child_of_a_cancelled_parent_says_so(client: TestClient, service: Service) -> None:
    """A parent that was reversed before it left never arrives."""
    chain(service)
    with service.database.transaction() as session:
        correction = {"conversion_id": 1, "number": 1, "kind": "reversal", "reason": "ITEM_RETURNED", "reverses": True}
        told = {"recorded_at": NOW, "request": "", "answer": ""}
        session.connection().execute(insert(CORRECTION).values(correction | told))
        session.connection().execute(insert(CANCELLED).values(revision_id=1, correction_id=1))
        session.connection().exec_driver_sql("DELETE FROM unsent WHERE revision_id = 1")
    assert export(client, service)["held"] == 1
    assert get(client, "P-1")["hold_reason"] == "parent_cancelled"


STEPS = st.lists(
    st.sampled_from(["request", "build", "deliver", "crash", "away", "unknown", "later"]), min_size=1, max_size=15
)


@given(STEPS)
@settings(max_examples=200 if SOAK else 12, deadline=None, suppress_health_check=list(HealthCheck))
def test_no_crash_sends_a_child_before_its_parent(service: Service, receiver: Receiver, steps: list[str]) -> None:
    """Whenever the worker dies and whatever the receiver answers, what has arrived came in the order of the chain."""
    run = len(receiver.arrived)
    receiver.arrived.append(f"run {run}")
    keys = [("default", f"{run}-a"), ("trial", f"{run}-b"), ("paid", f"{run}-c")]
    chained = [
        order(key[1], event_type=key[0], customer_id="c", items=1, parent=keys[number - 1] if number else None)
        for number, key in enumerate(keys)
    ]
    record(service.database, chained, NOW)
    failures = {"crash": Crash(), "away": ChannelUnavailable("away"), "unknown": OutcomeUnknown("no answer")}
    for step in [*steps, *["later", "request", "build", "deliver"] * 4]:
        receiver.fails = failures.get(step)
        if step == "request":
            request_export(service.database)
        elif step == "build":
            worker.build_one(service)
        elif step == "later":
            with service.database.transaction() as session:
                due = {"due_at": NOW - timedelta(days=1), "leased_until": None, "stuck": None}
                session.connection().execute(update(UNDELIVERED).values(due))
        else:
            with suppress(Crash):
                worker.deliver_one(service)
    ours = list(dict.fromkeys(receiver.arrived[receiver.arrived.index(f"run {run}") + 1 :]))
    assert ours == [key[1] for key in keys]

"""Orders that leave by calls: each one way, each on record before it leaves, and none lost or doubled by a failure."""

import random
import threading
from datetime import timedelta
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Row, select, update
from typer.testing import CliRunner

from app import cli, worker
from app.batches.batch import BatchKind
from app.batches.store import BATCH, UNCONFIRMED, UNDELIVERED
from app.clicks.store import NewClick, add_new
from app.conversions.record import record
from app.conversions.store import REVISION
from app.delivery import calling, calls_store, deliver
from app.delivery.calls_store import CALL, UNANSWERED, ToMake
from app.delivery.parcel import Parcel, Progress
from app.delivery.store import ATTEMPT
from app.errors import LeaseLost
from app.event_type import EventType
from app.ledger.export_routes import request_export
from app.main import create_app
from app.service import Service
from tests.conftest import SettingsFactory
from tests.corrections import Left, correct, name_action
from tests.delivery.impact import ACCOUNT, Impact, api
from tests.delivery.test_deliver import due_now, work_until_batched
from tests.delivery.test_modifications import Shipments
from tests.servers import wait_until
from tests.support import EXPORT_KEY, NOW, READ_KEY, bearer, order, work

SHARE_OF_FAILURES = 0.3
Failure = httpx.Response | BaseException | None


class Killed(BaseException):
    """The process ends here: nothing of it is recorded any more."""


@pytest.fixture
def impact() -> Impact:
    """impact.com."""
    return Impact()


@pytest.fixture
def files(service: Service) -> Shipments:
    """What left as files."""
    channel = Shipments()
    service.channels = {"folder": channel}
    return channel


@pytest.fixture
def calling_service(service: Service, files: Shipments, impact: Impact, make_settings: SettingsFactory) -> Service:
    """A service whose orders leave by calls, five an hour beside what is kept for reading."""
    assert files.parcels == []
    service.settings = make_settings(channel="http_api", impact_budget_per_hour=8, impact_reserve_per_hour=3, **ACCOUNT)
    service.api = api(impact, service)
    return service


def with_settings(service: Service, impact: Impact, **changes: Any) -> None:
    """Let the service run with other settings."""
    service.settings = service.settings.model_copy(update=changes)
    service.api = api(impact, service)


def export(service: Service, *names: str) -> None:
    """Record orders, and let an export send what waits."""
    record(service.database, [order(name) for name in names], NOW)
    request_export(service.database)
    work(service)


def try_again(service: Service) -> None:
    """Let the time of the next try come, and the worker do what it may."""
    due_now(service.database)
    work(service)


def rows(service: Service, table: Any) -> list[Row[Any]]:
    """Return a table's rows."""
    with service.database.snapshot() as session:
        return list(session.connection().execute(select(table).order_by(*table.primary_key)))


def states(service: Service) -> list[str]:
    """Return how each call stands."""
    return [row.state for row in rows(service, CALL)]


def batches(service: Service) -> list[dict[str, Any]]:
    """Return the batches as they are told."""
    with TestClient(create_app(service, with_worker=False)) as client:
        told: list[dict[str, Any]] = client.get("/batches", headers=bearer(READ_KEY)).json()["items"]
    service.stopping.clear()
    return told


def act(service: Service, what: str, place: int = 0) -> Any:
    """Do what a person does with a batch."""
    one = batches(service)[place]["id"]
    with TestClient(create_app(service, with_worker=False)) as client:
        answer = client.post(f"/batches/{one}/{what}", headers=bearer(EXPORT_KEY))
    service.stopping.clear()
    return answer


def test_a_call_says_that_the_visitor_consented(calling_service: Service, impact: Impact) -> None:
    """Where the event type asks for it: of a click with the visitor's word, and of no other."""
    service = calling_service
    with service.database.transaction() as session:
        add_new(session, [NewClick("given", NOW, consent="granted"), NewClick("silent", NOW, consent="implied")])
    asking = EventType(campaign_id=1000, action_tracker_id=4321, tracking_consent=True)
    with_settings(service, impact, event_types={"default": asking})
    record(service.database, [order("A", click_id="given"), order("B", click_id="silent")], NOW)
    export(service, "C")
    told = {fields["OrderId"]: fields.get("TrackingConsent") for _, _, fields in impact.calls}
    assert told == {"A": "true", "B": None, "C": None}


def test_evidence_of_an_order_that_left_by_a_call_names_the_call(calling_service: Service, impact: Impact) -> None:
    """There is no file at impact.com that could be looked at."""
    export(calling_service, "A")
    assert impact.orders() == ["A"]
    with TestClient(create_app(calling_service, with_worker=False)) as client:
        told = client.get("/orders/A/evidence?format=json", headers=bearer(READ_KEY)).json()
    [sent] = told["sent"]
    assert [(one["channel"], one["outcome"]) for one in sent["deliveries"]] == [("impact.com's API", "queued")]


# The way ----------------------------------------------------------------------------------------------------------


def test_what_fits_into_the_budget_goes_by_calls_and_the_rest_by_a_file(
    calling_service: Service, impact: Impact, files: Shipments
) -> None:
    """Five orders by calls, two by a file, each once; both are batches like any other, and say which way they went."""
    export(calling_service, *"ABCDEFG")
    assert impact.orders() == list("ABCDE")
    assert [one.content.count(b"\r\n") for one in files.parcels] == [1 + 2 * 2]
    told = batches(calling_service)
    assert [(one["channel"], one["orders"], one["state"]) for one in told] == [
        ("http_api", 5, "delivered"),
        ("folder", 2, "delivered"),
    ]
    kept = calling_service.hold.journal.names()
    assert {one["filename"] for one in told} == {*kept}
    export(calling_service, "H")  # the hour's budget is spent
    assert (len(impact.calls), len(files.parcels), batches(calling_service)[2]["channel"]) == (5, 2, "folder")


def test_what_became_of_a_call_is_asked_for_in_its_time(calling_service: Service, impact: Impact) -> None:
    """What is queued is looked at after a minute, what is refused at once; until then nothing is said of either."""
    refused = httpx.Response(400, json={"Errors": [{"Field": "CampaignId", "Message": "CAMPAIGN_NOT_FOUND"}]})
    impact.answer = lambda order_id: refused if order_id == "B" else None
    export(calling_service, "A", "B", "C")
    calls, due = rows(calling_service, CALL), rows(calling_service, UNANSWERED)
    assert [(row.state, row.code, row.type, row.tries) for row in calls] == [
        ("queued", None, "Conversion", 1),
        ("refused", "CAMPAIGN_NOT_FOUND", "Conversion", 1),
        ("queued", None, "Conversion", 1),
    ]
    assert calls[0].uri == "/Advertisers/IRsid/APISubmissions/A-A"
    assert [(row.due_at - due[1].due_at) > timedelta(seconds=50) for row in due] == [True, False, True]
    assert len(rows(calling_service, UNCONFIRMED)) == 1
    assert batches(calling_service)[0]["state"] == "delivered"  # one bad order keeps none of the others back


def test_orders_under_way_count_for_the_room_that_is_left(calling_service: Service, impact: Impact) -> None:
    """Two exports before anything was called: the second one does not promise the same calls again."""
    impact.answer = lambda _order_id: httpx.Response(503)
    export(calling_service, "A", "B")
    record(calling_service.database, [order(name) for name in "CDE"], NOW)
    request_export(calling_service.database)
    worker.build_one(calling_service)
    assert [(one["channel"], one["orders"]) for one in batches(calling_service)] == [
        ("http_api", 2),
        ("http_api", 1),  # of five calls two are made, and two are to be made again
        ("folder", 2),
    ]


def test_corrections_go_by_calls_too(calling_service: Service, impact: Impact, files: Shipments) -> None:
    """What is left of an order by PUT, and that nothing is left by DELETE; those beyond the budget by a file."""
    with_settings(calling_service, impact, impact_budget_per_hour=9)
    export(calling_service, "A", "B", "C")
    name_action(calling_service.database, "B", "1000.1.2")
    correct(calling_service.database, "A", [Left("SKU-0", 500), Left("SKU-1", 0, 0)])
    gone = [Left("SKU-0", 0, 0), Left("SKU-1", 0, 0)]
    correct(calling_service.database, "B", gone, level="order", reverses=True, reason="ITEM_RETURNED")
    correct(calling_service.database, "C")
    export(calling_service)
    codes = {"Reason": "ORDER_UPDATE", "DispositionCode": "ORDER_UPDATE"}
    items = {"Sku": "SKU-0", "Amount": "5.00", "Quantity": "1", "Category": "Tools"}
    items |= {"Sku2": "SKU-1", "Amount2": "0", "Quantity2": "0", "Category2": "Tools"}
    assert impact.calls[3:] == [
        ("PUT", "Actions", {"ActionTrackerId": "4321", "OrderId": "A"} | codes | items),
        ("PUT", "Actions", {"ActionTrackerId": "4321", "OrderId": "C"} | codes | dict(list(items.items())[:4])),
        ("DELETE", "Actions", {"ActionId": "1000.1.2", "DispositionCode": "ITEM_RETURNED"}),
    ]
    assert [row.type for row in rows(calling_service, CALL)[3:]] == ["Modification", "Modification", "Reversal"]
    assert files.parcels == []
    correct(calling_service.database, "C", [Left("SKU-0", 100)])
    export(calling_service)
    assert len(files.corrections) == 1


def test_an_order_of_nothing_is_reversed_by_a_call_whatever_its_channel(
    calling_service: Service, impact: Impact, files: Shipments
) -> None:
    """No file can say it. Its order left by a file; with an account its reversal leaves by DELETE."""
    with_settings(calling_service, impact, channel="folder")
    export(calling_service, "A")
    correct(calling_service.database, "A", level="order", reverses=True, reason="OTHER", hold_reason="zero_amount")
    export(calling_service)
    assert [call[0] for call in impact.calls] == ["DELETE"]
    assert (len(files.parcels), files.corrections) == (1, [])
    assert [one["channel"] for one in batches(calling_service)] == [None, "http_api"]


def test_without_an_account_it_waits_for_a_person(service: Service, files: Shipments) -> None:
    """As before: the correction is held."""
    export(service, "A")
    correct(service.database, "A", level="order", reverses=True, reason="OTHER", hold_reason="zero_amount")
    export(service)
    assert (len(files.parcels), batches(service)[0]["channel"]) == (1, None)


def test_a_file_never_leaves_by_calls(calling_service: Service, impact: Impact, files: Shipments) -> None:
    """A batch that was made for files goes by one also when the settings name the API meanwhile, and the other way."""
    with_settings(calling_service, impact, channel="folder")
    record(calling_service.database, [order("A")], NOW)
    request_export(calling_service.database)
    worker.build_one(calling_service)
    with_settings(calling_service, impact, channel="http_api")
    work(calling_service)
    assert (len(files.parcels), impact.calls) == (1, [])
    record(calling_service.database, [order("B")], NOW)
    request_export(calling_service.database)
    worker.build_one(calling_service)
    with_settings(calling_service, impact, channel="folder")
    work(calling_service)
    assert (len(files.parcels), impact.orders()) == (1, ["B"])


def test_a_batch_of_calls_waits_for_its_account(calling_service: Service, impact: Impact, files: Shipments) -> None:
    """Without an account nothing is called, nothing goes by a file instead, and other batches go on."""
    record(calling_service.database, [order("A")], NOW)
    request_export(calling_service.database)
    worker.build_one(calling_service)
    account = calling_service.settings.impact_account_sid
    with_settings(calling_service, impact, channel="folder", impact_account_sid="")
    export(calling_service, "B")
    assert (len(files.parcels), impact.calls) == (1, [])
    with_settings(calling_service, impact, channel="folder", impact_account_sid=account)
    work(calling_service)
    assert impact.orders() == ["A"]


def test_a_dry_run_says_how_many_go_which_way(
    calling_service: Service, impact: Impact, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So many by calls, so many by files, over all event types; and nothing is called."""
    types = {"signup": EventType(campaign_id=1, action_tracker_id=2, channel="http_api")}
    with_settings(calling_service, impact, event_types=types)
    record(calling_service.database, [order(name) for name in "ABC"], NOW)
    record(calling_service.database, [order(name, event_type="signup") for name in "ABC"], NOW)
    monkeypatch.setattr(cli, "_usable", lambda: calling_service)
    told = CliRunner().invoke(cli.cli, ["export", "--dry-run"])
    assert "default: 6 rows, 3 orders" in told.output
    assert "6 orders would be sent, 0 would not (5 by calls of impact.com's API, 1 by files)." in told.output
    assert impact.calls == []


# Failures ---------------------------------------------------------------------------------------------------------


def test_a_spent_budget_is_waited_for_and_is_no_failed_try(calling_service: Service, impact: Impact) -> None:
    """Others used the account: the calls that were made stay made, the rest follows, and no try is counted."""
    with_settings(calling_service, impact, delivery_tries=1)
    few = {"X-RateLimit-Remaining": "4", "X-RateLimit-Reset": "600"}
    answer = httpx.Response(200, json={"QueuedUri": "/Advertisers/IRsid/APISubmissions/A"}, headers=few)
    impact.after = lambda _order_id: answer
    export(calling_service, *"ABC")
    assert impact.orders() == ["A", "B"]
    [waits] = rows(calling_service, UNDELIVERED)
    assert (waits.stuck, waits.since == waits.token) == (None, True)
    assert rows(calling_service, ATTEMPT)[-1].code == "API_BUDGET_SPENT"
    for _ in range(3):
        try_again(calling_service)
    assert (impact.orders(), batches(calling_service)[0]["state"]) == (["A", "B"], "sending")
    calling_service.clock.now += timedelta(minutes=10)  # type: ignore[attr-defined]
    try_again(calling_service)
    assert (impact.orders(), batches(calling_service)[0]["state"]) == (["A", "B", "C"], "delivered")


@pytest.mark.parametrize(
    "failure", [httpx.Response(503), httpx.Response(302), httpx.ConnectError("no"), httpx.Response(404)]
)
def test_while_the_api_is_away_nothing_is_lost(
    calling_service: Service, impact: Impact, failure: httpx.Response | BaseException
) -> None:
    """Three calls in a row that fail are enough for now; later all are made, and none twice."""
    with_settings(calling_service, impact, impact_budget_per_hour=20)
    impact.answer = lambda _order_id: failure
    export(calling_service, *"ABCDE")
    assert (impact.orders(), states(calling_service)) == (["A", "B", "C"], ["failed"] * 3)
    assert batches(calling_service)[0]["state"] == "sending"
    impact.answer = lambda _order_id: None
    try_again(calling_service)
    assert (sorted(impact.taken.elements()), states(calling_service)) == (list("ABCDE"), ["queued"] * 5)
    assert impact.orders()[3:] == list("DEABC")  # those that were never tried go first


@pytest.mark.parametrize(("status", "may_be_ours"), [(500, True), (502, True), (504, True), (429, False), (404, False)])
def test_a_call_that_failed_at_impact_may_have_been_taken(
    calling_service: Service, impact: Impact, status: int, may_be_ours: bool
) -> None:
    """A gateway's 5xx can come after the order was taken: the second try's CONV_DUPLICATE is then no refusal of it."""
    impact.after = lambda _order_id: httpx.Response(status)
    export(calling_service, "A")
    impact.after = lambda _order_id: None
    calling_service.clock.now += timedelta(minutes=15)  # type: ignore[attr-defined]
    try_again(calling_service)
    assert [(row.state, row.was_unknown, row.tries) for row in rows(calling_service, CALL)] == [
        ("queued", may_be_ours, 2)
    ]


def test_refused_credentials_stop_the_channel(calling_service: Service, impact: Impact, files: Shipments) -> None:
    """After three refusals nothing more is called, before the account is locked; files go on, and a person is told."""
    impact.answer = lambda _order_id: httpx.Response(401)
    export(calling_service, "A", "B")
    for _ in range(5):
        try_again(calling_service)
    assert len(impact.calls) == 3
    impact.answer = lambda _order_id: None
    worker.try_stopped_channels(calling_service)
    try_again(calling_service)
    assert (sorted(impact.taken.elements()), files.parcels) == (["A", "B"], [])


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("unknown_outcome", ["resend", "hold"])
def test_a_killed_worker_leaves_a_call_that_is_known_to_be_unknown(
    calling_service: Service, impact: Impact, moment: str, unknown_outcome: str
) -> None:
    """Killed between the record and the call, or between the call and its answer: the next worker knows no better.

    It makes that call again and remembers, or leaves it to a person; the other calls are made once in any case.
    """
    with_settings(calling_service, impact, unknown_outcome=unknown_outcome, impact_budget_per_hour=20)
    killing = lambda order_id: Killed() if order_id == "B" else None  # noqa: E731
    impact.answer, impact.after = (killing, impact.after) if moment == "before" else (impact.answer, killing)
    with pytest.raises(Killed):
        export(calling_service, *"ABC")
    assert states(calling_service) == ["queued", "started"]
    impact.answer = impact.after = lambda _order_id: None
    try_again(calling_service)
    arrived = {"A": 1, "B": int(moment == "after"), "C": 1}
    if unknown_outcome == "hold":
        assert (states(calling_service), batches(calling_service)[0]["state"]) == (
            ["queued", "unknown", "queued"],
            "unknown",
        )
        try_again(calling_service)
        assert {**impact.taken, "B": impact.taken["B"]} == arrived
        assert act(calling_service, "redelivery").status_code == 202
        work(calling_service)
    assert dict(impact.taken) == arrived | {"B": arrived["B"] + 1}
    calls = rows(calling_service, CALL)
    assert [(row.state, row.was_unknown) for row in calls] == [("queued", False), ("queued", True), ("queued", False)]
    assert batches(calling_service)[0]["state"] == "delivered"
    assert act(calling_service, "redelivery").status_code == 409  # every call was answered
    assert sum(impact.taken.values()) == 3 + int(moment == "after")


def test_a_person_confirms_only_what_has_left(calling_service: Service, impact: Impact) -> None:
    """What was seen at impact.com counts as there; an order that was never sent is not lost by it."""
    with_settings(calling_service, impact, unknown_outcome="hold", impact_budget_per_hour=20)
    impact.answer = lambda order_id: httpx.ReadTimeout("") if order_id == "A" else httpx.Response(503)
    export(calling_service, "A", "B")
    refused = act(calling_service, "confirmation")
    assert (refused.status_code, refused.json()["code"]) == (409, "NOT_SENT")
    impact.answer = lambda _order_id: None
    try_again(calling_service)
    assert (impact.orders(), states(calling_service)) == (["A", "B", "B"], ["unknown", "queued"])
    assert act(calling_service, "confirmation").json()["state"] == "delivered"
    known = rows(calling_service, CALL)[0]
    assert (known.state, known.code, known.was_unknown) == ("refused", "CONV_DUPLICATE", True)
    assert len(rows(calling_service, UNANSWERED)) == 2
    assert act(calling_service, "confirmation").status_code == 409


def test_a_call_that_was_answered_is_over_for_whoever_comes_late(calling_service: Service, impact: Impact) -> None:
    """Neither does a worker that planned it before make it again, nor does a late failure take the answer back."""
    with_settings(calling_service, impact, unknown_outcome="hold")
    impact.answer = lambda _order_id: httpx.ReadTimeout("")
    export(calling_service, "A")
    [planned] = rows(calling_service, CALL)
    assert act(calling_service, "confirmation").json()["state"] == "delivered"
    with calling_service.database.transaction() as session:
        one = ToMake(BatchKind.CONVERSIONS, planned.revision_id, planned.id, planned.tries)
        assert calls_store.begin(session, planned.batch, one, "Conversion", NOW) is None
        calls_store.end(session, planned.id, planned.tries, {"state": "failed"}, due_in=None)
    assert states(calling_service) == ["refused"]


def test_no_call_begins_without_the_lease(calling_service: Service, impact: Impact) -> None:
    """A worker that was overtaken makes no further call; what it has learned of the one under way is kept."""
    record(calling_service.database, [order(name) for name in "ABC"], NOW)
    request_export(calling_service.database)
    worker.build_one(calling_service)
    first = deliver.claim(calling_service.database, calling_service.settings, NOW)
    assert first

    def overtaken(_order_id: str) -> None:
        impact.after = lambda _order_id: None
        due_now(calling_service.database)
        assert deliver.claim(calling_service.database, calling_service.settings, NOW)

    impact.after = overtaken
    assert calling_service.api
    rest = calling_service.settings, first, calling_service.clock, calling_service.stopping
    with pytest.raises(LeaseLost):
        calling.deliver(calling_service.database, calling_service.hold.journal, calling_service.api, *rest)
    assert (impact.orders(), states(calling_service)) == (["A"], ["queued"])
    try_again(calling_service)
    assert impact.orders() == ["A", "B", "C"]


def test_whatever_the_api_answers_every_order_arrives_and_every_doubt_is_on_record(
    calling_service: Service, impact: Impact
) -> None:
    """Forty orders among 429, 500, lost answers, HTML and redirects: each is taken, or refused with a reason.

    One that was taken twice is remembered as doubtful, so that impact.com's CONV_DUPLICATE is no refusal of it.
    """
    chance = random.Random(7)
    names = [f"A-{number}" for number in range(40)]
    with_settings(calling_service, impact, impact_budget_per_hour=10_000)
    early: list[Failure] = [*map(httpx.Response, (500, 429, 302)), httpx.ConnectError("no"), httpx.ReadTimeout("")]
    late: list[Failure] = [httpx.ReadError("cut"), httpx.Response(200, text="<html>"), httpx.Response(200, json=[])]
    bad = httpx.Response(400, json={"Message": "INVALID_CURRENCY_CODE"})

    def one_of(failures: list[Failure]) -> Failure:
        return chance.choice(failures) if chance.random() < SHARE_OF_FAILURES else None

    def answer(order_id: str) -> Failure:
        return bad if order_id == "A-3" else one_of(early)

    def after(_order_id: str) -> Failure:
        return one_of(late)

    impact.answer, impact.after = answer, after
    export(calling_service, *names)
    for _ in range(200):
        if not rows(calling_service, UNDELIVERED):
            break
        calling_service.clock.now += timedelta(minutes=15)  # type: ignore[attr-defined]
        try_again(calling_service)
    calls = rows(calling_service, CALL)
    assert [row.state for row in calls if row.code != "INVALID_CURRENCY_CODE"] == ["queued"] * 39
    assert [row.code for row in calls if row.state == "refused"] == ["INVALID_CURRENCY_CODE"]
    assert {*impact.taken} == {*names} - {"A-3"}
    doubtful = {row.uri.rsplit("/A-", 1)[1] for row in calls if row.was_unknown}
    assert {name for name, number in impact.taken.items() if number > 1} <= doubtful
    assert batches(calling_service)[0]["state"] == "delivered"


def test_no_secret_is_told(calling_service: Service, impact: Impact, caplog: pytest.LogCaptureFixture) -> None:
    """Neither logs nor batches say the token, or what impact.com's messages repeat of a customer."""
    message = {"Errors": [{"Field": "CustomerId", "Message": "jane@shop.example is no id"}]}
    impact.answer = lambda _order_id: httpx.Response(400, json=message)
    export(calling_service, "A")
    told = "".join(str(vars(one)) for one in caplog.records) + str(batches(calling_service))
    assert [secret for secret in ("canary", "jane") if secret in told] == []
    [call] = rows(calling_service, CALL)
    assert (call.code, call.detail) == ("HTTP_400", "CustomerId: jane@shop.example is no id")


def test_the_batches_of_a_mixed_export_hold_each_order_once(calling_service: Service) -> None:
    """Every order has one line in one batch, however the budget cut them."""
    record(calling_service.database, [order(f"A-{number}") for number in range(12)], NOW)
    request_export(calling_service.database)
    work_until_batched(calling_service)
    assert sum(row.orders for row in rows(calling_service, BATCH)) == 12


def test_an_order_that_cannot_be_told_keeps_none_of_the_others_back(calling_service: Service, impact: Impact) -> None:
    """Its currency is no more: the others go, and the batch says that something is left of it."""
    record(calling_service.database, [order(name) for name in "ABC"], NOW)
    request_export(calling_service.database)
    worker.build_one(calling_service)
    with calling_service.database.transaction() as session:
        session.connection().execute(update(REVISION).where(REVISION.c.id == 2).values(currency="XXX"))
    work(calling_service)
    assert impact.orders() == ["A", "C"]
    assert batches(calling_service)[0]["state"] == "sending"
    [attempt] = rows(calling_service, ATTEMPT)
    assert attempt.detail.startswith("1 calls are left, of 0 it is not known whether they arrived")


def test_a_file_that_takes_its_time_delays_no_call(calling_service: Service, impact: Impact, files: Shipments) -> None:
    """Calls have a thread of their own in the worker, and so have files."""
    arrived, release = threading.Event(), threading.Event()

    def send(_parcel: Parcel, _progress: Progress) -> None:
        arrived.set()
        release.wait(10)

    files.send = send  # type: ignore[assignment]
    record(calling_service.database, [order(name) for name in "ABCDEFG"], NOW)
    request_export(calling_service.database)
    running = worker.Worker(calling_service)
    running.start()
    try:
        assert arrived.wait(10)
        wait_until(lambda: len(impact.calls) == 5, "the calls waited for the file")
    finally:
        release.set()
        running.stop(10)

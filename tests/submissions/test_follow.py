"""What became of what was sent is found out, once, however late and in whatever words impact.com tells it."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import insert, select, update

from app.batches.store import BATCH, BATCH_LINE, UNCONFIRMED, UNDELIVERED
from app.database import Database
from app.delivery import deliver
from app.delivery.calls_store import CALL, UNANSWERED
from app.delivery.store import ATTEMPT
from app.errors import ApiUnavailable, CredentialsRefused, OutcomeUnknown
from app.service import Service
from app.submissions import follow_store
from app.submissions.schedule import wait
from app.submissions.store import RESULT, SUBMISSION
from app.worker import Worker
from tests.conftest import Clock
from tests.corrections import Left, correct
from tests.delivery.test_retries import Scripted
from tests.submissions.impact import Impact, export, filenames, follower, look, make_due
from tests.support import NOW, ORDER_KEY, READ_KEY, bearer, order, work

EXAMPLE = json.loads(Path(__file__).with_name("api-submission.json").read_text("utf-8"))
HOUR = timedelta(hours=1)


@pytest.fixture
def api() -> Impact:
    """What impact.com knows."""
    return Impact()


def get(client: TestClient, path: str, **query: Any) -> Any:
    """Read as somebody who may read everything."""
    answer = client.get(path, params=query, headers=bearer(READ_KEY))
    assert answer.status_code == 200, answer.text
    return answer.json()


def states(client: TestClient, *order_ids: str) -> list[str]:
    """Return the states of orders, and see that the lists by state agree."""
    found = [get(client, f"/orders/{one}")["state"] for one in order_ids]
    for state in set(found):
        listed = {one["order_id"] for one in get(client, "/orders", state=state)["items"]}
        assert {one for one, its in zip(order_ids, found, strict=True) if its == state} <= listed
    for state in {"delivered", "unknown", "accepted", "partly_accepted", "rejected", "batched"} - set(found):
        assert get(client, "/orders", state=state)["items"] == []
    return found


def error(line: int | None = None, **facts: Any) -> dict[str, Any]:
    """Return a row of error details."""
    row = {"Line": None if line is None else str(line), "Status": "Contract Error", "Reason": "CONTRACT_NOT_FOUND"}
    return row | facts


# Files ------------------------------------------------------------------------------------------------------------


def test_a_file_without_errors_is_accepted(service: Service, client: TestClient, api: Impact, clock: Clock) -> None:
    """Delivered is not accepted: it is so when impact.com says that it is through, and counted no error."""
    [name] = export(service, "A", "B")
    api.has(name, records=4, Status="In Progress")
    clock.now += HOUR
    look(service, api, clock)
    assert states(client, "A", "B") == ["delivered", "delivered"]
    api.has(name, records=4)
    look(service, api, clock)
    assert states(client, "A", "B") == ["accepted", "accepted"]
    [batch] = get(client, "/batches")["items"]
    assert batch["state"] == "accepted"
    result = get(client, f"/batches/{batch['id']}")["result"]
    assert (result["accepted"], result["rejected"], result["source"]) == (2, 0, "api")
    asked = len(api.asked)
    look(service, api, clock)
    assert len(api.asked) == asked  # nothing is left to be asked


def test_errors_are_shown_at_the_orders_that_they_are_about(
    service: Service, client: TestClient, api: Impact, clock: Clock
) -> None:
    """All lines refused is rejected, some is partly accepted; each reason comes with its meaning and what to do."""
    [name] = export(service, "A", "B", "C")
    wrong = error(3, OrderId="B", Sku="SKU-0"), error(4, OrderId="B", Sku="SKU-1", Reason="NO_ITEM MADE_UP_CODE")
    api.has(name, *wrong, error(6, OrderId="C", Sku="SKU-1"), records=6)
    clock.now += HOUR
    look(service, api, clock)
    assert states(client, "A", "B", "C") == ["accepted", "rejected", "partly_accepted"]
    told = get(client, "/orders/B")
    shown = [(one["code"], one["line"], one["sku"]) for one in told["reasons"]]
    assert shown == [("CONTRACT_NOT_FOUND", 4, "SKU-0"), ("NO_ITEM", 5, "SKU-1"), ("MADE_UP_CODE", 5, "SKU-1")]
    assert all(one["meaning"] and one["next_step"] and one["what_to_do"] for one in told["reasons"])
    [submission] = told["submissions"]
    assert (submission["FileName"], submission["TotalErrors"], submission["Status"]) == (name, 3, "Complete")
    detail = get(client, f"/submissions/{submission['id']}")
    assert [(one["Line"], one["order"]["order_id"]) for one in detail["errors"]] == [
        (4, "B"),
        (5, "B"),
        (5, "B"),
        (7, "C"),
    ]
    assert detail["lines"].startswith("Line does not count the header")
    [batch] = get(client, "/batches")["items"]
    assert batch["state"] == "partly_rejected"


def test_an_error_of_the_whole_order_rejects_it(
    service: Service, client: TestClient, api: Impact, clock: Clock
) -> None:
    """A row that names an order and no line is about all of it; a batch with nothing taken is rejected."""
    [name] = export(service, "A")
    api.has(name, error(OrderId="A"))
    clock.now += HOUR
    look(service, api, clock)
    assert (states(client, "A"), get(client, "/batches")["items"][0]["state"]) == (["rejected"], "rejected")


def test_a_file_is_looked_for_though_orders_leave_by_calls_since(
    service: Service, client: TestClient, api: Impact, clock: Clock
) -> None:
    """What left as a file is in impact.com's list of files, whatever the settings say by now."""
    [name] = export(service, "A")
    service.settings = service.settings.model_copy(update={"channel": "http_api"})
    api.has(name, error(OrderId="A"))
    clock.now += HOUR
    look(service, api, clock)
    assert states(client, "A") == ["rejected"]


def test_one_listing_serves_all_files(service: Service, api: Impact, clock: Clock) -> None:
    """The budget is for files, not for orders: files that are due together cost one call."""
    for number in range(3):
        export(service, f"O-{number}")
    for name in filenames(service.database):
        api.has(name, number=name)
    clock.now += HOUR
    look(service, api, clock)
    assert [uri for uri, _ in api.asked] == ["FTPFileSubmissions"]
    assert api.asked[0][1] == {
        "SubmissionDateStart": "2026-11-22T11:00:00Z",
        "SubmissionDateEnd": "2026-11-22T14:00:00Z",
    }
    with service.database.snapshot() as session:
        assert len(session.connection().execute(select(RESULT)).all()) == 3


def test_errors_that_cannot_be_read_keep_no_other_file_back(
    service: Service, client: TestClient, api: Impact, clock: Clock
) -> None:
    """An address that never answers costs the result of its own file alone, and is asked again."""
    first, second = export(service, "A"), export(service, "B")[1]
    api.has(first[0], error(OrderId="A"), records=2)
    api.has(second, error(OrderId="B"), records=2, number="F-2")
    clock.now += HOUR
    api.away = {"/Advertisers/SID/FTPSubmissions/F-1/Errors"}
    look(service, api, clock)
    assert states(client, "A", "B") == ["delivered", "rejected"]
    api.away.clear()
    look(service, api, clock)
    assert states(client, "A", "B") == ["rejected", "rejected"]


def test_nothing_is_asked_before_it_can_be_known(service: Service, api: Impact, clock: Clock) -> None:
    """The first look comes after CAPTURE_FILE_POLL_SECONDS, later ones at growing intervals."""
    export(service, "A")
    clock.now += timedelta(seconds=1799)
    look(service, api, clock)
    assert api.asked == []
    clock.now += timedelta(seconds=1)
    look(service, api, clock)
    assert len(api.asked) == 1
    waits = [wait(looks, 1800) for looks in range(1, 9)]
    assert waits == sorted(waits)
    assert (waits[0], waits[-1]) == (HOUR, 6 * HOUR)


def test_errors_are_fetched_from_the_documented_address_if_the_named_one_fails(
    service: Service, client: TestClient, api: Impact, clock: Clock
) -> None:
    """impact.com's own sample names another address than its documents."""
    [name] = export(service, "A")
    api.has(name, error(OrderId="A"))
    api.errors = {"FTPFileSubmissions/F-1/ErrorDetails": next(iter(api.errors.values()))}
    clock.now += HOUR
    look(service, api, clock)
    assert states(client, "A") == ["rejected"]


TROUBLES: list[tuple[dict[str, Any], list[dict[str, Any]], str, str]] = [
    ({"records": 3}, [], "records_differ", "delivered"),
    ({"TotalErrors": 2}, [error(2, OrderId="A")], "errors_missing", "partly_accepted"),
    ({"records": 4}, [error(OrderId="nobody")], "not_joined", "delivered"),
    ({"records": 4, "ErrorReason": "CONTRACT_NOT_FOUND"}, [], "errors_missing", "delivered"),
    ({"records": 4, "ErrorType": "Validation"}, [], "errors_missing", "delivered"),
]


@pytest.mark.parametrize(("facts", "errors", "trouble", "of_a"), TROUBLES)
def test_what_does_not_add_up_is_no_success(
    service: Service,
    client: TestClient,
    api: Impact,
    clock: Clock,
    facts: Any,
    errors: Any,
    trouble: str,
    of_a: str,
) -> None:
    """A file that was cut, errors that are not shown, errors of nobody: nothing is accepted before a person looked."""
    [name] = export(service, "A", "B")
    api.has(name, *errors, **facts)
    clock.now += HOUR
    look(service, api, clock)
    assert states(client, "A", "B") == [of_a, "delivered"]
    with service.database.snapshot() as session:
        assert session.connection().execute(select(UNCONFIRMED.c.trouble)).scalar_one() == trouble


def test_a_file_whose_errors_are_neither_counted_nor_listed_is_no_success(
    service: Service, client: TestClient, api: Impact, clock: Clock
) -> None:
    """That there are none is known by their number, or by a list that is empty; by neither, nothing is known."""
    [name] = export(service, "A")
    api.has(name, records=2, TotalErrors="some")
    lists, api.errors = api.errors, {}
    clock.now += HOUR
    look(service, api, clock)
    assert states(client, "A") == ["delivered"]
    api.errors = lists
    look(service, api, clock)
    assert states(client, "A") == ["accepted"]


def test_a_file_of_which_nothing_was_read_is_rejected(
    service: Service, client: TestClient, api: Impact, clock: Clock
) -> None:
    """No record at all is impact.com's RECORDS_ZERO, shown at each order."""
    [name] = export(service, "A", "B")
    api.has(name, records=0)
    clock.now += HOUR
    look(service, api, clock)
    assert states(client, "A", "B") == ["rejected", "rejected"]
    assert [one["code"] for one in get(client, "/orders/B")["reasons"]] == ["RECORDS_ZERO"]


def test_the_same_file_again_takes_nothing_back(
    service: Service, client: TestClient, api: Impact, clock: Clock
) -> None:
    """What the first submission took stays taken when the second finds it there; what it had refused may be taken."""
    [name] = export(service, "A", "B")
    api.has(name, error(4, OrderId="B"), error(5, OrderId="B"), records=4)
    clock.now += HOUR
    look(service, api, clock)
    assert states(client, "A", "B") == ["accepted", "rejected"]
    [batch] = get(client, "/batches")["items"]
    answer = client.post(f"/batches/{batch['id']}/redelivery", headers=bearer("export-key-of-a-test"))
    assert answer.status_code == 202
    work(service)
    twice = [error(line, OrderId="A", Reason="CONV_DUPLICATE") for line in (2, 3)]
    clock.now += HOUR
    look(service, api, clock)
    assert states(client, "A", "B") == ["accepted", "rejected"]
    api.has(name, *twice, records=4, number="F-2")
    look(service, api, clock)
    assert states(client, "A", "B") == ["accepted", "accepted"]
    assert get(client, "/orders/A")["reasons"] == []


def test_a_duplicate_of_somebody_elses_order_stays_a_refusal_when_the_file_comes_again(
    service: Service, client: TestClient, api: Impact, clock: Clock
) -> None:
    """It was one the first time, when nothing of ours was there; what was refused once and taken then is no refusal."""
    [name] = export(service, "A", "B", "C")
    foreign = error(OrderId="C", Reason="CONV_DUPLICATE")
    api.has(name, error(OrderId="B"), foreign, records=6)
    clock.now += HOUR
    look(service, api, clock)
    assert states(client, "A", "B", "C") == ["accepted", "rejected", "rejected"]
    [batch] = get(client, "/batches")["items"]
    client.post(f"/batches/{batch['id']}/redelivery", headers=bearer("export-key-of-a-test"))
    work(service)
    clock.now += HOUR
    api.has(name, error(OrderId="A", Reason="CONV_DUPLICATE"), foreign, records=6, number="F-2")
    look(service, api, clock)
    assert states(client, "A", "B", "C") == ["accepted", "accepted", "rejected"]
    assert [get(client, f"/orders/{one}")["reasons"] for one in "AB"] == [[], []]


def test_what_was_cut_is_sent_again_and_what_had_come_counts(
    service: Service, client: TestClient, api: Impact, clock: Clock
) -> None:
    """The first half was taken, so that impact.com finds it there; the other half is taken now."""
    [name] = export(service, "A", "B")
    api.has(name, records=2)
    clock.now += HOUR
    look(service, api, clock)
    assert states(client, "A", "B") == ["delivered", "delivered"]
    [batch] = get(client, "/batches")["items"]
    client.post(f"/batches/{batch['id']}/redelivery", headers=bearer("export-key-of-a-test"))
    work(service)
    clock.now += HOUR
    api.has(name, error(OrderId="A", Reason="CONV_DUPLICATE"), records=4, number="F-2")
    look(service, api, clock)
    assert states(client, "A", "B") == ["accepted", "accepted"]


@pytest.mark.parametrize("early", [True, False], ids=["correction-first", "verdict-first"])
def test_what_was_held_of_a_refused_order_leaves_once_it_is_taken(
    service: Service, client: TestClient, api: Impact, clock: Clock, early: bool
) -> None:
    """The same file again may be taken: then impact.com is told what was given back, or it would pay for it."""
    [name] = export(service, "A", "B", "C")
    wishes = {"A/refunds": {"items": [{"sku": "SKU-0", "amount": "1.00"}]}, "B/reversals": {}, "C/reversals": {}}

    def give_back() -> None:
        for path, wish in wishes.items():
            content = {"reason": "ITEM_RETURNED", **wish}
            answer = client.post(f"/orders/{path}", json=content, headers=bearer(ORDER_KEY))
            assert answer.is_success, answer.text

    if early:
        give_back()
    api.has(name, *(error(OrderId=one) for one in "ABC"), records=6)
    clock.now += HOUR
    look(service, api, clock)
    if not early:
        give_back()
    assert len(export(service)) == 1
    [batch] = get(client, "/batches")["items"]
    client.post(f"/batches/{batch['id']}/redelivery", headers=bearer("export-key-of-a-test"))
    work(service)
    clock.now += HOUR
    api.has(name, error(OrderId="C"), records=6, number="F-2")
    look(service, api, clock)
    assert states(client, "A", "B", "C") == ["accepted", "accepted", "rejected"]
    sent = export(service)[1:]
    told = "".join(service.channels["folder"].path.joinpath(one).read_text() for one in sent)  # type: ignore[attr-defined]
    lines = [line for line in told.splitlines() if "ITEM_RETURNED" in line]
    assert (len(lines), any(",B," in one for one in lines), any(",C," in one for one in lines)) == (2, True, False)


def test_corrections_are_followed_like_orders(service: Service, client: TestClient, api: Impact, clock: Clock) -> None:
    """A modification file is joined line by line to corrections, which show the reasons."""
    [first] = export(service, "A", "B")
    correct(service.database, "A", [Left("SKU-0", 500), Left("SKU-1", 400)])
    correct(service.database, "B", [Left("SKU-0", 0), Left("SKU-1", 0)], reverses=True, level="order")
    names = export(service)
    api.has(first, records=4)
    for number, name in enumerate(names[1:]):
        if b"SKU" in service.channels["folder"].path.joinpath(name).read_bytes():  # type: ignore[attr-defined]
            api.has(name, error(2, OrderId="A", Sku="SKU-1", Reason="ALREADY_LOCKED"), number=f"M-{number}")
        else:
            api.has(name, error(1, OrderId="B", Reason="ALREADY_REVERSED"), number=f"M-{number}")
    clock.now += HOUR
    look(service, api, clock)
    [of_a] = get(client, "/orders/A")["corrections"]
    [of_b] = get(client, "/orders/B")["corrections"]
    assert (of_a["state"], of_b["state"]) == ("partly_accepted", "rejected")
    assert [(one["code"], one["line"]) for one in of_a["reasons"]] == [("ALREADY_LOCKED", 3)]
    assert states(client, "A", "B") == ["accepted", "accepted"]


def test_after_90_days_it_is_said_that_nothing_will_be_known(
    service: Service, client: TestClient, api: Impact, clock: Clock
) -> None:
    """impact.com forgets; the orders stay delivered, and the file is asked about no more."""
    export(service, "A")
    clock.now += HOUR
    look(service, api, clock)
    clock.now += timedelta(days=90)
    look(service, api, clock)
    with service.database.snapshot() as session:
        row = session.connection().execute(select(UNCONFIRMED)).one()
    assert (row.trouble, states(client, "A")) == ("given_up", ["delivered"])
    assert row.due_at > clock.now + timedelta(days=365)


# Deliveries that nobody knows about -------------------------------------------------------------------------------


def test_a_file_that_impact_has_is_not_sent_again(
    service: Service, client: TestClient, api: Impact, clock: Clock
) -> None:
    """Before a doubtful file is sent again, its name is looked for."""
    channel = Scripted(OutcomeUnknown("No answer."))
    service.channels, service.api = {"folder": channel}, api  # type: ignore[assignment]
    [name] = export(service, "A")
    assert states(client, "A") == ["unknown"]
    api.has(name, records=2, Status="Queued")
    _due_again(service.database)
    work(service)
    assert (states(client, "A"), len(channel.sent)) == (["delivered"], 1)


def test_a_file_that_was_cut_is_sent_again(service: Service, client: TestClient, api: Impact) -> None:
    """A file of which impact.com counts fewer records has not arrived."""
    channel = Scripted(OutcomeUnknown("No answer."))
    service.channels, service.api = {"folder": channel}, api  # type: ignore[assignment]
    [name] = export(service, "A", "B")
    api.has(name, records=1)
    _due_again(service.database)
    work(service)
    assert (states(client, "A"), len(channel.sent)) == (["delivered"], 2)


def test_a_delivery_that_waits_for_a_person_is_confirmed_by_what_is_found(
    service: Service, client: TestClient, api: Impact, clock: Clock
) -> None:
    """With CAPTURE_UNKNOWN_OUTCOME=hold a batch is found out about by itself; a duplicate in it may be our own."""
    service.settings = service.settings.model_copy(update={"unknown_outcome": "hold"})
    service.channels = {"folder": Scripted(OutcomeUnknown("No answer."))}
    [name] = export(service, "A")
    _due_again(service.database)
    work(service)
    clock.now += HOUR
    api.has(name, error(OrderId="A", Reason="CONV_DUPLICATE"), records=2)
    look(service, api, clock)
    assert states(client, "A") == ["accepted"]
    with service.database.snapshot() as session:
        attempts = session.connection().execute(select(ATTEMPT.c.channel, ATTEMPT.c.status)).all()
        assert tuple(attempts[-1]) == ("impact.com", "delivered")
        assert session.connection().execute(select(UNDELIVERED)).all() == []


def test_a_file_that_left_before_a_restore_is_found(service: Service, api: Impact, clock: Clock) -> None:
    """It is known from the journal alone, and counts as doubtful since then; it was submitted when it was made."""
    export(service, "A")
    with service.database.transaction() as session:
        since = session.connection().execute(select(BATCH.c.created_at)).scalar_one()
        session.connection().execute(update(UNCONFIRMED).values(since=since + timedelta(days=9)))
    clock.now = since + timedelta(days=10)
    look(service, api, clock)
    assert api.asked[0][1]["SubmissionDateStart"] < f"{since:%Y-%m-%dT%H:%M:%SZ}"


def test_what_an_older_version_has_sent_is_looked_for(
    service: Service, client: TestClient, api: Impact, clock: Clock
) -> None:
    """While replicas are upgraded one by one, the older ones leave no note that a result is to be found out."""
    names = export(service, "A")
    api.has(names[0], records=2)
    clock.now += HOUR
    look(service, api, clock)
    name = export(service, "B")[1]
    with service.database.transaction() as session:
        session.connection().execute(UNCONFIRMED.delete())
        follow_store.adopt(session)
    api.has(name, error(OrderId="B"), number="F-2", records=2)
    clock.now += HOUR
    look(service, api, clock)
    assert states(client, "A", "B") == ["accepted", "rejected"]
    with service.database.snapshot() as session:
        assert session.connection().execute(select(UNCONFIRMED)).all() == []


def test_nothing_is_concluded_of_a_file_while_it_is_sent(
    service: Service, client: TestClient, api: Impact, clock: Clock
) -> None:
    """A delivery under way is neither ended nor forgotten for what impact.com shows of the one before."""
    service.channels = {"folder": Scripted(OutcomeUnknown("No answer."))}
    [name] = export(service, "A")
    _due_again(service.database)
    claimed = deliver.claim(service.database, service.settings, clock.now)
    assert claimed
    clock.now += HOUR
    api.has(name, records=2)
    look(service, api, clock)
    assert states(client, "A") == ["unknown"]
    deliver.deliver(
        service.database,
        service.hold.journal,
        service.channels["folder"],
        service.settings,
        claimed,
        clock,
        service.stopping,
    )
    assert states(client, "A") == ["delivered"]
    look(service, api, clock)
    assert states(client, "A") == ["accepted"]


def test_a_duplicate_in_a_file_that_came_once_is_a_refusal(
    service: Service, client: TestClient, api: Impact, clock: Clock
) -> None:
    """Somebody else has registered the order, such as a tag: that is shown, and not taken for ours."""
    [name] = export(service, "A")
    api.has(name, error(OrderId="A", Reason="CONV_DUPLICATE"))
    clock.now += HOUR
    look(service, api, clock)
    assert states(client, "A") == ["rejected"]
    assert get(client, "/orders/A")["reasons"][0]["next_step"] == "do_not_resend"


def _due_again(database: Database) -> None:
    with database.transaction() as session:
        session.connection().execute(update(UNDELIVERED).values(due_at=NOW.replace(year=2020)))


# Calls ------------------------------------------------------------------------------------------------------------


def call(service: Service, order_id: str, state: str = "queued", **facts: Any) -> str:
    """Let an order have gone by a call, in the batch that it is in, and return its QueuedUri."""
    uri = f"/Advertisers/SID/APISubmissions/A-{order_id}"
    with service.database.transaction() as session:
        connection = session.connection()
        connection.execute(update(BATCH).values(channel="http_api"))
        rows = connection.execute(select(BATCH_LINE).order_by(BATCH_LINE.c.first_line)).all()
        line = rows[ord(order_id) - ord("A")]
        row = {"batch": line.batch, "revision_id": line.revision_id, "type": "Conversion", "state": state, "tries": 1}
        row |= {"was_unknown": False, "started_at": NOW, "uri": uri if state == "queued" else None}
        number = connection.execute(insert(CALL).returning(CALL.c.id), [row | facts]).scalar_one()
        connection.execute(insert(UNANSWERED), [{"call": number, "due_at": NOW, "looks": 0, "token": 0}])
    return uri


def complete(**facts: Any) -> dict[str, Any]:
    """Return a submission that impact.com is through with."""
    return {"BatchId": "A-1", "Type": "Conversion", "Status": "Complete", "ErrorType": "", "ErrorReason": ""} | facts


def test_complete_with_errors_is_no_success(service: Service, client: TestClient, api: Impact, clock: Clock) -> None:
    """The reference's example: Complete, and refused for two reasons. What was sent is not shown."""
    export(service, "A", "B")
    api.calls = {call(service, "A"): EXAMPLE, call(service, "B"): complete()}
    look(service, api, clock)
    assert states(client, "A", "B") == ["rejected", "accepted"]
    told = get(client, "/orders/A")
    assert [one["code"] for one in told["reasons"]] == ["CONTRACT_NOT_FOUND", "RESTRICTED_PROMOCODE"]
    [submission] = told["submissions"]
    assert submission["BatchId"] == EXAMPLE["BatchId"]
    assert (submission["ErrorType"], submission["ErrorReason"]) == (EXAMPLE["ErrorType"], EXAMPLE["ErrorReason"])
    assert (submission["OrderId"], submission["CampaignId"], submission["ActionTrackerId"]) == ("A", 1000, 4321)
    assert "Payload" not in submission
    assert get(client, "/batches")["items"][0]["state"] == "partly_rejected"
    with service.database.snapshot() as session:
        assert session.connection().execute(select(UNCONFIRMED)).all() == []


def test_a_call_is_asked_about_until_it_is_complete(
    service: Service, client: TestClient, api: Impact, clock: Clock
) -> None:
    """A status that nobody knows is kept, shown, and asked about again."""
    export(service, "A")
    uri = call(service, "A")
    for status in ("Queued", "In Progress", "Something New"):
        api.calls[uri] = complete(Status=status)
        look(service, api, clock)
        assert states(client, "A") == ["delivered"]
        [shown] = get(client, "/submissions", status=status)["items"]
        assert shown["Status"] == status
    api.calls[uri] = complete()
    look(service, api, clock)
    assert states(client, "A") == ["accepted"]
    assert len(get(client, "/submissions")["items"]) == 1


def test_a_submission_that_is_not_there_is_looked_for_again_and_then_said(
    service: Service, client: TestClient, api: Impact, clock: Clock
) -> None:
    """A 404 may be early; the second one is shown, and still looked after, until impact.com would have forgotten it."""
    export(service, "A")
    uri = call(service, "A")
    look(service, api, clock)
    assert get(client, "/submissions")["items"] == []
    look(service, api, clock)
    assert [one["Status"] for one in get(client, "/submissions")["items"]] == ["Not Found"]
    api.calls[uri] = complete()
    look(service, api, clock)
    assert states(client, "A") == ["accepted"]


REFUSALS = [
    ({"code": "API_REFUSED", "detail": "OrderId: OID_MISSING", "http_status": 400}, ["OID_MISSING"]),
    ({"code": "NO_ITEM OID_MISSING", "detail": None, "http_status": 400}, ["NO_ITEM", "OID_MISSING"]),
    ({"code": "API_REFUSED", "detail": "Bad.", "http_status": 402}, ["HTTP_402"]),
]


@pytest.mark.parametrize(("facts", "reasons"), REFUSALS)
def test_a_refused_call_is_rejected_at_once(
    service: Service, client: TestClient, api: Impact, clock: Clock, facts: Any, reasons: list[str]
) -> None:
    """What impact.com refused in its answer is a submission with its reasons, without a further question."""
    export(service, "A")
    call(service, "A", "refused", **facts)
    look(service, api, clock)
    assert (states(client, "A"), api.asked) == (["rejected"], [])
    assert [one["code"] for one in get(client, "/orders/A")["reasons"]] == reasons


def test_a_duplicate_after_an_unknown_call_is_our_own(
    service: Service, client: TestClient, api: Impact, clock: Clock
) -> None:
    """A call that may have been taken before is accepted when its second try finds it there, else rejected."""
    export(service, "A", "B")
    duplicate = complete(ErrorType="Validation", ErrorReason="CONV_DUPLICATE")
    api.calls = {call(service, "A", was_unknown=True): duplicate, call(service, "B"): duplicate}
    look(service, api, clock)
    assert states(client, "A", "B") == ["accepted", "rejected"]


# Trouble with the API ---------------------------------------------------------------------------------------------


def test_impact_is_left_alone_for_as_long_as_it_asks(service: Service, api: Impact, clock: Clock) -> None:
    """No storm: what its limit says is waited for, for everything, and then all goes on."""
    [name] = export(service, "A")
    api.has(name)
    api.fails = [ApiUnavailable("The budget is spent.", wait=timedelta(minutes=20))]
    clock.now += HOUR
    following = follower(service, api)
    make_due(service.database)
    assert not following.step(clock.now)
    make_due(service.database)
    clock.now += timedelta(minutes=19)
    assert (following.step(clock.now), len(api.asked)) == (False, 1)
    clock.now += timedelta(minutes=1)
    assert (following.step(clock.now), len(api.asked)) == (True, 2)


def test_a_refused_token_is_tried_three_times(service: Service, api: Impact, clock: Clock) -> None:
    """The account is not locked by tries: after three nothing is asked until the service begins anew."""
    [name] = export(service, "A")
    api.has(name)
    api.fails = [CredentialsRefused("The token is refused (HTTP 401).") for _ in range(4)]
    following = follower(service, api)
    for _ in range(6):
        clock.now += HOUR
        make_due(service.database)
        following.step(clock.now)
    assert len(api.asked) == 3
    api.fails = []
    look(service, api, clock)  # as after a restart
    assert len(api.asked) == 4
    with service.database.snapshot() as session:
        assert session.connection().execute(select(SUBMISSION.c.status)).scalar_one() == "Complete"


def test_two_replicas_do_not_ask_the_same(service: Service, api: Impact, clock: Clock) -> None:
    """Whoever asks has moved the next look on before; one who was overtaken records nothing."""
    export(service, "A", "B")
    api.calls = {call(service, "A"): complete(), call(service, "B"): complete()}
    make_due(service.database)
    first, second = follower(service, api), follower(service, api)
    assert first.step(clock.now)
    assert second.step(clock.now)
    assert len({uri for uri, _ in api.asked}) == len(api.asked) == 2


def test_lists_are_filtered_by_what_impact_says(
    service: Service, client: TestClient, api: Impact, clock: Clock
) -> None:
    """By status, type, reason, order and day; what matches nothing is an empty list."""
    [name] = export(service, order("A", items=1), order("B", items=1))
    api.has(name, error(3, OrderId="B"), SubmissionDate="2026-11-20T10:00:00-07:00")
    clock.now += HOUR
    look(service, api, clock)
    full = [{}, {"status": "Complete"}, {"type": "Conversion"}, {"reason": "CONTRACT_NOT_FOUND"}, {"order_id": "B"}]
    full += [{"from": "2026-11-20", "to": "2026-11-20"}, {"order_id": "A", "from": "2026-11-20", "status": "Complete"}]
    none = [{"status": "Queued"}, {"type": "Reversal"}, {"reason": "NO_ITEM"}, {"order_id": "C"}, {"to": "2026-11-19"}]
    for query in full:
        assert [one["FileName"] for one in get(client, "/submissions", **query)["items"]] == [name], query
    for query in none:
        assert get(client, "/submissions", **query) == {"items": [], "next": None}, query
    assert client.get("/submissions/99", headers=bearer(READ_KEY)).json()["code"] == "SUBMISSION_NOT_FOUND"


def test_the_worker_asks_where_there_is_an_account(service: Service, api: Impact) -> None:
    """A thread of its own, so that impact.com's silence delays no delivery; without an account there is none."""
    assert "follow_one" not in {thread.name for thread in Worker(service).threads}
    service.api = api  # type: ignore[assignment]
    assert "follow_one" in {thread.name for thread in Worker(service).threads}
    assert "follow_one" not in {thread.name for thread in Worker(service, works=False).threads}

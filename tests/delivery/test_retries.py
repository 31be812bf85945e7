"""What follows when a delivery does not succeed: once more, a person, or a channel that is used no more."""

import threading
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select, update

from app import worker
from app.batches.store import UNDELIVERED
from app.conversions.record import record
from app.database import Database
from app.delivery import deliver, heartbeat
from app.delivery.parcel import Parcel, Progress
from app.delivery.store import ATTEMPT
from app.errors import (
    ChannelRefused,
    ChannelUnavailable,
    CredentialsRefused,
    LeaseLost,
    OutcomeUnknown,
    ReceiverNotTrusted,
)
from app.event_type import EventType
from app.ledger.export_routes import request_export
from app.service import Service
from app.worker import Worker
from tests.servers import wait_until
from tests.support import EXPORT_KEY, NOW, ORDER_KEY, READ_KEY, bearer, order, work

AWAY = ChannelUnavailable("The receiver is away.")
REFUSED = ChannelRefused("The receiver does not take it.")
WRONG_PASSWORD = CredentialsRefused("The password is wrong.")
CHANGED_KEY = ReceiverNotTrusted("The host key is another one.")
NO_ANSWER = OutcomeUnknown("The receiver did not answer.")


class Scripted:
    """A receiver that does what it is told, one thing for each file, and then takes everything."""

    def __init__(self, *script: Exception | None, sees: bool | None = None) -> None:
        self.script = list(script)
        self.sees = sees
        self.sent: list[Parcel] = []
        self.asked = 0

    def send(self, parcel: Parcel, progress: Progress) -> None:
        """Take the file, or fail as the script says."""
        self.sent.append(parcel)
        progress(len(parcel.content))
        if self.script and (error := self.script.pop(0)):
            raise error

    def ask(self, _parcel: Parcel) -> bool | None:
        """Say what can be seen."""
        self.asked += 1
        return self.sees


@pytest.fixture
def receiver(service: Service) -> Scripted:
    """The service's receiver."""
    scripted = Scripted()
    service.channels = {"folder": scripted}
    return scripted


def export(service: Service, *order_ids: str, **changes: Any) -> None:
    """Record orders and let an export batch them, one to a file, and try to deliver them."""
    service.settings = service.settings.model_copy(update={"max_rows": 1} | changes)
    record(service.database, [order(one, items=1) for one in order_ids], NOW)
    request_export(service.database)
    work(service)


def work_when_due(service: Service, times: int = 1) -> None:
    """Let the time of the next try come, so many times."""
    for _ in range(times):
        with service.database.transaction() as session:
            session.connection().execute(update(UNDELIVERED).values(due_at=NOW - timedelta(days=1), leased_until=None))
        work(service)


def statuses(database: Database) -> list[list[str]]:
    """Return the statuses of the attempts of each batch."""
    found: dict[int, list[str]] = {}
    with database.snapshot() as session:
        for row in session.connection().execute(select(ATTEMPT).order_by(ATTEMPT.c.batch, ATTEMPT.c.number)):
            found.setdefault(row.batch, []).append(row.status)
    return list(found.values())


def batches(client: TestClient) -> list[dict[str, Any]]:
    """Return the batches as they are told, each with its attempts."""
    listed = client.get("/batches", headers=bearer(READ_KEY)).json()["items"]
    return [client.get(f"/batches/{one['id']}", headers=bearer(READ_KEY)).json() for one in listed]


def state_of(client: TestClient, order_id: str) -> str:
    """Return an order's state."""
    state: str = client.get(f"/orders/{order_id}", headers=bearer(ORDER_KEY)).json()["state"]
    return state


# Again, up to a limit ------------------------------------------------------------------------------------------------


def test_after_the_last_try_a_person_has_to_look(client: TestClient, service: Service, receiver: Scripted) -> None:
    """The limit is reached: the batch has failed, is tried no more by itself, and goes when a person says so."""
    receiver.script = [AWAY] * 3
    export(service, "A", delivery_tries=3)
    [told] = batches(client)
    assert (told["state"], told["next_attempt_at"] is not None) == ("sending", True)
    work_when_due(service, 5)
    [told] = batches(client)
    assert (told["state"], told["next_attempt_at"], len(receiver.sent)) == ("failed", None, 3)
    assert [one["code"] for one in told["attempts"]] == ["DELIVERY_FAILED"] * 3
    assert state_of(client, "A") == "batched"
    answer = client.post(f"/batches/{told['id']}/redelivery", headers=bearer(EXPORT_KEY))
    assert (answer.status_code, answer.json()["state"]) == (202, "sending")
    work(service)
    assert (batches(client)[0]["state"], state_of(client, "A")) == ("delivered", "delivered")
    assert len({(one.name, one.content) for one in receiver.sent}) == 1


def test_a_new_life_of_a_batch_has_all_its_tries(client: TestClient, service: Service, receiver: Scripted) -> None:
    """A person's redelivery begins to count anew."""
    receiver.script = [AWAY] * 3
    export(service, "A", delivery_tries=2)
    work_when_due(service)
    client.post(f"/batches/{batches(client)[0]['id']}/redelivery", headers=bearer(EXPORT_KEY))
    work(service)
    assert batches(client)[0]["state"] == "sending"
    work_when_due(service)
    assert batches(client)[0]["state"] == "delivered"


def test_a_refused_file_waits_for_a_person_and_holds_up_no_other(
    client: TestClient, service: Service, receiver: Scripted
) -> None:
    """Trying again would not help: it has failed at once; the next one goes."""
    receiver.script = [REFUSED]
    export(service, "A", "B", "C")
    assert [one["state"] for one in batches(client)] == ["failed", "delivered", "delivered"]
    work_when_due(service)
    assert len(receiver.sent) == 3


def test_the_steps_of_a_delivery_are_told(client: TestClient, service: Service, receiver: Scripted) -> None:
    """Number, channel, times, outcome, reason and bytes of every attempt."""
    receiver.script = [AWAY]
    export(service, "A")
    work_when_due(service)
    [told] = batches(client)
    first, second = told["attempts"]
    size = len(receiver.sent[0].content)
    assert (first["status"], first["detail"], first["sent_bytes"]) == ("failed", "The receiver is away.", size)
    assert (second["status"], second["detail"], second["channel"]) == ("delivered", None, "folder")
    assert told["pull_expected_by"] is not None


def test_a_channel_that_breaks_in_an_unforeseen_way_is_not_tried_for_ever(
    client: TestClient, service: Service, receiver: Scripted, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody knows how far it got: it counts as a try, and its text, which may hold a secret, is told to nobody."""
    receiver.script = [RuntimeError("the password is canary")] * 9
    export(service, "A", "B", delivery_tries=2)
    assert [one["state"] for one in batches(client)] == ["unknown", "unknown"]
    work_when_due(service, 3)
    assert len(receiver.sent) == 4
    told = batches(client)[0]
    assert (told["next_attempt_at"], "RuntimeError" in told["attempts"][0]["detail"]) == (None, True)
    [said, *_] = [one for one in caplog.records if one.message == "delivery.unexpected"]
    assert said.__dict__["place"].startswith("test_retries.py:")
    assert "canary" not in caplog.text + str(told)


def test_a_batch_that_kills_its_workers_is_left_alone_in_the_end(
    client: TestClient, service: Service, receiver: Scripted
) -> None:
    """Whoever took it died before that could be recorded, time and again: a person has to look."""
    record(service.database, [order("A", items=1)], NOW)
    request_export(service.database)
    service.settings = service.settings.model_copy(update={"delivery_tries": 2})
    worker.build_one(service)
    for _ in range(2):
        assert deliver.claim(service.database, service.settings, NOW)
        with service.database.transaction() as session:
            session.connection().execute(update(UNDELIVERED).values(leased_until=None))
    work(service)
    [told] = batches(client)
    assert (told["state"], told["next_attempt_at"], receiver.sent) == ("unknown", None, [])


# An outcome that is not known ----------------------------------------------------------------------------------------


def test_an_unknown_outcome_is_followed_by_the_same_bytes(
    client: TestClient, service: Service, receiver: Scripted
) -> None:
    """The receiver cannot be asked: the same name and bytes go again, and until then the order's state is unknown."""
    receiver.script = [NO_ANSWER, AWAY]
    export(service, "A")
    assert (batches(client)[0]["state"], state_of(client, "A")) == ("unknown", "unknown")
    listed = client.get("/orders", params={"state": "unknown"}, headers=bearer(ORDER_KEY)).json()["items"]
    assert [one["order_id"] for one in listed] == ["A"]
    work_when_due(service)
    assert batches(client)[0]["state"] == "unknown"  # that the second did not arrive says nothing of the first
    work_when_due(service)
    assert (batches(client)[0]["state"], state_of(client, "A")) == ("delivered", "delivered")
    assert len(receiver.sent) == 3
    assert len({(one.name, one.content) for one in receiver.sent}) == 1


def test_a_receiver_that_can_be_asked_is_asked(client: TestClient, service: Service, receiver: Scripted) -> None:
    """The file lies there whole: it is not sent again."""
    receiver.script, receiver.sees = [NO_ANSWER], True
    export(service, "A")
    work_when_due(service)
    assert (batches(client)[0]["state"], len(receiver.sent), receiver.asked) == ("delivered", 1, 1)


@pytest.mark.parametrize("sees", [None, False])
def test_hold_waits_for_a_person_unless_one_can_see(
    client: TestClient, service: Service, receiver: Scripted, sees: bool | None
) -> None:
    """With CAPTURE_UNKNOWN_OUTCOME=hold nothing that may have arrived is sent again; what surely has not is."""
    receiver.script, receiver.sees = [NO_ANSWER], sees
    export(service, "A", unknown_outcome="hold")
    work_when_due(service, 3)
    if sees is False:
        assert (batches(client)[0]["state"], len(receiver.sent)) == ("delivered", 2)
        return
    [told] = batches(client)
    assert (told["state"], told["next_attempt_at"], len(receiver.sent)) == ("unknown", None, 1)
    assert "confirm" in told["attempts"][-1]["detail"]


def test_a_person_can_confirm_that_a_file_arrived(client: TestClient, service: Service, receiver: Scripted) -> None:
    """It was seen in impact.com's File Submissions: delivered, and not sent again; once is enough."""
    receiver.script = [NO_ANSWER]
    export(service, "A", unknown_outcome="hold")
    work_when_due(service)
    path = f"/batches/{batches(client)[0]['id']}/confirmation"
    answer = client.post(path, headers=bearer(EXPORT_KEY))
    assert (answer.status_code, answer.json()["state"]) == (200, "delivered")
    assert answer.json()["attempts"][-1]["channel"] == "person"
    assert (state_of(client, "A"), len(receiver.sent)) == ("delivered", 1)
    again = client.post(path, headers=bearer(EXPORT_KEY))
    assert (again.status_code, again.json()["code"]) == (409, "ALREADY_DELIVERED")


def test_a_person_can_send_what_was_held_again(client: TestClient, service: Service, receiver: Scripted) -> None:
    """It was not seen at impact.com: the same bytes go once more, without asking again."""
    receiver.script = [NO_ANSWER]
    export(service, "A", unknown_outcome="hold")
    work_when_due(service)
    client.post(f"/batches/{batches(client)[0]['id']}/redelivery", headers=bearer(EXPORT_KEY))
    work(service)
    assert (batches(client)[0]["state"], len(receiver.sent)) == ("delivered", 2)


# A channel that is used no more --------------------------------------------------------------------------------------


def test_wrong_credentials_stop_after_three_tries(client: TestClient, service: Service, receiver: Scripted) -> None:
    """However many batches wait and however often cron fires: three logins, and the account is not locked."""
    receiver.script = [WRONG_PASSWORD] * 100
    export(service, "A", "B", "C", "D", "E")
    work_when_due(service, 3)
    export(service, "F")
    assert len(receiver.sent) == 3
    receiver.script = []
    work_when_due(service)
    assert len(receiver.sent) == 3
    client.post(f"/batches/{batches(client)[3]['id']}/redelivery", headers=bearer(EXPORT_KEY))
    work_when_due(service)
    assert {one["state"] for one in batches(client)} == {"delivered"}


def test_credentials_that_work_in_between_are_counted_from_there(
    client: TestClient, service: Service, receiver: Scripted
) -> None:
    """Only refusals in a row count."""
    receiver.script = [WRONG_PASSWORD, WRONG_PASSWORD, None, WRONG_PASSWORD, WRONG_PASSWORD]
    export(service, "A", "B", "C", "D", "E", "F")
    work_when_due(service)
    assert {one["state"] for one in batches(client)} == {"delivered"}


def test_a_receiver_that_is_not_trusted_is_left_alone_at_once(
    client: TestClient, service: Service, receiver: Scripted
) -> None:
    """Its host key changed: one try, no storm, and everything waits for a person."""
    receiver.script = [CHANGED_KEY] * 10
    export(service, "A", "B")
    work_when_due(service, 3)
    assert len(receiver.sent) == 1
    assert [one["state"] for one in batches(client)] == ["sending", "rendered"]


def test_another_channel_goes_on(client: TestClient, service: Service, receiver: Scripted) -> None:
    """The channel of one event type is stopped; files of the others leave by theirs."""
    other = EventType(campaign_id=1, action_tracker_id=2, channel="sftp")
    service.channels = {"folder": receiver, "sftp": (stopped := Scripted(CHANGED_KEY))}
    record(service.database, [order(one, items=1, event_type="other") for one in "AB"], NOW)
    export(service, "C", event_types={"other": other})
    assert [one.event_type for one in stopped.sent] == ["other"]
    assert [one.event_type for one in receiver.sent] == ["default"]
    assert sorted(one["state"] for one in batches(client)) == ["delivered", "rendered", "sending"]


def test_after_a_restart_a_stopped_channel_is_tried_once(service: Service, receiver: Scripted) -> None:
    """Whoever restarts may have corrected the password: one login, not three; a right one lets everything go."""
    receiver.script = [WRONG_PASSWORD] * 4
    export(service, "A", "B", "C", "D")
    assert len(receiver.sent) == 3
    worker.try_stopped_channels(service)
    work_when_due(service)
    assert len(receiver.sent) == 4
    worker.try_stopped_channels(service)
    work_when_due(service)
    assert len(receiver.sent) == 8


def test_a_starting_worker_gives_stopped_channels_their_try(service: Service, receiver: Scripted) -> None:
    """It needs nobody for that."""
    receiver.script = [WRONG_PASSWORD] * 3
    export(service, "A", "B", "C", "D")
    with service.database.transaction() as session:
        session.connection().execute(update(UNDELIVERED).values(due_at=NOW - timedelta(days=1)))
    started = Worker(service)
    started.start()
    wait_until(lambda: len(receiver.sent) == 7, "the batches do not go")
    started.stop(30)


# Leases --------------------------------------------------------------------------------------------------------------


class Slow:
    """A receiver that takes a file only when it is told to."""

    def __init__(self, until: Callable[[], bool]) -> None:
        self.until = until
        self.begun = threading.Event()
        self.refused: list[Exception] = []

    def send(self, parcel: Parcel, progress: Progress) -> None:
        """Take longer than a lease."""
        self.begun.set()
        try:
            wait_until(self.until, "nobody tells the receiver to go on")
            progress(len(parcel.content))
        except LeaseLost as lost:
            self.refused.append(lost)
            raise

    def ask(self, _parcel: Parcel) -> bool | None:
        """Be blind."""
        return None


def leases(database: Database) -> Sequence[datetime]:
    """Return until when deliveries are claimed."""
    with database.snapshot() as session:
        return session.connection().execute(select(UNDELIVERED.c.leased_until)).scalars().all()


def test_a_slow_delivery_keeps_its_claim(service: Service) -> None:
    """Its lease is renewed while the file is under way, so nobody else takes it over."""
    seen: set[datetime] = set()

    def renewed_often() -> bool:
        seen.update(leases(service.database))
        return len(seen) > 5

    service.channels = {"folder": Slow(renewed_often)}
    export(service, "A", lease_seconds=1)
    assert statuses(service.database) == [["delivered"]]
    assert deliver.claim(service.database, service.settings, NOW) is None


def test_a_sender_learns_in_the_middle_that_it_was_overtaken(service: Service) -> None:
    """Its lease is gone: it hands nothing more over, and what it says about the outcome does not count."""

    def take_away() -> bool:
        with service.database.transaction() as session:
            session.connection().execute(update(UNDELIVERED).values(token=UNDELIVERED.c.token + 1))
        return any(one.name == "heartbeat" for one in threading.enumerate()) is False

    slow = Slow(take_away)
    service.channels = {"folder": slow}
    with pytest.raises(LeaseLost):
        export(service, "A", lease_seconds=1)
    assert len(slow.refused) == 1
    assert statuses(service.database) == [["started"]]


def test_a_stop_in_the_middle_of_a_long_file_is_no_loss(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """SIGTERM gives a delivery some time, then it breaks off and is due again."""
    monkeypatch.setattr(heartbeat, "GRACE_SECONDS", 0.0)

    class Endless(Scripted):
        def send(self, parcel: Parcel, progress: Progress) -> None:
            service.stopping.set()
            progress(1)
            progress(2)
            super().send(parcel, progress)

    service.channels = {"folder": Endless()}
    export(service, "A")
    assert statuses(service.database) == [["failed"]]

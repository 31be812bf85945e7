"""Exports and batches over HTTP: triggered by cron, told truthfully, fetched byte for byte."""

import hashlib
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app import worker
from app.batches import exporter
from app.conversions.record import record
from app.delivery.parcel import Parcel, Progress
from app.errors import ReceiverNotTrusted
from app.main import create_app
from app.service import Service
from tests.servers import wait_until
from tests.support import EXPORT_KEY, NOW, READ_KEY, bearer, order, work

EXPORTING, READING = bearer(EXPORT_KEY), bearer(READ_KEY)


def trigger(client: TestClient, **query: int) -> Any:
    """Call as cron does."""
    return client.post("/exports", params=query, headers=EXPORTING)


def finished(client: TestClient, service: Service) -> dict[str, Any]:
    """Trigger an export, let the worker do it, and return what is told about it."""
    asked = trigger(client)
    work(service)
    told: dict[str, Any] = client.get(asked.headers["location"], headers=READING).json()
    return told


def test_an_export_is_told_from_the_trigger_to_its_end(client: TestClient, service: Service, outbox: Path) -> None:
    """202 and where to look; then what was sent, and what was not."""
    record(service.database, [order("A"), order("B", items=3), order("none", click_id=None)], NOW)
    asked = trigger(client)
    queued = asked.json()
    assert (asked.status_code, asked.headers["location"]) == (202, f"/exports/{queued['id']}")
    assert (queued["state"], queued["batches"], queued["ended_at"]) == ("queued", [], None)
    work(service)
    done = client.get(asked.headers["location"], headers=READING).json()
    assert {name: done[name] for name in ("id", "state", "exported", "held", "expired", "failure")} == {
        "id": queued["id"],
        "state": "done",
        "exported": 2,
        "held": 1,
        "expired": 0,
        "failure": None,
    }
    [batch] = done["batches"]
    assert (batch["kind"], batch["event_type"], batch["state"]) == ("conversions", "default", "delivered")
    assert (batch["rows"], batch["orders"]) == (5, 2)
    file = outbox / batch["filename"]
    assert hashlib.sha256(file.read_bytes()).hexdigest() == batch["sha256"]


def test_an_export_names_what_it_left_out(client: TestClient, service: Service) -> None:
    """Each order with the reason and what to do, in the order of recording; whoever waits gets the same answer."""
    old = order("old", age=timedelta(days=100))
    left = [order("a/b", click_id=None), old, order("A"), order("S", event_type="gone")]
    record(service.database, [*left, order("older", age=timedelta(days=400))], NOW)
    done = finished(client, service)
    assert (done["exported"], done["held"], done["expired"], done["left_out_more"]) == (1, 2, 2, [])
    named = {one["order_id"]: one for one in done["left_out"]}
    assert list(named) == ["a/b", "old", "S", "older"]
    assert {name: (one["event_type"], one["state"], one["reason"]) for name, one in named.items()} == {
        "a/b": ("default", "held", "no_attribution"),
        "old": ("default", "expired", "too_old"),
        "S": ("gone", "held", "unknown_event_type"),
        "older": ("default", "expired", "too_old"),
    }
    assert "PUT /orders/a%2Fb/attribution" in named["a/b"]["detail"]
    assert "PUT /orders/old/attribution" in named["old"]["detail"]
    assert "attribution" not in named["older"]["detail"]
    again = finished(client, service)
    assert [one["order_id"] for one in again["left_out"]] == ["S"]


def test_an_export_names_a_hundred_and_says_where_the_others_are(client: TestClient, service: Service) -> None:
    """A backend that forgot the click on a thousand orders does not get them all in each answer."""
    record(service.database, [order(f"N-{number}", click_id=None) for number in range(101)], NOW)
    done = finished(client, service)
    assert [one["order_id"] for one in done["left_out"]] == [f"N-{number}" for number in range(100)]
    assert done["left_out_more"] == ["/orders?state=held", "/orders?state=expired"]
    everything = done["left_out_more"][0]
    listed = client.get(everything, headers=READING).json()
    rest = client.get(f"{everything}&after={listed['next']}", headers=READING).json()
    assert [one["order_id"] for one in (*listed["items"], *rest["items"])] == [f"N-{number}" for number in range(101)]


def test_a_second_trigger_finds_the_first_export(client: TestClient, service: Service) -> None:
    """Cron that fires twice, or a hundred callers at once, start one export."""
    record(service.database, [order()], NOW)
    first = trigger(client).json()
    with ThreadPoolExecutor(8) as pool:
        answers = [one.result() for one in [pool.submit(trigger, client) for _ in range(40)]]
    assert {(one.status_code, one.json()["id"]) for one in answers} == {(202, first["id"])}
    assert finished(client, service)["id"] == first["id"]
    assert trigger(client).json()["id"] != first["id"]


def test_who_waits_gets_the_result(service: Service) -> None:
    """`?wait=` answers 200 as soon as the files are made and were tried; without work to do, at once."""
    record(service.database, [order()], NOW)
    with TestClient(create_app(service)) as client:
        answer = trigger(client, wait=60)
        done = answer.json()
        assert (answer.status_code, done["state"], done["exported"]) == (200, "done", 1)
        assert done["batches"][0]["state"] == "delivered"
        assert trigger(client, wait=60).json()["exported"] == 0


def test_who_waits_in_vain_learns_how_it_stands(client: TestClient) -> None:
    """Without a worker the time runs out, and 202 says that the export is queued."""
    began = time.monotonic()
    answer = trigger(client, wait=1)
    assert (answer.status_code, answer.json()["state"]) == (202, "queued")
    assert 1 <= time.monotonic() - began < 30


@pytest.mark.parametrize("wait", ["-1", "61", "soon", "1.5", ""])
def test_nobody_waits_for_ever(client: TestClient, wait: str) -> None:
    """A minute at most."""
    answer = client.post(f"/exports?wait={wait}", headers=EXPORTING)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/query/wait")


def test_a_receiver_s_trouble_does_not_delay_the_export(client: TestClient, service: Service, outbox: Path) -> None:
    """It is done when its files are made and queued; what the delivery comes to is told by the batch."""
    outbox.write_text("no folder")
    record(service.database, [order()], NOW)
    done = finished(client, service)
    assert (done["state"], done["exported"], done["batches"][0]["state"]) == ("done", 1, "sending")
    record(service.database, [order("next")], NOW)
    assert finished(client, service)["exported"] == 1


def test_an_order_tells_its_batch_and_its_lines(client: TestClient, service: Service) -> None:
    """Support finds the very lines of an order in the file."""
    record(service.database, [order("A", items=2), order("B", items=2)], NOW)
    [batch] = finished(client, service)["batches"]
    shown = client.get("/orders/B", headers=READING).json()
    assert shown["batch"] == {"id": batch["id"], "filename": batch["filename"], "first_line": 4}
    lines = client.get(f"/batches/{batch['id']}/file", headers=READING).content.split(b"\r\n")
    for item in shown["items"]:
        assert f",B,click-1,,USD,10.00,Tools,{item['sku']},1".encode() in lines[item["line"] - 1]


def test_the_file_is_fetched_byte_for_byte(client: TestClient, service: Service, outbox: Path) -> None:
    """As a download with its name, and never shown by a browser as something else."""
    record(service.database, [order()], NOW)
    [batch] = finished(client, service)["batches"]
    answer = client.get(f"/batches/{batch['id']}/file", headers=READING)
    assert answer.content == (outbox / batch["filename"]).read_bytes()
    assert answer.headers["content-type"].startswith("text/csv")
    assert answer.headers["content-disposition"] == f'attachment; filename="{batch["filename"]}"'
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_batches_are_listed_in_the_order_of_their_creation(client: TestClient, service: Service) -> None:
    """A hundred to a page, each once."""
    service.settings = service.settings.model_copy(update={"max_rows": 1})
    record(service.database, [order(f"A-{number}", items=1) for number in range(105)], NOW)
    asked, claimed = trigger(client), exporter.claim(service.database, service.settings)
    assert claimed
    exporter.run(service.database, service.settings, claimed, service.clock)
    made = [one["id"] for one in client.get(asked.headers["location"], headers=READING).json()["batches"]]
    listed, after = [], "0"
    sizes = []
    while after:
        page = client.get("/batches", params={"after": after}, headers=READING).json()
        listed += [one["id"] for one in page["items"]]
        sizes.append(len(page["items"]))
        after = page["next"]
    assert (listed, sizes) == (made, [100, 5])


@pytest.mark.parametrize("export_id", ["0", "2", "-1", "abc", "٣", "9" * 19, "9" * 400, "1.0", "%00", "1%20"])
def test_an_unknown_export_is_not_found(client: TestClient, export_id: str) -> None:
    """Whatever stands in the path."""
    trigger(client)
    answer = client.get(f"/exports/{export_id}", headers=READING)
    assert (answer.status_code, answer.json()["code"]) == (404, "EXPORT_NOT_FOUND")


@pytest.mark.parametrize("batch_id", ["0", "abc", "%F0%9F%98%80", "x" * 400, "%27"])
@pytest.mark.parametrize("path", ["", "/file", "/redelivery"])
def test_an_unknown_batch_is_not_found(client: TestClient, batch_id: str, path: str) -> None:
    """Nor is its file, nor can it be sent again."""
    method = "POST" if path == "/redelivery" else "GET"
    answer = client.request(method, f"/batches/{batch_id}{path}", headers=EXPORTING)
    assert (answer.status_code, answer.json()["code"]) == (404, "BATCH_NOT_FOUND")


@pytest.mark.parametrize("path", ["/batches/%00", "/batches/%00/file", "/orders/A?event_type=%00", "/exports/%00"])
def test_an_id_that_no_database_can_hold_is_not_found(client: TestClient, path: str) -> None:
    """NUL in a path is no fault of the database."""
    assert client.get(path, headers=READING).status_code == 404


def test_two_workers_share_the_work(service: Service, outbox: Path) -> None:
    """Any number may run: every order is in one file, every file is delivered."""
    service.settings = service.settings.model_copy(update={"max_rows": 5})
    service.clock = lambda: datetime.now(UTC)
    record(service.database, [order(f"A-{number}", items=1) for number in range(100)], NOW)
    workers = [worker.Worker(service) for _ in range(3)]
    with TestClient(create_app(service, with_worker=False)) as client:
        for one in workers:
            one.start()
        done = trigger(client, wait=60).json()
        assert (done["state"], done["exported"], len(done["batches"])) == ("done", 100, 20)
        deadline = threading.Event()
        while any(one["state"] != "delivered" for one in client.get("/batches", headers=READING).json()["items"]):
            assert not deadline.wait(0.05)
        service.stopping.set()
        for one in workers:
            one.stop(30)
    lines = [line for file in outbox.iterdir() for line in file.read_text("utf-8").splitlines()[1:]]
    assert sorted(line.split(",")[3] for line in lines) == sorted(f"A-{number}" for number in range(100))


class Hanging:
    """A receiver that takes its first file only when it is let go on."""

    def __init__(self) -> None:
        self.has_begun, self.may_go_on = threading.Event(), threading.Event()

    def send(self, parcel: Parcel, progress: Progress) -> None:
        """Hang for as long as it is told to."""
        self.has_begun.set()
        while not self.may_go_on.wait(0.05):
            progress(0)
        progress(len(parcel.content))

    def ask(self, _parcel: Parcel) -> None:
        """Be blind."""
        return


def test_an_export_waits_for_no_delivery(service: Service) -> None:
    """While a file hangs halfway to its receiver, the next export is made and done."""
    service.channels, service.clock = {"folder": (hanging := Hanging())}, lambda: datetime.now(UTC)
    one = worker.Worker(service)
    with TestClient(create_app(service, with_worker=False)) as client:
        one.start()
        record(service.database, [order("first")], NOW)
        trigger(client)
        service.bell.ring()
        assert hanging.has_begun.wait(60)
        record(service.database, [order("second")], NOW)
        asked = trigger(client).headers["location"]
        service.bell.ring()
        wait_until(lambda: client.get(asked, headers=READING).json()["state"] == "done", "the export waits")
        assert client.get(asked, headers=READING).json()["exported"] == 1
        hanging.may_go_on.set()
        one.stop(30)


def test_who_waits_for_a_stopped_channel_is_not_kept(service: Service) -> None:
    """Nothing leaves by it until a person has looked: cron gets its answer at once, with how the batch stands."""

    class Untrusted(Hanging):
        def send(self, _parcel: Parcel, _progress: Progress) -> None:
            raise ReceiverNotTrusted("The host key is another one.")

    service.channels, service.clock = {"folder": Untrusted()}, lambda: datetime.now(UTC)
    with TestClient(create_app(service)) as client:
        for order_id, state in (("first", "sending"), ("second", "rendered")):
            record(service.database, [order(order_id)], NOW)
            done = trigger(client, wait=60)
            assert (done.status_code, done.json()["batches"][0]["state"]) == (200, state)

"""The whole service is killed under load, with orders coming in and exports running, and started again."""

import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import httpx
import pytest

from tests.conftest import driver
from tests.crash import shop as shops
from tests.crash.oracle import Acknowledgements, Body
from tests.crash.shop import SECONDS, Shop
from tests.servers import HOST, Postgres, free_port, wait_until
from tests.support import EXPORT_KEY, ORDER_KEY, bearer

CHECKOUTS = 8
ENOUGH = 200
FIRST = 100  # from here on every order of the shop's day fits into a file


class Load:
    """Checkouts that post order after order, note what was acknowledged, and stop when nobody answers."""

    def __init__(self, client: httpx.Client, acknowledgements: Acknowledgements) -> None:
        self.client = client
        self.acknowledgements = acknowledgements
        self.acknowledged: list[Body] = []
        self.unanswered: list[Body] = []
        self.unexpected: list[str] = []
        self.threads = [threading.Thread(target=self._run, args=(one,)) for one in range(CHECKOUTS)]

    def _run(self, checkout: int) -> None:
        now = datetime.now(UTC)
        for number in count(FIRST + checkout, CHECKOUTS):
            body = shops.order(number, now)
            try:
                answer = self.client.post("/orders", json=body, headers=bearer(ORDER_KEY))
                if number % 30 == 0:
                    self.client.post("/exports", headers=bearer(EXPORT_KEY)).raise_for_status()
            except httpx.TransportError:
                self.unanswered.append(body)
                return
            if answer.status_code == 201:
                self.acknowledgements.add([body])
                self.acknowledged.append(body)
            else:
                self.unexpected.append(answer.text)

    def start(self) -> None:
        for thread in self.threads:
            thread.start()

    def join(self) -> None:
        for thread in self.threads:
            thread.join()


@contextmanager
def serving(shop: Shop, port: int) -> Iterator["subprocess.Popen[str]"]:
    """Start the service, with its worker, as the merchant does."""
    arguments = ("app", "serve", "--host", HOST, "--port", str(port))
    with shop.process(*arguments) as process:
        wait_until(lambda: process.poll() is not None or _answers(port), "the service does not answer")
        # What it logs is read, so that it does not wait for a full pipe.
        reader = threading.Thread(target=lambda: process.stderr and process.stderr.read(), daemon=True)
        reader.start()
        yield process
        process.kill()
        reader.join()


def _answers(port: int) -> bool:
    try:
        socket.create_connection((HOST, port)).close()
    except ConnectionRefusedError:
        return False
    return True


def export_all(client: httpx.Client) -> None:
    """Trigger exports until one that began after the last order is done and delivered."""
    for _ in range(2):  # the first call may meet the export that the kill interrupted
        end = time.monotonic() + SECONDS
        while client.post("/exports", params={"wait": 20}, headers=bearer(EXPORT_KEY)).status_code != 200:
            assert time.monotonic() < end, "an export does not end"


@pytest.fixture(params=["sqlite", "postgres"])
def empty_shop(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shop]:
    """A shop that has sold nothing yet, once on SQLite and once on PostgreSQL."""

    def new(url: str) -> Shop:
        acknowledgements, event_types = Acknowledgements(tmp_path / "acknowledged"), tmp_path / "event-types.toml"
        shop = Shop(url, tmp_path / "outbox", acknowledgements, event_types, max_rows=50)
        shop.migrate()
        shop.write_event_types()
        return shop

    if request.param == "sqlite":
        yield new(f"sqlite:///{tmp_path / 'shop.db'}")
        return
    server: Postgres = request.getfixturevalue("postgres")
    with server.new_database() as url:
        yield new(driver(url))


def test_what_a_killed_service_acknowledged_is_there_exactly_once(empty_shop: Shop) -> None:
    """Eight checkouts post while exports run; after the kill each posts all of its orders again, answered or not."""
    shop, port = empty_shop, free_port()
    with httpx.Client(base_url=f"http://{HOST}:{port}", timeout=SECONDS) as client:
        load = Load(client, shop.acknowledgements)
        with serving(shop, port) as process:
            load.start()
            wait_until(lambda: len(load.acknowledged) >= ENOUGH and shop.outbox.is_dir(), "the service takes no orders")
            process.send_signal(signal.SIGKILL)
            load.join()
        acknowledged = shop.acknowledgements.read()
        assert load.unexpected == []
        assert len(acknowledged) == len(load.acknowledged)
        assert shop.faults(at_rest=False, unanswered=load.unanswered) == []

        with serving(shop, port) as process:
            assert repeat(client, acknowledged) == {200}
            assert repeat(client, load.unanswered) <= {200, 201}
            assert repeat(client, load.unanswered) <= {200}
            shop.acknowledgements.add(load.unanswered)
            export_all(client)
            process.send_signal(signal.SIGTERM)
            assert process.wait(SECONDS) == 0
    assert shop.faults(at_rest=True, filled=False) == []


def repeat(client: httpx.Client, bodies: list[Body]) -> set[int]:
    """Post orders again and return how they were answered."""
    answers = [client.post("/orders", json=body, headers=bearer(ORDER_KEY)) for body in bodies]
    assert all("Idempotent-Replayed" in answer.headers for answer in answers if answer.status_code == 200)
    return {answer.status_code for answer in answers}


def test_the_worker_command_goes_on_where_a_killed_one_stopped(new_shop: Callable[[str], Shop]) -> None:
    """`conversion-capture worker` takes the export up within 20 seconds of its start, and ends with 0 on SIGTERM."""
    shop = new_shop("sqlite")
    assert shop.run("SIGKILL", "batch.committed", "2") == -signal.SIGKILL
    began = time.monotonic()
    with shop.process("app", "worker", lease_seconds=15) as process:
        wait_until(lambda: shop.facts().open_work == 0, "the worker does not go on")
        assert time.monotonic() - began < 20
        process.send_signal(signal.SIGTERM)
        assert process.wait(SECONDS) == 0
    assert shop.faults(at_rest=True) == []

"""Several processes of one service, checkouts that post to them through a balancer, and what became of their orders."""

import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Final, Self

import httpx

from tests.conftest import driver
from tests.crash import shop as shops
from tests.crash.oracle import Acknowledgements, Body
from tests.crash.shop import SECONDS, Shop
from tests.crash.test_serve import FIRST
from tests.servers import HOST, Postgres, wait_until
from tests.support import EXPORT_KEY, ORDER_KEY, bearer

CHECKOUTS: Final = 8
PROBE_SECONDS: Final = 0.1
TLS: Final = httpx.create_ssl_context()  # made once, since making it takes longer than a call


def new_shop(url: str, folder: Path, max_rows: int = 50) -> Shop:
    """Return a shop that has sold nothing yet, on an empty database."""
    acknowledgements, event_types = Acknowledgements(folder / "acknowledged"), folder / "event-types.toml"
    shop = Shop(url, folder / "outbox", acknowledgements, event_types, max_rows=max_rows)
    shop.migrate()
    shop.write_event_types()
    return shop


@contextmanager
def shop_on_postgres(server: Postgres, folder: Path) -> Iterator[Shop]:
    """Give a shop on a database of its own."""
    with server.new_database() as url:
        yield new_shop(driver(url), folder)


@contextmanager
def replicas(shop: Shop, ports: Sequence[int], **changes: object) -> Iterator[list["subprocess.Popen[str]"]]:
    """Serve the shop from several processes, each with its worker, with changes to the settings."""
    with ExitStack() as stack:
        arguments = ("app", "serve", "--host", HOST, "--port")
        processes = [stack.enter_context(shop.process(*arguments, str(port), **changes)) for port in ports]
        logs = [_read(process) for process in processes]
        for process, port, log in zip(processes, ports, logs, strict=True):
            wait_until(lambda: process.poll() is not None or is_ready(port), "a replica does not answer")  # noqa: B023
            assert process.poll() is None, "".join(log)
        yield processes


def _read(process: "subprocess.Popen[str]") -> list[str]:
    """Read what a process logs, so that it does not wait for a full pipe; return the list that the lines go into."""
    lines: list[str] = []
    threading.Thread(target=lambda: lines.extend(process.stderr or ()), daemon=True).start()
    return lines


def client(port: int) -> httpx.Client:
    """Return a connection to a replica."""
    return httpx.Client(base_url=f"http://{HOST}:{port}", timeout=SECONDS, verify=TLS, trust_env=False)


class Balancer:
    """Knows which replicas are ready, by asking them as a balancer does."""

    def __init__(self, ports: Sequence[int]) -> None:
        self.ports = ports
        self.ready = list(ports)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._probe, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _probe(self) -> None:
        while not self._ended.wait(PROBE_SECONDS):
            self.ready = [port for port in self.ports if is_ready(port)]


def is_ready(port: int) -> bool:
    """Say whether a replica takes part."""
    try:
        return httpx.get(f"http://{HOST}:{port}/readyz", timeout=SECONDS, verify=TLS, trust_env=False).is_success
    except httpx.TransportError:
        return False


class Checkouts:
    """Eight checkouts that post order after order through the balancer, and note what they were answered.

    An order goes to the next replica if a connection is refused; nothing else is tried a second time, unless
    `patient`: then an order that got no answer, or 503, is posted again until it is acknowledged.
    """

    def __init__(self, balancer: Balancer, acknowledgements: Acknowledgements, *, patient: bool = False) -> None:
        self.balancer, self.acknowledgements, self.patient = balancer, acknowledgements, patient
        self.acknowledged: list[Body] = []
        self.failed: list[tuple[Body, str]] = []
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(one,)) for one in range(CHECKOUTS)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _run(self, checkout: int) -> None:
        now = datetime.now(UTC)
        with ExitStack() as stack:
            clients = {port: stack.enter_context(client(port)) for port in self.balancer.ports}
            for number in count(FIRST + checkout, CHECKOUTS):
                if self._ended.is_set():
                    return
                body = shops.order(number, now)
                answer = self._post(clients, number, body)
                while self.patient and answer not in {"200", "201"}:
                    time.sleep(0.05)  # a shop comes back later
                    answer = self._post(clients, number, body)
                if answer in {"200", "201"}:
                    self.acknowledgements.add([body])
                    self.acknowledged.append(body)
                else:
                    self.failed.append((body, answer))

    def _post(self, clients: dict[int, httpx.Client], number: int, body: Body) -> str:
        """Post an order, and now and then ask for an export; return the status, or what went wrong."""
        while True:
            ports = self.balancer.ready or self.balancer.ports
            there = clients[ports[number % len(ports)]]
            try:
                if number % 60 == 0:
                    there.post("/exports", headers=bearer(EXPORT_KEY))
                return str(there.post("/orders", json=body, headers=bearer(ORDER_KEY)).status_code)
            except httpx.ConnectError as refused:
                if self.patient:
                    return repr(refused)
                number += 1
                time.sleep(0.01)
            except httpx.TransportError as error:
                return repr(error)


def export_all(connection: httpx.Client) -> None:
    """Trigger exports until one that began after the last order is done and its files were tried."""
    for _ in range(2):  # the first call may meet an export that began before
        end = time.monotonic() + SECONDS
        while connection.post("/exports", params={"wait": 20}, headers=bearer(EXPORT_KEY)).status_code != 200:
            assert time.monotonic() < end, "an export does not end"


def at_once(calls: Sequence[Callable[[], httpx.Response]]) -> list[httpx.Response]:
    """Make calls from as many threads, all beginning at the same moment, and return their answers."""
    answers: list[httpx.Response] = []
    barrier = threading.Barrier(len(calls))

    def run(call: Callable[[], httpx.Response]) -> None:
        barrier.wait(SECONDS)
        answers.append(call())

    threads = [threading.Thread(target=run, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers

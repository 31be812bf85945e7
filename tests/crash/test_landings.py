"""Visitors land while the database stops, hangs and dies and the service is killed: no cookie and no click is lost."""

import json
import queue
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from app.clicks.spool import Spool
from app.clicks.store import NewClick, Note, note_to_json
from app.database import Database
from app.errors import Unavailable
from app.migrations import migrate
from app.security import hash_of
from tests.conftest import driver
from tests.crash import replaying
from tests.crash.shop import PROCESSES
from tests.servers import HOST, Postgres, free_port, wait_until
from tests.support import NOW, ORDER_KEY, bearer, body

ROOT = Path(__file__).parent.parent.parent
LANDINGS, BROWSERS = 1_000, 8
WITHDRAWS = 10  # every so many-th visitor withdraws consent right after landing
BOUND = 30.0  # seconds; thousandths are usual, but the machine may be busy, and what hangs here hangs for ever
TLS = httpx.create_ssl_context()  # made once, since making it takes longer than a call


@dataclass
class Served:
    """The service as a process of its own, on PostgreSQL, which can be killed and started again."""

    url: str
    folder: Path
    port: int = field(default_factory=free_port)
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def pid(self) -> int:
        """Its process."""
        assert self.process
        return self.process.pid

    @property
    def base(self) -> str:
        return f"http://{HOST}:{self.port}"

    def start(self) -> None:
        """Start it, and return when it answers."""
        environment = {
            "PYTHONPATH": str(ROOT),
            "CAPTURE_DATABASE_URL": self.url,
            "CAPTURE_CAMPAIGN_ID": "1000",
            "CAPTURE_ACTION_TRACKER_ID": "4321",
            "CAPTURE_ORDER_KEYS": f"sha256:{hash_of(ORDER_KEY)}",
            "CAPTURE_SPOOL_PATH": str(self.folder / "spool"),
        }
        command = [sys.executable, "-m", "app", "serve", "--host", HOST, "--port", str(self.port), "--no-worker"]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(command, cwd=self.folder, env=environment, stderr=log)
        wait_until(self.answers, "the service does not answer")

    def answers(self) -> bool:
        """Say whether it lives."""
        with suppress(httpx.TransportError):
            return httpx.get(f"{self.base}/livez", timeout=5).is_success
        return False

    def end(self, number: signal.Signals) -> int:
        """Send it a signal and return its exit status."""
        assert self.process
        self.process.send_signal(number)
        return self.process.wait(60)

    def log(self) -> list[dict[str, Any]]:
        """Return what it logged."""
        return [json.loads(line) for line in (self.folder / "log").read_text("utf-8").splitlines()]


@pytest.fixture(scope="module")
def mortal() -> Iterator[Postgres]:
    """A PostgreSQL server for tests that stop it."""
    with Postgres() as server:
        yield server


@pytest.fixture
def served(mortal: Postgres, tmp_path: Path) -> Iterator[Served]:
    """The service, on an empty database of its own."""
    with mortal.new_database() as url:
        database = Database(driver(url))
        migrate(database)
        database.close()
        service = Served(url, tmp_path)
        service.start()
        try:
            yield service
        finally:
            if service.process and service.process.poll() is None:
                service.process.kill()
                service.process.wait()


class Day:
    """Browsers that land, one landing after the other, and try again what was not answered."""

    def __init__(self, served: Served) -> None:
        self.served = served
        self.answered = 0
        self.slowest = 0.0
        self.faults: list[str] = []
        self.unanswered = 0
        self._numbers: queue.SimpleQueue[int] = queue.SimpleQueue()
        for number in range(LANDINGS):
            self._numbers.put(number)
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._browse) for _ in range(BROWSERS)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        for thread in self._threads:
            thread.join()

    def reaches(self, number: int) -> None:
        """Wait until so many landings are answered."""
        wait_until(lambda: self.answered >= number or bool(self.faults), "landings are not answered")

    def _browse(self) -> None:
        with httpx.Client(base_url=self.served.base, timeout=10, trust_env=False) as client:
            while not self.faults:
                try:
                    number = self._numbers.get_nowait()
                except queue.Empty:
                    return
                landing = self._land(lambda n=number: client.get(f"/capture?im_ref=L-{n}"))  # type: ignore[misc]
                if f"im_ref=L-{number};" not in landing.headers["set-cookie"]:
                    self.faults.append(landing.text)
                if number % WITHDRAWS == 0:
                    self._land(lambda n=number: client.get(f"/capture?im_ref=L-{n}&consent=denied"))  # type: ignore[misc]
                client.cookies.clear()
                with self._lock:
                    self.answered += 1

    def _land(self, call: Callable[[], httpx.Response]) -> httpx.Response:
        while True:
            began = time.monotonic()
            try:
                answer = call()
            except httpx.TransportError:
                self.unanswered += 1
                time.sleep(0.02)  # the service is being started again
                continue
            self.slowest = max(self.slowest, time.monotonic() - began)
            if answer.status_code != 204:
                self.faults.append(f"{answer.status_code} {answer.text}")
            return answer


def clicks(url: str) -> list[str]:
    """Return the ids of all clicks on record."""
    database = Database(driver(url))
    with database.snapshot() as session:
        found = [row[0] for row in session.connection().exec_driver_sql("SELECT click_id FROM click")]
    database.close()
    return found


def test_a_thousand_landings_survive_a_database_that_hangs_and_dies_and_a_service_that_is_killed(
    mortal: Postgres, served: Served
) -> None:
    """1,000 cookies at once; after recovery 1,000 clicks, but for those whose visitors withdrew; none comes back."""
    day = Day(served)
    day.start()
    day.reaches(100)
    with mortal.frozen():
        day.reaches(250)
    day.reaches(350)
    mortal.kill()
    day.reaches(500)
    order = httpx.post(f"{served.base}/orders", json=body(), headers=bearer(ORDER_KEY), timeout=10)
    assert (order.status_code, order.headers.get("retry-after")) == (503, "5")
    ready = httpx.get(f"{served.base}/readyz", timeout=10)
    assert (ready.status_code, ready.json()["database"], ready.json()["spool"]["state"]) == (200, "away", "waiting")
    assert served.end(signal.SIGKILL) == -signal.SIGKILL
    served.start()
    day.reaches(700)
    mortal.start()
    day.join()
    assert day.faults == []
    assert day.slowest < BOUND
    expected = {f"L-{number}" for number in range(LANDINGS) if number % WITHDRAWS}
    wait_until(lambda: len(clicks(served.url)) == len(expected) and spool_is_empty(served), "the spool is not replayed")
    assert set(clicks(served.url)) == expected
    assert served.end(signal.SIGTERM) == 0
    assert not any("L-" in json.dumps(line) for line in served.log())


def spool_is_empty(served: Served) -> bool:
    """Say whether nothing waits any more, neither by the service's own account nor on the disk."""
    told = httpx.get(f"{served.base}/readyz", timeout=10).json()["spool"]
    return told["state"] == "empty" and not list((served.folder / "spool").iterdir())


def test_captures_and_probes_answer_while_orders_hold_every_thread(mortal: Postgres, served: Served) -> None:
    """A frozen database holds 60 orders, more than there are threads; landings, health and numbers do not mind."""
    thawed, answers = threading.Event(), [post(served, 0)]

    def check_out(number: int) -> None:
        while not thawed.is_set():
            answers.append(post(served, number))

    checkouts = [threading.Thread(target=check_out, args=(number,)) for number in range(1, 61)]
    with mortal.frozen():
        for checkout in checkouts:
            checkout.start()
        wait_until(lambda: len(psutil.Process(served.pid).net_connections()) > len(checkouts), "orders do not arrive")
        for number in range(20):
            assert timed(served, f"/capture?im_ref=L-{number}").status_code == 204
        assert timed(served, "/capture?im_ref=%20").status_code == 400
        assert timed(served, "/livez").status_code == 200
        assert timed(served, "/metrics").status_code == 200
        ready = timed(served, "/readyz")
        assert (ready.status_code, ready.json()["database"], ready.json()["spool"]["clicks"]) == (200, "away", 20)
        assert timed(served, "/readyz/orders").status_code == 503
        assert answers.count(201) == 1
        thawed.set()
    for checkout in checkouts:
        checkout.join()
    assert set(answers) <= {201, 503}
    wait_until(lambda: len(clicks(served.url)) == 20 and spool_is_empty(served), "the spool is not replayed")
    assert served.end(signal.SIGTERM) == 0


def post(served: Served, number: int) -> int:
    """Post an order and return the status of the answer, however long it takes."""
    sent = body(f"A-{number}")
    return httpx.post(f"{served.base}/orders", json=sent, headers=bearer(ORDER_KEY), timeout=60, verify=TLS).status_code


def timed(served: Served, path: str) -> httpx.Response:
    """Call the service, which must answer within the bound."""
    began = time.monotonic()
    answer = httpx.get(f"{served.base}{path}", timeout=60, verify=TLS)
    assert time.monotonic() - began < BOUND, path
    return answer


def test_a_replay_killed_anywhere_writes_every_note_once(sqlite_url: str, tmp_path: Path) -> None:
    """Twenty processes replay one spool and are killed at some moment each; no row that was there once comes back."""
    fill(tmp_path / "spool", 5_000)
    database, chance = Database(sqlite_url), random.Random(7)
    seen: list[str] = []
    for _ in range(20):
        victim = PROCESSES.Process(target=replaying.run, args=(sqlite_url, tmp_path / "spool"))
        victim.start()
        before, some = len(seen), chance.randrange(1, 300)
        wait_until(lambda: not victim.is_alive() or taken(database, seen) >= before + some, "nothing is replayed")  # noqa: B023
        time.sleep(chance.random() / 100)
        victim.kill()
        victim.join()
        taken(database, seen)
    replaying.run(sqlite_url, tmp_path / "spool")
    taken(database, seen)
    database.close()
    assert len(seen) == len(set(seen))
    assert set(seen) == {f"L-{number}" for number in range(5_000)}
    assert list((tmp_path / "spool").iterdir()) == []


@pytest.mark.parametrize("step", replaying.STEPS)
def test_a_replay_killed_while_it_cleans_up_leaves_nothing_to_repeat(
    sqlite_url: str, tmp_path: Path, step: str
) -> None:
    """Between the last commit and the end of the file, whatever was done of it, no row comes back; nothing stays."""
    fill(tmp_path / "spool", 50)
    victim = PROCESSES.Process(target=replaying.run, args=(sqlite_url, tmp_path / "spool", step))
    victim.start()
    victim.join()
    assert victim.exitcode == -signal.SIGKILL
    database, seen = Database(sqlite_url), list[str]()
    assert taken(database, seen) == 50
    replaying.run(sqlite_url, tmp_path / "spool")
    assert taken(database, seen) == 50
    with database.snapshot() as session:
        assert list(session.connection().exec_driver_sql("SELECT name FROM spool_segment")) == []
    database.close()
    assert list((tmp_path / "spool").iterdir()) == []


def fill(folder: Path, number: int) -> None:
    """Leave so many clicks in a spool, as a process that was killed does."""
    notes = [note_to_json(Note(NewClick(f"L-{n}", NOW))) for n in range(number)]
    with closing(Spool(folder, 10**8)) as spool:
        assert all(spool.append([(note, False) for note in notes]))


def taken(database: Database, seen: list[str]) -> int:
    """Take every row away and note it, so that a row that comes back is noticed; return how many were noted in all."""
    with suppress(Unavailable), database.transaction() as session:
        found = [row[0] for row in session.connection().exec_driver_sql("DELETE FROM click RETURNING click_id")]
        session.commit()
        seen += found
    return len(seen)

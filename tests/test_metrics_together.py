"""Several processes of a host answer as one: whoever is asked tells the numbers of all."""

import json
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from app.security import hash_of
from tests.servers import HOST, free_port, wait_until
from tests.support import ORDER_KEY, bearer, body
from tests.test_cli import COMMAND, run, surroundings

Numbers = dict[tuple[str, ...], float]


class Process:
    """A process of the service, and what it answers."""

    def __init__(self, server: "subprocess.Popen[bytes]", client: httpx.Client) -> None:
        self.server, self.client = server, client

    def numbers(self) -> Numbers:
        """Return every number by its name and the values of its labels."""
        families = text_string_to_metric_families(self.client.get("/metrics").text)
        return {(one.name, *one.labels.values()): one.value for family in families for one in family.samples}


@contextmanager
def serving(folder: Path) -> Iterator[Process]:
    """Run a process that shares its numbers and its database."""
    port = free_port()
    given = {
        "CAPTURE_DATABASE_URL": f"sqlite:///{folder / 'shop.db'}",
        "CAPTURE_ORDER_KEYS": f"sha256:{hash_of(ORDER_KEY)}",
        "CAPTURE_DRAIN_SECONDS": "0",
        "PROMETHEUS_MULTIPROC_DIR": str(folder / "numbers"),
    }
    command = [*COMMAND, "serve", "--no-worker", "--port", str(port)]
    with (
        (folder / f"log-{port}").open("wb") as log,
        subprocess.Popen(command, cwd=folder, env=surroundings(given), stderr=log) as server,
        httpx.Client(base_url=f"http://{HOST}:{port}") as client,
    ):
        try:
            wait_until(lambda: _answers(client), lambda: (folder / f"log-{port}").read_text("utf-8"))
            yield Process(server, client)
        finally:
            server.kill()


def _answers(client: httpx.Client) -> bool:
    try:
        return client.get("/livez").is_success
    except httpx.TransportError:
        return False


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[list[Process]]:
    """Two of them."""
    with ExitStack() as stack:
        yield [stack.enter_context(serving(tmp_path)) for _ in range(2)]


def grown(process: Process, name: tuple[str, ...], number: float) -> Any:
    """Return what is waited for: that a process tells so much."""
    return lambda: process.numbers().get(name) == number


def test_each_tells_what_all_have_counted(processes: list[Process], tmp_path: Path) -> None:
    """Also what the other one has counted and nobody has asked it for; and what has been counted stays counted."""
    one, other = processes
    for process, orders in ((one, 1), (other, 2)):
        for number in range(orders):
            sent = process.client.post("/orders", json=body(f"{orders}-{number}"), headers=bearer(ORDER_KEY))
            assert sent.status_code == 201
        process.client.get("/capture", params={"im_ref": f"click-{orders}"})
    for process in processes:
        wait_until(grown(process, ("capture_orders_total", "new"), 3), "not all orders are counted")
        wait_until(grown(process, ("capture_notes_total", "stored"), 2), "not all clicks are counted")
    found = one.numbers()
    assert found["capture_requests_total", "/orders", "201"] == 3
    assert found["capture_unsent", "pending", "orders"] in {0, 3}  # what was read stands for some seconds
    assert found["capture_spool_limit_bytes",] == 64 * 1024 * 1024
    assert not [name for name in found if "pid" in name[0] or name[0].startswith("process_")]
    other.server.send_signal(signal.SIGKILL)
    other.server.wait()
    after = one.numbers()
    assert (after["capture_orders_total", "new"], after["capture_spool_notes",]) == (3, 0)
    left = {path.name for path in (tmp_path / "numbers").glob("gauge_live*")}
    assert left
    assert not [name for name in left if name.endswith(f"_{other.server.pid}.db")]


def test_a_process_that_died_leaves_no_gauge(tmp_path: Path) -> None:
    """What waited in it is no longer told; one that lives is not taken for dead, whoever's it is."""
    script = """
import json, os, subprocess, sys
from app import metrics
child = [sys.executable, "-c", "from app import metrics; metrics.show_spool(5, 1, 2); metrics.count_notes('lost', 7)"]
subprocess.run(child, check=True)
metrics.show_spool(2, 1, 2)
text = metrics.exposition([]).decode()
print(json.dumps([line for line in text.splitlines() if "spool_notes" in line or "lost" in line]))
"""
    environment = surroundings({"PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "new" / "numbers")})
    done = subprocess.run(
        [COMMAND[0], "-c", script], env=environment, cwd=tmp_path, capture_output=True, check=True, text=True
    )
    told = [line for line in json.loads(done.stdout) if not line.startswith("#")]
    assert sorted(told) == ['capture_notes_total{fate="lost"} 7.0', "capture_spool_notes 2.0"]


def test_a_folder_that_cannot_be_is_said_at_the_start(tmp_path: Path) -> None:
    """In a sentence that names the variable, and not by a service whose numbers nobody sees."""
    (tmp_path / "file").write_text("in the way")
    done = run("--help", PROMETHEUS_MULTIPROC_DIR=str(tmp_path / "file" / "numbers"))
    assert done.returncode == 1
    assert done.stderr.startswith("conversion-capture: PROMETHEUS_MULTIPROC_DIR=")
    assert done.stderr.endswith("unset it.\n")

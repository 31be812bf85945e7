"""The servers that are measured, each in a process of its own, their data below `var/bench`."""

import http.client
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.goal import Broken
from bench.machine import pinned
from tests.servers import free_port

ROOT: Final = Path(__file__).parent.parent
START_SECONDS: Final = 30
STOP_SECONDS: Final = 30
PYTHON: Final = (sys.executable, "-m")


@dataclass(frozen=True, slots=True)
class Server:
    """A server that answers on a loopback port."""

    port: int
    pid: int

    @property
    def host(self) -> str:
        """What calls name in their Host header."""
        return f"127.0.0.1:{self.port}"


@contextmanager
def work_folder(parent: Path) -> Iterator[Path]:
    """Give a folder on the disk of the project, which a temporary one in memory would not be."""
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="work-", dir=parent) as folder:
        yield Path(folder)


def environment(url: str, folder: Path, **settings: str) -> dict[str, str]:
    """Return the surroundings of a process of the service: no settings but these, and all data in a folder.

    They run there too, where no `.env` lies.
    """
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("CAPTURE_")}
    return inherited | {
        "PYTHONPATH": str(ROOT),
        "CAPTURE_DATABASE_URL": url,
        "CAPTURE_CAMPAIGN_ID": "1000",
        "CAPTURE_ACTION_TRACKER_ID": "4321",
        "CAPTURE_SPOOL_PATH": str(folder / "spool"),
        "CAPTURE_FOLDER_PATH": str(folder / "outbox"),
        "CAPTURE_JOURNAL_PATH": str(folder / "journal"),
        "CAPTURE_DRAIN_SECONDS": "0",
        **settings,
    }


def migrate(url: str, folder: Path) -> None:
    """Make the tables."""
    command = [*PYTHON, "app", "migrate"]
    subprocess.run(command, env=environment(url, folder), cwd=folder, check=True, stdout=subprocess.DEVNULL)


@contextmanager
def serving(url: str, folder: Path, cpu: int | None = None, **settings: str) -> Iterator[Server]:
    """Serve on a database that has its tables, without a worker; settings are given as `CAPTURE_ORDER_KEYS="..."`."""
    port = free_port()
    command = [*PYTHON, "app", "serve", "--no-worker", "--port", str(port)]
    with running(command, port, folder, environment(url, folder, **settings), "/readyz/orders", cpu) as server:
        yield server


@contextmanager
def running(
    command: Sequence[str],
    port: int,
    folder: Path,
    surroundings: Mapping[str, str],
    path: str = "/",
    cpu: int | None = None,
) -> Iterator[Server]:
    """Run a server until the end of the block; its log goes to a file, as a service's log does. Raises Broken."""
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / f"{port}.log"
    with log.open("wb") as written:
        process = subprocess.Popen(
            [*pinned(cpu), *command], env=surroundings, cwd=folder, stdout=written, stderr=written
        )
    try:
        if not answers(port, path, process):
            raise Broken(f"{' '.join(command[1:])} did not start: {log.read_text('utf-8', 'replace')[-500:]}")
        yield Server(port, process.pid)
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def answers(port: int, path: str, process: "subprocess.Popen[bytes]", step: float = 0.02) -> bool:
    """Wait until a server answers a GET with success; say whether it did."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if status(port, path) in {200, 204}:
            return True
        time.sleep(step)
    return False


def status(port: int, path: str) -> int:
    """Return the status of a GET, or 0 if nobody answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except OSError:
        return 0
    finally:
        connection.close()

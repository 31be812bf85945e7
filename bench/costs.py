"""What one click, one order of three items and one exported row cost: processor time, bytes stored, bytes on the wire.

`python -m bench.costs` prints a table, and with `--json` what `python -m bench.simulate --costs` reads; `make scale
ARGS=--measure` puts both into docs/explanation/scale.md. Load goes to
127.0.0.1 only, and its amount is bounded by the arguments.
"""

import argparse
import json
import os
import resource
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import psutil
import psycopg

from app.security import new_key
from tests.servers import HOST, Postgres, free_port, wait_until

ITEMS: Final = 3
COMMAND: Final = (sys.executable, "-m", "app")
BROWSER: Final = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


@dataclass(frozen=True, slots=True)
class Cost:
    """What one of a kind costs on a database. `logged` is PostgreSQL's write-ahead log; SQLite's is not told."""

    database: str
    what: str
    number: int
    service_us: float
    database_us: float
    stored: float
    logged: float
    sent: float
    answered: float


@dataclass(frozen=True, slots=True)
class Sight:
    """What had been used up at one moment: seconds of the processor, and bytes."""

    service: float
    database: float
    stored: int
    logged: int


class Store:
    """A database, as far as its costs can be seen."""

    def __init__(self, url: str, server: Postgres | None) -> None:
        self.url, self.server = url, server

    @property
    def name(self) -> str:
        """What it is called."""
        return "PostgreSQL" if self.server else "SQLite"

    def seconds(self) -> float:
        """Return the processor time of its processes; SQLite's is in the service's own."""
        return 0.0 if self.server is None or self.server.pid is None else _tree_seconds(self.server.pid)

    def sizes(self) -> tuple[int, int]:
        """Return the bytes of its tables with their indexes, and of all that was logged."""
        if self.server is None:
            with closing(sqlite3.connect(self.url.removeprefix("sqlite:///"))) as connection:
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                [(pages,)] = connection.execute("PRAGMA page_count")
                [(free,)] = connection.execute("PRAGMA freelist_count")
                [(size,)] = connection.execute("PRAGMA page_size")
                return (pages - free) * size, 0
        with psycopg.connect(self.url, autocommit=True) as server:
            [(stored,)] = server.execute("SELECT sum(pg_total_relation_size(relid))::bigint FROM pg_stat_user_tables")
            [(logged,)] = server.execute("SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint")
            return stored, logged


def _tree_seconds(pid: int) -> float:
    """Return the processor time of a process and all that it has started, those that have ended too."""
    total = 0.0
    top = psutil.Process(pid)
    for process in (top, *top.children(recursive=True)):
        used = process.cpu_times()
        total += used.user + used.system + used.children_user + used.children_system
    return total


def _environment(store: Store, folder: Path, **settings: str) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("CAPTURE_")}
    return inherited | {
        "CAPTURE_DATABASE_URL": store.url,
        "CAPTURE_CAMPAIGN_ID": "1000",
        "CAPTURE_ACTION_TRACKER_ID": "4321",
        "CAPTURE_SPOOL_PATH": str(folder / "spool"),
        "CAPTURE_FOLDER_PATH": str(folder / "outbox"),
        "CAPTURE_JOURNAL_PATH": str(folder / "journal"),
        **settings,
    }


@contextmanager
def _serving(environment: dict[str, str]) -> Iterator[tuple[int, int]]:
    """Serve without a worker, and give port and process."""
    port = free_port()
    subprocess.run([*COMMAND, "migrate"], env=environment, check=True, stdout=subprocess.DEVNULL)
    command = [*COMMAND, "serve", "--no-worker", "--port", str(port)]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: _call(port, [_request("GET", "/readyz/orders")])[2] == 1, "the service does not answer")
        yield port, process.pid
    finally:
        process.terminate()
        process.wait(60)


# Load -------------------------------------------------------------------------------------------------------------


def _request(method: str, target: str, body: bytes = b"", **headers: str) -> bytes:
    lines = [f"{method} {target} HTTP/1.1", f"Host: {HOST}", f"User-Agent: {BROWSER}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    lines += [f"Content-Length: {len(body)}"] if body else []
    return "\r\n".join([*lines, "", ""]).encode() + body


def landing(number: int) -> bytes:
    """Return a call of `/capture` with a click id of the usual length."""
    return _request(
        "GET", f"/capture?im_ref=QiiWXOVnrQ3SQHl24jQjyxBGUkmz{number:012}", Referer="https://partner.example/"
    )


def order(number: int, key: str, now: datetime) -> bytes:
    """Return a call that posts an order of three items."""
    items = [{"sku": f"A-19823746{n}", "category": "Blacksmithing", "quantity": 1, "amount": "42.50"} for n in range(3)]
    content = {
        "order_id": f"{number:08}",
        "event_date": now.isoformat(timespec="seconds"),
        "currency": "USD",
        "click_id": f"QiiWXOVnrQ3SQHl24jQjyxBGUkmz{number:012}",
        "customer_id": "BCZ2WVSH674563PDPYOTM3AXDQ",
        "items": items,
    }
    body = json.dumps(content).encode()
    return _request("POST", "/orders", body, Authorization=f"Bearer {key}", Content_Type="application/json")


def _call(port: int, requests: Sequence[bytes]) -> tuple[int, int, int]:
    """Make calls over one connection, one after the other; return bytes sent, bytes answered and successes."""
    sent = answered = good = 0
    try:
        with socket.create_connection((HOST, port), 60) as connection, connection.makefile("rb") as answers:
            for request in requests:
                connection.sendall(request)
                status = answers.readline()
                lines, length = len(status), 0
                while (line := answers.readline()) not in {b"\r\n", b""}:
                    lines += len(line)
                    if line.lower().startswith(b"content-length:"):
                        length = int(line.split(b":")[1])
                answers.read(length)
                sent, answered = sent + len(request), answered + lines + 2 + length
                good += status[9:10] == b"2"
    except OSError:
        pass
    return sent, answered, good


def _load(port: int, requests: Sequence[bytes], connections: int) -> tuple[int, int]:
    """Spread calls over connections; return bytes sent and answered. Raises if one was refused."""
    told: list[tuple[int, int, int]] = []
    threads = [
        threading.Thread(target=lambda part: told.append(_call(port, part)), args=(requests[start::connections],))
        for start in range(connections)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sent, answered, good = (sum(column) for column in zip(*told, strict=True))
    if good != len(requests):
        raise RuntimeError(f"{len(requests) - good} of {len(requests)} calls were refused")
    return sent, answered


# Measuring --------------------------------------------------------------------------------------------------------


def measure(store: Store, folder: Path, clicks: int, orders: int, connections: int) -> Iterator[Cost]:
    """Yield what a click, an order and an exported row cost on a fresh database."""
    key, hashed = new_key()
    environment = _environment(store, folder, CAPTURE_ORDER_KEYS=hashed)
    now = datetime.now(UTC)
    with _serving(environment) as (port, pid):
        _load(port, [landing(n) for n in range(-100, 0)] + [order(n, key, now) for n in range(-100, 0)], 1)
        for what, requests in (
            ("click", [landing(n) for n in range(clicks)]),
            ("order", [order(n, key, now) for n in range(orders)]),
        ):
            before = _sight(store, _tree_seconds(pid))
            sent, answered = _load(port, requests, connections)
            yield _cost(store, what, len(requests), before, _sight(store, _tree_seconds(pid)), (sent, answered))
    yield _export(store, environment, (orders + 100) * ITEMS)


def _export(store: Store, environment: dict[str, str], rows: int) -> Cost:
    """Export everything by the command, less what the command takes to find nothing."""
    command = [*COMMAND, "export", "--wait"]

    def seconds() -> float:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime

    before = _sight(store, 0.0)
    took = seconds()
    after = _sight(store, took)
    idle = seconds()
    files = Path(environment["CAPTURE_FOLDER_PATH"]).iterdir()
    size = sum(file.stat().st_size for file in files)
    return _cost(store, "exported row", rows, before, Sight(took - idle, *_rest(after)), (size, 0))


def _rest(sight: Sight) -> tuple[float, int, int]:
    return sight.database, sight.stored, sight.logged


def _sight(store: Store, service: float) -> Sight:
    return Sight(service, store.seconds(), *store.sizes())


def _cost(store: Store, what: str, number: int, before: Sight, after: Sight, wire: tuple[int, int]) -> Cost:
    return Cost(
        database=store.name,
        what=what,
        number=number,
        service_us=round((after.service - before.service) / number * 1e6, 1),
        database_us=round((after.database - before.database) / number * 1e6, 1),
        stored=round((after.stored - before.stored) / number),
        logged=round((after.logged - before.logged) / number),
        sent=round(wire[0] / number),
        answered=round(wire[1] / number),
    )


def table(costs: Sequence[Cost]) -> str:
    """Return the costs as a table of Markdown."""
    lines = [
        "| one … on … | service CPU µs | database CPU µs | bytes stored | bytes logged | bytes sent | bytes answered |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for one in costs:
        database, logged = (f"{one.database_us:.0f}", f"{one.logged:.0f}") if one.logged else ("in it", "not told")
        lines.append(
            f"| {one.what}, {one.database} | {one.service_us:.0f} | {database} | {one.stored:.0f} | {logged}"
            f" | {one.sent:.0f} | {one.answered or ''} |"
        )
    return "\n".join(lines)


def measured(clicks: int = 20_000, orders: int = 10_000, connections: int = 16) -> list[Cost]:
    """Return the costs on both databases."""
    costs: list[Cost] = []
    with tempfile.TemporaryDirectory(prefix="conversion-capture-costs-") as name:
        folder = Path(name)
        amounts = clicks, orders, connections
        costs += measure(Store(f"sqlite:///{folder / 'costs.db'}", None), folder / "sqlite", *amounts)
        with Postgres() as server, server.new_database() as url:
            costs += measure(Store(url, server), folder / "postgresql", *amounts)
    return costs


def main() -> None:
    """Measure both databases and print what was found."""
    parser = argparse.ArgumentParser(prog="python -m bench.costs", description=__doc__)
    parser.add_argument("--clicks", type=int, default=20_000, help="landings on each database")
    parser.add_argument("--orders", type=int, default=10_000, help="orders of 3 items on each database")
    parser.add_argument("--connections", type=int, default=16, help="connections that call at once")
    parser.add_argument("--json", action="store_true", help="print JSON")
    chosen = parser.parse_args()
    costs = measured(chosen.clicks, chosen.orders, chosen.connections)
    print(json.dumps([asdict(one) for one in costs], indent=2) if chosen.json else table(costs))


if __name__ == "__main__":
    main()

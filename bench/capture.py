"""How long a landing waits for `/capture`, while the database is up, frozen, locked, or gone."""

import http.client
import sqlite3
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial

from sqlalchemy.engine import make_url

from bench.service import serving, wait
from tests.servers import Postgres

VISITOR = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
WARM_UP = 200
Times = dict[str, dict[str, float]]


def sqlite(url: str, calls: int) -> Times:
    """Return milliseconds by state of the database and number of connections."""
    return _measure(url, calls, {"up": nullcontext, "locked": partial(_locked, make_url(url).database or "")})


def postgresql(server: Postgres, url: str, calls: int) -> Times:
    """Return the same for PostgreSQL, which is stopped and started for it."""
    return _measure(url, calls, {"up": nullcontext, "frozen": server.frozen, "killed": partial(_killed, server)})


@contextmanager
def _locked(path: str) -> Iterator[None]:
    """Hold SQLite's write lock, as another process might."""
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    yield
    holder.close()


@contextmanager
def _killed(server: Postgres) -> Iterator[None]:
    server.kill()
    yield
    server.start()


def _measure(url: str, calls: int, states: Mapping[str, Callable[[], AbstractContextManager[None]]]) -> Times:
    measured = {}
    with serving(url) as port:
        _load(port, "warm", WARM_UP, 1)
        for state, making in states.items():
            for connections in (1, 16):
                with making():
                    measured[f"{state}, {connections}"] = _load(port, f"{state}-{connections}", calls, connections)
                wait(port)
                time.sleep(2)  # for what was spooled to be replayed, so that the next state begins as this one did
    return measured


def _load(port: int, name: str, calls: int, connections: int) -> dict[str, float]:
    """Land `calls` visitors; every one gets the cookie. Return median and 99th percentile in milliseconds."""
    times: list[float] = []
    numbers = iter(range(calls))
    lock = threading.Lock()

    def land() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        while True:
            with lock:
                number = next(numbers, None)
            if number is None:
                return
            began = time.perf_counter()
            connection.request("GET", f"/capture?im_ref={name}-{number}", headers={"User-Agent": VISITOR})
            response = connection.getresponse()
            response.read()
            took = time.perf_counter() - began
            if f"im_ref={name}-{number};" in (response.getheader("Set-Cookie") or ""):
                with lock:
                    times.append(took)

    threads = [threading.Thread(target=land) for _ in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if len(times) != calls:
        raise RuntimeError(f"{calls - len(times)} landings got no cookie")
    times.sort()
    return {
        "median_ms": round(statistics.median(times) * 1000, 1),
        "p99_ms": round(times[int(calls * 0.99)] * 1000, 1),
    }

"""How long a landing waits for `/capture` while the database is locked, frozen or gone; only when it is asked for."""

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Final

from bench import calls
from bench.goal import Broken, Goal, Result, Rounds, Row, alternating
from bench.load import load
from bench.place import Place, path_of
from bench.service import START_SECONDS, Server, serving, status
from tests.servers import Postgres

CONNECTIONS: Final = 16
REST_SECONDS: Final = 2
"""For what was spooled to be replayed, so that the next state begins as this one did."""

States = dict[str, Callable[[], AbstractContextManager[None]]]


def _row(state: str, name: str) -> Row:
    return Row(f"outage-{state}", f"landing, p99, {name} {state}", "the same, up", Goal("≤"), "ms")


ROWS: Final = (_row("locked", "SQLite"), _row("frozen", "PostgreSQL"), _row("killed", "PostgreSQL"))


def measure(place: Place) -> Iterator[Result]:
    """Yield the rows."""
    rounds = Rounds()
    states: States
    with place.service_database("sqlite") as url:
        states = {"SQLite up": nullcontext, "locked": partial(_locked, url)}
        _load(place, rounds, url, states)
    server = place.server
    with place.service_database("postgresql") as url:
        states = {"PostgreSQL up": nullcontext, "frozen": server.frozen, "killed": partial(_killed, server)}
        _load(place, rounds, url, states)
    for row, state, up in zip(ROWS, ("locked", "frozen", "killed"), ("SQLite up", *2 * ["PostgreSQL up"]), strict=True):
        yield rounds.result(row, state, up)


def _load(place: Place, rounds: Rounds, url: str, states: States) -> None:
    """Load the service while its database is in each of the states."""
    with serving(url, place.new_folder()) as server:
        call = calls.landing(server.host)
        load(server.port, call, CONNECTIONS, place.sizes.seconds)

        def turn(state: str) -> None:
            with states[state]():
                rounds.add(state, load(server.port, call, CONNECTIONS, place.sizes.seconds).p99_ms)
            _recovered(server)

        alternating(place.sizes.rounds, {state: partial(turn, state) for state in states})


def _recovered(server: Server) -> None:
    deadline = time.monotonic() + START_SECONDS
    while status(server.port, "/readyz/orders") != 200:
        if time.monotonic() > deadline:
            raise Broken("the service did not find its database again")
        time.sleep(0.05)
    time.sleep(REST_SECONDS)


@contextmanager
def _locked(url: str) -> Iterator[None]:
    """Hold SQLite's write lock, as another program might."""
    holder = sqlite3.connect(path_of(url), isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    yield
    holder.close()


@contextmanager
def _killed(server: Postgres) -> Iterator[None]:
    server.kill()
    yield
    server.start()

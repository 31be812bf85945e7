"""Orders: `POST /orders` with three items, answered after the commit, on both databases, beside what else there is.

Nothing is pinned: the service, its load and PostgreSQL share all processors, and so do pgbench and PostgreSQL.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from typing import Final

from app.security import new_key
from bench import calls
from bench.goal import Goal, Result, Rounds, Row, alternating
from bench.load import load
from bench.peers import pgbench
from bench.peers.serve import DATABASE, peer
from bench.place import Place, require_rows
from bench.service import Server, environment, serving
from bench.sizes import CONNECTIONS

FEW: Final = 16

PG_JOB: Final = "order, PostgreSQL"
PG_PLAIN: Final = Row("orders-postgresql-plain", PG_JOB, "FastAPI + SQLModel", Goal("≥", 30), "/s")
PG_BENCH: Final = Row("orders-postgresql-pgbench-64", PG_JOB, "pgbench, BEGIN to COMMIT", Goal("≥", 1.5), "/s")
PG_BENCH_16: Final = Row(
    "orders-postgresql-pgbench-16", f"{PG_JOB}, {FEW} connections", "pgbench, the same", Goal("≥", 1.0), "/s"
)
PG_STATEMENT: Final = Row(
    "orders-postgresql-statement-64", PG_JOB, "pgbench, one statement an order", Goal("≥", stretch=1.0), "/s"
)
POSTGRESQL_ROWS: Final = (PG_PLAIN, PG_BENCH, PG_BENCH_16, PG_STATEMENT)

LITE_JOB: Final = "order, SQLite"
LITE_PLAIN: Final = Row("orders-sqlite-plain", LITE_JOB, "FastAPI + SQLModel, WAL", Goal("≥", 20), "/s")
LITE_DEFAULT: Final = Row("orders-sqlite-default", LITE_JOB, "FastAPI + SQLModel, default journal", Goal("≥"), "/s")
LITE_NONE: Final = Row("orders-sqlite-none", LITE_JOB, "the same route, no database", Goal("≥", 0.35), "/s")
SQLITE_ROWS: Final = (LITE_PLAIN, LITE_DEFAULT, LITE_NONE)


class Turns:
    """What each side does in its turn: loads a server, and counts what was acknowledged."""

    def __init__(self, rounds: Rounds, key: str) -> None:
        self.rounds, self.key = rounds, key
        self.acknowledged: dict[str, int] = {}

    def serve(self, name: str, server: Server, connections: int, seconds: int) -> float:
        """Post orders to a server and return how many it took in a second."""
        call = calls.order(server.host, self.key, datetime.now(UTC))
        seen = load(server.port, call, connections, seconds)
        self.acknowledged[name] = self.acknowledged.get(name, 0) + seen.answers
        return seen.rate

    def pgbench(self, url: str, script: str, clients: int, seconds: int) -> float:
        """Let pgbench make orders and return how many it made in a second."""
        rate, made = pgbench.run(url, script, clients, seconds)
        self.acknowledged["pgbench"] = self.acknowledged.get("pgbench", 0) + made
        return rate

    def take(self, place: Place, sides: dict[str, Callable[[int], float]]) -> None:
        """Warm every side up, then let them take turns."""
        for side in sides.values() if place.sizes.warm_up else ():
            side(place.sizes.warm_up)

        def turn(name: str) -> None:
            self.rounds.add(name, sides[name](place.sizes.seconds))

        alternating(place.sizes.rounds, {name: partial(turn, name) for name in sides})


def postgresql(place: Place) -> Iterator[Result]:
    """Yield the rows of PostgreSQL."""
    key, stored = new_key()
    turns = Turns(Rounds(), key)
    with ExitStack() as end:
        ours = end.enter_context(place.service_database("postgresql"))
        plain, bench = (end.enter_context(place.new_database("postgresql")) for _ in range(2))
        folder = place.new_folder()
        pgbench.make_tables(bench)
        service = end.enter_context(serving(ours, folder / "ours", CAPTURE_ORDER_KEYS=stored))
        usual = end.enter_context(
            peer("plain", folder / "plain", surroundings={"PLAIN_KEY": key, "PLAIN_DATABASE_URL": plain})
        )
        turns.take(
            place,
            {
                "ours": partial(turns.serve, "ours", service, CONNECTIONS),
                "plain": partial(turns.serve, "plain", usual, CONNECTIONS),
                "transaction": partial(turns.pgbench, bench, "transaction", CONNECTIONS),
                "statement": partial(turns.pgbench, bench, "statement", CONNECTIONS),
                "ours 16": partial(turns.serve, "ours", service, FEW),
                "transaction 16": partial(turns.pgbench, bench, "transaction", FEW),
            },
        )
        require_rows(ours, "conversion", turns.acknowledged["ours"])
        require_rows(ours, "item", 3 * turns.acknowledged["ours"])
        require_rows(plain, "plain_item", 3 * turns.acknowledged["plain"])
        require_rows(bench, "items", 3 * turns.acknowledged["pgbench"])
    yield turns.rounds.result(PG_PLAIN, "ours", "plain")
    yield turns.rounds.result(PG_BENCH, "ours", "transaction")
    yield turns.rounds.result(PG_BENCH_16, "ours 16", "transaction 16")
    yield turns.rounds.result(PG_STATEMENT, "ours", "statement")


def sqlite(place: Place) -> Iterator[Result]:
    """Yield the rows of SQLite."""
    key, stored = new_key()
    turns = Turns(Rounds(), key)
    with ExitStack() as end, place.service_database("sqlite") as ours:
        folder = place.new_folder()
        servers = {
            "ours": end.enter_context(serving(ours, folder / "ours", CAPTURE_ORDER_KEYS=stored)),
            "wal": end.enter_context(
                peer("plain", folder / "wal", surroundings={"PLAIN_KEY": key, "PLAIN_JOURNAL": "wal"})
            ),
            "default": end.enter_context(peer("plain", folder / "default", surroundings={"PLAIN_KEY": key})),
            "none": end.enter_context(
                peer(
                    "no_database",
                    folder / "none",
                    surroundings=environment(ours, folder / "none", CAPTURE_ORDER_KEYS=stored),
                )
            ),
        }
        turns.take(place, {name: partial(turns.serve, name, server, CONNECTIONS) for name, server in servers.items()})
        require_rows(ours, "conversion", turns.acknowledged["ours"])
        require_rows(ours, "item", 3 * turns.acknowledged["ours"])
        for name in ("wal", "default"):
            url = f"sqlite:///{folder / name / DATABASE}"
            require_rows(url, "plain_item", 3 * turns.acknowledged[name])
    yield turns.rounds.result(LITE_PLAIN, "ours", "wal")
    yield turns.rounds.result(LITE_DEFAULT, "ours", "default")
    yield turns.rounds.result(LITE_NONE, "ours", "none")

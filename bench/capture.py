"""Landings: `GET /capture`, the click stored before the answer, beside a bare answer and two usual services.

Server and load are pinned to a processor each, the same for all: what is compared is what one processor serves.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Final

from bench import calls
from bench.goal import Goal, NotRun, Result, Rounds, Row, alternating
from bench.load import load
from bench.machine import server_and_client
from bench.peers.serve import fastify, peer
from bench.place import Place, require_rows
from bench.service import Server, serving
from bench.sizes import CONNECTIONS

JOB: Final = "landing"
BARE: Final = Row("capture-bare", JOB, "bare ASGI answer", Goal("≥", 0.6, 0.7), "/s")
TAIL: Final = Row("capture-p99", "landing, p99", "bare ASGI answer", Goal("≤", 5), "ms")
PLAIN: Final = Row("capture-plain", JOB, "FastAPI + SQLModel, SQLite WAL", Goal("≥", 30), "/s")
FASTIFY: Final = Row("capture-fastify", JOB, "Fastify + better-sqlite3", Goal("≥", 6), "/s")
ROWS: Final = (BARE, TAIL, PLAIN, FASTIFY)


def measure(place: Place) -> Iterator[Result]:
    """Yield the rows."""
    rounds, missing = Rounds(), ""
    with ExitStack() as end, place.service_database("sqlite") as url:
        folder, cpu = place.new_folder(), server_and_client()[0]
        servers = {
            "ours": end.enter_context(serving(url, folder / "ours", cpu)),
            "bare": end.enter_context(peer("bare", folder / "bare", cpu)),
            "plain": end.enter_context(peer("plain", folder / "plain", cpu, {"PLAIN_JOURNAL": "wal"})),
        }
        tables = {"ours": (url, "click"), "plain": (_database(folder / "plain"), "plain_click")}
        try:
            servers["fastify"] = end.enter_context(fastify(folder / "fastify", place.home / "node", cpu))
            tables["fastify"] = (_database(folder / "fastify"), "click")
        except NotRun as reason:
            missing = str(reason)
        acknowledged = _load(place, servers, rounds)
        for name, (database, table) in tables.items():
            require_rows(database, table, acknowledged[name])
    yield rounds.result(BARE, "ours", "bare")
    yield rounds.result(TAIL, "ours p99", "bare p99")
    yield rounds.result(PLAIN, "ours", "plain")
    yield Result(FASTIFY, reason=missing) if missing else rounds.result(FASTIFY, "ours", "fastify")


def _database(folder: Path) -> str:
    return f"sqlite:///{folder / 'peer.db'}"


def _load(place: Place, servers: dict[str, Server], rounds: Rounds) -> dict[str, int]:
    """Load the servers in turn, and return how many answers each gave."""
    acknowledged = dict.fromkeys(servers, 0)
    client = server_and_client()[1]

    def turn(name: str, seconds: int, *, counts: bool = True) -> None:
        server = servers[name]
        seen = load(server.port, calls.landing(server.host), CONNECTIONS, seconds, client)
        acknowledged[name] += seen.answers
        if counts:
            rounds.add(name, seen.rate)
            rounds.add(f"{name} p99", seen.p99_ms)

    for name in servers if place.sizes.warm_up else ():
        turn(name, place.sizes.warm_up, counts=False)
    alternating(place.sizes.rounds, {name: partial(turn, name, place.sizes.seconds) for name in servers})
    return acknowledged

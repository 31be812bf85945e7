"""Several replicas: three of them on one PostgreSQL beside a single one, each with a load of its own."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from typing import Final

from app.security import new_key
from bench import calls
from bench.goal import Goal, Result, Rounds, Row, alternating
from bench.load import finish, start
from bench.machine import cpus
from bench.place import Place, require_rows
from bench.service import Server, serving
from bench.sizes import CONNECTIONS

REPLICAS: Final = 3
CORES_NEEDED: Final = 8
"""Three replicas, three loads and PostgreSQL's processes; with fewer the replicas take turns on the cores of one."""
GOAL: Final = 2.2
ROWS: Final = (
    Row(
        "replicas",
        f"order, {REPLICAS} replicas ({len(cpus())} cores, {CORES_NEEDED} needed)",
        "one replica",
        Goal("≥", GOAL if len(cpus()) >= CORES_NEEDED else None, None if len(cpus()) >= CORES_NEEDED else GOAL),
        "/s",
    ),
)


def measure(place: Place) -> Iterator[Result]:
    """Yield the row; where cores are too few its goal is only a stretch."""
    rounds, (key, stored) = Rounds(), new_key()
    acknowledged = 0
    with ExitStack() as end, place.service_database("postgresql") as url:
        folders = [place.new_folder() for _ in range(REPLICAS)]
        servers = [end.enter_context(serving(url, folder, CAPTURE_ORDER_KEYS=stored)) for folder in folders]

        def turn(name: str, used: Sequence[Server], seconds: int) -> None:
            nonlocal acknowledged
            now = datetime.now(UTC)
            loads = [start(one.port, calls.order(one.host, key, now), CONNECTIONS, seconds) for one in used]
            seen = [finish(one, seconds) for one in loads]
            acknowledged += sum(one.answers for one in seen)
            rounds.add(name, sum(one.rate for one in seen))

        if place.sizes.warm_up:
            turn("warm-up", servers, place.sizes.warm_up)
        seconds = place.sizes.seconds
        sides = {"one": partial(turn, "one", servers[:1], seconds), "all": partial(turn, "all", servers, seconds)}
        alternating(place.sizes.rounds, sides)
        require_rows(url, "conversion", acknowledged)
    yield rounds.result(ROWS[0], "all", "one")

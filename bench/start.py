"""The start: `serve` on SQLite with its worker, until a landing is answered; and what the idle process weighs."""

import subprocess
import time
from collections.abc import Iterator
from typing import Final

from bench.goal import Broken, Goal, Result, Rounds, Row
from bench.machine import resident_mb
from bench.place import Place
from bench.service import PYTHON, STOP_SECONDS, answers, environment
from tests.servers import free_port

SECONDS: Final = Row("start-seconds", "start to first answer", "", Goal("≤", 1.5, 0.8), "s")
MEMORY: Final = Row("start-memory", "memory of the idle service", "", Goal("≤", 120), "MB")
ROWS: Final = (SECONDS, MEMORY)
IDLE_SECONDS: Final = 2
"""After so long the worker has looked for work and found none."""


def measure(place: Place) -> Iterator[Result]:
    """Yield the rows."""
    rounds = Rounds()
    with place.service_database("sqlite") as url:
        for number in range(place.sizes.rounds):
            seconds, memory = _once(url, place, number)
            rounds.add("seconds", seconds)
            rounds.add("memory", memory)
    yield rounds.result(SECONDS, "seconds")
    yield rounds.result(MEMORY, "memory")


def _once(url: str, place: Place, number: int) -> tuple[float, float]:
    """Start the service, and return the seconds to its first answer and its memory a little later."""
    folder, port = place.new_folder(), free_port()
    began = time.perf_counter()
    process = subprocess.Popen(
        [*PYTHON, "app", "serve", "--port", str(port)],
        env=environment(url, folder),
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        if not answers(port, f"/capture?im_ref=start-{number}", process, step=0.005):
            raise Broken("the service did not start")
        seconds = time.perf_counter() - began
        time.sleep(IDLE_SECONDS)
        return seconds, resident_mb(process.pid)
    finally:
        process.terminate()
        process.wait(STOP_SECONDS)

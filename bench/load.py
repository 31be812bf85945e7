"""Load by wrk: one thread, many connections, a call whose id differs each time, for a few seconds."""

import json
import secrets
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.calls import ID_WIDTH
from bench.goal import Broken
from bench.machine import pinned
from bench.programs import program

SCRIPT: Final = Path(__file__).with_name("load.lua")
PATIENCE: Final = 30  # seconds that an answer may take; an answer that takes longer counts as broken
NUMBER_WIDTH: Final = 9


@dataclass(frozen=True, slots=True)
class Load:
    """What wrk saw. Every answer it counted was a success."""

    answers: int
    seconds: float
    p99_ms: float

    @property
    def rate(self) -> float:
        """Answers per second."""
        return self.answers / self.seconds

    @property
    def cost(self) -> float:
        """Microseconds per answer."""
        return self.seconds / self.answers * 1e6


def start(port: int, call: bytes, connections: int, seconds: int, cpu: int | None = None) -> "subprocess.Popen[str]":
    """Start wrk on a port of this machine."""
    with tempfile.NamedTemporaryFile(prefix="conversion-capture-call-", delete=False) as file:
        file.write(call)
    prefix = secrets.token_hex((ID_WIDTH - NUMBER_WIDTH) // 2)
    return subprocess.Popen(
        [
            *(*pinned(cpu), program("wrk"), "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", f"{PATIENCE}s"),
            *("-s", SCRIPT, f"http://127.0.0.1:{port}/", "--", file.name, prefix),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )


def finish(wrk: "subprocess.Popen[str]", seconds: int) -> Load:
    """Wait for wrk and return what it saw. Raises Broken if an answer was no success."""
    try:
        printed, _ = wrk.communicate(timeout=seconds + 2 * PATIENCE)
    finally:
        wrk.kill()
        Path(str(wrk.args[-2])).unlink(missing_ok=True)  # type: ignore[index]
    told = [line for line in printed.splitlines() if line.startswith("{")]
    if wrk.returncode or not told:
        raise Broken(f"wrk ended with status {wrk.returncode}")
    return read(told[-1])


def read(line: str) -> Load:
    """Read the line that the script prints at the end. Raises Broken if an answer was no success."""
    seen = json.loads(line)
    if seen["refused"] or seen["broken"] or not seen["answers"]:
        raise Broken(f"of {seen['answers']} answers {seen['refused']} were refusals, and {seen['broken']} never came")
    return Load(seen["answers"], seen["microseconds"] / 1e6, seen["p99"] / 1e3)


def load(port: int, call: bytes, connections: int, seconds: int, cpu: int | None = None) -> Load:
    """Do both."""
    return finish(start(port, call, connections, seconds, cpu), seconds)

"""`import`: the orders of a file recorded in a fresh database, beside csv.reader that only reads the file.

`python -m bench.importing import|try FILE` does it in the database of the surroundings and prints what it took as JSON.
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final

from app.ledger.import_tally import Fate
from app.ledger.imports import Import, Request
from app.service import assemble
from bench.checking import PEER, SECONDS, run, write
from bench.goal import Broken, Goal, Result, Rounds, Row, alternating
from bench.machine import peak_mb
from bench.place import KINDS, Kind, Place
from bench.service import PYTHON, environment

FILES: Final = {"three": "three lines an order", "one": "one line an order"}
RECORDING: Final = {
    (kind, name): Row(f"import-{kind}-{name}-lines", f"import, {lines}, {kind}", PEER, Goal("≤", 8), "s")
    for kind in KINDS
    for name, lines in FILES.items()
}
TRYING: Final = Row("import-dry-run", "import --dry-run, three lines an order, sqlite", PEER, Goal("≤"), "s")
MEMORY: Final = Row(
    "import-peak", "peak memory of import, one line an order, sqlite", "a smaller file", Goal("≤", 1.1), "MB"
)
ROWS: Final = (*RECORDING.values(), TRYING, MEMORY)


def measure(place: Place) -> Iterator[Result]:
    """Yield the rows."""
    rounds, folder = Rounds(), place.new_folder()
    files = {
        "three": write(folder / "three.csv", place.sizes.imported, 3),
        "one": write(folder / "one.csv", place.sizes.imported, 1),
        "few": write(folder / "few.csv", place.sizes.imported // 10, 1),
    }

    def read(name: str) -> None:
        rounds.add(f"read {name}", run("read", files[name])["seconds"])

    def take(what: str, kind: Kind, name: str) -> None:
        with place.service_database(kind) as url:
            seen = _run(what, files[name], url, place.new_folder())
        rounds.add(f"{what} {kind} {name}", seen["seconds"])
        rounds.add(f"{what} {kind} {name} peak", seen["peak"])

    sides = {f"read {name}": partial(read, name) for name in FILES}
    for kind, name in (*RECORDING, ("sqlite", "few")):
        sides[f"import {kind} {name}"] = partial(take, "import", kind, name)
    alternating(place.sizes.rounds, sides | {"try": partial(take, "try", "sqlite", "three")})
    for (kind, name), row in RECORDING.items():
        yield rounds.result(row, f"import {kind} {name}", f"read {name}")
    yield rounds.result(TRYING, "try sqlite three", "read three")
    yield rounds.result(MEMORY, "import sqlite one peak", "import sqlite few peak")


def _run(what: str, path: Path, url: str, folder: Path) -> dict[str, float]:
    """Import a file in a process of its own, and return what it took."""
    ended = subprocess.run(
        [*PYTHON, "bench.importing", what, path],
        cwd=folder,
        env=environment(url, folder),
        capture_output=True,
        timeout=SECONDS,
        check=False,
    )
    if ended.returncode:
        raise Broken(f"{what} failed: {ended.stderr.decode(errors='replace').strip()[-500:]}")
    seen: dict[str, float] = json.loads(ended.stdout)
    return seen


def main(what: str, path: Path) -> None:
    """Do it and print what it took."""
    service = assemble()
    service.prepare()
    request = Request(path, None if what == "try" else path.with_name("rejects.csv"), dry_run=what == "try")
    began = time.perf_counter()
    tally = Import(service.database, service.settings, request, service.clock, time.sleep).run()
    seconds = time.perf_counter() - began
    if tally.lines.keys() != {Fate.RECORDED}:
        raise SystemExit(f"not every line was recorded: {dict(tally.lines)}")
    print(json.dumps({"seconds": seconds, "peak": peak_mb()}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))

"""Exports: the real worker in a process of its own, beside the database's own client writing the same rows.

`python -m bench.export render|whole` is that process. It prints what it took as JSON.
"""

import csv
import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

from app import worker
from app.batches import store
from app.batches.build import rendered
from app.ledger.export_routes import request_export
from app.service import Service, assemble
from bench import fill
from bench.goal import Broken, Goal, Result, Rounds, Row
from bench.machine import peak_mb, resident_mb
from bench.peers.pgbench import client_environment
from bench.place import Kind, Place, is_sqlite, path_of
from bench.programs import of_postgresql, program
from bench.service import PYTHON, environment

SECONDS: Final = 1800
"""More than any export takes."""

COLUMNS: Final = (
    "SELECT 1000, 4321, event_date, order_id, click_id, customer_id, currency, {amount}, category, sku, quantity"
    " FROM revision JOIN conversion ON conversion.id = conversion_id JOIN item ON revision_id = revision.id"
    " ORDER BY revision.id, position"
)
"""The rows of the files, in their order, amounts as they stand there."""
COPY: Final = "COPY ({}) TO STDOUT CSV".format(COLUMNS.format(amount="(amount / 100.0)::numeric(14, 2)"))
SELECT: Final = COLUMNS.format(amount="printf('%d.%02d', amount / 100, amount % 100)")


def _rows(kind: Kind, peer: str, render: Goal, whole: Goal) -> tuple[Row, ...]:
    name = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}[kind]
    return (
        Row(f"export-{kind}-render", f"rendering files, {name}", peer, render, "s"),
        Row(f"export-{kind}-whole", f"whole export, {name}", peer, whole, "s"),
        Row(f"export-{kind}-delivery", f"whole export, delivered to a folder, {name}", peer, Goal("≤"), "s"),
        Row(f"export-{kind}-growth", f"growth of the exporting process, {name}", "", Goal("≤", 64), "MB"),
        Row(f"export-{kind}-peak", f"peak memory of the export, {name}", "a smaller export", Goal("≤", 1.1), "MB"),
    )


ROWS: Final[dict[Kind, tuple[Row, ...]]] = {
    "postgresql": _rows("postgresql", "COPY … TO STDOUT CSV", Goal("≤", 1.5, 1.3), Goal("≤", 5, 3)),
    "sqlite": _rows("sqlite", "sqlite3 -csv", Goal("≤", 3.2), Goal("≤", 6)),
}


# What is measured -----------------------------------------------------------------------------------------------


def measure(kind: Kind, place: Place) -> Iterator[Result]:
    """Yield the rows of one database."""
    rounds = Rounds()
    with filled(kind, place, place.sizes.items) as many, filled(kind, place, place.sizes.few_items) as few:
        for number in range(place.sizes.rounds):
            _round(place, rounds, many, is_first=number == 0, renders_first=number % 2 == 1)
            with place.copy_of(few) as url:
                rounds.add("peak of few", run("whole", url, place.new_folder())["peak"])
    render, whole, delivery, growth, peak = ROWS[kind]
    yield rounds.result(render, "render", "peer")
    yield rounds.result(whole, "seconds", "peer")
    yield rounds.result(delivery, "delivered", "peer")
    yield rounds.result(growth, "growth")
    yield rounds.result(peak, "peak", "peak of few")


def postgresql(place: Place) -> Iterator[Result]:
    """Yield the rows of PostgreSQL."""
    return measure("postgresql", place)


def sqlite(place: Place) -> Iterator[Result]:
    """Yield the rows of SQLite."""
    return measure("sqlite", place)


@contextmanager
def filled(kind: Kind, place: Place, items: int) -> Iterator[str]:
    """Give a database in which so many items wait."""
    with place.service_database(kind) as url:
        fill.waiting(url, items)
        yield url


def _round(place: Place, rounds: Rounds, database: str, *, is_first: bool, renders_first: bool) -> None:
    """Let the peer, the rendering and the whole export have their turn on a fresh copy; the last one changes it."""
    with place.copy_of(database) as url:
        folder = place.new_folder()
        written = folder / "peer.csv"
        client(url, written)  # reads the copy once, so that nobody is the first to do so

        def peer() -> None:
            rounds.add("peer", client(url, written))

        def render() -> None:
            rounds.add("render", run("render", url, folder / "render")["seconds"])

        turns: list[Callable[[], None]] = [peer, render]
        for turn in reversed(turns) if renders_first else turns:
            turn()
        seen = run("whole", url, folder / "whole")
        for name in ("seconds", "delivered", "growth", "peak"):
            rounds.add(name, seen[name])
        if is_first:
            require_same_rows(written, (folder / "whole" / "outbox").glob("*.csv"))


def client(url: str, written: Path) -> float:
    """Let the database's own client write every row into a file, and return the seconds that took."""
    if is_sqlite(url):
        command, surroundings = [program("sqlite3"), "-csv", "-readonly", str(path_of(url)), SELECT], {}
    else:
        command, surroundings = [of_postgresql("psql"), "-X", "-q", "-c", COPY], client_environment(url)
    with written.open("wb") as file:
        began = time.perf_counter()
        subprocess.run(command, env=os.environ | surroundings, stdout=file, check=True, timeout=SECONDS)
        return time.perf_counter() - began


def require_same_rows(written: Path, files: Iterable[Path]) -> None:
    """Raise Broken unless the files hold the very rows, in the same order, that the peer wrote."""
    ours = hash_of_rows(sorted(files, key=lambda file: file.stat().st_mtime_ns), header=True)
    if ours != hash_of_rows([written], header=False):
        raise Broken("the files of the export do not hold the rows that the peer wrote")


def hash_of_rows(files: Iterable[Path], *, header: bool) -> str:
    """Return a hash of the rows of CSV files, whatever is quoted in them; the first of each may be a header."""
    digest = hashlib.sha256()
    for path in files:
        with path.open(encoding="utf-8", newline="") as file:
            rows = csv.reader(file)
            if header:
                next(rows)
            for row in rows:
                digest.update("\0".join(row).encode())
                digest.update(b"\n")
    return digest.hexdigest()


def run(what: str, url: str, folder: Path) -> dict[str, float]:
    """Render or export in a process of its own, and return what it took."""
    folder.mkdir(exist_ok=True)
    ended = subprocess.run(
        [*PYTHON, "bench.export", what],
        env=environment(url, folder),
        cwd=folder,
        capture_output=True,
        timeout=SECONDS,
        check=False,
    )
    if ended.returncode:
        raise Broken(f"the export failed: {ended.stderr.decode(errors='replace').strip()[-500:]}")
    seen: dict[str, float] = json.loads(ended.stdout)
    return seen


# The process that is measured -----------------------------------------------------------------------------------


def render_all(service: Service) -> int:
    """Render and hash everything that waits into files, durably, and change nothing; return how many files."""
    folder = Path(os.environ["CAPTURE_FOLDER_PATH"])
    folder.mkdir(parents=True)
    with service.database.snapshot() as session:
        event_types, upto = store.waiting_event_types(session), store.newest_waiting(session)
    number = 0
    for key in event_types:
        for plan in rendered(service.database, service.settings, key, 0, upto, service.clock):
            if plan.file and plan.file.sha256:
                with (folder / plan.name).open("xb") as file:
                    file.write(plan.file.content)
                    file.flush()
                    os.fsync(file.fileno())
                number += 1
    return number


def build(service: Service) -> int:
    """Build every file of the export that is queued; return how many exports there were."""
    return int(worker.build_one(service))


def deliver(service: Service) -> int:
    """Deliver every file; return how many."""
    number = 0
    while worker.deliver_one(service):
        number += 1
    return number


def timed(step: Callable[[], int]) -> tuple[float, int]:
    """Return the seconds that a step took, and what it counted. Raises if it did nothing."""
    began = time.perf_counter()
    number = step()
    if not number:
        raise RuntimeError("there was nothing to do")
    return time.perf_counter() - began, number


def main(what: str) -> None:
    """Do it and print what it took."""
    service = assemble()
    service.prepare()
    service.hold.applies(service.database)  # a worker's first look goes through the whole journal; a later one does not
    if what == "whole":
        request_export(service.database)
    before = resident_mb()
    seconds, _ = timed(partial(render_all if what == "render" else build, service))
    delivered = timed(partial(deliver, service))[0] if what == "whole" else 0.0
    peak = peak_mb()
    print(json.dumps({"seconds": seconds, "delivered": seconds + delivered, "growth": peak - before, "peak": peak}))


if __name__ == "__main__":
    main(sys.argv[1])

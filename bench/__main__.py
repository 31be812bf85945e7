"""Measure the service beside its peers, side by side in one run, and say which goals are met.

Every row is taken in rounds in which each side has its turn; what is judged is the median of the rounds' ratios. Load
goes to 127.0.0.1 only, and all of it is bounded. Exit status 1: a goal was missed, or could not be measured.
"""

import argparse
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import psycopg

from bench import capture, chart, checking, export, history, importing, orders, outage, replicas, report, start
from bench.goal import Broken, NotRun, Result, Row
from bench.place import Place
from bench.programs import install_missing
from bench.sizes import FULL, QUICK, Sizes

HOME: Final = Path("var/bench")


@dataclass(frozen=True, slots=True)
class Job:
    """What is measured in one go: some rows, from the same rounds."""

    name: str
    rows: tuple[Row, ...]
    measure: Callable[[Place], Iterator[Result]]
    is_extra: bool = False
    """Whether it is measured only when it is named."""


JOBS: Final = (
    Job("capture", capture.ROWS, capture.measure),
    Job("orders-postgresql", orders.POSTGRESQL_ROWS, orders.postgresql),
    Job("orders-sqlite", orders.SQLITE_ROWS, orders.sqlite),
    Job("export-postgresql", export.ROWS["postgresql"], export.postgresql),
    Job("export-sqlite", export.ROWS["sqlite"], export.sqlite),
    Job("history-postgresql", history.ROWS["postgresql"], history.postgresql),
    Job("history-sqlite", history.ROWS["sqlite"], history.sqlite),
    Job("check", checking.ROWS, checking.measure),
    Job("import", importing.ROWS, importing.measure),
    Job("start", start.ROWS, start.measure),
    Job("replicas", replicas.ROWS, replicas.measure),
    Job("outage", outage.ROWS, outage.measure, is_extra=True),
)


def done(job: Job, place: Place) -> list[Result]:
    """Return a result for every row of a job, also when it could not be run or did not do its work."""
    results: list[Result] = []
    try:
        results += job.measure(place)
    except NotRun as missing:
        return [Result(row, reason=str(missing)) for row in job.rows]
    except (Broken, OSError, subprocess.SubprocessError, psycopg.Error) as broken:
        return [Result(row, reason=_sentence(broken), is_broken=True) for row in job.rows]
    return results


def _sentence(error: Exception) -> str:
    """Return the first line of what went wrong."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def chosen(only: Sequence[str]) -> list[Job]:
    """Return the jobs whose names begin with one of these; without names all but the extra ones."""
    if not only:
        return [job for job in JOBS if not job.is_extra]
    return [job for job in JOBS if any(job.name.startswith(one) for one in only)]


def arguments(given: Sequence[str] | None = None) -> tuple[Sizes, list[Job], Path]:
    """Return what is asked for."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a smaller version of all rows, only indicative")
    parser.add_argument("--only", metavar="JOB[,JOB]", default="", help=f"of {', '.join(job.name for job in JOBS)}")
    parser.add_argument("--rounds", type=int, help=f"paired rounds (default: {FULL.rounds}, quick {QUICK.rounds})")
    parser.add_argument("--seconds", type=int, help="seconds of load for each side in each round")
    parser.add_argument("--items", type=int, help=f"rows of exports, checks and imports (default: {FULL.items:,})")
    parser.add_argument("--history", type=int, help=f"orders of the long history (default: {FULL.old:,})")
    parser.add_argument("--folder", type=Path, default=HOME, help=f"where results go (default: {HOME})")
    asked = parser.parse_args(given)
    jobs = chosen([name for name in asked.only.split(",") if name])
    if not jobs:
        parser.error(f"--only: there is no job {asked.only}")
    named = {"rounds": asked.rounds, "seconds": asked.seconds, "old": asked.history}
    named |= dict.fromkeys(("items", "rows", "imported"), asked.items)
    if any(value is not None and value < 1 for value in named.values()):
        parser.error("rounds, seconds, items and history are at least 1")
    sizes = replace(QUICK if asked.quick else FULL, **{name: value for name, value in named.items() if value})
    return sizes, jobs, asked.folder


def main() -> int:
    """Run the jobs, print a line for each row as it is known, and leave chart and JSON; return the exit status."""
    sizes, jobs, folder = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what was started is ended
    install_missing()
    began, results = time.monotonic(), []
    print(report.heading(sizes), flush=True)
    with Place(folder.resolve(), sizes) as place:
        for job in jobs:
            since = time.monotonic()
            for result in done(job, place):
                results.append(result)
                print(report.line(result), flush=True)
            print(f"  ({job.name}: {time.monotonic() - since:.0f} s)", flush=True)
    (folder / "results.json").write_text(report.as_json(results, sizes), "utf-8")
    (folder / "chart.svg").write_text(chart.draw(results), "utf-8")
    print(report.closing(results, sizes, time.monotonic() - began, folder))
    return report.exit_status(results, sizes)


if __name__ == "__main__":
    sys.exit(main())

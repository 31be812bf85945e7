"""`check`: a whole file judged line by line, beside csv.reader that only reads it.

`python -m bench.checking read|check FILE` does one of the two and prints what it took as JSON.
"""

import csv
import io
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final

from app.check.check import report
from bench.goal import Broken, Goal, Result, Rounds, Row, alternating
from bench.machine import peak_mb
from bench.place import Place
from bench.service import PYTHON, ROOT

PEER: Final = "csv.reader"
THREE: Final = Row("check-three-lines", "check, three lines an order", PEER, Goal("≤", 3), "s")
ONE: Final = Row("check-one-line", "check, one line an order", PEER, Goal("≤", 3), "s")
MEMORY: Final = Row("check-peak", "peak memory of check, one line an order", "a smaller file", Goal("≤", 1.1), "MB")
ROWS: Final = (THREE, ONE, MEMORY)
SECONDS: Final = 600
TOO_MANY: Final = "CHECK_TOO_MANY_ROWS"
HEADER: Final = (
    *("CampaignId", "ActionTrackerId", "EventDate", "OrderId", "ClickId", "CustomerId", "CurrencyCode", "Amount"),
    *("Category", "Sku", "Quantity"),
)
CATEGORIES: Final = ("Garden, house & tools", "Blacksmithing", 'Saws, 12" and up')


def measure(place: Place) -> Iterator[Result]:
    """Yield the rows."""
    rounds, folder = Rounds(), place.new_folder()
    files = {
        "three": write(folder / "three.csv", place.sizes.rows, 3),
        "one": write(folder / "one.csv", place.sizes.rows, 1),
        "few": write(folder / "few.csv", place.sizes.few_items, 1),
    }

    def turn(what: str, name: str) -> None:
        seen = run(what, files[name])
        for figure in ("seconds", "peak"):
            rounds.add(f"{what} {name} {figure}", seen[figure])

    sides = [("read", "three"), ("check", "three"), ("check", "one"), ("read", "one"), ("check", "few")]
    alternating(place.sizes.rounds, {f"{what} {name}": partial(turn, what, name) for what, name in sides})
    yield rounds.result(THREE, "check three seconds", "read three seconds")
    yield rounds.result(ONE, "check one seconds", "read one seconds")
    yield rounds.result(MEMORY, "check one peak", "check few peak")


def write(path: Path, rows: int, lines: int) -> Path:
    """Write a conversion file without a fault, of so many rows, with so many lines an order."""
    day = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=2)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(HEADER)
        writer.writerows(_row(number // lines, number, day) for number in range(rows))
    return path


def _row(order: int, number: int, day: datetime) -> tuple[object, ...]:
    date = (day + timedelta(seconds=order % 86_400)).isoformat()
    ids = (f"A-{order:09}", f"QiiWXOVnrQ3SQHl24jQjyxBG{order:09}", f"BCZ2WVSH674{order:09}")
    amount = f"{12 + number % 90}.{number % 100:02}"
    return (1000, 4321, date, *ids, "USD", amount, CATEGORIES[order % 3], f"A-{number % 4_000}", 1 + order % 3)


def run(what: str, path: Path) -> dict[str, float]:
    """Read or check a file in a process of its own, and return what it took."""
    ended = subprocess.run(
        [*PYTHON, "bench.checking", what, path],
        cwd=ROOT,
        capture_output=True,
        timeout=SECONDS,
        check=False,
    )
    if ended.returncode:
        raise Broken(f"{what} failed: {ended.stderr.decode(errors='replace').strip()[-500:]}")
    seen: dict[str, float] = json.loads(ended.stdout)
    return seen


def _check(path: Path, now: datetime) -> None:
    """Check a file; more rows than a file should have are the only fault that it may have."""
    report(path, now=now, as_json=False, out=(out := io.StringIO()))
    *findings, _summary = out.getvalue().splitlines()
    if wrong := [finding for finding in findings if TOO_MANY not in finding]:
        raise SystemExit(wrong[0])


def main(what: str, path: Path) -> None:
    """Do it and print what it took."""
    now, began = datetime.now(UTC), time.perf_counter()
    if what == "read":
        with path.open(encoding="utf-8", newline="") as file:
            for _ in csv.reader(file):
                pass
    else:
        _check(path, now)
    print(json.dumps({"seconds": time.perf_counter() - began, "peak": peak_mb()}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))

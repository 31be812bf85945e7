"""Plays a storefront's journey against the real service, and proves that every order is accounted for.

    python -m examples.demo [--directory var/demo]

The service runs as a process of its own on a fresh SQLite database. The exit status is 0 only if all agreed: each
line's answer, each order's state, each value of each line in the files, and the sums per currency.
"""

import argparse
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from io import TextIOWrapper
from pathlib import Path
from typing import Any, Final

import httpx

from examples import reconcile, report
from examples.expected import Line, read_lines
from examples.journey import Shop, batches, export, land_all, post_all, states
from examples.loop import Loop, planned_refusals, sandbox
from examples.make_orders import ORDERS, REFERENCE_DAY
from examples.reconcile import Answer, Batch
from examples.service import LOG, OUTBOX, ROOT, DemoFailed, Keys, commands, new_keys, prepare, run, served

MOST_SENTENCES: Final = 20


@dataclass(frozen=True, slots=True)
class Played:
    """What was sent and everything that came back. `checks`: file name to exit status and text of the check."""

    lines: Sequence[Line]
    landings: int
    lost_clicks: Sequence[str]
    answers: Sequence[Answer]
    export: Mapping[str, Any]
    second_export: Mapping[str, Any]
    batches: Sequence[Batch]
    states: tuple[Sequence[tuple[str, str]], Mapping[str, int]]
    outbox: Sequence[str]
    checks: Mapping[str, tuple[int, str]]
    loop: Loop

    @property
    def files(self) -> list[bytes]:
        """The files' contents, in the order of their creation."""
        return [batch.content for batch in self.batches]


def play(directory: Path, keys: Keys, lines: Sequence[Line]) -> Played:
    """Serve, send everything, export twice, hear what became of it, repair what can be; read what is said of it."""
    with (
        sandbox(directory) as box,
        served(directory, keys, box.settings) as url,
        httpx.Client(base_url=url, timeout=90, trust_env=False) as http,
    ):
        shop = Shop(http, keys)
        loop = Loop(planned_refusals(lines))
        loop.begin(box)
        landings, lost_clicks = land_all(shop, lines)
        answers = post_all(shop, lines)
        exports = export(shop), export(shop)
        loop.hear(shop)
        made = batches(shop, directory)
        outbox = [file.name for file in (directory / OUTBOX).iterdir()]
        listed = states(shop)
        loop.repair(shop, box)
        loop.end(shop, box, batches(shop, directory)[len(made) :])
    checks = {name: check(directory, keys, name) for name in (*outbox, *(one.name for one in loop.repairs))}
    return Played(lines, landings, lost_clicks, answers, *exports, made, listed, outbox, checks, loop)


def check(directory: Path, keys: Keys, name: str) -> tuple[int, str]:
    """Run `conversion-capture check` on a file of the outbox; return its exit status and what it said."""
    ended = run(directory, keys, "check", f"{OUTBOX}/{name}")
    return ended.returncode, (ended.stdout or ended.stderr).strip()


def disagreements(played: Played) -> list[str]:
    """Return a sentence for everything that is not as it should be."""
    lines = played.lines
    return [
        *played.lost_clicks,
        *reconcile.check_answers(lines, played.answers),
        *reconcile.check_states(lines, *played.states, played.loop.planned),
        *reconcile.check_export(lines, played.export, played.second_export),
        *reconcile.check_batches(lines, played.batches, played.outbox),
        *reconcile.check_rows(lines, played.files),
        *reconcile.check_money(lines, played.files),
        *played.loop.disagreements(lines),
        *(f"The check refuses {name}: {said}" for name, (status, said) in played.checks.items() if status),
    ]


def tell(played: Played, directory: Path, seconds: float) -> None:
    """Print what happened, where the files are and how to look at the result."""
    print(f"{played.landings} visitors landed with a click id, and each one's cookie holds it unchanged.")
    report.show_orders(played.lines, played.answers)
    report.show_money(played.lines, played.files)
    tell_files(played, directory, played.batches)
    print("\nThe sandbox stood in for impact.com: it pulled the file and was told to refuse some orders:")
    report.show_refusals(played.loop.told())
    print("The contract was renewed and the click ids corrected; these orders, and no others, went again:\n")
    tell_files(played, directory, played.loop.repairs)
    orders, actions = len(reconcile.accepted(played.lines)), len(played.loop.actions)
    print(f"\nEverything agrees: each of the {orders} orders is in one state, and every row and sum is as posted.")
    print(f"The loop is closed: shop, service and sandbox have the same {actions} actions, to the cent.")
    serve, ask, look = commands(directory)
    print(f"That took {seconds:.1f} s. {look}.")
    print(f"To serve the result first, and to ask it for the held orders:\n\n{serve}\n{ask}")


def tell_files(played: Played, directory: Path, made: Sequence[Batch]) -> None:
    """Print where files are and what is in them."""
    for batch in made:
        print(directory / OUTBOX / batch.name)
        print(f"  {batch.facts['orders']} orders, {batch.facts['rows']} rows, SHA-256 {batch.facts['sha256']}")
        print(f"  conversion-capture check: {played.checks[batch.name][1]}")


def demo(directory: Path) -> list[str]:
    """Play in `directory`, print what happened if all agreed, and return the disagreements."""
    began, now = time.monotonic(), datetime.now(UTC)
    keys = new_keys()
    prepare(directory, keys)
    lines = read_lines(ORDERS.read_text("utf-8"), (now.date() - REFERENCE_DAY).days, now)
    print(f"Playing {len(lines)} lines of {ORDERS.name}, moved to {now:%Y-%m-%d}, on a fresh database.", flush=True)
    played = play(directory, keys, lines)
    wrong = disagreements(played)
    if not wrong:
        tell(played, directory, time.monotonic() - began)
    return wrong


def main() -> int:
    """Run the demo and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m examples.demo", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--directory", type=Path, default=ROOT / "var" / "demo", help="where all is written")
    directory = parser.parse_args().directory.resolve()
    for number in (signal.SIGTERM, signal.SIGINT):  # what is begun is also ended then, as a job in the background too
        signal.signal(number, signal.default_int_handler)
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal that cannot show a letter is no reason to fail
    try:
        wrong = demo(directory)
    except DemoFailed as failure:
        wrong = [str(failure)]
    except (httpx.HTTPError, subprocess.TimeoutExpired) as failure:
        wrong = [f"The service did not answer ({type(failure).__name__}); its log is {directory / LOG}."]
    except KeyboardInterrupt:
        wrong = ["Interrupted; the service is stopped."]
    complain(wrong)
    return 1 if wrong else 0


def complain(wrong: Sequence[str]) -> None:
    """Print the first sentences about what went wrong."""
    for sentence in wrong[:MOST_SENTENCES]:
        print(sentence, file=sys.stderr)
    if len(wrong) > MOST_SENTENCES:
        print(f"... and {len(wrong) - MOST_SENTENCES} disagreements more.", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())

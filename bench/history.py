"""History: the same jobs on a database with few old orders and on one with many; each should cost the same."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Final

from app.security import new_key
from bench import calls, export, fill, pages
from bench.goal import Goal, Result, Rounds, Row, alternating
from bench.load import load
from bench.place import Kind, Place
from bench.service import serving
from bench.sizes import NEW_ORDERS

CONNECTIONS: Final = 16
SAME: Final = Goal("≤", 1.2)
PEER: Final = "a short history"


def _rows(kind: Kind) -> tuple[Row, ...]:
    name = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}[kind]
    return (
        Row(f"history-{kind}-export", f"export of {NEW_ORDERS:,} orders, long history, {name}", PEER, SAME, "s"),
        Row(f"history-{kind}-page", f"overview and searches, long history, {name}", PEER, SAME, "s"),
        Row(f"history-{kind}-landing", f"landing, long history, {name}", PEER, SAME, "µs"),
        Row(f"history-{kind}-order", f"order, long history, {name}", PEER, SAME, "µs"),
    )


ROWS: Final[dict[Kind, tuple[Row, ...]]] = {"postgresql": _rows("postgresql"), "sqlite": _rows("sqlite")}


def measure(kind: Kind, place: Place) -> Iterator[Result]:
    """Yield the rows of one database."""
    rounds = Rounds()
    sizes = {"short": place.sizes.few_old, "long": place.sizes.old}
    with ExitStack() as end:
        urls = {name: end.enter_context(_filled(kind, place, old)) for name, old in sizes.items()}
        _pages(place, rounds, urls)
        # Exports come before calls: the load leaves more orders waiting than an export here is about.
        _exports(place, rounds, urls)
        _calls(place, rounds, urls)
    for row, what in zip(ROWS[kind], ("export", "page", "landing", "order"), strict=True):
        yield rounds.result(row, f"{what} long", f"{what} short")


def postgresql(place: Place) -> Iterator[Result]:
    """Yield the rows of PostgreSQL."""
    return measure("postgresql", place)


def sqlite(place: Place) -> Iterator[Result]:
    """Yield the rows of SQLite."""
    return measure("sqlite", place)


@contextmanager
def _filled(kind: Kind, place: Place, old: int) -> Iterator[str]:
    with place.service_database(kind) as url:
        fill.delivered(url, old)
        yield url


def _pages(place: Place, rounds: Rounds, urls: dict[str, str]) -> None:
    """Read what pages of the dashboard show from both databases in turn."""

    def turn(name: str) -> None:
        rounds.add(f"page {name}", pages.read(urls[name]))

    for url in urls.values() if place.sizes.warm_up else ():
        pages.read(url)
    alternating(place.sizes.rounds, {name: partial(turn, name) for name in urls})


def _exports(place: Place, rounds: Rounds, urls: dict[str, str]) -> None:
    """Export new orders from both databases in turn.

    Each keeps its folder, as a worker does: the first export copies the history into the journal, and is not counted.
    """
    folders = {name: place.new_folder() for name in urls}
    first = {"short": place.sizes.few_old + 1, "long": place.sizes.old + 1}

    def turn(name: str, *, counts: bool = True) -> None:
        first[name] += fill.waiting(urls[name], NEW_ORDERS * fill.ITEMS_PER_ORDER, first[name])
        seconds = export.run("whole", urls[name], folders[name])["seconds"]
        if counts:
            rounds.add(f"export {name}", seconds)

    for name in urls:
        turn(name, counts=False)
    rounds_of_exports = place.sizes.rounds * (1 if place.sizes.indicative else 2)  # each of them is short
    alternating(rounds_of_exports, {name: partial(turn, name) for name in urls})


def _calls(place: Place, rounds: Rounds, urls: dict[str, str]) -> None:
    """Send landings and orders to both databases in turn."""
    key, stored = new_key()
    with ExitStack() as end:
        servers = {
            name: end.enter_context(serving(url, place.new_folder(), CAPTURE_ORDER_KEYS=stored))
            for name, url in urls.items()
        }

        def turn(what: str, name: str, seconds: int, *, counts: bool = True) -> None:
            host = servers[name].host
            call = calls.landing(host) if what == "landing" else calls.order(host, key, datetime.now(UTC))
            seen = load(servers[name].port, call, CONNECTIONS, seconds)
            if counts:
                rounds.add(f"{what} {name}", seen.cost)

        for what in ("landing", "order"):
            for name in servers if place.sizes.warm_up else ():
                turn(what, name, place.sizes.warm_up, counts=False)
            alternating(place.sizes.rounds, {name: partial(turn, what, name, place.sizes.seconds) for name in servers})

"""A day with flash sales, on paper: who waits where, what is refused, and what gives way first when a shop grows.

`python -m bench.simulate` prints the figures that docs/explanation/scale.md quotes. Nothing is measured here: what a
click, an order and a row cost is given (`--costs` takes what `python -m bench.costs --json` printed), chance is seeded,
and everything that comes is served, refused or still waiting at the end of the day.
"""

import argparse
import json
import math
import random
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Self

from app.database import CONNECTIONS, SPARE

DAY: Final = 86_400
MILLION: Final = 1e6
HEADROOM: Final = 1.3
MEASURED: Final = Path(__file__).parent.parent / "docs" / "explanation" / "costs.json"


@dataclass(frozen=True, slots=True)
class Costs:
    """What one costs, in microseconds of a processor and in bytes of the database's log."""

    landing_us: float
    order_us: float
    landing_database_us: float
    order_database_us: float
    row_us: float
    logged_per_landing: float
    logged_per_order: float

    @classmethod
    def measured(cls, text: str) -> Self:
        """Read what `bench.costs --json` printed, of PostgreSQL."""
        found = {one["what"]: one for one in json.loads(text) if one["database"] == "PostgreSQL"}
        click, order, row = found["click"], found["order"], found["exported row"]
        return cls(
            landing_us=click["service_us"],
            order_us=order["service_us"],
            landing_database_us=click["database_us"],
            order_database_us=order["database_us"],
            row_us=row["service_us"] + row["database_us"],
            logged_per_landing=click["logged"],
            logged_per_order=order["logged"],
        )


@dataclass(frozen=True, slots=True)
class Sale:
    """So many times the usual number of visitors and of orders, all at once."""

    hour: float
    minutes: float
    landings: float
    orders: float


@dataclass(frozen=True, slots=True)
class Shop:
    """A large shop: what comes on a day, sales aside, and its flash sales."""

    landings: float = 2_000_000
    orders: float = 50_000
    items: int = 3
    sales: tuple[Sale, ...] = (Sale(10, 10, 40, 60), Sale(20, 30, 25, 40))

    def times(self, scale: float) -> "Shop":
        """Return a shop that is so many times as large."""
        return replace(self, landings=scale * self.landings, orders=scale * self.orders)

    def rates(self, second: int) -> tuple[float, float]:
        """Return landings and orders per second at a time of the day: least at 4 o'clock, most at 16, sales on top."""
        usual = 1 - 0.8 * math.cos((second / DAY - 4 / 24) * 2 * math.pi)
        on = [one for one in self.sales if one.hour * 3600 <= second < one.hour * 3600 + one.minutes * 60]
        landings, orders = sum(one.landings for one in on), sum(one.orders for one in on)
        return self.landings / DAY * (usual + landings), self.orders / DAY * (usual + orders)

    @property
    def peak(self) -> tuple[float, float]:
        """The most landings and orders per second."""
        seconds = [int(one.hour * 3600) for one in self.sales] or [16 * 3600]
        return max(self.rates(one)[0] for one in seconds), max(self.rates(one)[1] for one in seconds)


@dataclass(frozen=True, slots=True)
class Plant:
    """What serves the shop. A replica has one core, since a Python process does not use more."""

    replicas: int = 1
    connections: int = CONNECTIONS + SPARE
    database_cores: int = 16
    group: int = 500
    commit_ms: float = 3
    queue: int = 2_000
    exports: int = 24
    rows_per_file: int = 9_999
    lease: float = 15
    delivery_seconds: float = 20
    budget_per_hour: int = 500
    looks: tuple[int, ...] = (60, 120, 240, 480, 960, 1_800)


@dataclass(slots=True)
class Lane:
    """What comes one by one and is served in the order of coming, up to a bound; beyond it one is refused."""

    arrived: int = 0
    served: int = 0
    refused: int = 0
    waiting: int = 0
    most_waiting: int = 0
    longest_wait: int = 0
    _queue: deque[tuple[int, int]] = field(default_factory=deque)
    _credit: float = 0.0

    def second(self, now: int, arriving: int, capacity: float, bound: int) -> int:
        """Let a second pass in which so many come and so many could be served; return how many were."""
        able = capacity + self._credit
        served = min(self.waiting + arriving, int(able))
        self._credit = min(able - served, 1.0)
        taken = min(arriving, served + bound - self.waiting)
        self._queue.append((now, taken))
        self.arrived, self.served, self.refused = (
            self.arrived + arriving,
            self.served + served,
            self.refused + arriving - taken,
        )
        self.waiting += taken - served
        self.most_waiting = max(self.most_waiting, self.waiting)
        self._leave(now, served)
        return served

    def _leave(self, now: int, served: int) -> None:
        """Let those who have waited longest go first, and note how many whole seconds they did."""
        while self._queue and (served or not self._queue[0][1]):
            came, number = self._queue.popleft()
            if number > served:
                self._queue.appendleft((came, number - served))
            if served and number:
                self.longest_wait = max(self.longest_wait, now - came)
            served -= min(number, served)


@dataclass(slots=True)
class Day:
    """How a day went."""

    landings: Lane = field(default_factory=Lane)
    orders: Lane = field(default_factory=Lane)
    exported: int = 0
    to_export: int = 0
    files: int = 0
    delivered: int = 0
    most_files_waiting: int = 0
    longest_file_seconds: float = 0.0
    longest_standstill: float = 0.0
    calls_due: int = 0
    calls: int = 0
    most_calls_in_an_hour: int = 0
    longest_call_wait: float = 0.0


def poisson(chance: random.Random, mean: float) -> int:
    """Return how many come when so many are expected."""
    if mean > 50:
        return max(0, round(chance.gauss(mean, math.sqrt(mean))))
    number, left = 0, chance.random()
    floor = math.exp(-mean)
    while left > floor:
        number, left = number + 1, left * chance.random()
    return number


def simulate(shop: Shop, plant: Plant, costs: Costs, seed: int = 1) -> Day:
    """Let a day pass, second by second for those who wait for an answer, file by file for those who do not."""
    day, chance, recorded = Day(), random.Random(seed), []
    for second in range(DAY):
        landings, orders = (poisson(chance, rate) for rate in shop.rates(second))
        recorded.append(_second(day, plant, costs, second, (landings, orders)))
    finished = list(_export(day, shop, plant, costs, recorded))
    delivered = list(_deliver(day, plant, finished))
    _look(day, plant, delivered)
    return day


def _second(day: Day, plant: Plant, costs: Costs, now: int, arriving: tuple[int, int]) -> int:
    """Serve orders first: a landing that finds no room keeps its cookie, an order would be tried again by a person."""
    service, database = plant.replicas * MILLION, plant.database_cores * MILLION
    groups = plant.replicas * plant.group / (plant.commit_ms / 1000)
    bound = plant.replicas * plant.queue
    able = min(service / costs.order_us, database / costs.order_database_us, groups)
    served = day.orders.second(now, arriving[1], able, bound)
    service, database = service - served * costs.order_us, database - served * costs.order_database_us
    able = min(service / costs.landing_us, database / costs.landing_database_us, groups)
    day.landings.second(now, arriving[0], max(0.0, able), bound)
    return served


def _export(day: Day, shop: Shop, plant: Plant, costs: Costs, recorded: Sequence[int]) -> Iterator[float]:
    """Yield when each file is finished. Exports come at fixed times, and one at a time; a file is one transaction."""
    per_file = max(1, plant.rows_per_file // shop.items)
    every, free_at, position = DAY // plant.exports, 0.0, 0
    for trigger in range(every, DAY + 1, every):
        day.to_export += sum(recorded[position:trigger])
        position, now = trigger, max(float(trigger), free_at)
        while day.to_export and now < DAY + every:
            orders = min(day.to_export, per_file)
            took = orders * shop.items * costs.row_us / MILLION
            now += took
            day.longest_file_seconds = max(day.longest_file_seconds, took)
            day.to_export, day.exported, day.files = day.to_export - orders, day.exported + orders, day.files + 1
            yield now
        free_at = now
    # A worker that dies just before its commit is missed when its lease ends, and the file is begun again.
    day.longest_standstill = plant.lease + day.longest_file_seconds


def _deliver(day: Day, plant: Plant, finished: Sequence[float]) -> Iterator[float]:
    """Yield when each file has arrived: every replica's worker delivers one at a time."""
    free = deque([0.0] * plant.replicas)
    under_way: deque[float] = deque()
    for ready in finished:
        arrives = max(ready, free.popleft()) + plant.delivery_seconds
        free.append(arrives)
        while under_way and under_way[0] <= ready:
            under_way.popleft()
        under_way.append(arrives)
        day.most_files_waiting = max(day.most_files_waiting, len(under_way))
        day.delivered += 1
        yield arrives


def _look(day: Day, plant: Plant, delivered: Sequence[float]) -> None:
    """Ask what became of each file at growing intervals; calls beyond the budget of an hour wait for the next."""
    due = sorted(at + sum(plant.looks[: number + 1]) for at in delivered for number in range(len(plant.looks)))
    day.calls_due = len(due)
    position, hour = 0, 0
    while position < len(due):
        ends, made = (hour + 1) * 3600, 0
        while position < len(due) and due[position] < ends and made < plant.budget_per_hour:
            day.longest_call_wait = max(day.longest_call_wait, hour * 3600 - due[position])
            position, made = position + 1, made + 1
        day.calls += made
        day.most_calls_in_an_hour = max(day.most_calls_in_an_hour, made)
        hour += 1


# What gives way first ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Need:
    """How much of something a shop needs at its peak, or in a day, and how much one has of it."""

    what: str
    needed: float
    one_has: float
    unit: str

    @property
    def times(self) -> float:
        """How many of them it takes."""
        return self.needed / self.one_has


def needs(shop: Shop, plant: Plant, costs: Costs) -> list[Need]:
    """Return what the shop needs of each thing, what there is least of first."""
    landings, orders = shop.peak
    rows = shop.items * sum(60 * shop.rates(second)[1] for second in range(0, DAY, 60))
    files = rows / plant.rows_per_file
    logged = landings * costs.logged_per_landing + orders * costs.logged_per_order
    service = landings * costs.landing_us + orders * costs.order_us
    database = landings * costs.landing_database_us + orders * costs.order_database_us
    replicas = math.ceil(service / MILLION)
    found = [
        Need("service processes, at the peak", service / MILLION, 1, "core"),
        Need("connections to PostgreSQL", replicas * plant.connections, 97, "by default"),
        Need("the database's processors, at the peak", database / MILLION, 16, "cores of one machine"),
        Need("the database's log, at the peak", logged / MILLION, 200, "MB/s of one disk"),
        Need("the one exporter", rows * costs.row_us / MILLION, DAY, "s of a day"),
        Need("deliveries by one worker", files * plant.delivery_seconds, DAY, "s of a day"),
        Need("calls of impact.com's API", files * len(plant.looks), 24 * plant.budget_per_hour, "calls a day"),
    ]
    return sorted(found, key=lambda one: -one.times)


def report(scale: float, replicas: int, costs: Costs, seed: int) -> str:
    """Return what happens to a shop that is so many times as large, as Markdown. No replicas: as many as it takes."""
    shop = Shop().times(scale)
    landings, orders = shop.peak
    enough = math.ceil(HEADROOM * (landings * costs.landing_us + orders * costs.order_us) / MILLION)
    plant = Plant(replicas=replicas or enough)
    day = simulate(shop, plant, costs, seed)
    title = f"### {scale:,.0f} ×: {landings:,.0f} landings and {orders:,.0f} orders per second at the peak, "
    files = f"- files: {day.files:,} of {day.exported:,} orders, {day.to_export:,} orders left over; "
    lease = (
        f"- lease: {day.longest_file_seconds:.2f} s for a file, of {plant.lease:.0f} s; after a crash nothing is built "
    )
    calls = f"- API: {day.calls:,} calls, at most {day.most_calls_in_an_hour:,} in an hour; one waited "
    lines = [
        f"{title}{plant.replicas:,} {'replica' if plant.replicas == 1 else 'replicas'}\n",
        _told("landings", day.landings),
        _told("orders", day.orders),
        f"{files}{day.most_files_waiting:,} on their way at most",
        f"{lease}for {day.longest_standstill:.1f} s",
        f"{calls}{day.longest_call_wait / 60:,.0f} min for its turn",
        "\n| what | needed | one has | so many |\n| --- | ---: | ---: | ---: |",
    ]
    lines += [
        f"| {one.what} | {one.needed:,.1f} | {one.one_has:,.0f} {one.unit} | {one.times:,.3f} |"
        for one in needs(shop, plant, costs)
    ]
    return "\n".join(lines)


def _told(name: str, lane: Lane) -> str:
    return (
        f"- {name}: {lane.arrived:,} came, {lane.served:,} were served, {lane.refused:,} refused; at most"
        f" {lane.most_waiting:,} waited from one second to the next, {lane.longest_wait} s at the longest"
    )


def main() -> None:
    """Print what happens at each scale."""
    parser = argparse.ArgumentParser(prog="python -m bench.simulate", description=__doc__)
    parser.add_argument("--scale", type=float, nargs="+", default=(1, 10, 100, 10_000), help="times a large shop")
    parser.add_argument("--replicas", type=int, default=0, help="service processes; 0 for as many as it takes")
    parser.add_argument("--seed", type=int, default=1, help="what chance goes by")
    parser.add_argument("--costs", type=Path, default=MEASURED, help="what `python -m bench.costs --json` printed")
    chosen = parser.parse_args()
    costs = Costs.measured(chosen.costs.read_text("utf-8"))
    for scale in chosen.scale:
        print(report(scale, chosen.replicas, costs, chosen.seed), end="\n\n")


if __name__ == "__main__":
    main()

"""The worker is killed at every step of an export and started again: nothing is lost, nothing is sent twice.

Each step is tried once, on a database and a way out that chance picks where the step does not say; `make soak` tries
them all.
"""

import signal
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import count

import pytest

from tests.crash import shop as shops
from tests.crash.shop import PROCESSES, SECONDS, NewShop, Shop, request_export
from tests.crash.victim import AFTER, BEFORE, OF_CHANNEL, ONCE, Steps, finish
from tests.soak import SOAK, chance
from tests.system import missing

KILLED = -signal.SIGKILL
DATABASES = ("sqlite", "postgres")
LONGEST = 0.5  # seconds of a worker's life in which a random kill falls
KILLS = 10 if SOAK else 5
"""Random kills of one shop's worker."""
SHOPS = 100 if SOAK else 10

Record = Callable[[str, object], None]


def of_way(way: str, *more: str) -> object:
    """Return a case's parameters, marked if its receiver is a program from a package."""
    return pytest.param(way, *more, marks=pytest.mark.system if way in {"sftp", "renaming"} else ())


def installed() -> list[str]:
    """Return the ways out whose receivers are here."""
    return [way for way in OF_CHANNEL if "sshd" not in missing() or way not in {"sftp", "renaming"}]


def recover(shop: Shop) -> Counter[str]:
    """Let a new worker do what there is left to do; return the steps it took."""
    with shop.service() as service, Steps() as steps:
        finish(service)
    return steps.seen


def assert_nothing_more_goes(shop: Shop) -> None:
    """A second export finds nothing that was not sent."""
    before = shop.facts()
    request_export(shop)
    recover(shop)
    after = shop.facts()
    assert after.files == before.files
    assert after.lines == before.lines
    assert shop.faults(at_rest=True) == []


def assert_all_is_well(shop: Shop, kills: int, record: Record, *, filled: bool = True) -> None:
    """Every order arrived once and unaltered; what was repeated, was repeated for a kill."""
    assert shop.faults(at_rest=True, filled=filled) == []
    tally = shop.tally()
    for name, value in {"kills": kills, **tally.counts()}.items():
        record(name, value)
    assert (tally.lost, tally.doubled, tally.altered, tally.wrong) == (0, 0, 0, ())
    assert tally.repeated <= kills


@pytest.mark.parametrize("way", [of_way(way) for way in OF_CHANNEL])
def test_the_list_of_steps_is_complete(request: pytest.FixtureRequest, new_shop: NewShop, way: str) -> None:
    """An undisturbed export takes exactly the steps at which the worker is killed here, and makes several files."""
    shop = new_shop(chance(request).choice(DATABASES), way)
    steps, per_file = recover(shop), (*BEFORE, *OF_CHANNEL[way], *AFTER)
    assert set(steps) == {*ONCE, *per_file}
    assert all(steps[step] == 1 for step in ONCE)
    assert all(steps[step] >= 3 for step in per_file)
    assert steps["file.progress"] > steps["file.opened"]  # a file in several pieces is among them
    assert shop.faults(at_rest=True) == []
    assert set(shop.facts().left_out.values()) == {"held", "expired"}
    assert set(shop.facts().attempts.values()) == {1}
    assert_nothing_more_goes(shop)


EVERYWHERE = (*ONCE, *BEFORE, *AFTER)
CASES = (
    [
        of_way(way, kind, step)
        for way, steps in OF_CHANNEL.items()
        for kind in DATABASES
        for step in (*EVERYWHERE, *steps)
    ]
    if SOAK
    else [
        *(("", "", step) for step in EVERYWHERE),
        *(of_way(way, "", step) for way, steps in OF_CHANNEL.items() for step in steps),
    ]
)


@pytest.mark.parametrize(("way", "kind", "step"), CASES)
def test_a_worker_killed_at_any_step_loses_and_doubles_nothing(
    request: pytest.FixtureRequest, new_shop: NewShop, record_property: Record, way: str, kind: str, step: str
) -> None:
    """Killed at a step of its first file, started again, killed at that step of a second file, started again."""
    random, kills = chance(request), 1 if step in ONCE else 2
    shop = new_shop(kind or random.choice(DATABASES), way or random.choice(installed()))
    for nth in range(1, kills + 1):
        assert shop.run("SIGKILL", step, str(nth)) == KILLED
        assert shop.faults(at_rest=False) == []
        shop.end_leases()
    recover(shop)
    assert_all_is_well(shop, kills, record_property)
    assert_nothing_more_goes(shop)


@pytest.mark.parametrize("number", range(SHOPS))
def test_a_worker_killed_at_any_moment_loses_and_doubles_nothing(
    request: pytest.FixtureRequest, new_shop: NewShop, record_property: Record, number: int
) -> None:
    """Killed wherever it happens to be, again and again, while orders go on coming in."""
    random, kills, numbers = chance(request), 0, count(100, 10)
    shop = new_shop(random.choice(DATABASES), random.choice(installed()))
    while kills < KILLS:
        kills += killed_after(shop, random.uniform(0, LONGEST))
        assert shop.faults(at_rest=False) == []
        shop.end_leases()
        if not shop.facts().open_work:
            sell(shop, next(numbers))
    recover(shop)
    assert_all_is_well(shop, kills, record_property, filled=False)


def killed_after(shop: Shop, seconds: float) -> bool:
    """Kill a worker so long after it began to work, and say whether it had not ended before."""
    ready = PROCESSES.Event()
    with shop.victim(ready=ready) as victim:
        assert ready.wait(SECONDS)
        victim.join(seconds)
        victim.kill()
        victim.join()
        return victim.exitcode == KILLED


def sell(shop: Shop, first: int) -> None:
    """Take more orders, and ask for their export."""
    with shop.service() as service:
        shops.fill(service, shop.acknowledgements, shops.later_orders(first, 10, datetime.now(UTC)))
    request_export(shop)

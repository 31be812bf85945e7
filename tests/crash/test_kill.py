"""The worker is killed at every step of an export and started again: nothing is lost, nothing is sent twice."""

import signal
from collections import Counter

import pytest

from tests.crash.shop import Shop, request_export
from tests.crash.victim import ONCE, PER_FILE, Steps, finish

KILLED = -signal.SIGKILL


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


def test_the_list_of_steps_is_complete(shop: Shop) -> None:
    """An undisturbed export takes exactly the steps at which the worker is killed here, and makes several files."""
    steps = recover(shop)
    assert set(steps) == {*ONCE, *PER_FILE}
    assert len(steps) >= 12
    assert all(steps[step] == 1 for step in ONCE)
    assert all(steps[step] >= 3 for step in PER_FILE)
    assert shop.faults(at_rest=True) == []
    assert set(shop.facts().left_out.values()) == {"held", "expired"}
    assert_nothing_more_goes(shop)


@pytest.mark.parametrize("step", [*ONCE, *PER_FILE])
def test_a_worker_killed_at_any_step_loses_and_doubles_nothing(shop: Shop, step: str) -> None:
    """Killed at a step of its first file, started again, killed at that step of a second file, started again."""
    assert shop.run("SIGKILL", step, "1") == KILLED
    assert shop.faults(at_rest=False) == []
    if step in PER_FILE:
        assert shop.run("SIGKILL", step, "2") == KILLED
        assert shop.faults(at_rest=False) == []
    recover(shop)
    assert shop.faults(at_rest=True) == []
    assert_nothing_more_goes(shop)

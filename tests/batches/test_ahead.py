"""Work is begun ahead, taken in order, and none of it goes on when nobody wants more."""

import threading
from collections.abc import Iterator

import pytest

from app.batches.ahead import ahead

SECONDS = 30.0


def test_results_come_in_order_however_long_each_takes() -> None:
    """The first one waits for the second here, so that both must be at work."""
    second = threading.Event()

    def work(number: int) -> int:
        if number == 1:
            second.set()
        assert second.wait(SECONDS)
        return number

    assert list(ahead(work, range(5), 1)) == [0, 1, 2, 3, 4]


def test_no_more_is_begun_than_was_said() -> None:
    """Memory holds what is taken and two more, whatever is to come."""
    begun: list[int] = []

    def tasks() -> Iterator[int]:
        for number in range(100):
            begun.append(number)
            yield number

    results = ahead(lambda number: number, tasks(), 2)
    for number in range(10):
        assert next(results) == number
        assert len(begun) == number + 3


def test_a_failure_comes_in_its_turn() -> None:
    """What went well before it is not lost."""
    results = ahead(lambda number: 12 // number, [3, 2, 0, 1], 3)
    assert [next(results), next(results)] == [4, 6]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_nothing_goes_on_after_the_end() -> None:
    """Who stops early waits for what was begun, so that no thread reads a database that is being closed."""
    ended: list[int] = []

    def work(number: int) -> int:
        ended.append(number)
        return number

    results = ahead(work, range(10), 2)
    assert next(results) == 0
    del results
    assert sorted(ended) == [0, 1, 2]

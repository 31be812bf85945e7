"""A lane: one call after the other, each reported to whoever waits."""

import asyncio
import threading

import pytest

from app.lane import Lane


def test_calls_are_made_in_their_order_in_one_thread() -> None:
    """Whatever each of them does or raises."""
    made: list[int] = []
    threads: set[int] = set()

    def call(number: int) -> int:
        threads.add(threading.get_ident())
        made.append(number)
        if number % 2:
            raise ValueError(number)
        return number

    async def life() -> list[int | BaseException]:
        lane = Lane("test")
        outcomes = await asyncio.gather(
            *(lane.run(lambda number=number: call(number)) for number in range(20)),  # type: ignore[misc]
            return_exceptions=True,
        )
        lane.close()
        lane.join(10)
        return outcomes

    outcomes = asyncio.run(life())
    assert made == list(range(20))
    assert len(threads) == 1
    assert threading.get_ident() not in threads
    assert [isinstance(one, ValueError) for one in outcomes] == [number % 2 == 1 for number in range(20)]


def test_a_call_that_hangs_hangs_nothing_else() -> None:
    """The loop goes on, may end, and a result that comes too late is for nobody."""
    lane, go_on = Lane("test"), threading.Event()

    async def life() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(lane.run(lambda: go_on.wait(60)), 0.01)
        assert not lane.run(threading.get_ident).done()

    asyncio.run(life())
    go_on.set()
    lane.close()
    lane.join(10)

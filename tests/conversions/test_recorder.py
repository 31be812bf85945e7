"""Orders that come at the same time are recorded together, and each is answered as if it had come alone."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import text

from app.conversions.order import Order
from app.conversions.record import Outcome, Result
from app.conversions.recorder import Recorder
from app.database import Database
from app.errors import Unavailable
from tests.support import NOW, order

SECONDS = 30


class Gated(Database):
    """A database whose groups wait at a gate, and whose failure can be arranged."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.gate, self.groups, self.failure = threading.Event(), 0, None
        self.gate.set()

    failure: Exception | None

    @contextmanager
    def group(self) -> Iterator[Any]:
        """Count the group, let it wait, let it fail."""
        self.groups += 1
        assert self.gate.wait(SECONDS)
        if self.failure:
            raise self.failure
        with super().group() as cursor:
            yield cursor


@pytest.fixture
def gated(database: Database) -> Iterator[Gated]:
    """The test's database behind a gate."""
    gated = Gated(database.url)
    yield gated
    gated.close()


Life = Callable[[Recorder], Awaitable[None]]


def live(life: Life, database: Database, **settings: Any) -> None:
    """Run something with a recorder, from its start to its end."""

    async def run() -> None:
        recorder = Recorder(database, **settings)
        recorder.start()
        try:
            await asyncio.wait_for(life(recorder), SECONDS)
        finally:
            await recorder.close()

    asyncio.run(run())


async def sent(recorder: Recorder, *orders: Order) -> list[asyncio.Task[Result]]:
    """Send orders at the same moment, and return when the recorder has them."""
    tasks = [asyncio.create_task(recorder.record(one, NOW)) for one in orders]
    await asyncio.sleep(0)
    return tasks


async def outcomes(tasks: list[asyncio.Task[Result]]) -> list[Outcome | type[Exception]]:
    """Return what became of each."""
    results = await asyncio.gather(*tasks, return_exceptions=True)
    return [one.outcome if isinstance(one, Result) else type(one) for one in results]  # type: ignore[misc]


async def answered(recorder: Recorder, one: Order) -> list[Outcome | type[Exception]]:
    """Send an order until it is not told to come back any more."""
    for _ in range(1_000):
        result = await outcomes(await sent(recorder, one))
        if result != [Unavailable]:
            return result
        await asyncio.sleep(0.01)
    raise TimeoutError


def recorded(database: Database) -> set[str]:
    """Return the ids of all orders that are recorded."""
    with database.snapshot() as session:
        return set(session.connection().execute(text("SELECT order_id FROM conversion")).scalars())


def test_what_gathers_during_a_commit_is_the_next_group(gated: Gated) -> None:
    """A lone order waits for nobody; a hundred that come meanwhile need one commit, and each gets its own answer."""

    async def life(recorder: Recorder) -> None:
        gated.gate.clear()
        first = await sent(recorder, order("first"))
        rest = await sent(recorder, *(order(f"A-{number}") for number in range(100)))
        gated.gate.set()
        results = await asyncio.gather(*first, *rest)
        assert [one.order.order_id for one in results] == ["first", *(f"A-{number}" for number in range(100))]
        assert {one.outcome for one in results} == {Outcome.NEW}

    live(life, gated)
    assert gated.groups == 2
    assert len(recorded(gated)) == 101


def test_the_same_order_twice_in_a_group_is_one_order(gated: Gated) -> None:
    """Whoever came first is new, its repetition is a replay, another body under its id is refused."""

    async def life(recorder: Recorder) -> None:
        gated.gate.clear()
        first = await sent(recorder, order("known"))
        rest = await sent(
            recorder, order("A"), order("A"), order("A", items=1), order("known"), order("known", items=3), order("B")
        )
        gated.gate.set()
        assert await outcomes(first + rest) == [
            *(Outcome.NEW, Outcome.NEW, Outcome.REPLAYED, Outcome.CONFLICT, Outcome.REPLAYED, Outcome.CONFLICT),
            Outcome.NEW,
        ]

    live(life, gated)
    assert gated.groups == 2
    assert recorded(gated) == {"known", "A", "B"}


def test_an_order_that_the_database_refuses_fails_alone(gated: Gated) -> None:
    """Its neighbours are recorded; only whoever sent it hears of it."""
    with gated.transaction() as session:
        once = "CREATE UNIQUE INDEX once ON revision (promo_code) WHERE promo_code = 'once'"
        session.connection().execute(text(once))

    async def life(recorder: Recorder) -> None:
        gated.gate.clear()
        first = await sent(recorder, order("first", promo_code="once"))
        rest = await sent(recorder, order("A"), order("bad", promo_code="once"), order("\ud800"), order("B"))
        gated.gate.set()
        *good, last = await outcomes(first + rest)
        assert [isinstance(one, Outcome) for one in good] == [True, True, False, False]
        assert last is Outcome.NEW

    live(life, gated)
    assert recorded(gated) == {"first", "A", "B"}


def test_whoever_goes_away_takes_nobody_along(gated: Gated) -> None:
    """The order of a cancelled request is recorded like its neighbours, so that a repetition finds it."""

    async def life(recorder: Recorder) -> None:
        gated.gate.clear()
        [first] = await sent(recorder, order("first"))
        left, stays = await sent(recorder, order("left"), order("stays"))
        first.cancel()
        left.cancel()
        await asyncio.sleep(0)
        gated.gate.set()
        assert (await stays).outcome is Outcome.NEW
        assert left.cancelled()
        assert await outcomes(await sent(recorder, order("first"), order("left"))) == 2 * [Outcome.REPLAYED]

    live(life, gated)
    assert recorded(gated) == {"first", "left", "stays"}


def test_only_so_many_wait(gated: Gated) -> None:
    """Beyond that an order is refused at once, and may come again in a moment."""

    async def life(recorder: Recorder) -> None:
        gated.gate.clear()
        taken = await sent(recorder, order("first"), *(order(f"A-{number}") for number in range(3)))
        with pytest.raises(Unavailable) as refusal:
            await recorder.record(order("too many"), NOW)
        assert refusal.value.code == "QUEUE_FULL"
        assert int(refusal.value.headers["Retry-After"]) > 0
        gated.gate.set()
        assert await outcomes(taken) == 4 * [Outcome.NEW]
        assert (await recorder.record(order("too many"), NOW)).outcome is Outcome.NEW

    live(life, gated, crowd=3)


def test_while_the_database_is_away_nobody_is_told_otherwise(gated: Gated) -> None:
    """Each order of the group is refused, none is recorded, and the next ones are taken when it is back."""

    async def life(recorder: Recorder) -> None:
        gated.failure = Unavailable("It is away.")
        assert await outcomes(await sent(recorder, order("A"), order("B"), order("C"))) == 3 * [Unavailable]
        assert recorded(gated) == set()
        gated.failure = None
        assert await outcomes(await sent(recorder, order("A"), order("B"))) == 2 * [Outcome.NEW]

    live(life, gated)
    assert recorded(gated) == {"A", "B"}


def test_a_database_that_is_silent_keeps_nobody_for_ever(gated: Gated) -> None:
    """Those who wait hear after a while that they should come again, new ones at once; what it got is recorded once."""

    async def life(recorder: Recorder) -> None:
        gated.gate.clear()
        waiting = await sent(recorder, order("A"), order("B"), order("C"))
        assert await outcomes(waiting) == 3 * [Unavailable]
        with pytest.raises(Unavailable, match="does not answer"):
            await asyncio.wait_for(recorder.record(order("D"), NOW), 0.04)  # sooner than the others were told
        gated.gate.set()
        assert await answered(recorder, order("A")) == [Outcome.REPLAYED]

    live(life, gated, patience=0.05)
    assert recorded(gated) == {"A"}


def test_at_the_end_everything_that_was_taken_is_answered(gated: Gated) -> None:
    """A service that is told to stop finishes what it has, and takes nothing new."""

    async def life(recorder: Recorder) -> None:
        gated.gate.clear()
        taken = await sent(recorder, *(order(f"A-{number}") for number in range(20)))
        closing = asyncio.create_task(recorder.close())
        await asyncio.sleep(0)
        with pytest.raises(Unavailable, match="stopping"):
            await recorder.record(order("late"), NOW)
        gated.gate.set()
        await closing
        assert await outcomes(taken) == 20 * [Outcome.NEW]

    live(life, gated)
    assert len(recorded(gated)) == 20


def test_large_orders_go_in_smaller_groups(gated: Gated) -> None:
    """No statement grows without bound: of orders with 9,999 lines each, two go at a time."""

    async def life(recorder: Recorder) -> None:
        gated.gate.clear()
        tasks = await sent(recorder, order("first"), *(order(f"A-{number}", items=9_999) for number in range(4)))
        gated.gate.set()
        assert await outcomes(tasks) == 5 * [Outcome.NEW]

    live(life, gated)
    assert gated.groups == 3

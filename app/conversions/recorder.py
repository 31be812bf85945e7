"""Records orders in groups: whatever has gathered while one group was committed is the next one.

Everything is decided on the event loop; a lane of its own does what may block, one group at a time. Each order is
answered after the commit of its group. If the database hangs, those who wait are answered after a while all the same,
and nobody else begins to wait.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pydantic import SecretStr

from app.conversions.order import Order
from app.conversions.record import Result, record
from app.database import Database
from app.errors import Failure, Unavailable
from app.lane import Lane

logger = logging.getLogger(__name__)

GROUP: Final = 500
GROUP_LINES: Final = 20_000
CROWD: Final = 5_000
"""As many orders may wait; more of them would only wait in vain and fill the memory."""
PATIENCE: Final = 10.0
"""Seconds after which those who wait for a commit are told to come back; what fails by itself does so before."""
CLOSE_SECONDS: Final = 15.0


@dataclass(eq=False, slots=True)
class Waiting:
    """An order, when it came, and whoever waits to hear what became of it."""

    order: Order
    came_at: datetime
    answer: asyncio.Future[Result]


class Recorder:
    """Where `POST /orders` leaves its orders. All but making it is done on one event loop."""

    def __init__(
        self, database: Database, key: SecretStr | None = None, *, patience: float = PATIENCE, crowd: int = CROWD
    ) -> None:
        self._database, self._key, self._patience, self._crowd = database, key, patience, crowd
        self._gathered: list[Waiting] = []
        self._group: list[Waiting] = []
        """Those on their way; empty while the lane is free."""
        self._hangs = self._closed = False

    def start(self) -> None:
        """Begin, on the event loop."""
        self._loop = asyncio.get_running_loop()
        self._lane = Lane("orders to database")

    async def record(self, order: Order, now: datetime) -> Result:
        """Record an order, durably, and return what became of it. If the caller goes away, it is recorded all the same.

        Raises Unavailable if it cannot be recorded now, if too many wait, or if the database is silent for too long: in
        that last case alone it may be recorded later.
        """
        if self._closed:
            raise Unavailable("The service is stopping; repeat the call in a few seconds.")
        if self._hangs:
            raise _silent()
        if len(self._gathered) >= self._crowd:
            raise Unavailable(
                "Too many orders wait to be recorded; repeat the call in a few seconds.", code="QUEUE_FULL"
            )
        answer: asyncio.Future[Result] = self._loop.create_future()
        self._gathered.append(Waiting(order, now, answer))
        if not self._group:
            self._begin()
        return await answer

    async def close(self) -> None:
        """Take no more orders, answer those that were taken, and end the lane."""
        self._closed = True
        waiting = [one.answer for one in (*self._group, *self._gathered)]
        if waiting:
            await asyncio.wait(waiting, timeout=CLOSE_SECONDS)
        self._lane.close()
        await asyncio.to_thread(self._lane.join, CLOSE_SECONDS if not self._hangs else 0)

    def _begin(self) -> None:
        size = _size_of_group(self._gathered)
        self._group, self._gathered = self._gathered[:size], self._gathered[size:]
        orders, now = [one.order for one in self._group], self._group[-1].came_at
        timer = self._loop.call_later(self._patience, self._lose_patience)
        done = self._lane.run(lambda: _record(self._database, orders, now, self._key))
        done.add_done_callback(lambda done: self._end(done, timer))

    def _end(self, done: asyncio.Future[list[Result | Exception]], timer: asyncio.TimerHandle) -> None:
        timer.cancel()
        group, self._group, self._hangs = self._group, [], False
        if self._gathered:
            self._begin()  # before the answers, so that the lane works while they are written
        for one, result in zip(group, done.result(), strict=True):
            _answer(one, result)

    def _lose_patience(self) -> None:
        """Send those away who wait for a database that is silent; what it was given it may still record."""
        logger.error("orders.database_silent", extra={"number": len(self._group) + len(self._gathered)})
        self._hangs = True
        gathered, self._gathered = self._gathered, []
        for one in (*self._group, *gathered):
            _answer(one, _silent())


def _size_of_group(gathered: Sequence[Waiting]) -> int:
    """Return how many go together: one at least, and else no more than a statement should hold."""
    lines = 0
    for size, one in enumerate(gathered[:GROUP]):
        lines += len(one.order.items)
        if size and lines > GROUP_LINES:
            return size
    return min(len(gathered), GROUP)


def _answer(one: Waiting, result: Result | Exception) -> None:
    if one.answer.done():  # whoever waited may be gone
        return
    if isinstance(result, Result):
        one.answer.set_result(result)
    else:
        one.answer.set_exception(result)


def _silent() -> Unavailable:
    return Unavailable("The database does not answer; repeat the call in a few seconds.")


def _record(
    database: Database, orders: Sequence[Order], now: datetime, key: SecretStr | None
) -> list[Result | Exception]:
    """Record a group. If the database finds fault with it, each order is tried alone, so that a bad one fails alone."""
    try:
        return [*record(database, orders, now, key)]
    except Failure as failure:
        return [failure] * len(orders)
    except Exception as error:  # noqa: BLE001 (whatever it is, it is told to the order that it belongs to)
        if len(orders) == 1:
            return [error]
        return [result for order in orders for result in _record(database, [order], now, key)]

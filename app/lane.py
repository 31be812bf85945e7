"""A lane beside the event loop: a thread that does one thing after the other. If it hangs, nothing else does."""

import asyncio
import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Final, TypeVar, cast

R = TypeVar("R")

MOMENT: Final = 1.0
"""Seconds that an ordinary call has at the end."""


class Lane:
    """A thread of its own for calls that may block; it is a daemon, so that a call that never ends delays no exit."""

    def __init__(self, name: str) -> None:
        self._calls: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def run(self, call: Callable[[], R]) -> asyncio.Future[R]:
        """Return a future of the running event loop for what `call` returns or raises, after all calls before it."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[R] = loop.create_future()

        def report(result: R | None, error: Exception | None) -> None:
            if future.done():  # whoever waited may be gone
                return
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(cast("R", result))

        def work() -> None:
            result, error = None, None
            try:
                result = call()
            except Exception as exc:  # noqa: BLE001 (it is raised again where the future is awaited)
                error = exc
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(report, result, error)

        self._calls.put(work)
        return future

    def close(self) -> None:
        """End the thread after the calls that it was given."""
        self._calls.put(None)

    def join(self, seconds: float = MOMENT) -> None:
        """Wait for that, so long."""
        self._thread.join(seconds)

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            call()

"""Work that is begun before anybody asks for its result."""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, wait
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def ahead(work: Callable[[T], R], tasks: Iterable[T], most: int) -> Iterator[R]:
    """Yield what `work` returns for each task, in their order, while threads are at work on up to `most` further ones.

    Raises what `work` raises, in its turn. Once no more results are wanted, none of the threads is at work any more.
    """
    begun: deque[Future[R]] = deque()
    try:
        for task in tasks:
            begun.append(_begin(work, task))
            if len(begun) > most:
                yield begun.popleft().result()
        while begun:
            yield begun.popleft().result()
    finally:
        wait(begun)


def _begin(work: Callable[[T], R], task: T) -> Future[R]:
    """Start the work in a thread of its own; it is a daemon, so that work that never ends delays no exit."""
    future: Future[R] = Future()

    def run() -> None:
        try:
            future.set_result(work(task))
        except BaseException as error:  # noqa: BLE001 (it is raised again where the result is asked for)
            future.set_exception(error)

    threading.Thread(target=run, name="ahead", daemon=True).start()
    return future

"""What a channel is given."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from app.errors import LeaseLost

CHUNK: Final = 32 * 1024
"""Bytes that a channel hands over between two calls of `progress`."""

Progress = Callable[[int], None]
"""Called by a channel with the number of bytes handed over so far; what it raises stops the channel."""


@contextmanager
def to_the_end(progress: Progress) -> Iterator[Progress]:
    """Give a `progress` that holds LeaseLost back until the block has ended.

    For channels that write under the final name: a sender that slept and was overtaken has emptied the other's file by
    opening it, so it writes it out again, the same bytes, rather than leave half of it.
    """
    progress(0)  # the last moment to learn of it and touch nothing
    lost: list[LeaseLost] = []

    def held(handed_over: int) -> None:
        try:
            progress(handed_over)
        except LeaseLost as error:
            lost.append(error)

    yield held
    if lost:
        raise lost[0]


@dataclass(frozen=True, slots=True)
class Parcel:
    """A file as it leaves. `event_type` is its key, by which e-mail finds the address."""

    name: str
    content: bytes
    event_type: str = "default"

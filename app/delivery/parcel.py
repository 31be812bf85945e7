"""What a channel is given."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

CHUNK: Final = 32 * 1024
"""Bytes that a channel hands over between two calls of `progress`."""

Progress = Callable[[int], None]
"""Called by a channel with the number of bytes handed over so far; what it raises stops the channel."""


@dataclass(frozen=True, slots=True)
class Parcel:
    """A file as it leaves. `event_type` is its key, by which e-mail finds the address."""

    name: str
    content: bytes
    event_type: str = "default"

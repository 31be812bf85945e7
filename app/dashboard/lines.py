"""The content of a batch's file, a page at a time."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

PAGE: Final = 100


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a file; the header is line 1."""

    number: int
    cells: Sequence[str]


@dataclass(frozen=True, slots=True)
class Lines:
    """A page of a file's lines. `number` counts from 1 to `last`."""

    header: Sequence[str]
    lines: Sequence[Line]
    number: int
    last: int


def lines_of(content: bytes, rows: int, number: int) -> Lines:
    """Return a page of a file of so many rows; one beyond its end is the last."""
    last = max(1, -(-rows // PAGE))
    number = min(max(number, 1), last)
    reader = csv.reader(io.StringIO(content.decode("utf-8"), newline=""))
    header = next(reader, [])
    first = (number - 1) * PAGE
    shown = islice(reader, first, first + PAGE)
    return Lines(header, [Line(first + place, cells) for place, cells in enumerate(shown, 2)], number, last)

"""Many rows into an embedded database by few steps.

A driver's `executemany` takes a step, and with it the interpreter's lock, for every row; rows that SQLite takes out of
a JSON text are written out and read again for every column of theirs. Rows as values of one statement have neither.
"""

from collections.abc import Iterator, Sequence
from functools import cache
from itertools import chain
from typing import Any, Final

MOST: Final = 64
"""Rows of one statement: more of them are hardly quicker, and longer to prepare."""


def insert_rows(cursor: Any, into: str, rows: Sequence[Sequence[Any]], end: str = "") -> int:
    """Insert rows `into` a table and its columns, and return how many it took; `end` says what else holds."""
    place = taken = 0
    for size in _sizes(len(rows)):
        values = tuple(chain.from_iterable(rows[place : place + size]))
        taken += cursor.execute(_statement(into, len(rows[0]), size, end), values).rowcount
        place += size
    return taken


def _sizes(number: int) -> Iterator[int]:
    """Yield powers of two that come to `number`: there are few statements then, which the driver keeps prepared."""
    while number:
        size = min(1 << (number.bit_length() - 1), MOST)
        yield size
        number -= size


@cache
def _statement(into: str, width: int, size: int, end: str) -> str:
    row = f"({', '.join('?' * width)})"
    return f"INSERT INTO {into} VALUES {', '.join([row] * size)} {end}"  # noqa: S608 (names of the schema)

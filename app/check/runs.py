"""Where each order of a file begins: an order that begins twice has lines that are not together."""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import pairwise
from typing import Final

from app.check.findings import Finding
from app.errors import Unavailable

OrderKey = str
"""ActionTrackerId, a comma, and OrderId: an order id is unique within its event type only."""


class Runs:
    """The line at which each order begins; an order that begins twice has lines that are not together.

    The latest orders are in memory, which is all of them in a file of permitted size; those before are in a temporary
    database, which goes to disk.
    """

    def __init__(self) -> None:
        self.orders = 0
        self._recent: dict[OrderKey, int] = {}
        self._earlier: sqlite3.Connection | None = None

    def close(self) -> None:
        """Give the disk space back."""
        if self._earlier:
            self._earlier.close()

    def begin(self, key: OrderKey, line: int) -> Finding | None:
        """Note that an order begins, and report it if it is still known to have begun before."""
        first = self._recent.setdefault(key, line)
        if first != line:
            return _duplicate(key, line, first)
        self.orders += 1
        self._make_room()
        return None

    def begin_all(self, lines: Mapping[OrderKey, int]) -> bool:
        """Note that these orders begin, unless one of them is still known to have begun before."""
        if not self._recent.keys().isdisjoint(lines):
            return False
        self._recent.update(lines)
        self.orders += len(lines)
        self._make_room()
        return True

    def late(self) -> Iterator[Finding]:
        """Yield the orders that began twice, the first time too long before to be noticed at once."""
        if self._earlier is None:
            return
        self._put_away()
        with _disk_faults():
            for (key, first), (again, line) in pairwise(self._earlier.execute(_SEVERAL_TIMES)):
                if key == again:
                    self.orders -= 1
                    yield _duplicate(key, line, first)

    def _make_room(self) -> None:
        if len(self._recent) >= _ORDERS_IN_MEMORY:
            self._put_away()

    def _put_away(self) -> None:
        with _disk_faults():
            if self._earlier is None:
                self._earlier = sqlite3.connect("", isolation_level=None)
                self._earlier.execute("PRAGMA journal_mode = OFF")
                self._earlier.execute("CREATE TABLE run (key TEXT, line INTEGER)")
            self._earlier.execute("BEGIN")
            self._earlier.executemany("INSERT INTO run VALUES (?, ?)", self._recent.items())
            self._earlier.execute("COMMIT")
        self._recent.clear()


_ORDERS_IN_MEMORY: Final = 20_000
_SEVERAL_TIMES: Final = """
    SELECT key, line FROM run WHERE key IN (SELECT key FROM run GROUP BY key HAVING count(*) > 1) ORDER BY key, line
"""


def _duplicate(key: OrderKey, line: int, first: int) -> Finding:
    sentence = f"The order has lines from line {first:,} on and again here; put all lines of an order together."
    return Finding("OID_DUPLICATE", line, "OrderId", key.partition(",")[2], sentence)


@contextmanager
def _disk_faults() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as exc:
        raise Unavailable(f"The folder for temporary files cannot be written ({exc}); make room there.") from exc

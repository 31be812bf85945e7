"""Where each order of a file begins: an order that begins twice has lines that are not together."""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from itertools import compress, pairwise
from tempfile import TemporaryFile
from typing import IO, Final

import orjson

from app.check.findings import Finding
from app.errors import Unavailable

OrderKey = str
"""ActionTrackerId, a comma, and OrderId: an order id is unique within its event type only. An ActionID has none."""


class Runs:
    """The line at which each order begins; an order that begins twice has lines that are not together.

    The latest orders are in memory, which is all of them in a file of permitted size; those before are on disk, in
    parts. Most shops number their orders: parts whose keys lie apart have none in common, so that only the others are
    looked through, in a temporary database. `column` is the one that names an order.
    """

    def __init__(self, column: str = "OrderId", *, one_line: bool = False) -> None:
        self.orders = 0
        self._column = column
        self._one_line = one_line  # in such a file an order has no more lines
        self._recent: dict[OrderKey, int] = {}
        self._earlier: IO[bytes] | None = None  # a line for each part
        self._spans: list[tuple[OrderKey, OrderKey]] = []  # the least and the greatest key of each part

    def close(self) -> None:
        """Give the disk space back."""
        if self._earlier:
            self._earlier.close()

    def begin(self, key: OrderKey, line: int) -> Finding | None:
        """Note that an order begins, and report it if it is still known to have begun before."""
        first = self._recent.setdefault(key, line)
        if first != line:
            return self._duplicate(key, line, first)
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
        self._put_away(self._earlier)
        with _disk_faults(), closing(sqlite3.connect("", isolation_level=None)) as together:
            together.execute("PRAGMA journal_mode = OFF")
            together.execute("CREATE TABLE run (key TEXT, line INTEGER)")
            self._earlier.seek(0)
            for part in compress(self._earlier, _meet(self._spans)):
                together.execute("BEGIN")
                together.executemany("INSERT INTO run VALUES (?, ?)", orjson.loads(part).items())
                together.execute("COMMIT")
            for (key, first), (again, line) in pairwise(together.execute(_SEVERAL_TIMES)):
                if key == again:
                    self.orders -= 1
                    yield self._duplicate(key, line, first)

    def _duplicate(self, key: OrderKey, line: int, first: int) -> Finding:
        sentence = f"The order has lines from line {first:,} on and again here; put all lines of an order together."
        if self._one_line:
            sentence = f"The order is on line {first:,} already, with its whole amount; take one of the two lines out."
        return Finding("OID_DUPLICATE", line, self._column, key.partition(",")[2], sentence)

    def _make_room(self) -> None:
        if len(self._recent) >= _ORDERS_IN_MEMORY:
            with _disk_faults():
                self._earlier = self._earlier or TemporaryFile()  # noqa: SIM115 (`close` closes it)
            self._put_away(self._earlier)

    def _put_away(self, earlier: IO[bytes]) -> None:
        if self._recent:
            self._spans.append((min(self._recent), max(self._recent)))
            with _disk_faults():
                earlier.write(orjson.dumps(self._recent) + b"\n")
            self._recent.clear()


def _meet(spans: Sequence[tuple[OrderKey, OrderKey]]) -> list[bool]:
    """Say of each span whether it has something in common with another."""
    meet = [False] * len(spans)
    reaching = -1  # of the spans before, the one that reaches furthest
    for number in sorted(range(len(spans)), key=spans.__getitem__):
        if reaching >= 0 and spans[number][0] <= spans[reaching][1]:
            meet[number] = meet[reaching] = True
        if reaching < 0 or spans[number][1] > spans[reaching][1]:
            reaching = number
    return meet


_ORDERS_IN_MEMORY: Final = 20_000
_SEVERAL_TIMES: Final = """
    SELECT key, line FROM run WHERE key IN (SELECT key FROM run GROUP BY key HAVING count(*) > 1) ORDER BY key, line
"""


@contextmanager
def _disk_faults() -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as exc:
        raise Unavailable(f"The folder for temporary files cannot be written ({exc}); make room there.") from exc

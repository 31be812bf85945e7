"""What a file says on which line, as reasons are joined to it: the bytes themselves are read, whatever wrote them."""

import csv
import io
import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Final, NamedTuple

from app.batches.batch import HEADER_LINES

_ORDER: Final = ("orderid", "oid", "actionid")
_SKU: Final = re.compile(r"sku\d*")


class Part(NamedTuple):
    """What can be taken or refused by itself: an item on a line, or the line where it is a whole order."""

    line: int
    order_id: str
    sku: str


class Sent:
    """The parts of a file and whose they are: `owners` are records by their first lines, `names` more names of them.

    A record is the revision or the correction that stands there.
    """

    def __init__(self, content: bytes, owners: Mapping[int, int], names: Mapping[int, str]) -> None:
        self._firsts = sorted(owners)
        self._owners = owners
        self._names = names
        self.parts = list(_read(content))
        self.rows = len({part.line for part in self.parts})

    def owner(self, line: int) -> int | None:
        """Return whose a line is."""
        if line not in self.by_line:
            return None
        at = bisect_right(self._firsts, line)
        return self._owners[self._firsts[at - 1]] if at else None

    @cached_property
    def by_line(self) -> dict[int, list[Part]]:
        """The parts of each line, by its number, the header being line 1."""
        found: defaultdict[int, list[Part]] = defaultdict(list)
        for part in self.parts:
            found[part.line].append(part)
        return dict(found)

    @cached_property
    def of_owner(self) -> dict[int, list[Part]]:
        """The parts of each record."""
        found: defaultdict[int, list[Part]] = defaultdict(list)
        for part in self.parts:
            owner = self.owner(part.line)
            if owner is not None:
                found[owner].append(part)
        return dict(found)

    @cached_property
    def by_name(self) -> dict[str, int]:
        """The records by the order id, or whatever else the file calls the order."""
        found = {part.order_id: owner for owner, parts in self.of_owner.items() for part in parts[:1]}
        return {name: owner for owner, name in self._names.items()} | found

    def is_called(self, line: int, order_id: str) -> bool:
        """Say whether the order on a line has this name."""
        owner = self.owner(line)
        return owner is not None and self.by_name.get(order_id) == owner


def _read(content: bytes) -> Iterator[Part]:
    rows = csv.reader(io.StringIO(content.decode("utf-8"), newline=""))
    header = [name.casefold() for name in next(rows, [])]
    named = [header.index(name) for name in _ORDER if name in header]
    skus = [position for position, name in enumerate(header) if _SKU.fullmatch(name)]
    order_id = ""
    for line, row in enumerate(rows, HEADER_LINES + 1):
        order_id = next((row[at] for at in named if row[at]), order_id)  # a line may leave it to the one above
        yield from (Part(line, order_id, sku) for sku in _skus(row, skus))


def _skus(row: Sequence[str], columns: Sequence[int]) -> list[str]:
    return [row[at] for at in columns if row[at]] or [""]

"""What a kept file says, read back strictly: which batch it is, and on which lines its orders stand."""

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from app.batches.batch import HEADER_LINES, TITLES, BatchKind
from app.batches.modification import Form, Said, form_of, read_back
from app.check.findings import Finding
from app.check.header import read_header
from app.check.records import Records
from app.delivery.removal import Removal
from app.errors import Failure

_KINDS: Final = {title: kind for kind, title in TITLES.items()}
_DAY: Final = r"20\d\d-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])"
_NAME: Final = re.compile(rf"({_DAY})_({'|'.join(_KINDS)})_([a-z0-9-]{{1,32}})_([0-9a-f]+)\.csv", re.ASCII)


class Damaged(Failure):
    """A kept file is not what was kept."""

    code = "KEPT_FILE_DAMAGED"


@dataclass(frozen=True, slots=True)
class Kept:
    """A kept file: `first_lines` holds each order's first line by OrderId or ActionID, the header being line 1.

    `said` holds what is said of each order: amount and quantity of each line, where it has one; in a file of
    modifications, which has a `form`, all values. `removal`: cells of it are emptied, and it is not sent.
    """

    name: str
    batch_id: str
    kind: BatchKind
    event_type: str
    made_on: datetime
    rows: int
    first_lines: Mapping[str, int]
    content: bytes
    form: Form | None = None
    said: Mapping[str, Sequence[tuple[str, ...]]] = field(default_factory=dict)
    removal: Removal | None = None


def is_ours(name: str) -> bool:
    """Say whether a file's name is one that batches have."""
    return _NAME.fullmatch(name) is not None


def read_kept(name: str, content: bytes, removal: Removal | None = None) -> Kept:
    """Return what a kept file says; it was made in the course of the day that its name tells. Raises Damaged."""
    if not (named := _NAME.fullmatch(name)):
        raise Damaged(f"{name} is not the name of a batch; move it out of the journal.")
    day, title, event_type, batch_id = named.groups()
    kind, made_on = _KINDS[title], datetime.fromisoformat(day).replace(tzinfo=UTC)
    header, rows = _read(name, content)
    form = form_of(header) if kind is BatchKind.MODIFICATIONS else None
    orders = _orders(name, header, rows) if kind is BatchKind.CONVERSIONS else _modifications(name, rows, form)
    first_lines = {order_id: said.row + HEADER_LINES + 1 for order_id, said in orders.items()}
    said = {order_id: said.lines for order_id, said in orders.items()}
    return Kept(name, batch_id, kind, event_type, made_on, len(rows), first_lines, content, form, said, removal)


def _read(name: str, content: bytes) -> tuple[list[str], list[list[str]]]:
    """Return the header and the rows. Raises Damaged if anything is not as every file is made."""
    found: list[Finding] = []
    header, *rows = [record for block in Records(io.BytesIO(content), found) for record in block.records] or [[]]
    whole = content.endswith(b"\r\n") and rows and all(len(row) == len(header) for row in rows)
    if not whole or any(one.severity == "fault" for one in found):
        raise _damaged(name)
    return header, rows


def _orders(name: str, header: list[str], rows: list[list[str]]) -> dict[str, Said]:
    """Return where the orders of a file stand and what they come to, by OrderId. Raises Damaged."""
    found: list[Finding] = []
    columns = read_header(header, found)
    if any(one.severity == "fault" for one in found):
        raise _damaged(name)
    values = [columns[name] for name in ("Amount", "Quantity") if name in columns]
    orders: dict[str, Said] = {}
    for number, row in enumerate(rows):
        before = orders.get(row[columns["OrderId"]], Said(number, ()))
        orders[row[columns["OrderId"]]] = Said(before.row, (*before.lines, tuple(row[value] for value in values)))
    return orders


def _modifications(name: str, rows: list[list[str]], form: Form | None) -> dict[str, Said]:
    """Return what a file of modifications says of each order. Raises Damaged."""
    orders = read_back(rows, form) if form else {}
    if not orders or "" in orders:
        raise _damaged(name)
    return orders


def _damaged(name: str) -> Damaged:
    return Damaged(
        f"{name} is damaged; put a good copy in its place, such as another host's journal or the receiver has."
        " Without it what it says would be sent again."
    )

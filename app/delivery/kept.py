"""What a kept file says, read back strictly: which batch it is, and on which lines its orders stand."""

import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from app.batches.batch import HEADER_LINES, TITLES, BatchKind
from app.check.findings import Finding
from app.check.header import read_header
from app.check.records import Records
from app.errors import Failure

_KINDS: Final = {title: kind for kind, title in TITLES.items()}
_DAY: Final = r"20\d\d-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])"
_NAME: Final = re.compile(rf"({_DAY})_({'|'.join(_KINDS)})_([a-z0-9-]{{1,32}})_([0-9a-f]+)\.csv", re.ASCII)


class Damaged(Failure):
    """A kept file is not what was kept."""

    code = "KEPT_FILE_DAMAGED"


@dataclass(frozen=True, slots=True)
class Kept:
    """A kept file: `first_lines` holds each order's first line by OrderId, the header being line 1."""

    name: str
    batch_id: str
    kind: BatchKind
    event_type: str
    made_on: datetime
    rows: int
    first_lines: Mapping[str, int]
    content: bytes


def is_ours(name: str) -> bool:
    """Say whether a file's name is one that batches have."""
    return _NAME.fullmatch(name) is not None


def read_kept(name: str, content: bytes) -> Kept:
    """Return what a kept file says; it was made in the course of the day that its name tells. Raises Damaged."""
    if not (named := _NAME.fullmatch(name)):
        raise Damaged(f"{name} is not the name of a batch; move it out of the journal.")
    day, title, event_type, batch_id = named.groups()
    order_ids = _order_ids(name, content)
    first_lines: dict[str, int] = {}
    for line, order_id in enumerate(order_ids, HEADER_LINES + 1):
        first_lines.setdefault(order_id, line)
    made_on = datetime.fromisoformat(day).replace(tzinfo=UTC)
    return Kept(name, batch_id, _KINDS[title], event_type, made_on, len(order_ids), first_lines, content)


def _order_ids(name: str, content: bytes) -> list[str]:
    """Return the OrderId of each line. Raises Damaged if anything is not as every file is made."""
    found: list[Finding] = []
    header, *rows = [record for block in Records(io.BytesIO(content), found) for record in block.records] or [[]]
    columns = read_header(header, found)
    whole = content.endswith(b"\r\n") and rows and all(len(row) == len(header) for row in rows)
    if not whole or any(one.severity == "fault" for one in found):
        raise Damaged(
            f"{name} is damaged; put a good copy in its place, such as another host's journal or the receiver has."
            " Without it its orders would be sent again."
        )
    return [row[columns["OrderId"]] for row in rows]

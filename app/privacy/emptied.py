"""A file of orders without what it says of some people: their cells are empty, every line stays where it was."""

import csv
import io
from collections.abc import Collection
from dataclasses import dataclass, field

from app.privacy.personal import is_personal


@dataclass(frozen=True, slots=True)
class Theirs:
    """Whose lines are meant: of these orders, or with one of these click ids or customer ids; or of `everyone`."""

    order_ids: Collection[str] = ()
    click_ids: Collection[str] = ()
    customer_ids: Collection[str] = ()
    everyone: bool = False

    def is_of(self, order_id: str, click_id: str, customer_id: str) -> bool:
        """Say whether a line with these is meant."""
        named = order_id in self.order_ids or click_id in self.click_ids or customer_id in self.customer_ids
        return self.everyone or named


@dataclass(frozen=True, slots=True)
class Emptied:
    """A file without them; `lines` held something, and `click_ids` were among it."""

    content: bytes
    lines: int
    click_ids: frozenset[str] = field(default=frozenset())


def empty(content: bytes, theirs: Theirs) -> Emptied:
    """Return a file in which the personal cells of some lines are empty. Raises ValueError if it is no such file."""
    header, *rows = csv.reader(io.StringIO(content.decode("utf-8"), newline=""), strict=True)
    personal = [place for place, name in enumerate(header) if is_personal(name)]
    order, click, customer = (header.index(name) for name in ("OrderId", "ClickId", "CustomerId"))
    lines, click_ids = 0, set[str]()
    for row in rows:
        if theirs.is_of(row[order], row[click], row[customer]) and any(row[place] for place in personal):
            click_ids |= {row[click]} - {""}
            lines += 1
            for place in personal:
                row[place] = ""
    if not lines:
        return Emptied(content, 0)
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator="\r\n").writerows([header, *rows])
    return Emptied(out.getvalue().encode(), lines, frozenset(click_ids))

"""What impact.com believes of an order, after corrections of which it may have refused some."""

from collections.abc import Iterable
from typing import NamedTuple

from app.conversions.wish import Lines


class Told(NamedTuple):
    """What a correction told: all lines by one line for the order (`whole`), or those lines that have a reason.

    `refused` are the SKUs of lines that impact.com did not take.
    """

    lines: Lines
    whole: bool = False
    refused: frozenset[str] = frozenset()


def believed(recorded: Lines, told: Iterable[Told]) -> Lines:
    """Return an order's lines as impact.com has them; `told` holds in their order the corrections that it took."""
    lines = recorded
    for one in told:
        if one.whole:
            lines = one.lines
            continue
        lines = tuple(
            after if after.reason is not None and after.sku not in one.refused else before
            for before, after in zip(lines, one.lines, strict=True)
        )
    return lines

"""Reasons joined to what was sent: by line, order id and SKU, as far as a list of errors has them.

Whether `Line` counts the header is not documented, so that the rows themselves decide it: what stands on the line has
to fit the order id and the SKU that the row names.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from app.submissions.sent import Sent
from app.submissions.submission import ErrorLine

COUNTED: Final = "Line counts the header: on the lines counted so stands what the rows name."
NOT_COUNTED: Final = "Line does not count the header: on the lines counted so stands what the rows name."
BY_MORE: Final = " Some rows fit only otherwise; those are joined by order id and SKU."
UNDECIDED: Final = (
    "Whether Line counts the header cannot be told from these rows: they are joined by order id and SKU, and lines"
    " within an order are counted with the header."
)
NO_LINES: Final = "The rows have no Line; they are joined by order id and SKU."


class Joined(NamedTuple):
    """Whose a reason is, and our line; None where it cannot be told. Without a line it is about the whole order."""

    owner: int | None
    line: int | None


def join(rows: Sequence[ErrorLine], sent: Sent) -> tuple[list[Joined], str]:
    """Return for each row what it is about, and in a sentence how the lines were counted."""
    offset, told = _decide(rows, sent)
    return [_join(row, sent, offset) for row in rows], told


def _decide(rows: Sequence[ErrorLine], sent: Sent) -> tuple[int | None, str]:
    """Return what is to be added to a row's line to get ours, or None if that cannot be told."""
    lines = [(row, row.line) for row in rows if row.line is not None]
    if not lines:
        return None, NO_LINES
    fits = [(_fits(row, line, sent), _fits(row, line + 1, sent)) for row, line in lines]
    counted, not_counted = fits.count((True, False)), fits.count((False, True))
    if counted == not_counted:
        return None, UNDECIDED
    more = BY_MORE if counted and not_counted else ""
    return (0, COUNTED + more) if counted > not_counted else (1, NOT_COUNTED + more)


def _fits(row: ErrorLine, line: int, sent: Sent) -> bool:
    """Say whether what a row names stands on a line of ours."""
    parts = sent.by_line.get(line)
    if not parts or (row.order_id is not None and not sent.is_called(line, row.order_id)):
        return False
    return row.sku is None or any(part.sku in {row.sku, ""} for part in parts)


def _join(row: ErrorLine, sent: Sent, offset: int | None) -> Joined:
    if row.line is not None and offset is not None and _fits(row, row.line + offset, sent):
        return Joined(sent.owner(row.line + offset), row.line + offset)
    owner = _owner(row, sent)
    if owner is None:
        return Joined(None, None)
    named = [part.line for part in sent.of_owner[owner] if part.sku and part.sku == row.sku]
    return Joined(owner, named[0] if named else _line_within(row, sent, owner, offset))


def _owner(row: ErrorLine, sent: Sent) -> int | None:
    """Return whose a row is whose line does not tell: by its order id, by both lines it can mean, or by its SKU."""
    if row.order_id is not None:
        return sent.by_name.get(row.order_id)
    lines = [] if row.line is None else [line for line in (row.line, row.line + 1) if _fits(row, line, sent)]
    if row.line is None and row.sku is not None:
        lines = [part.line for part in sent.parts if part.sku == row.sku]
    owners = {sent.owner(line) for line in lines}
    return owners.pop() if len(owners) == 1 else None


def _line_within(row: ErrorLine, sent: Sent, owner: int, offset: int | None) -> int | None:
    """Return the line of an order that a row means; None if it names no line, or none of the order."""
    if row.line is None:
        return None
    meant = (row.line, row.line + 1) if offset is None else (row.line + offset,)
    return next((line for line in meant if line in {part.line for part in sent.of_owner[owner]}), None)

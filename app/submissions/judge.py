"""What follows from the errors of submissions for the orders, or corrections, that they hold."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from app.batches.batch import HEADER_LINES
from app.submissions.sent import Part
from app.submissions.submission import FileVerdict, Verdict

DUPLICATE: Final = "CONV_DUPLICATE"
ALREADY_REVERSED: Final = "ALREADY_REVERSED"
NO_CHANGE: Final = "NO_CHANGE"


class Against(NamedTuple):
    """What stands against a record in a submission: a line, an item of it, or all of it if neither is named."""

    owner: int
    line: int | None
    sku: str | None


def forgiven(*, is_order: bool, reverses: bool, again: bool) -> frozenset[str]:
    """Return the reasons that say no more than that something is there already, since it may have come twice."""
    if not again:
        return frozenset()
    if is_order:
        return frozenset({DUPLICATE})
    return frozenset({NO_CHANGE, ALREADY_REVERSED} if reverses else {NO_CHANGE})


def count_differs(total_records: int | None, rows: int) -> bool:
    """Say whether impact.com counts other records than we sent. Whether it counts the header is not documented."""
    return total_records is not None and total_records not in {0, rows, rows + HEADER_LINES}


def verdicts(parts_of: Mapping[int, Sequence[Part]], submissions: Iterable[Collection[Against]]) -> dict[int, Verdict]:
    """Return what became of each record; what any of the submissions took of it has been taken."""
    taken: dict[int, set[Part]] = {owner: set() for owner in parts_of}
    for against in submissions:
        named: dict[int, list[Against]] = {}
        for one in against:
            named.setdefault(one.owner, []).append(one)
        for owner, parts in parts_of.items():
            taken[owner] |= {part for part in parts if not any(_hits(one, part, parts) for one in named.get(owner, ()))}
    return {owner: _verdict(len(taken[owner]), len(set(parts))) for owner, parts in parts_of.items()}


def _hits(one: Against, part: Part, parts: Sequence[Part]) -> bool:
    """Say whether an error is about a part. A SKU narrows down a line that holds several items, and nothing else."""
    if one.line is None:
        return True
    is_named = any(other.line == one.line and other.sku == one.sku for other in parts)
    return one.line == part.line and (part.sku == one.sku or not is_named)


def _verdict(taken: int, parts: int) -> Verdict:
    if taken == parts:
        return Verdict.ACCEPTED
    return Verdict.PARTLY_ACCEPTED if taken else Verdict.REJECTED


def file_verdict(accepted: int, rejected: int, number: int) -> FileVerdict:
    """Return what became of a batch of so many records; those that are neither were taken in part."""
    if accepted == number:
        return FileVerdict.ACCEPTED
    return FileVerdict.REJECTED if rejected == number else FileVerdict.PARTLY_REJECTED

"""Reasons of impact.com by how often it gave them lately."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlmodel import Session

from app.impact.outcomes import Reason, reason
from app.submissions import frequency_store as store

MOST: Final = 10_000
"""So many errors are looked through at most, the newest."""


@dataclass(frozen=True, slots=True)
class Frequent:
    """A reason, and against how many lines and orders it stood."""

    reason: Reason
    errors: int
    orders: int


@dataclass(frozen=True, slots=True)
class Frequencies:
    """Reasons, the most frequent first. Where there were more errors than are looked through, all counts are at least.

    `since` is from when on they were counted: what was asked for, or later where there were too many.
    """

    reasons: list[Frequent]
    since: datetime
    or_more: bool


def frequencies(session: Session, since: datetime) -> Frequencies:
    """Count the reasons that impact.com gave since then: what was recorded here, line by line, and by orders."""
    errors, about = Counter[str](), dict[str, set[tuple[int | None, int | None]]]()
    before, looked_at, oldest = None, 0, since
    while looked_at < MOST:
        rows = store.errors_before(session, before)
        times = store.recorded_at(session, {row.submission_id for row in rows})
        recent = [row for row in rows if times[row.submission_id] >= since]
        for row in recent:
            errors[row.reason] += 1
            about.setdefault(row.reason, set()).add((row.revision_id, row.correction_id))
        looked_at += len(rows)
        if len(rows) < store.CHUNK or not recent:
            break
        before, oldest = rows[-1].id, times[rows[-1].submission_id]
    else:
        return Frequencies(_sorted(errors, about), max(oldest, since), or_more=True)
    return Frequencies(_sorted(errors, about), since, or_more=False)


def _sorted(errors: Counter[str], about: dict[str, set[tuple[int | None, int | None]]]) -> list[Frequent]:
    return [Frequent(reason(code), number, len(about[code])) for code, number in errors.most_common()]

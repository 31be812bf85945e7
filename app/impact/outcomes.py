"""What impact.com's answers mean and what is to be done: its lists of error reasons and of file submission errors.

The lists are the files error_reasons.csv and file_submission_errors.csv beside this module. Where both have a code,
they mean the same.
"""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import Final

LISTS: Final = ("error_reasons.csv", "file_submission_errors.csv")


class NextStep(StrEnum):
    """What is to be done about something that impact.com did not take."""

    FIX_AND_RESEND = "fix_and_resend"
    RESEND_LATER = "resend_later"
    DO_NOT_RESEND = "do_not_resend"
    ASK_PARTNER_MANAGER = "ask_partner_manager"


@dataclass(frozen=True, slots=True)
class Reason:
    """A code of impact.com with its meaning and what to do. `type`: Validation or Contract Error, where a list says."""

    code: str
    meaning: str
    what_to_do: str
    next_step: NextStep
    type: str | None = None
    is_known: bool = True


def reason(code: str) -> Reason:
    """Return what a code means. One that is on no list is kept as it is, and a person has to ask about it."""
    known = known_reasons().get(code)
    return known or Reason(
        code,
        "This code is on none of impact.com's lists that are known here",
        "Ask impact.com or the program manager what it means, before anything is sent again",
        NextStep.ASK_PARTNER_MANAGER,
        is_known=False,
    )


@cache
def known_reasons() -> dict[str, Reason]:
    """Return every code of impact.com's lists."""
    found: dict[str, Reason] = {}
    for name in LISTS:
        found |= {one.code: one for one in _read(name) if one.code not in found}
    return found


def _read(name: str) -> Iterator[Reason]:
    text = files("app.impact").joinpath(name).read_text("utf-8")
    for row in csv.DictReader(io.StringIO(text, newline="")):
        step = NextStep(row["next_step"])
        yield Reason(row["code"], row["meaning"], row["what_to_do"], step, row.get("type") or None)

"""What impact.com's answers mean and what is to be done: its lists of error reasons and of file submission errors.

The lists are the files error_reasons.csv and file_submission_errors.csv beside this module. Where both have a code,
they mean the same.
"""

import csv
import io
from collections.abc import Iterable, Iterator
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


HOW: Final = {
    NextStep.FIX_AND_RESEND: (
        "Fix what is wrong, in the settings or by PUT /orders/{order_id}, and send it again by POST"
        " /batches/{batch_id}/corrections or with the next export."
    ),
    NextStep.RESEND_LATER: (
        "Once the cause is gone at impact.com, send it again by POST /batches/{batch_id}/corrections, naming its order."
    ),
    NextStep.DO_NOT_RESEND: "Do not send it again: impact.com would decide the same.",
    NextStep.ASK_PARTNER_MANAGER: (
        "Ask the partner manager to settle it at impact.com; then send it again by POST"
        " /batches/{batch_id}/corrections, naming its order."
    ),
}
"""What a next step comes to here."""
_MOST_WORK_FIRST: Final = (
    NextStep.ASK_PARTNER_MANAGER,
    NextStep.FIX_AND_RESEND,
    NextStep.RESEND_LATER,
    NextStep.DO_NOT_RESEND,
)


@dataclass(frozen=True, slots=True)
class Reason:
    """A code of impact.com with its meaning and what to do. `type`: Validation or Contract Error, where a list says."""

    code: str
    meaning: str
    what_to_do: str
    next_step: NextStep
    type: str | None = None
    is_known: bool = True

    @property
    def sentence(self) -> str:
        """What it means and what to do, as a person is told."""
        return f"{self.code}: {self.meaning}. {self.what_to_do}."


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


def step_of(codes: Iterable[str]) -> NextStep | None:
    """Return what is to be done first where several reasons stand; nothing is final before all of them are."""
    steps = {reason(code).next_step for code in codes}
    return next((step for step in _MOST_WORK_FIRST if step in steps), None)


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

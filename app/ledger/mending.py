"""Which of the orders and corrections that impact.com has not taken are sent again, and why the others are not."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from app.impact.outcomes import HOW, NextStep, reason, step_of
from app.submissions.submission import Verdict

PARTLY: Final = (
    "impact.com has taken a part of this order, and would refuse it as CONV_DUPLICATE if it came again. Correct what it"
    " has by POST /orders/{order_id}/modifications, and have the rest added in impact.com's interface."
)
REVERSED: Final = "It was reversed since, and nothing of it is sent again."
UNDER_WAY: Final = "A file with it, or with a correction of it, is on its way; once that has arrived, ask again."
TOO_OLD: Final = (
    "It is too old by now for impact.com to take it. With its partner's media_id it may be taken for longer: name that"
    " by PUT /orders/{order_id}/attribution."
)
TOLD: Final = "impact.com has the order as it is by now, so that there is nothing to tell it."
ORDER_FIRST: Final = "impact.com has not taken the order; once that is repaired and sent, its corrections are in it."


@dataclass(frozen=True, slots=True)
class Left:
    """An order that is left as it is, why, and the codes for which impact.com has not taken it."""

    order_id: str
    why: str
    codes: Sequence[str] = ()


@dataclass(slots=True)
class Chosen:
    """What waits now to be sent again, revisions or corrections, by order id; and what is left as it is."""

    goes: dict[int, str] = field(default_factory=dict)
    left: list[Left] = field(default_factory=list)

    def add(self, more: "Chosen") -> None:
        """Add what was chosen beside it."""
        self.goes |= more.goes
        self.left += more.left


@dataclass(frozen=True, slots=True, kw_only=True)
class Later:
    """What has become of an order or a correction since: a later one waits, is held, or has left with a file."""

    filename: str | None = None
    held: str | None = None
    cancelled: bool = False

    @property
    def why_it_stays(self) -> str | None:
        """Why nothing is done about it, or None if it waits and may go."""
        if self.cancelled:
            return REVERSED
        if self.filename is not None:
            return f"It was sent again since, with {self.filename}."
        return f"It was changed since, and does not leave so: {self.held}" if self.held is not None else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """An order, or a correction of one, that impact.com has not taken.

    `named`: the caller wants it sent again as it is. `differs`: it would be sent otherwise now, since settings have
    changed. `settled`: what stood against it has come about since, such as the order that a correction is of.
    """

    verdict: Verdict
    codes: Sequence[str]
    named: bool
    later: Later | None = None
    differs: bool = False
    settled: bool = False
    nothing_left: bool = False
    at_rest: bool = True
    too_old: bool = False


def why_it_stays(one: Refused) -> str | None:
    """Say why an order is not sent again, or return None if it is: as it is, or as a later revision has it."""
    if one.verdict is Verdict.PARTLY_ACCEPTED:
        return PARTLY
    if one.later is not None:
        return one.later.why_it_stays
    if one.nothing_left:
        return REVERSED
    return _unchanged(one)


def why_it_stays_untold(one: Refused) -> str | None:
    """Say why a correction is not sent again, or return None if it is."""
    if one.later is not None:
        return one.later.why_it_stays
    if one.nothing_left:
        return TOLD
    return _unchanged(one)


def _unchanged(one: Refused) -> str | None:
    """Say why what nobody has changed is not sent again: nothing is, for which impact.com gave its last word."""
    if not one.at_rest:
        return UNDER_WAY
    if one.too_old:
        return TOO_OLD
    if one.named or one.settled:
        return None
    step = step_of(one.codes) or NextStep.ASK_PARTNER_MANAGER
    if step is NextStep.DO_NOT_RESEND:
        return f"{reason(one.codes[0]).sentence} {HOW[step]} Name the order in order_ids if you know better."
    return None if one.differs else f"Nothing has been changed of it. {HOW[step]}"

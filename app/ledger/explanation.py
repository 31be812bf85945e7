"""What is told of an order that somebody asks about: whether it is credited, why, and what can still be done."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from pydantic import BaseModel

from app.impact.outcomes import HOW, NextStep, reason, step_of
from app.ledger.mending import PARTLY
from app.ledger.state import OrderState
from app.submissions.submission import Verdict


class Stage(StrEnum):
    """Where something happened to an order."""

    CLICK = "click"
    ORDER = "order"
    EXPORT = "export"
    BATCH = "batch"
    DELIVERY = "delivery"
    SUBMISSION = "submission"
    CORRECTION = "correction"
    ACTION = "action"


class Step(BaseModel):
    """One thing that happened, in a plain sentence; `at` is null where the time is not known."""

    at: datetime | None
    stage: Stage
    text: str


class Explanation(BaseModel):
    """Why an order was credited or not, step by step in the order of the stages.

    `credited`: whether impact.com has it as an action; null as long as that is not known. `next` says what can still be
    done, and until when.
    """

    order_id: str
    event_type: str
    credited: bool | None
    summary: str
    steps: list[Step]
    next: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """Where an order has got to. `detail` is the sentence of what keeps it back, `codes` are impact.com's reasons.

    `path` and `query` are those under which it is changed.
    """

    state: OrderState
    verdict: Verdict | None
    codes: Sequence[str]
    detail: str | None
    expires_at: datetime
    locks_at: datetime | None
    path: str
    query: str = ""
    batch_id: str | None = None
    reversed: bool = False
    action_state: str | None = None


def credited(end: End) -> bool | None:
    """Say whether impact.com has the order as an action of which something is left; None if that is not known."""
    if end.action_state is not None:
        return end.action_state != "REVERSED"
    if end.verdict is not None:
        return end.verdict is not Verdict.REJECTED
    return False if end.state in {OrderState.CANCELLED, OrderState.EXPIRED} else None


def summary(end: End) -> str:
    """Return the one sentence that answers the question."""
    if end.action_state is not None:
        told = f"impact.com has it as an action, which is {end.action_state} there."
        return f"{told} The shop has reversed it." if end.reversed and end.action_state != "REVERSED" else told
    if end.verdict is Verdict.REJECTED:
        return f"impact.com has not taken it: {_named(end.codes)}"
    if end.verdict is Verdict.PARTLY_ACCEPTED:
        return f"impact.com has taken a part of it: {_named(end.codes)}"
    if end.verdict is Verdict.ACCEPTED:
        return "impact.com has taken it." + (" The shop has reversed it since." if end.reversed else "")
    return f"{_STATES[end.state]}{f' {end.detail}' if end.detail else ''}"


def _named(codes: Sequence[str]) -> str:
    if not codes:
        return "it has given no reason."
    return " ".join(reason(code).sentence for code in dict.fromkeys(codes))


_STATES: Final = {
    OrderState.PENDING: "It waits for the next export.",
    OrderState.HELD: "It is held, and does not leave as it is.",
    OrderState.EXPIRED: "It was too old for impact.com when its file was made, and was not sent.",
    OrderState.CANCELLED: "The shop reversed it before anything of it had left, so that it never leaves.",
    OrderState.BATCHED: "It is in a file that has not arrived yet.",
    OrderState.UNKNOWN: "It is in a file of which it is not known whether it arrived.",
    OrderState.DELIVERED: "It has arrived at impact.com, which has not said yet what it makes of it.",
    OrderState.ACCEPTED: "impact.com has taken it.",
    OrderState.PARTLY_ACCEPTED: "impact.com has taken a part of it.",
    OrderState.REJECTED: "impact.com has not taken it.",
}


def what_next(end: End, now: datetime) -> list[str]:
    """Return what can still be done, and until when."""
    if end.verdict is Verdict.REJECTED:
        return _about_rejected(end, now)
    if end.verdict is Verdict.PARTLY_ACCEPTED:
        return [PARTLY]
    if end.state in {OrderState.PENDING, OrderState.HELD, OrderState.EXPIRED}:
        return _before_leaving(end, now)
    if end.state is OrderState.CANCELLED:
        return ["Nothing. If there was a sale after all, post it under an order id of its own."]
    if end.reversed or end.action_state in {"APPROVED", "REVERSED"}:
        return ["Nothing: it cannot be changed any more."]
    return [_corrections(end, now)]


def _about_rejected(end: End, now: datetime) -> list[str]:
    if end.reversed:
        return ["Nothing: the shop has reversed it, and impact.com has nothing of it."]
    step = step_of(end.codes) or NextStep.ASK_PARTNER_MANAGER
    said = [_here(HOW[step], end)]
    if step is not NextStep.DO_NOT_RESEND:
        said += _until(end, now)
    return said


def _here(how: str, end: End) -> str:
    """Return what to do with the order's own path and batch in it."""
    named = how.replace("/orders/{order_id}", f"{end.path}{end.query}")
    return named if end.batch_id is None else named.replace("{batch_id}", end.batch_id)


def _before_leaving(end: End, now: datetime) -> list[str]:
    calls = f"PUT {end.path}{end.query} and PUT {end.path}/attribution{end.query}"
    return [f"It can be changed by {calls}, and leaves with the next export then.", *_until(end, now)]


def _until(end: End, now: datetime) -> list[str]:
    if now <= end.expires_at:
        return [f"impact.com takes it until {_at(end.expires_at)}."]
    over = f"As it is, impact.com took it until {_at(end.expires_at)}"
    attribution = f"PUT {end.path}/attribution{end.query}"
    return [f"{over}; with its partner's media_id it may be taken for longer: name that by {attribution}."]


def _corrections(end: End, now: datetime) -> str:
    if end.locks_at is not None and now >= end.locks_at:
        return f"Nothing: impact.com locked it at {_at(end.locks_at)}."
    until = f" until {_at(end.locks_at)}, when impact.com locks it" if end.locks_at else ""
    calls = ", ".join(f"{end.path}/{kind}{end.query}" for kind in ("modifications", "reversals", "refunds"))
    return f"Corrections can be posted to {calls}{until}."


def _at(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")

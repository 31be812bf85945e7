"""What three sides say of an order, compared: the shop, what has left from here, and impact.com. Pure.

Amounts are whole minor units. None stands for an order that does not stand: it was reversed, or is not there.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Final

from app.actions.action import REVERSED

SETTLES_IN: Final = timedelta(hours=24)
"""So long impact.com may take with what it was sent; only then is something that is not there a difference."""


class Fate(StrEnum):
    """How far an order has come. `not_attributed`: nobody is credited with it, so that impact.com is not told."""

    NOT_SENT = "not_sent"
    NOT_ATTRIBUTED = "not_attributed"
    HELD = "held"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"
    REJECTED = "rejected"
    DELIVERED = "delivered"


class Difference(StrEnum):
    """What can be wrong with an order."""

    MISSING_AT_IMPACT = "missing_at_impact"
    MISSING_IN_SERVICE = "missing_in_service"
    MISSING_AT_SHOP = "missing_at_shop"
    DOUBLED = "doubled"
    AMOUNT_DIFFERS = "amount_differs"
    STATE_DIFFERS = "state_differs"
    NOT_SENT = "not_sent"
    HELD = "held"
    EXPIRED = "expired"
    UNKNOWN = "unknown"
    REJECTED = "rejected"
    CORRECTION_NOT_SENT = "correction_not_sent"
    CORRECTION_HELD = "correction_held"
    CORRECTION_REJECTED = "correction_rejected"


WHAT_TO_DO: Final = {
    Difference.MISSING_AT_IMPACT: (
        "Its file was delivered, and impact.com has no action of it: see what GET /orders/{order_id} says of it, and"
        " impact.com's File Submissions, before it is sent again."
    ),
    Difference.MISSING_IN_SERVICE: (
        "It was never posted: POST /orders or `conversion-capture import` it; if impact.com has it, find out who"
        " reported it there first, lest it be doubled."
    ),
    Difference.MISSING_AT_SHOP: "The shop's file does not have it: find out whether it was sold.",
    Difference.DOUBLED: "Several actions of it stand at impact.com: reverse all but one there.",
    Difference.AMOUNT_DIFFERS: (
        "The sides have different amounts: correct the order here by POST /orders/{order_id}/modifications,"
        " or the action in impact.com's interface."
    ),
    Difference.STATE_DIFFERS: (
        "It stands on one side and not on the other: reverse it where it should not stand, or ask your contact at"
        " impact.com why its action was reversed."
    ),
    Difference.NOT_SENT: "It has not been delivered: see that `conversion-capture export` runs, and GET /batches.",
    Difference.HELD: "It does not leave before its cause is gone: GET /orders/{order_id} says what to do.",
    Difference.EXPIRED: "It is too old for impact.com: only with a media_id, or by your contact there.",
    Difference.UNKNOWN: "Its delivery may or may not have arrived: confirm the batch or send it again.",
    Difference.REJECTED: "impact.com did not take it: GET /orders/{order_id} says why, and what to do.",
    Difference.CORRECTION_NOT_SENT: "Its last correction has not been delivered: see that exports run.",
    Difference.CORRECTION_HELD: "Its last correction does not leave: GET /orders/{order_id} says why.",
    Difference.CORRECTION_REJECTED: "impact.com did not take its last correction: GET /orders/{order_id} says why.",
}


@dataclass(frozen=True, slots=True)
class Correction:
    """The newest correction of an order that has left, where what has arrived does not say the same yet."""

    fate: Difference
    recorded_at: datetime
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Ours:
    """An order as it is recorded: `truth` is what the shop has said is left of it, `told` what has arrived.

    `since` is when it got where it is, `changed_at` when the last thing about it was delivered.
    """

    event_type: str
    order_id: str
    day: date
    currency: str
    fate: Fate
    since: datetime
    changed_at: datetime
    truth: int | None
    told: int | None
    reasons: tuple[str, ...] = ()
    correction: Correction | None = None


@dataclass(frozen=True, slots=True)
class Theirs:
    """An action of impact.com's; `amount` None where it cannot be read."""

    action_id: str
    state: str
    currency: str | None
    amount: int | None

    @property
    def stands(self) -> bool:
        """Whether a partner is, or will be, paid for it."""
        return self.state != REVERSED


@dataclass(frozen=True, slots=True)
class Sale:
    """An order in a file of the shop's own."""

    event_type: str
    order_id: str
    amount: int
    currency: str
    day: date | None


@dataclass(frozen=True, slots=True)
class Known:
    """What may be judged: the time, and up to when impact.com's actions were read, None if they were not."""

    now: datetime
    impact_up_to: datetime | None

    @property
    def settled_at(self) -> datetime:
        """What was done before this must show by now."""
        return min(self.now, self.impact_up_to or self.now) - SETTLES_IN


@dataclass(frozen=True, slots=True)
class Found:
    """A difference, with what each side says of the order."""

    kind: Difference
    event_type: str
    order_id: str
    day: date | None
    currency: str
    shop: int | None = None
    service: int | None = None
    impact: int | None = None
    impact_currency: str | None = None
    since: datetime | None = None
    reasons: tuple[str, ...] = ()
    action_ids: tuple[str, ...] = ()

    @property
    def detail(self) -> str:
        """What to do."""
        return WHAT_TO_DO[self.kind]


@dataclass(frozen=True, slots=True)
class Case:
    """An order and what there is to compare it with.

    `theirs` is None where impact.com's side is not known. `shop` is what the shop says, which its own file may say in
    place of what it posted; `in_shop` is false for an order that such a file does not have.
    """

    ours: Ours
    theirs: Sequence[Theirs] | None
    shop: int | None
    shop_currency: str | None = None
    in_shop: bool = True

    @property
    def standing(self) -> list[Theirs]:
        """The actions that stand."""
        return [one for one in self.theirs or () if one.stands]


def compare(case: Case, known: Known) -> tuple[list[Found], bool]:
    """Return what is wrong with an order, and whether it is too young to be judged."""
    kinds = list(dict.fromkeys(_kinds(case, known)))
    young = None in kinds
    return [_found(case, kind) for kind in kinds if kind is not None], young


def _kinds(case: Case, known: Known) -> Iterator[Difference | None]:
    """Yield what is wrong; None says that it is too early to say."""
    ours = case.ours
    if not case.in_shop and ours.truth is not None:
        yield Difference.MISSING_AT_SHOP
    elif case.in_shop and (case.shop, case.shop_currency or ours.currency) != (ours.truth, ours.currency):
        yield Difference.AMOUNT_DIFFERS
    if ours.fate is not Fate.DELIVERED and not (ours.fate is Fate.UNKNOWN and case.theirs):
        yield from _before_arrival(case, known)
        return
    if ours.correction is not None and ours.truth != ours.told:
        yield None if ours.correction.recorded_at > known.settled_at else ours.correction.fate
    if case.theirs is not None:
        yield from _at_impact(case, case.theirs, known)


def _before_arrival(case: Case, known: Known) -> Iterator[Difference | None]:
    """Yield what is wrong with an order that impact.com should not have."""
    ours = case.ours
    if case.standing:
        yield Difference.STATE_DIFFERS
    elif ours.fate in {Fate.NOT_SENT, Fate.UNKNOWN} and ours.since > known.settled_at:
        yield None
    elif ours.fate not in {Fate.CANCELLED, Fate.NOT_ATTRIBUTED}:
        yield Difference(ours.fate.value)


def _at_impact(case: Case, theirs: Sequence[Theirs], known: Known) -> Iterator[Difference | None]:
    """Yield what is wrong with impact.com's side of an order that has arrived there."""
    ours, standing = case.ours, case.standing
    if len(standing) > 1:
        yield Difference.DOUBLED
        return
    kind = _one_action(ours, theirs, standing[0] if standing else None)
    if kind is not None:
        yield None if ours.changed_at > known.settled_at else kind


def _one_action(ours: Ours, theirs: Sequence[Theirs], standing: Theirs | None) -> Difference | None:
    if standing is None:
        if ours.told is None or (ours.truth is None and theirs):
            return None
        return Difference.STATE_DIFFERS if theirs else Difference.MISSING_AT_IMPACT
    if ours.told is None:
        return Difference.STATE_DIFFERS
    same = standing.currency == ours.currency and standing.amount is not None
    return None if same and standing.amount in {ours.told, ours.truth} else Difference.AMOUNT_DIFFERS


def _found(case: Case, kind: Difference) -> Found:
    ours, correction = case.ours, case.ours.correction
    of_correction = correction is not None and kind is correction.fate
    one = case.standing[0] if len(case.standing) == 1 else None
    return Found(
        kind,
        ours.event_type,
        ours.order_id,
        ours.day,
        ours.currency,
        shop=case.shop if case.in_shop else None,
        service=ours.told if ours.fate in {Fate.DELIVERED, Fate.UNKNOWN} else None,
        impact=one.amount if one else None,
        impact_currency=one.currency if one else None,
        since=correction.recorded_at if correction and of_correction else ours.since,
        reasons=correction.reasons if correction and of_correction else ours.reasons,
        action_ids=tuple(sorted(row.action_id for row in case.theirs or ())),
    )

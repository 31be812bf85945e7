"""What a correction makes of an order: values are final and exact, and what impact.com would refuse is refused here.

A line whose quantity is 0 is reversed: amount 0 reverses at impact.com, so that nothing else may leave a line at 0 that
was above it. An order is reversed when all its lines are.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Final, NamedTuple

from app.conversions.share import price_of, spread
from app.conversions.wish import ItemWish, Kind, Line, Lines, Wish
from app.errors import Conflict, Fault, InvalidInput, pointer_to
from app.impact.currency import format_amount, to_minor_units
from app.impact.reasons import MAX_CORRECTIONS

WARNED_FROM: Final = 900
ZERO_AMOUNT: Final = "zero_amount"
NAMED: Final = 3
"""So many SKUs does a sentence name."""


Amounts = dict[str | None, int]
"""Amounts in minor units by SKU, and that of the order by None."""


class Newer(NamedTuple):
    """A correction that was recorded and happened later than the one that is asked for, and the SKUs that it named."""

    kind: Kind
    skus: frozenset[str]


@dataclass(frozen=True, slots=True)
class Standing:
    """An order as a correction finds it.

    `told` is what impact.com has been told and has not refused, or None while nothing has left; `sent` the number of
    such corrections; `gone` the SKUs of lines that were reversed before anything had left. `refused`: impact.com has
    not taken all that was said, and nothing waits, so that the same may be said again. `closed` is impact.com's own
    code for an action that nothing can be changed of any more.
    """

    currency: str
    lines: Lines
    told: Lines | None = None
    sent: int = 0
    is_reversed: bool = False
    gone: frozenset[str] = frozenset()
    newer: Sequence[Newer] = ()
    locks_at: datetime | None = None
    refused: bool = False
    closed: str | None = None


@dataclass(frozen=True, slots=True)
class Corrected:
    """An order as a correction leaves it. `skus` are those that it named; with `hold_reason` it cannot go by a file."""

    lines: Lines
    reverses: bool
    skus: tuple[str, ...]
    hold_reason: str | None = None
    warnings: tuple[str, ...] = ()


def correct(standing: Standing, wish: Wish, now: datetime) -> Corrected:
    """Return what `wish` makes of an order. Raises InvalidInput with every fault, or Conflict with a code."""
    amounts = _in_minor_units(standing, wish)
    _require_open(standing, wish, now)
    wish, skipped = _without_stale(standing, wish)
    lines = _DO[wish.kind](standing, wish, amounts)
    was, left = _total(standing.lines), _total(lines)
    reverses = all(line.is_reversed for line in lines) or (was > 0 and left == 0)
    if reverses:
        lines = tuple(line.reversed() for line in lines)
    if lines == standing.lines and not standing.refused:
        raise _unchanged(wish)
    skus = tuple(item.sku for item in wish.items) or tuple(line.sku for line in standing.lines)
    warnings = (*_skipped(skipped), *_nearly_too_many(standing))
    if standing.told is None:
        return Corrected(lines, reverses, skus, warnings=warnings)
    hold_reason = ZERO_AMOUNT if reverses and not _total(standing.told) else None
    return Corrected(_to_be_told(standing, lines, wish.reason), reverses, skus, hold_reason, warnings)


def _to_be_told(standing: Standing, lines: Lines, reason: str) -> Lines:
    """Give a reason to the lines that differ from what was told: the new one, or the one that waits already."""
    told = standing.told or ()

    def reason_for(line: Line, before: Line, known: Line) -> str | None:
        if line == known:
            return None
        return before.reason or reason if line == before and not standing.refused else reason

    return tuple(
        replace(line, reason=reason_for(line, before, known))
        for line, before, known in zip(lines, standing.lines, told, strict=True)
    )


# What is refused ------------------------------------------------------------------------------------------------


CLOSED: Final = {
    "ALREADY_APPROVED": "impact.com has approved this action, and what is approved cannot be changed any more.",
    "ALREADY_LOCKED": "impact.com has locked this action, and what is locked cannot be changed any more.",
    "ALREADY_REVERSED": "This action is reversed at impact.com, and nothing can be changed of it any more.",
}
"""Why nothing can be corrected, by the code with which impact.com says so."""


def _require_open(standing: Standing, wish: Wish, now: datetime) -> None:
    again = standing.refused and wish.kind is Kind.REVERSAL and not wish.items
    if standing.is_reversed and not again:
        raise Conflict("This order is reversed, and nothing can be changed of it any more.", code="ALREADY_REVERSED")
    if standing.told is None:
        return
    if standing.closed is not None:
        raise Conflict(CLOSED[standing.closed], code=standing.closed)
    if standing.locks_at is not None and now >= standing.locks_at:
        raise Conflict(
            f"impact.com locked this action at {standing.locks_at.isoformat()}; what is locked cannot be changed any"
            " more.",
            code="ALREADY_LOCKED",
        )
    if standing.sent >= MAX_CORRECTIONS:
        raise Conflict(
            f"{MAX_CORRECTIONS} modifications of this order have left, and impact.com takes no more of an action.",
            code="TOO_MANY_MODIFICATIONS",
        )


def _in_minor_units(standing: Standing, wish: Wish) -> Amounts:
    """Return the amounts of a wish. Raises InvalidInput for those that cannot be, and for SKUs that nobody knows."""
    known = {line.sku for line in standing.lines}
    faults: list[Fault] = []
    amounts: Amounts = {}

    def take(sku: str | None, amount: Decimal | None, *place: str | int) -> None:
        try:
            if amount is not None:
                amounts[sku] = to_minor_units(amount, standing.currency)
        except ValueError as exc:
            detail = f"{exc}; send the exact amount, it is not rounded here."
            faults.append(Fault("AMOUNT_DECIMALS", detail, pointer_to(*place, "amount")))

    take(None, wish.amount)
    for place, item in enumerate(wish.items):
        take(item.sku, item.amount, "items", place)
        if item.sku not in known | standing.gone:
            detail = "The order has no line with this SKU, and nothing can be added to an action."
            faults.append(Fault("SKU_NOT_FOUND", detail, pointer_to("items", place, "sku")))
    if faults:
        raise InvalidInput(faults)
    gone = standing.gone | {line.sku for line in standing.lines if line.is_reversed}
    if wish.kind is not Kind.REVERSAL and (named := [item.sku for item in wish.items if item.sku in gone]):
        raise _reversed_before(named)
    return amounts


def _without_stale(standing: Standing, wish: Wish) -> tuple[Wish, list[str]]:
    """Return the wish less what a newer correction has said already, and the SKUs that are left out.

    Of two refunds neither is older: both are given back. Raises Conflict if nothing remains.
    """
    newer = [one.skus for one in standing.newer if not wish.kind is one.kind is Kind.REFUND]
    stale = frozenset[str]().union(*newer)
    fresh = tuple(item for item in wish.items if item.sku not in stale)
    if newer and not fresh:
        raise Conflict(
            "A correction that happened later is recorded for this, and it stays; nothing was changed.",
            code="NO_CHANGE",
        )
    return replace(wish, items=fresh), [item.sku for item in wish.items if item.sku in stale]


def _unchanged(wish: Wish) -> Conflict:
    if wish.kind is Kind.REVERSAL:
        return _reversed_before([item.sku for item in wish.items])
    return Conflict("This is what is recorded already; nothing was changed.", code="NO_CHANGE")


def _reversed_before(skus: Sequence[str]) -> Conflict:
    return Conflict(f"Nothing is left of {_named(skus)}: reversed before.", code="ALREADY_REVERSED")


def _exceeds(what: str, left: str) -> Conflict:
    return Conflict(
        f"More is given back of {what} than remains, which is {left}; nothing was changed.", code="REFUND_EXCEEDS_ORDER"
    )


def _named(skus: Sequence[str]) -> str:
    return ", ".join(skus[:NAMED]) + (f" and {len(skus) - NAMED} more" if len(skus) > NAMED else "")


# What is said beside it -----------------------------------------------------------------------------------------


def _skipped(skus: Sequence[str]) -> Iterable[str]:
    if skus:
        yield f"{_named(skus)}: a correction that happened later is recorded, and it stays."


def _nearly_too_many(standing: Standing) -> Iterable[str]:
    if standing.told is not None and standing.sent + 1 >= WARNED_FROM:
        yield (
            f"{standing.sent} modifications of this order have left; impact.com takes at most {MAX_CORRECTIONS} of an"
            " action. Corrections that are made before one export leave as one."
        )


# What becomes of the lines --------------------------------------------------------------------------------------


def _total(lines: Lines) -> int:
    return sum(line.amount for line in lines)


def _modified(standing: Standing, wish: Wish, amounts: Amounts) -> Lines:
    lines = standing.lines
    if not wish.items:
        weights = [line.amount for line in lines] if _total(lines) else [line.quantity for line in lines]
        shares = spread(amounts[None], weights)
        return tuple(line.left_with(share) for line, share in zip(lines, shares, strict=True))
    items = {item.sku: item for item in wish.items}
    return tuple(_modified_line(line, items.get(line.sku), amounts) for line in lines)


def _modified_line(line: Line, item: ItemWish | None, amounts: Amounts) -> Line:
    if item is None:
        return line
    known = replace(line, category=item.category or line.category)
    if item.quantity is not None:
        known = replace(known, quantity=item.quantity)
    return known if item.amount is None else known.left_with(amounts[line.sku])


def _reversed(standing: Standing, wish: Wish, _amounts: Amounts) -> Lines:
    skus = {item.sku for item in wish.items}
    return tuple(line.reversed() if not skus or line.sku in skus else line for line in standing.lines)


def _refunded(standing: Standing, wish: Wish, amounts: Amounts) -> Lines:
    lines, currency = standing.lines, standing.currency
    if not wish.items:
        left = _total(lines)
        if amounts[None] > left:
            raise _exceeds("the order", format_amount(left, currency))
        shares = spread(amounts[None], [line.amount for line in lines])
        return tuple(line.left_with(line.amount - share) for line, share in zip(lines, shares, strict=True))
    items = {item.sku: item for item in wish.items}
    return tuple(_refunded_line(currency, line, items.get(line.sku), amounts) for line in lines)


def _refunded_line(currency: str, line: Line, item: ItemWish | None, amounts: Amounts) -> Line:
    if item is None:
        return line
    units = item.quantity or 0
    if units > line.quantity:
        raise _exceeds(line.sku, f"{line.quantity} pieces")
    back = price_of(units, line.amount, line.quantity) if item.amount is None else amounts[line.sku]
    if back > line.amount:
        raise _exceeds(line.sku, format_amount(line.amount, currency))
    if units == line.quantity and back < line.amount:
        raise _keeps_something(line, format_amount(line.amount - back, currency))
    return replace(line, quantity=line.quantity - units).left_with(line.amount - back)


def _keeps_something(line: Line, kept: str) -> InvalidInput:
    detail = (
        f"All pieces of {line.sku} are given back and {kept} remains, which no line can say: leave out the quantity to"
        " keep that amount, or the amount to give back all of it."
    )
    return InvalidInput([Fault("INVALID_QUANTITY", detail, "/items")])


_DO: Final[Mapping[Kind, Callable[[Standing, Wish, Amounts], Lines]]] = {
    Kind.MODIFICATION: _modified,
    Kind.REVERSAL: _reversed,
    Kind.REFUND: _refunded,
}

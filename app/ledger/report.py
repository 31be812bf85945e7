"""A comparison as it is shown: JSON, CSV of the differences, and a table for people."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime
from typing import Final, Protocol

from pydantic import BaseModel, Field

from app.impact.outcomes import known_reasons
from app.ledger.actions import told_amount
from app.ledger.reconcile import Side, Tally
from app.ledger.reconciliation import Difference, Found, Known

LISTED: Final = 1_000
"""So many differences are in the JSON; the CSV has all of them."""


class SideView(BaseModel):
    """The orders of a side that stand: not cancelled, not reversed. `amount` is what they come to."""

    orders: int
    amount: str | None


class ComparedDayView(BaseModel):
    """A day (UTC, of the event date), event type and currency on each side; `impact` is null where it is not known.

    `day` is null for what says none.
    """

    day: date | None
    event_type: str
    currency: str
    shop: SideView
    service: SideView
    impact: SideView | None


class ReasonCodeView(BaseModel):
    """A reason code of impact.com's or of ours, and what impact.com means by it."""

    code: str
    meaning: str | None


class DifferenceView(BaseModel):
    """An order on which the sides differ. Amounts are null where the order does not stand, or is not there."""

    kind: Difference
    day: date | None
    event_type: str
    order_id: str
    currency: str
    shop: str | None
    service: str | None
    impact: str | None
    impact_currency: str | None
    since: datetime | None
    reasons: list[ReasonCodeView]
    action_ids: list[str]
    detail: str


class ReconciliationView(BaseModel):
    """Shop, service and impact.com compared. `impact_known_up_to` is null where its actions are not read.

    `too_young` orders cannot be judged yet, `not_attributed` ones are nobody's and never reported; neither are
    differences. `counts` are of all differences, of which the first 1,000 are in `differences` and the CSV has all.
    """

    first: date = Field(serialization_alias="from")
    last: date = Field(serialization_alias="to")
    shop_is_a_file: bool
    impact_known_up_to: datetime | None
    days: list[ComparedDayView]
    counts: dict[Difference, int]
    too_young: int
    not_attributed: int
    differences: list[DifferenceView]
    differences_more: int


def view(found: Found) -> DifferenceView:
    """Return a difference as it is shown."""
    reasons = [ReasonCodeView(code=code, meaning=_meaning(code)) for code in found.reasons]
    return DifferenceView(
        kind=found.kind,
        day=found.day,
        event_type=found.event_type,
        order_id=found.order_id,
        currency=found.currency,
        shop=told_amount(found.shop, found.currency),
        service=told_amount(found.service, found.currency),
        impact=told_amount(found.impact, found.impact_currency),
        impact_currency=found.impact_currency,
        since=found.since,
        reasons=reasons,
        action_ids=list(found.action_ids),
        detail=found.detail,
    )


def _meaning(code: str) -> str | None:
    known = known_reasons().get(code)
    return known.meaning if known else None


def report(
    period: tuple[date, date], known: Known, tally: Tally, listed: Sequence[Found], *, shop_is_a_file: bool
) -> ReconciliationView:
    """Return the whole comparison as it is shown."""
    return ReconciliationView(
        first=period[0],
        last=period[1],
        shop_is_a_file=shop_is_a_file,
        impact_known_up_to=known.impact_up_to,
        days=list(_days(tally, impact_is_known=known.impact_up_to is not None)),
        counts=tally.differences,
        too_young=tally.too_young,
        not_attributed=tally.not_attributed,
        differences=[view(one) for one in listed],
        differences_more=sum(tally.differences.values()) - len(listed),
    )


def _days(tally: Tally, *, impact_is_known: bool) -> Iterator[ComparedDayView]:
    for (day, event_type, currency), sides in sorted(tally.days.items(), key=lambda one: (str(one[0][0]), *one[0][1:])):
        yield ComparedDayView(
            day=day,
            event_type=event_type,
            currency=currency,
            shop=_side(sides.shop, currency),
            service=_side(sides.service, currency),
            impact=_side(sides.impact, currency) if impact_is_known else None,
        )


def _side(side: Side, currency: str) -> SideView:
    return SideView(orders=side.orders, amount=told_amount(side.amount, currency))


class First:
    """Keeps the first differences that it is told of."""

    def __init__(self) -> None:
        self.found: list[Found] = []

    def __call__(self, one: Found) -> None:
        """Take one."""
        if len(self.found) < LISTED:
            self.found.append(one)


# CSV --------------------------------------------------------------------------------------------------------------

COLUMNS: Final = tuple(name for name in DifferenceView.model_fields)


class Output(Protocol):
    """Where text goes."""

    def write(self, text: str, /) -> object:
        """Take some."""


class Csv:
    """Writes each difference that it is told of as a line, under a header: RFC 4180, UTF-8, CRLF."""

    def __init__(self, out: Output) -> None:
        self._writer = csv.writer(out)
        self._writer.writerow(COLUMNS)

    def __call__(self, one: Found) -> None:
        """Write one."""
        told = view(one)
        cells = told.model_dump(mode="json")
        cells |= {"reasons": " ".join(found.code for found in told.reasons), "action_ids": " ".join(told.action_ids)}
        self._writer.writerow(cells.values())


# A table ----------------------------------------------------------------------------------------------------------


_TEXTS: Final = 3
"""So many columns of the table are no numbers."""


def table(told: ReconciliationView) -> Iterator[str]:
    """Yield the lines of a report for people."""
    yield f"Days {told.first} to {told.last}, UTC days of the event dates; each side: orders that stand, and their sum."
    if told.impact_known_up_to is None:
        yield (
            "impact.com's side is not known: set CAPTURE_IMPACT_ACCOUNT_SID and CAPTURE_IMPACT_AUTH_TOKEN and let a"
            " worker read its actions, or give --actions FILE."
        )
    else:
        yield f"impact.com's actions are known up to {told.impact_known_up_to.isoformat(timespec='seconds')}."
    yield ""
    header = ("day", "event type", "currency", "shop", "", "service", "", "impact.com", "")
    rows = [
        (
            str(one.day or "-"),
            one.event_type,
            one.currency,
            *_cells(one.shop),
            *_cells(one.service),
            *_cells(one.impact),
        )
        for one in told.days
    ]
    yield from _aligned([header, *rows])
    yield ""
    for one in told.differences:
        yield from _told(one)
    if told.differences_more:
        yield f"… and {told.differences_more:,} more differences; --format csv lists all."
    number = sum(told.counts.values())
    kinds = ", ".join(f"{kind.value} {count:,}" for kind, count in sorted(told.counts.items()))
    yield f"{number:,} {'difference' if number == 1 else 'differences'}: {kinds}." if number else "No differences."
    yield (
        f"{told.too_young:,} too young to be judged; {told.not_attributed:,} credited to nobody, so that impact.com is"
        " not told of them."
    )


def _cells(side: SideView | None) -> tuple[str, str]:
    return ("?", "?") if side is None else (f"{side.orders:,}", side.amount or "?")


def _told(one: DifferenceView) -> Iterator[str]:
    sides = [f"{name} {amount}" for name in ("shop", "service", "impact") if (amount := getattr(one, name)) is not None]
    since = f", since {one.since.isoformat(timespec='seconds')}" if one.since else ""
    said = f"{', '.join(sides)} {one.currency}{since}"
    yield f"{one.kind.value}: {one.order_id} ({one.event_type}, {one.day or 'no day'}): {said}"
    for reason in one.reasons:
        yield f"    {reason.code}{f': {reason.meaning}' if reason.meaning else ''}"
    if one.action_ids:
        yield f"    actions {', '.join(one.action_ids)}"
    yield f"    {one.detail}"


def _aligned(rows: Iterable[Sequence[str]]) -> Iterator[str]:
    lines = list(rows)
    widths = [max(len(line[place]) for line in lines) for place in range(len(lines[0]))]
    for line in lines:
        cells = [
            cell.ljust(width) if place < _TEXTS else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        yield "  ".join(cells).rstrip()

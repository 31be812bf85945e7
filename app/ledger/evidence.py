"""What a merchant hands over when a partner claims an order: what is on record, and nothing of who the customer is.

impact.com calls it an action inquiry: a partner names an order that was not credited, or was refused or reversed, and
the merchant has to show what is known of it.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from pydantic import BaseModel

from app.submissions.reason_view import ReasonView

UNKNOWN: Final = "not known"
_WIDTH: Final = 22


class ClickEvidence(BaseModel):
    """The click as it was captured; `landing_page` is host and path alone, `consent` what the page said of it."""

    captured_at: datetime
    captured_by: str
    landing_page: str | None
    consent: str | None


class ItemEvidence(BaseModel):
    """A line of the order as it was ordered, and what corrections have left of it."""

    sku: str
    category: str
    quantity: int
    amount: str
    quantity_left: int
    amount_left: str


class DeliveryEvidence(BaseModel):
    """A try to hand something over: when it ended (or began), by which way, and what came of it."""

    at: datetime
    channel: str
    outcome: str


class SentEvidence(BaseModel):
    """A file that the order was in, and impact.com's decision about it; `line` counts from 1, which is the header."""

    revision: int
    filename: str
    line: int
    sha256: str
    written_at: datetime
    deliveries: list[DeliveryEvidence]
    decision: str | None
    reasons: list[ReasonView]


class ActionEvidence(BaseModel):
    """impact.com's action, as it told of it last."""

    id: str
    state: str
    amount: str | None
    payout: str | None
    currency: str | None


class CorrectionEvidence(BaseModel):
    """A correction of the order, and the file that it left with."""

    number: int
    kind: str
    reason: str
    recorded_at: datetime
    state: str
    filename: str | None


class Evidence(BaseModel):
    """The facts about an order. `seconds_between` lie between click and order; `window_days` is the referral window.

    `inside_window` is null where the click is not on record: it was captured elsewhere, or deleted.
    """

    made_at: datetime
    order_id: str
    event_type: str
    campaign_id: int | None
    action_tracker_id: int | None
    credited: bool | None
    summary: str
    order_time: datetime
    recorded_at: datetime
    attributed_by: str | None
    click_id: str | None
    promo_code: str | None
    media_id: str | None
    click: ClickEvidence | None
    seconds_between: int | None
    window_days: int
    inside_window: bool | None
    currency: str
    amount: str
    amount_left: str
    items: list[ItemEvidence]
    sent: list[SentEvidence]
    action: ActionEvidence | None
    locks_at: datetime | None
    corrections: list[CorrectionEvidence]


def is_inside(between: timedelta, window_days: int) -> bool:
    """Say whether a click counts for an order that came so long after it."""
    return timedelta() <= between <= timedelta(days=window_days)


def host_and_path(url: str | None) -> str | None:
    """Return a landing page without the scheme; query and fragment were never kept."""
    return None if url is None else url.partition("://")[2].partition("?")[0].partition("#")[0]


# As text ----------------------------------------------------------------------------------------------------------


def as_text(told: Evidence) -> str:
    """Return the facts as a person reads them, in one order; the same facts are the same text."""
    return "\n".join(map(_printable, _lines(told))) + "\n"


def _printable(line: str) -> str:
    """Write out what would not be seen, such as a mark that turns the direction of what follows."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in line)


def _lines(told: Evidence) -> Iterator[str]:
    yield f"Evidence for order {told.order_id}"
    yield f"Made {_at(told.made_at)} by conversion-capture, from its own records."
    yield from ("", told.summary, "")
    yield from _order(told)
    yield from _click(told)
    yield from _items(told)
    for one in told.sent:
        yield from _sent(one)
    if not told.sent:
        yield from ("Reported to impact.com", "  It has not left in any file.", "")
    yield from _afterwards(told)


def _order(told: Evidence) -> Iterator[str]:
    yield "Order"
    yield _fact("Order id", told.order_id)
    yield _fact("Event type", told.event_type)
    yield _fact("Campaign", told.campaign_id)
    yield _fact("Action tracker", told.action_tracker_id)
    yield _fact("Order time", told.order_time.isoformat(timespec="seconds"))
    yield _fact("Recorded here", _at(told.recorded_at))
    yield _fact("Attributed by", told.attributed_by or "nothing: no click id, promo code or media id")
    for name, value in (("Promo code", told.promo_code), ("Media id", told.media_id)):
        if value is not None:
            yield _fact(name, value)
    yield ""


def _click(told: Evidence) -> Iterator[str]:
    yield "Click"
    yield _fact("Click id", told.click_id or "none")
    if told.click is not None:
        yield _fact("Captured", f"{_at(told.click.captured_at)}, {told.click.captured_by}")
        yield _fact("Landing page", told.click.landing_page or UNKNOWN)
        yield _fact("Consent", told.click.consent or UNKNOWN)
    elif told.click_id is not None:
        yield _fact("Captured", "not on record: captured elsewhere, or deleted since")
    if told.seconds_between is not None:
        yield _fact("From click to order", f"{told.seconds_between} seconds ({_span(told.seconds_between)})")
    yield _fact("Referral window", f"{told.window_days} days (CAPTURE_COOKIE_DAYS)")
    yield _fact("Inside the window", {True: "yes", False: "no", None: UNKNOWN}[told.inside_window])
    yield ""


def _items(told: Evidence) -> Iterator[str]:
    yield f"Items, in {told.currency}"
    for item in told.items:
        left = f", of which {item.quantity_left} for {item.amount_left} are left" if _is_less(item) else ""
        yield f"  {item.quantity} x {item.sku} ({item.category}): {item.amount}{left}"
    less = f", of which {told.amount_left} is left" if told.amount_left != told.amount else ""
    yield _fact("Total", f"{told.amount}{less}")
    yield ""


def _is_less(item: ItemEvidence) -> bool:
    return (item.quantity_left, item.amount_left) != (item.quantity, item.amount)


def _sent(one: SentEvidence) -> Iterator[str]:
    yield f"Reported to impact.com (revision {one.revision})"
    yield _fact("File", one.filename)
    yield _fact("Line", one.line)
    yield _fact("SHA-256", one.sha256)
    yield _fact("Written", _at(one.written_at))
    for delivery in one.deliveries:
        yield _fact("Delivery", f"{_at(delivery.at)} by {delivery.channel}: {delivery.outcome}")
    yield _fact("impact.com's decision", (one.decision or UNKNOWN).replace("_", " "))
    yield from _reasons(one.reasons)
    yield ""


def _reasons(reasons: Sequence[ReasonView]) -> Iterator[str]:
    for one in reasons:
        where = "".join((f", line {one.line}" if one.line else "", f", SKU {one.sku}" if one.sku else ""))
        yield _fact("Reason", f"{one.code}{where}: {one.meaning}")


def _afterwards(told: Evidence) -> Iterator[str]:
    yield "Afterwards"
    for one in told.corrections:
        sent = f", in {one.filename}" if one.filename else ""
        state = one.state.replace("_", " ")
        yield _fact(f"Correction {one.number}", f"{_at(one.recorded_at)} {one.kind} ({one.reason}): {state}{sent}")
    if not told.corrections:
        yield _fact("Corrections", "none")
    if (action := told.action) is not None:
        yield _fact("Action", f"{action.id}: {action.state}")
        for name, amount in (("Amount there", action.amount), ("Payout", action.payout)):
            if amount is not None:
                yield _fact(name, f"{amount} {action.currency}")
    yield _fact("Locking date", _at(told.locks_at) if told.locks_at else UNKNOWN)


def _fact(name: str, value: object) -> str:
    shown = UNKNOWN if value is None else value
    return f"  {f'{name}:':{_WIDTH}} {shown}"


def _at(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds")


def _span(seconds: int) -> str:
    """Return a number of seconds as days, hours and minutes."""
    minutes = abs(seconds) // 60
    days, hours, rest = minutes // 1440, minutes // 60 % 24, minutes % 60
    told = f"{days} d {hours} h {rest} min"
    return f"{told} before it" if seconds < 0 else told

"""What becomes of a reported order: a new action, or reasons why not, line by line.

Written from impact.com's documents alone. The lines of a file and the items of an API call are judged alike.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from app.sandbox.ledger import Action, Item, Ledger
from app.sandbox.money import EXPONENTS, minor_units, times
from app.sandbox.program import AHEAD, ANYBODY, MAX_AGE, MAX_AGE_WITH_MEDIA, Program

ALIASES: Final = {
    "Oid": "OrderId",
    "Currency": "CurrencyCode",
    "OrderPromoCode": "PromoCode",
    "MediaPartnerId": "MediaId",
    "EventTypeId": "ActionTrackerId",
    "ItemSubTotal": "ItemSubtotal",
}
"""Names that mean the same as others."""
CREDITING: Final = (
    *("ClickId", "CustomProfileId", "CustomClickId", "UniqueUrl", "CallerId"),
    *("GoogAId", "AndroidId", "AppleIfa", "AppleIfv"),
)
"""What credits a partner whom the sandbox does not know by name."""
TOLD: Final = ("CustomerStatus", "PromoCode", "EventCode", "SharedId", "SubId1", "SubId2", "SubId3", "Note")

_CLICK_ID: Final = re.compile(r"[A-Za-z0-9._~:%+/=-]{1,64}")
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:?\d\d)", re.ASCII)
_WHOLE: Final = re.compile(r"[0-9]{1,9}", re.ASCII)


@dataclass(frozen=True)
class Line:
    """One line of an order: the names and values of its columns; `number` is where it stands."""

    number: int
    fields: Mapping[str, str]
    is_item: bool

    def get(self, name: str) -> str:
        """Return a value, "" if there is none."""
        return self.fields.get(name, "")


def judge(lines: Sequence[Line], ledger: Ledger, program: Program, now: datetime) -> list[list[str]]:
    """Return the reasons why each line is refused, and make an action of those that are not."""
    reasons = [faults(line, ledger, program, now) for line in lines]
    if program.options.item_errors == "order" and any(reasons):
        reasons = [one or list(next(filter(None, reasons))) for one in reasons]
    good = [line for line, why in zip(lines, reasons, strict=True) if not why]
    if not good:
        return reasons
    if _is_known(good[0], ledger, program, now):
        return [why or ["CONV_DUPLICATE"] for why in reasons]
    ledger.add(_action(good, ledger, program, now))
    return reasons


def faults(line: Line, ledger: Ledger, program: Program, now: datetime) -> list[str]:
    """Return every reason why a line is refused for itself."""
    currency = line.get("CurrencyCode") or program.options.account_currency
    found = [
        "" if line.get("OrderId") else "OID_MISSING",
        program.tracker_fault(line.get("CampaignId"), line.get("ActionTrackerId")),
        _date_fault(line, program, now),
        *_credit_faults(line, ledger, program),
        "MALFORMED" if line.fields.get("EventCode") == "" else "",
        *_item_faults(line),
        _amount_fault(line, currency) if currency in EXPONENTS else "INVALID_CURRENCY_CODE",
    ]
    return list(dict.fromkeys(filter(None, found)))


def event_date(text: str, now: datetime) -> datetime | None:
    """Return the time of an event: ISO 8601 with time and offset, or NOW."""
    if text == "NOW":
        return now
    try:
        return datetime.fromisoformat(text) if _DATE.fullmatch(text) else None
    except ValueError:
        return None


def _date_fault(line: Line, program: Program, now: datetime) -> str:
    at = event_date(line.get("EventDate"), now)
    if at is None or at > now + AHEAD:
        return "INVALID_EVENT_DATE"
    limit = MAX_AGE_WITH_MEDIA if line.get("MediaId") else MAX_AGE
    return program.options.too_old_reason if now - at > limit else ""


def _credit_faults(line: Line, ledger: Ledger, program: Program) -> list[str]:
    click, media = line.get("ClickId"), line.get("MediaId")
    broken = (click and not _CLICK_ID.fullmatch(click)) or (media and not _WHOLE.fullmatch(media))
    return ["MALFORMED" if broken else "", "" if _partner(line, ledger, program) else "ACTION_REF_NOT_FOUND"]


def _partner(line: Line, ledger: Ledger, program: Program) -> str:
    """Return who is credited, "" if nobody is."""
    before = ledger.of_customer(line.get("CampaignId"), line.get("CustomerId"))
    tracker, wanted = line.get("ActionTrackerId"), program.parents.get(line.get("ActionTrackerId"))
    others = [one for one in before if one.tracker_id == wanted or (not wanted and one.tracker_id != tracker)]
    if wanted:  # the child of a chain: whatever else it names, its parent has to be there
        return others[-1].partner_id if others else ""
    if line.get("MediaId"):
        return line.get("MediaId")
    if any(line.get(name) for name in CREDITING):
        return ANYBODY
    if code := line.get("PromoCode"):
        return program.promo_codes.get(code, "" if program.promo_codes else ANYBODY)
    return others[-1].partner_id if others and not program.parents else ""


def _item_faults(line: Line) -> list[str]:
    if not line.is_item:
        return []
    return ["" if line.get("Sku") else "NO_ITEM", "" if _WHOLE.fullmatch(line.get("Quantity")) else "MALFORMED"]


def _amount_fault(line: Line, currency: str) -> str:
    given = [name for name in ("Amount", "ItemPrice", "ItemSubtotal") if line.get(name)]
    if len(given) > 1:
        return "MALFORMED"
    return "AMOUNT_NEGATIVE_OR_NOT_A_NUMBER" if _amount(line, currency) is None else ""


def _amount(line: Line, currency: str) -> int | None:
    """Return a line's amount in minor units; a line that is no item may have none."""
    if price := line.get("ItemPrice"):
        quantity = line.get("Quantity")
        return times(price, int(quantity) if _WHOLE.fullmatch(quantity) else 0, currency)
    amount = line.get("Amount") or line.get("ItemSubtotal")
    return 0 if not (amount or line.is_item) else minor_units(amount, currency)


def _is_known(line: Line, ledger: Ledger, program: Program, now: datetime) -> bool:
    """Say whether the order was taken before, within the window."""
    before, days = ledger.newest(line.get("ActionTrackerId"), line.get("OrderId")), program.options.dedup_days
    return before is not None and (days == 0 or now - before.created_at < timedelta(days=days))


def _action(lines: Sequence[Line], ledger: Ledger, program: Program, now: datetime) -> Action:
    first = lines[0]
    at = event_date(first.get("EventDate"), now) or now
    currency = first.get("CurrencyCode") or program.options.account_currency
    campaign, tracker = first.get("CampaignId"), first.get("ActionTrackerId")
    return Action(
        ledger.next_id(campaign, tracker),
        campaign,
        tracker,
        first.get("OrderId"),
        _partner(first, ledger, program),
        first.get("CustomerId"),
        currency,
        at,
        now,
        now,
        at + timedelta(days=program.options.locks_after_days),
        _items(lines, currency),
        {name: first.get(name) for name in TOLD if first.get(name)},
    )


def _items(lines: Sequence[Line], currency: str) -> list[Item]:
    """Return the items; lines with one SKU are one."""
    found: dict[str, Item] = {}
    for line in lines:
        sku = line.get("Sku") if line.is_item else ""
        item = found.setdefault(sku, Item(sku, line.get("Category"), 0, 0))
        item.quantity += int(line.get("Quantity")) if line.is_item else 0
        item.amount += _amount(line, currency) or 0
    return list(found.values())

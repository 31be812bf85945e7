"""What can be wrong with a file: the codes, and the rules on the values of single columns.

impact.com's own codes are those of its lists of error reasons and of file submission errors. Codes of ours begin with
`CHECK_`, so that nobody looks for them there.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import repeat
from operator import contains
from typing import Final, Literal, NamedTuple

from app.impact.columns import EVENT_CODE, EVENT_CODE_LENGTH, OPTIONAL_COLUMNS, Kind, Parameter
from app.impact.currency import AMOUNT_LIMIT, DECIMALS
from app.impact.limits import CLICK_ID, FUTURE_TOLERANCE, MAX_AGE_DAYS, MAX_AGE_DAYS_WITH_MEDIA_ID

Severity = Literal["fault", "warning"]

IMPACT_CODES: Final[dict[str, str]] = {
    "ACTIONTRACKERID_INVALID": "file submission errors: the ActionTrackerId value is invalid",
    "ACTION_REF_NOT_FOUND": "error reasons: no referral information; attribution keys by the conversion reference",
    "AMOUNT_NEGATIVE_OR_NOT_A_NUMBER": "error reasons",
    "BAD_DISPOSITION": "file submission errors: not a valid reason; the standard ones by the modification reference",
    "INVALID_CURRENCY_CODE": "error reasons; ISO 4217",
    "INVALID_EVENT_DATE": "error reasons; ISO 8601 with offset by the FTP guide",
    "MALFORMED": "error reasons: a click value or a column of the wrong type; lengths by the conversion reference",
    "NO_CHANGE": "file submission errors: the modification changes nothing",
    "NO_ITEM": "error reasons; the item columns by the FTP guide",
    "OID_DUPLICATE": "file submission errors: lines of one order are not consecutive",
    "OID_MISSING": "error reasons",
    "ORDERSUBTOTAL_NOT_A_NUMBER": "error reasons",
    "RECORDS_ZERO": "file submission errors: the Records column shows 0 for a wrong extension",
}
"""Codes that impact.com uses itself, and where they come from."""

OWN_CODES: Final[dict[str, str]] = {
    "CHECK_AMOUNT_DECIMALS": "ISO 4217: more decimals than the currency has",
    "CHECK_AMOUNT_TOO_LARGE": "conversion reference: the widest money type, DECIMAL(14,2)",
    "CHECK_AMOUNT_TWICE": "item-level data page: one of Amount, ItemPrice and ItemSubtotal",
    "CHECK_BLANK_LINE": "RFC 4180: every line is a record",
    "CHECK_BLANKS": "corrections name an order and an item by exactly this text (modification reference)",
    "CHECK_BYTE_ORDER_MARK": "the FTP guide's header begins with its first name; the mark would become a part of it",
    "CHECK_CELL_COUNT": "RFC 4180: as many cells in every line as in the header",
    "CHECK_COLUMN_ALIAS": "conversion reference: another name of a column of the FTP guide",
    "CHECK_COLUMN_CASE": "FTP guide: the spelling of the columns",
    "CHECK_COLUMN_MISSING": "FTP guide: the minimum columns",
    "CHECK_COLUMN_ORDER": "FTP guide: the order of the minimum columns, others at the right",
    "CHECK_COLUMN_TWICE": "conversion reference: names that mean the same, send one only",
    "CHECK_COLUMN_UNKNOWN": "FTP guide and conversion reference: the columns of a file",
    "CHECK_CONTROL_CHARACTER": "RFC 4180: text data",
    "CHECK_CUSTOMER_MISSING": "chained actions page: CustomerId is required, it alone links parent and child",
    "CHECK_EVENT_CODE_MISSING": "event type data page: EventCode is required for mobile app conversions",
    "CHECK_EVENT_DATE_NOW": "event type data page: NOW is accepted and discouraged",
    "CHECK_EVENT_IN_FUTURE": "a conversion is reported after it happened; clocks may differ by five minutes",
    "CHECK_EVENT_TOO_OLD": "FTP guide: 88 days, 398 with MediaId",
    "CHECK_FILE_EMPTY": "FTP guide: a header line is needed",
    "CHECK_FILE_NAME": "connections page: names beginning with receipt_ or result_ are reserved and ignored",
    "CHECK_HEADER_MISSING": "FTP guide: the first line names the columns",
    "CHECK_LINE_BREAK": "RFC 4180 allows it within quotes; impact.com's documents are silent",
    "CHECK_LINE_TOO_LONG": "longer than all columns at their greatest length",
    "CHECK_NAMED_TWICE": "modification reference: either the ActionID or the order id with the ActionTrackerID",
    "CHECK_NOT_UTF8": "conversion reference: UTF-8",
    "CHECK_NO_ROWS": "FTP guide: one line per item after the header",
    "CHECK_ORDER_DIFFERS": "FTP guide: every line repeats the columns of its order",
    "CHECK_PERSONAL_DATA": "FTP guide: CustomerId must not identify a person",
    "CHECK_QUANTITY_ALONE": "modification reference: changing the quantity needs the new amount",
    "CHECK_QUOTING": "RFC 4180",
    "CHECK_SKU_TWICE": "modification reference: values are final; its example has a SKU twice and does not say why",
    "CHECK_TOO_MANY_ROWS": "FTP guide: under 10,000 entries are recommended",
}
"""Codes of our own, and the document that the rule comes from."""

CODES: Final = IMPACT_CODES | OWN_CODES

_ID_LENGTH: Final = 10
_ORDER_ID_LENGTH: Final = 64
_TEXT_LENGTH: Final = 255
_SHOWN_LENGTH: Final = 40
_MAX_AGE = timedelta(days=MAX_AGE_DAYS)
_MAX_AGE_WITH_MEDIA_ID = timedelta(days=MAX_AGE_DAYS_WITH_MEDIA_ID)
_WHOLE_AMOUNT_DIGITS: Final = len(str(AMOUNT_LIMIT)) - 1

_PLAIN_DECIMAL = re.compile(r"([0-9]+)(?:\.([0-9]+))?")
_SIGNED_DECIMAL = re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,20})?")
_WHOLE_NUMBER = re.compile(r"[0-9]+")
_EMAIL = re.compile(r"\s*[^@\s]+@[^@\s]+\.[^@\s]+\s*")
_EMAIL_HASH = re.compile(r"[0-9A-Fa-f]{40}|[0-9A-Fa-f]{64}")


class Problem(NamedTuple):
    """What a rule says about a value."""

    code: str
    detail: str
    severity: Severity = "fault"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong with a file. `line` is where its record begins, the header being line 1."""

    code: str
    line: int
    column: str | None
    order_id: str | None
    detail: str
    severity: Severity = "fault"


Rule = Callable[[str], Problem | None]
"""Says what is wrong with a value, or None."""
AtOnce = Callable[[Iterable[str]], object]
"""Says whether many values without line breaks are certainly right; if not, their rule must tell."""


def shown(value: str) -> str:
    """Return `value` as it can stand in a sentence: quoted, unprintable characters escaped, cut when long."""
    return repr(value if len(value) <= _SHOWN_LENGTH else f"{value[:_SHOWN_LENGTH]}…")


def _all_match(pattern: str) -> AtOnce:
    many = re.compile(f"(?:{pattern}\n)++")
    return lambda values: many.fullmatch("\n".join(values) + "\n")


# The columns of an order ----------------------------------------------------------------------------------------


def _id_rule(code: str, what: str) -> Rule:
    def rule(value: str) -> Problem | None:
        if _WHOLE_NUMBER.fullmatch(value) and len(value) <= _ID_LENGTH and value.strip("0"):
            return None
        return Problem(code, f"{shown(value)} is not an id; write the number that impact.com shows for {what}.")

    return rule


def event_date_rule(now: datetime, *, with_media_id: bool) -> Rule:
    """Return the rule for EventDate; an order that is attributed by MediaId may be older."""
    max_age = _MAX_AGE_WITH_MEDIA_ID if with_media_id else _MAX_AGE
    oldest, latest = now - max_age, now + FUTURE_TOLERANCE

    def rule(value: str) -> Problem | None:
        moment = _moment(value)
        if moment is None or moment.tzinfo is None:
            return _wrong_date(value)
        if moment < oldest:
            return Problem(
                "CHECK_EVENT_TOO_OLD",
                f"The event is more than {max_age.days} days old and will not be processed; take the order out.",
            )
        if moment > latest:
            return Problem("CHECK_EVENT_IN_FUTURE", "The event lies in the future; correct the date or its offset.")
        return None

    return rule


def event_dates_at_once(now: datetime, *, with_media_id: bool) -> AtOnce:
    """Return the test for many values of EventDate."""
    max_age = _MAX_AGE_WITH_MEDIA_ID if with_media_id else _MAX_AGE
    oldest, latest = now - max_age, now + FUTURE_TOLERANCE

    def test(values: Iterable[str]) -> bool:
        try:
            moments = list(map(datetime.fromisoformat, values))
            return oldest <= min(moments) and max(moments) <= latest and all(map(contains, values, repeat("T")))
        except (ValueError, TypeError):  # no time, or one without an offset
            return False

    return test


def _moment(value: str) -> datetime | None:
    """Return the time that an ISO 8601 date and time names, or None."""
    try:
        return datetime.fromisoformat(value) if "T" in value else None
    except ValueError:
        return None


def _wrong_date(value: str) -> Problem:
    if value == "NOW":
        return Problem(
            "CHECK_EVENT_DATE_NOW", "NOW becomes the time of processing; write when it really happened.", "warning"
        )
    return Problem(
        "INVALID_EVENT_DATE",
        f"{shown(value)} is not a date, time and offset; write it like 2026-11-20T18:00:22+00:00.",
    )


def _order_id(value: str) -> Problem | None:
    trimmed = value.strip()
    if not trimmed:
        return Problem("OID_MISSING", "The line has no order id; fill it in.")
    if len(value) > _ORDER_ID_LENGTH:
        return _too_long(_ORDER_ID_LENGTH)
    return None if value == trimmed else _blanks(value)


def _click_id(value: str) -> Problem | None:
    if not value or CLICK_ID.fullmatch(value):
        return None
    return Problem("MALFORMED", f"{shown(value)} cannot be a click id; send im_ref exactly as it came, case included.")


def _customer_id(value: str) -> Problem | None:
    if "@" in value and _EMAIL.fullmatch(value):
        return Problem("CHECK_PERSONAL_DATA", "This looks like an e-mail address; send the shop's own customer number.")
    return _too_long(_TEXT_LENGTH) if len(value) > _TEXT_LENGTH else None


def chained_customer_id(value: str) -> Problem | None:
    """Say what is wrong with the CustomerId of a chained action, which cannot do without."""
    if not value or value.isspace():
        return Problem("CHECK_CUSTOMER_MISSING", "Only CustomerId links a chained action to its parent; fill it in.")
    return _customer_id(value)


def _event_code(value: str) -> Problem | None:
    if not value or value.isspace():
        sentence = "A mobile app event is named by its EventCode; fill it in, or take the column out of other files."
        return Problem("CHECK_EVENT_CODE_MISSING", sentence)
    return _too_long(EVENT_CODE_LENGTH) if len(value) > EVENT_CODE_LENGTH else None


def _currency(value: str) -> Problem | None:
    if value in DECIMALS:
        return None
    if not value:
        return Problem(
            "INVALID_CURRENCY_CODE", "No currency is given; the account's own is assumed, so name it.", "warning"
        )
    return Problem("INVALID_CURRENCY_CODE", f"{shown(value)} is not an ISO 4217 code in capitals, such as USD.")


# The columns of an item -----------------------------------------------------------------------------------------


def amount_rule(decimals: int | None) -> Rule:
    """Return the rule for amounts in a currency with so many decimals; None where the currency is not known."""

    def rule(value: str) -> Problem | None:
        number = _PLAIN_DECIMAL.fullmatch(value)
        if number is None:
            return Problem(
                "AMOUNT_NEGATIVE_OR_NOT_A_NUMBER",
                f"{shown(value)} is not a plain amount of 0 or more; write it like 1234.50, refunds as modifications.",
            )
        whole, fraction = number[1], number[2] or ""
        if decimals is not None and len(fraction) > decimals:
            return Problem("CHECK_AMOUNT_DECIMALS", f"{shown(value)} has more decimals than its currency's {decimals}.")
        if len(whole) > _WHOLE_AMOUNT_DIGITS and len(whole.lstrip("0")) > _WHOLE_AMOUNT_DIGITS:
            return Problem("CHECK_AMOUNT_TOO_LARGE", "The amount must be below 1,000,000,000,000; correct it.")
        return None

    return rule


def amounts_at_once(decimals: int | None) -> AtOnce | None:
    """Return the test for many amounts in a currency with so many decimals, if that is known."""
    if decimals is None:
        return None
    fraction = f"(?:\\.[0-9]{{1,{decimals}}}+)?+" if decimals else ""
    return _all_match(f"[0-9]{{1,{_WHOLE_AMOUNT_DIGITS}}}+{fraction}")


def _category(value: str) -> Problem | None:
    if not value or value.isspace():
        return Problem("NO_ITEM", "The item has no category; payouts by category cannot apply to it.", "warning")
    return _too_long(_TEXT_LENGTH) if len(value) > _TEXT_LENGTH else None


def _sku(value: str) -> Problem | None:
    trimmed = value.strip()
    if not trimmed:
        return Problem("NO_ITEM", "The line has no SKU, so it is no item; fill it in.")
    if len(value) > _TEXT_LENGTH:
        return _too_long(_TEXT_LENGTH)
    return None if value == trimmed else _blanks(value)


def _quantity(value: str) -> Problem | None:
    if not value or value.isspace():
        return Problem("NO_ITEM", "The item has no quantity; write a whole number of 1 or more.")
    if _WHOLE_NUMBER.fullmatch(value) and len(value) <= _ID_LENGTH and value.strip("0"):
        return None
    return Problem("MALFORMED", f"{shown(value)} is not a quantity; write a whole number of 1 or more.")


# All columns ----------------------------------------------------------------------------------------------------


def _optional_rule(parameter: Parameter) -> Rule:
    is_of_kind, wanted = _KINDS[parameter.kind]
    code = "ORDERSUBTOTAL_NOT_A_NUMBER" if parameter.name == "OrderSubtotal" else "MALFORMED"

    def rule(value: str) -> Problem | None:
        if not value:
            return None
        if len(value) > parameter.max_length:
            return _too_long(parameter.max_length)
        return None if is_of_kind(value) else Problem(code, f"The value must be {wanted}; correct it or leave it out.")

    return rule


def _too_long(limit: int) -> Problem:
    return Problem("MALFORMED", f"The value has more than {limit} characters; shorten it.")


def _blanks(value: str) -> Problem:
    return Problem("CHECK_BLANKS", f"{shown(value)} has blanks around it, which count; take them off.", "warning")


_KINDS: Final[dict[Kind, tuple[Callable[[str], object], str]]] = {
    Kind.TEXT: (lambda _: True, "text"),
    Kind.INTEGER: (_WHOLE_NUMBER.fullmatch, "a whole number"),
    Kind.DECIMAL: (_SIGNED_DECIMAL.fullmatch, "a plain decimal number such as 12.50"),
    Kind.BOOLEAN: ({"true", "false"}.__contains__, "true or false"),
    Kind.DATETIME: (_moment, "an ISO 8601 date and time such as 2026-11-20T18:00:22+00:00"),
    Kind.EMAIL_HASH: (_EMAIL_HASH.fullmatch, "the SHA-1 or SHA-256 of the address in hex, never the address"),
}

RULES: Final[dict[str, Rule]] = {
    "CampaignId": _id_rule("MALFORMED", "your program (campaign)"),
    "ActionTrackerId": _id_rule("ACTIONTRACKERID_INVALID", "the event type (action tracker)"),
    "OrderId": _order_id,
    "ClickId": _click_id,
    "CustomerId": _customer_id,
    "CurrencyCode": _currency,
    "Category": _category,
    "Sku": _sku,
    "Quantity": _quantity,
    **{name: _optional_rule(parameter) for name, parameter in OPTIONAL_COLUMNS.items()},
    EVENT_CODE: _event_code,
}
"""The rules that depend on the value alone; those for EventDate and amounts are made from more."""

RIGHT_AT_ONCE: Final[dict[str, AtOnce]] = {
    "OrderId": _all_match(f"[!-~]{{1,{_ORDER_ID_LENGTH}}}+"),
    "ClickId": _all_match(f"(?:{CLICK_ID.pattern})?+"),
    "CustomerId": _all_match(f"[!-?A-~]{{1,{_TEXT_LENGTH}}}+"),
    "Sku": _all_match(f"[!-~]{{1,{_TEXT_LENGTH}}}+"),
}
"""Tests for the usual values of columns in which nearly every value is another."""

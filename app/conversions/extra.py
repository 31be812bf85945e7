"""The optional parameters that an order or an item carries under impact.com's own names."""

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from app.errors import Fault, pointer_to
from app.impact.columns import DISCOUNTS, EXTRA, OWN_FIELD, Kind, Level, Parameter
from app.impact.currency import AMOUNT_LIMIT

_EVENT_DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d([.,]\d{1,6})?)?(Z|[+-]\d\d:\d\d)")


def read_extra(values: Mapping[str, Any], level: Level, *, net_amounts: bool) -> tuple[dict[str, str], list[Fault]]:
    """Return the values as they go into a file, and the faults, each with a pointer to its name."""
    faults = [
        Fault(code, sentence, pointer_to(name))
        for name, value in values.items()
        for code, sentence in _faults(name, value, level, net_amounts=net_amounts)
    ]
    texts = {} if faults else {name: _as_text(value, EXTRA[name].kind) or "" for name, value in values.items()}
    return texts, faults


def _faults(name: str, value: Any, level: Level, *, net_amounts: bool) -> Iterator[tuple[str, str]]:
    parameter = EXTRA.get(name)
    if parameter is None:
        own = OWN_FIELD.get(name)
        hint = f"use the field {own}" if own else "see impact.com's list of parameters; names are case-sensitive"
        yield "UNKNOWN_PARAMETER", f"This does not go into extra: {hint}."
    elif parameter.level is not level:
        yield "UNKNOWN_PARAMETER", f"This belongs to the extra of {_OTHER[level]}."
    elif net_amounts and name in DISCOUNTS:
        yield "DISCOUNT_TWICE", "This would be subtracted again: amounts are after discounts here."
    elif not 0 < len(_as_text(value, parameter.kind) or "") <= parameter.max_length:
        yield "MALFORMED", f"This must be {_wanted(parameter)}."


_OTHER = {Level.ORDER: "an item, not of the order", Level.ITEM: "the order, not of an item"}


def parse_time(text: Any) -> datetime | None:
    """Return the time that an ISO 8601 text with date, time and offset names, or None if it is not one."""
    if not isinstance(text, str) or not _EVENT_DATE.fullmatch(text):
        return None
    try:
        moment = datetime.fromisoformat(text)
        moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return moment


def _as_text(value: Any, kind: Kind) -> str | None:
    """Return `value` as it goes into a file, or None if it is not of this kind."""
    if isinstance(value, bool):
        text = "true" if value else "false"
        return text if kind is Kind.BOOLEAN else None
    if isinstance(value, int | Decimal) and kind in {Kind.INTEGER, Kind.DECIMAL}:
        number = Decimal(value)  # an int's own format "f" would go through float
        value = format(number, "f") if number.copy_abs() < AMOUNT_LIMIT else None
    return value if isinstance(value, str) and _IS_OF_KIND[kind](value) else None


_IS_OF_KIND: Final[dict[Kind, Callable[[str], object]]] = {
    Kind.TEXT: lambda _: True,
    Kind.BOOLEAN: {"true", "false"}.__contains__,
    Kind.INTEGER: re.compile(r"-?[0-9]{1,18}").fullmatch,
    Kind.DECIMAL: re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,10})?").fullmatch,
    Kind.DATETIME: parse_time,
    Kind.EMAIL_HASH: re.compile(r"[0-9A-Fa-f]{40}|[0-9A-Fa-f]{64}").fullmatch,
}


def _wanted(parameter: Parameter) -> str:
    return {
        Kind.TEXT: f"text of 1 to {parameter.max_length} characters",
        Kind.INTEGER: "a whole number",
        Kind.DECIMAL: "a decimal number",
        Kind.BOOLEAN: "true or false",
        Kind.DATETIME: "a time with its offset in ISO 8601",
        Kind.EMAIL_HASH: "the SHA-1 or SHA-256 of the address in hex; an address goes into customer_email",
    }[parameter.kind]

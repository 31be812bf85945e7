"""Reading an order as a checkout sends it, with every fault of the body listed at once.

Facts: impact.com's conversion reference and FTP guide; ISO 4217; RFC 6901 for the pointers. The service's own rules (64
characters, the currency's decimals, one line per SKU) are in docs/reference/orders.md.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Final, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
)
from pydantic_core import ErrorDetails, PydanticCustomError

from app import strict_json
from app.conversions.chain import about_customer, about_event_code, about_parent
from app.conversions.credit import add_rule
from app.conversions.email_hash import MAX_ADDRESS, hash_of_email
from app.conversions.extra import parse_time, read_extra
from app.conversions.order import MAX_ORDER_ID, Item, Order, is_order_id, merge
from app.errors import Fault, InvalidInput, pointer_to
from app.event_type import EventType
from app.impact.columns import CUSTOMER_EMAIL, Level
from app.impact.currency import AMOUNT_LIMIT, DECIMALS, minor_units_of, to_minor_units
from app.impact.limits import CLICK_ID, FUTURE_TOLERANCE
from app.promo_code import PromoRules

MAX_QUANTITY: Final = 2**31 - 1

_PLAIN_DECIMAL = re.compile(r"[0-9]{1,30}(\.[0-9]{1,20})?")
B = TypeVar("B", bound=BaseModel)

_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")


@dataclass(frozen=True, slots=True)
class Rules:
    """What a valid order depends on beside its own text. `currencies`: event type to its default currency, if any.

    `event_types` says what the levels of event types ask for; one that is not there asks for nothing.
    """

    currencies: Mapping[str, str | None]
    max_items: int
    sku_max_length: int = 255
    net_amounts: bool = False
    event_types: Mapping[str, EventType] = field(default_factory=dict)
    promo_codes: PromoRules | None = None


def read_order(body: bytes, rules: Rules, now: datetime) -> Order:
    """Return the order that `body` (JSON) describes. Raises InvalidInput with every fault."""
    plain = strict_json.plain(body)
    if plain is not None:
        try:
            return _order(OrderBody.model_validate(plain, context=_Context(rules, now)), rules)
        except (ValidationError, InvalidInput):
            pass  # a number with a fraction, or something wrong
    return read_carefully(body, rules, now)


def read_carefully(body: bytes, rules: Rules, now: datetime) -> Order:
    """Do the same for every body there is, in three times the time."""
    return _order(read_body(OrderBody, body, rules, now), rules)


def read_body(model: type[B], body: bytes, rules: Rules, now: datetime) -> B:
    """Return a body as `model` has it. Raises InvalidInput with every fault."""
    value, faults = strict_json.parse(body)
    return _valid(model, value, faults, rules, now)


def read_value(value: Any, faults: Sequence[Fault], rules: Rules, now: datetime) -> Order:
    """Return the order of a body that is no JSON any more, and in which these faults are known. Raises InvalidInput."""
    return _order(_valid(OrderBody, value, faults, rules, now), rules)


def _valid(model: type[B], value: Any, faults: Sequence[Fault], rules: Rules, now: datetime) -> B:
    try:
        parsed = model.model_validate(value, context=_Context(rules, now))
        if not faults:
            return parsed
    except ValidationError as exc:
        seen = {fault.pointer for fault in faults}
        faults = [*faults, *(fault for fault in faults_in(exc) if fault.pointer not in seen)]
    raise InvalidInput(faults)


# The body's fields: what they accept, and what is said about them ------------------------------------------------


@dataclass(slots=True)
class _Context:
    rules: Rules
    now: datetime
    currency: str | None = None
    """Known as soon as the field `currency` is valid, so that amounts after it can be checked against it."""
    asks: EventType | None = None
    """The event type, if its level asks for more than every order has; known as soon as `event_type` is valid."""


def _context(info: ValidationInfo) -> _Context:
    context = info.context
    if not isinstance(context, _Context):
        raise TypeError("validate an OrderBody by read_order")
    return context


def _refuse(code: str, sentence: str) -> PydanticCustomError:
    return PydanticCustomError(code, "{sentence}", {"sentence": sentence})  # braces in a message are safe this way


def _order_id(value: str) -> str:
    if not is_order_id(value):
        raise _refuse(
            "INVALID_ORDER_ID", "An order id has 1 to 64 printable characters and no blank at its beginning or end."
        )
    return value


def _event_type(value: str, info: ValidationInfo) -> str:
    context = _context(info)
    if value not in context.rules.currencies:
        known = ", ".join(context.rules.currencies)
        raise _refuse("ACTIONTRACKER_NOT_FOUND", f"This event type is not set up here; there are: {known}.")
    event_type = context.rules.event_types.get(value)
    context.asks = None if event_type is None or event_type.level == "item" else event_type
    return value


def _currency(value: Any, info: ValidationInfo) -> Any:
    context = _context(info)
    if value is None:
        value = context.rules.currencies.get(info.data.get("event_type", ""))
    if not isinstance(value, str) or value not in DECIMALS:
        raise _refuse("INVALID_CURRENCY_CODE", "This must be an ISO 4217 code in capital letters, such as USD.")
    context.currency = value
    return value


def _event_date(value: Any, info: ValidationInfo) -> datetime:
    moment = parse_time(value)
    if moment is None:
        raise _refuse(
            "INVALID_EVENT_DATE", "This must be a time with its offset in ISO 8601, such as 2026-11-20T18:00:22+01:00."
        )
    if moment > _context(info).now + FUTURE_TOLERANCE:
        raise _refuse("INVALID_EVENT_DATE", "This lies in the future; check the clock that wrote it.")
    return moment


def _amount(value: Any, info: ValidationInfo) -> int:
    currency = _context(info).currency
    if currency is not None and isinstance(value, str) and (units := minor_units_of(value, currency)) is not None:
        return units
    amount = number_of(value)
    if amount is None:
        raise _refuse(
            "AMOUNT_NEGATIVE_OR_NOT_A_NUMBER", 'This must be a number that is not negative, best as text: "42.50".'
        )
    if amount >= AMOUNT_LIMIT:
        raise _refuse("AMOUNT_TOO_LARGE", "Amounts are below 1,000,000,000,000.")
    if currency is None:
        return 0  # the currency is wrong already; how many decimals are right is not known
    try:
        return to_minor_units(amount, currency)
    except ValueError as exc:
        raise _refuse("AMOUNT_DECIMALS", f"{exc}; send the exact amount, it is not rounded here.") from None


def number_of(value: Any) -> Decimal | None:
    """Return a number that is not negative, or None if `value` is none."""
    if isinstance(value, str):
        return Decimal(value) if _PLAIN_DECIMAL.fullmatch(value) else None
    if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
        return None
    amount = Decimal(value)
    return None if amount.is_signed() else amount


def _customer_id(value: str) -> str:
    if "@" in value and _EMAIL.search(value):
        raise _refuse(
            "PERSONAL_DATA", "This looks like an e-mail address; send an id that says nothing about a person."
        )
    return value


def _needed_customer_id(value: str | None, info: ValidationInfo) -> str | None:
    event_type = _context(info).asks
    fault = event_type and about_customer(value, event_type)
    if fault:
        raise _refuse(fault.code, fault.detail)
    return value


def _media_id(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not re.fullmatch(r"[1-9][0-9]{0,18}", value):
        raise _refuse("INVALID_MEDIA_ID", "This must be the partner's number at impact.com.")
    return value


def _checked_extra(level: Level) -> AfterValidator:
    def check(values: dict[str, Any], info: ValidationInfo) -> dict[str, str]:
        context = _context(info)
        texts, faults = read_extra(values, level, net_amounts=context.rules.net_amounts) if values else ({}, [])
        event_type = context.asks if level is Level.ORDER else None
        if event_type and not faults and (fault := about_event_code(texts, event_type)):
            faults = [fault]
        if faults:
            raise _several(faults)
        return texts

    return AfterValidator(check)


def _customer_email(value: str, info: ValidationInfo) -> str:
    """Return the hash in the place of the address, which goes no further."""
    hashed = hash_of_email(value)
    if hashed is None:
        raise _refuse("INVALID_EMAIL", "This is not one e-mail address; leave it out if there is none.")
    if CUSTOMER_EMAIL in info.data.get("extra", {}):
        raise _refuse("EMAIL_TWICE", f"The order has {CUSTOMER_EMAIL} in its extra; send one of the two.")
    return hashed


def _several(faults: Sequence[Fault]) -> PydanticCustomError:
    return PydanticCustomError("SEVERAL", "several", {"faults": faults})


def _sku(value: str, info: ValidationInfo) -> str:
    longest = _context(info).rules.sku_max_length
    if len(value) > longest:
        raise _refuse("TOO_LONG", f"A SKU has at most {longest} characters.")
    return value


def _items(value: Any, info: ValidationInfo) -> Any:
    if not isinstance(value, list) or not value:
        raise _refuse("NO_ITEM", "An order has at least one item.")
    if len(value) > _context(info).rules.max_items:
        raise _refuse(
            "TOO_MANY_ITEMS", f"An order has at most {_context(info).rules.max_items} items: a file holds no more."
        )
    return value


def _parent(value: "ParentBody | None", info: ValidationInfo) -> "ParentBody | None":
    if value is not None and "event_type" in info.data:
        key, types = (value.event_type, value.order_id), _context(info).rules.event_types
        faults = list(about_parent(key, info.data["event_type"], info.data.get("order_id"), types))
        if faults:
            raise _several(faults)
    return value


_DECIMAL_SCHEMA = {
    "anyOf": [{"type": "string", "pattern": r"^[0-9]{1,30}(\.[0-9]{1,4})?$"}, {"type": "number", "minimum": 0}],
    "description": "The line's total before tax, shipping and discounts, with at most the currency's decimals.",
    "examples": ["42.50"],
}
_CLICK_ID_SCHEMA = {"type": "string", "pattern": f"^{CLICK_ID.pattern}$"}
_MEDIA_ID_SCHEMA = {"anyOf": [{"type": "string", "pattern": "^[1-9][0-9]{0,18}$"}, {"type": "integer", "minimum": 1}]}
_EXTRA_SCHEMA = {
    "type": "object",
    "additionalProperties": {"type": ["string", "number", "boolean"]},
    "description": "impact.com parameters by name.",
}
_EMAIL_SCHEMA = {
    "type": "string",
    "format": "email",
    "maxLength": MAX_ADDRESS,
    "description": "Kept and told as `CustomerEmail` alone: the SHA-256 of the address in NFC, trimmed, in lower case.",
}
_NOT_BLANK = r"\S"
_TEXT = r"^[^\x00-\x1f\x7f-\x9f]*$"


def _text(max_length: int, *more: Any) -> Any:
    schema = {"type": "string", "minLength": 1, "maxLength": max_length, "pattern": _TEXT}
    return Annotated[str, Field(min_length=1, max_length=max_length, pattern=_NOT_BLANK), *more, WithJsonSchema(schema)]


ClickIdField = Annotated[str, Field(pattern=f"^({CLICK_ID.pattern})$"), WithJsonSchema(_CLICK_ID_SCHEMA)]
MediaIdField = Annotated[str, BeforeValidator(_media_id), WithJsonSchema(_MEDIA_ID_SCHEMA)]
PromoCodeField = _text(255)


class Body(BaseModel):
    """A body: JSON's own types, and no field that is not known."""

    model_config = ConfigDict(extra="forbid", strict=True)


class ItemBody(Body):
    """One line of an order as a checkout sends it."""

    sku: _text(255, AfterValidator(_sku))  # type: ignore[valid-type]
    category: _text(255)  # type: ignore[valid-type]
    quantity: Annotated[int, Field(ge=1, le=MAX_QUANTITY)]
    amount: Annotated[int, BeforeValidator(_amount), WithJsonSchema(_DECIMAL_SCHEMA)]
    extra: Annotated[dict[str, Any], _checked_extra(Level.ITEM), WithJsonSchema(_EXTRA_SCHEMA)] = Field(
        default_factory=dict
    )


class ParentBody(Body):
    """The order that a chained action follows."""

    event_type: _text(32) = "default"  # type: ignore[valid-type]
    order_id: Annotated[
        str, AfterValidator(_order_id), WithJsonSchema({"type": "string", "minLength": 1, "maxLength": MAX_ORDER_ID})
    ]


class OrderBody(Body):
    """An order as a checkout sends it. Fields are checked in this order: the currency before the amounts."""

    event_type: Annotated[str, AfterValidator(_event_type)] = Field(default="default", validate_default=True)
    order_id: Annotated[
        str, AfterValidator(_order_id), WithJsonSchema({"type": "string", "minLength": 1, "maxLength": MAX_ORDER_ID})
    ]
    event_date: Annotated[
        datetime,
        BeforeValidator(_event_date),
        WithJsonSchema({"type": "string", "format": "date-time", "examples": ["2026-11-20T18:00:22+00:00"]}),
    ]
    currency: Annotated[str, BeforeValidator(_currency), WithJsonSchema({"enum": [*sorted(DECIMALS), None]})] = Field(
        default=None, validate_default=True
    )
    click_id: ClickIdField | None = Field(
        default=None, json_schema_extra={"examples": ["QiiWXOVnrQ3SQHl24jQjyxBGUkmzfJ3i1VHrWM0"]}
    )
    promo_code: PromoCodeField | None = None  # type: ignore[valid-type]
    media_id: MediaIdField | None = None
    customer_id: Annotated[
        _text(255, AfterValidator(_customer_id)) | None, AfterValidator(_needed_customer_id)  # type: ignore[valid-type]
    ] = Field(default=None, validate_default=True)
    customer_status: _text(40) | None = None  # type: ignore[valid-type]
    extra: Annotated[dict[str, Any], _checked_extra(Level.ORDER), WithJsonSchema(_EXTRA_SCHEMA)] = Field(
        default_factory=dict, validate_default=True
    )
    customer_email: (
        Annotated[str, Field(pattern=_NOT_BLANK), AfterValidator(_customer_email), WithJsonSchema(_EMAIL_SCHEMA)] | None
    ) = None
    parent: Annotated[ParentBody | None, AfterValidator(_parent)] = None
    items: Annotated[list[ItemBody], BeforeValidator(_items)] = Field(json_schema_extra={"minItems": 1})


_CODES: Final = {
    ("order_id", "missing"): "OID_MISSING",
    ("items", "missing"): "NO_ITEM",
    ("event_date", "missing"): "INVALID_EVENT_DATE",
    ("amount", "missing"): "AMOUNT_NEGATIVE_OR_NOT_A_NUMBER",
    ("click_id", "string_pattern_mismatch"): "INVALID_CLICK_ID",
}
_CODES_BY_TYPE: Final = {
    "missing": "FIELD_MISSING",
    "extra_forbidden": "UNKNOWN_FIELD",
    "string_too_long": "TOO_LONG",
    "string_too_short": "BLANK",
    "string_pattern_mismatch": "BLANK",
}


def faults_in(exc: ValidationError) -> list[Fault]:
    """Return the faults that pydantic found in a body."""
    return [fault for error in exc.errors(include_url=False) for fault in _faults(error)]


def _faults(error: ErrorDetails) -> list[Fault]:
    """Return the faults that one of pydantic's errors stands for, without repeating what was sent."""
    pointer, kind = pointer_to(*error["loc"]), error["type"]
    if kind == "SEVERAL":
        return [Fault(one.code, one.detail, pointer + one.pointer) for one in error["ctx"]["faults"]]
    if kind.isupper():
        return [Fault(kind, error["msg"], pointer)]
    field = next((part for part in reversed(error["loc"]) if isinstance(part, str)), "")
    code = _CODES.get((field, kind)) or _CODES_BY_TYPE.get(kind, "INVALID")
    return [Fault(code, _SENTENCES.get(code) or _SENTENCES_BY_TYPE.get(kind, f"{error['msg']}."), pointer)]


_SENTENCES: Final = {
    "INVALID_CLICK_ID": "A click id has 1 to 64 characters of A-Z a-z 0-9 . _ ~ : % + / = -; send it as the cookie"
    " holds it, or null if there was no click.",
}
_SENTENCES_BY_TYPE: Final = {
    "missing": "This field is missing.",
    "model_type": "This must be a JSON object.",
    "dict_type": "This must be a JSON object.",
    "string_unicode": "This is not text.",
    "extra_forbidden": "There is no such field; see the API's description for its exact name.",
    "string_pattern_mismatch": "This is blank; leave it out if there is none.",
    "string_too_short": "This is empty; leave it out if there is none.",
    "too_short": "This list is empty; name at least one.",
}


def _order(body: OrderBody, rules: Rules) -> Order:
    items = merge([Item(item.sku, item.category, item.quantity, item.amount, item.extra) for item in body.items])
    if len(items) < len(body.items):
        _check_sums(items, body.currency)
    event_type = rules.event_types.get(body.event_type)
    if event_type and not event_type.has_item_lines:
        _check_total(items, body.currency)
    order = Order(
        body.event_type,
        body.order_id,
        body.event_date,
        body.currency,
        items,
        body.click_id,
        body.promo_code,
        body.media_id,
        body.customer_id,
        body.customer_status,
        body.extra | ({CUSTOMER_EMAIL: body.customer_email} if body.customer_email else {}),
        (body.parent.event_type, body.parent.order_id) if body.parent else None,
    )
    return add_rule(order, rules.promo_codes) if rules.promo_codes else order


def _check_total(items: Sequence[Item], currency: str) -> None:
    if sum(item.amount for item in items) >= AMOUNT_LIMIT * 10 ** DECIMALS[currency]:
        raise InvalidInput(
            [Fault("AMOUNT_TOO_LARGE", "The items add up to 1,000,000,000,000 or more, and are one line.", "/items")]
        )


def _check_sums(items: Sequence[Item], currency: str) -> None:
    limit = AMOUNT_LIMIT * 10 ** DECIMALS[currency]
    if any(item.amount >= limit or item.quantity > MAX_QUANTITY for item in items):
        raise InvalidInput(
            [Fault("AMOUNT_TOO_LARGE", "The lines of one SKU add up to more than a line can say.", "/items")]
        )

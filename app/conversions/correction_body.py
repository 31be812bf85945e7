"""Reading a correction as a shop sends it, with every fault of the body listed at once.

What depends on the order (its SKUs, the decimals of its currency) is for the rules in `correction` to say.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, Final, Self

import orjson
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError

from app import strict_json
from app.conversions.extra import parse_time
from app.conversions.order_body import MAX_QUANTITY, faults_in, number_of
from app.conversions.wish import ItemWish, Kind, Wish
from app.errors import Fault, InvalidInput, pointer_to
from app.impact.currency import AMOUNT_LIMIT
from app.impact.limits import FUTURE_TOLERANCE

_ACTION_ID: Final = re.compile(r"[0-9A-Za-z]+(\.[0-9A-Za-z]+)*")
_LONGEST_ACTION_ID: Final = 64


def read_correction(body: bytes, kind: Kind, reasons: Sequence[str], now: datetime) -> Wish:
    """Return what `body` (JSON) asks for; `reasons` are the codes there are. Raises InvalidInput with every fault."""
    value, faults = strict_json.parse(body)
    try:
        parsed = BODIES[kind].model_validate(value, context=_Context(reasons, now))
        faults += [] if faults else _repeated_skus(parsed)
        if not faults:
            return _wish(kind, parsed)
    except ValidationError as exc:
        seen = {fault.pointer for fault in faults}
        faults += [fault for fault in faults_in(exc) if fault.pointer not in seen]
    raise InvalidInput(faults)


def fingerprint(wish: Wish) -> str:
    """Return the SHA-256 of what is asked for: equal for bodies that differ only in their writing."""
    meaning = [
        *(wish.kind, wish.reason, _plain(wish.amount), wish.action_id),
        wish.occurred_at and wish.occurred_at.astimezone(UTC).isoformat(),
        sorted([item.sku, _plain(item.amount), item.quantity, item.category] for item in wish.items),
    ]
    return hashlib.sha256(orjson.dumps(meaning)).hexdigest()


def _plain(amount: Decimal | None) -> str | None:
    return None if amount is None else format(amount.normalize(), "f")


# The bodies' fields ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Context:
    reasons: Sequence[str]
    now: datetime


def _context(info: ValidationInfo) -> _Context:
    context = info.context
    if not isinstance(context, _Context):
        raise TypeError("validate a correction by read_correction")
    return context


def _refuse(code: str, sentence: str) -> PydanticCustomError:
    return PydanticCustomError(code, "{sentence}", {"sentence": sentence})  # braces in a message are safe this way


def _reason(value: Any, info: ValidationInfo) -> Any:
    reasons = _context(info).reasons
    if value not in reasons:
        raise _refuse(
            "BAD_DISPOSITION", f"This must be a reason code, case-sensitive; there are: {', '.join(reasons)}."
        )
    return value


def _amount(value: Any) -> Decimal:
    amount = number_of(value)
    if amount is None:
        raise _refuse(
            "AMOUNT_NEGATIVE_OR_NOT_A_NUMBER", 'This must be a number that is not negative, best as text: "42.50".'
        )
    if amount >= AMOUNT_LIMIT:
        raise _refuse("AMOUNT_TOO_LARGE", "Amounts are below 1,000,000,000,000.")
    return amount


def _occurred_at(value: Any, info: ValidationInfo) -> datetime:
    moment = parse_time(value)
    if moment is None:
        raise _refuse(
            "INVALID_TIME", "This must be a time with its offset in ISO 8601, such as 2026-11-20T18:00:22+01:00."
        )
    if moment > _context(info).now + FUTURE_TOLERANCE:
        raise _refuse("INVALID_TIME", "This lies in the future, and would make everything until then too late.")
    return moment


def _action_id(value: str) -> str:
    if len(value) > _LONGEST_ACTION_ID or not _ACTION_ID.fullmatch(value):
        raise _refuse("INVALID_ACTION_ID", "This must be the action's id at impact.com, such as 1000.4636.158133.")
    return value


_AMOUNT_SCHEMA = {
    "anyOf": [{"type": "string", "pattern": r"^[0-9]{1,30}(\.[0-9]{1,4})?$"}, {"type": "number", "minimum": 0}],
    "examples": ["35.50"],
}
_TIME_SCHEMA = {"type": "string", "format": "date-time", "examples": ["2026-11-24T09:30:00+00:00"]}
_SKU_SCHEMA = {"type": "string", "minLength": 1, "maxLength": 255}

Amount = Annotated[Decimal, BeforeValidator(_amount), WithJsonSchema(_AMOUNT_SCHEMA)]
Sku = Annotated[str, Field(min_length=1, max_length=255), WithJsonSchema(_SKU_SCHEMA)]
Category = Annotated[str, Field(min_length=1, max_length=255, pattern=r"\S"), WithJsonSchema(_SKU_SCHEMA)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class ModifiedItem(_Body):
    """One line's new final values; what is left out stays as it is. A quantity needs its amount."""

    sku: Sku
    amount: Amount | None = None
    quantity: Annotated[int, Field(ge=0, le=MAX_QUANTITY)] | None = None
    category: Category | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.quantity is not None and self.amount is None:
            raise _refuse("QUANTITY_WITHOUT_AMOUNT", "A changed quantity needs its amount: the line's new total.")
        if self.amount is None and self.category is None:
            raise _refuse("FIELD_MISSING", "Give the line's new amount, its category, or both.")
        if self.quantity == 0 and self.amount:
            raise _refuse("INVALID_QUANTITY", "A line with an amount has at least one piece.")
        return self


class ReversedItem(_Body):
    """One line of which nothing is left."""

    sku: Sku


class RefundedItem(_Body):
    """What was given back of one line: pieces, or money (the line's total, not per piece), or both."""

    sku: Sku
    quantity: Annotated[int, Field(ge=1, le=MAX_QUANTITY)] | None = None
    amount: Amount | None = None

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.quantity is None and self.amount is None:
            raise _refuse("FIELD_MISSING", "Give the quantity that was given back, the amount, or both.")
        return self


class _CorrectionBody(_Body):
    reason: Annotated[str, BeforeValidator(_reason), WithJsonSchema({"type": "string", "examples": ["ITEM_RETURNED"]})]
    occurred_at: Annotated[datetime, BeforeValidator(_occurred_at), WithJsonSchema(_TIME_SCHEMA)] | None = None
    action_id: (
        Annotated[
            str,
            AfterValidator(_action_id),
            WithJsonSchema({"type": "string", "maxLength": _LONGEST_ACTION_ID, "examples": ["1000.4636.158133"]}),
        ]
        | None
    ) = None


class ModificationBody(_CorrectionBody):
    """New final values, of items or of the order; an order's amount is spread over its items in proportion."""

    items: Annotated[list[ModifiedItem], Field(min_length=1)] | None = None
    amount: Amount | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        _require_one(self.items, self.amount)
        return self


class ReversalBody(_CorrectionBody):
    """Items of which nothing is left; without `items` the whole order."""

    items: Annotated[list[ReversedItem], Field(min_length=1)] = Field(
        default_factory=list  # null or [] is no way to say: all of it
    )


class RefundBody(_CorrectionBody):
    """What was given back, of items, or of the order in proportion to what remains."""

    items: Annotated[list[RefundedItem], Field(min_length=1)] | None = None
    amount: Amount | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        _require_one(self.items, self.amount)
        return self


BODIES: Final[dict[Kind, type[ModificationBody | ReversalBody | RefundBody]]] = {
    Kind.MODIFICATION: ModificationBody,
    Kind.REVERSAL: ReversalBody,
    Kind.REFUND: RefundBody,
}


def _require_one(items: Sequence[object] | None, amount: Decimal | None) -> None:
    if (items is None) == (amount is None):
        raise _refuse("ITEMS_OR_AMOUNT", "Give either items or the amount of the order.")


def _repeated_skus(body: ModificationBody | ReversalBody | RefundBody) -> list[Fault]:
    seen: set[str] = set()
    faults = []
    items: Sequence[ModifiedItem | ReversedItem | RefundedItem] = body.items or ()
    for place, item in enumerate(items):
        if item.sku in seen:
            detail = "This SKU comes twice; a SKU names one line of an order."
            faults.append(Fault("SKU_REPEATED", detail, pointer_to("items", place, "sku")))
        seen.add(item.sku)
    return faults


def _wish(kind: Kind, body: ModificationBody | ReversalBody | RefundBody) -> Wish:
    return Wish(
        kind,
        body.reason,
        tuple(ItemWish(**item.model_dump()) for item in body.items or ()),
        getattr(body, "amount", None),
        body.occurred_at,
        body.action_id,
    )

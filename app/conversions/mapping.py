"""How a shop's own CSV says what an order is: the mapping file of an import, in TOML.

Columns are named by the service's fields (docs/reference/orders.md) or by impact.com's names of the same.
"""

import codecs
import re
import tomllib
from collections.abc import Mapping as Table
from typing import Final, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from app.conversions.csv_records import Form
from app.errors import InvalidFile
from app.impact.columns import EXTRA, OWN_FIELD

UNIT_PRICE: Final = "unit_price"
IDS: Final = {"CampaignId": "campaign_id", "ActionTrackerId": "action_tracker_id", "EventTypeId": "action_tracker_id"}
NUMBERS: Final = frozenset({"amount", UNIT_PRICE, "quantity"})
FIELDS: Final = frozenset(
    {
        *("order_id", "event_date", "event_type", "currency", "click_id", "promo_code", "media_id", "customer_id"),
        *("customer_status", "customer_email", "sku", "category", "quantity", "amount", UNIT_PRICE, *IDS.values()),
    }
)
_PREFIX: Final = "Value error, "
_SAID: Final = {
    "missing": "this is required",
    "extra_forbidden": "there is no such key; docs/reference/import-files.md has those that there are",
}
_ASCII: Final = bytes(range(128))
_FIELD_OF: Final = (
    {name: field for name, field in OWN_FIELD.items() if field != "event_type"} | IDS | {"ItemPrice": UNIT_PRICE}
)


def field_of(name: str) -> str | None:
    """Return what a name means: a field, one of impact.com's parameters that go into `extra`, or None."""
    return name if name in FIELDS or name in EXTRA else _FIELD_OF.get(name)


class Mapping(BaseModel):
    """A mapping file. `columns`: field to column; `defaults`: field to what holds where a line says nothing."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    columns: Table[str, str]
    defaults: Table[str, str] = Field(default_factory=dict)
    delimiter: str = ","
    encoding: str = "utf-8"
    decimal_mark: str = "."
    thousands_mark: str = ""
    date_format: str = ""
    time_zone: str = ""

    @field_validator("columns", "defaults")
    @classmethod
    def _known_fields(cls, value: Table[str, str]) -> Table[str, str]:
        fields: dict[str, str] = {}
        for name, meant in value.items():
            field = field_of(name)
            if field is None:
                raise ValueError(
                    f"{name} is no field of an order and no parameter of impact.com; see docs/reference/import-files.md"
                )
            if field in fields:
                raise ValueError(f"{name} is named twice")
            fields[field] = meant
        return fields

    @field_validator("delimiter")
    @classmethod
    def _one_delimiter(cls, value: str) -> str:
        if len(value) != 1 or value in '"\r\n' or not value.isascii():
            raise ValueError('write one character, such as ";" or "\\t"')
        return value

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, value: str) -> str:
        try:
            name = codecs.lookup(value).name
            if _ASCII.decode(name) == _ASCII.decode("ascii") and b"\n".decode(name) == "\n":
                return name
        except (LookupError, UnicodeError, TypeError):
            pass
        raise ValueError("write the name of an encoding that extends ASCII, such as utf-8, windows-1252 or iso-8859-15")

    @field_validator("decimal_mark", "thousands_mark")
    @classmethod
    def _no_digits(cls, value: str) -> str:
        if len(value) > 1 or value.isalnum() or value in tuple("+-"):
            raise ValueError("write one character that is no digit")
        return value

    @field_validator("date_format")
    @classmethod
    def _whole_date(cls, value: str) -> str:
        if value and not re.search(r"%[cYyGs]", value):
            raise ValueError('write it as for strptime, such as "%d.%m.%Y %H:%M:%S"')
        return value

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value or "UTC")
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(f"{value!r} is no time zone of this machine; write it as Europe/Berlin or UTC") from None
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not self.decimal_mark or self.decimal_mark == self.thousands_mark:
            raise ValueError("decimal_mark and thousands_mark are one character each, and not the same")
        if "amount" in self.columns and UNIT_PRICE in self.columns:
            raise ValueError("name amount (the line's total) or unit_price (times the quantity), not both")
        return self

    @property
    def form(self) -> Form:
        """How the file's text is written."""
        return Form(self.delimiter, self.encoding)


def read_mapping(text: str) -> Mapping:
    """Return the mapping that a TOML file describes. Raises InvalidFile with a sentence for each fault."""
    try:
        return Mapping.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise InvalidFile(f"The mapping is not TOML: {error}.") from None
    except ValidationError as error:
        sentences = [
            f"The mapping's {'.'.join(map(str, fault['loc'])) or 'fields'}:"
            f" {_SAID.get(fault['type'], fault['msg'].removeprefix(_PREFIX))}."
            for fault in error.errors(include_url=False, include_input=False)
        ]
        raise InvalidFile("\n".join(sentences)) from None

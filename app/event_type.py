"""An event type of a program, as the settings describe it."""

import re
from datetime import datetime
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, field_validator

from app.impact.columns import (
    EVENT_CODE,
    EVENT_CODE_LENGTH,
    FILE_COLUMNS,
    ONE_LINE_LEVELS,
    OPTIONAL_COLUMNS,
    Level,
)
from app.impact.currency import DECIMALS
from app.impact.locking import LockingRule, parse_locking_rule
from app.impact.reasons import LONGEST_REASON, known_reasons

DEFAULT_KEY: Final = "default"
"""The event type of orders that name none."""

FileChannelName = Literal["folder", "sftp", "ftps", "ftp", "email"]
ChannelName = FileChannelName | Literal["http_api"]
HTTP_API: Final = "http_api"
"""The way out that is calls of impact.com's API, one for each order; all others take files."""
ModificationLayout = Literal["blank", "repeat", "indexed"]
"""How the items of an order stand in a file of modifications: a line each, the order named on the first one only or on
all of them; or one line for the order, with numbered columns."""

_ADDRESS: Final = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})*")


def _email_address(value: str) -> str:
    if not _ADDRESS.fullmatch(value):
        raise ValueError(f"{value!r} is not one e-mail address such as imports@impact.example (no name, no list)")
    return value


EmailAddress = Annotated[str, AfterValidator(_email_address)]
"""One bare address, which cannot bring a header or a second receiver with it."""


def _locking_rule(value: Any) -> Any:
    return value if value is None or isinstance(value, LockingRule) else parse_locking_rule(str(value))


class EventType(BaseModel):
    """An event type (action tracker) of a program (campaign), and how its orders are reported.

    `level` is the layout of its files; `columns` follow at the right. Orders of level `mobile` that bring no EventCode
    get `event_code`. With `tracking_consent` they say of the visitor's consent what is known with their click.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    campaign_id: int = Field(gt=0, lt=10**10)
    action_tracker_id: int = Field(gt=0, lt=10**10)
    level: Literal["item", "order", "chained", "mobile"] = "item"
    currency: str | None = None
    event_code: str | None = Field(default=None, min_length=1, max_length=EVENT_CODE_LENGTH, pattern=r"\S")
    columns: tuple[str, ...] = Field(default=(), validate_default=True)
    tracking_consent: bool = False
    channel: ChannelName | None = None
    email_to: EmailAddress | None = None
    modification_layout: ModificationLayout = "blank"
    reasons: tuple[str, ...] = ()
    locks_after: Annotated[LockingRule, BeforeValidator(_locking_rule)] | None = None

    @property
    def known_reasons(self) -> tuple[str, ...]:
        """The reason codes that a correction of its orders may have."""
        return known_reasons(self.reasons)

    def locks_at(self, event_at: datetime) -> datetime | None:
        """Return when impact.com locks an action of that time, or None if no rule says so."""
        return self.locks_after.locks_at(event_at) if self.locks_after else None

    @field_validator("reasons")
    @classmethod
    def _codes(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for code in value:
            if not (0 < len(code) <= LONGEST_REASON and code.isascii() and code.isprintable() and code == code.strip()):
                raise ValueError(
                    f"{code!r} is no disposition code: write it as impact.com shows it, capitals and all, in 1 to"
                    f" {LONGEST_REASON} characters of ASCII"
                )
        if len(set(value)) != len(value):
            raise ValueError("a code is named twice")
        return value

    @property
    def file_columns(self) -> tuple[str, ...]:
        """The columns that every file has, on the left of those that the orders may need beside them."""
        return (*FILE_COLUMNS[self.level], *self.columns)

    @property
    def has_item_lines(self) -> bool:
        """Whether each item of an order is a line of the file; else the order is one line, with their sum."""
        return self.level not in ONE_LINE_LEVELS

    @field_validator("currency")
    @classmethod
    def _known_currency(cls, value: str | None) -> str | None:
        if value is not None and value not in DECIMALS:
            raise ValueError(f"{value!r} is not an ISO 4217 code")
        return value

    @field_validator("columns")
    @classmethod
    def _known_columns(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        unknown = [name for name in value if name not in OPTIONAL_COLUMNS]
        if unknown:
            raise ValueError(
                f"{', '.join(unknown)}: not among the optional columns of a file (names are case-sensitive)"
            )
        if len(set(value)) != len(value):
            raise ValueError("a column is named twice")
        for one, other in (
            ("PromoCode", "OrderPromoCode"),
            ("MediaId", "MediaPartnerId"),
        ):
            if one in value and other in value:
                raise ValueError(f"{one} and {other} are the same to impact.com; name one of them")
        return value

    @field_validator("event_code")
    @classmethod
    def _printable(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None and info.data.get("level") != "mobile":
            raise ValueError('only mobile app events have a code; set level = "mobile" or take it out')
        if value is not None and not value.isprintable():
            raise ValueError("an event code has no control characters or line breaks")
        return value

    @field_validator("columns")
    @classmethod
    def _fitting_columns(cls, value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        level = info.data.get("level")
        if level in ONE_LINE_LEVELS:
            of_items = [name for name in value if OPTIONAL_COLUMNS[name].level is Level.ITEM]
            if of_items:
                raise ValueError(
                    f"{', '.join(of_items)}: said of an item, and a file of level {level} has a line for each order;"
                    ' take it out, or set level = "item"'
                )
        if level == "mobile":
            return value if EVENT_CODE in value else (EVENT_CODE, *value)
        if level and EVENT_CODE in value:
            raise ValueError(f'{EVENT_CODE} is the column of mobile app events; set level = "mobile" or take it out')
        return value

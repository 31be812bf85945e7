"""An event type of a program, as the settings describe it."""

import re
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator

from app.impact.columns import OPTIONAL_COLUMNS
from app.impact.currency import DECIMALS

DEFAULT_KEY: Final = "default"
"""The event type of orders that name none."""

ChannelName = Literal["folder", "sftp", "ftps", "ftp", "email"]

_ADDRESS: Final = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})*")


def _email_address(value: str) -> str:
    if not _ADDRESS.fullmatch(value):
        raise ValueError(f"{value!r} is not one e-mail address such as imports@impact.example (no name, no list)")
    return value


EmailAddress = Annotated[str, AfterValidator(_email_address)]
"""One bare address, which cannot bring a header or a second receiver with it."""


class EventType(BaseModel):
    """An event type (action tracker) of a program (campaign), and how its orders are reported."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    campaign_id: int = Field(gt=0, lt=10**10)
    action_tracker_id: int = Field(gt=0, lt=10**10)
    level: Literal["item"] = "item"
    currency: str | None = None
    columns: tuple[str, ...] = ()
    channel: ChannelName | None = None
    email_to: EmailAddress | None = None

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

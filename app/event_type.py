"""An event type of a program, as the settings describe it."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from app.impact.columns import OPTIONAL_COLUMNS
from app.impact.currency import DECIMALS


class EventType(BaseModel):
    """An event type (action tracker) of a program (campaign), and how its orders are reported."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    campaign_id: int = Field(gt=0, lt=10**10)
    action_tracker_id: int = Field(gt=0, lt=10**10)
    level: Literal["item"] = "item"
    currency: str | None = None
    columns: tuple[str, ...] = ()

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

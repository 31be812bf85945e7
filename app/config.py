"""Settings: environment variables and `.env`, prefix `CAPTURE_`, checked once at the start.

Wrong, missing and unknown names stop the start with a sentence, since a typing error that goes unnoticed loses money.
"""

import os
import re
import tomllib
from collections.abc import Iterable
from datetime import time
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from dotenv import dotenv_values
from pydantic import (
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from app.errors import Misconfigured
from app.event_type import DEFAULT_KEY, ChannelName, EventType, FileChannelName
from app.impact.limits import MAX_AGE_DAYS, MAX_AGE_DAYS_WITH_MEDIA_ID, MAX_FILE_ROWS
from app.promo_code import LEVELS_OF_RULES, PromoRules
from app.setting_types import ApiUrl, CookieName, Hosts, KeyHashes, Networks, Origins, Parameters, Rate, SecretUrl

PREFIX: Final = "CAPTURE_"
ENV_FILE: Final = ".env"
DEFAULT_EVENT_TYPE: Final = DEFAULT_KEY


class Settings(BaseSettings):
    """What the whole service shares. A field `name` is the variable `CAPTURE_NAME`."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_file=ENV_FILE,
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
    )

    database_url: SecretStr = SecretStr("sqlite:///var/conversions.db")
    campaign_id: int | None = Field(default=None, gt=0, lt=10**10)
    action_tracker_id: int | None = Field(default=None, gt=0, lt=10**10)
    event_types: Annotated[dict[str, EventType], NoDecode] = Field(default_factory=dict, validate_default=True)
    promo_codes: Annotated[PromoRules, NoDecode] = PromoRules()

    order_keys: KeyHashes = ()
    export_keys: KeyHashes = ()
    read_keys: KeyHashes = ()

    storefront_origins: Origins = ()
    linked_domains: Hosts = ()
    parameters: Parameters = ("im_ref", "irclickid")
    cookie_name: CookieName = "im_ref"
    cookie_domain: Hosts = ("auto",)
    cookie_days: int = Field(default=30, ge=1, le=400)
    cookie_secure: bool = True
    cookie_httponly: bool = False
    consent: Literal["implied", "required"] = "implied"
    honor_gpc: bool = True
    rate_limit: Rate | None = None
    trusted_proxies: Networks = ("127.0.0.1", "::1")

    spool_path: Path = Path("var/spool")
    spool_max_bytes: int = Field(default=64 * 1024 * 1024, ge=64 * 1024)

    channel: ChannelName = "folder"
    unknown_outcome: Literal["resend", "hold"] = "resend"
    delivery_tries: int = Field(default=100, ge=1, le=10_000)
    connect_seconds: int = Field(default=10, ge=1, le=120)
    login_seconds: int = Field(default=20, ge=1, le=120)
    transfer_seconds: int = Field(default=300, ge=1, le=3_600)
    allow_private_hosts: bool = False
    http_api_overflow: FileChannelName = "folder"
    impact_api_url: ApiUrl = "https://api.impact.com"
    impact_account_sid: str = ""
    impact_auth_token: SecretStr = SecretStr("")
    impact_version: str = Field(default="14", pattern=r"^[0-9]{1,4}$")
    impact_body: Literal["form", "json"] = "form"
    impact_budget_per_hour: int = Field(default=500, ge=1, le=1_000)
    impact_reserve_per_hour: int = Field(default=100, ge=0, le=1_000)
    impact_seconds: int = Field(default=30, ge=1, le=300)
    api_poll_seconds: int = Field(default=60, ge=1, le=86_400)
    file_poll_seconds: int = Field(default=1_800, ge=1, le=86_400)
    actions_poll_seconds: int = Field(default=3_600, ge=60, le=86_400)
    corrections_after: Literal["delivered", "accepted"] = "delivered"
    folder_pulled_at: time | None = None
    journal_path: Path = Path("var/journal")
    lease_seconds: int = Field(default=15, ge=1, le=15)
    drain_seconds: int = Field(default=1, ge=0, le=60)
    max_rows: int = Field(default=9_999, ge=1, lt=MAX_FILE_ROWS)
    max_event_age_days: int = Field(default=MAX_AGE_DAYS, ge=1, le=MAX_AGE_DAYS)
    event_age_margin_days: int = Field(default=1, ge=0, le=30)
    amount_basis: Literal["before_discounts", "after_discounts"] = "before_discounts"
    sku_max_length: int = Field(default=255, ge=1, le=255)

    alarm_url: SecretUrl | None = None
    alarm_unsent_hours: int = Field(default=48, ge=1, le=2_000)
    alarm_export_hours: int = Field(default=26, ge=1, le=2_000)
    alarm_disk_bytes: int = Field(default=512 * 1024 * 1024, ge=0)

    deadline_days: int = Field(default=7, ge=1, le=365)

    keep_clicks_days: int = Field(default=400, ge=1, le=36_500)
    keep_alarms_days: int = Field(default=30, ge=1, le=36_500)
    keep_files_days: int = Field(default=400, ge=100, le=36_500)
    keep_personal_days: int | None = Field(default=None, ge=100, le=36_500)
    fingerprint_key: SecretStr | None = Field(default=None, min_length=32)

    dashboard_hours: int = Field(default=12, ge=1, le=168)

    # Settings are read once. As what they are, and not by what they say, they are the key of what follows from them.
    __hash__ = object.__hash__
    __eq__ = object.__eq__

    @field_validator("database_url")
    @classmethod
    def _known_database(cls, value: SecretStr) -> SecretStr:
        try:
            url = make_url(value.get_secret_value())
        except (ArgumentError, ValueError):  # a ValueError quotes the port, which may be a part of the password
            raise ValueError(
                "write it as sqlite:///var/conversions.db or postgresql://user:password@host/name"
            ) from None
        if url.drivername == "sqlite" and url.database and url.database != ":memory:":
            return value
        if url.drivername in {"postgresql", "postgres", "postgresql+psycopg"} and url.database:
            return SecretStr(url.set(drivername="postgresql+psycopg").render_as_string(hide_password=False))
        raise ValueError(
            "SQLite (sqlite:///file.db) and PostgreSQL (postgresql://user:password@host/name) are supported"
        )

    @field_validator("event_types", "promo_codes", mode="before")
    @classmethod
    def _read_toml(cls, value: Any) -> Any:
        if not isinstance(value, str | Path):
            return value
        try:
            return tomllib.loads(Path(value).read_text("utf-8"))
        except OSError as exc:
            raise ValueError(f"{value} cannot be read ({exc.strerror})") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
            raise ValueError(f"{value} is not TOML: {exc}") from None

    @field_validator("folder_pulled_at")
    @classmethod
    def _in_utc(cls, value: time | None) -> time | None:
        if value is not None and value.tzinfo is not None:
            raise ValueError("write the time of day in UTC, without an offset, such as 04:30")
        return value

    @field_validator("event_types")
    @classmethod
    def _named_for_files(cls, value: dict[str, EventType]) -> dict[str, EventType]:
        wrong = [key for key in value if not re.fullmatch(r"[a-z0-9-]{1,32}", key)]
        if wrong:
            raise ValueError(f"{', '.join(map(repr, wrong))}: a key has 1 to 32 characters of a-z, 0-9 and -")
        return value

    @field_validator("cookie_domain")
    @classmethod
    def _one_rule(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value or (len(value) > 1 and {"auto", "host"} & set(value)) or any("*" in one for one in value):
            raise ValueError("write auto, host, or domains such as shop.example,shop.test")
        return value

    @model_validator(mode="after")
    def _clicks_outlive_their_cookies(self) -> Self:
        if self.keep_clicks_days < self.cookie_days:
            raise ValueError(
                f"{PREFIX}KEEP_CLICKS_DAYS is {self.keep_clicks_days}, and a cookie is sent for {PREFIX}COOKIE_DAYS"
                f" ({self.cookie_days}): keep clicks for at least as long, so that the click of an order is still there"
            )
        return self

    @model_validator(mode="after")
    def _fingerprints_can_be_keyed(self) -> Self:
        if self.keep_personal_days is not None and self.fingerprint_key is None:
            raise ValueError(
                f"{PREFIX}KEEP_PERSONAL_DAYS needs {PREFIX}FINGERPRINT_KEY, a secret of at least 32 characters that all"
                " replicas share and that never changes: by it the same order is known again when its personal fields"
                " are gone"
            )
        return self

    @model_validator(mode="after")
    def _api_is_usable(self) -> Self:
        if bool(self.impact_account_sid) != bool(self.impact_auth_token.get_secret_value()):
            raise ValueError(
                f"{PREFIX}IMPACT_ACCOUNT_SID and {PREFIX}IMPACT_AUTH_TOKEN belong together: set both, or neither"
            )
        if "http_api" in self.channels_in_use and not self.has_api:
            raise ValueError(
                f"orders leave by http_api, which needs {PREFIX}IMPACT_ACCOUNT_SID and {PREFIX}IMPACT_AUTH_TOKEN"
            )
        if not self.impact_api_url.startswith("https://") and not self.allow_private_hosts:
            raise ValueError(f"{PREFIX}IMPACT_API_URL must begin with https://, since it is called with the auth token")
        if self.impact_reserve_per_hour >= self.impact_budget_per_hour:
            raise ValueError(
                f"{PREFIX}IMPACT_RESERVE_PER_HOUR is a part of {PREFIX}IMPACT_BUDGET_PER_HOUR, and must be smaller"
            )
        return self

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if DEFAULT_EVENT_TYPE in self.event_types:
            return self
        for name in ("campaign_id", "action_tracker_id"):
            if getattr(self, name) is None:
                raise ValueError(
                    f"{PREFIX}{name.upper()} is missing: set it to the number that impact.com shows for your program"
                    f"{' (campaign)' if name == 'campaign_id' else chr(39) + 's event type (action tracker)'}, or"
                    f" describe [default] in {PREFIX}EVENT_TYPES"
                )
        return self

    @model_validator(mode="after")
    def _rules_name_event_types(self) -> Self:
        for rule in self.promo_codes.rules:
            event_type = self.event_type(rule.event_type or DEFAULT_EVENT_TYPE)
            if event_type is None:
                raise ValueError(
                    f"{PREFIX}PROMO_CODES: the rule for {rule} names the event type {rule.event_type!r}, which is not"
                    f" described in {PREFIX}EVENT_TYPES; there are: {', '.join(self.event_type_keys)}"
                )
            if event_type.level not in LEVELS_OF_RULES:
                raise ValueError(
                    f"{PREFIX}PROMO_CODES: the rule for {rule} names the event type {rule.event_type!r}, whose orders"
                    " must say more than a promo code can"
                )
        return self

    def event_type(self, key: str) -> EventType | None:
        """Return the event type called `key`, or None."""
        if key == DEFAULT_EVENT_TYPE and key not in self.event_types:
            return EventType(
                campaign_id=self.campaign_id or 0,
                action_tracker_id=self.action_tracker_id or 0,
            )
        return self.event_types.get(key)

    def channel_of(self, key: str) -> ChannelName:
        """Return the name of the channel by which files of an event type leave."""
        event_type = self.event_types.get(key)
        return (event_type and event_type.channel) or self.channel

    def channel_of_files(self, key: str) -> FileChannelName:
        """Return the name of the channel by which an event type's files leave, also where its orders go by calls."""
        channel = self.channel_of(key)
        return self.http_api_overflow if channel == "http_api" else channel

    @property
    def has_api(self) -> bool:
        """Whether impact.com's HTTP API can be asked."""
        return bool(self.impact_account_sid)

    @property
    def channels_in_use(self) -> list[ChannelName]:
        """The channels that some event type's orders leave by, the one for what does not fit the API's budget too."""
        used = {self.channel_of(key) for key in self.event_type_keys}
        return sorted({*used, self.http_api_overflow} if "http_api" in used else used)

    @property
    def event_type_keys(self) -> list[str]:
        """All event types' keys."""
        return sorted({DEFAULT_EVENT_TYPE, *self.event_types})

    def max_age_days(self, *, with_media_id: bool) -> int:
        """Return how many days old an event may be when its file is rendered."""
        limit = MAX_AGE_DAYS_WITH_MEDIA_ID if with_media_id else self.max_event_age_days
        return limit - self.event_age_margin_days


def load(*classes: type[BaseSettings]) -> list[BaseSettings]:
    """Read every settings class. Raises Misconfigured with one sentence per fault, unknown names among them."""
    sentences = [
        f"{name} is not a setting of this version; docs/reference/settings.md has the list."
        for name in _unknown_names(classes)
    ]
    loaded: list[BaseSettings] = []
    for one in classes:
        try:
            loaded.append(one())
        except ValidationError as exc:
            sentences += [_sentence(one, fault) for fault in exc.errors(include_input=False, include_url=False)]
    if sentences:
        raise Misconfigured("\n".join(sentences))
    return loaded


def require(settings: BaseSettings, **needed: str) -> None:
    """Raise Misconfigured, naming the variables, unless each field has a value; `needed` says what each one is."""
    absent = [name for name in needed if not getattr(settings, name)]
    if absent:
        sentences = [f"{_variable(type(settings), name)} is missing: {needed[name]}." for name in absent]
        raise Misconfigured("\n".join(sentences))


def _unknown_names(classes: Iterable[type[BaseSettings]]) -> list[str]:
    known = {_variable(one, field) for one in classes for field in one.model_fields}
    given = {name.upper() for name in (*os.environ, *dotenv_values(ENV_FILE)) if name.upper().startswith(PREFIX)}
    return sorted(given - known)


def _variable(one: type[BaseSettings], field: str) -> str:
    """Return a field's variable: `from_` is FROM, read by an alias, which is what pydantic calls it in its faults."""
    prefix = "" if field.startswith(PREFIX) else one.model_config.get("env_prefix", PREFIX)
    return f"{prefix}{field.rstrip('_')}".upper()


def _sentence(one: type[BaseSettings], fault: Any) -> str:
    message: str = fault["msg"].removeprefix("Value error, ")
    if fault["type"] == "tuple_type":
        message = 'write a list, such as ["one", "another"]'
    if not fault["loc"]:
        return message
    inner = "".join(f" [{part}]" for part in fault["loc"][1:])
    return f"{_variable(one, str(fault['loc'][0]))}{inner}: {message}."

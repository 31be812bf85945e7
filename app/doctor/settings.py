"""The settings as they may be shown."""

from typing import Any

from pydantic import SecretStr
from pydantic_settings import BaseSettings
from sqlalchemy.engine import make_url

from app.delivery.channels import CHANNELS
from app.security import Right
from app.service import Service

HIDDEN = "***"
_KEYS = frozenset(f"{right}_keys" for right in Right)


def shown_settings(service: Service) -> dict[str, str]:
    """Return every shared setting and those of the channels in use, by variable, with secrets and keys masked."""
    used = [service.settings, *(CHANNELS[name][0]() for name in service.channels)]
    return {
        _variable(one, field): _shown(field, getattr(one, field)) for one in used for field in type(one).model_fields
    }


def _variable(settings: BaseSettings, field: str) -> str:
    return f"{settings.model_config.get('env_prefix', '')}{field}".upper()


def _shown(field: str, value: Any) -> str:
    if field == "database_url":  # what stands behind the name may hold a password too
        return make_url(value.get_secret_value()).set(query={}).render_as_string(hide_password=True)
    if isinstance(value, tuple):
        return ",".join(_shown(field, one) for one in value)
    if isinstance(value, SecretStr) or field in _KEYS:
        return HIDDEN if value else ""
    if isinstance(value, dict):
        return ",".join(value)
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)

"""Defaults and values of settings, from their classes. What a setting means has its home in the page."""

import re
import types
from collections.abc import Iterator
from datetime import time
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt, MinLen
from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from pydantic_settings import BaseSettings

from app.config import Settings
from app.delivery.channels import CHANNELS
from app.event_type import EventType
from handbook.page import code

CLASSES: Final[tuple[type[BaseSettings], ...]] = (Settings, *(settings for settings, _ in CHANNELS.values()))
WORDS: Final = {bool: "`true`, `false`", str: "text", Path: "a path", SecretStr: "a secret", time: "a time of day"}
_ROW: Final = re.compile(r"^\| `(\w+)` \|[^|]*\|(?:[^|]|\\\|)*\| (.*) \|$", re.MULTILINE)


def fields() -> dict[str, FieldInfo]:
    """Return every setting, and every key of an event type, by its name."""
    settings = {
        f"{one.model_config.get('env_prefix', '')}{name.rstrip('_')}".upper(): field
        for one in CLASSES
        for name, field in one.model_fields.items()
    }
    return settings | EventType.model_fields


def renewed(page: str) -> str:
    """Return the page with each row's default and values as the classes have them."""
    known = fields()
    return _ROW.sub(lambda row: f"| `{row[1]}` | {default(known[row[1]])} | {values(known[row[1]])} | {row[2]} |", page)


def meanings(page: str) -> dict[str, str]:
    """Return what the page says of each name."""
    return {row[1]: row[2] for row in _ROW.finditer(page)}


def default(field: FieldInfo) -> str:
    """Say what holds where nothing is set."""
    value = field.default
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if value is PydanticUndefined or value is None or str(value) in {"", "()"}:
        return "none"
    if isinstance(value, bool):
        return code(str(value).lower())
    return code(",".join(value) if isinstance(value, tuple) else value)


def values(field: FieldInfo) -> str:
    """Say what a setting may be, as far as its type says so."""
    bounds = {type(one): one for one in (*field.metadata, *_annotations(field.annotation))}
    plain = next(_plain(field.annotation))
    if plain is int:
        return _range(bounds)
    if get_origin(plain) is Literal:
        return code(*(word for one in _plain(field.annotation) for word in get_args(one)))
    if get_origin(plain) is tuple:
        return "a list"
    if plain in WORDS:
        least = bounds[MinLen].min_length if MinLen in bounds else 1
        return WORDS[plain] + (f", at least {least} characters" if least > 1 else "")
    return "a TOML file" if plain is dict or hasattr(plain, "model_fields") else "text"


def _range(bounds: dict[type, Any]) -> str:
    least = bounds[Ge].ge if Ge in bounds else bounds[Gt].gt + 1 if Gt in bounds else None
    most = bounds[Le].le if Le in bounds else bounds[Lt].lt - 1 if Lt in bounds else None
    if least is None:
        return "a whole number"
    return f"{least:,} to {most:,}" if most is not None else f"{least:,} or more"


def _plain(annotation: Any) -> Iterator[Any]:
    """Yield what an annotation comes to, each member of a union by itself, nothing for None."""
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _plain(get_args(annotation)[0])
    elif origin in {Union, types.UnionType}:
        for one in get_args(annotation):
            yield from _plain(one)
    elif annotation is not type(None):
        yield dict if origin is dict else annotation


def _annotations(annotation: Any) -> Iterator[Any]:
    for one in get_args(annotation):
        yield from one.__metadata__ if get_origin(one) is Annotated else ()

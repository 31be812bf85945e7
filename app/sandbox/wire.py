"""Requests and answers of the HTTP API, as impact.com's documents have them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, urlencode

from app.sandbox.options import Options

FORM, JSON = "application/x-www-form-urlencoded", "application/json"


class Refused(Exception):
    """A call that is answered with an error."""

    def __init__(self, status: HTTPStatus, message: str, faults: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__(message)
        self.status, self.message, self.faults = status, message, faults


@dataclass(frozen=True)
class Call:
    """What came in: names of headers in lower case."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes

    @property
    def kind(self) -> str:
        """The media type of the body, without its parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


@dataclass(frozen=True)
class Request:
    """A call of the API; `path` is what comes after the account."""

    method: str
    path: str
    account: str
    query: Mapping[str, str] = field(default_factory=dict)
    fields: Mapping[str, str] = field(default_factory=dict)

    @property
    def given(self) -> dict[str, str]:
        """Everything that the caller has said, in the query and in the body."""
        return {**self.query, **self.fields}

    @property
    def payload(self) -> str:
        """The same as a query string."""
        return urlencode(self.given)


@dataclass(frozen=True)
class Answer:
    """What goes back."""

    status: int
    body: bytes
    kind: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)


def fields_of(call: Call) -> dict[str, str]:
    """Read a form or a flat JSON object. Raises Refused."""
    if not call.body:
        return {}
    try:
        if call.kind == FORM:
            return dict(parse_qsl(call.body.decode(), keep_blank_values=True, strict_parsing=True))
        if call.kind == JSON:
            return _flat(json.loads(call.body, parse_float=Decimal))
    except ValueError:
        raise Refused(HTTPStatus.BAD_REQUEST, "The body cannot be read as what its Content-Type says.") from None
    raise Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"Send {FORM} or {JSON}.")


def _flat(value: Any) -> dict[str, str]:
    if not isinstance(value, dict) or any(isinstance(one, dict | list) for one in value.values()):
        raise Refused(HTTPStatus.BAD_REQUEST, "Send one flat JSON object.")
    told = {name: str(one).lower() if isinstance(one, bool) else str(one) for name, one in value.items()}
    return {name: one for name, one in told.items() if value[name] is not None}


def as_json(value: Any, options: Options) -> bytes:
    """Write an answer: times with their offset, numbers as the setting says."""
    return json.dumps(_plain(value, strings=options.numbers == "strings"), ensure_ascii=False).encode()


def _plain(value: Any, *, strings: bool) -> Any:
    if isinstance(value, Mapping):
        return {name: _plain(one, strings=strings) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one, strings=strings) for one in value]
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="seconds")
    if isinstance(value, Decimal):
        return str(value) if strings else json.loads(str(value))
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value) if strings else value
    return value


def error(refused: Refused, options: Options, *, is_conversion: bool) -> bytes:
    """Write an error in the spelling that the setting wants."""
    spelling = options.error_spelling
    if spelling == "documented":
        spelling = "lower" if is_conversion and refused.status == HTTPStatus.BAD_REQUEST else "upper"
    faults = refused.faults or [("", refused.message)]
    if spelling == "lower":
        told = [{"field": name, "level": "ERROR", "message": text} for name, text in faults]
        return as_json({"Status": "ERROR", "errors": told}, options)
    several = [{"Field": name, "Message": text} for name, text in refused.faults]
    return as_json({"Status": "ERROR", "Message": refused.message, "Errors": several}, options)


def bad(field_name: str, text: str) -> Refused:
    """Return the refusal of one parameter."""
    return Refused(HTTPStatus.BAD_REQUEST, f"{field_name}: {text}", [(field_name, text)])

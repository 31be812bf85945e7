"""What an answer of impact.com's API says, read with care: it may be cut, no JSON at all, or JSON of another shape.

Facts: its pages on error codes and its OpenAPI documents (v14). Errors come as `Status`, `Message` and
`Errors[{Field, Message}]`, or as `errors[{field, level, message}]`; numbers may come as texts.
"""

import json
import re
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any, Final

import orjson

from app.errors import ApiRefused, ApiUnavailable, CredentialsRefused, DeliveryError, OutcomeUnknown
from app.impact.outcomes import known_reasons

LONGEST_URI: Final = 1_000
LONGEST_REASON: Final = 200
MOST_REASONS: Final = 10
_CODE: Final = re.compile(r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*")
_FIELD: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
_UNSEEN: Final = re.compile(r"[^\x20-\x7e\xa0-\U0010ffff]+")


def object_of(content: bytes) -> Mapping[str, Any] | None:
    """Return the JSON object that an answer is, in whatever encoding, or None if it is none."""
    try:
        body: Any = orjson.loads(content)
    except orjson.JSONDecodeError:
        body = _loads_leniently(content)
    return body if isinstance(body, dict) else None


def _loads_leniently(content: bytes) -> Any:
    try:
        return json.loads(content.decode(json.detect_encoding(content)))
    except (ValueError, RecursionError):
        pass
    try:
        return json.loads(content.decode("latin-1"))
    except (ValueError, RecursionError):
        return None


def failure(status: int, content: bytes) -> DeliveryError | None:
    """Return what an answer of this status means if it means that the call was not taken, and None if it was."""
    if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        return CredentialsRefused(
            f"impact.com's API refuses the account's token (HTTP {status}); see that CAPTURE_IMPACT_ACCOUNT_SID and"
            " CAPTURE_IMPACT_AUTH_TOKEN are right, and that the token may use this part of the API."
        )
    if status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR or status < HTTPStatus.OK:
        is_a_fault = status >= HTTPStatus.INTERNAL_SERVER_ERROR
        return ApiUnavailable(f"impact.com's API takes no calls now (HTTP {status}).", doubtful=is_a_fault)
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        return ApiRefused(
            f"impact.com's API points to another address (HTTP {status}), and nothing is sent there; see"
            " CAPTURE_IMPACT_API_URL.",
            http_status=status,
        )
    return None if status < HTTPStatus.BAD_REQUEST else _refusal(status, object_of(content) or {})


def _refusal(status: int, body: Mapping[str, Any]) -> ApiRefused:
    reasons = reasons_of(body)
    known = " ".join(one for one in reasons if one in known_reasons()) or " ".join(_fields(body))
    detail = f"impact.com's API refuses the call (HTTP {status}{': ' if known else ''}{known})."
    return ApiRefused(detail, http_status=status, reasons=reasons)


def body_of(content: bytes | None) -> Mapping[str, Any]:
    """Return what was asked for. Raises ApiUnavailable; None stands for an answer that was too long or cut."""
    body = None if content is None else object_of(content)
    if body is None:
        what = "is cut or too long" if content is None else "is no JSON object"
        raise ApiUnavailable(f"impact.com's API gives an answer that {what}.")
    return body


def queued_uri_of(status: int, content: bytes | None) -> str:
    """Return where impact.com says what became of a call that it has queued.

    Raises OutcomeUnknown if it does not say that, and ApiRefused if it says that it has not taken the call.
    """
    body = object_of(content or b"") or {}
    if str(_member(body, "status")).upper() == "ERROR":
        raise _refusal(status, body)
    uri = _member(body, "queueduri")
    if not isinstance(uri, str) or not 0 < len(uri) <= LONGEST_URI:
        raise OutcomeUnknown("impact.com's API has given an answer that cannot be read; it may have taken the call.")
    return uri


def reasons_of(body: Mapping[str, Any]) -> tuple[str, ...]:
    """Return why a call was refused: impact.com's codes where it names some, else what it says of each field.

    These texts may repeat what was sent: they are kept with the call, and are nothing for a log.
    """
    told = [(field, text) for field, text in _told(body) if text]
    codes = [code for _, text in told for code in _CODE.findall(text) if code in known_reasons()]
    said = codes or [f"{field}: {text}" if field else text for field, text in told]
    return tuple(one[:LONGEST_REASON] for one in dict.fromkeys(said))[:MOST_REASONS]


def _told(body: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the field and the sentence of each error, the fields' own before the one about all."""
    errors = _member(body, "errors")
    for one in errors if isinstance(errors, list) else [errors]:
        if isinstance(one, Mapping):
            yield _field(one), _clean(_member(one, "message"))
        elif isinstance(one, str):
            yield "", _clean(one)
    yield "", _clean(_member(body, "message"))


def _fields(body: Mapping[str, Any]) -> Iterator[str]:
    yield from dict.fromkeys(field for field, _ in _told(body) if field)


def _field(error: Mapping[str, Any]) -> str:
    name = _clean(_member(error, "field"))
    return name if _FIELD.fullmatch(name) else ""


def _member(body: Mapping[str, Any], name: str) -> Any:
    """Return what stands under a name, whatever its capitals."""
    return next((value for key, value in body.items() if key.lower() == name), None)


def _clean(text: Any) -> str:
    return _UNSEEN.sub(" ", text).strip()[:LONGEST_REASON] if isinstance(text, str) else ""


def rows_of(body: Mapping[str, Any], *names: str) -> list[Mapping[str, Any]]:
    """Return the rows of a list under the first of these names that is there; a single row may stand alone."""
    found: Any = next((body[name] for name in names if name in body), [])
    rows = found if isinstance(found, list) else [found]
    return [row for row in rows if isinstance(row, Mapping)]

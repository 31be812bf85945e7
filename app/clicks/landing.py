"""What a call of `/capture` says, read from its raw query string or its JSON body.

The query is split here, because form decoding turns the `+` of a click id into a space.
"""

import json
import re
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, Final, NamedTuple, NoReturn
from urllib.parse import unquote_to_bytes

from app.clicks.click import ClickId, click_id_of
from app.clicks.linked import CLICK, LINKED
from app.errors import MalformedRequest, TooLarge, WrongMediaType

MAX_BODY: Final = 16 * 1_024
"""Bytes of a POST body."""

_REMEMBERED: Final = 500
"""Bytes of an encoded text whose decoding is remembered: popular pages come again and again."""
_NAMES: Final = {name.encode(): name for name in (CLICK, "irclickid", "url", "referrer", "consent", "to", LINKED)}
_CONSENT: Final = {"granted": True, "denied": False}
_TIME: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,9})?)?(Z|[+-][0-9]{2}:?[0-9]{2})"
)


class Landing(NamedTuple):
    """A visitor's arrival as the shop reports it; None is what it did not say.

    `captured_at` is an epoch second; `linked` is there, right or wrong, when another domain handed the click over.
    """

    click_id: ClickId | None = None
    url: str | None = None
    referrer: str | None = None
    captured_at: int | None = None
    consent: bool | None = None
    to: str | None = None
    linked: str | None = None


def from_query(query: bytes, parameters: Sequence[str]) -> Landing:
    """Read a GET. Of `parameters` the first one that is present carries the click id. Raises MalformedRequest."""
    given = parse_query(query)
    get = given.get
    consent = get("consent")
    if consent is not None and consent not in _CONSENT:
        raise MalformedRequest("`consent` must be granted or denied.")
    # Whatever this shop's own links are called, a hand-over has one name for both sides.
    names = (CLICK, *parameters) if LINKED in given else parameters
    granted = None if consent is None else _CONSENT[consent]
    return Landing(_click_id(given, names), get("url"), get("referrer"), None, granted, get("to"), get(LINKED))


def parse_query(query: bytes) -> dict[str, str]:
    """Return names and values of a raw query string, percent-decoded exactly once; of equal names the first counts.

    A `+` stays a `+` and a malformed percent sequence stays as it is; bytes that are not UTF-8 become U+FFFD.
    """
    given: dict[str, str] = {}
    for part in query.split(b"&"):
        name, _, value = part.partition(b"=")
        text = _decoded(value) if b"%" in value or not value.isascii() else value.decode()
        given.setdefault(_NAMES.get(name) or _decoded(name), text)
    return given


def _decoded(raw: bytes) -> str:
    return _unquoted(raw) if len(raw) <= _REMEMBERED else _unquoted.__wrapped__(raw)


@lru_cache(maxsize=4_096)
def _unquoted(raw: bytes) -> str:
    return unquote_to_bytes(raw).decode("utf-8", "replace")


def from_body(content_type: str | None, body: bytes, parameters: Sequence[str]) -> Landing:
    """Read a POST: a JSON object in UTF-8, or nothing at all. Raises TooLarge, WrongMediaType, MalformedRequest."""
    media_type = (content_type or "").partition(";")[0].strip().lower()
    if media_type not in {"", "application/json", "text/plain"}:
        raise WrongMediaType("Send the JSON as application/json or text/plain.")
    if len(body) > MAX_BODY:
        raise TooLarge(f"The body must not be longer than {MAX_BODY} bytes.")
    given = _json_object(body) if body else {}
    texts = {name: _text(given, name) for name in (CLICK, *parameters, "url", "referrer") if name in given}
    return Landing(
        click_id=_click_id(texts, (CLICK, *parameters)),
        url=texts.get("url"),
        referrer=texts.get("referrer"),
        captured_at=_captured_at(given["captured_at"]) if "captured_at" in given else None,
        consent=_consent(given),
        linked=_linked(given),
    )


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        given = json.loads(body.decode("utf-8"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise MalformedRequest("The body is not JSON in UTF-8, or is nested too deeply.") from None
    if not isinstance(given, dict):
        raise MalformedRequest('The body must be a JSON object such as {"im_ref": "ID"}.')
    return given


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _text(given: dict[str, Any], name: str) -> str:
    value = given[name]
    if not isinstance(value, str):
        raise MalformedRequest(f"`{name}` must be a text.")
    return value


def _linked(given: dict[str, Any]) -> str | None:
    """Return what cannot be a hand-over as one that is malformed, since a wrong one is no error."""
    linked = given.get(LINKED, "")
    return (linked if isinstance(linked, str) else "") if LINKED in given else None


def _consent(given: dict[str, Any]) -> bool | None:
    consent = given.get("consent")
    if "consent" in given and not isinstance(consent, bool):
        raise MalformedRequest("`consent` must be true or false.")
    return consent


def _captured_at(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and _TIME.fullmatch(value.upper()):
        try:
            return int(datetime.fromisoformat(value.upper()).timestamp())
        except ValueError:  # the thirtieth of February
            pass
    raise MalformedRequest(
        "`captured_at` must be an ISO 8601 time with offset, such as 2026-11-20T18:00:22+00:00, or whole seconds since"
        " 1970."
    )


def _click_id(given: dict[str, str], names: Sequence[str]) -> ClickId | None:
    for name in names:
        if name in given:
            break
    else:
        return None
    click_id = click_id_of(given[name])
    if click_id is None:
        raise MalformedRequest(
            f"`{name}` must have 1 to 64 characters of A-Z a-z 0-9 . _ ~ : % + / = -", code="INVALID_CLICK_ID"
        )
    return click_id

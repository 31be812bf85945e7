"""JSON as money needs it: numbers keep every digit, and what most parsers let pass is a fault with its place."""

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Final

import orjson

from app.errors import Fault, InvalidInput, pointer_to

MALFORMED: Final = "CONV_MALFORMED"
MAX_DIGITS: Final = 19
"""Longer numbers are kept as Decimal: Python's int refuses 4,300 digits with an error of its own."""
MAX_EXPONENT: Final = 100
"""`0e999999999` is ten characters, and gigabytes as soon as somebody writes it out or scales it."""

_CONTROL: Final = re.compile(rb"\xc2[\x80-\x9f]")
_MINUS_ZERO: Final = re.compile(rb"-0(?<=[\s:,\[]-0)")


class _Object(dict[str, Any]):
    """A JSON object that remembers which of its keys came more than once."""

    repeated: tuple[str, ...] = ()


class _NotFinite:
    """Stands for NaN and Infinity, which JSON does not have, and for what is as good as infinite."""


def plain(body: bytes) -> Any:
    """Return what `parse` would, in a tenth of the time, or None where that is not certain.

    Only numbers with a fraction or exponent, and those of 20 digits and more, are not as they come from there.
    """
    if not body.startswith(b"{") or b"\\" in body or b"\x7f" in body or _CONTROL.search(body):
        return None
    if _MINUS_ZERO.search(body):
        return None
    try:
        value = orjson.loads(body)
        # Without a backslash, each text and each key stands between two quotes. A key that came twice is read once.
        return value if orjson.dumps(value).count(b'"') == body.count(b'"') else None
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        return None


def parse(body: bytes) -> tuple[Any, list[Fault]]:
    """Return the value and the faults that only its text shows: repeated keys, NaN, text that cannot be stored.

    Numbers with a fraction or exponent come as Decimal, never as float. Raises InvalidInput if it is no JSON at all.
    """
    try:
        value = json.loads(
            body.decode("utf-8"),
            parse_float=_number,
            parse_int=lambda digits: Decimal(digits) if len(digits) > MAX_DIGITS or digits == "-0" else int(digits),
            parse_constant=lambda _: _NotFinite(),
            object_pairs_hook=_object,
        )
        return value, text_faults(value)
    except UnicodeDecodeError as exc:
        raise InvalidInput([Fault(MALFORMED, f"The body is not UTF-8 (byte {exc.start}).")]) from None
    except RecursionError:
        raise InvalidInput([Fault(MALFORMED, "The body is nested too deeply.")]) from None
    except (ValueError, ArithmeticError) as exc:
        where = f" (line {exc.lineno}, column {exc.colno})" if isinstance(exc, json.JSONDecodeError) else ""
        raise InvalidInput([Fault(MALFORMED, f"The body is not JSON{where}.")]) from None


def text_faults(value: Any) -> list[Fault]:
    """Return what is wrong with the texts of a value, wherever it comes from."""
    return list(_faults(value, ""))


def unusable(text: str) -> str | None:
    """Say why `text` cannot be kept on every database and in a file, or None if it can."""
    for character in text:
        category = unicodedata.category(character)
        if category == "Cc":
            return f"has the control character U+{ord(character):04X}; remove it"
        if category == "Cs":
            return "has half of a surrogate pair, which is no character; send it as UTF-8"
    return None


def _number(text: str) -> Decimal | _NotFinite:
    number = Decimal(text)
    return number if abs(number.adjusted()) <= MAX_EXPONENT else _NotFinite()


def _object(pairs: list[tuple[str, Any]]) -> _Object:
    value = _Object((key if key.isprintable() else _readable(key), inner) for key, inner in pairs)
    if len(value) != len(pairs):
        counts = Counter(key for key, _ in pairs)
        value.repeated = tuple(key for key, count in counts.items() if count > 1)
    return value


def _faults(value: Any, pointer: str) -> Iterator[Fault]:
    match value:
        case str() if not value.isprintable():
            if reason := unusable(value):
                yield Fault("INVALID_TEXT", f"The text {reason}.", pointer)
        case _NotFinite():
            yield Fault("INVALID_NUMBER", "NaN, Infinity and exponents beyond 100 are no numbers here.", pointer)
        case dict():
            for key in value.repeated if isinstance(value, _Object) else ():
                yield Fault("DUPLICATE_KEY", "This key comes more than once; send it once.", pointer + pointer_to(key))
            for key, inner in value.items():
                yield from _faults(inner, pointer + pointer_to(key))
        case list():
            for index, inner in enumerate(value):
                yield from _faults(inner, f"{pointer}/{index}")


def _readable(key: str) -> str:
    """Return a key that can be printed; no field has such a name, so it is refused as unknown."""
    return key.encode("unicode_escape").decode()

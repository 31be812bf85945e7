"""How settings are written: the types of their values, each with the sentence that says what is wrong."""

import re
from ipaddress import ip_network
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr
from pydantic_settings import NoDecode

_HOST = re.compile(r"(?!-)[a-z0-9-]{1,63}(\.[a-z0-9-]{1,63})*")
_COOKIE_NAME = re.compile(r"[A-Za-z0-9._~-]{1,64}")  # of RFC 6265's tokens those that need no escape anywhere
_RATE = re.compile(r"[1-9][0-9]{0,5}/(second|minute|hour|day)")
_PARAMETER = re.compile(r"[A-Za-z0-9_.~-]{1,64}")


def split_list(value: Any) -> Any:
    """Split a comma-separated setting; blanks around the parts and empty parts are dropped."""
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


def _matches(pattern: re.Pattern[str], wanted: str) -> AfterValidator:
    def check(value: str) -> str:
        if not pattern.fullmatch(value):
            raise ValueError(f"{value!r} is not {wanted}")
        return value

    return AfterValidator(check)


def _origin(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or value != f"{parts.scheme}://{parts.netloc}" or not parts.hostname:
        raise ValueError(f"{value!r} is not an origin such as https://www.shop.example (no path, no slash at the end)")
    if not _HOST.fullmatch(parts.netloc.partition(":")[0]):
        raise ValueError(f"{value!r} must be written in lower case and, for international names, in punycode")
    return value


def _host(value: str) -> str:
    if not _HOST.fullmatch(value.removeprefix("*.")):
        raise ValueError(f"{value!r} is not a host such as shop.example or *.shop.example (lower case, punycode)")
    return value


def _network(value: str) -> str:
    try:
        ip_network(value)
    except ValueError:
        raise ValueError(f"{value!r} is not an address or a network such as 10.0.0.0/8 or 2001:db8::/32") from None
    return value


def _key_hash(value: str) -> str:
    if not re.fullmatch(r"sha256:[0-9a-f]{64}", value):  # the sentence does not repeat what may be the key itself
        raise ValueError("write sha256:<64 lower-case hex digits>, as `conversion-capture keys new` prints it")
    return value


def _secret_url(value: SecretStr) -> SecretStr:
    url = value.get_secret_value()
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and parts.hostname and (parts.port is None or parts.port > 0)
    except ValueError:  # it would quote the URL, which may hold a token
        usable = False
    if not usable or not url.isascii() or not url.isprintable() or " " in url:
        raise ValueError("write an address such as https://alarms.example/hook")
    return value


KeyHash = Annotated[str, AfterValidator(_key_hash)]
KeyHashes = Annotated[
    tuple[KeyHash, ...],
    NoDecode,
    BeforeValidator(split_list),
    AfterValidator(lambda hashes: tuple(one.removeprefix("sha256:") for one in hashes)),
]
Origins = Annotated[
    tuple[Annotated[str, AfterValidator(_origin)], ...],
    NoDecode,
    BeforeValidator(split_list),
]
Hosts = Annotated[
    tuple[Annotated[str, AfterValidator(_host)], ...],
    NoDecode,
    BeforeValidator(split_list),
]
Networks = Annotated[
    tuple[Annotated[str, AfterValidator(_network)], ...],
    NoDecode,
    BeforeValidator(split_list),
]
Parameters = Annotated[
    tuple[Annotated[str, _matches(_PARAMETER, "a query parameter's name")], ...],
    NoDecode,
    BeforeValidator(split_list),
    Field(min_length=1),
]
ApiUrl = Annotated[str, AfterValidator(_origin)]
SecretUrl = Annotated[SecretStr, AfterValidator(_secret_url)]
CookieName = Annotated[str, _matches(_COOKIE_NAME, "a cookie's name")]
Rate = Annotated[str, _matches(_RATE, "a rate such as 120/minute (second, minute, hour, day)")]

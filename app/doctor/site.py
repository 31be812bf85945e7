"""Two addresses as browsers compare them, and what Safari makes of a cookie that one sets for the other."""

from collections.abc import Sequence
from enum import Enum
from ipaddress import IPv4Address
from typing import Final, NamedTuple
from urllib.parse import SplitResult, urlsplit

from app.clicks.cookie import is_same_site
from app.egress import Address

DEFAULT_PORTS: Final = {"http": 80, "https": 443}
CAPPED_DAYS: Final = 7
ALIKE_BITS: Final = {4: 16, 6: 64}
"""How much of two addresses has to be the same: what WebKit compares (NetworkTaskCocoa.mm), by no page of its own."""


class Relation(Enum):
    """How far a page is from the service."""

    SAME_ORIGIN = "the same origin"
    SAME_SITE = "another origin of the same site"
    OTHER_SITE = "another site"


class Names(NamedTuple):
    """What DNS says of a host: the name at the end of its CNAME records, and its addresses."""

    host: str
    canonical: str
    addresses: Sequence[Address]


def origin(url: str) -> tuple[str, str, int | None]:
    """Return scheme, host and port. Raises ValueError for what is no address."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or DEFAULT_PORTS.get(parts.scheme)


def origin_text(url: str) -> str:
    """Return the origin as a browser writes it."""
    scheme, host, port = origin(url)
    return f"{scheme}://{host}" if port == DEFAULT_PORTS.get(scheme) else f"{scheme}://{host}:{port}"


def is_address(url: str) -> bool:
    """Say whether this is a plain http(s) address, without a name and password in it."""
    try:
        parts: SplitResult = urlsplit(url)
        usable = parts.scheme in DEFAULT_PORTS and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return False
    return usable and "@" not in parts.netloc and url.isascii() and url.isprintable() and " " not in url


def relation(page: str, service: str) -> Relation:
    """Say how far a page is from the service."""
    if origin(page) == origin(service):
        return Relation.SAME_ORIGIN
    here, there = origin(page)[1], origin(service)[1]
    return Relation.SAME_SITE if here == there or is_same_site(here, there) else Relation.OTHER_SITE


def cap(shop: Names, service: Names) -> str:
    """Return why Safari keeps the service's cookie on a shop of the same site for seven days at most; empty if not.

    WebKit caps what comes from a host whose CNAME leads to another site than the shop's own does (2020), and where
    there is none from an address unlike the page's (2022), since a tracker may hide behind either.
    """
    if service.host == shop.host:
        return ""
    if service.canonical != service.host:
        leads_home = any(is_same_site(one, service.canonical) for one in (shop.host, shop.canonical))
        return "" if leads_home else f"its CNAME leads to {service.canonical}, another site"
    if not any(_alike(one, other) for one in shop.addresses for other in service.addresses):
        return f"its address ({service.addresses[0]}) is unlike the shop's ({shop.addresses[0]})"
    return ""


def _alike(one: Address, other: Address) -> bool:
    if one.version != other.version:
        return False
    shift = (32 if isinstance(one, IPv4Address) else 128) - ALIKE_BITS[one.version]
    return int(one) >> shift == int(other) >> shift

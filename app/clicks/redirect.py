"""Where `/capture` and `/handoff` may send a visitor on to: the shop's own pages, and nowhere else."""

import re
from collections.abc import Collection
from typing import Final

from app.errors import MalformedRequest

MAX_TARGET: Final = 4_096
"""Characters of an address; longer ones do not fit the header limits of common proxies."""

# The one parse. It knows a single way of writing an address, so that there is no second reading of it for a browser to
# prefer: lower case, https, a plain host, perhaps a port, then printable ASCII without a backslash.
_TARGET: Final = re.compile(
    r"https://(?P<host>[a-z0-9-]+(?:\.[a-z0-9-]+)*)(?P<port>:[1-9][0-9]{0,4})?(?:[/?#][!-\[\]-~]*)?"
)


def allowed_target(target: str, origins: Collection[str], linked: Collection[str]) -> str:
    """Return `target` unchanged if it lies on one of the shop's `origins` or `linked` domains.

    An origin counts exactly, port included; a linked domain counts on the default port, `*.` for its sub-domains only.
    Raises MalformedRequest for all else.
    """
    parsed = _TARGET.fullmatch(target) if len(target) <= MAX_TARGET else None
    if parsed is None or not _is_ours(parsed["host"], parsed["port"] or "", origins, linked):
        raise MalformedRequest(
            "`to` must be an https address, written plainly, on an origin of CAPTURE_STOREFRONT_ORIGINS or a domain of"
            " CAPTURE_LINKED_DOMAINS.",
            code="REDIRECT_NOT_ALLOWED",
        )
    return target


def linked_host(target: str, linked: Collection[str]) -> str | None:
    """Return the host of an allowed target if it is a linked domain, else None."""
    parsed = _TARGET.fullmatch(target)
    return parsed["host"] if parsed and not parsed["port"] and _is_linked(parsed["host"], linked) else None


def _is_ours(host: str, port: str, origins: Collection[str], linked: Collection[str]) -> bool:
    return f"https://{host}{port}" in origins or (not port and _is_linked(host, linked))


def _is_linked(host: str, linked: Collection[str]) -> bool:
    return any(host.endswith(one[1:]) if one.startswith("*.") else host == one for one in linked)

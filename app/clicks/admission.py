"""Which calls may leave something behind, by what the browser says of them (Fetch Metadata, Origin).

A page of a stranger can make a visitor's browser call us: by an image, a hidden frame, a script. Such a call must not
plant a click, nor delete one. Browsers that send no Sec-Fetch headers, and servers, are let through: the cookie's
SameSite=Lax is what protects the former.
"""

from collections.abc import Mapping
from typing import Final

_FRAMED: Final = frozenset({"iframe", "frame", "fencedframe", "object", "embed"})
_OURS: Final = frozenset({"same-origin", "same-site", "none"})
_METADATA: Final = ("sec-fetch-site", "sec-fetch-mode", "sec-fetch-dest")


def may_write(headers: Mapping[str, str], *, origin_is_ours: bool) -> bool:
    """Say whether a call may set or delete; names of `headers` are in lower case, `origin_is_ours` is the CORS rule's.

    What is loaded into a frame never may. Else a call of the shop's own site may, one that has an allowed Origin, and
    a visitor who follows a link from wherever.
    """
    site, dest = _value(headers, "sec-fetch-site"), _value(headers, "sec-fetch-dest")
    if any(one.strip() in _FRAMED for one in dest.split(",")):
        return False
    return not site or site in _OURS or origin_is_ours or is_page_visit(headers)


def is_page_visit(headers: Mapping[str, str]) -> bool:
    """Say whether a browser loads this as the page that the visitor sees."""
    return (_value(headers, "sec-fetch-mode"), _value(headers, "sec-fetch-dest")) == ("navigate", "document")


def may_be_handed_over(headers: Mapping[str, str]) -> bool:
    """Say whether this call is a visitor on the way to another page: no script's call, no frame, no image."""
    if "origin" in headers:  # no browser sends it when a link is followed
        return False
    return is_page_visit(headers) or not any(_value(headers, name) for name in _METADATA)


def _value(headers: Mapping[str, str], name: str) -> str:
    return headers.get(name, "").strip(" \t").lower()

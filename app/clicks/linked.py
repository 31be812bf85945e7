"""A click on its way to another domain of the shop: `im_ref` and `im_linked` in the address of a link.

`im_linked` is `<captured>.<issued>`, epoch seconds by the browser's clock, or `<captured>.<issued>.s` where a server
issued it. The time of issue makes a copied link worthless after minutes, the time of capture keeps the click's age.
"""

import re
from collections.abc import Collection
from typing import Final
from urllib.parse import quote, unquote_plus

from app.clicks.click import ClickId

CLICK: Final = "im_ref"
LINKED: Final = "im_linked"
BROWSER_SECONDS: Final = 120
SERVER_SECONDS: Final = 300
"""How far the time of issue may be from ours; a page that a server made is looked at for a while before its use."""

_LINKED: Final = re.compile(r"([0-9]{1,12})\.([0-9]{1,12})(\.s)?")


def captured_of(linked: str, now: int) -> int | None:
    """Return when a handed-over click was captured; None if the link is malformed, too old, or from the future.

    A capture may lie after the issue by as much as the clocks of two machines may differ.
    """
    found = _LINKED.fullmatch(linked)
    if found is None:
        return None
    captured, issued = int(found[1]), int(found[2])
    limit = SERVER_SECONDS if found[3] else BROWSER_SECONDS
    return captured if abs(now - issued) <= limit and captured <= issued + limit else None


def with_click(target: str, click_id: ClickId, captured: int, now: int, parameters: Collection[str]) -> str:
    """Return `target` with a click in its query, issued by this server's clock; what carried one before is replaced.

    All else stays byte for byte. The id is encoded so that form decoding and plain percent-decoding both return it.
    """
    address, hash_sign, fragment = target.partition("#")
    path, _, query = address.partition("?")
    taken = {CLICK, LINKED, *parameters}
    kept = [part for part in query.split("&") if unquote_plus(part.partition("=")[0]) not in taken] if query else []
    added = f"{CLICK}={quote(click_id, safe='')}", f"{LINKED}={captured}.{now}.s"
    return f"{path}?{'&'.join((*kept, *added))}{hash_sign}{fragment}"

"""Lists of the API: pages, and times to choose by."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from app.sandbox.wire import Request, bad


@dataclass(frozen=True)
class Sizes:
    """How many rows a page has if nobody asks, how many at least, and how many pages a list may have, 0 for any."""

    usual: int
    least: int = 1
    pages: int = 0


def page(request: Request, key: str, rows: Sequence[Mapping[str, Any]], sizes: Sizes) -> dict[str, Any]:
    """Return the page that is asked for. Raises Refused."""
    number, size = _number(request, "Page", 1), _number(request, "PageSize", sizes.usual)
    if size < sizes.least:
        raise bad("PageSize", f"it is at least {sizes.least}")
    pages = max(1, math.ceil(len(rows) / size))
    if sizes.pages and pages > sizes.pages:
        raise bad("PageSize", f"the answer has more than {sizes.pages} pages; ask for larger ones or fewer rows")
    first = (number - 1) * size
    return {
        "@page": number,
        "@numpages": pages,
        "@pagesize": size,
        "@total": len(rows),
        "@start": first,
        "@end": min(first + size, len(rows)) - 1,
        "@uri": _uri(request, number, size),
        "@firstpageuri": _uri(request, 1, size),
        "@previouspageuri": _uri(request, number - 1, size) if number > 1 else "",
        "@nextpageuri": _uri(request, number + 1, size) if number < pages else "",
        "@lastpageuri": _uri(request, pages, size),
        key: list(rows[first : first + size]),
    }


def between(request: Request, name: str) -> tuple[datetime | None, datetime | None]:
    """Return the two times of a filter such as SubmissionDate. Raises Refused."""
    return moment(request, f"{name}Start"), moment(request, f"{name}End")


def moment(request: Request, name: str) -> datetime | None:
    """Return a time that is given, in UTC where it says no offset. Raises Refused."""
    text = request.query.get(name)
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise bad(name, "it is ISO 8601, such as 2026-11-20T18:00:22+00:00") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def lies_in(at: datetime | None, span: tuple[datetime | None, datetime | None]) -> bool:
    """Say whether a time lies between two, of which each may be missing; what has no time lies in no span."""
    start, end = span
    if at is None:
        return start is None and end is None
    return (start is None or at >= start) and (end is None or at <= end)


def _number(request: Request, name: str, usual: int) -> int:
    text = request.query.get(name, str(usual))
    if not (text.isascii() and text.isdigit() and int(text[:9]) > 0):
        raise bad(name, "it is a whole number from 1 on")
    return int(text[:9])


def _uri(request: Request, number: int, size: int) -> str:
    query = {**request.query, "Page": str(number), "PageSize": str(size)}
    return f"/Advertisers/{request.account}/{request.path}?{urlencode(query)}"

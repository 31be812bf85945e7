"""This computer's clock against those of others, whose answers tell the time for nothing."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final

from app.doctor.finding import Finding, Status
from app.doctor.site import origin
from app.doctor.web import Page
from app.service import Clock

MOST_DRIFT: Final = timedelta(seconds=30)
"""An answer's time is rounded to the second, and has been on its way."""


def page_clock(page: Page, clock: Clock) -> Iterator[Finding]:
    """Compare the clock with a page's, unless a cache has kept it."""
    if "age" not in page.headers:
        yield from drift(f"{origin(page.url)[1]}'s", page.headers, clock())


def drift(whose: str, headers: Mapping[str, str], now: datetime) -> Iterator[Finding]:
    """Compare the time of an answer that has just come with ours."""
    try:
        told = parsedate_to_datetime(headers.get("date", ""))
    except (ValueError, OverflowError):
        return
    apart = abs(now - (told if told.tzinfo else told.replace(tzinfo=UTC)))
    detail = f"This computer's clock and {whose} differ by {apart.total_seconds():.0f} s."
    if apart > MOST_DRIFT:
        repair = "Let this computer follow a time server: orders from the future are refused, and clicks are too old."
        yield Finding("clock", Status.WARNING, detail, repair)
    else:
        yield Finding("clock", Status.OK, detail)

"""Reading impact.com's actions: what became of orders there, window by window, one worker at a time."""

import logging
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from app.actions import store
from app.actions.action import read_action, read_update
from app.actions.store import Claim
from app.actions.window import MOST, MOST_PAGES, Kind, Window, beginning, narrower, window_from
from app.config import Settings
from app.database import Database
from app.delivery.api import Api
from app.errors import ApiRefused, ApiUnavailable, DeliveryError
from app.impact.client import rows_of

logger = logging.getLogger(__name__)

Clock = Callable[[], datetime]

LEASE: Final = timedelta(minutes=10)
"""Longer than an answer may take; renewed with every page."""
PAGE_SIZE: Final = 2_000
"""The least that impact.com takes: an answer is some megabytes, and ten of them are as much as a window may have."""
MOST_REFUSALS: Final = 5
"""So often a window that is refused at once is tried with less, in case that it had too many pages."""
_PATHS: Final = {Kind.UPDATED: "Actions", Kind.LOCKING: "Actions", Kind.LOG: "ActionUpdates"}
_FILTERS: Final = {
    Kind.UPDATED: ("StartDate", "EndDate"),
    Kind.LOCKING: ("LockingDateStart", "LockingDateEnd"),
    Kind.LOG: ("StartDate", "EndDate"),
}


class TooManyPages(Exception):
    """A window has more pages than impact.com gives; `pages` where that is known."""

    def __init__(self, pages: int | None, cause: ApiRefused | None = None) -> None:
        super().__init__()
        self.pages, self.cause = pages, cause


def campaigns(settings: Settings) -> list[int]:
    """Return the programs whose actions are of interest."""
    types = [settings.event_type(key) for key in settings.event_type_keys]
    return sorted({one.campaign_id for one in types if one})


def trackers(settings: Settings) -> dict[str, list[str]]:
    """Return the event types of each action tracker, as impact.com spells that."""
    found: dict[str, list[str]] = {}
    for key in settings.event_type_keys:
        if one := settings.event_type(key):
            found.setdefault(str(one.action_tracker_id), []).append(key)
    return found


def read_due(
    database: Database, api: Api, settings: Settings, clock: Clock, stopping: Callable[[], bool] = bool
) -> bool:
    """Read what is due of one program, and say whether anything was. A failure is logged, and tried again later.

    Raises LeaseLost if another worker has taken over, Unavailable if the database is away.
    """
    programs, now = campaigns(settings), clock()
    with database.snapshot() as session:
        if not store.anything_to_do(session, programs, now):
            return False
    with database.transaction() as session:
        store.plan(session, programs, now)
        claimed = store.claim(session, programs, now, LEASE)
        first = (store.oldest_batch(session) or now) if claimed and claimed.kind is Kind.UPDATED else now
    if claimed is None:
        return False
    wait = timedelta(seconds=settings.actions_poll_seconds)
    try:
        whole = _read_all(_Reading(database, api, settings, claimed, clock), first, now, stopping)
        wait = wait if whole else timedelta(0)
    except ApiUnavailable as error:
        wait = error.wait if error.wait is not None else min(wait, timedelta(minutes=5))
        logger.warning("actions.unavailable", extra={"detail": str(error)})
    except DeliveryError as error:
        logger.error("actions.refused", extra={"code": error.code, "detail": str(error)})  # noqa: TRY400 (no fault of ours)
    with database.transaction() as session:
        store.release(session, claimed, clock() + wait)
    return True


class _Reading:
    """One claim at work: asks for windows and keeps what comes."""

    def __init__(self, database: Database, api: Api, settings: Settings, claimed: Claim, clock: Clock) -> None:
        self.database, self.api, self.claimed, self.clock = database, api, claimed, clock
        self.trackers = trackers(settings)

    def window(self, window: Window) -> None:
        """Read a window and note that it has been read. Raises TooManyPages and what `Api.get` does."""
        for rows in self._pages(window):
            self._keep(rows)
        with self.database.transaction() as session:
            store.advance(session, self.claimed, window.end)

    def _pages(self, window: Window) -> Iterator[list[Mapping[str, Any]]]:
        path, kind = _PATHS[self.claimed.kind], self.claimed.kind
        query = {"CampaignId": str(self.claimed.campaign_id), "PageSize": str(PAGE_SIZE)}
        query |= dict(zip(_FILTERS[kind], window.query_times, strict=True))
        page = self._get(path, query)
        pages = _whole(page.get("@numpages"))
        if pages is not None and pages > MOST_PAGES:
            raise TooManyPages(pages)
        for number in range(1, MOST_PAGES + 1):
            yield rows_of(page, path, path.removesuffix("s"))
            following = str(page.get("@nextpageuri") or "")
            if not following:
                return
            if number < MOST_PAGES:
                page = self._get(following)
        raise TooManyPages(None)

    def _get(self, uri: str, query: Mapping[str, str] | None = None) -> Mapping[str, Any]:
        try:
            return self.api.get(uri, query)
        except ApiRefused as error:
            raise TooManyPages(None, error) from error

    def _keep(self, rows: list[Mapping[str, Any]]) -> None:
        read_at = self.clock()
        with self.database.transaction() as session:
            store.renew(session, self.claimed, LEASE)
            if self.claimed.kind is Kind.LOG:
                store.note_updates(session, filter(None, map(read_update, rows)))
            else:
                store.keep(session, [one for one in map(read_action, rows) if one], self.trackers, read_at)


def _read_all(reading: _Reading, first: datetime, now: datetime, stopping: Callable[[], bool]) -> bool:
    """Read window after window up to now, and say whether that is done. Raises what `Api.get` does."""
    at, width, refusals = beginning(reading.claimed.kind, reading.claimed.read_up_to, first, now), MOST, 0
    while window := window_from(at, now, width):
        if stopping():
            return False
        try:
            reading.window(window)
        except TooManyPages as error:
            refusals += error.cause is not None
            less = narrower(window, error.pages)
            if less is None or refusals > MOST_REFUSALS:
                raise error.cause or _too_many(window) from None
            width = less
        else:
            at, refusals = window.end, 0
    return True


def _too_many(window: Window) -> ApiRefused:
    detail = f"impact.com has more pages of actions between {' and '.join(window.query_times)} than it gives."
    return ApiRefused(detail, http_status=0)


def _whole(value: Any) -> int | None:
    """Return a number that may be spelled as a text."""
    try:
        return int(str(value))
    except ValueError:
        return None

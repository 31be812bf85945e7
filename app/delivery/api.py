"""impact.com's API as the service calls it: within the budget that all replicas share."""

import logging
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, Final

from app.config import Settings
from app.database import Database, retried
from app.delivery import budget_store as store
from app.delivery import calls_store
from app.delivery.budget import Share, after_answer, after_call, calls_left, opens_at
from app.errors import ApiRefused, ApiUnavailable, BudgetSpent, DeliveryError, OutcomeUnknown, Unavailable
from app.impact.answers import rows_of
from app.impact.client import Answer, Client, Heard, Method
from app.impact.rate_limit import limits_of
from app.metrics import count_call

logger = logging.getLogger(__name__)

MOST_PAGES: Final = 1_000
TOO_MANY: Final = 429
SPREAD: Final = 10
"""A wait is up to a tenth longer by chance, so that replicas do not come back all at once."""


class Api:
    """Every call is paid for before it is made; what the answer says of the limit is noted after."""

    def __init__(self, client: Client, database: Database, settings: Settings, clock: Callable[[], datetime]) -> None:
        self.client, self.database, self.settings, self.clock = client, database, settings, clock

    def get(self, uri: str, query: Mapping[str, str] | None = None) -> Mapping[str, Any]:
        """Read something. Raises ApiUnavailable (also when the budget is spent), ApiRefused, CredentialsRefused."""
        return self.answer(uri, query).body

    def answer(self, uri: str, query: Mapping[str, str] | None = None) -> Answer:
        """Read something with the headers that it came with. Raises as `get` does."""
        with self._paid("GET", to_read=True) as heard:
            return self.client.get(uri, query, heard)

    def pages(self, uri: str, query: Mapping[str, str], *names: str) -> Iterator[list[Mapping[str, Any]]]:
        """Yield the rows of a list page by page, following @nextpageuri. Raises as `get` does."""
        page, seen = self.get(uri, query), set[str]()
        for _ in range(MOST_PAGES):
            yield rows_of(page, *names)
            following = str(page.get("@nextpageuri") or "")
            if not following or following in seen:
                return
            seen.add(following)
            page = self.get(following)

    def submit(self, method: Method, uri: str, fields: Mapping[str, str]) -> str:
        """Ask for a change, and return where impact.com says what became of it (QueuedUri).

        Raises as `get` does, OutcomeUnknown, and other kinds of ChannelRefused for a host that must not be called.
        """
        with self._paid(method, to_read=False) as heard:
            return self.client.submit(method, uri, fields, heard)

    @contextmanager
    def _paid(self, method: str, *, to_read: bool) -> Iterator[Heard]:
        """Pay for a call, and give what is to be told of its answer."""
        self._spend(to_read=to_read)
        closed: list[datetime] = []

        def heard(status: int, headers: Mapping[str, str]) -> None:
            until = self._note(headers, refused=status == TOO_MANY)
            if status == TOO_MANY and until:
                closed.append(until)

        try:
            yield heard
        except ApiUnavailable as error:
            count_call(method, "unavailable")
            if closed:
                raise BudgetSpent(str(error), wait=_wait(closed[-1] - self.clock())) from error
            raise
        except DeliveryError as error:
            count_call(method, _word(error))
            raise
        count_call(method, "taken")

    @retried
    def _spend(self, *, to_read: bool) -> None:
        """Count a call before it is made. Raises BudgetSpent."""
        share = share_of(self.settings)
        with self.database.transaction() as session:
            store.lock(session)
            now = self.clock()  # once locked, so that the wait for the lock does not make it an old one
            standing = store.standing(session, now)
            if calls_left(standing, share, now, to_read=to_read) <= 0:
                wait = _wait(opens_at(standing, share, now, to_read=to_read) - now)
                raise BudgetSpent(
                    "No call of impact.com's API may be made now: the budget of the hour is spent.", wait=wait
                )
            store.spend(session, standing.minute)
            store.note(session, after_call(standing.told))

    def _note(self, headers: Mapping[str, str], *, refused: bool) -> datetime | None:
        """Note what an answer says of the limit, and return until when nobody calls. An answer outlives its note."""
        now = self.clock()
        limits = limits_of(headers, now)
        try:
            with self.database.transaction() as session:
                store.lock(session)
                told = after_answer(store.standing(session, now).told, limits, now, refused=refused)
                store.note(session, told)
                return told.closed_until
        except Unavailable:  # the answer itself is worth more
            logger.warning("api.limit_not_noted")
            return None


def room_for_calls(database: Database, settings: Settings, clock: Callable[[], datetime]) -> int:
    """Return how many orders or corrections more can leave by calls now, after those that are under way already."""
    if not settings.has_api:
        return 0
    with database.snapshot() as session:
        now = clock()
        may_be_made = calls_left(store.standing(session, now), share_of(settings), now, to_read=False)
        return max(may_be_made - calls_store.under_way(session), 0)


def share_of(settings: Settings) -> Share:
    """Return the calls that the settings allow."""
    return Share(settings.impact_budget_per_hour, settings.impact_reserve_per_hour)


def _wait(wait: timedelta) -> timedelta:
    return max(wait, timedelta(seconds=1)) * (1 + random.random() / SPREAD)  # noqa: S311 (a wait is no secret)


def _word(error: DeliveryError) -> str:
    if isinstance(error, OutcomeUnknown):
        return "unknown"
    return "refused" if isinstance(error, ApiRefused) else "denied"

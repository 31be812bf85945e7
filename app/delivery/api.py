"""impact.com's API as the service calls it: within the budget that all replicas share."""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from app.config import Settings
from app.database import Database
from app.impact.client import Client, Method, rows_of

MOST_PAGES: Final = 1_000


class Api:
    """Every call is paid for before it is made; what the answer says of the limit is noted after."""

    def __init__(self, client: Client, database: Database, settings: Settings, clock: Callable[[], datetime]) -> None:
        self.client, self.database, self.settings, self.clock = client, database, settings, clock

    def get(self, uri: str, query: Mapping[str, str] | None = None) -> Mapping[str, Any]:
        """Read something. Raises ApiUnavailable (also when the budget is spent), ApiRefused, CredentialsRefused."""
        return self.client.get(uri, query).body

    def pages(self, uri: str, query: Mapping[str, str], *names: str) -> Iterator[list[Mapping[str, Any]]]:
        """Yield the rows of a list page by page, following @nextpageuri. Raises as `get` does."""
        page = self.get(uri, query)
        for _ in range(MOST_PAGES):
            yield rows_of(page, *names)
            following = str(page.get("@nextpageuri") or "")
            if not following:
                return
            page = self.get(following)

    def submit(self, method: Method, uri: str, fields: Mapping[str, str]) -> str:
        """Ask for a change, and return where impact.com says what became of it (QueuedUri).

        Raises as `get` does, and OutcomeUnknown.
        """
        return str(self.client.submit(method, uri, fields).body["QueuedUri"])

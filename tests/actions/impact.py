"""impact.com's side of the reading of actions, by its documents, with lists in the place of an API."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from app.delivery.api import Api
from app.errors import ApiRefused

AGE = timedelta(days=3 * 365)


def action(order_id: str, **changes: Any) -> dict[str, Any]:
    """Return an action as the API tells it, of the default event type."""
    row = {
        "Id": f"1000.4321.{order_id}",
        "CampaignId": "1000",
        "ActionTrackerId": 4321,
        "Oid": order_id,
        "State": "PENDING",
        "Amount": "20.00",
        "Payout": 2.5,
        "Currency": "USD",
        "EventDate": "2026-11-22T11:00:00Z",
        "CreationDate": "2026-11-22T12:30:00Z",
        "LockingDate": "2026-12-22T00:00:00-08:00",
        "ClearedDate": "",
    }
    return row | changes


class FakeApi:
    """Answers Actions and ActionUpdates page by page, and refuses what impact.com refuses.

    `rows` have the time by which they are found, by the filter that finds them.
    """

    def __init__(self, now: datetime, *, page_size: int = 2, tells_pages: bool = True) -> None:
        self.now, self.page_size, self.tells_pages = now, page_size, tells_pages
        self.rows: dict[str, list[tuple[datetime, dict[str, Any]]]] = {"StartDate": [], "LockingDateStart": []}
        self.log: list[tuple[datetime, dict[str, Any]]] = []
        self.calls: list[tuple[str, Mapping[str, str]]] = []
        self.failures: list[Exception] = []
        self._following: dict[str, tuple[str, list[dict[str, Any]], int]] = {}

    @property
    def api(self) -> Api:
        """It, as the service sees it."""
        return cast("Api", self)

    def get(self, uri: str, query: Mapping[str, str] | None = None) -> Mapping[str, Any]:
        """Answer a call."""
        self.calls.append((uri, query or {}))
        if self.failures:
            raise self.failures.pop(0)
        if uri in self._following:
            return self._page(*self._following[uri])
        assert query is not None
        return self._page(uri, self._found(uri, query), 1)

    def windows(self, name: str = "StartDate", path: str = "Actions") -> list[tuple[datetime, datetime]]:
        """Return the windows that were asked for."""
        end = name.replace("Start", "End")
        asked = [query for uri, query in self.calls if uri == path and name in query]
        return [(datetime.fromisoformat(one[name]), datetime.fromisoformat(one[end])) for one in asked]

    def _found(self, uri: str, query: Mapping[str, str]) -> list[dict[str, Any]]:
        name = "LockingDateStart" if "LockingDateStart" in query else "StartDate"
        start, end = (datetime.fromisoformat(query[one]) for one in (name, name.replace("Start", "End")))
        assert query["CampaignId"]
        assert int(query["PageSize"]) >= 2_000
        if end - start > timedelta(days=45) or self.now.astimezone(UTC) - start > AGE:
            raise ApiRefused("The dates are too far apart, or too old.", http_status=400)
        rows = self.log if uri == "ActionUpdates" else self.rows[name]
        found = [row for moment, row in rows if start <= moment <= end]
        if len(found) > 10 * self.page_size and not self.tells_pages:
            raise ApiRefused("Too many pages.", http_status=400)
        return found

    def _page(self, name: str, rows: list[dict[str, Any]], number: int) -> Mapping[str, Any]:
        pages = -(-len(rows) // self.page_size) or 1
        uri = f"/Advertisers/x/{name}?Page={number + 1}&of={len(self._following)}"
        more = number < pages
        if more:
            self._following[uri] = name, rows, number + 1
        told = {"@page": str(number)} | ({"@numpages": str(pages)} if self.tells_pages else {})
        some = rows[(number - 1) * self.page_size : number * self.page_size]
        return told | {"@nextpageuri": uri if more else "", name: some}

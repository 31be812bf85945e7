"""impact.com's side for tests: it knows files and calls, and tells of them in the words of its documents."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select, update

from app.batches.store import BATCH, UNCONFIRMED
from app.conversions.record import record
from app.database import Database
from app.delivery.calls_store import UNANSWERED
from app.errors import ApiRefused, ApiUnavailable, Failure
from app.ledger.export_routes import request_export
from app.service import Service
from app.submissions.follow import Follower
from tests.conftest import Clock
from tests.support import NOW, order, work

Row = dict[str, Any]


@dataclass
class Impact:
    """Answers `get` and `pages` as `Api` does. `fails` is raised by the next calls, one each; `away` never answers."""

    files: list[Row] = field(default_factory=list)
    errors: dict[str, list[Row]] = field(default_factory=dict)
    calls: dict[str, Row] = field(default_factory=dict)
    fails: list[Failure] = field(default_factory=list)
    away: set[str] = field(default_factory=set)
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    def get(self, uri: str, query: Mapping[str, str] | None = None) -> Row:
        self._ask(uri, query)
        if uri not in self.calls:
            raise ApiRefused("There is no such thing (HTTP 404).", http_status=404)
        return self.calls[uri]

    def pages(self, uri: str, query: Mapping[str, str], *_names: str) -> Iterator[list[Row]]:
        self._ask(uri, query)
        if uri == "FTPFileSubmissions":
            for one in self.files or [{}]:  # a page each
                yield [one]
        elif uri in self.errors:
            yield self.errors[uri]
        else:
            raise ApiRefused("There is no such thing (HTTP 404).", http_status=404)

    def _ask(self, uri: str, query: Mapping[str, str] | None) -> None:
        self.asked.append((uri, dict(query or {})))
        if self.fails:
            raise self.fails.pop(0)
        if uri in self.away:
            raise ApiUnavailable("impact.com's API gives an answer that is no JSON object.")

    def has(self, name: str, *errors: Row, number: str = "F-1", records: int | None = None, **changes: Any) -> None:
        """Let a file be through; numbers are texts, as in the documents' examples."""
        uri = f"/Advertisers/SID/FTPSubmissions/{number}/Errors"
        row = {"BatchId": number, "FileName": name, "Type": "Conversion", "Status": "Complete"}
        row |= {"TotalErrors": str(len(errors)), "ErrorsUri": uri, "CompletionDate": "2026-11-22T05:00:00-07:00"}
        row |= {} if records is None else {"TotalRecords": str(records)}
        self.files = [one for one in self.files if one["BatchId"] != number] + [row | changes]
        self.errors[uri] = list(errors)


def follower(service: Service, api: Impact) -> Follower:
    """Return what looks after the service's deliveries."""
    return Follower(service.database, api, service.settings)  # type: ignore[arg-type]


def look(service: Service, api: Impact, clock: Clock) -> None:
    """Let everything be due, and ask for it once."""
    make_due(service.database)
    following = follower(service, api)
    for _ in range(100):
        if not following.step(clock.now):
            return
    raise AssertionError("it never ends")


def make_due(database: Database) -> None:
    """Let everything that is waited for be due now."""
    with database.transaction() as session:
        for table in (UNCONFIRMED, UNANSWERED):
            session.connection().execute(update(table).values(due_at=NOW.replace(year=2020)))


def export(service: Service, *orders: Any) -> list[str]:
    """Record orders, export and deliver them, and return the names of all files so far."""
    record(service.database, [order(one) if isinstance(one, str) else one for one in orders], NOW)
    request_export(service.database)
    work(service)
    return filenames(service.database)


def filenames(database: Database, after: int = 0) -> list[str]:
    """Return the names of all files, or of those after a batch, the oldest first."""
    with database.snapshot() as session:
        return list(
            session.connection()
            .execute(select(BATCH.c.filename).where(BATCH.c.id > after).order_by(BATCH.c.id))
            .scalars()
        )

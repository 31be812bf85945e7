"""impact.com's list of the files that it got: what it shows under a file's name.

Facts: the submissions document of its API (v14). An upload returns no id, so that the name is all that tells a file.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from app.batches.batch import HEADER_LINES
from app.database import Database
from app.delivery import store
from app.delivery.api import Api
from app.errors import ApiRefused, ApiUnavailable, CredentialsRefused

logger = logging.getLogger(__name__)

LIST: Final = "FTPFileSubmissions"
ROWS: Final = ("FTPFileSubmissions", "APISubmission")
SKEW: Final = timedelta(hours=1)
"""So far its clock and ours may be apart."""


def listed(api: Api, since: datetime, now: datetime) -> Iterator[Mapping[str, Any]]:
    """Yield the files that were submitted since then. Raises ApiUnavailable, ApiRefused, CredentialsRefused."""
    query = {"SubmissionDateStart": _told(since - SKEW), "SubmissionDateEnd": _told(now + SKEW)}
    for rows in api.pages(LIST, query, *ROWS):
        yield from rows


def is_there(database: Database, api: Api, clock: Callable[[], datetime], batch: int) -> bool:
    """Say whether impact.com has a batch's file whole. Where it cannot be asked, that is not known, and it has not."""
    with database.snapshot() as session:
        file = store.file_of(session, batch)
    try:
        found = [row for row in listed(api, file.created_at, clock()) if row.get("FileName") == file.filename]
        return any(_is_whole(row, file.rows) for row in found)
    except (ApiUnavailable, ApiRefused, CredentialsRefused) as error:
        logger.warning("delivery.not_looked_up", extra={"code": error.code, "detail": str(error)})
        return False


def _is_whole(row: Mapping[str, Any], rows: int) -> bool:
    """Say whether a file is there whole, as far as its count tells; one that is still worked on has none yet."""
    counted = row.get("TotalRecords")
    done = str(row.get("Status", "")).casefold() == "complete"
    return not done or counted is None or str(counted) in {str(rows), str(rows + HEADER_LINES)}


def _told(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")

"""The database itself: is it there, with this version's tables, and with the same time of day."""

import sqlite3
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Final

from sqlalchemy import text
from sqlalchemy.engine import make_url

from app.database import database_now
from app.doctor.finding import Finding, Status
from app.errors import Misconfigured
from app.migrations import look, require_usable
from app.service import Service

MOST_DRIFT: Final = timedelta(seconds=5)


def database_file(service: Service) -> Path | None:
    """Return where an embedded database lies."""
    return Path(make_url(service.database.url).database or "") if service.database.is_sqlite else None


def database(service: Service) -> Iterator[Finding]:
    """Tell the database's kind and version."""
    path = database_file(service)
    if path is None:
        with service.database.snapshot() as session:
            version = session.connection().execute(text("SHOW server_version")).scalar_one()
        yield Finding("database", Status.OK, f"PostgreSQL {version}.")
    elif not path.exists():
        repair = "Start the service, which makes it, or restore it."
        yield Finding("database", Status.FAILURE, f"There is no {path} yet.", repair)
    else:
        note = _WAL_NOTE if has_wal_race(sqlite3.sqlite_version_info) else ""
        yield Finding("database", Status.OK, f"SQLite, library version {sqlite3.sqlite_version}.{note}")


_WAL_NOTE: Final = (
    " Before 3.51.3 (3.44.6 and 3.50.7 aside) it has a rare write-ahead-log race between connections that write at the"
    " same instant; this service lets only one do so at a time, and no other program should write to the file."
)


def has_wal_race(version: tuple[int, ...]) -> bool:
    """Say whether a version of SQLite has the race."""
    return version < (3, 51, 3) and not (3, 44, 6) <= version < (3, 45) and not (3, 50, 7) <= version < (3, 51)


def schema(service: Service) -> Iterator[Finding]:
    """See whether the tables are those of this version."""
    found = look(service.database)
    try:
        require_usable(found)
    except Misconfigured as refusal:
        yield Finding("schema", Status.FAILURE, str(refusal))
    else:
        yield Finding("schema", Status.OK, f"The schema is {found}.")


def clock(service: Service) -> Iterator[Finding]:
    """Compare this computer's clock with the database's, which leases go by."""
    with service.database.snapshot() as session:
        drift = abs(service.clock() - database_now(session))
    detail = f"This computer's clock and the database's differ by {drift.total_seconds():.0f} s."
    if drift > MOST_DRIFT:
        yield Finding("clock", Status.WARNING, detail, "Let both follow a time server.")
    else:
        yield Finding("clock", Status.OK, detail)

"""New databases, one after the other, for histories that are played on each."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import pytest

from app.database import Database
from app.tables import METADATA
from tests.conftest import driver
from tests.servers import Postgres

New = Callable[[], tuple[Database, Path]]


MEMORY: Final = Path("/dev/shm")  # noqa: S108 (a folder with a random name in it)
ROOMY: Final = 2**30


@pytest.fixture
def quick(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where there is room, else on the disk: a commit takes a hundredth of the time there.

    A history ends processes and never the power, so that nothing in it depends on what a disk has.
    """
    is_roomy = MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > ROOMY
    with TemporaryDirectory(dir=MEMORY if is_roomy else tmp_path) as folder:
        yield Path(folder)


@pytest.fixture
def folders(quick: Path) -> Callable[[], Path]:
    """Return a new folder each time."""
    numbers = iter(range(10**9))

    def new() -> Path:
        folder = quick / str(next(numbers))
        folder.mkdir()
        return folder

    return new


@pytest.fixture
def on_sqlite(migrated_sqlite: Path, folders: Callable[[], Path]) -> Callable[[], tuple[Database, Path]]:
    """Return a SQLite database with nothing in it and a new outbox each time.

    It is opened under the same name again: an engine keeps the statements that it has compiled, which takes longer than
    most histories.
    """
    file = folders() / "ledger.db"
    database = Database(f"sqlite:///{file}")

    def new() -> tuple[Database, Path]:
        database.close()
        for name in ("", "-wal", "-shm"):
            file.with_name(file.name + name).unlink(missing_ok=True)
        shutil.copy(migrated_sqlite, file)
        return database, folders() / "outbox"

    return new


@pytest.fixture
def on_postgresql(postgres: Postgres, migrated_postgres: str, folders: Callable[[], Path]) -> Iterator[New]:
    """Return an emptied PostgreSQL database and a new outbox each time.

    Few rows are deleted in a tenth of the time that truncating every table takes.
    """
    empty = [f"DELETE FROM {name}" for name in METADATA.tables]  # noqa: S608 (our own names)
    restart = "SELECT setval(oid::regclass, 1, false) FROM pg_class WHERE relkind = 'S'"
    # Foreign keys need no look when everything goes.
    statement = "; ".join(("SET LOCAL session_replication_role = replica", *empty, restart))
    with postgres.new_database(template=migrated_postgres) as url:
        database = Database(driver(url))

        def new() -> tuple[Database, Path]:
            with database.transaction() as session:
                session.connection().exec_driver_sql(statement)
            return database, folders() / "outbox"

        yield new

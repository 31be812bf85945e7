"""Where a run happens: its folder, its PostgreSQL server, and fresh databases of both kinds."""

import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from secrets import token_hex
from types import TracebackType
from typing import Final, Literal, Self
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from bench.goal import Broken
from bench.service import migrate, work_folder
from bench.sizes import Sizes
from tests.servers import Postgres

Kind = Literal["sqlite", "postgresql"]

KINDS: Final[tuple[Kind, ...]] = ("postgresql", "sqlite")
CATCH_UP_SECONDS: Final = 30


class Place:
    """A context manager: what it made is gone at its end, the installed node packages in `home` aside."""

    def __init__(self, home: Path, sizes: Sizes) -> None:
        self.home, self.sizes = home, sizes
        self._end = ExitStack()
        self._server: Postgres | None = None
        self._migrated: dict[Kind, str] = {}
        """A database of each kind that has its tables and nothing else, to copy."""

    def __enter__(self) -> Self:
        self.folder = self._end.enter_context(work_folder(self.home))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end.close()

    @property
    def server(self) -> Postgres:
        """A PostgreSQL server with fsync, started when somebody asks for it."""
        if self._server is None:
            self._server = self._end.enter_context(Postgres(fsync=True))
        return self._server

    def new_folder(self) -> Path:
        """Make an empty folder."""
        folder = self.folder / token_hex(4)
        folder.mkdir()
        return folder

    @contextmanager
    def new_database(self, kind: Kind) -> Iterator[str]:
        """Give the URL of an empty database."""
        if kind == "postgresql":
            with self.server.new_database() as url:
                yield url
            return
        folder = self.new_folder()
        yield f"sqlite:///{folder / 'bench.db'}"
        shutil.rmtree(folder)

    @contextmanager
    def service_database(self, kind: Kind) -> Iterator[str]:
        """Give the URL of a database with the service's tables, all of them empty."""
        if kind not in self._migrated:
            self._migrated[kind] = self._end.enter_context(self.new_database(kind))
            migrate(self._migrated[kind], self.new_folder())
        with self.copy_of(self._migrated[kind]) as url:
            yield url

    @contextmanager
    def copy_of(self, url: str) -> Iterator[str]:
        """Give the URL of a copy of a database that nobody is connected to."""
        if not is_sqlite(url):
            with self._copy_on_server(url) as copy:
                yield copy
            return
        with self.new_database("sqlite") as copy:
            shutil.copyfile(path_of(url), path_of(copy))
            yield copy

    @contextmanager
    def _copy_on_server(self, url: str) -> Iterator[str]:
        """Copy the files of a database, and have them on disk before anything is measured."""
        name, source = f"copy_{token_hex(6)}", urlsplit(url).path.lstrip("/")
        create = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy")
        with psycopg.connect(self.server.url, autocommit=True) as connection:
            connection.execute(create.format(sql.Identifier(name), sql.Identifier(source)))
            connection.execute("CHECKPOINT")
            try:
                yield urlsplit(url)._replace(path=f"/{name}").geturl()
            finally:
                connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def is_sqlite(url: str) -> bool:
    """Say whether a URL names a file."""
    return url.startswith("sqlite:")


def path_of(url: str) -> Path:
    """Return the file of a SQLite database."""
    return Path(url.removeprefix("sqlite:///"))


def count(url: str, table: str) -> int:
    """Return how many rows a table has."""
    if is_sqlite(url):
        connection = sqlite3.connect(path_of(url), timeout=CATCH_UP_SECONDS)
        try:
            return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])  # noqa: S608 (our own names)
        finally:
            connection.close()
    with psycopg.connect(url) as server:
        row = server.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table))).fetchone()
        return int(row[0]) if row else 0


def require_rows(url: str, table: str, acknowledged: int) -> None:
    """Wait until a table has at least as many rows as were acknowledged. Raises Broken if it never has.

    What went to a spool on the disk is acknowledged too, and gets into the table a little later.
    """
    deadline = time.monotonic() + CATCH_UP_SECONDS
    while (rows := count(url, table)) < acknowledged:
        if time.monotonic() > deadline:
            raise Broken(f"{acknowledged} were acknowledged, and {table} has {rows} rows")
        time.sleep(0.2)

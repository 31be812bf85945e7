"""Backups of a test's own database, taken and restored as an operator does it: with nobody connected."""

import secrets
import shutil
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from app.database import Database


def back_up(database: Database, folder: Path) -> Callable[[], None]:
    """Return what puts the database back to what it is now, any number of times."""
    database.close()
    return _sqlite(database, folder) if database.is_sqlite else _postgresql(database)


def _sqlite(database: Database, folder: Path) -> Callable[[], None]:
    path, copy = Path(database.url.removeprefix("sqlite:///")), folder / f"{secrets.token_hex(6)}.db"
    shutil.copy(path, copy)  # the last connection has written everything back from the write-ahead log
    assert not path.with_name(f"{path.name}-wal").exists()

    def restore() -> None:
        database.close()
        shutil.copy(copy, path)

    return restore


def _postgresql(database: Database) -> Callable[[], None]:
    url = urlsplit(database.url.replace("postgresql+psycopg://", "postgresql://"))
    name, copy = url.path.removeprefix("/"), f"test_{secrets.token_hex(6)}"
    server = url._replace(path="/postgres").geturl()
    _replace(server, copy, name)

    def restore() -> None:
        database.close()
        _replace(server, name, copy)

    return restore


def _replace(server: str, name: str, template: str) -> None:
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
        create = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template))
        connection.execute(create)

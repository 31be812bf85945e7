"""The schema: brought up to date here, and looked at before anything else touches the database.

A migration adds, backfills, and only a later one enforces. So while replicas are restarted one by one, those of the
version before go on with the new schema: the table `compatibility` names the oldest revision whose code may.
"""

from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Select, column, inspect, select, table
from sqlmodel import Field, SQLModel

from app.database import Database, translated
from app.errors import Misconfigured

ROOT: Final = Path(__file__).parent.parent
NEWEST: Final = 17
"""The number of the newest migration, which says what schema this version knows without loading any."""
KNOWN: Final = frozenset(f"{number:04}" for number in range(1, NEWEST + 1))


class Schema(StrEnum):
    """How a database's schema stands to the one this version knows."""

    CURRENT = "current"
    NEWER = "newer"
    EMPTY = "empty"
    OLDER = "older"
    UNKNOWN = "unknown"

    @property
    def is_usable(self) -> bool:
        """Whether this version can work with it."""
        return self in {Schema.CURRENT, Schema.NEWER}


class Compatibility(SQLModel, table=True):
    """One row: the oldest revision whose code may work with the schema. A migration that enforces updates it."""

    __tablename__ = "compatibility"

    oldest: str = Field(primary_key=True)


OLDEST: Final = select(Compatibility.__table__.c.oldest)  # type: ignore[attr-defined]


VERSION: Final[Select[Any]] = select(column("version_num")).select_from(table("alembic_version"))


def look(database: Database) -> Schema:
    """Say how the schema stands. Raises Unavailable when the database is away."""
    with translated(), database.engine.connect() as connection:
        has_tables = inspect(connection).has_table("alembic_version")
        found = set(connection.execute(VERSION).scalars()) if has_tables else set()
        oldest = set() if found <= KNOWN else set(connection.execute(OLDEST).scalars())
    if not found:
        return Schema.EMPTY
    if found == {f"{NEWEST:04}"}:
        return Schema.CURRENT
    if found <= KNOWN:
        return Schema.OLDER
    return Schema.NEWER if oldest and oldest <= KNOWN else Schema.UNKNOWN


def migrate(database: Database) -> None:
    """Bring the schema up to date, in one transaction. Raises Misconfigured if a newer version has been at work."""
    if require_known(look(database)).is_usable:
        return
    from alembic import command  # noqa: PLC0415 (heavy, and a service that runs has no use for it)
    from alembic.config import Config  # noqa: PLC0415

    config = Config(toml_file=str(ROOT / "pyproject.toml"))
    with database.writing(), translated(), database.engine.connect() as connection:
        if database.is_sqlite:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        connection.commit()


def require_known(schema: Schema) -> Schema:
    """Return the schema. Raises Misconfigured if this version does not know it."""
    if schema is Schema.UNKNOWN:
        raise Misconfigured(
            "The database has a schema that this version does not know: run the newer version, or restore."
        )
    return schema


def require_usable(schema: Schema) -> None:
    """Raise Misconfigured unless this version can work with the schema."""
    if not require_known(schema).is_usable:
        raise Misconfigured("The database's schema is not up to date: run `conversion-capture migrate` first.")

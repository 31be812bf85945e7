"""The schema: brought up to date here, and looked at before anything else touches the database."""

from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from app.database import Database, translated
from app.errors import Misconfigured

ROOT: Final = Path(__file__).parent.parent


class Schema(StrEnum):
    """How a database's schema stands to the one this version knows."""

    CURRENT = "current"
    EMPTY = "empty"
    OLDER = "older"
    UNKNOWN = "unknown"


@cache
def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())


def _config() -> Config:
    return Config(toml_file=str(ROOT / "pyproject.toml"))


def look(database: Database) -> Schema:
    """Say how the schema stands. Raises Unavailable when the database is away."""
    with translated(), database.engine.connect() as connection:
        found = MigrationContext.configure(connection).get_current_heads()
    if not found:
        return Schema.EMPTY
    if set(found) == set(_scripts().get_heads()):
        return Schema.CURRENT
    known = {script.revision for script in _scripts().walk_revisions()}
    return Schema.OLDER if set(found) <= known else Schema.UNKNOWN


def migrate(database: Database) -> None:
    """Bring the schema up to date, in one transaction. Raises Misconfigured if a newer version has been at work."""
    require_known(look(database))
    config = _config()
    with translated(), database.engine.connect() as connection:
        if database.is_sqlite:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        connection.commit()


def require_known(schema: Schema) -> None:
    """Raise Misconfigured if this version does not know the schema."""
    if schema is Schema.UNKNOWN:
        raise Misconfigured(
            "The database has a schema that this version does not know: run the newer version, or restore."
        )


def require_current(schema: Schema) -> None:
    """Raise Misconfigured unless the schema is the one this version works with."""
    require_known(schema)
    if schema is not Schema.CURRENT:
        raise Misconfigured("The database's schema is not up to date: run `conversion-capture migrate` first.")

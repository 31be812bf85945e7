"""The schema: made by the migrations, the same as the models say, on both databases."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from app.database import Database
from app.errors import Misconfigured
from app.migrations import Schema, look, migrate, require_current
from app.tables import METADATA
from tests.conftest import driver
from tests.servers import Postgres


@pytest.fixture(params=["sqlite", "postgresql"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A database without any table."""
    if request.param == "sqlite":
        database = Database(f"sqlite:///{tmp_path / 'empty.db'}")
        yield database
        database.close()
        return
    server: Postgres = request.getfixturevalue("postgres")
    with server.new_database() as url:
        database = Database(driver(url))
        yield database
        database.close()


def only_ours(_object: object, name: str | None, kind: str, _reflected: bool, _other: object) -> bool:
    """Leave Alembic's own table out."""
    return not (kind == "table" and name == "alembic_version")


def differences(connection: Connection) -> list[object]:
    """Return what a new migration would change."""
    options = {"compare_type": True, "compare_server_default": True, "include_object": only_ours}
    return list(compare_metadata(MigrationContext.configure(connection, opts=options), METADATA))


def test_the_migrations_make_what_the_models_say(empty: Database) -> None:
    """No column, key or index is known to the code and missing in a merchant's database, or the other way round."""
    with empty.engine.connect() as connection:
        assert differences(connection) != []
    assert look(empty) is Schema.EMPTY
    migrate(empty)
    assert look(empty) is Schema.CURRENT
    with empty.engine.connect() as connection:
        assert differences(connection) == []


def test_migrating_again_changes_nothing(empty: Database) -> None:
    """Every start may migrate."""
    migrate(empty)
    migrate(empty)
    assert look(empty) is Schema.CURRENT


def test_a_schema_of_a_newer_version_is_refused(empty: Database) -> None:
    """An old version does not work on, or change, what it does not understand."""
    migrate(empty)
    with empty.transaction() as session:
        session.connection().execute(text("UPDATE alembic_version SET version_num = 'from the future'"))
    assert look(empty) is Schema.UNKNOWN
    with pytest.raises(Misconfigured, match="does not know"):
        migrate(empty)


def test_an_empty_database_is_not_worked_on(empty: Database) -> None:
    """The sentence says which command helps."""
    with pytest.raises(Misconfigured, match="conversion-capture migrate"):
        require_current(look(empty))


def test_a_migration_that_breaks_off_leaves_nothing_behind(empty: Database) -> None:
    """It is one transaction: after a failure the database is as it was, and the next try works."""
    with empty.engine.begin() as connection:
        connection.execute(text("CREATE TABLE undelivered (nonsense INTEGER)"))  # in the way of a late statement
    with pytest.raises(Exception, match="undelivered"):
        migrate(empty)
    with empty.engine.connect() as connection:
        with pytest.raises(DBAPIError):
            connection.execute(text("SELECT * FROM conversion"))
        connection.rollback()
        connection.execute(text("DROP TABLE undelivered"))
        connection.commit()
    migrate(empty)
    assert look(empty) is Schema.CURRENT

"""The schema: made by the migrations, the same as the models say, on both databases."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, event, insert, select, text
from sqlalchemy.exc import DBAPIError

from app.batches.store import BATCH, EXPORT, UNDELIVERED
from app.database import Database
from app.errors import Misconfigured
from app.migrations import KNOWN, NEWEST, ROOT, Schema, look, migrate, require_usable
from app.tables import METADATA
from tests.conftest import driver
from tests.servers import Postgres
from tests.support import NOW


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


def test_the_newest_migration_is_the_one_that_the_code_knows() -> None:
    """A new migration is applied by the next start, and not forgotten."""
    scripts = ScriptDirectory.from_config(Config(toml_file=str(ROOT / "pyproject.toml")))
    assert {one.revision for one in scripts.walk_revisions()} == set(KNOWN)
    assert scripts.get_heads() == [f"{NEWEST:04}"]


def test_migrating_again_changes_nothing(empty: Database) -> None:
    """Every start may migrate."""
    migrate(empty)
    migrate(empty)
    assert look(empty) is Schema.CURRENT


def test_a_schema_of_a_newer_version_is_refused(empty: Database) -> None:
    """An old version does not work on, or change, what it does not understand."""
    migrate(empty)
    set_revision(empty, "from the future", "from the future")
    assert look(empty) is Schema.UNKNOWN
    with pytest.raises(Misconfigured, match="does not know"):
        migrate(empty)


class Killed(BaseException):
    """The end of a process in the middle of a statement."""


def set_revision(database: Database, revision: str, oldest: str) -> None:
    """Be a newer version that has migrated, and that says whose code may still work here."""
    with database.transaction() as session:
        session.connection().execute(text("UPDATE alembic_version SET version_num = :one"), {"one": revision})
        session.connection().execute(text("UPDATE compatibility SET oldest = :one"), {"one": oldest})


def test_a_replica_goes_on_while_newer_ones_replace_it(empty: Database) -> None:
    """The new version's schema only adds something: the version before works on, and does not migrate back."""
    migrate(empty)
    set_revision(empty, "9999", "0004")
    assert look(empty) is Schema.NEWER
    require_usable(look(empty))
    migrate(empty)
    assert look(empty) is Schema.NEWER


def test_a_replica_stops_where_a_newer_version_enforces_something(empty: Database) -> None:
    """The new schema says that only newer code may work with it: a sentence says what to do."""
    migrate(empty)
    set_revision(empty, "9999", "9998")
    assert look(empty) is Schema.UNKNOWN
    with pytest.raises(Misconfigured, match="run the newer version"):
        require_usable(look(empty))


def test_calls_do_not_leave_as_a_file_after_a_step_back(empty: Database) -> None:
    """A version that knows no calls would send what was told already once more: it waits for a person instead."""
    migrate(empty)
    config = Config(toml_file=str(ROOT / "pyproject.toml"))
    with empty.writing(), empty.engine.connect() as connection:
        export = {"state": "done", "requested_at": NOW, "ended_at": NOW}
        number = connection.execute(insert(EXPORT).returning(EXPORT.c.id), [export]).scalar_one()
        made = {"export_id": number, "kind": "conversions", "event_type": "default", "created_at": NOW}
        made |= {"rows": 1, "orders": 1, "sha256": ""}
        for name in ("http_api", "sftp", None):
            names = {"batch_id": str(name), "filename": str(name), "channel": name}
            batch = connection.execute(insert(BATCH).returning(BATCH.c.id), [made | names]).scalar_one()
            connection.execute(insert(UNDELIVERED), [{"batch": batch, "due_at": NOW, "token": 0, "since": 0}])
        connection.commit()
        config.attributes["connection"] = connection
        command.downgrade(config, "0014")
        assert list(connection.execute(select(UNDELIVERED.c.stuck).order_by(UNDELIVERED.c.batch)).scalars()) == [
            "unknown",
            None,
            None,
        ]


def test_a_migration_that_breaks_off_anywhere_leaves_nothing_behind(empty: Database) -> None:
    """Killed at any of its statements: the database is as it was, and the next try works."""
    executed, breaks_at = 0, 0

    @event.listens_for(empty.engine, "before_cursor_execute")
    def count(*_: object) -> None:
        nonlocal executed
        executed += 1
        if executed == breaks_at:
            raise Killed

    look(empty)
    before = executed
    breaks_at = before + 2
    while True:
        executed = 0
        try:
            migrate(empty)
            break
        except Killed:
            executed = -(10**6)
            assert look(empty) is Schema.EMPTY
        breaks_at += 7  # every seventh, to be quick
    executed = -(10**6)
    assert breaks_at > 30
    assert look(empty) is Schema.CURRENT


def test_a_file_is_not_compressed_slowly(empty: Database) -> None:
    """PostgreSQL's own way takes a tenth of an export; LZ4 is for servers that have it."""
    migrate(empty)
    if empty.is_sqlite:
        return
    asked = "SELECT attstorage, attcompression FROM pg_attribute WHERE attname = 'content' AND attrelid = "
    with empty.engine.connect() as connection:
        storage, compression = connection.exec_driver_sql(asked + "'batch_content'::regclass").one()
    assert storage == "e" or compression == "l"


def test_an_empty_database_is_not_worked_on(empty: Database) -> None:
    """The sentence says which command helps."""
    with pytest.raises(Misconfigured, match="conversion-capture migrate"):
        require_usable(look(empty))


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

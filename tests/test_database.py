"""What the database promises to those who use it at once."""

import re
from pathlib import Path

import pytest
from sqlalchemy.exc import DBAPIError

from app.database import Database
from app.errors import Unavailable
from tests.conftest import driver
from tests.servers import Postgres, wait_until


def test_who_stands_still_in_a_transaction_holds_nobody_up(postgres: Postgres) -> None:
    """A paused process keeps its locks for a while only; when it goes on, it learns that its transaction is gone."""
    with postgres.new_database() as url:
        sleeper, other = Database(driver(url), idle_seconds=1), Database(driver(url))
        with other.transaction() as session:
            session.connection().exec_driver_sql("CREATE TABLE one (two INTEGER)")
            session.connection().exec_driver_sql("INSERT INTO one VALUES (1)")

        def is_free() -> bool:
            try:
                with other.transaction() as session:
                    session.connection().exec_driver_sql("SELECT two FROM one FOR UPDATE NOWAIT")
            except DBAPIError:
                return False
            except Unavailable:
                return False
            return True

        def sleep_and_go_on() -> None:
            with sleeper.transaction() as session:
                session.connection().exec_driver_sql("UPDATE one SET two = 2")
                assert not is_free()
                wait_until(is_free, "the lock is not given back")
                session.connection().exec_driver_sql("SELECT 1")

        with pytest.raises(Unavailable):
            sleep_and_go_on()
        with other.snapshot() as session:
            assert session.connection().exec_driver_sql("SELECT two FROM one").scalar_one() == 1
        sleeper.close()
        other.close()


def test_a_process_opens_no_more_connections_than_operators_are_told(postgres: Postgres) -> None:
    """Who gives PostgreSQL room for that many, as docs/how-to/replicas.md says, finds no replica without."""
    text = (Path(__file__).parent.parent / "docs" / "how-to" / "replicas.md").read_text("utf-8")
    [(most, kept)] = re.findall(r"A process opens at most (\d+) connections, and keeps (\d+) of them", text)
    with postgres.new_database() as url:
        database, other = Database(driver(url)), Database(driver(url))
        opened = [database.engine.connect() for _ in range(int(most))]
        with other.snapshot() as session:
            count = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            assert session.connection().exec_driver_sql(count).scalar_one() == int(most) + 1
        with pytest.raises(Unavailable, match="in use"), database.snapshot():
            pass
        for connection in opened:
            connection.close()
        assert database.engine.pool.checkedin() == int(kept)  # type: ignore[attr-defined]
        database.close()
        other.close()

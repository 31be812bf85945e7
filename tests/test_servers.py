"""The tests' own servers: what rests on them is worth no more than they are."""

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import psycopg
import pytest

from tests.servers import Postgres, alive, new_database, wait_until


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    """Start a server that these tests may kill."""
    with Postgres() as server:
        yield server


def value(url: str, query: str) -> object:
    """Ask for one value."""
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(query.encode()).fetchone()
    return row[0] if row else None


def test_the_server_is_a_careful_one(server: Postgres) -> None:
    """Crash tests need a server that syncs; texts need Unicode, sorted in the same way everywhere."""
    assert str(value(server.url, "SHOW server_version")).startswith("18")
    assert value(server.url, "SHOW fsync") == "on"
    assert value(server.url, "SHOW server_encoding") == "UTF8"
    assert value(server.url, "SELECT lower('ÄB') || ('Z' < 'a')::text") == "äbtrue"


def test_a_database_begins_empty_or_as_its_template_and_is_dropped(server: Postgres) -> None:
    """Tests do not see one another's rows."""
    with new_database(server.url) as first:
        name = urlsplit(first).path.removeprefix("/")
        with psycopg.connect(first) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
        with server.new_database(template=name) as second:
            assert value(second, "SELECT answer FROM kept") == 42
        with server.new_database() as third:
            assert value(third, "SELECT to_regclass('kept')") is None
    assert value(server.url, "SELECT count(*) FROM pg_database WHERE datname LIKE 'test_%'") == 0


def test_committed_rows_survive_a_kill_and_others_do_not(server: Postgres) -> None:
    """After SIGKILL the server comes back at the same address with what it had acknowledged."""
    with server.new_database() as url:
        with psycopg.connect(url) as connection:
            connection.execute("CREATE TABLE kept (number int)")
            connection.execute("INSERT INTO kept VALUES (1)")
            connection.commit()
            connection.execute("INSERT INTO kept VALUES (2)")
            server.kill()
            with pytest.raises(psycopg.OperationalError):
                connection.commit()
        with pytest.raises(psycopg.OperationalError):
            value(url, "SELECT 1")
        server.start()
        assert value(url, "SELECT sum(number) FROM kept") == 1


def test_nothing_is_left_when_the_tests_are_killed() -> None:
    """An interrupted run leaves neither a server nor its data."""
    program = """
        from tests.servers import Postgres
        with Postgres(fsync=False) as server:
            print(server.pid, server._folder, server._guard.pid, flush=True)
            input()
    """
    command = [sys.executable, "-c", textwrap.dedent(program)]
    root = Path(__file__).parent.parent
    with subprocess.Popen(command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout
        pid, folder, guard = run.stdout.readline().split()
        watched = [psutil.Process(int(pid)), psutil.Process(int(guard))]
        run.send_signal(signal.SIGKILL)
    wait_until(lambda: not any(map(alive, watched)), "something was left running")
    assert not os.path.lexists(folder)

"""Many rows go into an embedded database as if they went one by one, by few steps."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.many_rows import MOST, insert_rows

Row = tuple[int, str | None]


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    """A database with an empty table."""
    with closing(emptied()) as made:
        yield made


def emptied() -> sqlite3.Connection:
    """Return a new database with an empty table."""
    made = sqlite3.connect(":memory:")
    made.execute("CREATE TABLE kept (id INTEGER PRIMARY KEY, number INTEGER UNIQUE, word TEXT)")
    return made


@given(st.lists(st.tuples(st.integers(0, 500), st.none() | st.text(max_size=3)), max_size=3 * MOST))
def test_rows_go_in_as_one_by_one(rows: list[Row]) -> None:
    """In their order, those alone that meet no key that is taken, and it is told how many they were."""
    many, single = emptied(), emptied()
    with closing(many), closing(single):
        taken = insert_rows(many.cursor(), "kept (number, word)", rows, "ON CONFLICT DO NOTHING")
        for row in rows:
            single.execute("INSERT INTO kept (number, word) VALUES (?, ?) ON CONFLICT DO NOTHING", row)
        everything = "SELECT number, word FROM kept ORDER BY id"
        found = many.execute(everything).fetchall()
        assert found == single.execute(everything).fetchall()
        assert len(found) == taken


def test_a_key_that_is_taken_is_an_error_where_nothing_else_is_said(connection: sqlite3.Connection) -> None:
    """No row is lost silently."""
    insert_rows(connection.cursor(), "kept (number)", [(1,)])
    with pytest.raises(sqlite3.IntegrityError):
        insert_rows(connection.cursor(), "kept (number)", [(2,), (1,)])


def test_many_rows_take_few_statements(connection: sqlite3.Connection) -> None:
    """As few for a thousand rows as the driver keeps prepared for all sizes."""
    told: list[str] = []
    connection.set_trace_callback(told.append)
    insert_rows(connection.cursor(), "kept (number)", [(number,) for number in range(1000)])
    assert len([one for one in told if one.startswith("INSERT")]) <= 1000 / MOST + MOST.bit_length()

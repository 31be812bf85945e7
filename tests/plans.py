"""How statements reach their rows: every one that a database really ran, whoever sent it, and what is wrong with it.

SQLite is asked through its own hooks: what it traces, how many steps it took, and what EXPLAIN QUERY PLAN says.
PostgreSQL through its log, which holds every statement with its parameters, through EXPLAIN with the plan for these
parameters and with the one for any, and through its own counts of the rows that were read by scans.
"""

import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

import psycopg
from psycopg import sql
from sqlalchemy import event

from app.database import Database
from app.tables import METADATA
from tests.servers import Postgres

SMALL: Final = frozenset(
    {"unsent", "unsent_correction", "new_click", "undelivered", "channel_trouble", "spool_segment", "snippet"}
    | {"compatibility", "alembic_version", "actions_read", "compared"}
    | {"unanswered", "unconfirmed", "spent_calls", "call_budget"}
    | {"browser_session"}
    | {"terms_filed", "day_counted"}  # one row, and one for each day
    | {"fingerprint_key", "cleared", "traces"}  # one row each
)
"""Tables of what is not finished, and of what does not come with orders: they may be read whole."""
HISTORIES: Final = frozenset(METADATA.tables) - SMALL
"""All other tables: what happens once is there for ever, or for long."""
DATA: Final = re.compile(r"\s*(SELECT|INSERT|UPDATE|DELETE|WITH|COPY)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Fault:
    """A statement that costs more the more history there is, and why."""

    statement: str
    why: str


class Statements(Protocol):
    """What was run since watching began."""

    @property
    def seen(self) -> Sequence[str]:
        """The statements on tables, each once."""

    def faults(self) -> list[Fault]:
        """Return what is wrong with them."""


# SQLite -----------------------------------------------------------------------------------------------------------

STEPS: Final = 1_000
MOST_STEPS: Final = 50
"""In thousands, for one run. Pages have at most 500 rows; to go through a history of 20,000 takes more than this."""


@dataclass(slots=True)
class SQLite:
    """What the connections of an engine run, and the most steps that a statement took."""

    path: str
    took: dict[str, int] = field(default_factory=dict)

    def watch(self, connection: sqlite3.Connection) -> None:
        """Follow a connection. A statement is traced with its values in their places."""
        running, steps = "", 0

        def began(statement: str) -> None:
            nonlocal running, steps
            running, steps = statement if DATA.match(statement) else "", 0
            if running:
                self.took.setdefault(running, 0)

        def worked() -> int:
            nonlocal steps
            steps += 1
            if running:
                self.took[running] = max(self.took[running], steps)
            return 0

        connection.set_trace_callback(began)
        connection.set_progress_handler(worked, STEPS)

    @property
    def seen(self) -> Sequence[str]:
        return list(self.took)

    def faults(self) -> list[Fault]:
        found = [Fault(one, f"took {steps} thousand steps") for one, steps in self.took.items() if steps > MOST_STEPS]
        with closing(sqlite3.connect(self.path)) as connection:
            for statement in self.took:
                plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}")]
                found += [Fault(statement, step) for step in plan if _reads_all(step, statement)]
        return found


def _reads_all(step: str, statement: str) -> bool:
    """Say whether a step of a plan goes through a history. With a LIMIT it may end early: then the steps tell."""
    scanned = re.match(r"SCAN (?:TABLE )?(\w+)", step)
    if not scanned or "LIMIT" in statement.upper():
        return False
    return _table(scanned[1], statement) in HISTORIES


def _table(name: str, statement: str) -> str:
    """Return the table behind a name in a plan, which may be an alias."""
    aliased = re.search(rf'"?(\w+)"? AS "?{re.escape(name)}"?\b', statement)
    return aliased[1] if aliased else name


@contextmanager
def _watching_sqlite(database: Database) -> Iterator[SQLite]:
    statements = SQLite(database.engine.url.database or "")

    def connected(connection: Any, _record: object) -> None:
        statements.watch(connection)

    database.engine.dispose()
    event.listen(database.engine, "connect", connected)
    yield statements
    event.remove(database.engine, "connect", connected)
    database.engine.dispose()


# PostgreSQL -------------------------------------------------------------------------------------------------------

SMALL_INDEXES: Final = frozenset({"orders_corrected_often"})
"""Indexes of a few rows of a history, which are what is asked for: these are read whole."""
MOST_ROWS: Final = 2_000
"""So many rows of a history may one step of a plan read; every history of a test has ten times as many."""
ENTRY: Final = re.compile(r"^\S+ \S+ \w+ \[(\d+)\] (\w+):  (.*)$")
CALLED: Final = re.compile(r"^(?:statement|execute [^:]+): (.*)$", re.DOTALL)
PARAMETER: Final = re.compile(r"\$\d+ = (NULL|'(?:[^']|'')*')")
COPIED: Final = re.compile(r"^\s*COPY \((.*)\)\s*TO STDOUT", re.IGNORECASE | re.DOTALL)
WRITES: Final = re.compile(r"\bINSERT\b|(?<!FOR )\bUPDATE\b|\bDELETE\b", re.IGNORECASE)
MODES: Final = ("force_custom_plan", "force_generic_plan")
"""A driver prepares what it runs often, and the server then plans for any parameters."""

Call = tuple[str, tuple[str, ...]]
"""A statement with $1, $2, …, and its parameters as literals."""


@dataclass(slots=True)
class PostgreSQL:
    """What all connections to a database run, and how many rows of each table were read by scans."""

    url: str
    log: Path
    begins: int
    read_before: dict[str, int]
    read_after: dict[str, int] = field(default_factory=dict)

    def calls(self) -> list[Call]:
        """Return what was run, each statement once, with the parameters of its first run."""
        with self.log.open("rb") as log:
            log.seek(self.begins)
            lines = log.read().decode("utf-8", "replace").splitlines()
        found: dict[str, tuple[str, ...]] = {}
        last: dict[str, str] = {}
        for process, kind, text in _entries(lines):
            called = CALLED.match(text) if kind == "LOG" else None
            if called:
                last[process] = called[1]
                if DATA.match(called[1]):
                    found.setdefault(called[1], ())
            elif kind == "DETAIL" and text.lower().startswith("parameters:") and last.get(process, "") in found:
                found[last[process]] = found[last[process]] or tuple(PARAMETER.findall(text))
        return list(found.items())

    @property
    def seen(self) -> Sequence[str]:
        return [statement for statement, _ in self.calls()]

    def faults(self) -> list[Fault]:
        grown = {table: self.read_after[table] - self.read_before.get(table, 0) for table in self.read_after}
        found = [
            Fault("(any)", f"{rows} rows of {table} were read by sequential scans")
            for table, rows in grown.items()
            if rows and table in HISTORIES
        ]
        with psycopg.connect(self.url) as connection:
            planned = [(call, mode) for call in self.calls() if _has_a_plan(call[0]) for mode in MODES]
            for (statement, parameters), mode in planned:
                why = _judge(_explain(connection, statement, parameters, mode))
                found += [Fault(statement, f"{mode}: {one}") for one in why]
        return found


def _has_a_plan(statement: str) -> bool:
    """Say whether there is something to explain: there is not where rows come in as a stream."""
    return bool(COPIED.match(statement)) or not statement.lstrip().upper().startswith("COPY")


def _entries(lines: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    """Yield (process, kind, text) of a server's log; a line that goes on begins with a tab."""
    entry: list[str] = []
    for line in [*lines, "0 0 UTC [0] END:  "]:
        begun = ENTRY.match(line)
        if begun:
            if entry:
                yield entry[0], entry[1], entry[2]
            entry = [begun[1], begun[2], begun[3]]
        elif entry and line.startswith("\t"):
            entry[2] += f"\n{line[1:]}"


def _explain(connection: psycopg.Connection[Any], statement: str, parameters: Sequence[str], mode: str) -> Any:
    """Return the plan of a statement; one that only reads is run, so that its plan tells what it read."""
    copied = COPIED.match(statement)
    asked = copied[1] if copied else statement
    reads = not WRITES.search(asked)
    how = "ANALYZE, TIMING OFF, FORMAT JSON" if reads else "FORMAT JSON"
    given = f"({', '.join(parameters)})" if parameters else ""
    try:
        connection.execute(f"SET LOCAL plan_cache_mode = {mode}")
        connection.execute("SET LOCAL log_statement = 'none'")
        connection.execute(_raw(f"PREPARE asked AS {asked}"))
        row = connection.execute(_raw(f"EXPLAIN ({how}) EXECUTE asked{given}")).fetchone()
        connection.execute("DEALLOCATE asked")
    finally:
        connection.rollback()
    assert row
    return row[0][0]["Plan"]


def _raw(text: str) -> sql.SQL:
    return sql.SQL(text)


def _is_small(node: dict[str, Any]) -> bool:
    """Say whether a node reads an index that holds only what is asked for, a few of the history's rows."""
    return node.get("Index Name") in SMALL_INDEXES


def _judge(node: dict[str, Any], *, limited: bool = False) -> Iterator[str]:
    """Say what is wrong with a plan: history read whole, much of it read, or sorted."""
    kind, rows = node["Node Type"], _rows(node)
    table = node.get("Relation Name")
    if table in HISTORIES and kind == "Seq Scan":
        yield f"Seq Scan of {table}"
    elif table in HISTORIES and rows > MOST_ROWS:
        yield f"{kind} of {table} reads {rows} rows"
    elif (
        table in HISTORIES
        and "Index Cond" not in node
        and kind.startswith("Index")
        and not (limited or _is_small(node))
    ):
        yield f"{kind} of all {table}"
    if kind in {"Sort", "Incremental Sort", "Hash"} and rows > MOST_ROWS:
        yield f"{kind} of {rows} rows"
    for inner in node.get("Plans", ()):
        yield from _judge(inner, limited=limited or kind == "Limit" or node.get("Subplan Name", "").startswith("Init"))


def _rows(node: dict[str, Any]) -> int:
    """Return how many rows a step reads, or would by the planner's estimate."""
    if "Actual Rows" not in node:
        return int(node["Plan Rows"])
    removed = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
    return int((node["Actual Rows"] + removed) * node["Actual Loops"])


@contextmanager
def _watching_postgresql(database: Database, server: Postgres) -> Iterator[PostgreSQL]:
    url = database.url.replace("postgresql+psycopg://", "postgresql://")
    name = sql.Identifier(url.rsplit("/", 1)[1])
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql.SQL("ALTER DATABASE {} SET log_statement = 'all'").format(name))
        database.engine.dispose()  # a thread of the service may connect at any time, and does so anew from here on
        statements = PostgreSQL(url, server._log, server._log.stat().st_size, _read_by_scans(connection))
        yield statements
        database.engine.dispose()  # a connection's counts are complete when it has ended
        connection.execute(sql.SQL("ALTER DATABASE {} RESET log_statement").format(name))
    with psycopg.connect(url, autocommit=True) as connection:
        statements.read_after = _read_by_scans(connection)


def _read_by_scans(connection: psycopg.Connection[Any]) -> dict[str, int]:
    return dict(connection.execute("SELECT relname, seq_tup_read FROM pg_stat_user_tables").fetchall())


# Both -------------------------------------------------------------------------------------------------------------


@contextmanager
def watching(database: Database, server: Postgres | None) -> Iterator[Statements]:
    """Follow every statement on a database; on PostgreSQL ask for `faults` when the block has ended."""
    if server is None:
        with _watching_sqlite(database) as seen_by_sqlite:
            yield seen_by_sqlite
    else:
        with _watching_postgresql(database, server) as seen_by_postgresql:
            yield seen_by_postgresql

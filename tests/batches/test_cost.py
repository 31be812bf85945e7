"""What an export costs: the memory of a few files, and nothing for the history, however much waits."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, text

from app.database import Database
from tests.batches.test_build import HISTORY, add_history, export
from tests.conftest import SettingsFactory
from tests.support import NOW

ROOT = Path(__file__).parents[2]
ITEMS = 3


def add_waiting(database: Database, first: int, count: int) -> None:
    """Insert orders of three items that wait, as if they had been posted."""
    moment = "'2026-11-22 11:00:00.000000'" if database.is_sqlite else "TIMESTAMPTZ '2026-11-22T11:00:00Z'"
    rows = {
        "conversion (id, event_type, order_id, recorded_at)": f"i, 'default', 'A-' || i, {moment} FROM numbers",
        "revision (id, conversion_id, number, recorded_at, event_date, event_at, currency, click_id, fingerprint)": (
            f"i, i, 1, {moment}, '2026-11-22T11:00:00+00:00', {moment}, 'USD', 'click-' || i, 'x' FROM numbers"
        ),
        "item (revision_id, position, sku, category, quantity, amount)": (
            "i, p, 'SKU-' || p, 'Garden, house', 1, 1250 FROM numbers, (SELECT i - 1 AS p FROM small) AS small"
        ),
        "unsent (revision_id, event_type, lines, event_at, currency)": (
            f"i, 'default', {ITEMS}, {moment}, 'USD' FROM numbers"
        ),
    }
    numbers, small = _numbers("numbers", first, first + count - 1), _numbers("small", 1, ITEMS)
    with database.transaction() as session:
        for table, values in rows.items():
            statement = f"WITH RECURSIVE {numbers}, {small} INSERT INTO {table} SELECT {values}"
            session.connection().execute(text(statement))
    with database.engine.connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT").exec_driver_sql("ANALYZE")


def _numbers(name: str, first: int, last: int) -> str:
    return f"{name} (i) AS (SELECT {first} UNION ALL SELECT i + 1 FROM {name} WHERE i < {last})"  # noqa: S608 (numbers)


# Memory -----------------------------------------------------------------------------------------------------------

MEASURE = """
import resource
from app import worker
from app.ledger.export_routes import request_export
from app.service import assemble

service = assemble()
service.prepare()
request_export(service.database)
while worker.work(service):
    pass
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def peak(url: str, folder: Path) -> int:
    """Return the greatest memory of a worker in a process of its own that exports what waits, in kilobytes."""
    settings = {
        "CAPTURE_DATABASE_URL": url,
        "CAPTURE_CAMPAIGN_ID": "1000",
        "CAPTURE_ACTION_TRACKER_ID": "4321",
        "CAPTURE_MAX_ROWS": "300",
        "CAPTURE_MAX_EVENT_AGE_DAYS": "88",
        "CAPTURE_FOLDER_PATH": str(folder / "outbox"),
        "CAPTURE_JOURNAL_PATH": str(folder / "journal"),
    }
    surroundings = {"PYTHONPATH": str(ROOT), "PATH": os.defpath, "LC_ALL": "C.UTF-8"}
    done = subprocess.run(
        [sys.executable, "-c", MEASURE],
        env=surroundings | settings,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def test_memory_does_not_grow_with_what_waits(database: Database, tmp_path: Path) -> None:
    """Ten times the orders are exported with the memory of one time, and a tenth for what is not ours to say."""
    url = database.url.replace("+psycopg", "")
    add_waiting(database, 1, 2_000)
    few = peak(url, tmp_path)
    add_waiting(database, 2_001, 20_000)
    many = peak(url, tmp_path)
    assert len(list((tmp_path / "outbox").glob("*.csv"))) == (2_000 + 20_000) // 100
    assert many < 1.1 * few


# History ----------------------------------------------------------------------------------------------------------


class Plans:
    """The plan of each statement, asked for in its own transaction just before it is run."""

    def __init__(self, database: Database) -> None:
        self.read: list[tuple[str, set[str]]] = []
        self._sqlite = database.is_sqlite
        event.listen(database.engine, "before_cursor_execute", self._note)

    def _note(self, _connection: Any, cursor: Any, statement: str, parameters: Any, _context: Any, many: bool) -> None:
        if not statement.startswith(("SELECT", "WITH", "UPDATE", "DELETE", "INSERT")):
            return
        cursor.execute(
            f"EXPLAIN {'QUERY PLAN' if self._sqlite else '(FORMAT JSON)'} {statement}",
            parameters[0] if many else parameters,
        )
        rows = cursor.fetchall()
        self.read.append((statement, _scans_in_sqlite(rows) if self._sqlite else set(_scans(rows[0][0][0]["Plan"]))))


def _scans_in_sqlite(rows: list[Any]) -> set[str]:
    steps = [row[3].split() for row in rows]
    return {step[1] for step in steps if step[0] == "SCAN"} & HISTORY


def _scans(node: dict[str, Any]) -> list[str]:
    """Return the tables that are read from end to end, be it along an index."""
    reads = node["Node Type"].endswith("Scan") and node.get("Relation Name") in HISTORY
    here = [node["Relation Name"]] if reads and "Index Cond" not in json.dumps(node) else []
    return here + [name for inner in node.get("Plans", []) for name in _scans(inner)]


@pytest.mark.parametrize("waiting", [10, 20_000])
def test_an_export_reads_history_by_keys_alone(
    database: Database, make_settings: SettingsFactory, waiting: int
) -> None:
    """Be it a few orders or nearly as many as there ever were: no statement goes through a table of the history."""
    add_history(database)
    add_waiting(database, 1_000_000, waiting)
    plans = Plans(database)
    assert export(database, make_settings(), NOW).exported == waiting
    assert [one for one in plans.read if one[1]] == []
    statements = [statement for statement, _ in plans.read]
    assert any("batch_line" in statement for statement in statements)
    assert any("revision" in statement and "item" in statement for statement in statements)
    with database.engine.connect() as connection:  # so that the test can fail
        connection.exec_driver_sql("SELECT count(*) FROM item WHERE sku = 'x'")
        connection.exec_driver_sql("SELECT revision_id FROM batch_line ORDER BY revision_id")
    assert [one[1] for one in plans.read[-2:]] == [{"item"}, {"batch_line"}]

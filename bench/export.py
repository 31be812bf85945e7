"""Seconds and memory of an export: the real worker in its own process, files and all."""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from app import worker
from app.conversions.order import Item, Order
from app.conversions.record import record
from app.database import Database
from app.ledger.export_routes import request_export
from app.migrations import migrate
from app.service import assemble

GROUP = 500
ITEMS = 3


def measure(url: str, orders: int) -> dict[str, Any]:
    """Fill the database and return what an export of it took."""
    database = Database(url.replace("postgresql://", "postgresql+psycopg://"))
    migrate(database)
    _fill(database, orders)
    request_export(database)
    database.close()
    with tempfile.TemporaryDirectory(prefix="conversion-capture-bench-") as folder:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("CAPTURE_")}
        settings = {
            "CAPTURE_DATABASE_URL": url,
            "CAPTURE_FOLDER_PATH": f"{folder}/outbox",
            "CAPTURE_JOURNAL_PATH": f"{folder}/journal",
            "CAPTURE_CAMPAIGN_ID": "1000",
            "CAPTURE_ACTION_TRACKER_ID": "4321",
        }
        done = subprocess.run(
            [sys.executable, "-m", "bench.export"], env=inherited | settings, check=True, capture_output=True
        )
        measured: dict[str, Any] = json.loads(done.stdout)
        measured["files"] = len(os.listdir(f"{folder}/outbox"))  # noqa: PTH208 (only counted)
    return measured


def _fill(database: Database, orders: int) -> None:
    now = datetime.now(UTC)
    for start in range(0, orders, GROUP):
        record(database, [_order(number, now) for number in range(start, min(start + GROUP, orders))], now)


def _order(number: int, now: datetime) -> Order:
    return Order(
        event_type="default",
        order_id=f"A-{number:09}",
        event_date=now - timedelta(minutes=number % 100_000),
        currency="USD",
        items=tuple(Item(f"SKU-{item}", "Garden, house & tools", 1, 1250) for item in range(ITEMS)),
        click_id=f"QiiWXOVnrQ3SQHl24jQjyxBGUkmzf{number:09}",
        customer_id=f"CUSTOMER-{number:09}",
    )


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Work off the export that is queued, and print what it took."""
    service = assemble()
    service.prepare()
    before, began = _peak_mb(), time.perf_counter()
    while worker.work(service):
        pass
    seconds, after = time.perf_counter() - began, _peak_mb()
    print(json.dumps({"seconds": round(seconds, 1), "peak_mb": round(after), "grew_by_mb": round(after - before)}))


if __name__ == "__main__":
    main()

"""`conversion-capture reconcile`, as a person or cron runs it."""

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from app.conversions.record import record
from app.database import Database
from tests.support import order
from tests.test_cli import run


def test_sides_are_compared_by_the_command(sqlite_url: str, tmp_path: Path) -> None:
    """As a table, as JSON and as CSV; with 1 where they differ and 0 where they do not; and without an account."""
    moment = datetime.now(UTC) - timedelta(days=3)
    day = str(moment.date())
    database = Database(sqlite_url)
    record(database, [order("A-1", event_date=moment, click_id=None)], moment)
    shop = tmp_path / "shop.csv"
    shop.write_text("order_id,amount,currency\nA-1,20.00,USD\n")

    def reconcile(*arguments: str, status: int) -> str:
        done = run("reconcile", "--from", day, "--to", day, *arguments, CAPTURE_DATABASE_URL=sqlite_url)
        assert (done.returncode, done.stderr) == (status, "")
        return done.stdout

    agreed = reconcile("--shop", str(shop), status=0)
    assert "No differences." in agreed
    assert "impact.com's side is not known" in agreed
    assert "1 credited to nobody" in agreed
    shop.write_text("order_id,amount,currency\nA-1,20.00,USD\nA-2,1.00,USD\n")
    told = json.loads(reconcile("--shop", str(shop), "--format", "json", status=1))
    assert (told["from"], told["impact_known_up_to"], told["counts"]) == (day, None, {"missing_in_service": 1})
    actions = tmp_path / "actions.csv"
    actions.write_text(f"Action Id,OID,Status,Sale Amount,Currency,Event Date\n1.2.3,A-9,PENDING,7.00,USD,{day}\n")
    rows = csv.DictReader(io.StringIO(reconcile("--actions", str(actions), "--format", "csv", status=1)))
    assert [(row["kind"], row["order_id"], row["impact"]) for row in rows] == [("missing_in_service", "A-9", "7.00")]
    table = reconcile("--actions", str(actions), status=1)
    assert "missing_in_service: A-9" in table
    assert "1 difference: missing_in_service 1." in table


def test_what_cannot_be_compared_is_said_in_a_sentence(sqlite_url: str, tmp_path: Path) -> None:
    """A wrong day is wrong usage; a file that is not there is a failure."""
    wrong = run("reconcile", "--from", "yesterday", "--to", "2026-11-01", CAPTURE_DATABASE_URL=sqlite_url)
    assert (wrong.returncode, "write the day as 2026-11-22" in wrong.stderr) == (2, True)
    long = run("reconcile", "--from", "2026-01-01", "--to", "2026-11-01", CAPTURE_DATABASE_URL=sqlite_url)
    assert (long.returncode, "45" in long.stderr, "/query" in long.stderr) == (2, True, False)
    period = ("--from", "2026-11-01", "--to", "2026-11-01")
    absent = run("reconcile", *period, "--shop", str(tmp_path / "none.csv"), CAPTURE_DATABASE_URL=sqlite_url)
    assert (absent.returncode, absent.stderr.count("\n")) == (1, 1)
    assert "cannot be read" in absent.stderr

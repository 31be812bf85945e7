"""The console command, run as a person or cron runs it."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.clicks.store import NewClick, add_new
from app.conversions.record import record
from app.database import Database
from app.security import hash_of
from tests.corrections import Left, correct
from tests.servers import HOST, free_port, wait_until
from tests.support import bearer, body, order

ROOT = Path(__file__).parent.parent
COMMANDS = [
    "serve",
    "worker",
    "migrate",
    "keys new",
    "export",
    "check",
    "import",
    "resend",
    "explain",
    "reconcile",
    "purge",
    "erase",
    "person",
    "doctor",
    "recover",
    "snippet",
    "openapi",
]


COMMAND = [sys.executable, "-m", "app"]


def surroundings(settings: Mapping[str, str]) -> dict[str, str]:
    """Return an environment with the ids of a shop and no other settings from outside."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CAPTURE_")}
    ids = {"CAPTURE_CAMPAIGN_ID": "1000", "CAPTURE_ACTION_TRACKER_ID": "4321"}
    return {**environment, **ids, **settings, "PYTHONPATH": str(ROOT)}


def run(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    command, environment = [*COMMAND, *arguments], surroundings(settings)
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture
def database_with_orders(sqlite_url: str) -> str:
    """A database with two orders that go and one that is held."""
    database = Database(sqlite_url)
    now = datetime.now(UTC)
    fresh: dict[str, Any] = {"event_date": now - timedelta(hours=1)}
    orders = [order("A", **fresh), order("B", **fresh), order("C", click_id=None, **fresh)]
    record(database, orders, now)
    database.close()
    return sqlite_url


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str) -> None:
    """`--help` is there, and costs no database."""
    told = run(*command.split(), "--help")
    assert (told.returncode, told.stderr) == (0, "")
    assert "Usage" in told.stdout
    assert not Path("var").exists()


def test_wrong_usage_is_status_2() -> None:
    """A script can tell a typing error from a failure."""
    assert run("nonsense").returncode == 2
    assert run("export", "--nonsense").returncode == 2
    assert run("check", "x.csv", "--now", "yesterday").returncode == 2


def test_a_failure_is_one_sentence_and_status_1() -> None:
    """No traceback: what is wrong and what to do."""
    told = run("serve", CAPTURE_COOKIE_DAYS="many")
    assert (told.returncode, told.stdout) == (1, "")
    assert told.stderr.startswith("conversion-capture: CAPTURE_COOKIE_DAYS: ")
    assert "Traceback" not in told.stderr


def test_a_database_that_is_away_is_told() -> None:
    """Cron's mail says so, in a sentence."""
    told = run("export", CAPTURE_DATABASE_URL="postgresql://u:p@127.0.0.1:1/name")
    assert told.returncode == 1
    assert "database" in told.stderr
    assert "Traceback" not in told.stderr


def test_a_new_key_is_shown_with_what_goes_into_the_settings() -> None:
    """The settings hold the hash of exactly this key."""
    key, stored = [line.split()[-1] for line in run("keys", "new").stdout.splitlines()]
    assert stored == f"sha256:{hash_of(key)}"
    assert len(key) >= 32


def test_the_document_is_the_one_in_the_repository() -> None:
    """Whoever generates a client from openapi/openapi.json gets this version's endpoints."""
    assert json.loads(run("openapi").stdout) == json.loads((ROOT / "openapi" / "openapi.json").read_text("utf-8"))


def test_a_dry_run_changes_nothing(database_with_orders: str) -> None:
    """It tells what would be sent, any number of times; afterwards the export sends it."""
    first, second = (run("export", "--dry-run", CAPTURE_DATABASE_URL=database_with_orders) for _ in range(2))
    assert first.stdout == second.stdout
    assert "2 orders would be sent, 1 would not" in first.stdout
    assert "default: order C held (no_attribution): " in first.stdout
    assert not Path("var/outbox").exists()
    assert json.loads(run("export", "--wait", CAPTURE_DATABASE_URL=database_with_orders).stdout)["exported"] == 2


def test_a_dry_run_tells_of_corrections(database_with_orders: str) -> None:
    """Those that would leave, and those that would be held, with what to do; the export's answer counts them."""
    settings = {"CAPTURE_DATABASE_URL": database_with_orders, "CAPTURE_FOLDER_PATH": "out"}
    assert json.loads(run("export", "--wait", **settings).stdout)["exported"] == 2
    database = Database(database_with_orders)
    correct(database, "A", [Left("SKU-0", 500)])
    correct(database, "B", [Left(f"SKU-{number}", 500) for number in range(3)])
    database.close()
    shown = run("export", "--dry-run", **settings, CAPTURE_MAX_ROWS="2").stdout
    assert "default: 1 rows, 1 corrections, " in shown
    held = "It has 3 lines, and a file at most 2 rows; raise CAPTURE_MAX_ROWS."
    assert f"default: correction of order B held (too_many_items): {held}\n" in shown
    assert "and 1 corrections, 1 would be held. Nothing was changed." in shown
    export = json.loads(run("export", "--wait", **settings).stdout)
    assert (export["corrections"], export["corrections_waiting"], export["corrections_held"]) == (2, 0, 0)
    [file] = Path("out").glob("*_ModificationData_*.csv")
    checked = run("check", str(file))
    assert checked.stdout.endswith(": no faults in 4 rows of 2 orders; it can be sent.\n")


def test_an_export_needs_no_running_service(database_with_orders: str) -> None:
    """`export --wait` does the work itself and prints what POST /exports answers."""
    told = run("export", "--wait", CAPTURE_DATABASE_URL=database_with_orders, CAPTURE_FOLDER_PATH="out")
    assert told.returncode == 0, told.stderr
    export = json.loads(told.stdout)
    assert (export["state"], export["exported"], export["held"], export["expired"]) == ("done", 2, 1, 0)
    assert [(one["order_id"], one["reason"]) for one in export["left_out"]] == [("C", "no_attribution")]
    assert export["deadlines"]["within_days"] == 7
    [batch] = export["batches"]
    assert batch["state"] == "delivered"
    [file] = Path("out").iterdir()
    assert file.name == batch["filename"]
    checked = run("check", str(file))
    assert checked.returncode == 0, checked.stdout


def test_without_wait_the_export_is_left_to_a_worker(database_with_orders: str) -> None:
    """It is queued, durable, and done by whoever works next."""
    told = run("export", CAPTURE_DATABASE_URL=database_with_orders)
    assert json.loads(told.stdout)["state"] == "queued"
    done = json.loads(run("export", "--wait", CAPTURE_DATABASE_URL=database_with_orders).stdout)
    assert (done["id"], done["exported"]) == (json.loads(told.stdout)["id"], 2)


def test_what_waits_for_a_person_is_sent_again_on_purpose(database_with_orders: str) -> None:
    """One batch by its id, or all that are stuck: the same bytes under the same name, by the next worker."""
    Path("out").write_text("no folder")
    kept = {"CAPTURE_DATABASE_URL": database_with_orders, "CAPTURE_FOLDER_PATH": "out", "CAPTURE_DELIVERY_TRIES": "1"}
    told = run("export", "--wait", **kept)
    [batch] = json.loads(told.stdout)["batches"]
    assert batch["state"] == "failed"
    assert [json.loads(line)["code"] for line in told.stderr.splitlines()]  # why: lines of the log, whole
    Path("out").unlink()
    assert batch["id"] in run("export", "--redeliver", "stuck", **kept).stdout
    run("export", "--wait", **kept)
    [file] = Path("out").iterdir()
    content = file.read_bytes()
    file.unlink()
    assert "none waited for a person" in run("export", "--redeliver", "stuck", **kept).stdout
    assert batch["id"] in run("export", "--redeliver", batch["id"], **kept).stdout
    run("export", "--wait", **kept)
    assert file.read_bytes() == content
    unknown = run("export", "--redeliver", "nothing", **kept)
    assert (unknown.returncode, unknown.stderr) == (1, "conversion-capture: There is no batch with this id.\n")


def test_purge_deletes_what_is_old_and_says_how_much(database_with_orders: str) -> None:
    """Cron's mail is one line, without a progress bar; what is young stays."""
    database = Database(database_with_orders)
    now = datetime.now(UTC)
    with database.transaction() as session:
        ages = {"old": now - timedelta(days=60, minutes=1), "young": now - timedelta(days=59)}
        add_new(session, [NewClick(click_id=one, captured_at=at, source="get") for one, at in ages.items()])
    database.close()
    kept = {"CAPTURE_DATABASE_URL": database_with_orders, "CAPTURE_KEEP_CLICKS_DAYS": "60"}
    for number in (1, 0):
        told = run("purge", **kept)
        assert (told.returncode, told.stderr) == (0, "")
        assert told.stdout == f"{number} clicks and 0 alarms were deleted.\n"
    refused = run("purge", CAPTURE_KEEP_CLICKS_DAYS="29")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "keep clicks for at least as long" in refused.stderr


def test_a_file_with_faults_is_status_1(tmp_path: Path) -> None:
    """A script may send what `check` lets pass."""
    wrong = tmp_path / "wrong.csv"
    wrong.write_text("Sku\n1\n")
    told = run("check", str(wrong), "--json")
    assert told.returncode == 1
    assert json.loads(told.stdout)["faults"] > 0


def test_migrate_makes_an_embedded_database() -> None:
    """The command says so, and may be repeated."""
    for _ in range(2):
        told = run("migrate")
        assert (told.returncode, told.stdout) == (0, "The schema is up to date.\n")
    assert Path("var/conversions.db").exists()


def test_a_missing_file_is_told() -> None:
    """One sentence with its name."""
    told = run("check", "nothing.csv")
    assert (told.returncode, told.stdout) == (1, "")
    assert told.stderr.startswith("conversion-capture: 'nothing.csv' cannot be read")
    assert len(told.stderr.splitlines()) == 1


CANARY = "canary"


def lines_of(log: Path) -> list[dict[str, Any]]:
    """Return the log's lines, each of which is a JSON object."""
    return [json.loads(line) for line in log.read_text("utf-8").splitlines()]


def visit(base: str, key: str) -> None:
    """Do what shops and strangers do, with something in every field that must not be written down."""
    personal = {"click_id": f"{CANARY}-click", "customer_id": f"{CANARY}-customer", "promo_code": f"{CANARY}-promo"}
    known = body(f"{CANARY}/1", **personal)
    with httpx.Client(base_url=base, headers=bearer(key) | {"User-Agent": f"Mozilla/5.0 {CANARY}"}) as client:
        assert client.get("/capture", params={"im_ref": f"{CANARY}-click"}).status_code == 204
        assert client.get("/capture", params={"im_ref": f"{CANARY}<click"}).status_code == 400
        assert client.post("/orders", json=known).status_code == 201
        assert client.post("/orders", json=known | {"currency": "EUR"}).status_code == 409
        assert client.post("/orders", json=known | {"customer_id": f"{CANARY}@shop.example"}).status_code == 422
        assert client.post("/orders/bulk", content=json.dumps(known).encode()).status_code == 200
        assert client.post("/orders", json=known, headers=bearer(f"{CANARY}-wrong-key")).status_code == 401
        assert client.get(f"/orders/{CANARY}%2F1", params={"event_type": CANARY}).status_code == 404
        assert client.get(f"/{CANARY}%0A{{").status_code == 404
        assert client.post("/exports", params={"wait": 20}).json()["exported"] == 1


def test_what_is_logged_names_no_person_and_no_secret(tmp_path: Path) -> None:
    """JSON lines, one per request, without click ids, customers, keys, paths or queries; SIGTERM ends well.

    An order that was recorded is named by its id, in the field for it and nowhere else. Also when the database fails in
    the middle of a statement, whose values its driver would like to quote.
    """
    port, key, log = free_port(), f"{CANARY}-key", tmp_path / "log"
    hashed = f"sha256:{hash_of(key)}"
    environment = surroundings(
        {
            "CAPTURE_ORDER_KEYS": hashed,
            "CAPTURE_EXPORT_KEYS": hashed,
            "CAPTURE_DATABASE_URL": f"sqlite:///{tmp_path}/logged.db",
            "CAPTURE_FOLDER_PATH": str(tmp_path / "outbox"),
        }
    )
    with log.open("wb") as stderr:
        command = [*COMMAND, "serve", "--port", str(port)]
        with subprocess.Popen(command, env=environment, stdout=stderr, stderr=stderr) as server:
            try:
                wait_until(lambda: _answers(port), "the service does not answer")
                visit(f"http://{HOST}:{port}", key)
                with sqlite3.connect(tmp_path / "logged.db") as connection:
                    connection.execute("ALTER TABLE conversion RENAME TO gone")
                connection.close()
                order_again = body(f"{CANARY}-2", customer_id=f"{CANARY}-customer")
                answer = httpx.post(f"http://{HOST}:{port}/orders", json=order_again, headers=bearer(key))
                assert answer.status_code == 500
            finally:
                server.send_signal(signal.SIGTERM)
            assert server.wait(30) == 0
    lines = lines_of(log)
    assert len([line for line in lines if line["event"] == "request"]) > 10
    assert {"POST /orders", "GET /capture", "GET "} <= {
        f"{line['method']} {line['route']}" for line in lines if line["event"] == "request"
    }
    assert any("conversion" in line.get("exception", "") for line in lines)
    assert f"{CANARY}/1" in {line.pop("order_id", None) for line in lines}
    assert CANARY not in json.dumps(lines, ensure_ascii=False)
    assert hashed not in log.read_text("utf-8")


def _answers(port: int) -> bool:
    try:
        return httpx.get(f"http://{HOST}:{port}/readyz/orders").is_success
    except httpx.TransportError:
        return False

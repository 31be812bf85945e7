"""What the log says of requests: whose they were is told by ids of orders and batches, and of nobody who bought."""

import json
import secrets
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from app.database import Database
from app.migrations import migrate
from app.security import hash_of
from tests.canary import Run, found, new
from tests.conftest import driver
from tests.servers import Postgres
from tests.support import bearer, body

RIGHTS = ("ORDER", "EXPORT", "READ")
KNOWN = {"event", "level", "timestamp", "logger"}


@pytest.fixture(params=["sqlite", "postgres"])
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Run]:
    """A service at DEBUG, whose visitors, buyers and keys are known again wherever they are written."""
    folder = tmp_path / "merchant"
    folder.mkdir()
    hidden = {f"key {one}": new(one) for one in RIGHTS} | {name: new(name) for name in ("click", "customer", "page")}
    hidden |= {"e-mail": f"{secrets.token_hex(8)}@buyer.example", "visitor": new("agent")}
    environment = {f"CAPTURE_{one}_KEYS": f"sha256:{hash_of(hidden[f'key {one}'])}" for one in RIGHTS}
    environment |= {"CAPTURE_CAMPAIGN_ID": "1000", "CAPTURE_ACTION_TRACKER_ID": "4321", "CAPTURE_DRAIN_SECONDS": "0"}
    with ExitStack() as stack:
        if request.param == "postgres":
            server: Postgres = request.getfixturevalue("postgres")
            environment["CAPTURE_DATABASE_URL"] = url = stack.enter_context(server.new_database())
            database = Database(driver(url))
            migrate(database)
            database.close()
        else:
            environment["CAPTURE_DATABASE_URL"] = f"sqlite:///{folder / 'shop.db'}"
        yield Run(folder, environment, hidden)


def lines(run: Run) -> list[dict[str, Any]]:
    """Return what was logged; every line is an object."""
    texts = [path.read_text("utf-8") for path in sorted(run.folder.glob("log-*"))]
    return [json.loads(line) for text in texts for line in text.splitlines()]


def test_no_line_names_a_person_or_a_key(run: Run) -> None:
    """Hostile ids in every place, refusals, a delivery, a database that quotes the row that it refuses: 0 hits."""
    answered: list[tuple[str, int]] = []
    with run.serving() as client:
        client.event_hooks["response"].append(
            lambda answer: answered.append((answer.headers["x-request-id"], answer.status_code))
        )
        visit(run, client)
        shop(run, client)
        ended = client.post("/exports", params={"wait": 60}, headers=bearer(run.keys["EXPORT"]))
        assert ended.status_code == 200
        break_database(run)
        broken = client.post("/orders", json=sold(run, "A-broken"), headers=bearer(run.keys["ORDER"]))
        assert broken.status_code >= 500
    logged = lines(run)
    places = {path.name: path.read_bytes() for path in run.folder.glob("log-*")}
    assert found(run.secrets, places) == []
    requests = {line["request_id"]: line for line in logged if line["event"] == "request"}
    assert {requests[one]["status"] for one, _ in answered} >= {201, 204, 400, 401, 404, 409, 422}
    assert all(requests[one]["status"] == status for one, status in answered), "one line for each answer"
    assert len(requests) == sum(line["event"] == "request" for line in logged)
    [failed] = [
        line for line in logged if line.get("request_id") == broken.headers["x-request-id"] and "exception" in line
    ]
    assert "Traceback" in failed["exception"]
    assert {line.get("order_id") for line in requests.values() if line["route"] == "/orders"} == {"A-1", None}
    [batch] = ended.json()["batches"]
    assert batch["id"] in {line.get("batch_id") for line in logged if line["event"] == "delivery.done"}
    assert all(set(line) >= KNOWN for line in logged)


def visit(run: Run, client: Any) -> None:
    """Land as a visitor who puts ids wherever a browser, or an attacker, can."""
    click, customer, mail = run.secrets["click"], run.secrets["customer"], run.secrets["e-mail"]
    headers = {"User-Agent": run.secrets["visitor"], "Referer": f"https://shop.example/{run.secrets['page']}?{mail}"}
    headers |= {"Cookie": f"im_ref={click}; customer={customer}", "X-Request-ID": f"{mail} {click}"}
    client.get("/capture", params={"im_ref": click, "url": f"https://shop.example/{customer}"}, headers=headers)
    client.get("/capture", params={"im_ref": f"{click}\n{{}}", "to": f"https://evil.example/{mail}"}, headers=headers)
    client.post("/capture", json={"im_ref": click, "consent": False}, headers=headers)
    client.get("/capture", params={"im_ref": click, "consent": "granted"}, headers=headers)
    client.get(f"/{mail}/{customer}", params={"key": run.keys["READ"]}, headers=headers)
    client.get("/handoff", params={"to": f"https://evil.example/{mail}"}, headers=headers)


def sold(run: Run, order_id: str, **changes: Any) -> dict[str, Any]:
    """Return an order of a person."""
    return body(order_id, click_id=run.secrets["click"], customer_id=run.secrets["customer"], **changes)


def shop(run: Run, client: Any) -> None:
    """Order, again, otherwise and wrongly; with ids of people where an order's belongs, and with keys that are none."""
    key, mail, customer = bearer(run.keys["ORDER"]), run.secrets["e-mail"], run.secrets["customer"]
    for order, status in (
        (sold(run, "A-1"), 201),
        (sold(run, "A-1"), 200),
        (sold(run, "A-1", currency="EUR"), 409),
        (sold(run, "A-2") | {"customer_id": mail}, 422),
        (sold(run, f"\r\n{customer}"), 422),
        (sold(run, mail), 201),
    ):
        assert client.post("/orders", json=order, headers=key).status_code == status
    client.post("/orders", content=json.dumps(sold(run, "A-3"))[:-9], headers=key)
    client.post("/orders", json=sold(run, "A-4"), headers=bearer(f"{run.keys['ORDER']}x"))
    client.get(f"/orders/{mail}/explanation", headers=key)
    client.get(f"/orders/{customer}", headers=key)
    client.get("/batches", params={"after": mail}, headers=bearer(run.keys["READ"]))


def break_database(run: Run) -> None:
    """Have the database refuse every order, and say what it refuses as far as it does."""
    url = run.environment["CAPTURE_DATABASE_URL"]
    if url.startswith("sqlite"):
        import sqlite3  # noqa: PLC0415 (for this alone)

        with closing(sqlite3.connect(url.removeprefix("sqlite:///"), timeout=60)) as embedded:
            embedded.execute("ALTER TABLE item RENAME TO items")
        return
    with closing(psycopg.connect(url, autocommit=True)) as connection:
        connection.execute("ALTER TABLE revision ADD CONSTRAINT nobody CHECK (customer_id IS NULL) NOT VALID")

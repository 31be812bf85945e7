"""What a merchant hands over for a partner's claim: every fact that is on record, and nothing of the customer."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select, text
from typer.testing import CliRunner

from app.batches.store import BATCH
from app.cli import cli
from app.ledger.collect import collect
from app.ledger.evidence import as_text, host_and_path, is_inside
from app.service import Service
from tests.conftest import Clock
from tests.ledger.test_corrections import BALL, ORDERING, READING
from tests.ledger.test_repair import FIX, Merchant
from tests.ledger.test_revise import ago
from tests.support import body

ID = "A-1001"
HASHED = "ab" * 32


@pytest.fixture
def clock() -> Clock:
    """The service's clock shows the real time, as its callers' clocks do."""
    return Clock(datetime.now(UTC))


@pytest.fixture
def shop(client: TestClient, service: Service) -> Merchant:
    """A shop."""
    return Merchant(client, service)


def land(shop: Merchant, before: timedelta = timedelta(hours=2)) -> None:
    """Let a visitor land with the order's click, so long before the order."""
    url = "https://www.shop.example/boots?mail=anna%40shop.example"
    answer = shop.client.get("/capture", params={"im_ref": body()["click_id"], "url": url, "consent": "granted"})
    assert answer.status_code == 204
    at = datetime.fromisoformat(ago(0)) - timedelta(hours=1) - before
    database = shop.service.database
    with database.transaction() as session:
        for table in ("click", "new_click"):
            change = text(f"UPDATE {table} SET captured_at = :at")  # noqa: S608
            session.connection().execute(change, {"at": at.replace(tzinfo=None) if database.is_sqlite else at})


def ask(shop: Merchant, query: str = "", order_id: str = ID) -> Any:
    """Ask for the evidence."""
    return shop.client.get(f"/orders/{order_id}/evidence{query}", headers=READING)


def told(shop: Merchant, order_id: str = ID) -> dict[str, Any]:
    """Return it as JSON."""
    answer = ask(shop, "?format=json", order_id)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_an_order_that_was_taken_in_part_and_corrected(shop: Merchant, outbox: Path) -> None:
    """From the click to the correction, with the name, the line and the hash of the file that impact.com got."""
    land(shop)
    shop.order(extra={"CustomerEmail": HASHED}, promo_code="SPRING")
    shop.export()
    shop.judged({ID: {BALL: ["MALFORMED"]}})
    shop.send("refund", ID, amount="1.00")
    facts = told(shop)
    with shop.service.database.snapshot() as session:
        batch = session.connection().execute(select(BATCH)).one()
    assert (facts["click"]["landing_page"], facts["click"]["consent"]) == ("www.shop.example/boots", "granted")
    assert (facts["inside_window"], facts["window_days"]) == (True, 30)
    assert 0 < facts["seconds_between"] < 3 * 3600
    [sent] = facts["sent"]
    assert (sent["filename"], sent["line"], sent["sha256"]) == (batch.filename, 2, batch.sha256)
    assert (outbox / sent["filename"]).exists()
    assert [(one["channel"], one["outcome"]) for one in sent["deliveries"]] == [("folder", "delivered")]
    assert (sent["decision"], [one["code"] for one in sent["reasons"]]) == ("partly_accepted", ["MALFORMED"])
    assert [(one["kind"], one["reason"]) for one in facts["corrections"]] == [("refund", "ITEM_RETURNED")]
    assert (facts["amount"], facts["amount_left"]) == ("56.00", "55.00")
    answer = ask(shop)
    for fact in (ID, body()["click_id"], sent["sha256"], "www.shop.example/boots", "MALFORMED", "partly accepted"):
        assert fact in answer.text
    for hidden in (body()["customer_id"], HASHED, "anna", "mail="):
        assert hidden not in answer.text + str(facts)


def test_it_is_a_file_of_its_own(shop: Merchant) -> None:
    """A browser saves it under a harmless name, whatever the order is called, and no cache keeps it."""
    odd = 'A/1 "ü"\u202e'
    answer = shop.client.post("/orders", json=body(odd.replace("\u202e", "")), headers=ORDERING)
    assert answer.status_code == 201
    answer = ask(shop, order_id="A%2F1%20%22%C3%BC%22")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["content-disposition"] == 'attachment; filename="evidence-A_1____.txt"'
    assert (answer.headers["cache-control"], answer.headers["x-content-type-options"]) == ("no-store", "nosniff")


def test_what_cannot_be_seen_is_written_out(shop: Merchant) -> None:
    """A mark that turns the direction of a line, or a line separator, cannot make an amount look like another."""
    items = [{"sku": "S\u202e00.1", "category": "a\u2028Total: 1.00", "quantity": 1, "amount": "56.00"}]
    shop.order(items=items)
    text_of_it = ask(shop).text
    assert "1 x S\\u202e00.1 (a\\u2028Total: 1.00): 56.00" in text_of_it
    assert all(one.isprintable() for one in text_of_it.split("\n"))


@pytest.mark.parametrize(("before", "inside"), [(timedelta(days=31), False), (timedelta(hours=-1), False)])
def test_a_click_outside_the_window_is_told(shop: Merchant, before: timedelta, inside: bool) -> None:
    """Too long before the order, or after it."""
    land(shop, before)
    shop.order()
    facts = told(shop)
    assert (facts["inside_window"], facts["seconds_between"] < 0) == (inside, before < timedelta())
    assert "Inside the window:     no" in ask(shop).text


def test_what_is_not_known_is_told_to_be_not_known(shop: Merchant) -> None:
    """A click that was captured elsewhere proves nothing here, and an order that waits was never sent."""
    shop.order()
    facts = told(shop)
    assert (facts["click"], facts["inside_window"], facts["sent"], facts["credited"]) == (None, None, [], None)
    assert "not on record" in ask(shop).text
    assert "It has not left in any file." in ask(shop).text


def test_the_same_facts_are_the_same_text(shop: Merchant) -> None:
    """Asked twice at one time, byte for byte."""
    land(shop)
    shop.sent(ID, refused={ID: FIX})
    now = shop.service.clock()
    with shop.service.database.snapshot() as session:
        first, second = (collect(session, shop.service.settings, ("default", ID), now) for _ in range(2))
    assert as_text(first) == as_text(second)
    assert first.made_at == now


def test_errors_are_those_of_every_order(shop: Merchant) -> None:
    """No such order, an event type that is none, and a format that is none."""
    assert (ask(shop).status_code, ask(shop).json()["code"]) == (404, "ORDER_NOT_FOUND")
    shop.order()
    assert ask(shop, "?event_type=other").status_code == 404
    assert ask(shop, "?format=pdf").status_code == 422


@pytest.mark.parametrize(
    ("between", "inside"),
    [
        (timedelta(0), True),
        (timedelta(microseconds=-1), False),
        (timedelta(days=30), True),
        (timedelta(days=30, microseconds=1), False),
    ],
)
def test_the_window_ends_to_the_microsecond(between: timedelta, inside: bool) -> None:
    """Both ends belong to it."""
    assert is_inside(between, 30) is inside


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (None, None),
        ("https://shop.example", "shop.example"),
        ("https://shop.example/a/b?c=d#e", "shop.example/a/b"),
        ("http://shop.example:8080/a#e", "shop.example:8080/a"),
    ],
)
def test_of_the_landing_page_host_and_path_are_shown(url: str | None, shown: str | None) -> None:
    """Also of a row that another program wrote."""
    assert host_and_path(url) == shown


def test_the_command_writes_the_file(
    shop: Merchant, service: Service, monkeypatch: pytest.MonkeyPatch, outbox: Path, tmp_path: Path
) -> None:
    """`explain ORDER --evidence FILE`, as text or as JSON; a file that is there stays."""
    shop.order()
    monkeypatch.setenv("CAPTURE_DATABASE_URL", service.database.url.replace("postgresql+psycopg", "postgresql"))
    monkeypatch.setenv("CAPTURE_CAMPAIGN_ID", "1000")
    monkeypatch.setenv("CAPTURE_ACTION_TRACKER_ID", "4321")
    path = tmp_path / "claim.txt"

    def run(*words: str) -> Any:
        return CliRunner().invoke(cli, ["explain", ID, "--evidence", *words])

    assert run(str(path)).exit_code == 0
    assert path.read_text("utf-8").startswith(f"Evidence for order {ID}\n")
    before = path.read_bytes()
    again = run(str(path))
    assert again.exit_code != 0
    assert "is not overwritten" in str(again.exception)
    assert path.read_bytes() == before
    assert run(str(tmp_path / "claim.json"), "--json").exit_code == 0
    assert f'"order_id": "{ID}"' in (tmp_path / "claim.json").read_text("utf-8")
    assert "cannot be written" in str(run(str(tmp_path / "none" / "x")).exception)

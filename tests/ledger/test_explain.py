"""Why an order was credited or not: the steps that it took, in plain sentences, and what can still be done."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import insert, select, text
from typer.testing import CliRunner

from app.actions.store import REPORTED_ACTION
from app.cli import cli
from app.conversions.store import CONVERSION
from app.database import Database
from app.impact.outcomes import known_reasons
from app.service import Service
from tests.conftest import Clock
from tests.ledger.test_corrections import BALL, ORDERING, READING, Answer
from tests.ledger.test_repair import ASK, FIX, Merchant
from tests.ledger.test_revise import NOBODY, ago
from tests.support import body
from tests.verdicts import judge

ID = "A-1001"


@pytest.fixture
def clock() -> Clock:
    """The service's clock shows the real time, as its callers' clocks do."""
    return Clock(datetime.now(UTC))


@pytest.fixture
def shop(client: TestClient, service: Service) -> Merchant:
    """A shop."""
    return Merchant(client, service)


def ask(shop: Merchant, order_id: str = ID, query: str = "") -> Answer:
    """Ask why an order was credited or not."""
    answer = shop.client.get(f"/orders/{order_id}/explanation{query}", headers=READING)
    assert answer.status_code == 200, answer.text
    found: Answer = answer.json()
    return found


def stages(told: Answer) -> list[str]:
    """Return the stages of the steps, each run once."""
    found = [one["stage"] for one in told["steps"]]
    return [one for place, one in enumerate(found) if found[place - 1 : place] != [one]]


def said(told: Answer, stage: str) -> str:
    """Return all that is said of a stage."""
    return " ".join(one["text"] for one in told["steps"] if one["stage"] == stage)


def test_an_order_that_waits(shop: Merchant) -> None:
    """Nobody knows yet; it can be changed, and until when impact.com takes it is said."""
    shop.client.get("/capture", params={"im_ref": body()["click_id"]})
    shop.order()
    told = ask(shop)
    assert (told["credited"], told["summary"]) == (None, "It waits for the next export.")
    assert stages(told) == ["click", "order"]
    assert said(told, "click").startswith("Its click was captured by /capture.")
    assert said(told, "order") == "Recorded: 2 items, 56.00 USD, credited by its click_id."
    assert f"PUT /orders/{ID}/attribution" in told["next"][0]
    assert "impact.com takes it until" in told["next"][1]


@pytest.mark.parametrize(
    ("changes", "credited", "summary", "click"),
    [
        (NOBODY, None, "It is held", "names no click id"),
        ({"event_date": ago(100)}, False, "too old", "not among the captured ones"),
    ],
    ids=["held", "expired"],
)
def test_an_order_that_is_left_out(
    shop: Merchant, changes: dict[str, Any], credited: bool | None, summary: str, click: str
) -> None:
    """The export's own sentence says why, and what helps."""
    shop.order(**changes)
    shop.export()
    told = ask(shop)
    assert told["credited"] is credited
    assert summary in told["summary"]
    assert click in said(told, "click")
    assert stages(told) == ["click", "order", "export"]
    assert shop.seen()["detail"] in said(told, "export")
    assert f"/orders/{ID}/attribution" in " ".join(told["next"])


def test_an_order_that_was_cancelled(shop: Merchant) -> None:
    """It never leaves, and that is final."""
    shop.order()
    shop.accepted("reversal")
    told = ask(shop)
    assert (told["credited"], "reversed it before" in told["summary"]) == (False, True)
    assert said(told, "correction") == "Correction 1, a reversal (ITEM_RETURNED): applied."


def test_an_order_that_was_taken(shop: Merchant, outbox: Path) -> None:
    """Its file, its delivery and the verdict are told, and how long it can be corrected."""
    shop.configure(locks_after="2 months")
    shop.sent(ID, refused={})
    told = ask(shop)
    [name] = [file.name for file in outbox.iterdir()]
    assert (told["credited"], told["summary"]) == (True, "impact.com has taken it.")
    assert stages(told) == ["click", "order", "batch", "delivery", "submission"]
    assert said(told, "batch") == f"Written to {name}, from line 2 on, with 1 order in all."
    assert said(told, "delivery") == "Attempt 1 by folder: delivered."
    assert "decision about it: accepted." in said(told, "submission")
    assert "when impact.com locks it" in told["next"][0]


def test_an_order_that_is_delivered_and_not_judged(shop: Merchant) -> None:
    """That is not yet credited."""
    shop.order()
    shop.export()
    told = ask(shop)
    assert (told["credited"], "has not said yet" in told["summary"]) == (None, True)


@pytest.mark.parametrize("code", [*sorted(known_reasons())[:3], "CONV_DUPLICATE", "NEWCODE"])
def test_an_order_that_was_refused(shop: Merchant, code: str) -> None:
    """Each reason with its meaning, and what is to be done next."""
    shop.sent(ID, refused={ID: [code]})
    told = ask(shop)
    assert told["credited"] is False
    assert f"{code}: " in told["summary"]
    assert f"{code}: " in said(told, "submission")
    assert told["next"]
    assert "{" not in "".join(told["next"]), "a placeholder that nobody can call"
    assert all(sentence.endswith(".") for sentence in told["next"])


def test_a_reason_of_many_lines_is_told_once(shop: Merchant) -> None:
    """An order of 300 items that is refused line by line is no page of the same sentence."""
    batch = shop.sent(ID, refused={ID: {"A-198237465": FIX, "A-91827645": FIX}})
    assert said(ask(shop), "submission").count("ACTIONTRACKER_NOT_FOUND: ") == 1
    assert "SKU A-198237465; SKU A-91827645: ACTIONTRACKER_NOT_FOUND: " in said(ask(shop), "submission")
    [left] = shop.resend(batch, status=200)["left_out"]
    assert [one["code"] for one in left["reasons"]] == FIX


def test_an_order_that_was_taken_in_part(shop: Merchant) -> None:
    """It is credited with what was taken, and what is missing is named."""
    shop.sent(ID, refused={ID: {BALL: ["MALFORMED"]}})
    told = ask(shop)
    assert (told["credited"], f"SKU {BALL}: MALFORMED" in said(told, "submission")) == (True, True)
    assert "CONV_DUPLICATE" in told["next"][0]


def test_an_order_that_was_repaired(shop: Merchant) -> None:
    """Both ways that it went are told, in their order."""
    batch = shop.sent(ID, refused={ID: ASK})
    shop.send("refund", ID, amount="1.00")
    shop.resend(batch, ID)
    judge(shop.service.database, {})
    told = ask(shop)
    assert told["credited"] is True
    assert stages(told)[1:] == ["order", "batch", "delivery", "submission"] * 2 + ["correction"]
    assert "Recorded anew, as revision 2: 2 items, 55.00 USD" in said(told, "order")


def test_corrections_and_the_action_are_told(shop: Merchant, database: Database) -> None:
    """What impact.com has of it in the end, and why it took a correction not."""
    shop.sent(ID, refused={})
    shop.send("refund", ID, amount="1.00")
    shop.judged({ID: ["ALREADY_APPROVED"]})
    with database.transaction() as session:
        conversion_id = session.connection().execute(select(CONVERSION.c.id)).scalar_one()
        ids = {"action_id": "1.2.3", "campaign_id": "1000", "action_tracker_id": "4321", "order_id": ID}
        facts = {"state": "APPROVED", "currency": "USD", "amount": 5600, "payout": 560, "read_at": datetime.now(UTC)}
        session.connection().execute(insert(REPORTED_ACTION), [ids | facts | {"conversion_id": conversion_id}])
    told = ask(shop)
    assert "ALREADY_APPROVED: Action already approved" in said(told, "correction")
    assert said(told, "action") == ("impact.com told of its action 1.2.3: APPROVED, amount 56.00 USD, payout 5.60 USD.")
    assert (told["credited"], told["next"]) == (True, ["Nothing: it cannot be changed any more."])


def test_a_click_that_came_too_early_or_too_late_is_told(shop: Merchant, database: Database) -> None:
    """These are the two reasons that nobody thinks of."""
    clicks = {"early": timedelta(days=40, hours=1), "late": timedelta(hours=-1)}
    for click_id, age in clicks.items():
        shop.client.get("/capture", params={"im_ref": click_id})
        at = datetime.fromisoformat(ago(0)) - timedelta(hours=1) - age
        with database.transaction() as session:
            for table in ("click", "new_click"):
                session.connection().execute(
                    text(f"UPDATE {table} SET captured_at = :at WHERE click_id = :id"),  # noqa: S608
                    {"at": at.replace(tzinfo=None) if database.is_sqlite else at, "id": click_id},
                )
        shop.order(f"O-{click_id}", click_id=click_id)
    assert "40 days before the order" in said(ask(shop, "O-early"), "click")
    assert "after the order" in said(ask(shop, "O-late"), "click")


def test_an_order_of_another_event_type_and_one_that_nobody_knows(shop: Merchant) -> None:
    """The event type is named as everywhere, and stands in the sentences."""
    missing = shop.client.get("/orders/nobody/explanation", headers=ORDERING)
    assert (missing.status_code, missing.json()["code"]) == (404, "ORDER_NOT_FOUND")
    shop.order()
    assert shop.client.get(f"/orders/{ID}/explanation?event_type=other", headers=READING).status_code == 404


def test_the_commands_tell_the_same(
    shop: Merchant, service: Service, monkeypatch: pytest.MonkeyPatch, outbox: Path
) -> None:
    """`explain` and `resend` at a terminal, as text and as JSON."""
    shop.order("B")
    batch = shop.sent(ID, refused={ID: ASK, "B": FIX})
    monkeypatch.setenv("CAPTURE_DATABASE_URL", service.database.url.replace("postgresql+psycopg", "postgresql"))
    monkeypatch.setenv("CAPTURE_CAMPAIGN_ID", "1000")
    monkeypatch.setenv("CAPTURE_ACTION_TRACKER_ID", "4321")

    def run(*words: str) -> str:
        result = CliRunner().invoke(cli, words, catch_exceptions=False)
        assert result.exit_code == 0
        return result.stdout

    missing = CliRunner().invoke(cli, ["explain", "nobody"])
    assert "--event-type KEY names another one" in str(missing.exception)
    told = run("explain", ID)
    assert told.startswith(f"Order {ID} (default), credited: no\nimpact.com has not taken it: CONTRACT_NOT_FOUND: ")
    assert f'"order_id": "{ID}"' in run("explain", ID, "--json")
    dry = run("resend", batch, "--order", ID, "--dry-run")
    assert dry.splitlines()[-1] == "1 orders would be sent again, 1 stay. Nothing was changed."
    done = run("resend", batch, "--order", ID).splitlines()
    assert done[0].startswith("order B stays (ACTIONTRACKER_NOT_FOUND): Nothing has been changed")
    assert done[1].endswith("2 rows, 1 orders")
    assert done[2] == "1 orders are sent again, 1 stay."
    assert '"orders": 0' in run("resend", batch, "--order", ID, "--json")

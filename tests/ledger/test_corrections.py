"""Corrections over HTTP: what a shop says after the order, at each state of it, once, on both databases."""

import json
import random
import re
import shlex
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import event, insert, select, text

from app.batches.parents import ParentState
from app.batches.store import BATCH, CORRECTION_LINE, EXPORT, LEFT_OUT
from app.conversions.corrections_store import ACTION, CANCELLED, CORRECTION, CORRECTION_ITEM, UNSENT_CORRECTION
from app.conversions.order import NO_ATTRIBUTION
from app.conversions.store import CONVERSION, REVISION, UNSENT
from app.database import Database
from app.delivery.parcel import Parcel, Progress
from app.errors import ChannelUnavailable
from app.event_type import EventType
from app.impact.reasons import STANDARD_REASONS
from app.ledger.state import CorrectionState, OrderState
from app.main import create_app
from app.service import Service
from tests.conftest import Clock
from tests.ledger.test_concurrency import at_once
from tests.ledger.test_orders import problem
from tests.servers import wait_until
from tests.support import EXPORT_KEY, ORDER_KEY, READ_KEY, bearer, body, work

Answer = dict[str, Any]
ORDERING, READING = bearer(ORDER_KEY), bearer(READ_KEY)
ANVIL, BALL = "A-198237465", "A-91827645"
"""The order's two lines: 42.50 and 13.50 USD, one piece each."""


@pytest.fixture
def clock() -> Clock:
    """The service's clock shows the real time, as its callers' clocks do."""
    return Clock(datetime.now(UTC))


class Shop:
    """A checkout backend, with an exporter that runs when it is told."""

    def __init__(self, client: TestClient, service: Service) -> None:
        self.client, self.service = client, service

    def order(self, order_id: str = "A-1001", **changes: Any) -> None:
        """Post an order."""
        answer = self.client.post("/orders", json=body(order_id, **changes), headers=ORDERING)
        assert answer.status_code == 201, answer.text

    def send(self, kind: str, order_id: str = "A-1001", key: str | None = None, query: str = "", **content: Any) -> Any:
        """Post a correction."""
        headers = ORDERING | ({"Idempotency-Key": key} if key else {})
        content.setdefault("reason", "ITEM_RETURNED")
        return self.client.post(f"/orders/{order_id}/{kind}s{query}", json=content, headers=headers)

    def accepted(self, kind: str, **content: Any) -> Answer:
        """Post a correction that is accepted."""
        answer = self.send(kind, **content)
        assert answer.status_code == 202, answer.text
        found: Answer = answer.json()
        return found

    def seen(self, order_id: str = "A-1001") -> Answer:
        """Read the order."""
        found: Answer = self.client.get(f"/orders/{order_id}", headers=READING).json()
        return found

    def lines(self, order_id: str = "A-1001") -> list[tuple[int, str]]:
        """Return quantity and amount of the order's lines."""
        return [(item["quantity"], item["amount"]) for item in self.seen(order_id)["items"]]

    def export(self) -> None:
        """Export what waits, and deliver it."""
        self.client.post("/exports", headers=bearer(EXPORT_KEY))
        work(self.service)

    def listed(self, state: str) -> list[str]:
        """Return the ids of the orders in a state."""
        page = self.client.get("/orders", params={"state": state}, headers=READING).json()
        return [one["order_id"] for one in page["items"]]


@pytest.fixture
def shop(client: TestClient, service: Service) -> Shop:
    """A shop with one order that nothing was sent of."""
    shop = Shop(client, service)
    shop.order()
    return shop


@pytest.fixture
def sent(shop: Shop) -> Shop:
    """A shop with one order that has arrived."""
    shop.export()
    assert shop.seen()["state"] == "delivered"
    return shop


def all_rows(database: Database, table: Any) -> Sequence[Any]:
    """Return a table's rows."""
    with database.snapshot() as session:
        return session.connection().execute(select(table).order_by(*table.primary_key)).all()


def leave(database: Database, correction_id: int) -> None:
    """Let a correction be in a file, as the exporter does."""
    with database.transaction() as session:
        connection = session.connection()
        batch = connection.execute(select(BATCH.c.id).limit(1)).scalar_one()
        connection.execute(UNSENT_CORRECTION.delete().where(UNSENT_CORRECTION.c.correction_id == correction_id))
        row = {"correction_id": correction_id, "batch": batch, "first_line": 2}
        connection.execute(insert(CORRECTION_LINE), [row])


# Before anything has left ---------------------------------------------------------------------------------------


def test_an_order_that_has_not_left_changes_in_place(shop: Shop, outbox: Any) -> None:
    """The file holds the order as it is when it leaves, and no correction follows; its history is kept."""
    answer = shop.accepted("refund", items=[{"sku": ANVIL, "amount": "2.50"}])
    assert (answer["state"], answer["level"], answer["amount"]) == ("applied", None, "53.50")
    assert [item["reason"] for item in answer["items"]] == [None, None]
    view = shop.seen()
    assert (view["state"], view["revision"], view["amount"]) == ("pending", 2, "53.50")
    shop.export()
    [file] = outbox.iterdir()
    assert [line.split(",")[7] for line in file.read_text().splitlines()[1:]] == ["40.00", "13.50"]
    assert len(all_rows(shop.service.database, REVISION)) == 2
    assert all_rows(shop.service.database, UNSENT_CORRECTION) == []


def test_the_bodies_that_made_an_order_stay_replays(shop: Shop) -> None:
    """The checkout's own retry after a correction is answered 200, with the order as it is now."""
    order = body("retried")
    assert shop.client.post("/orders", json=order, headers=ORDERING).status_code == 201
    shop.accepted("modification", order_id="retried", amount="28.00", reason="ORDER_UPDATE")
    again = shop.client.post("/orders", json=order, headers=ORDERING)
    assert (again.status_code, again.json()["amount"]) == (200, "28.00")


def test_a_line_that_is_reversed_before_it_left_never_leaves(shop: Shop, outbox: Any) -> None:
    """The file has the other line alone; the reversed one cannot be changed or reversed again."""
    shop.accepted("reversal", items=[{"sku": ANVIL}])
    assert [item["sku"] for item in shop.seen()["items"]] == [BALL]
    problem(shop.send("reversal", items=[{"sku": ANVIL}]), 409, "ALREADY_REVERSED")
    problem(shop.send("refund", items=[{"sku": ANVIL, "amount": "1.00"}]), 409, "ALREADY_REVERSED")
    shop.export()
    [file] = outbox.iterdir()
    assert len(file.read_text().splitlines()) == 2
    problem(shop.send("modification", items=[{"sku": ANVIL, "amount": "1.00"}]), 409, "ALREADY_REVERSED")


@pytest.mark.parametrize("state", ["pending", "held", "expired"])
def test_an_order_that_is_reversed_before_it_left_is_cancelled(shop: Shop, outbox: Any, state: str) -> None:
    """Whatever it waited for, it never leaves, is listed as cancelled alone, and takes no more corrections."""
    changes: dict[str, Any] = {"held": {"click_id": ...}, "expired": {"event_date": "2026-01-01T00:00:00+00:00"}}
    shop.order("gone", **changes.get(state, {}))
    if state != "pending":
        shop.export()
    assert shop.seen("gone")["state"] == state
    answer = shop.accepted("reversal", order_id="gone", reason="CONS_FRAUD")
    assert (answer["state"], answer["amount"]) == ("applied", "0.00")
    assert all_rows(shop.service.database, LEFT_OUT) == []  # nor does any export's report name it
    before = set(outbox.iterdir()) if outbox.exists() else set()
    shop.export()
    view = shop.seen("gone")
    assert (view["state"], view["reason"], view["amount"], view["hold_reason"]) == ("cancelled", None, "0.00", None)
    assert shop.lines("gone") == [(0, "0.00"), (0, "0.00")]
    found = {one: "gone" in shop.listed(one) for one in ("pending", "held", "expired", "cancelled", "batched")}
    assert [name for name, there in found.items() if there] == ["cancelled"]
    assert not any("gone" in file.read_text() for file in set(outbox.iterdir()) - before)
    for kind, content in (("reversal", {}), ("refund", {"amount": "1.00"}), ("modification", {"amount": "1.00"})):
        problem(shop.send(kind, order_id="gone", **content), 409, "ALREADY_REVERSED")


def test_what_an_export_noted_too_late_does_not_show(shop: Shop) -> None:
    """An exporter that had looked at an order before it was cancelled may note that it is held: it is not."""
    shop.export()
    shop.order("late")
    shop.accepted("reversal", order_id="late")
    with shop.service.database.transaction() as session:
        connection = session.connection()
        [cancelled] = connection.execute(select(CANCELLED.c.revision_id)).scalars()
        export = connection.execute(select(EXPORT.c.id)).scalar_one()
        noted = {"export_id": export, "state": "held", "reason": "too_many_items", "detail": "Too many."}
        connection.execute(insert(LEFT_OUT), [noted | {"revision_id": cancelled}])
    view = shop.seen("late")
    assert (view["state"], view["reason"], view["detail"]) == ("cancelled", None, None)
    assert (shop.listed("held"), shop.listed("cancelled")) == ([], ["late"])


def test_a_held_order_is_corrected_and_stays_held(shop: Shop) -> None:
    """A correction gives nobody credit: the order goes on waiting for its attribution, with the new amount."""
    shop.order("held", click_id=...)
    shop.export()
    shop.accepted("modification", order_id="held", amount="10.00")
    view = shop.seen("held")
    assert (view["state"], view["hold_reason"], view["amount"]) == ("held", "no_attribution", "10.00")
    shop.export()
    assert shop.listed("held") == ["held"]


# After it has left ----------------------------------------------------------------------------------------------


def test_a_refund_of_a_delivered_order_waits_with_the_final_values(sent: Shop) -> None:
    """The answer and the order show what will be sent: the line's final values and reason, and no other line."""
    answer = sent.accepted("refund", items=[{"sku": ANVIL, "amount": "2.50"}])
    assert (answer["state"], answer["level"], answer["number"]) == ("waiting", "item", 1)
    assert [(item["amount"], item["reason"]) for item in answer["items"]] == [
        ("40.00", "ITEM_RETURNED"),
        ("13.50", None),
    ]
    view = sent.seen()
    assert (view["state"], view["amount"], view["revision"]) == ("delivered", "53.50", 1)
    [correction] = view["corrections"]
    assert (correction["kind"], correction["state"], correction["filename"]) == ("refund", "waiting", None)
    [waiting] = all_rows(sent.service.database, UNSENT_CORRECTION)
    assert (waiting.level, waiting.lines, waiting.event_type, waiting.hold_reason) == ("item", 1, "default", None)


def test_corrections_before_one_export_become_one(sent: Shop) -> None:
    """Several that wait are one final line per item; each line has the reason that it was changed for last."""
    sent.accepted("refund", items=[{"sku": ANVIL, "amount": "2.50"}])
    sent.accepted("modification", items=[{"sku": BALL, "amount": "12.00"}], reason="ORDER_UPDATE")
    sent.accepted("refund", items=[{"sku": BALL, "amount": "2.00"}], reason="ITEM_OUT_OF_STOCK")
    [waiting] = all_rows(sent.service.database, UNSENT_CORRECTION)
    lines = [
        row for row in all_rows(sent.service.database, CORRECTION_ITEM) if row.correction_id == waiting.correction_id
    ]
    assert [(row.amount, row.reason) for row in lines] == [(4000, "ITEM_RETURNED"), (1000, "ITEM_OUT_OF_STOCK")]
    assert [one["state"] for one in sent.seen()["corrections"]] == ["applied", "applied", "waiting"]


def test_what_is_undone_before_an_export_sends_nothing(sent: Shop) -> None:
    """impact.com would refuse a line that changes nothing."""
    sent.accepted("modification", items=[{"sku": ANVIL, "amount": "40.00"}])
    answer = sent.accepted("modification", items=[{"sku": ANVIL, "amount": "42.50"}])
    assert (answer["state"], answer["level"]) == ("applied", None)
    assert all_rows(sent.service.database, UNSENT_CORRECTION) == []


def test_one_line_per_order_tells_its_amount_alone(shop: Shop, make_settings: Callable[..., Any]) -> None:
    """At an event type whose files have one line per order, what moves between items is no news."""
    by_order = EventType(campaign_id=1, action_tracker_id=2).model_copy(update={"level": "order"})
    shop.service.settings = make_settings().model_copy(update={"event_types": {"default": by_order}})
    shop.export()
    with TestClient(create_app(shop.service, with_worker=False)) as client:
        mine = Shop(client, shop.service)
        answer = mine.accepted("modification", items=[{"sku": ANVIL, "amount": "40.00"}])
        assert (answer["level"], answer["amount"]) == ("order", "53.50")
        [waiting] = all_rows(shop.service.database, UNSENT_CORRECTION)
        assert (waiting.level, waiting.lines) == ("order", 1)
        answer = mine.accepted("modification", items=[{"sku": BALL, "amount": "16.00"}])
        assert (answer["state"], answer["amount"]) == ("applied", "56.00")
        assert all_rows(shop.service.database, UNSENT_CORRECTION) == []


@pytest.mark.parametrize(("was", "now"), [("order", None), ("order", "item"), ("item", "order")])
def test_a_correction_speaks_of_an_order_as_its_file_did(
    shop: Shop, make_settings: Callable[..., Any], was: str, now: str | None
) -> None:
    """Whatever has become of its event type: impact.com knows no items of an order that was one line."""

    def configured(level: str | None) -> Any:
        types = {"shop": {"campaign_id": 1000, "action_tracker_id": 5001, "level": level}}
        return make_settings(event_types=types if level else {})

    shop.service.settings = configured(was)
    with TestClient(create_app(shop.service, with_worker=False)) as client:
        Shop(client, shop.service).order("B-1", event_type="shop")
        shop.export()
    shop.service.stopping.clear()
    shop.service.settings = configured(now)
    with TestClient(create_app(shop.service, with_worker=False)) as client:
        mine = Shop(client, shop.service)
        answer = mine.send("refund", "B-1", query="?event_type=shop", items=[{"sku": BALL, "amount": "3.50"}])
        assert (answer.status_code, answer.json()["level"]) == (202, was)
    shop.service.stopping.clear()


def test_a_correction_after_one_that_left_tells_only_what_is_new(sent: Shop) -> None:
    """A line that impact.com knows already is not sent again, since it would be refused."""
    sent.accepted("modification", items=[{"sku": ANVIL, "amount": "40.00"}])
    [waiting] = all_rows(sent.service.database, UNSENT_CORRECTION)
    leave(sent.service.database, waiting.correction_id)
    assert [one["state"] for one in sent.seen()["corrections"]] == ["delivered"]
    answer = sent.accepted("reversal", items=[{"sku": BALL}])
    assert [(item["amount"], item["reason"]) for item in answer["items"]] == [
        ("40.00", None),
        ("0.00", "ITEM_RETURNED"),
    ]
    problem(sent.send("modification", items=[{"sku": ANVIL, "amount": "40.00"}]), 409, "NO_CHANGE")


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("reversal", {}),
        ("reversal", {"items": [{"sku": ANVIL}, {"sku": BALL}]}),
        ("modification", {"amount": "0.00"}),
        ("modification", {"items": [{"sku": ANVIL, "amount": 0}, {"sku": BALL, "amount": "0", "quantity": 0}]}),
        ("refund", {"amount": "56.00"}),
        ("refund", {"items": [{"sku": ANVIL, "quantity": 1}, {"sku": BALL, "amount": "13.50"}]}),
    ],
)
def test_when_nothing_is_left_the_order_is_reversed_by_one_line(sent: Shop, kind: str, content: Any) -> None:
    """However that is said; it replaces what waited, and nothing comes after it."""
    sent.accepted("modification", amount="60.00")
    if kind == "refund":
        sent.accepted("modification", items=[{"sku": ANVIL, "amount": "42.50"}, {"sku": BALL, "amount": "13.50"}])
    answer = sent.accepted(kind, **content)
    assert (answer["state"], answer["level"], answer["amount"]) == ("waiting", "order", "0.00")
    [waiting] = all_rows(sent.service.database, UNSENT_CORRECTION)
    assert (waiting.level, waiting.lines) == ("order", 1)
    assert sent.lines() == [(0, "0.00"), (0, "0.00")]
    problem(sent.send("modification", amount="1.00"), 409, "ALREADY_REVERSED")


def test_an_order_of_nothing_is_reversed_by_hand(shop: Shop) -> None:
    """A file cannot reverse it: the correction is on record, held, and says what to do instead."""
    shop.order("free", items=[{"sku": "GIFT", "category": "Gifts", "quantity": 1, "amount": "0.00"}])
    shop.export()
    answer = shop.accepted("reversal", order_id="free")
    assert (answer["state"], answer["hold_reason"]) == ("held", "zero_amount")
    assert "interface" in answer["detail"]
    [correction] = shop.seen("free")["corrections"]
    assert (correction["state"], correction["hold_reason"]) == ("held", "zero_amount")


class Away:
    """A channel whose receiver cannot be reached."""

    def send(self, _parcel: Parcel, _progress: Progress) -> None:
        raise ChannelUnavailable("No.")

    def ask(self, _parcel: Parcel) -> bool | None:
        return None


def test_a_correction_of_an_order_on_its_way_waits(shop: Shop) -> None:
    """An order in a file that has not arrived cannot change any more: the correction waits."""
    shop.service.channels = {"folder": Away()}
    shop.export()
    assert shop.seen()["state"] == "batched"
    assert shop.accepted("reversal")["state"] == "waiting"
    assert shop.seen()["state"] == "batched"


# What is refused ------------------------------------------------------------------------------------------------


def test_an_unknown_order_cannot_be_corrected(shop: Shop) -> None:
    """Whatever its id looks like; the other event type's order is another one."""
    for order_id, query in (("nobody", ""), ("A-1001", "?event_type=b2b"), ("%FF", ""), ("A-1001", "?event_type=%00")):
        problem(shop.send("reversal", order_id=order_id, query=query), 404, "ACTION_NOT_FOUND")


def test_an_order_is_corrected_under_its_id_whatever_is_in_it(shop: Shop) -> None:
    """Percent-encoded once, a slash too."""
    for order_id in ("a/b", "100%", "ü b", "x/refunds"):
        shop.order(order_id)
        assert shop.accepted("refund", order_id=quote(order_id, safe=""), amount="1.00")["order_id"] == order_id


def test_a_reason_must_be_known(shop: Shop, make_settings: Callable[..., Any]) -> None:
    """The refusal lists the codes; an event type's own ones are known too, in their own case, APPROVED only so."""
    refused = problem(shop.send("reversal", reason="BROKEN"), 422, "BAD_DISPOSITION")
    assert "ITEM_RETURNED" in refused["detail"]
    for reason in ("REJECTED", "item_returned", "APPROVED", "", None, 7):
        problem(shop.send("reversal", reason=reason), 422, "BAD_DISPOSITION")
    own = {"campaign_id": 1, "action_tracker_id": 2, "reasons": ["Broken", "APPROVED"]}
    shop.service.settings = make_settings(event_types={"default": own})
    with TestClient(create_app(shop.service, with_worker=False)) as client:
        mine = Shop(client, shop.service)
        problem(mine.send("reversal", reason="BROKEN"), 422, "BAD_DISPOSITION")
        mine.accepted("modification", amount="50.00", reason="Broken")
        mine.accepted("modification", amount="51.00", reason="APPROVED")


REFUSED: list[tuple[str, Any, int, str]] = [
    ("modification", {}, 422, "ITEMS_OR_AMOUNT"),
    ("modification", {"amount": "1", "items": [{"sku": ANVIL, "amount": "1"}]}, 422, "ITEMS_OR_AMOUNT"),
    ("modification", {"items": [{"sku": ANVIL, "quantity": 2}]}, 422, "QUANTITY_WITHOUT_AMOUNT"),
    ("modification", {"items": [{"sku": ANVIL, "quantity": 0, "amount": "1"}]}, 422, "INVALID_QUANTITY"),
    ("modification", {"items": [{"sku": "OTHER", "amount": "1"}]}, 422, "SKU_NOT_FOUND"),
    ("modification", {"items": [{"sku": ANVIL, "amount": "1.001"}]}, 422, "AMOUNT_DECIMALS"),
    ("modification", {"amount": "1.001"}, 422, "AMOUNT_DECIMALS"),
    ("modification", {"items": [{"sku": ANVIL, "amount": "-1"}]}, 422, "AMOUNT_NEGATIVE_OR_NOT_A_NUMBER"),
    ("modification", {"items": [{"sku": ANVIL, "amount": "1"}, {"sku": ANVIL, "amount": "2"}]}, 422, "SKU_REPEATED"),
    ("modification", {"amount": "56.00"}, 409, "NO_CHANGE"),
    ("modification", {"items": [{"sku": ANVIL, "amount": "42.5", "category": "Blacksmithing"}]}, 409, "NO_CHANGE"),
    ("reversal", {"amount": "0"}, 422, "UNKNOWN_FIELD"),
    ("reversal", {"items": []}, 422, "INVALID"),
    ("reversal", {"items": None}, 422, "INVALID"),
    ("reversal", {"occurred_at": "2036-01-01T00:00:00Z"}, 422, "INVALID_TIME"),
    ("reversal", {"action_id": "1..2"}, 422, "INVALID_ACTION_ID"),
    ("refund", {"items": [{"sku": ANVIL}]}, 422, "FIELD_MISSING"),
    ("refund", {"amount": "0"}, 409, "NO_CHANGE"),
    ("refund", {"amount": "56.01"}, 409, "REFUND_EXCEEDS_ORDER"),
    ("refund", {"items": [{"sku": ANVIL, "amount": "42.51"}]}, 409, "REFUND_EXCEEDS_ORDER"),
    ("refund", {"items": [{"sku": ANVIL, "quantity": 2}]}, 409, "REFUND_EXCEEDS_ORDER"),
    ("refund", {"items": [{"sku": ANVIL, "quantity": 1, "amount": "40.00"}]}, 422, "INVALID_QUANTITY"),
]


@pytest.mark.parametrize("left", [False, True], ids=["unsent", "sent"])
def test_what_is_refused_changes_nothing(shop: Shop, left: bool) -> None:
    """Neither the order nor what waits for it, whether it has left or not."""
    if left:
        shop.export()
        shop.accepted("modification", items=[{"sku": ANVIL, "amount": "42.00"}])
        shop.accepted("modification", items=[{"sku": ANVIL, "amount": "42.50"}, {"sku": BALL, "amount": "13.50"}])
    tables = (REVISION, UNSENT, CORRECTION, CORRECTION_ITEM, UNSENT_CORRECTION)
    before = [all_rows(shop.service.database, table) for table in tables]
    for kind, content, status, code in REFUSED:
        problem(shop.send(kind, **content), status, code)
    assert [all_rows(shop.service.database, table) for table in tables] == before


def test_every_fault_of_a_body_is_listed(shop: Shop) -> None:
    """A shop's programmer mends all of them at once; a key that comes twice is one of them."""
    content = b'{"reason": "NO", "amount": "x", "more": 1, "items": [{"sku": "", "amount": NaN}]}'
    refused = shop.client.post("/orders/A-1001/modifications", content=content, headers=ORDERING)
    pointers = {error["pointer"] for error in problem(refused, 422, "INVALID")["errors"]}
    assert pointers == {"/reason", "/amount", "/more", "/items/0/sku", "/items/0/amount"}
    twice = b'{"reason": "OTHER", "amount": 1, "amount": 2}'
    refused = shop.client.post("/orders/A-1001/modifications", content=twice, headers=ORDERING)
    problem(refused, 422, "DUPLICATE_KEY")


def test_a_refusal_says_what_to_send(shop: Shop) -> None:
    """In words for people: no pattern, and nothing of the library that found the fault."""
    empty = problem(shop.send("reversal", items=[]), 422, "INVALID")
    assert empty["detail"] == "/items: This list is empty; name at least one."
    blank = problem(shop.send("reversal", items=[{"sku": ""}]), 422, "BLANK")
    assert blank["detail"] == "/items/0/sku: This is empty; leave it out if there is none."
    for key in ("two words", "x" * 256):
        unusable = problem(shop.send("reversal", key=key), 422, "INVALID_PARAMETER")
        assert unusable["detail"].endswith("has 1 to 255 visible characters of ASCII, and no blank.")
    unknown = shop.client.put("/orders/B-1/attribution", json={"media_id": 1}, headers=ORDERING)
    assert "?event_type=KEY names another one" in problem(unknown, 404, "ORDER_NOT_FOUND")["detail"]


def test_a_locked_order_cannot_be_corrected(sent: Shop, make_settings: Callable[..., Any]) -> None:
    """impact.com would refuse it; the order shows when it locks. One that has not left is not locked there."""
    old = (datetime.now(UTC) - timedelta(days=3)).isoformat()
    sent.order("old", event_date=old)
    sent.export()
    sent.order("unsent", event_date=old)
    settings = {"campaign_id": 1, "action_tracker_id": 2, "locks_after": "2 days"}
    sent.service.settings = make_settings(event_types={"default": settings})
    with TestClient(create_app(sent.service, with_worker=False)) as client:
        mine = Shop(client, sent.service)
        problem(mine.send("reversal", order_id="old"), 409, "ALREADY_LOCKED")
        mine.accepted("reversal", order_id="unsent")
        mine.accepted("reversal")
        locks_at = datetime.fromisoformat(mine.seen("old")["locks_at"])
        assert locks_at == datetime.fromisoformat(old) + timedelta(days=2)
    assert sent.seen("old")["locks_at"] is None


@pytest.mark.parametrize(
    ("left", "status", "warned"), [(898, 202, False), (899, 202, True), (999, 202, True), (1000, 409, False)]
)
def test_an_action_can_be_modified_a_thousand_times(sent: Shop, left: int, status: int, warned: bool) -> None:
    """The 900th and later ones are warned of, the 1,001st is refused, since impact.com would."""
    database = sent.service.database
    now = datetime.now(UTC)
    with database.transaction() as session:
        connection = session.connection()
        conversion = connection.execute(select(CONVERSION.c.id)).scalar_one()
        batch = connection.execute(select(BATCH.c.id)).scalar_one()
        row = {"conversion_id": conversion, "kind": "modification", "reason": "OTHER", "reverses": False}
        row |= {"recorded_at": now, "request": "", "answer": "{}"}
        numbers = range(1, left + 1)
        connection.execute(insert(CORRECTION), [row | {"id": one, "number": one} for one in numbers])
        lines = [{"correction_id": one, "batch": batch, "first_line": 2} for one in numbers]
        connection.execute(insert(CORRECTION_LINE), lines)
        item = {"category": "Tools", "quantity": 1, "amount": 100, "correction_id": left}
        items = [item | {"position": place, "sku": sku} for place, sku in enumerate((ANVIL, BALL))]
        connection.execute(insert(CORRECTION_ITEM), items)
        if not database.is_sqlite:
            connection.exec_driver_sql(f"SELECT setval(pg_get_serial_sequence('correction', 'id'), {left})")
    answer = sent.send("modification", amount="1.00")
    assert answer.status_code == status
    if status == 409:
        problem(answer, 409, "TOO_MANY_MODIFICATIONS")
    else:
        assert bool(answer.json()["warnings"]) == warned
        again = sent.accepted("modification", amount="1.50")  # it takes the place of the one that waits
        assert bool(again["warnings"]) == warned
    assert len(sent.seen()["corrections"]) == 100


# Once, and in whatever order ------------------------------------------------------------------------------------


def test_the_same_key_gets_the_first_answer(sent: Shop) -> None:
    """Byte for byte, also after later corrections; it changes nothing twice, however the body is written."""
    refund: Answer = {"items": [{"sku": ANVIL, "amount": "2.50"}]}
    first = sent.send("refund", key="refund-1", **refund)
    assert (first.status_code, "idempotent-replayed" in first.headers) == (202, False)
    sent.accepted("refund", items=[{"sku": ANVIL, "amount": "1.00"}], key="refund-2")
    again = sent.send("refund", key="refund-1", items=[{"amount": 2.5, "sku": ANVIL}])
    assert (again.status_code, again.content, again.headers["idempotent-replayed"]) == (202, first.content, "true")
    assert sent.lines() == [(1, "39.00"), (1, "13.50")]


def test_a_key_names_one_correction(sent: Shop) -> None:
    """Another body, or another kind, under a used key is a fault of the caller's; another order has its own keys."""
    sent.accepted("refund", amount="1.00", key="one")
    problem(sent.send("refund", amount="2.00", key="one"), 422, "IDEMPOTENCY_KEY_REUSED")
    problem(sent.send("modification", amount="1.00", key="one"), 422, "IDEMPOTENCY_KEY_REUSED")
    sent.order("other")
    sent.accepted("refund", order_id="other", amount="1.00", key="one")
    for key in ("two words", "k" * 256):
        assert sent.send("refund", amount="1.00", key=key).status_code == 422


def test_a_refusal_uses_up_no_key(sent: Shop) -> None:
    """Whoever mends a body may send it under the key that it had."""
    problem(sent.send("refund", amount="99.00", key="one"), 409, "REFUND_EXCEEDS_ORDER")
    sent.accepted("refund", amount="9.00", key="one")


def at(minute: int) -> str:
    """Return a time of the last hour."""
    moment = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(hours=2) + timedelta(minutes=minute)
    return moment.isoformat()


def test_a_message_that_comes_late_changes_nothing(sent: Shop) -> None:
    """Of two final values the one that happened later stays, in whatever order they come; other lines are free."""
    sent.accepted("modification", items=[{"sku": ANVIL, "amount": "30.00"}], occurred_at=at(10))
    items: list[Answer] = [{"sku": ANVIL, "amount": "35.00"}]
    late: Answer = {"items": items, "occurred_at": at(5)}
    refused = problem(sent.send("modification", **late), 409, "NO_CHANGE")
    assert "later" in refused["detail"]
    problem(sent.send("reversal", occurred_at=at(5)), 409, "NO_CHANGE")
    problem(sent.send("refund", occurred_at=at(5), items=[{"sku": ANVIL, "amount": "1.00"}]), 409, "NO_CHANGE")
    items.append({"sku": BALL, "amount": "10.00"})
    answer = sent.accepted("modification", **late)
    assert (answer["corrected"], len(answer["warnings"])) == ([BALL], 1)
    assert sent.lines() == [(1, "30.00"), (1, "10.00")]
    sent.accepted("reversal", occurred_at=at(20))
    assert sent.lines() == [(0, "0.00"), (0, "0.00")]


def test_refunds_count_in_whatever_order_they_come(sent: Shop) -> None:
    """Each gives something back, so that an earlier one is not made wrong by a later one."""
    sent.accepted("refund", items=[{"sku": ANVIL, "amount": "2.00"}], occurred_at=at(10))
    sent.accepted("refund", items=[{"sku": ANVIL, "amount": "3.00"}], occurred_at=at(5))
    assert sent.lines()[0] == (1, "37.50")


def test_impacts_own_id_of_an_order_is_kept(sent: Shop) -> None:
    """Later files may name the action by it; the newest one counts."""
    sent.accepted("refund", amount="1.00", action_id="1000.4636.158132")
    sent.accepted("refund", amount="1.00", action_id="1000.4636.158133")
    assert sent.seen()["action_id"] == "1000.4636.158133"
    assert [row.action_id for row in all_rows(sent.service.database, ACTION)] == ["1000.4636.158133"]


def test_one_action_is_not_two_orders(sent: Shop) -> None:
    """A mistaken id would change the action of another order."""
    sent.accepted("refund", amount="1.00", action_id="1000.4636.158132")
    sent.order("B-1")
    mistaken = sent.send("refund", "B-1", amount="1.00", action_id="1000.4636.158132")
    problem(mistaken, 409, "ACTION_ID_TAKEN")
    assert sent.lines("B-1") == [(1, "42.50"), (1, "13.50")]
    assert sent.send("refund", "B-1", amount="1.00").status_code == 202


# Many at once ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("left", [False, True], ids=["unsent", "sent"])
def test_no_refund_is_lost_among_many(shop: Shop, left: bool) -> None:
    """Twenty refunds of one order at the same moment all count, and each has a number of its own."""
    if left:
        shop.export()
    answers = at_once([lambda: shop.send("refund", amount="1.00")] * 20)
    assert {answer.status_code for answer in answers} == {202}
    view = shop.seen()
    assert (view["amount"], [one["number"] for one in view["corrections"]]) == ("36.00", list(range(1, 21)))
    assert len(all_rows(shop.service.database, UNSENT_CORRECTION)) == left
    assert len(all_rows(shop.service.database, UNSENT)) == (not left)


def test_an_impatient_caller_refunds_once(sent: Shop) -> None:
    """Twenty calls under one key are one refund, and all get its answer."""
    answers = at_once([lambda: sent.send("refund", amount="1.00", key="once")] * 20)
    assert {(answer.status_code, answer.content) for answer in answers} == {(202, answers[0].content)}
    assert sent.seen()["amount"] == "55.00"


def test_what_was_refunded_before_or_after_the_file_is_told_once(shop: Shop, outbox: Any) -> None:
    """While the exporter takes orders, each refund is either in the file or waits: the two add up, to the cent."""
    orders = [f"race-{number}" for number in range(30)]
    for order_id in orders:
        shop.order(order_id)
    go = threading.Barrier(2)

    def export() -> Any:
        go.wait()
        return shop.export()

    def refund() -> Any:
        go.wait()
        return [shop.send("refund", order_id=one, amount="6.00") for one in random.sample(orders, len(orders))]

    refunds = at_once([export, refund])[1]
    shop.export()  # what changed under the exporter's hands may have been left to the next one
    assert {answer.status_code for answer in refunds} == {202}
    told = dict.fromkeys(orders, 0)
    for file in outbox.iterdir():
        for line in file.read_text().splitlines()[1:]:
            cells = line.split(",")
            if cells[3] in told:
                told[cells[3]] += int(cells[7].replace(".", ""))
    state = {answer.json()["order_id"]: answer.json()["state"] for answer in refunds}
    assert told == {one: 5000 if state[one] == "applied" else 5600 for one in orders}
    assert all(shop.seen(one)["amount"] == "50.00" for one in orders)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)  # on SQLite the only writer waits
def test_an_order_that_changes_before_its_file_is_committed_leaves_as_it_is_then(shop: Shop, outbox: Any) -> None:
    """A refund comes when the file is planned and not committed: it is planned anew, and has the new amount."""
    answers: list[Answer] = []

    def refund(*statement: Any) -> None:
        if "DELETE FROM unsent" in statement[2] and not answers:
            answers.append({})
            answers.extend(at_once([lambda: shop.accepted("refund", amount="6.00")]))

    event.listen(shop.service.database.engine, "before_cursor_execute", refund)
    shop.export()
    shop.export()
    assert answers[1]["state"] == "applied"
    [file] = outbox.iterdir()
    assert sum(int(line.split(",")[7].replace(".", "")) for line in file.read_text().splitlines()[1:]) == 5000


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_refund_that_meets_the_exporters_commit_waits_for_it(shop: Shop, outbox: Any) -> None:
    """The file has the order as it was, and the refund is a correction of it: nothing is lost in between."""
    answers: list[Answer] = []
    refund = threading.Thread(target=lambda: answers.append(shop.accepted("refund", amount="6.00")))
    blocked = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")

    def begin(*statement: Any) -> None:
        if "DELETE FROM unsent" not in statement[2] or refund.ident:
            return
        refund.start()
        with shop.service.database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            wait_until(lambda: connection.execute(blocked).scalar_one() > 0, "nothing waits for the exporter")

    event.listen(shop.service.database.engine, "after_cursor_execute", begin)
    shop.export()
    refund.join()
    [answer] = answers
    assert (answer["state"], answer["amount"]) == ("waiting", "50.00")
    [file] = outbox.iterdir()
    assert "42.50" in file.read_text()


def test_answers_are_json_that_says_what_is_recorded(sent: Shop) -> None:
    """The stored answer and the one that was sent are the same bytes."""
    first = sent.send("refund", amount="1.00", key="one")
    [row] = all_rows(sent.service.database, CORRECTION)
    assert row.answer.encode() == first.content
    assert json.loads(row.answer)["number"] == 1


# What is written about it ---------------------------------------------------------------------------------------

ROOT = Path(__file__).parent.parent.parent
README = (ROOT / "README.md").read_text("utf-8")
PAGES = "".join(
    (ROOT / "docs" / name).read_text("utf-8")
    for name in ("reference/states.md", "reference/error-codes.md", "how-to/corrections.md")
)
SOURCES = [
    ROOT / "app" / name
    for name in (
        *("conversions/order_body.py", "conversions/extra.py", "conversions/chain.py", "strict_json.py"),
        *("conversions/correction.py", "conversions/correction_body.py", "ledger/corrections.py"),
        *("ledger/intake.py", "ledger/orders.py", "ledger/revise.py", "batches/build.py"),
    )
]


def curl(ending: str) -> tuple[str, dict[str, str], str]:
    """Return path, headers and body of the README's call of an URL that ends so."""
    [command] = [one for one in re.findall(r"```sh\n(curl -i [^`]*)```", README) if f"{ending} \\\n" in one]
    words = shlex.split(command.replace("$(date -u +%Y-%m-%dT%H:%M:%S+00:00)", datetime.now(UTC).isoformat()))
    [url] = [word for word in words if word.startswith("http://")]
    headers = [words[place + 1].split(": ") for place, word in enumerate(words) if word == "-H"]
    return url.removeprefix("http://127.0.0.1:8000"), dict(headers), words[words.index("-d") + 1]


def test_the_readmes_refund_is_taken(client: TestClient) -> None:
    """Its order and then its refund, as they stand there, with the key of this test."""
    answers = []
    for ending in ("/orders", "/refunds"):
        path, headers, content = curl(ending)
        answers.append(client.post(path, content=content, headers=headers | ORDERING))
    assert [answer.status_code for answer in answers] == [201, 202]
    assert answers[1].json()["amount"] == "46.00"


def test_every_message_and_state_can_be_looked_up() -> None:
    """A code, a state or a reason that the service can say stands in docs/reference, or on the page of corrections."""
    said = {code for one in SOURCES for code in re.findall(r'"([A-Z]+(?:_[A-Z]+)+)"', one.read_text("utf-8"))}
    waits = set(ParentState) - {ParentState.DELIVERED}
    words = {*said, *STANDARD_REASONS, *OrderState, *CorrectionState, *waits, NO_ATTRIBUTION}
    assert {word for word in words if f"`{word}`" not in PAGES} == set()
    assert len(said) > 35

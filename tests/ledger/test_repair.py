"""Orders and corrections that impact.com has not taken are repaired, and sent again in one file of them alone."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import func, select

from app.batches.store import BATCH_LINE
from app.database import Database
from app.event_type import EventType
from app.ledger.mending import PARTLY, REVERSED, TOLD, UNDER_WAY, Later, Refused, why_it_stays
from app.ledger.repair import repair
from app.service import Service
from app.submissions.submission import Verdict
from tests.conftest import Clock
from tests.ledger.test_corrections import ANVIL, BALL, ORDERING, Answer, Shop
from tests.ledger.test_revise import problem, rows
from tests.support import EXPORT_KEY, bearer, body, work
from tests.verdicts import Codes, judge

FIX, ASK, NEVER = ["ACTIONTRACKER_NOT_FOUND"], ["CONTRACT_NOT_FOUND"], ["CONV_DUPLICATE"]


@pytest.fixture
def clock() -> Clock:
    """The service's clock shows the real time, as its callers' clocks do."""
    return Clock(datetime.now(UTC))


class Merchant(Shop):
    """A shop whose batches come back with verdicts, and that sends again what can be."""

    def sent(self, *order_ids: str, refused: Mapping[str, Codes]) -> str:
        """Post orders, let them leave and be judged, and return the batch's id."""
        for order_id in order_ids:
            self.order(order_id)
        return self.judged(refused)

    def judged(self, refused: Mapping[str, Codes]) -> str:
        """Let what waits leave and be judged, and return the last batch's id."""
        self.export()
        judge(self.service.database, refused)
        batches = self.client.get("/batches", headers=bearer(EXPORT_KEY)).json()["items"]
        return str(batches[-1]["id"])

    def resend(self, batch_id: str, *order_ids: str, status: int = 201) -> Answer:
        """Ask for what can be sent again, let it be delivered, and return the answer."""
        asked = {"order_ids": list(order_ids)} if order_ids else None
        answer = self.client.post(f"/batches/{batch_id}/corrections", headers=bearer(EXPORT_KEY), json=asked)
        assert answer.status_code == status, answer.text
        work(self.service)
        found: Answer = answer.json()
        return found

    def put(self, order_id: str, **changes: Any) -> None:
        """Replace an order."""
        answer = self.client.put(f"/orders/{order_id}", json=body(order_id, **changes), headers=ORDERING)
        assert answer.status_code == 200, answer.text

    def configure(self, **changes: Any) -> None:
        """Start the service anew with other settings of the default event type."""
        default = {"campaign_id": 1000, "action_tracker_id": 4321} | changes
        types = {"default": EventType.model_validate(default)}
        self.service.settings = self.service.settings.model_copy(update={"event_types": types})
        self.client.app.state.settings = self.service.settings  # type: ignore[attr-defined]


@pytest.fixture
def shop(client: TestClient, service: Service) -> Merchant:
    """A shop."""
    return Merchant(client, service)


def why(answer: Answer) -> dict[str, str]:
    """Return why orders were left as they are."""
    return {one["order_id"]: one["detail"] for one in answer["left_out"]}


def lines(outbox: Path, answer: Answer) -> list[tuple[str, ...]]:
    """Return order, SKU or amount of the lines of the only file that was built."""
    [batch] = answer["batches"]
    header, *found = (outbox / batch["filename"]).read_text().splitlines()
    names = header.split(",")
    kept = [names.index(name) for name in ("OrderId", "Sku", "Amount", "ClickId", "ActionTrackerId")]
    return [tuple(row.split(",")[place] for place in kept) for row in found]


# Orders -----------------------------------------------------------------------------------------------------------


def test_one_file_has_only_the_repaired_orders(shop: Merchant, outbox: Path) -> None:
    """Changed orders go in one new file, at once; accepted, unchanged and partly accepted ones are not in it."""
    refused: dict[str, Codes] = {"B": FIX, "C": FIX, "D": {BALL: ["MALFORMED"]}, "E": NEVER}
    batch = shop.sent("A", "B", "C", "D", "E", refused=refused)
    shop.put("B", click_id="right")
    answer = shop.resend(batch)
    assert (answer["batch"], answer["orders"]) == (batch, 1)
    assert [(line[0], line[3]) for line in lines(outbox, answer)] == [("B", "right"), ("B", "right")]
    assert set(why(answer)) == {"C", "D", "E"}
    assert why(answer)["D"] == PARTLY
    assert "Nothing has been changed" in why(answer)["C"]
    assert "Name the order" in why(answer)["E"]
    reasons = {one["order_id"]: [each["code"] for each in one["reasons"]] for one in answer["left_out"]}
    assert reasons == {"C": FIX, "D": ["MALFORMED"], "E": NEVER}
    assert shop.seen("B")["state"] == "delivered"
    shop.export()
    assert len(rows(outbox)) == 12


def test_the_same_call_builds_nothing_twice(shop: Merchant, outbox: Path) -> None:
    """The second answer says with which file each order left."""
    batch = shop.sent("A", "B", refused={"A": FIX, "B": ASK})
    shop.put("A", click_id="right")
    [file] = shop.resend(batch, "B")["batches"]
    again = shop.resend(batch, "A", "B", status=200)
    assert (again["batches"], again["orders"]) == ([], 0)
    assert why(again) == dict.fromkeys("AB", f"It was sent again since, with {file['filename']}.")
    assert len(rows(outbox)) == 8


def test_orders_go_again_when_the_settings_are_put_right(shop: Merchant, outbox: Path, database: Database) -> None:
    """A wrong ActionTrackerId refuses a whole file: once it is fixed all of it goes, each revision in one batch."""
    shop.configure(action_tracker_id=9)
    batch = shop.sent("A", "B", refused={"A": FIX, "B": FIX})
    assert set(why(shop.resend(batch, status=200))) == {"A", "B"}
    shop.configure()
    answer = shop.resend(batch)
    assert [(line[0], line[4]) for line in lines(outbox, answer)] == [(one, "4321") for one in "AABB"]
    assert (answer["orders"], answer["left_out"]) == (2, [])
    assert [shop.seen(one)["revision"] for one in "AB"] == [2, 2]
    with database.snapshot() as session:
        placed = session.connection().execute(select(func.count()).select_from(BATCH_LINE)).scalar_one()
    assert placed == 4


def test_an_order_that_goes_again_is_still_the_same_body(shop: Merchant) -> None:
    """A checkout that sends its order once more is answered 200, and a PUT of the same changes nothing."""
    same = body("A")
    shop.client.post("/orders", json=same, headers=ORDERING)
    batch = shop.judged({"A": ASK})
    shop.resend(batch, "A")
    assert shop.client.post("/orders", json=same, headers=ORDERING).status_code == 200
    put = shop.client.put("/orders/A", json=same, headers=ORDERING)
    assert (put.status_code, put.headers.get("idempotent-replayed"), put.json()["revision"]) == (200, "true", 2)


def test_what_was_given_back_is_not_sent_again(shop: Merchant, outbox: Path) -> None:
    """A named order leaves as it is by now, its held correction in it; one that was reversed does not leave."""
    batch = shop.sent("A", "B", refused={"A": ASK, "B": ASK})
    shop.send("refund", "A", items=[{"sku": ANVIL, "amount": "2.50"}])
    shop.send("reversal", "A", items=[{"sku": BALL}])
    shop.send("reversal", "B")
    answer = shop.resend(batch, "A", "B")
    assert [line[:3] for line in lines(outbox, answer)] == [("A", ANVIL, "40.00")]
    assert why(answer) == {"B": REVERSED}
    shop.export()
    assert len(rows(outbox)) == 5
    assert [one["state"] for one in shop.seen("A")["corrections"]] == ["applied", "applied"]


def test_names_that_were_not_refused_are_told(shop: Merchant) -> None:
    """Nothing is built then: a slip in a list is no order."""
    batch = shop.sent("A", "B", refused={"A": ASK})
    asked = {"order_ids": ["A", "B", "nobody"]}
    answer = shop.client.post(f"/batches/{batch}/corrections", json=asked, headers=bearer(EXPORT_KEY))
    pointers = [one["pointer"] for one in problem(answer, 422, "NOT_REFUSED")["errors"]]
    assert pointers == ["/order_ids/1", "/order_ids/2"]


@pytest.mark.parametrize("content", ['{"orders": []}', '{"order_ids": "A"}', "[", '{"order_ids": [1]}'])
def test_a_body_that_is_none_is_refused(shop: Merchant, content: str) -> None:
    """With every fault, as everywhere."""
    batch = shop.sent("A", refused={"A": ASK})
    answer = shop.client.post(f"/batches/{batch}/corrections", content=content, headers=bearer(EXPORT_KEY))
    assert answer.status_code == 422
    assert answer.json()["errors"]


def test_a_batch_without_a_result_is_not_repaired(shop: Merchant) -> None:
    """Nobody knows yet what of it was refused."""
    shop.order("A")
    shop.export()
    batch = shop.seen("A")["batch"]["id"]
    answer = shop.client.post(f"/batches/{batch}/corrections", headers=bearer(EXPORT_KEY))
    problem(answer, 409, "RESULT_NOT_KNOWN")
    judge(shop.service.database, {})
    assert shop.resend(batch, status=200) == {"batch": batch, "batches": [], "orders": 0, "left_out": []}


def test_a_repaired_order_that_is_refused_again_is_repaired_from_its_new_batch(shop: Merchant, outbox: Path) -> None:
    """Each repair is a batch like any other: judged, and repaired in its turn."""
    first = shop.sent("A", refused={"A": ASK})
    second = shop.resend(first, "A")["batches"][0]["id"]
    judge(shop.service.database, {"A": ASK})
    assert "was sent again since" in why(shop.resend(first, "A", status=200))["A"]
    third = shop.resend(second, "A")
    assert (third["orders"], len(rows(outbox)), shop.seen("A")["revision"]) == (1, 6, 3)


def test_an_export_may_be_quicker(shop: Merchant, outbox: Path) -> None:
    """A changed order waits like any other: it goes once, whoever takes it."""
    batch = shop.sent("A", refused={"A": FIX})
    shop.put("A", click_id="right")
    shop.export()
    assert "was sent again since" in why(shop.resend(batch, status=200))["A"]
    assert len(rows(outbox)) == 4


def test_a_repaired_order_may_still_be_held(shop: Merchant) -> None:
    """One that was changed and lost its credit does not leave, and the answer says so."""
    batch = shop.sent("A", refused={"A": FIX})
    shop.put("A", click_id=None)
    assert "no_attribution" in why(shop.resend(batch, status=200))["A"]
    shop.export()
    assert "attribution" in why(shop.resend(batch, status=200))["A"]


def test_an_order_that_is_too_old_by_now_is_left(shop: Merchant, clock: Clock, database: Database) -> None:
    """It would only expire; the answer says what helps."""
    batch = shop.sent("A", refused={"A": ASK})
    service, later = shop.service, clock.now + timedelta(days=88)
    view = repair(database, service.settings, service.hold, batch, ["A"], lambda: later)
    assert [one.order_id for one in view.left_out if "media_id" in one.detail] == ["A"]


def test_a_dry_run_changes_nothing(shop: Merchant, database: Database, outbox: Path) -> None:
    """It says how many would go."""
    batch, service = shop.sent("A", "B", refused={"A": ASK, "B": FIX}), shop.service
    view = repair(database, service.settings, service.hold, batch, ["A"], service.clock, dry_run=True)
    assert (view.orders, view.batches, [one.order_id for one in view.left_out]) == (1, [], ["B"])
    shop.export()
    assert (shop.seen("A")["revision"], len(rows(outbox))) == (1, 4)


def test_two_callers_at_once_send_an_order_once(shop: Merchant, database: Database, outbox: Path) -> None:
    """Two people press the button, and an export runs."""
    ids = [f"A-{number}" for number in range(20)]
    batch, service = shop.sent(*ids, refused=dict.fromkeys(ids, ASK)), shop.service

    def press(_: int) -> int:
        return repair(database, service.settings, service.hold, batch, ids, service.clock).orders

    shop.client.post("/exports", headers=bearer(EXPORT_KEY))
    with ThreadPoolExecutor(3) as pool:
        numbers = pool.map(press, range(2))
        pool.submit(work, service).result()
    shop.export()
    assert sum(numbers) <= len(ids)
    assert len(rows(outbox)) == 2 * 2 * len(ids)


def test_more_than_a_file_holds_are_two_files(shop: Merchant, outbox: Path) -> None:
    """Only where CAPTURE_MAX_ROWS asks for it."""
    batch = shop.sent("A", "B", "C", refused=dict.fromkeys("ABC", ASK))
    shop.service.settings = shop.service.settings.model_copy(update={"max_rows": 4})
    shop.client.app.state.settings = shop.service.settings  # type: ignore[attr-defined]
    answer = shop.resend(batch, *"ABC")
    assert [one["orders"] for one in answer["batches"]] == [2, 1]
    assert answer["orders"] == 3
    assert len(rows(outbox)) == 12


@pytest.mark.parametrize(
    ("changes", "stays"),
    [
        ({}, "Nothing has been changed"),
        ({"named": True}, None),
        ({"differs": True}, None),
        ({"later": Later()}, None),
        ({"later": Later(held="because")}, "because"),
        ({"later": Later(cancelled=True)}, REVERSED),
        ({"named": True, "at_rest": False}, UNDER_WAY),
        ({"named": True, "nothing_left": True}, REVERSED),
        ({"named": True, "too_old": True}, "too old"),
        ({"codes": NEVER, "differs": True}, "Name the order"),
        ({"codes": NEVER, "named": True}, None),
        ({"codes": [*NEVER, *FIX], "differs": True}, None),
        ({"codes": ["NEWCODE"]}, "Ask the partner manager"),
        ({"codes": []}, "Ask the partner manager"),
        ({"verdict": Verdict.PARTLY_ACCEPTED, "named": True}, PARTLY),
    ],
)
def test_the_rule(changes: dict[str, Any], stays: str | None) -> None:
    """What is sent again, and why the rest is not."""
    facts: dict[str, Any] = {"verdict": Verdict.REJECTED, "codes": FIX, "named": False} | changes
    told = why_it_stays(Refused(**facts))
    assert (told is None) if stays is None else stays in (told or "")


# Corrections ------------------------------------------------------------------------------------------------------


def told(outbox: Path) -> list[tuple[str, str, str]]:
    """Return SKU, amount and reason of every line of a modification that ever left."""
    return [(row.get("SKU", ""), row["Amount"], row["Reason"]) for row in rows(outbox) if "Reason" in row]


def refused_refund(shop: Merchant, codes: Codes, order: Mapping[str, Codes] | None = None) -> str:
    """Let a refund of an order be refused, and return its batch."""
    shop.sent("A", refused=order or {})
    assert shop.send("refund", "A", amount="1.00").status_code == 202
    return shop.judged({"A": codes})


def test_a_named_correction_is_told_again(shop: Merchant, outbox: Path) -> None:
    """With the values as they are, once; it is a correction of its own with the same reason."""
    batch = refused_refund(shop, ["BAD_DISPOSITION"])
    assert "Nothing has been changed" in why(shop.resend(batch, status=200))["A"]
    assert shop.resend(batch, "A")["orders"] == 1
    assert shop.resend(batch, "A", status=200)["left_out"][0]["detail"] == TOLD
    assert told(outbox)[:2] == told(outbox)[2:]
    assert [one["state"] for one in shop.seen("A")["corrections"]][1:] == ["delivered"]


def test_a_correction_with_another_reason_goes_in_the_repair(shop: Merchant, outbox: Path) -> None:
    """The shop said it again, and the file is built at once."""
    batch = refused_refund(shop, ["BAD_DISPOSITION"])
    items = [{"sku": item["sku"], "amount": item["amount"]} for item in shop.seen("A")["items"]]
    assert shop.send("modification", "A", reason="OTHER", items=items).status_code == 202
    assert shop.resend(batch)["orders"] == 1
    assert [reason for *_, reason in told(outbox)] == ["ITEM_RETURNED"] * 2 + ["OTHER"] * 2


def test_a_correction_is_told_again_when_its_order_has_been_taken(shop: Merchant, outbox: Path) -> None:
    """ACTION_NOT_FOUND is over as soon as impact.com has the order."""
    batch = refused_refund(shop, ["ACTION_NOT_FOUND"])
    assert shop.resend(batch)["orders"] == 1
    assert len(told(outbox)) == 4


def test_only_the_part_that_was_refused_is_told_again(shop: Merchant, outbox: Path) -> None:
    """A line that impact.com took would be one of its NO_CHANGE."""
    batch = refused_refund(shop, {BALL: ["BAD_DISPOSITION"]})
    shop.resend(batch, "A")
    assert [sku for sku, *_ in told(outbox)] == [ANVIL, BALL, BALL]


def test_a_refused_reversal_is_told_again(shop: Merchant, outbox: Path) -> None:
    """As what it was: one line for the order."""
    shop.sent("A", refused={})
    shop.send("reversal", "A")
    batch = shop.judged({"A": ["BAD_DISPOSITION"]})
    shop.resend(batch, "A")
    assert told(outbox) == [("", "0", "ITEM_RETURNED")] * 2


def test_a_correction_of_a_refused_order_goes_with_the_order(shop: Merchant, outbox: Path) -> None:
    """It is in the order's new revision, so that nothing of it is told beside that."""
    shop.order("A")
    shop.export()
    shop.send("refund", "A", amount="1.00")
    shop.export()
    first = shop.client.get("/batches", headers=bearer(EXPORT_KEY)).json()["items"]
    judge(shop.service.database, {"A": ["CONTRACT_NOT_FOUND"]})
    assert "repaired and sent" in why(shop.resend(first[1]["id"], "A", status=200))["A"]
    assert shop.resend(first[0]["id"], "A")["orders"] == 1
    assert shop.seen("A")["amount"] == "55.00"
    assert why(shop.resend(first[1]["id"], "A", status=200)) == {"A": TOLD}
    again = shop.client.post(f"/batches/{first[1]['id']}/redelivery", headers=bearer(EXPORT_KEY))
    assert "such as A:" in problem(again, 409, "CHANGED_SINCE")["detail"]
    shop.export()
    assert len(told(outbox)) == 2

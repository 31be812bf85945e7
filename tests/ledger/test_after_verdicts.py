"""Orders and corrections after impact.com has decided about them: what can still be changed, and what it is told."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import insert, select

from app.actions.store import REPORTED_ACTION
from app.batches.store import UNCONFIRMED
from app.conversions.corrections_store import UNSENT_CORRECTION
from app.conversions.store import CONVERSION
from app.database import Database
from app.ledger.standing import look
from app.service import Service
from tests.conftest import Clock
from tests.corrections import name_action
from tests.ledger.test_corrections import ANVIL, BALL, ORDERING, Shop
from tests.ledger.test_revise import problem, rows
from tests.support import EXPORT_KEY, bearer, body
from tests.verdicts import judge, reject

ID = "A-1001"


@pytest.fixture
def clock() -> Clock:
    """The service's clock shows the real time, as its callers' clocks do."""
    return Clock(datetime.now(UTC))


@pytest.fixture
def shop(client: TestClient, service: Service) -> Shop:
    """A shop whose order has left and arrived."""
    found = Shop(client, service)
    found.order()
    found.export()
    return found


def put(shop: Shop, ending: str = "", **content: Any) -> Any:
    """Change an order."""
    sent = content if ending else body(ID, **content)
    return shop.client.put(f"/orders/{ID}{ending}", json=sent, headers=ORDERING)


def waits(database: Database) -> list[tuple[str | None, str]]:
    """Return the hold reasons and levels of the corrections that wait."""
    with database.snapshot() as session:
        found = session.connection().execute(select(UNSENT_CORRECTION.c.hold_reason, UNSENT_CORRECTION.c.level))
        return [(row.hold_reason, row.level) for row in found]


def told(outbox: Path) -> list[tuple[str, str, str]]:
    """Return SKU, amount and reason of every line of a modification that ever left."""
    return [(row.get("SKU", ""), row["Amount"], row["Reason"]) for row in rows(outbox) if "Reason" in row]


# Changing an order ------------------------------------------------------------------------------------------------


def test_a_rejected_order_is_replaced_and_leaves_again(shop: Shop, database: Database, outbox: Path) -> None:
    """As an order of which nothing has left: a new revision waits, and the next export sends it once."""
    reject(database, ID)
    changed = put(shop, click_id="another")
    assert (changed.status_code, changed.json()["state"], changed.json()["revision"]) == (200, "pending", 2)
    shop.export()
    shop.export()
    assert [row["ClickId"] for row in rows(outbox)[2:]] == ["another", "another"]
    problem(put(shop, click_id="third"), 409, "ORDER_HAS_LEFT")


def test_a_rejected_order_is_credited_anew_with_what_is_left_of_it(
    shop: Shop, database: Database, outbox: Path
) -> None:
    """What was given back after it had left is not sent as sold, and needs no correction of its own."""
    shop.accepted("refund", items=[{"sku": ANVIL, "amount": "2.50"}])
    shop.accepted("reversal", items=[{"sku": BALL}])
    reject(database, ID)
    assert waits(database) == [("order_rejected", "item")]
    assert put(shop, "/attribution", click_id="right").json()["state"] == "pending"
    assert (waits(database), shop.lines()) == ([], [(1, "40.00")])
    shop.export()
    assert [(row["Sku"], row["Amount"], row["ClickId"]) for row in rows(outbox)[2:]] == [(ANVIL, "40.00", "right")]
    shop.accepted("refund", items=[{"sku": ANVIL, "amount": "1.00"}])
    shop.export()
    assert told(outbox) == [(ANVIL, "39.00", "ITEM_RETURNED")]
    assert [one["state"] for one in shop.seen()["corrections"]] == ["applied", "applied", "delivered"]


@pytest.mark.parametrize(
    ("refused", "sentence"),
    [({}, "nothing of what it has but amounts"), ({ID: {BALL: ["MALFORMED"]}}, "CONV_DUPLICATE")],
    ids=["accepted", "partly"],
)
def test_an_order_that_impact_has_is_not_changed(
    shop: Shop, database: Database, refused: dict[str, Any], sentence: str
) -> None:
    """Wholly or in part: sent again it would only meet CONV_DUPLICATE, and the answer says what can be done."""
    judge(database, refused)
    for answer in (put(shop, click_id="another"), put(shop, "/attribution", click_id="another")):
        detail = problem(answer, 409, "ORDER_HAS_LEFT")["detail"]
        assert sentence in detail or "changes nothing of what it has" in detail
    assert shop.seen()["revision"] == 1


def test_a_rejected_order_that_was_reversed_is_over(shop: Shop, database: Database, outbox: Path) -> None:
    """impact.com has nothing of it, and shall have nothing: neither order nor reversal is sent."""
    reject(database, ID)
    answer = shop.accepted("reversal")
    assert (answer["state"], answer["level"], answer["amount"]) == ("applied", None, "0.00")
    assert "nothing of it is sent" in answer["detail"]
    problem(put(shop, click_id="another"), 409, "ORDER_CANCELLED")
    shop.export()
    assert (waits(database), len(rows(outbox))) == ([], 2)


def test_a_reversal_that_waits_goes_when_the_order_is_rejected(shop: Shop, database: Database, outbox: Path) -> None:
    """There is nothing to reverse, so that nobody has to see to it."""
    shop.accepted("reversal")
    reject(database, ID)
    shop.export()
    assert (waits(database), len(rows(outbox))) == ([], 2)
    assert shop.seen()["corrections"][0]["state"] == "applied"


def test_a_rejected_order_is_not_changed_while_its_file_goes_again(shop: Shop, database: Database) -> None:
    """Both might be taken: it has to arrive first, and a file whose orders were changed is not sent again."""
    reject(database, ID)
    path = f"/batches/{shop.seen()['batch']['id']}/redelivery"
    assert shop.client.post(path, headers=bearer(EXPORT_KEY)).status_code == 202
    problem(put(shop, click_id="another"), 409, "ORDER_HAS_LEFT")
    shop.export()
    assert put(shop, click_id="another").status_code == 200
    problem(shop.client.post(path, headers=bearer(EXPORT_KEY)), 409, "CHANGED_SINCE")


# Corrections ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("before", [True, False], ids=["verdict-later", "verdict-first"])
def test_a_correction_of_a_rejected_order_is_held(shop: Shop, database: Database, outbox: Path, before: bool) -> None:
    """impact.com would not know the action: nothing is sent, and the order tells why."""
    if before:
        shop.accepted("refund", amount="1.00")
    reject(database, ID)
    if not before:
        answer = shop.accepted("refund", amount="1.00")
        assert (answer["state"], answer["hold_reason"]) == ("held", "order_rejected")
        assert "when the order is repaired" in answer["detail"]
    shop.export()
    [correction] = shop.seen()["corrections"]
    assert (correction["state"], correction["hold_reason"]) == ("held", "order_rejected")
    assert (told(outbox), shop.seen()["amount"]) == ([], "55.00")


def test_an_export_sees_to_it_even_if_nobody_else_did(shop: Shop, database: Database, outbox: Path) -> None:
    """Corrections are held when a verdict is recorded, and once more before each export."""
    reject(database, ID)
    shop.accepted("refund", amount="1.00")
    with database.transaction() as session:
        session.connection().execute(UNSENT_CORRECTION.update().values(hold_reason=None))
    shop.export()
    assert (waits(database), told(outbox)) == ([("order_rejected", "item")], [])


def test_what_was_refused_is_told_with_the_next_correction(shop: Shop, database: Database, outbox: Path) -> None:
    """impact.com still has the line as it was: both lines are told, though the shop spoke of one."""
    shop.accepted("refund", items=[{"sku": ANVIL, "amount": "2.50"}])
    shop.export()
    judge(database, {})
    shop.accepted("refund", items=[{"sku": BALL, "amount": "0.50"}])
    shop.export()
    assert told(outbox)[1:] == [(BALL, "13.00", "ITEM_RETURNED")]
    reject(database, ID, codes=["BAD_DISPOSITION"])
    shop.accepted("refund", reason="OTHER", items=[{"sku": ANVIL, "amount": "1.00"}])
    shop.export()
    assert told(outbox)[2:] == [(ANVIL, "39.00", "OTHER"), (BALL, "13.00", "OTHER")]


def test_of_a_correction_in_part_refused_only_that_part_is_told_again(
    shop: Shop, database: Database, outbox: Path
) -> None:
    """A line that impact.com took is not told twice: that would be one of its NO_CHANGE."""
    judge(database, {})
    shop.accepted("modification", items=[{"sku": ANVIL, "amount": "40.00"}, {"sku": BALL, "amount": "13.00"}])
    shop.export()
    judge(database, {ID: {BALL: ["BAD_DISPOSITION"]}})
    shop.accepted("modification", reason="OTHER", items=[{"sku": BALL, "amount": "13.00"}])
    shop.export()
    assert told(outbox)[2:] == [(BALL, "13.00", "OTHER")]


def test_a_refused_reversal_is_said_again(shop: Shop, database: Database, outbox: Path) -> None:
    """The order is still there at impact.com, so that it has to be reversed with another reason."""
    judge(database, {})
    shop.accepted("reversal", reason="OTHER")
    shop.export()
    reject(database, ID, codes=["BAD_DISPOSITION"])
    problem(shop.send("refund", amount="1.00"), 409, "ALREADY_REVERSED")
    shop.accepted("reversal", reason="ORDER_ERROR")
    problem(shop.send("reversal"), 409, "ALREADY_REVERSED")
    shop.export()
    assert told(outbox) == [("", "0", "OTHER"), ("", "0", "ORDER_ERROR")]


@pytest.mark.parametrize("code", ["ALREADY_APPROVED", "ALREADY_LOCKED", "ALREADY_REVERSED"])
def test_an_action_that_impact_has_closed_is_corrected_no_more(shop: Shop, database: Database, code: str) -> None:
    """Its own word counts, whatever the settings say of locking dates; the refused correction says why."""
    judge(database, {})
    shop.accepted("refund", amount="1.00")
    shop.export()
    reject(database, ID, codes=[code])
    problem(shop.send("refund", amount="1.00"), 409, code)
    [correction] = shop.seen()["corrections"]
    assert [reason["code"] for reason in correction["reasons"]] == [code]
    assert correction["reasons"][0]["next_step"] == "do_not_resend"


def report(database: Database, **facts: Any) -> None:
    """Let impact.com have told of the order's action."""
    with database.transaction() as session:
        conversion_id = session.connection().execute(select(CONVERSION.c.id)).scalar_one()
        ids = {"action_id": "1.2.3", "campaign_id": "1000", "action_tracker_id": "4321", "order_id": ID}
        row = ids | {"conversion_id": conversion_id, "state": "PENDING", "read_at": datetime.now(UTC)}
        session.connection().execute(insert(REPORTED_ACTION), [row | facts])


@pytest.mark.parametrize(
    ("facts", "code"),
    [
        ({"state": "APPROVED"}, "ALREADY_APPROVED"),
        ({"locks_at": datetime.now(UTC) - timedelta(hours=1)}, "ALREADY_LOCKED"),
        ({"locks_at": datetime.now(UTC) + timedelta(hours=1)}, None),
    ],
)
def test_what_impact_tells_of_an_action_comes_before_the_rule(
    shop: Shop, database: Database, facts: dict[str, Any], code: str | None
) -> None:
    """An approved action takes no correction; its own locking date counts, also where no rule is set up."""
    report(database, **facts)
    answer = shop.send("refund", amount="1.00")
    if code:
        problem(answer, 409, code)
    assert answer.status_code == (409 if code else 202)


@pytest.mark.parametrize(("named", "status"), [("1.2.3", 202), ("1.2.4", 409), (None, 202)])
def test_of_several_actions_that_counts_which_is_corrected(
    shop: Shop, database: Database, named: str | None, status: int
) -> None:
    """The one that corrections name, else the one that was made last, whichever was read first."""
    made = datetime(2026, 11, 1, tzinfo=UTC)
    report(database, created_at=made + timedelta(hours=1))
    report(database, action_id="1.2.4", state="APPROVED", created_at=made)
    if named:
        name_action(database, ID, named)
    assert shop.send("refund", amount="1.00").status_code == status


def test_a_correction_waits_for_no_decision_that_never_comes(shop: Shop, database: Database, outbox: Path) -> None:
    """After 90 days impact.com tells nothing of an order any more; what was given back is told all the same."""
    shop.service.settings = shop.service.settings.model_copy(update={"corrections_after": "accepted"})
    shop.accepted("refund", amount="1.00")
    with database.transaction() as session:
        session.connection().execute(UNCONFIRMED.update().values(trouble="given_up"))
    shop.export()
    assert len(told(outbox)) == 2


def test_corrections_may_wait_until_the_order_is_accepted(shop: Shop, database: Database, outbox: Path) -> None:
    """With CAPTURE_CORRECTIONS_AFTER=accepted an order has to be taken, not only delivered."""
    shop.service.settings = shop.service.settings.model_copy(update={"corrections_after": "accepted"})
    shop.accepted("refund", amount="1.00")
    shop.export()
    assert (told(outbox), shop.seen()["corrections"][0]["state"]) == ([], "waiting")
    judge(database, {})
    shop.export()
    assert len(told(outbox)) == 2
    shop.accepted("refund", amount="1.00")
    shop.export()
    assert len(told(outbox)) == 2
    judge(database, {})
    shop.export()
    assert len(told(outbox)) == 4


def test_the_limit_counts_what_impact_took(shop: Shop, database: Database) -> None:
    """A refused correction is none of the thousand modifications of an action."""
    judge(database, {})
    for refused in (True, False, False):
        shop.accepted("refund", reason="OTHER", amount="1.00")
        shop.export()
        judge(database, {ID: ["BAD_DISPOSITION"]} if refused else {})
    with database.transaction() as session:
        conversion_id = session.connection().execute(select(CONVERSION.c.id)).scalar_one()
        assert look(session, conversion_id, None).standing.sent == 2

"""Orders of which nothing has left are credited to another, or replaced; and each leaves once, as it is in the end."""

import json
import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import func, insert, select, text

from app.batches.store import BATCH_LINE, LEFT_OUT
from app.conversions.corrections_store import CANCELLED, CORRECTION
from app.conversions.store import REVISION, UNSENT
from app.database import Database
from app.event_type import EventType
from app.main import create_app
from app.promo_code import PromoRule, PromoRules
from app.service import Service
from tests.conftest import Clock, SettingsFactory
from tests.servers import wait_until
from tests.support import EXPORT_KEY, ORDER_KEY, READ_KEY, bearer, body, parse_rfc4180, work

ORDERING, READING, EXPORTING = bearer(ORDER_KEY), bearer(READ_KEY), bearer(EXPORT_KEY)
RULES = PromoRules(
    rules=(
        PromoRule(code="ANNA", media_id="11"),
        PromoRule(pattern="CREATOR-*", media_id="22", event_type="creators"),
    )
)
NOBODY: dict[str, Any] = {"click_id": ...}
DATE = {"event_date": (datetime.now(UTC) - timedelta(hours=1)).isoformat()}
"""Of all orders: a body that is sent again later must say the same."""


@pytest.fixture
def clock() -> Clock:
    """The service's clock shows the real time, as its callers' clocks do."""
    return Clock(datetime.now(UTC))


def post(client: TestClient, order_id: str = "A", **changes: Any) -> Any:
    """Send an order as a checkout does."""
    return client.post("/orders", json=body(order_id, **DATE | changes), headers=ORDERING)


def credit(client: TestClient, order_id: str = "A", query: str = "", **named: Any) -> Any:
    """Say whom an order is credited to."""
    return client.put(f"/orders/{quote(order_id, safe='')}/attribution{query}", json=named, headers=ORDERING)


def put(client: TestClient, order_id: str = "A", query: str = "", **changes: Any) -> Any:
    """Replace an order."""
    path = f"/orders/{quote(order_id, safe='')}{query}"
    return client.put(path, json=body(order_id, **DATE | changes), headers=ORDERING)


def get(client: TestClient, order_id: str = "A", query: str = "") -> dict[str, Any]:
    """Ask for an order."""
    answer = client.get(f"/orders/{quote(order_id, safe='')}{query}", headers=READING)
    assert answer.status_code == 200, answer.text
    return answer.json()  # type: ignore[no-any-return]


def listed(client: TestClient, state: str) -> list[str]:
    """Return the orders in a state."""
    items = client.get("/orders", params={"state": state}, headers=READING).json()["items"]
    return [one["order_id"] for one in items]


def export(client: TestClient, service: Service) -> dict[str, Any]:
    """Trigger an export, let the worker do it, and return what is told about it."""
    asked = client.post("/exports", headers=EXPORTING)
    work(service)
    return client.get(asked.headers["location"], headers=READING).json()  # type: ignore[no-any-return]


def rows(outbox: Path) -> list[dict[str, str]]:
    """Return the rows of all files that ever left."""
    found = []
    for file in sorted(outbox.iterdir(), key=lambda file: file.stat().st_mtime_ns) if outbox.exists() else ():
        header, *lines = parse_rfc4180(file.read_bytes())
        found += [dict(zip(header, line, strict=True)) for line in lines]
    return found


def problem(answer: Any, status: int, code: str) -> dict[str, Any]:
    """Return the problem details of a refusal."""
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    return answer.json()  # type: ignore[no-any-return]


def ago(days: float) -> str:
    """Return a date so many days ago, as a checkout writes it."""
    return (datetime.now(UTC) - timedelta(days=days)).isoformat()


# Attribution ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("was_exported", [False, True], ids=["before-an-export", "after-one"])
@pytest.mark.parametrize(
    ("named", "by", "cells"),
    [
        ({"click_id": "late.click"}, "click_id", {"ClickId": "late.click"}),
        ({"promo_code": "SUMMER"}, "promo_code", {"ClickId": "", "PromoCode": "SUMMER"}),
        ({"media_id": 2763}, "media_id", {"ClickId": "", "MediaId": "2763"}),
        ({"promo_code": "X", "media_id": "7"}, "promo_code", {"PromoCode": "X", "MediaId": "7"}),
    ],
    ids=["click", "promo", "media", "both"],
)
def test_a_held_order_is_released(
    client: TestClient,
    service: Service,
    outbox: Path,
    was_exported: bool,
    named: dict[str, Any],
    by: str,
    cells: dict[str, str],
) -> None:
    """It waits again, credited as was said, leaves once with the right columns, and nothing tells of the hold."""
    assert post(client, **NOBODY).json()["state"] == "held"
    first = export(client, service) if was_exported else {}
    assert [one["order_id"] for one in first.get("left_out", ())] == ["A"] * was_exported
    answer = credit(client, **named)
    shown = answer.json()
    assert (answer.status_code, shown["state"], shown["attributed_by"], shown["revision"]) == (200, "pending", by, 2)
    assert (shown["hold_reason"], shown["reason"], shown["detail"]) == (None, None, None)
    assert shown == get(client)
    assert (listed(client, "held"), listed(client, "pending")) == ([], ["A"])
    if was_exported:
        again = client.get(f"/exports/{first['id']}", headers=READING).json()
        assert (again["held"], again["left_out"], again["left_out_more"]) == (1, [], [])
    second = export(client, service)
    assert (second["exported"], second["held"], second["left_out"]) == (1, 0, [])
    assert export(client, service)["exported"] == 0
    sent = rows(outbox)
    assert [row["OrderId"] for row in sent] == ["A", "A"]
    assert all(row[column] == cell for row in sent for column, cell in cells.items())
    assert get(client)["state"] == "delivered"
    assert listed(client, "held") == []


def revisions(database: Database) -> list[int]:
    """Return the numbers of all revisions, and assert that only the newest can wait."""
    with database.snapshot() as session:
        numbers = session.connection().execute(select(REVISION.c.number).order_by(REVISION.c.id)).scalars().all()
        newest = session.connection().execute(select(func.max(REVISION.c.id))).scalar_one()
        waiting = session.connection().execute(select(UNSENT.c.revision_id)).scalars().all()
    assert set(waiting) <= {newest}
    return list(numbers)


def test_the_same_again_changes_nothing(client: TestClient, service: Service, database: Database) -> None:
    """A backend that missed the answer asks again, also after the order has left; its history is kept."""
    post(client, **NOBODY)
    for _ in range(3):
        assert credit(client, click_id="c").json()["revision"] == 2
    assert credit(client, click_id="d").json()["revision"] == 3
    assert revisions(database) == [1, 2, 3]
    export(client, service)
    answer = credit(client, click_id="d")
    assert (answer.status_code, answer.json()["state"], answer.json()["click_id"]) == (200, "delivered", "d")
    problem(credit(client, click_id="e"), 409, "ORDER_HAS_LEFT")
    assert revisions(database) == [1, 2, 3]


def test_what_is_not_named_stays_and_null_takes_away(client: TestClient) -> None:
    """A click that was a mistake is taken away, and with nothing left the order is held again."""
    post(client, click_id="c", promo_code="P")
    shown = credit(client, media_id=7).json()
    assert (shown["click_id"], shown["promo_code"], shown["media_id"]) == ("c", "P", "7")
    assert credit(client, click_id=None).json()["attributed_by"] == "promo_code"
    shown = credit(client, promo_code=None, media_id=None).json()
    assert (shown["state"], shown["hold_reason"], listed(client, "held")) == ("held", "no_attribution", ["A"])


def test_the_checkout_s_own_body_stays_a_replay(client: TestClient) -> None:
    """It may be sent again for ever, and so may what the order says since."""
    post(client, **NOBODY)
    credit(client, click_id="c")
    for changes in (NOBODY, {"click_id": "c"}):
        answer = post(client, **changes)
        assert (answer.status_code, answer.json()["click_id"]) == (200, "c")
    problem(post(client, click_id="d"), 409, "ORDER_EXISTS")


WRONG: list[tuple[Any, str, str]] = [
    ({"click_id": "not a click"}, "/click_id", "INVALID_CLICK_ID"),
    ({"click_id": "c" * 65}, "/click_id", "INVALID_CLICK_ID"),
    ({"click_id": 7}, "/click_id", "INVALID"),
    ({"promo_code": " "}, "/promo_code", "BLANK"),
    ({"promo_code": "x" * 256}, "/promo_code", "TOO_LONG"),
    ({"promo_code": "a\u0000"}, "/promo_code", "INVALID_TEXT"),
    ({"media_id": "Anna"}, "/media_id", "INVALID_MEDIA_ID"),
    ({"media_id": 0}, "/media_id", "INVALID_MEDIA_ID"),
    ({"customer_id": "c"}, "/customer_id", "UNKNOWN_FIELD"),
    ({}, "", "NO_ATTRIBUTION"),
    ([], "", "INVALID"),
]


@pytest.mark.parametrize(("asked", "pointer", "code"), WRONG)
def test_a_wrong_attribution_is_refused_and_changes_nothing(
    client: TestClient, asked: Any, pointer: str, code: str
) -> None:
    """By the same rules as in an order, with a pointer."""
    post(client, **NOBODY)
    answer = client.put("/orders/A/attribution", json=asked, headers=ORDERING)
    assert answer.status_code == 422
    assert [(one["pointer"], one["code"]) for one in answer.json()["errors"]] == [(pointer, code)]
    assert get(client)["revision"] == 1


@pytest.mark.parametrize("content", [b"", b"{", b'{"click_id": "a", "click_id": "b"}', b"\xff"])
def test_what_is_not_json_is_refused(client: TestClient, content: bytes) -> None:
    """Nor is a key that comes twice guessed."""
    post(client, **NOBODY)
    assert client.put("/orders/A/attribution", content=content, headers=ORDERING).status_code == 422


def test_what_is_not_recorded_is_not_found(client: TestClient) -> None:
    """Neither call makes an order."""
    for answer in (credit(client, click_id="c"), put(client), credit(client, query="?event_type=x", click_id="c")):
        problem(answer, 404, "ORDER_NOT_FOUND")
    assert client.get("/orders", headers=READING).json()["items"] == []


# Too late ---------------------------------------------------------------------------------------------------------


def cancel(database: Database) -> None:
    """Record that order 1 was reversed before it had left."""
    values = {"conversion_id": 1, "number": 1, "kind": "reversal", "reason": "OTHER", "reverses": True}
    values |= {"recorded_at": datetime.now(UTC), "request": "", "answer": "{}"}
    with database.transaction() as session:
        connection = session.connection()
        correction = connection.execute(insert(CORRECTION).returning(CORRECTION.c.id), [values]).scalar_one()
        connection.execute(insert(CANCELLED), [{"revision_id": 1, "correction_id": correction}])
        connection.execute(UNSENT.delete())


def test_a_cancelled_order_stays_cancelled(client: TestClient, service: Service, database: Database) -> None:
    """It was reversed before it had left: nothing brings it back by accident."""
    post(client, click_id="c")
    cancel(database)
    said = problem(credit(client, click_id="d"), 409, "ORDER_CANCELLED")["detail"]
    assert "an order id of its own" in said
    problem(put(client, click_id="d"), 409, "ORDER_CANCELLED")
    assert export(client, service)["exported"] == 0


def test_an_order_that_has_left_keeps_its_credit(client: TestClient, service: Service, outbox: Path) -> None:
    """In a file, on its way or there: 409 says what can be done instead, and the file stays as it is."""
    outbox.write_text("no folder")
    post(client, "A/1", click_id="c")
    export(client, service)
    assert get(client, "A/1")["state"] == "batched"
    for answer in (credit(client, "A/1", media_id=7), put(client, "A/1", click_id="d")):
        said = problem(answer, 409, "ORDER_HAS_LEFT")["detail"]
        assert "is batched" in said
        assert "POST /orders/A%2F1/modifications" in said
    outbox.unlink()
    [batch] = client.get("/batches", headers=READING).json()["items"]
    client.post(f"/batches/{batch['id']}/redelivery", headers=EXPORTING)
    work(service)
    assert "is delivered" in problem(credit(client, "A/1", media_id=7), 409, "ORDER_HAS_LEFT")["detail"]
    assert {row["ClickId"] for row in rows(outbox)} == {"c"}


def test_an_expired_order_leaves_with_its_partner_s_id(client: TestClient, service: Service, outbox: Path) -> None:
    """After 88 days impact.com takes it for a media id alone: that is said, a click is refused, a media id helps."""
    post(client, click_id="c", event_date=ago(100))
    told = export(client, service)
    [left] = told["left_out"]
    assert (left["state"], left["reason"], told["expired"]) == ("expired", "too_old", 1)
    assert "media_id it would for 397 days: name that by PUT /orders/A/attribution." in left["detail"]
    said = problem(credit(client, click_id="d"), 409, "ORDER_TOO_OLD")["detail"]
    assert "media_id" in said
    assert (get(client)["state"], get(client)["revision"]) == ("expired", 1)
    shown = credit(client, media_id=7).json()
    assert (shown["state"], shown["reason"], listed(client, "expired")) == ("pending", None, [])
    assert export(client, service)["exported"] == 1
    assert {(row["OrderId"], row["ClickId"], row["MediaId"]) for row in rows(outbox)} == {("A", "c", "7")}


def test_an_order_that_no_media_id_helps_stays_expired(client: TestClient, service: Service) -> None:
    """After 398 days no file helps, and nothing says that one would."""
    post(client, click_id="c", event_date=ago(397.5))
    [left] = export(client, service)["left_out"]
    assert "media_id" not in left["detail"]
    assert "media_id" not in problem(credit(client, click_id="d"), 409, "ORDER_TOO_OLD")["detail"]
    assert "397 days" in problem(credit(client, media_id=7), 409, "ORDER_TOO_OLD")["detail"]


# Rules for promo codes --------------------------------------------------------------------------------------------


@pytest.fixture
def ruled(service: Service, make_settings: SettingsFactory) -> Iterator[TestClient]:
    """A connection to a service with rules for promo codes."""
    types = {"creators": EventType(campaign_id=1000, action_tracker_id=4400)}
    service.settings = make_settings(promo_codes=RULES, event_types=types)
    with TestClient(create_app(service, with_worker=False)) as client:
        yield client


def test_a_rule_credits_its_partner(ruled: TestClient, service: Service, outbox: Path) -> None:
    """By MediaId beside the code, in time and for 398 days; bulk as well; a click goes before all rules."""
    assert post(ruled, "A", promo_code="Anna", **NOBODY).json()["media_id"] == "11"
    lines = [body("old", promo_code="ANNA", event_date=ago(200), **NOBODY), body("click", promo_code="ANNA")]
    content = "\n".join(json.dumps(line) for line in lines)
    assert ruled.post("/orders/bulk", content=content, headers=ORDERING).text.count("201") == len(lines)
    told = export(ruled, service)
    assert (told["exported"], told["expired"]) == (3, 0)
    credited = {row["OrderId"]: (row["PromoCode"], row["MediaId"]) for row in rows(outbox)}
    assert credited == {"A": ("Anna", "11"), "old": ("ANNA", "11"), "click": ("", "")}


def test_a_rule_files_orders_under_its_event_type(ruled: TestClient, service: Service, outbox: Path) -> None:
    """Whoever knows only the order id finds the order, is told where it is, and repeats and replaces it."""
    answer = post(ruled, promo_code="creator-7", **NOBODY)
    assert (answer.status_code, answer.headers["location"]) == (201, "/orders/A?event_type=creators")
    assert answer.json()["event_type"] == "creators"
    assert get(ruled) == get(ruled, query="?event_type=creators") == answer.json()
    again = post(ruled, promo_code="creator-7", **NOBODY)
    assert (again.status_code, again.json()) == (200, answer.json())
    problem(post(ruled, promo_code="creator-8", **NOBODY), 409, "ORDER_EXISTS")
    replaced = put(ruled, promo_code="ANNA", **NOBODY)
    assert (replaced.status_code, replaced.json()["event_type"]) == (200, "creators")
    assert post(ruled, promo_code="ANNA", **NOBODY).json()["revision"] == 2
    assert credit(ruled, promo_code="CREATOR-9").json()["media_id"] == "22"
    assert export(ruled, service)["exported"] == 1
    assert {(row["ActionTrackerId"], row["PromoCode"], row["MediaId"]) for row in rows(outbox)} == {
        ("4400", "CREATOR-9", "22")
    }


def test_a_rule_counts_for_what_is_said_later(ruled: TestClient) -> None:
    """A code that somebody finds in an e-mail credits the partner whom the rules name."""
    post(ruled, **NOBODY)
    shown = credit(ruled, promo_code="CREATOR-1").json()
    assert (shown["event_type"], shown["media_id"], shown["state"]) == ("default", "22", "pending")
    assert credit(ruled, promo_code="ANNA").json()["media_id"] == "11"
    assert credit(ruled, promo_code="ANNA").json()["revision"] == 3


# A whole new body -------------------------------------------------------------------------------------------------


def test_an_order_is_replaced_whole(client: TestClient, service: Service, outbox: Path, database: Database) -> None:
    """Items, date, currency, credit: what leaves is what was said last, and all of its history is there."""
    post(client)
    new: dict[str, Any] = {"currency": "EUR", "click_id": "late", "customer_id": ...}
    new["items"] = [{"sku": "S", "category": "Tools", "quantity": 3, "amount": "30.00"}]
    answer = put(client, **new)
    shown = answer.json()
    assert (answer.status_code, shown["revision"], shown["amount"], shown["currency"]) == (200, 2, "30.00", "EUR")
    assert "idempotent-replayed" not in answer.headers
    assert (shown["customer_id"], shown["state"]) == (None, "pending")
    again = put(client, **new)
    assert (again.status_code, again.headers["idempotent-replayed"], again.json()) == (200, "true", shown)
    assert revisions(database) == [1, 2]
    assert export(client, service)["exported"] == 1
    [row] = rows(outbox)
    assert (row["OrderId"], row["Sku"], row["Amount"], row["CurrencyCode"]) == ("A", "S", "30.00", "EUR")
    assert put(client, **new).headers["idempotent-replayed"] == "true"
    problem(put(client), 409, "ORDER_HAS_LEFT")


def test_every_body_ever_accepted_may_be_posted_again(client: TestClient) -> None:
    """The checkout that repeats itself changes nothing back; whoever puts an older body back means it."""
    post(client, customer_id="one")
    put(client, customer_id="two")
    for customer in ("one", "two"):
        answer = post(client, customer_id=customer)
        assert (answer.status_code, answer.json()["customer_id"]) == (200, "two")
    problem(post(client, customer_id="three"), 409, "ORDER_EXISTS")
    assert put(client, customer_id="one").json()["revision"] == 3
    assert get(client)["customer_id"] == "one"


@pytest.mark.parametrize("was_exported", [False, True])
def test_what_was_held_or_expired_is_replaced(client: TestClient, service: Service, was_exported: bool) -> None:
    """A backend that forgot the click, or sent last year's date, sends the order as it should have been."""
    post(client, "held", **NOBODY)
    post(client, "old", event_date=ago(100))
    if was_exported:
        export(client, service)
    assert {put(client, name).json()["state"] for name in ("held", "old")} == {"pending"}
    assert (listed(client, "held"), listed(client, "expired")) == ([], [])
    assert put(client, "held", **NOBODY).json()["hold_reason"] == "no_attribution"
    assert listed(client, "held") == ["held"]
    assert export(client, service)["exported"] == 1


def test_a_wrong_body_is_refused_as_it_would_be_posted(client: TestClient) -> None:
    """Every fault, and the order id of another; the order stays as it was."""
    post(client)
    wrong = client.put("/orders/A", json=body("A", currency="usd", items=[]), headers=ORDERING)
    assert [one["code"] for one in wrong.json()["errors"]] == ["INVALID_CURRENCY_CODE", "NO_ITEM"]
    other = client.put("/orders/A", json=body("B"), headers=ORDERING)
    problem(other, 422, "ORDER_ID_MISMATCH")
    assert other.json()["errors"][0]["pointer"] == "/order_id"
    assert client.put("/orders/A", content=b"x" * (2**20 + 1), headers=ORDERING).status_code == 413
    assert get(client)["revision"] == 1


def test_an_order_of_an_event_type_is_replaced_there(ruled: TestClient) -> None:
    """The body names it; what the address says beside it must be the same."""
    post(ruled, customer_id="default")
    post(ruled, event_type="creators", customer_id="creators")
    for query in ("", "?event_type=creators"):
        shown = put(ruled, query=query, event_type="creators", customer_id=f"new{query}").json()
        assert (shown["event_type"], shown["customer_id"]) == ("creators", f"new{query}")
    assert get(ruled)["customer_id"] == "default"
    problem(put(ruled, query="?event_type=creators"), 422, "EVENT_TYPE_MISMATCH")


# At the same time -------------------------------------------------------------------------------------------------


def test_no_update_is_lost(client: TestClient, database: Database) -> None:
    """Many backends at once: every answer was true when it was given, and each change is a revision of its own."""
    post(client, **NOBODY)
    calls: list[Callable[[], Any]] = [lambda n=n: credit(client, click_id=f"c-{n}") for n in range(10)]  # type: ignore[misc]
    calls += [lambda n=n: put(client, customer_id=f"customer-{n}", click_id="c-0") for n in range(10)]  # type: ignore[misc]
    with ThreadPoolExecutor(len(calls)) as pool:
        answers = [future.result() for future in [pool.submit(call) for call in calls]]
    assert Counter(answer.status_code for answer in answers) == {200: len(calls)}
    numbers = revisions(database)
    assert numbers == list(range(1, len(numbers) + 1))
    by_number = {answer.json()["revision"]: answer.json() for answer in answers}
    assert set(by_number) == set(numbers) - {1}
    assert get(client) == by_number[max(numbers)]


class Interfering(logging.Handler):
    """Does something once, at a certain place of the exporter."""

    def __init__(self, place: str, act: Callable[[], None]) -> None:
        super().__init__(logging.DEBUG)
        self.place, self.act, self.passed = place, act, 0

    def emit(self, record: logging.LogRecord) -> None:
        """Act where it is passed for the first time."""
        if record.msg == self.place:
            self.passed += 1
            if self.passed == 1:
                self.act()


@pytest.fixture
def interfere() -> Iterator[Callable[[str, Callable[[], None]], Interfering]]:
    """Let something happen at a place of the exporter."""
    logger, handlers = logging.getLogger("app.batches.build"), list[Interfering]()
    before = logger.level

    def add(place: str, act: Callable[[], None]) -> Interfering:
        handlers.append(Interfering(place, act))
        logger.addHandler(handlers[-1])
        logger.setLevel(logging.DEBUG)
        return handlers[-1]

    yield add
    logger.setLevel(before)
    for handler in handlers:
        logger.removeHandler(handler)


def somebody_waits(database: Database) -> bool:
    """Say whether somebody waits for a lock; on SQLite nobody can be asked, and one writer follows the other."""
    if database.is_sqlite:
        return True
    waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    with database.snapshot() as session:
        return bool(session.connection().execute(waiting).scalar_one())


@pytest.mark.parametrize(("place", "wins"), [("batch.checked", "new"), ("batch.committing", "old")])
def test_an_export_sends_the_old_or_the_new_and_never_both(
    client: TestClient,
    service: Service,
    outbox: Path,
    interfere: Callable[[str, Callable[[], None]], Interfering],
    place: str,
    wins: str,
) -> None:
    """Whoever comes first wins: a change makes an export plan anew, and an export makes a change too late."""
    for name in ("A", "B"):
        post(client, name, click_id="old")
    answers: list[Any] = []
    changing = threading.Thread(target=lambda: answers.append(credit(client, click_id="new")))

    def change() -> None:
        changing.start()
        if wins == "new":
            changing.join()
        else:
            wait_until(lambda: somebody_waits(service.database), "the change does not wait for the export")

    exporter = interfere(place, change)
    export(client, service)
    changing.join()
    assert [one.status_code for one in answers] == [200 if wins == "new" else 409]
    assert exporter.passed == (2 if wins == "new" else 1)
    export(client, service)
    sent = Counter((row["OrderId"], row["ClickId"]) for row in rows(outbox))
    assert sent == {("A", wins): 2, ("B", "old"): 2}
    assert get(client)["state"] == "delivered"


def test_many_changes_beside_many_exports(service: Service, database: Database, outbox: Path) -> None:
    """Every order leaves exactly once, with the credit of the last change that was accepted."""
    names = [f"A-{number}" for number in range(12)]
    accepted: dict[str, str] = {}
    with TestClient(create_app(service)) as client:
        for name in names:
            post(client, name, click_id="c-0")

        def change(name: str) -> None:
            for number in range(1, 6):
                answer = credit(client, name, click_id=f"c-{number}")
                assert answer.status_code in {200, 409}, answer.text
                if answer.status_code == 200:
                    accepted[name] = f"c-{number}"

        with ThreadPoolExecutor(6) as pool:
            futures = [pool.submit(change, name) for name in names]
            while not all(future.done() for future in futures):
                client.post("/exports", params={"wait": 20}, headers=EXPORTING)
            for future in futures:
                future.result()
        client.post("/exports", params={"wait": 20}, headers=EXPORTING)
        client.post("/exports", params={"wait": 20}, headers=EXPORTING)
        assert sorted(listed(client, "delivered"), key=names.index) == names
    sent = [(row["OrderId"], row["ClickId"]) for row in rows(outbox)]
    assert Counter(sent) == {(name, accepted.get(name, "c-0")): 2 for name in names}
    with database.snapshot() as session:
        counted = select(func.count()).select_from(BATCH_LINE)
        assert session.connection().execute(counted).scalar_one() == len(names)
        assert session.connection().execute(select(LEFT_OUT)).all() == []

"""Orders over HTTP: taken exactly once, refused with every reason, found again, on both databases."""

import hashlib
import itertools
import json
import logging
import random
import shutil
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr
from sqlalchemy import event, func, select, text

from app.config import Settings
from app.conversions.store import CONVERSION, ITEM, REVISION, UNSENT
from app.database import Database
from app.delivery.channels.folder import FolderChannel, FolderSettings
from app.errors import PROBLEM_JSON
from app.impact.currency import DECIMALS
from app.main import create_app
from app.migrations import migrate
from app.security import hash_of
from app.service import Service
from app.tables import METADATA
from tests.conftest import Clock, driver
from tests.servers import Postgres
from tests.support import EXPORT_KEY, ORDER_KEY, READ_KEY, bearer, body, parse_rfc4180, work

MIB = 1024 * 1024
ORDERING, READING = bearer(ORDER_KEY), bearer(READ_KEY)

NUMBER = itertools.count()

Answer = dict[str, Any]


@pytest.fixture
def clock() -> Clock:
    """The service's clock shows the real time, as its callers' clocks do."""
    return Clock(datetime.now(UTC))


def service_on(url: str, folder: Path) -> Service:
    """Return the service on a database, for tests that need another one than the fixtures'."""
    known = {
        f"{name}_keys": (f"sha256:{hash_of(key)}",)
        for name, key in (("order", ORDER_KEY), ("export", EXPORT_KEY), ("read", READ_KEY))
    }
    values = {"database_url": SecretStr(url), "campaign_id": 1000, "action_tracker_id": 4321, **known}
    values |= {"journal_path": folder / "journal", "spool_path": folder / "spool"}
    channel = FolderChannel(FolderSettings(path=folder / "outbox"))
    return Service(Settings.model_validate(values), Database(url), {"folder": channel}, schema_is_checked=True)


def post(client: TestClient, order: Any, **headers: str) -> Any:
    """Send an order as a checkout does."""
    content = order if isinstance(order, bytes) else json.dumps(order).encode()
    return client.post("/orders", content=content, headers=ORDERING | {"Content-Type": "application/json"} | headers)


def bulk(client: TestClient, orders: list[Any]) -> list[Answer]:
    """Send orders one a line and return the answers."""
    lines = [one if isinstance(one, bytes) else json.dumps(one).encode() for one in orders]
    answer = client.post("/orders/bulk", content=b"".join(line + b"\n" for line in lines), headers=ORDERING)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/x-ndjson"
    return [json.loads(line) for line in answer.content.splitlines()]


def get(client: TestClient, order_id: str, **query: str) -> Any:
    """Ask for an order."""
    return client.get(f"/orders/{quote(order_id, safe='')}", params=query, headers=READING)


def every(client: TestClient, **query: str) -> list[Answer]:
    """Return all orders of a list, page after page."""
    found: list[Answer] = []
    after: str | None = "0"
    while after is not None:
        page = client.get("/orders", params=query | {"after": after}, headers=READING).json()
        assert len(page["items"]) <= 100
        assert page["next"] is None or len(page["items"]) == 100
        found, after = found + page["items"], page["next"]
    return found


def counts(database: Database) -> dict[str, int]:
    """Return how many rows each table of orders has."""
    with database.snapshot() as session:
        return {
            table.name: session.connection().execute(select(func.count()).select_from(table)).scalar_one()
            for table in (CONVERSION, REVISION, ITEM, UNSENT)
        }


def problem(response: Any, status: int, code: str) -> Answer:
    """Return the problem details of a refusal, which look as RFC 9457 has them."""
    assert (response.status_code, response.headers["content-type"]) == (status, PROBLEM_JSON), response.text
    details: Answer = response.json()
    assert (details["status"], details["code"]) == (status, code)
    assert details["type"] == "about:blank"
    assert details["title"]
    assert details["detail"]
    return details


@pytest.fixture(scope="module")
def both(
    migrated_sqlite: Path, postgres: Postgres, migrated_postgres: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, tuple[TestClient, Service]]]:
    """The service on SQLite and the service on PostgreSQL, side by side."""
    with ExitStack() as stack:
        folders = {name: tmp_path_factory.mktemp(name) for name in ("sqlite", "postgresql")}
        shutil.copy(migrated_sqlite, folders["sqlite"] / "both.db")
        url = stack.enter_context(postgres.new_database(template=migrated_postgres))
        urls = {"sqlite": f"sqlite:///{folders['sqlite'] / 'both.db'}", "postgresql": driver(url)}
        services = {name: service_on(urls[name], folders[name]) for name in urls}
        yield {
            name: (stack.enter_context(TestClient(create_app(one, with_worker=False))), one)
            for name, one in services.items()
        }


@pytest.fixture(params=["sqlite", "postgresql"])
def shop(request: pytest.FixtureRequest, both: dict[str, tuple[TestClient, Service]]) -> tuple[TestClient, Service]:
    """A service that several tests share, each with order ids of its own: on SQLite, then on PostgreSQL."""
    return both[request.param]


@pytest.fixture
def shared(shop: tuple[TestClient, Service]) -> TestClient:
    """A connection to it."""
    return shop[0]


@pytest.fixture
def shared_database(shop: tuple[TestClient, Service]) -> Database:
    """Its database."""
    return shop[1].database


# A new order, and the same again ----------------------------------------------------------------------------------


def test_a_new_order_is_answered_with_what_was_recorded(client: TestClient) -> None:
    """201, where it is, and every value as it was sent."""
    sent = body("A/1 ü", extra={"Note": "gift, wrapped", "OrderTax": 1.5}, promo_code="SPRING", media_id=77)
    answer = post(client, sent)
    assert answer.status_code == 201
    assert answer.headers["location"] == "/orders/A%2F1%20%C3%BC"
    assert "idempotent-replayed" not in answer.headers
    shown = answer.json()
    assert {name: shown[name] for name in ("order_id", "event_date", "currency", "click_id", "customer_id")} == {
        name: sent[name] for name in ("order_id", "event_date", "currency", "click_id", "customer_id")
    }
    assert (shown["state"], shown["amount"], shown["attributed_by"]) == ("pending", "56.00", "click_id")
    assert (shown["promo_code"], shown["media_id"]) == ("SPRING", "77")
    assert shown["extra"] == {"Note": "gift, wrapped", "OrderTax": "1.5"}
    assert [(one["sku"], one["amount"], one["quantity"], one["line"]) for one in shown["items"]] == [
        ("A-198237465", "42.50", 1, None),
        ("A-91827645", "13.50", 1, None),
    ]
    assert client.get(answer.headers["location"], headers=READING).json() == shown


def test_an_answered_order_is_on_disk(client: TestClient, database: Database, database_url: str) -> None:
    """The order is committed before the answer, and the commit waits for the disk."""
    assert post(client, body()).status_code == 201
    other = Database(database_url)
    assert counts(other) == {"conversion": 1, "revision": 1, "item": 2, "unsent": 1}
    other.close()
    with database.transaction() as session:
        if database.is_sqlite:
            assert session.connection().execute(text("PRAGMA synchronous")).scalar_one() == 2
        else:
            assert session.connection().execute(text("SHOW synchronous_commit")).scalar_one() == "on"


def _reversed(order: Answer) -> Answer:
    return dict(reversed(order.items()))


def _items_reversed(order: Answer) -> Answer:
    return order | {"items": order["items"][::-1]}


def _amounts_as_numbers(order: Answer) -> Answer:
    return order | {"items": [one | {"amount": float(one["amount"])} for one in order["items"]]}


def _one_decimal_less(order: Answer) -> Answer:
    return order | {"items": [one | {"amount": one["amount"].removesuffix("0")} for one in order["items"]]}


def _elsewhere(order: Answer) -> Answer:
    moment = datetime.fromisoformat(order["event_date"]).astimezone(tz=datetime.strptime("+0530", "%z").tzinfo)
    return order | {"event_date": moment.isoformat()}


def _as_z(order: Answer) -> Answer:
    return order | {"event_date": order["event_date"].replace("+00:00", "Z")}


def _nulls(order: Answer) -> Answer:
    return order | {"promo_code": None, "media_id": None, "customer_status": None}


def _defaults(order: Answer) -> Answer:
    return order | {"event_type": "default", "extra": {}, "items": [one | {"extra": {}} for one in order["items"]]}


SAME: list[Callable[[Answer], Answer]] = [
    *(dict, _reversed, _items_reversed, _amounts_as_numbers, _one_decimal_less),
    *(_elsewhere, _as_z, _nulls, _defaults),
]


@pytest.mark.parametrize("write", SAME, ids=lambda write: write.__name__.strip("_"))
def test_the_same_order_written_otherwise_is_the_same_order(
    shared: TestClient, shared_database: Database, write: Callable[[Answer], Answer]
) -> None:
    """An impatient checkout gets 200 and the first answer, whatever library wrote the JSON this time."""
    first = post(shared, body(write.__name__))
    before = counts(shared_database)
    again = post(shared, write(body(write.__name__, event_date=first.json()["event_date"])))
    assert (again.status_code, again.headers["idempotent-replayed"]) == (200, "true")
    assert again.json() == first.json()
    assert counts(shared_database) == before


CHANGES: list[Answer] = [
    {"currency": "EUR"},
    {"click_id": "another-click"},
    {"click_id": None, "promo_code": "SPRING"},
    {"customer_id": "another-customer"},
    {"customer_status": "New"},
    {"promo_code": "SPRING"},
    {"media_id": 1},
    {"extra": {"Note": "n"}},
    {"event_date": (datetime.now(UTC) - timedelta(days=2)).isoformat()},
    {"items": body()["items"][:1]},
    {"items": [body()["items"][0] | {"amount": "42.51"}, body()["items"][1]]},
    {"items": [body()["items"][0] | {"quantity": 2}, body()["items"][1]]},
    {"items": [body()["items"][0] | {"category": "blacksmithing"}, body()["items"][1]]},
    {"items": [body()["items"][0] | {"sku": "a-198237465"}, body()["items"][1]]},
    {"items": [body()["items"][0] | {"extra": {"Name": "Anvil"}}, body()["items"][1]]},
]


@pytest.mark.parametrize("change", CHANGES, ids="-".join)
def test_another_order_under_a_known_id_changes_nothing(
    shared: TestClient, shared_database: Database, change: Answer
) -> None:
    """409 says where changes go, and the recorded order stays as it is."""
    order_id = f"{next(NUMBER)}/1 ü"
    first = post(shared, body(order_id)).json()
    before = counts(shared_database)
    answer = post(shared, body(order_id, event_date=first["event_date"]) | change)
    assert f"POST /orders/{quote(order_id, safe='')}/modifications" in problem(answer, 409, "ORDER_EXISTS")["detail"]
    assert counts(shared_database) == before
    assert get(shared, order_id).json() == first


def test_a_replay_is_answered_after_the_order_has_left(client: TestClient, service: Service) -> None:
    """A checkout that repeats itself later learns where the order is by now; the order is not sent again."""
    sent = body()
    post(client, sent)
    client.post("/exports", headers=bearer(EXPORT_KEY))
    work(service)
    again = post(client, sent)
    assert (again.status_code, again.json()["state"]) == (200, "delivered")
    client.post("/exports", headers=bearer(EXPORT_KEY))
    work(service)
    assert len(client.get("/batches", headers=READING).json()["items"]) == 1


def test_lines_of_one_sku_are_one_line(shared: TestClient) -> None:
    """Quantities and amounts are added, the rest is the first line's, so that a correction can name the line."""
    lines = [
        {"sku": "B", "category": "Tools", "quantity": 1, "amount": "0.10", "extra": {"Name": "first"}},
        {"sku": "A", "category": "Tools", "quantity": 5, "amount": "7"},
        {"sku": "B", "category": "Toys", "quantity": 2, "amount": 0.2},
    ]
    shown = post(shared, body("merged", items=lines)).json()
    assert [(one["sku"], one["category"], one["quantity"], one["amount"], one["extra"]) for one in shown["items"]] == [
        ("B", "Tools", 3, "0.30", {"Name": "first"}),
        ("A", "Tools", 5, "7.00", {}),
    ]
    merged = [
        {"sku": "B", "category": "Tools", "quantity": 3, "amount": "0.30", "extra": {"Name": "first"}},
        {"sku": "A", "category": "Tools", "quantity": 5, "amount": "7"},
    ]
    assert post(shared, body("merged", event_date=shown["event_date"], items=merged)).status_code == 200


ADDRESS = " Anna.Smith@Shop.Example"
HASHED = hashlib.sha256(b"anna.smith@shop.example").hexdigest()


def test_an_address_is_kept_as_its_hash_alone(
    client: TestClient, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """No answer, table, file or log has it; and the same order again may bring the one or the other."""
    caplog.set_level(logging.DEBUG)
    by_address = body("E-1", customer_email=ADDRESS)
    by_hash = {name: one for name, one in by_address.items() if name != "customer_email"}
    answers = [post(client, by_address), post(client, by_hash | {"extra": {"CustomerEmail": HASHED}})]
    assert [one.status_code for one in answers] == [201, 200]
    bulked = bulk(client, [by_address, body("E-2", customer_email=ADDRESS)])
    assert [one["status"] for one in bulked] == [200, 201]
    put = client.put("/orders/E-2", json=body("E-2", customer_email=ADDRESS, promo_code="X"), headers=ORDERING)
    assert put.status_code == 200
    told = " ".join([*(one.text for one in (*answers, put)), json.dumps(bulked), caplog.text])
    with database.snapshot() as session:
        tables = {name: session.connection().execute(select(one)).all() for name, one in METADATA.tables.items()}
    assert HASHED in str(tables["revision"])
    assert "anna" not in (told + str(tables)).lower()


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"customer_email": "anna.smith at shop.example"}, "INVALID_EMAIL"),
        ({"customer_email": "anna.smith@shop"}, "INVALID_EMAIL"),
        ({"customer_email": " "}, "BLANK"),
        ({"customer_email": ["anna.smith@shop.example"]}, "INVALID"),
        ({"customer_email": ADDRESS, "extra": {"CustomerEmail": HASHED}}, "EMAIL_TWICE"),
    ],
)
def test_an_address_that_is_none_is_refused_unquoted(shared: TestClient, changes: dict[str, Any], code: str) -> None:
    """The field is named, and what it held is repeated nowhere."""
    answer = post(shared, body("E-3", **changes))
    assert [(one["pointer"], one["code"]) for one in problem(answer, 422, code)["errors"]] == [
        ("/customer_email", code)
    ]
    assert "anna" not in answer.text.lower()


# What is refused --------------------------------------------------------------------------------------------------


def test_every_fault_of_a_body_is_listed_at_once(shared: TestClient) -> None:
    """The developer of a checkout corrects a body once, not ten times; each fault has its place in the body."""
    wrong = b"""{
        "order_id": " A-1", "event_date": "2026-11-20T18:00:22", "currency": "usd", "click_id": "no spaces",
        "customer_id": "someone@shop.example", "promo_code": " ", "media_id": "abc", "colour": "red",
        "customer_status": "New", "customer_status": "Returning",
        "extra": {"OrderTax": "much", "Nonsense": 1, "Name": "x", "ClickId": "y"},
        "items": [
            {"sku": "", "category": "a\\u0007", "quantity": 0, "amount": "-1"},
            {"sku": "S", "category": "c", "quantity": 1.5, "amount": NaN, "price": 3},
            {"sku": "T", "category": "c", "quantity": 1, "extra": {"Note": "of the order"}},
            "no item"
        ]}"""
    details = problem(post(shared, wrong), 422, "INVALID")
    assert {(one["pointer"], one["code"]) for one in details["errors"]} == {
        ("/order_id", "INVALID_ORDER_ID"),
        ("/event_date", "INVALID_EVENT_DATE"),
        ("/currency", "INVALID_CURRENCY_CODE"),
        ("/click_id", "INVALID_CLICK_ID"),
        ("/customer_id", "PERSONAL_DATA"),
        ("/promo_code", "BLANK"),
        ("/media_id", "INVALID_MEDIA_ID"),
        ("/colour", "UNKNOWN_FIELD"),
        ("/customer_status", "DUPLICATE_KEY"),
        ("/extra/OrderTax", "MALFORMED"),
        ("/extra/Nonsense", "UNKNOWN_PARAMETER"),
        ("/extra/Name", "UNKNOWN_PARAMETER"),
        ("/extra/ClickId", "UNKNOWN_PARAMETER"),
        ("/items/0/sku", "BLANK"),
        ("/items/0/category", "INVALID_TEXT"),
        ("/items/0/quantity", "INVALID"),
        ("/items/0/amount", "AMOUNT_NEGATIVE_OR_NOT_A_NUMBER"),
        ("/items/1/quantity", "INVALID"),
        ("/items/1/amount", "INVALID_NUMBER"),
        ("/items/1/price", "UNKNOWN_FIELD"),
        ("/items/2/amount", "AMOUNT_NEGATIVE_OR_NOT_A_NUMBER"),
        ("/items/2/extra/Note", "UNKNOWN_PARAMETER"),
        ("/items/3", "INVALID"),
    }
    assert all(one["detail"] for one in details["errors"])
    assert "someone" not in json.dumps(details)


@pytest.mark.parametrize("amount", ["-1", -1, "NaN", "1e3", "1,50", " 1", "", "0x10", "١", True, None, [], {}, "1."])
def test_what_is_no_plain_amount_is_refused(shared: TestClient, amount: Any) -> None:
    """Nothing is guessed about money."""
    items = [{"sku": "S", "category": "c", "quantity": 1, "amount": amount}]
    details = problem(post(shared, body(items=items)), 422, "AMOUNT_NEGATIVE_OR_NOT_A_NUMBER")
    assert [one["pointer"] for one in details["errors"]] == ["/items/0/amount"]


@pytest.mark.parametrize(
    "number", [b"-0", b"-0.00", b"1e400", b"-1e-3", b"0.005", b"1" * 40, b"0e99999999999", b"1e-9"]
)
def test_numbers_that_are_no_money_are_refused(shared: TestClient, number: bytes) -> None:
    """Minus nought, the astronomical and the fractions of a cent get 422, and quickly."""
    sent = json.dumps(body(items=[{"sku": "S", "category": "c", "quantity": 1, "amount": "@"}])).encode()
    assert post(shared, sent.replace(b'"@"', number)).status_code == 422


@pytest.mark.parametrize("amount", ["0", "0.00", 0, "999999999999.99", 0.1, "00012.5"])
def test_every_plain_amount_is_kept_exactly(shared: TestClient, amount: Any) -> None:
    """From nothing up to just below a million millions."""
    items = [{"sku": "S", "category": "c", "quantity": 1, "amount": amount}]
    answer = post(shared, body(f"amount {amount!r}", items=items))
    assert answer.status_code == 201
    assert Decimal(answer.json()["items"][0]["amount"]) == Decimal(str(amount))


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"order_id": ...}, "OID_MISSING"),
        ({"items": ...}, "NO_ITEM"),
        ({"items": []}, "NO_ITEM"),
        ({"items": {}}, "NO_ITEM"),
        ({"event_date": ...}, "INVALID_EVENT_DATE"),
        ({"event_date": "2026-11-20"}, "INVALID_EVENT_DATE"),
        ({"event_date": "2026-02-30T00:00:00Z"}, "INVALID_EVENT_DATE"),
        ({"event_date": "0001-01-01T00:00:00+14:00"}, "INVALID_EVENT_DATE"),
        ({"event_date": 1763661622}, "INVALID_EVENT_DATE"),
        ({"currency": "XXX"}, "INVALID_CURRENCY_CODE"),
        ({"currency": ...}, "INVALID_CURRENCY_CODE"),
        ({"event_type": "nobody"}, "ACTIONTRACKER_NOT_FOUND"),
        ({"click_id": ""}, "INVALID_CLICK_ID"),
        ({"click_id": "x" * 65}, "INVALID_CLICK_ID"),
        ({"click_id": "ü"}, "INVALID_CLICK_ID"),
        ({"order_id": "x" * 65}, "INVALID_ORDER_ID"),
        ({"order_id": "x\u200b"}, "INVALID_ORDER_ID"),
        ({"order_id": "\u00a0x"}, "INVALID_ORDER_ID"),
        ({"order_id": 17}, "INVALID"),
        ({"media_id": 0}, "INVALID_MEDIA_ID"),
        ({"media_id": True}, "INVALID_MEDIA_ID"),
        ({"customer_id": "x" * 256}, "TOO_LONG"),
    ],
    ids=str,
)
def test_a_single_fault_has_a_code_of_its_own(shared: TestClient, change: Answer, code: str) -> None:
    """impact.com's own code where it has one, so that its documents can be looked up."""
    problem(post(shared, body(**change)), 422, code)


def test_an_event_may_lie_five_minutes_ahead(shared: TestClient) -> None:
    """Clocks differ a little; an order of tomorrow is a mistake."""
    soon = datetime.now(UTC) + timedelta(minutes=4, seconds=30)
    assert post(shared, body("soon", event_date=soon.isoformat())).status_code == 201
    later = datetime.now(UTC) + timedelta(minutes=5, seconds=30)
    problem(post(shared, body("later", event_date=later.isoformat())), 422, "INVALID_EVENT_DATE")


@pytest.mark.parametrize(
    "sent", [b"[]", b"null", b'"x"', b"1", b"", b"{", b"\xff", b"[" * 20_000], ids=lambda sent: repr(sent[:8])
)
def test_what_is_no_order_at_all_is_refused(shared: TestClient, sent: bytes) -> None:
    """A body that is no JSON object is an invalid body, whatever else it is."""
    assert post(shared, sent).status_code == 422


def test_an_order_has_at_most_as_many_items_as_a_file(client: TestClient, service: Service) -> None:
    """An order is never split, so one that fits in no file is refused at once."""
    service.settings = service.settings.model_copy(update={"max_rows": 3})
    with TestClient(create_app(service, with_worker=False)) as small:
        items = [{"sku": f"S{number}", "category": "c", "quantity": 1, "amount": 1} for number in range(4)]
        assert post(small, body(items=items[:3])).status_code == 201
        problem(post(small, body("B", items=items)), 422, "TOO_MANY_ITEMS")


def test_a_body_over_its_limit_is_refused(shared: TestClient) -> None:
    """1 MiB for an order, 16 MiB for many, with or without a length announced."""

    def chunks(size: int) -> Iterator[bytes]:
        yield from (b" " * 65_536 for _ in range(size // 65_536))
        yield b" "

    fits = json.dumps(body("1 MiB")).encode().ljust(MIB)
    assert post(shared, fits).status_code == 201
    problem(post(shared, fits + b" "), 413, "TOO_LARGE")
    problem(shared.post("/orders", content=chunks(MIB), headers=ORDERING), 413, "TOO_LARGE")
    problem(shared.post("/orders/bulk", content=chunks(16 * MIB), headers=ORDERING), 413, "TOO_LARGE")


@pytest.mark.parametrize("path", ["/orders", "/orders/bulk"])
def test_a_key_is_needed_and_needs_the_right(shared: TestClient, path: str) -> None:
    """Without a key nobody learns even whether the body was right."""
    for headers in ({}, bearer("wrong"), {"Authorization": f"Basic {ORDER_KEY}"}, {"Authorization": ORDER_KEY}):
        answer = shared.post(path, content=b"{", headers=headers)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
    for key in (READ_KEY, EXPORT_KEY):
        problem(shared.post(path, content=b"{", headers=bearer(key)), 403, "KEY_WITHOUT_RIGHT")


# The database away ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def mortal() -> Iterator[Postgres]:
    """A PostgreSQL server that a test may end."""
    with Postgres() as server:
        yield server


def test_orders_are_refused_while_the_database_is_away_and_taken_when_it_is_back(
    mortal: Postgres, tmp_path: Path
) -> None:
    """503 says when to come back, and nothing has to be restarted: acknowledged orders are there, others are not."""
    with mortal.new_database() as url:
        service = service_on(driver(url), tmp_path)
        migrate(service.database)
        with TestClient(create_app(service, with_worker=False)) as client:
            assert post(client, body("before")).status_code == 201
            mortal.kill()
            for answer in (
                post(client, body("meanwhile")),
                client.post("/orders/bulk", content=json.dumps(body("meanwhile")), headers=ORDERING),
                get(client, "before"),
                client.get("/orders", headers=READING),
                client.post("/exports", headers=bearer(EXPORT_KEY)),
            ):
                problem(answer, 503, "UNAVAILABLE")
                assert int(answer.headers["retry-after"]) > 0
            problem(post(client, b"{"), 422, "CONV_MALFORMED")
            mortal.start()
            assert [one["order_id"] for one in every(client)] == ["before"]
            assert post(client, body("meanwhile")).status_code == 201


def test_a_standby_takes_no_orders(client: TestClient, database: Database) -> None:
    """During a failover the database is there and read-only: that is 503 too, and passes by itself."""
    if database.is_sqlite:
        event.listen(database.engine, "connect", lambda connection, _: connection.execute("PRAGMA query_only = ON"))
    else:
        with database.transaction() as session:
            name = session.connection().execute(text("SELECT current_database()")).scalar_one()
            session.connection().execute(text(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on'))
    database.engine.dispose()
    problem(post(client, body()), 503, "UNAVAILABLE")
    problem(client.post("/exports", headers=bearer(EXPORT_KEY)), 503, "UNAVAILABLE")
    assert client.get("/orders", headers=READING).status_code == 200


def test_a_full_disk_refuses_orders_and_loses_none(client: TestClient, database: Database) -> None:
    """What was answered before is there, what was refused is not, and with new room all goes on."""
    if not database.is_sqlite:
        with database.transaction() as session:
            session.connection().execute(
                text(
                    "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS"
                    " $$ BEGIN RAISE EXCEPTION USING ERRCODE = 'disk_full'; END $$"
                )
            )
            session.connection().execute(
                text("CREATE TRIGGER no_room BEFORE INSERT ON item EXECUTE FUNCTION full_disk()")
            )
        problem(post(client, body()), 503, "UNAVAILABLE")
        with database.transaction() as session:
            session.connection().execute(text("DROP TRIGGER no_room ON item"))
    else:
        pages = _limit_pages(database, 0)
        many = [{"sku": f"S{number}", "category": "c" * 200, "quantity": 1, "amount": 1} for number in range(2_000)]
        problem(post(client, body(items=many)), 503, "UNAVAILABLE")
        _limit_pages(database, pages)
    assert counts(database)["conversion"] == 0
    assert post(client, body()).status_code == 201


def _limit_pages(database: Database, pages: int) -> int:
    """Let the database file grow no further than `pages`, and return the limit of before."""
    database.engine.dispose()
    with database.engine.connect() as connection:
        before: int = connection.exec_driver_sql("PRAGMA max_page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages or 1}")
    return before


# Many at a time ---------------------------------------------------------------------------------------------------


def test_each_line_gets_its_answer_in_order_and_a_bad_one_stops_no_other(client: TestClient) -> None:
    """New, repeated, contradicting, invalid and unreadable lines, each by itself."""
    known, moment = post(client, body("known")).json(), body()["event_date"]
    answers = bulk(
        client,
        [
            body("new", event_date=moment),
            body("known", event_date=known["event_date"]),
            body("known", event_date=known["event_date"], currency="EUR"),
            body("bad", currency="usd", items=[]),
            b"",
            b"{",
            b'["x"]',
            b'{"order_id": "cut',
            body("new", event_date=moment),
            body("new", event_date=moment, currency="EUR"),
            b"\xff",
            body("last") | {"order_id": "la\u2028st"},
            body("ünï/%2F"),
        ],
    )
    assert [(one["order_id"], one["status"]) for one in answers] == [
        *(("new", 201), ("known", 200), ("known", 409), ("bad", 422)),
        *((None, 422), (None, 422), (None, 422), (None, 422)),
        *(("new", 200), ("new", 409), (None, 422), (None, 422), ("ünï/%2F", 201)),
    ]
    assert [fault["pointer"] for fault in answers[3]["problem"]["errors"]] == ["/currency", "/items"]
    assert all(("problem" in one) == (one["status"] >= 400) for one in answers)
    assert {one["order_id"] for one in every(client)} == {"known", "new", "ünï/%2F"}


def test_ten_thousand_lines_go_at_a_time(shared: TestClient) -> None:
    """As many as the contract says, and not one more; the last line may end without a line break."""
    line = json.dumps({"order_id": "@", "currency": "EUR"}).encode()
    fits = b"\n".join([line] * 10_000)
    answer = shared.post("/orders/bulk", content=fits, headers=ORDERING)
    assert len(answer.content.splitlines()) == 10_000
    assert shared.post("/orders/bulk", content=fits + b"\n", headers=ORDERING).status_code == 200
    problem(shared.post("/orders/bulk", content=fits + b"\n\n", headers=ORDERING), 413, "TOO_LARGE")


def test_no_line_is_no_answer(shared: TestClient) -> None:
    """An empty file of orders is taken as such."""
    answer = shared.post("/orders/bulk", content=b"", headers=ORDERING)
    assert (answer.status_code, answer.content) == (200, b"")


# Finding orders ---------------------------------------------------------------------------------------------------

ODD_IDS = [
    "a/b",
    "a%2Fb",
    "%",
    "100%",
    "a b",
    "ü",
    "日本",
    "😀",
    "a?b",
    "a#b",
    "+",
    "&=;",
    '"',
    "\\",
    "bulk",
    "%00",
    "...",
    "\u00e9",
    "e\u0301",
]


@pytest.mark.parametrize("order_id", ODD_IDS)
def test_an_order_is_found_under_its_id_whatever_is_in_it(shared: TestClient, order_id: str) -> None:
    """A slash, a percent sign, blanks and every script work, percent-encoded once."""
    answer = post(shared, body(order_id))
    assert answer.status_code == 201
    assert get(shared, order_id).json() == answer.json()
    assert shared.get(answer.headers["location"], headers=READING).json()["order_id"] == order_id
    everything = "".join(f"%{byte:02x}" for byte in order_id.encode())
    assert shared.get(f"/orders/{everything}", headers=READING).json()["order_id"] == order_id


def test_ids_are_compared_as_they_are(client: TestClient) -> None:
    """Upper case, blanks within and composed letters make another order."""
    ids = ["a-1", "A-1", "a -1", "a  -1", "\u00e9", "e\u0301"]
    assert [one["status"] for one in bulk(client, [body(one) for one in ids])] == [201] * len(ids)
    assert [one["order_id"] for one in every(client)] == ids


@pytest.mark.parametrize("path", ["nothing", "%ff", "%20", "a%0Ab", "x" * 65, "%ED%A0%80", "%C3%BC%00"])
def test_what_is_not_recorded_is_not_found(shared: TestClient, path: str) -> None:
    """An id that nobody sent, or that nobody could send."""
    problem(shared.get(f"/orders/{path}", headers=READING), 404, "ORDER_NOT_FOUND")


def test_two_event_types_may_hold_the_same_order(service: Service) -> None:
    """`?event_type=` says which is meant, and without it the default one."""
    types = {"news-letter": {"campaign_id": 5, "action_tracker_id": 6, "currency": "JPY"}}
    service.settings = Settings.model_validate(service.settings.model_dump() | {"event_types": types} | _keys())
    with TestClient(create_app(service, with_worker=False)) as client:
        signup = {"event_type": "news-letter", "items": [{"sku": "N", "category": "c", "quantity": 1, "amount": "5"}]}
        assert post(client, body("A")).headers["location"] == "/orders/A"
        answer = post(client, body("A", currency=..., **signup))
        assert answer.headers["location"] == "/orders/A?event_type=news-letter"
        assert get(client, "A").json()["event_type"] == "default"
        other = get(client, "A", event_type="news-letter").json()
        assert (other["event_type"], other["currency"], other["amount"]) == ("news-letter", "JPY", "5")
        problem(get(client, "A", event_type="nobody"), 404, "ORDER_NOT_FOUND")
        client.post("/exports", headers=bearer(EXPORT_KEY))
        work(service)
        names = [one["filename"].split("_")[2] for one in client.get("/batches", headers=READING).json()["items"]]
        assert sorted(names) == ["default", "news-letter"]


def _keys() -> dict[str, tuple[str, ...]]:
    names = (("order", ORDER_KEY), ("export", EXPORT_KEY), ("read", READ_KEY))
    return {f"{name}_keys": (f"sha256:{hash_of(key)}",) for name, key in names}


CREDIT = [
    ({"click_id": "c", "promo_code": "p", "media_id": 7}, "click_id", "pending"),
    ({"click_id": ..., "promo_code": "p", "media_id": 7}, "promo_code", "pending"),
    ({"click_id": None, "media_id": "7"}, "media_id", "pending"),
    ({"click_id": None}, None, "held"),
    ({"click_id": ...}, None, "held"),
]


@pytest.mark.parametrize(("ids", "by", "state"), CREDIT)
def test_an_order_is_credited_by_the_first_id_that_it_has(
    client: TestClient, ids: Answer, by: str | None, state: str
) -> None:
    """Click, then promo code, then partner; with none of them it is held where everybody sees it, never guessed."""
    shown = post(client, body(**ids)).json()
    assert (shown["attributed_by"], shown["state"]) == (by, state)
    assert shown["hold_reason"] == (None if by else "no_attribution")
    assert [one["order_id"] for one in every(client, state=state)] == ["A-1001"]


def test_lists_are_told_page_by_page_in_the_order_of_recording(client: TestClient) -> None:
    """A hundred to a page, none twice, none missing, also while more arrive."""
    ids = [f"N-{number}" for number in range(250)]
    bulk(client, [body(one) for one in ids])
    first = client.get("/orders", headers=READING).json()
    assert [one["order_id"] for one in first["items"]] == ids[:100]
    post(client, body("late"))
    rest = client.get("/orders", params={"after": first["next"]}, headers=READING).json()
    assert [one["order_id"] for one in rest["items"]] == ids[100:200]
    last = client.get("/orders", params={"after": rest["next"]}, headers=READING).json()
    assert ([one["order_id"] for one in last["items"]], last["next"]) == ([*ids[200:], "late"], None)
    assert client.get("/orders", params={"after": 2**63 - 1}, headers=READING).json() == {"items": [], "next": None}


@pytest.mark.parametrize("query", ["state=lost", "state=", "after=-1", "after=x", f"after={2**63}", "after=1.5"])
def test_a_wrong_query_is_refused(shared: TestClient, query: str) -> None:
    """A typing error in a state does not look like an empty list."""
    problem(shared.get(f"/orders?{query}", headers=READING), 422, "INVALID_PARAMETER")


def test_every_order_is_in_the_list_of_its_state_and_in_no_other(
    client: TestClient, service: Service, outbox: Path
) -> None:
    """Pending, held, expired, batched, delivered: the lists together are the orders accepted."""
    old = (datetime.now(UTC) - timedelta(days=89)).isoformat()
    bulk(client, [*(body(f"sent-{number}") for number in range(130)), body("held", click_id=None)])
    bulk(client, [body("old", event_date=old), body("old-media", event_date=old, click_id=None, media_id=7)])
    client.post("/exports", headers=bearer(EXPORT_KEY))
    work(service)
    outbox.rename(outbox.with_name("moved"))
    outbox.write_text("no folder any more")
    bulk(client, [body(f"stuck-{number}") for number in range(105)])
    client.post("/exports", headers=bearer(EXPORT_KEY))
    work(service)
    bulk(client, [body("new"), body("new-held", click_id=None)])
    found = {
        state: [one["order_id"] for one in every(client, state=state)]
        for state in ("pending", "held", "expired", "batched", "delivered")
    }
    assert found == {
        "pending": ["new"],
        "held": ["held", "new-held"],
        "expired": ["old"],
        "batched": [f"stuck-{number}" for number in range(105)],
        "delivered": [*(f"sent-{number}" for number in range(130)), "old-media"],
    }
    listed = every(client)
    assert len(listed) == sum(map(len, found.values()))
    assert all(one["order_id"] in found[one["state"]] for one in listed)
    [old_order] = every(client, state="expired")
    assert (old_order["reason"], old_order["batch"]) == ("too_old", None)
    assert "87 days" in old_order["detail"]


# Nothing is changed on the way ------------------------------------------------------------------------------------


def exported(client: TestClient, service: Service) -> list[dict[str, str]]:
    """Export what waits and return the rows of the new files, read strictly by RFC 4180."""
    asked = client.post("/exports", headers=bearer(EXPORT_KEY)).json()
    work(service)
    rows: list[dict[str, str]] = []
    for batch in client.get(f"/exports/{asked['id']}", headers=READING).json()["batches"]:
        content = client.get(f"/batches/{batch['id']}/file", headers=READING).content
        header, *lines = parse_rfc4180(content)
        rows += [dict(zip(header, line, strict=True)) for line in lines]
    return rows


def test_amounts_are_the_same_number_everywhere(both: dict[str, tuple[TestClient, Service]]) -> None:
    """Body, database, answer and file agree to the last decimal, in every currency, with 0 to 5 decimals given."""
    chance = random.Random(4217)
    cases = {
        f"{code}-{places}-{kind}": (code, places, chance.randrange(10 ** (11 + places)), kind)
        for code in sorted(DECIMALS)
        for places in range(6)
        for kind in ("text", "number")
    }
    amounts = {name: Decimal(digits).scaleb(-places) for name, (_, places, digits, _) in cases.items()}
    lines = []
    for name, (code, _, _, kind) in cases.items():
        amount = f"{amounts[name]:f}" if kind == "number" else f'"{amounts[name]:f}"'
        items = [{"sku": "S", "category": "c", "quantity": 1, "amount": "@"}]
        lines.append(json.dumps(body(name, currency=code, items=items)).replace('"@"', amount).encode())
    good = [name for name, (code, places, _, _) in cases.items() if places <= DECIMALS[code]]
    for client, service in both.values():
        exported(client, service)  # what other tests left
        answers = {one["order_id"]: one for one in bulk(client, lines)}
        assert [name for name, one in answers.items() if one["status"] == 201] == good
        assert {one["problem"]["code"] for one in answers.values() if one["status"] != 201} == {"AMOUNT_DECIMALS"}
        shown = {one["order_id"]: one["amount"] for one in every(client) if one["order_id"] in answers}
        rows = {one["OrderId"]: one["Amount"] for one in exported(client, service)}
        assert list(shown) == list(rows) == good
        for name in good:
            decimals = DECIMALS[cases[name][0]]
            assert Decimal(shown[name]) == Decimal(rows[name]) == amounts[name]
            assert shown[name] == rows[name]
            assert len(rows[name].partition(".")[2]) == decimals


ODD = "\"',;=+-@ \u2028\u2029\ufeff\u202e\u200b\u0301\u00e9\U0001f600\ue000\uffff\u3000"
ALLOWED = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=12) | st.text(
    st.sampled_from(ODD), min_size=1, max_size=6
)
FORBIDDEN = st.text(st.characters(categories=["Cc", "Cs"]) | st.sampled_from(ODD), min_size=1, max_size=4)
TEXTS = st.tuples(*[ALLOWED] * 5) | st.tuples(*[ALLOWED | FORBIDDEN] * 5)


def is_fine(order: Answer) -> bool:
    """Say whether every text of an order is allowed, by the contract's words."""
    item = order["items"][0]
    order_id = order["order_id"]
    texts = (order_id, order["customer_id"], order["promo_code"], item["sku"], item["category"])
    can_be_kept = all(unicodedata.category(one) not in {"Cc", "Cs"} for text in texts for one in text)
    is_id = order_id.isprintable() and order_id == order_id.strip()
    return can_be_kept and is_id and all(text.strip() for text in texts)


@given(st.lists(TEXTS, min_size=20, max_size=40))
@settings(max_examples=15, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
def test_text_comes_through_byte_for_byte_or_not_at_all(
    both: dict[str, tuple[TestClient, Service]], texts: list[tuple[str, str, str, str, str]]
) -> None:
    """Every character that is allowed is the same in the answer and in the file; both databases allow the same."""
    lines, sent = [], []
    for order_id, sku, category, customer, promo in texts:
        prefix = f"{next(NUMBER)}·"
        items = [{"sku": sku, "category": category, "quantity": 1, "amount": 1}]
        buyer = customer.replace("@", "a")  # e-mail addresses have a rule and a test of their own
        order = body(prefix + order_id, click_id=None, customer_id=buyer, promo_code=promo, items=items)
        lines.append(json.dumps(order).encode())
        sent.append(json.loads(lines[-1]))  # two halves of a surrogate pair are one character on their way
    outcomes = []
    for client, service in both.values():
        exported(client, service)  # what other tests left
        after, answers = _last(service), bulk(client, lines)
        outcomes.append([one["status"] for one in answers])
        assert outcomes[-1] == [201 if is_fine(order) else 422 for order in sent]
        kept = [order for order, one in zip(sent, answers, strict=True) if one["status"] == 201]
        shown = client.get("/orders", params={"after": after}, headers=READING).json()["items"]
        rows = exported(client, service)
        for order, view, row in zip(kept, shown, rows, strict=True):
            wanted = (order["order_id"], order["customer_id"], order["promo_code"])
            assert (view["order_id"], view["customer_id"], view["promo_code"]) == wanted
            assert (row["OrderId"], row["CustomerId"], row["PromoCode"]) == wanted
            item = order["items"][0]
            assert (view["items"][0]["sku"], view["items"][0]["category"]) == (item["sku"], item["category"])
            assert (row["Sku"], row["Category"]) == (item["sku"], item["category"])
    assert outcomes[0] == outcomes[1]


def _last(service: Service) -> int:
    with service.database.snapshot() as session:
        return int(session.connection().execute(select(func.coalesce(func.max(REVISION.c.id), 0))).scalar_one())


@pytest.mark.parametrize(
    "field", ["order_id", "customer_id", "promo_code", "customer_status", "sku", "category", "Note"]
)
@pytest.mark.parametrize(
    "bad", ["\x00", "a\x00b", "a\nb", "\r", "\t", "\x1f", "\x7f", "\x85", "\ud83d", "\udc00x"], ids=ascii
)
def test_characters_that_cannot_be_kept_are_refused_on_both_databases(
    both: dict[str, tuple[TestClient, Service]], field: str, bad: str
) -> None:
    """422, and never a database's own complaint."""
    order = body()
    if field in {"sku", "category"}:
        order["items"][0][field] = bad
    elif field == "Note":
        order["extra"] = {"Note": bad}
    else:
        order[field] = bad
    for client, _ in both.values():
        assert post(client, order).status_code == 422

"""Many at once: what must happen once happens once, and every caller gets the answer that the contract gives."""

import json
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import event, text

from app.database import Database
from app.ledger import export_routes
from app.main import create_app
from app.service import Service
from tests.support import EXPORT_KEY, ORDER_KEY, READ_KEY, bearer, body, work

CALLERS = 50
ROUNDS = 3
T = TypeVar("T")


def at_once(calls: Sequence[Callable[[], T]]) -> list[T]:
    """Make all calls at the same moment, each in a thread of its own, and return what they returned."""
    start, results = threading.Barrier(len(calls)), dict[int, T]()

    def make(number: int, call: Callable[[], T]) -> None:
        start.wait()
        results[number] = call()

    threads = [threading.Thread(target=make, args=one) for one in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [results[number] for number in range(len(calls))]


def post(client: TestClient, order: dict[str, Any]) -> Any:
    """Post an order."""
    return client.post("/orders", json=order, headers=bearer(ORDER_KEY))


def rows(database: Database, order_id: str) -> list[int]:
    """Return how many conversions, revisions, items and waits an order has."""
    counts = text(
        "SELECT count(DISTINCT c.id), count(DISTINCT r.id), count(i.position), count(DISTINCT u.revision_id)"
        " FROM conversion c LEFT JOIN revision r ON r.conversion_id = c.id LEFT JOIN item i ON i.revision_id = r.id"
        " LEFT JOIN unsent u ON u.revision_id = r.id WHERE c.order_id = :order_id"
    )
    with database.snapshot() as session:
        return list(session.connection().execute(counts, {"order_id": order_id}).one())


ONCE = [1, 1, 2, 1]


def test_fifty_posts_of_one_order_make_one_order(client: TestClient, database: Database) -> None:
    """An impatient checkout gets one 201 and otherwise 200, each with the order, and there is one of it."""
    for number in range(ROUNDS):
        order = body(f"impatient-{number}")
        answers = at_once([lambda order=order: post(client, order)] * CALLERS)  # type: ignore[misc]
        assert Counter(answer.status_code for answer in answers) == {201: 1, 200: CALLERS - 1}
        assert all(answer.json()["order_id"] == order["order_id"] for answer in answers)
        assert rows(database, order["order_id"]) == ONCE


def test_fifty_different_bodies_under_one_id_make_one_order(client: TestClient, database: Database) -> None:
    """The first one stays, and all others are told that it is another: no mixture, no second row."""
    for number in range(ROUNDS):
        orders = [body(f"contested-{number}", customer_id=f"customer-{one}") for one in range(CALLERS)]
        answers = at_once([lambda order=order: post(client, order) for order in orders])  # type: ignore[misc]
        assert Counter(answer.status_code for answer in answers) == {201: 1, 409: CALLERS - 1}
        [first] = [answer.json() for answer in answers if answer.status_code == 201]
        kept = client.get(f"/orders/contested-{number}", headers=bearer(READ_KEY)).json()
        assert kept["customer_id"] == first["customer_id"]
        assert rows(database, f"contested-{number}") == ONCE


def test_two_event_types_may_use_one_order_id(
    service: Service, make_settings: Callable[..., Any], database: Database
) -> None:
    """Orders of two event types are two orders, also when they come at the same moment."""
    types = {key: {"campaign_id": 1, "action_tracker_id": number} for number, key in enumerate(("default", "b2b"), 1)}
    service.settings = make_settings(event_types=types)
    orders = [body("shared", event_type=key) for key in types] * 10
    with TestClient(create_app(service, with_worker=False)) as client:
        answers = at_once([lambda order=order: post(client, order) for order in orders])  # type: ignore[misc]
    assert Counter(answer.status_code for answer in answers) == {201: 2, 200: 18}
    assert rows(database, "shared") == [2, 2, 4, 2]


def test_twenty_triggers_start_one_export(client: TestClient, service: Service) -> None:
    """Cron that fires twice, and every retry of it, gets the export that runs; the next one comes after it."""
    ids = set[str]()
    for _ in range(ROUNDS):
        trigger = lambda: client.post("/exports", headers=bearer(EXPORT_KEY))  # noqa: E731
        answers = at_once([trigger] * 20)
        assert {answer.status_code for answer in answers} == {202}
        [export_id] = {answer.json()["id"] for answer in answers}
        ids.add(export_id)
        work(service)
    assert len(ids) == ROUNDS


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)  # on SQLite the only writer waits
def test_an_export_that_ends_while_another_is_asked_for_is_no_error(service: Service, database: Database) -> None:
    """Whoever asks in the moment in which the running export ends gets the next one."""
    first = export_routes.request_export(database)
    statements: list[object] = []

    def end_the_first(*statement: object) -> None:
        statements.append(statement)
        if len(statements) == 1:  # what was inserted met the first export; what is selected next will not
            worker = threading.Thread(target=work, args=(service,))
            worker.start()
            worker.join()

    event.listen(database.engine, "after_cursor_execute", end_the_first)
    asked = export_routes.request_export(database)
    assert len(statements) > 1
    assert asked.state == "queued"
    assert int(asked.id) > int(first.id)


def test_bulks_in_opposite_order_lose_nothing(client: TestClient, database: Database) -> None:
    """Two backends that send the same orders from both ends may block one another, and both get all answers."""
    for number in range(ROUNDS):
        orders = [json.dumps(body(f"bulk-{number}-{one}")).encode() for one in range(400)]
        several = [b"\n".join(orders), b"\n".join(orders[::-1])]

        def send(content: bytes) -> Any:
            return client.post("/orders/bulk", content=content, headers=bearer(ORDER_KEY))

        answers = at_once([lambda content=content: send(content) for content in several])  # type: ignore[misc]
        lines = [json.loads(line) for answer in answers for line in answer.text.splitlines()]
        assert {answer.status_code for answer in answers} == {200}
        assert Counter(line["status"] for line in lines) == {201: 400, 200: 400}
        assert all(rows(database, f"bulk-{number}-{one}") == ONCE for one in range(400))


WITHOUT_KEY = {
    "sqlite": (
        "CREATE TABLE copy (id INTEGER PRIMARY KEY, event_type, order_id, recorded_at DATETIME)",
        "DROP TABLE conversion",
        "ALTER TABLE copy RENAME TO conversion",
    ),
    "postgresql": ("ALTER TABLE conversion DROP CONSTRAINT one_conversion_per_order",),
}


def test_without_the_unique_key_there_would_be_many(client: TestClient, database: Database) -> None:
    """The negative control: it is the schema that guards, and the same count sees it when it does not."""
    with database.engine.begin() as connection:
        for statement in WITHOUT_KEY[database.engine.dialect.name]:
            connection.exec_driver_sql(statement)
    order = body("unguarded")
    answers = [post(client, order), *at_once([lambda: post(client, order)] * 3)]  # one group could not show it
    assert Counter(answer.status_code for answer in answers) != {201: 1, 200: 3}
    assert rows(database, "unguarded") != ONCE

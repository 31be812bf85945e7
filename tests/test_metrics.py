"""Numbers for Prometheus: what a merchant's alarms go by, and nothing about a visitor."""

import asyncio
import json
import threading
from datetime import timedelta
from pathlib import Path
from typing import cast

from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr
from sqlalchemy import update

from app import metrics
from app.batches.store import UNDELIVERED
from app.clicks.capture import Outcome
from app.conversions.record import record
from app.database import Database
from app.delivery import budget_store
from app.delivery.budget import Told, minute_of
from app.delivery.channels import CHANNELS
from app.errors import Unavailable
from app.figures import Figures
from app.impact.outcomes import known_reasons
from app.ledger.export_routes import request_export
from app.main import create_app
from app.metrics import FATES
from app.service import Service
from tests.conftest import Clock
from tests.support import NOW, ORDER_KEY, bearer, body, order, work


def samples(client: TestClient) -> dict[tuple[str, ...], float]:
    """Return every number by its name and the values of its labels."""
    answer = client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert answer.headers["cache-control"] == "no-store"
    families = text_string_to_metric_families(answer.text)
    return {(one.name, *one.labels.values()): one.value for family in families for one in family.samples}


def test_landings_notes_and_requests_are_counted(client: TestClient) -> None:
    """A landing shows in all three, each time by one."""
    before = samples(client)
    client.get("/capture?im_ref=secret-id&url=https://secret.example/")
    after = samples(client)
    grown = {name: after[name] - before.get(name, 0) for name in after if name[0].startswith("capture_")}
    assert grown["capture_notes_total", "stored"] + grown["capture_notes_total", "spooled"] == 1
    assert grown["capture_requests_total", "/capture", "204"] == 1
    assert sum(number for name, number in grown.items() if name[0] == "capture_landings_total") == 1
    assert "secret" not in client.get("/metrics").text


def test_every_fate_is_there_before_its_first_note(client: TestClient) -> None:
    """A rate can be told from the first loss on, as from the first failure and refusal; the spool's room is known."""
    found = samples(client)
    assert {name[1] for name in found if name[0] == "capture_delivery_attempts_total"} == {*CHANNELS, "http_api"}
    assert {name[1] for name in found if name[0] == "capture_rejections_total"} == {*known_reasons(), "other"}
    assert {name[1] for name in found if name[0] == "capture_notes_total"} == set(FATES)
    assert {name[1] for name in found if name[0] == "capture_landings_total"} == set(Outcome)
    assert found["capture_spool_limit_bytes",] == 64 * 1024 * 1024
    assert found["capture_spool_notes",] == found["capture_spool_bytes",] == 0
    assert found["process_resident_memory_bytes",] > 0


def test_strangers_cannot_fill_it(client: TestClient) -> None:
    """Paths that nobody serves, and ids in paths that somebody does, make no new lines."""
    for path in ("/nothing", "/nothing/else", "/orders/one", "/orders/two"):
        client.get(path)
    routes = {name[1] for name in samples(client) if name[0] == "capture_requests_total"}
    assert {"", "/orders/{order_id}"} <= routes
    assert not {"/nothing", "/orders/one"} & routes


def test_orders_are_counted_by_what_became_of_them(client: TestClient) -> None:
    """One by one and in bulk; those that were refused for their content too."""
    before = samples(client)
    whole, other = body("A"), body("A", customer_id="somebody-else")
    for sent, status in ((whole, 201), (whole, 200), (other, 409), ({"order_id": "B"}, 422)):
        assert client.post("/orders", json=sent, headers=bearer(ORDER_KEY)).status_code == status
    lines = b"\n".join(json.dumps(one).encode() for one in (whole, body("C"), body("D"), {}))
    assert client.post("/orders/bulk", content=lines, headers=bearer(ORDER_KEY)).status_code == 200
    after = samples(client)
    grown = {
        name[1]: after[name] - before[name]
        for name in after
        if name[0] == "capture_orders_total" and after[name] > before[name]
    }
    assert grown == {"new": 3, "replayed": 2, "conflict": 1, "invalid": 2}


def test_what_waits_and_what_has_left(client: TestClient, service: Service, clock: Clock, outbox: Path) -> None:
    """Orders without a batch, the age of the oldest, batches by state, the last export, attempts by their outcome."""
    record(service.database, [order("A"), order("H", click_id=None)], NOW)
    clock.now = NOW + timedelta(hours=2)
    found = samples(client)
    assert found["capture_oldest_unsent_order_seconds",] == found["capture_last_export_seconds",] == 7200
    assert found["capture_oldest_unsent_correction_seconds",] == 0
    assert (found["capture_unsent", "pending", "orders"], found["capture_unsent", "held", "orders"]) == (1, 1)
    assert found["capture_unsent", "held", "corrections"] == 0
    outbox.write_text("no folder")
    request_export(service.database)
    before = found.get(("capture_delivery_attempts_total", "folder", "failed"), 0)
    work(service)
    found = fresh_samples(service)
    assert found["capture_batches", "sending"] == 1
    assert found["capture_delivery_attempts_total", "folder", "failed"] == before + 1
    assert found["capture_last_export_seconds",] == 0
    assert found["capture_oldest_unsent_order_seconds",] == 7200
    assert (found["capture_unsent", "pending", "orders"], found["capture_unsent", "held", "orders"]) == (0, 1)
    outbox.unlink()
    before = found.get(("capture_delivery_attempts_total", "folder", "delivered"), 0)
    with service.database.transaction() as session:
        session.connection().execute(update(UNDELIVERED).values(due_at=NOW - timedelta(days=99)))
    work(service)
    found = fresh_samples(service)
    assert (found["capture_batches", "sending"], found["capture_oldest_unsent_order_seconds",]) == (0, 0)
    assert found["capture_delivery_attempts_total", "folder", "delivered"] == before + 1


def test_every_replica_tells_the_same_of_the_database(service: Service) -> None:
    """Whoever is asked: what the database holds is no number of one process."""
    record(service.database, [order("A")], NOW)
    names = {"capture_unsent", "capture_deadlines", "capture_batches", "capture_oldest_unsent_order_seconds"}
    one, other = ({name: value for name, value in fresh_samples(service).items() if name[0] in names} for _ in range(2))
    assert one == other
    assert {name[0] for name in one} == names


def test_what_cannot_be_known_is_absent(client: TestClient, service: Service) -> None:
    """While the database is away there is neither a zero nor an old number, and it is said that it is away."""
    assert samples(client)["capture_database_usable",] == 1
    client.app.state.figures._fresh_until = 0.0  # type: ignore[attr-defined]
    with service.database.transaction() as session:
        session.connection().exec_driver_sql("DROP TABLE undelivered")
        session.connection().exec_driver_sql("DELETE FROM alembic_version")
    found = samples(client)
    assert found["capture_database_usable",] == 0
    assert not {name[0] for name in found} & {"capture_unsent", "capture_exports_held", "capture_batches"}
    assert found["capture_spool_limit_bytes",] > 0


def test_numbers_are_not_read_at_every_call(client: TestClient, service: Service) -> None:
    """However often it is scraped, the database is asked every few seconds."""
    assert samples(client)["capture_unsent", "pending", "orders"] == 0
    record(service.database, [order("A")], NOW)
    assert samples(client)["capture_unsent", "pending", "orders"] == 0
    client.app.state.figures._fresh_until = 0.0  # type: ignore[attr-defined]
    assert samples(client)["capture_unsent", "pending", "orders"] == 1


def test_the_budget_of_calls_is_told(service: Service) -> None:
    """Where there is an account: spent by all replicas, our limit, and what impact.com says it has left."""
    account = {"impact_account_sid": "IR1", "impact_auth_token": SecretStr("t"), "impact_budget_per_hour": 50}
    service.settings = service.settings.model_copy(update=account)
    with service.database.transaction() as session:
        budget_store.lock(session)
        budget_store.spend(session, minute_of(NOW))
        budget_store.note(session, Told(limit=1000, remaining=900, resets_at=NOW + timedelta(minutes=9)))
    found = fresh_samples(service)
    assert [found[f"capture_api_{name}",] for name in ("budget_spent", "budget_limit", "limit_remaining")] == [
        1,
        50,
        900,
    ]
    assert found["capture_batches", "delivered"] == 0


def test_reasons_are_of_a_short_list(client: TestClient) -> None:
    """What impact.com makes up is one line, however much it makes up."""
    before = samples(client)
    metrics.count_reasons(["INVALID_SKU_X", "made-up-by-somebody", *known_reasons()])
    after = samples(client)
    grown = {name[1]: after[name] - before.get(name, 0) for name in after if name[0] == "capture_rejections_total"}
    assert grown.pop("other") == 2
    assert grown == dict.fromkeys(known_reasons(), 1)


def fresh_samples(service: Service) -> dict[tuple[str, ...], float]:
    """Return the numbers of another replica."""
    with TestClient(create_app(service, with_worker=False)) as replica:
        found = samples(replica)
    service.stopping.clear()  # the replica has gone, and the rest goes on
    return found


def test_a_database_that_hangs_holds_no_scrape_up(service: Service) -> None:
    """Its numbers are absent, the others are told, and it is not asked a second time meanwhile."""
    asked, ends = [], threading.Event()

    class Hanging:
        def snapshot(self) -> None:
            asked.append(1)
            ends.wait()
            raise Unavailable("The database does not answer.")

    async def look() -> list[int]:
        service.database = cast("Database", Hanging())
        figures = Figures(service)
        found = [len(await figures.look()) for _ in range(2)]
        ends.set()
        figures.close()
        return found

    assert (asyncio.run(look()), asked) == ([0, 0], [1])

"""A batch is handed over, and what became of each attempt is on record before and after."""

from datetime import timedelta
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select, update

from app.batches import exporter
from app.batches.store import BATCH_CONTENT, UNDELIVERED
from app.conversions.record import record
from app.database import Database
from app.delivery import deliver
from app.delivery.store import ATTEMPT, Claim
from app.errors import LeaseLost
from app.ledger.export_routes import request_export
from app.service import Service
from tests.support import EXPORT_KEY, NOW, READ_KEY, bearer, order, work


def export_one(service: Service) -> None:
    """Record an order and let an export batch it and try to deliver it."""
    record(service.database, [order()], NOW)
    request_export(service.database)
    work(service)


def attempts(database: Database) -> list[tuple[int, str, bool]]:
    """Return number and status of every attempt, and whether it has ended."""
    with database.snapshot() as session:
        rows = session.connection().execute(select(ATTEMPT).order_by(ATTEMPT.c.number)).all()
    return [(row.number, row.status, row.ended_at is not None) for row in rows]


def due_now(database: Database) -> None:
    """Let the time of the next try come, and every lease end."""
    with database.transaction() as session:
        session.connection().execute(update(UNDELIVERED).values(due_at=NOW - timedelta(days=1), leased_until=None))


def batch(client: TestClient) -> dict[str, str]:
    """Return the only batch as it is told."""
    [one] = client.get("/batches", headers=bearer(READ_KEY)).json()["items"]
    found: dict[str, str] = client.get(f"/batches/{one['id']}", headers=bearer(READ_KEY)).json()
    return found


def test_a_batch_is_delivered_once(client: TestClient, service: Service, outbox: Path) -> None:
    """One attempt, one file with the stored bytes, and nothing left to do."""
    export_one(service)
    [file] = outbox.iterdir()
    told = batch(client)
    assert (told["state"], told["filename"]) == ("delivered", file.name)
    stored = client.get(f"/batches/{told['id']}/file", headers=bearer(READ_KEY))
    assert stored.content == file.read_bytes()
    assert attempts(service.database) == [(1, "delivered", True)]
    due_now(service.database)
    work(service)
    assert attempts(service.database) == [(1, "delivered", True)]


def test_a_new_batch_is_due_whatever_this_computer_s_clock_says(service: Service, outbox: Path) -> None:
    """Leases and waiting go by the database's clock: a worker that is an hour ahead delivers just as soon."""
    service.clock = lambda: NOW + timedelta(days=3_650)
    record(service.database, [order(age=-timedelta(days=3_650))], NOW)
    request_export(service.database)
    work(service)
    assert len(list(outbox.iterdir())) == 1


def test_a_failed_attempt_is_followed_by_another(client: TestClient, service: Service, outbox: Path) -> None:
    """The folder cannot be written: that is on record with the reason, the file goes later, under the same name."""
    outbox.write_text("no folder")
    export_one(service)
    told = batch(client)
    assert (told["state"], attempts(service.database)) == ("sending", [(1, "failed", True)])
    work(service)
    assert len(attempts(service.database)) == 1  # not before its time
    outbox.unlink()
    due_now(service.database)
    work(service)
    assert attempts(service.database) == [(1, "failed", True), (2, "delivered", True)]
    assert [one.name for one in outbox.iterdir()] == [told["filename"]]
    assert batch(client)["state"] == "delivered"


def test_redelivery_sends_the_same_bytes_under_the_same_name(
    client: TestClient, service: Service, outbox: Path
) -> None:
    """The puller deleted the file and wants it again; asking twice is asking once."""
    export_one(service)
    [file] = outbox.iterdir()
    content = file.read_bytes()
    file.unlink()
    path = f"/batches/{batch(client)['id']}/redelivery"
    answers = [client.post(path, headers=bearer(EXPORT_KEY)) for _ in range(2)]
    assert [one.status_code for one in answers] == [202, 202]
    work(service)
    assert file.read_bytes() == content
    assert attempts(service.database) == [(1, "delivered", True), (2, "delivered", True)]
    assert client.post("/batches/nothing/redelivery", headers=bearer(EXPORT_KEY)).status_code == 404


def test_a_worker_that_was_overtaken_records_nothing(service: Service) -> None:
    """Its lease ended and another took the batch: what it says about the outcome does not count any more."""
    record(service.database, [order()], NOW)
    request_export(service.database)
    work_until_batched(service)
    first = deliver.claim(service.database, service.settings, NOW)
    assert first
    assert deliver.claim(service.database, service.settings, NOW) is None
    due_now(service.database)
    second = deliver.claim(service.database, service.settings, NOW)
    assert second
    assert attempts(service.database) == [(1, "unknown", True), (2, "started", False)]
    with pytest.raises(LeaseLost):
        hand_over(service, first)
    assert attempts(service.database) == [(1, "unknown", True), (2, "started", False)]
    hand_over(service, second)
    assert attempts(service.database) == [(1, "unknown", True), (2, "delivered", True)]


def hand_over(service: Service, claimed: Claim) -> None:
    """Deliver what was claimed."""
    channel = service.channels[claimed.channel]
    journal = service.hold.journal
    deliver.deliver(service.database, journal, channel, service.settings, claimed, lambda: NOW, service.stopping)


def work_until_batched(service: Service) -> None:
    """Build the export that is asked for, and deliver nothing."""
    claimed = exporter.claim(service.database, service.settings)
    assert claimed
    exporter.run(service.database, service.settings, claimed, service.clock)


def test_bytes_that_changed_in_the_database_do_not_leave(client: TestClient, service: Service, outbox: Path) -> None:
    """A batch has one content for ever; one that does not match its SHA-256 stays here, and says why."""
    record(service.database, [order()], NOW)
    request_export(service.database)
    work_until_batched(service)
    with service.database.transaction() as session:
        session.connection().execute(update(BATCH_CONTENT).values(content=b"something else"))
    work(service)
    assert not outbox.exists()
    assert attempts(service.database) == [(1, "failed", True)]
    [attempt] = client.get(f"/batches/{batch(client)['id']}", headers=bearer(READ_KEY)).json()["attempts"]
    assert "not what was rendered" in attempt["detail"]

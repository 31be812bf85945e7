"""Whether the service lives, takes clicks, takes orders: each is told truthfully."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr
from sqlalchemy import text

from app import health
from app.config import Settings
from app.database import Database
from app.delivery.channels.folder import FolderChannel, FolderSettings
from app.main import create_app
from app.migrations import Schema, look
from app.service import Service
from tests.conftest import SettingsFactory
from tests.servers import PATIENCE
from tests.support import ORDER_KEY, bearer, body


def test_all_is_well(client: TestClient, database: Database) -> None:
    """With the database and its schema there, everything is ready, without a key."""
    assert client.get("/livez").json() == {"status": "ok"}
    for path in ("/readyz", "/readyz/orders"):
        answer = client.get(path)
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "no-store"
        told = answer.json()
        assert (told["ready"], told["database"], told["database_schema"]) == (True, "ok", "current")
        assert told["disk"] == ("ok" if database.is_sqlite else "not known")
        assert told["spool"] == {"state": "empty", "clicks": 0, "bytes": 0, "limit_bytes": 64 * 1024 * 1024}


def test_an_unknown_schema_takes_no_orders(client: TestClient, database: Database) -> None:
    """A newer version has migrated, and its schema enforces something: this one takes clicks, and no orders."""
    with database.transaction() as session:
        session.connection().execute(text("UPDATE alembic_version SET version_num = 'newer'"))
        session.connection().execute(text("UPDATE compatibility SET oldest = 'newer'"))
    assert client.get("/readyz").status_code == 200
    answer = client.get("/readyz/orders")
    assert (answer.status_code, answer.json()["database_schema"]) == (503, "unknown")


def test_orders_are_taken_while_newer_replicas_replace_this_one(client: TestClient, database: Database) -> None:
    """A newer version has migrated, and its schema only adds something: this one stays in service."""
    with database.transaction() as session:
        session.connection().execute(text("UPDATE alembic_version SET version_num = 'newer'"))
    answer = client.get("/readyz/orders")
    assert (answer.status_code, answer.json()["database_schema"]) == (200, "newer")
    assert client.post("/orders", json=body(), headers=bearer(ORDER_KEY)).status_code == 201


@pytest.fixture
def lonely(tmp_path: Path) -> Iterator[TestClient]:
    """The service with a PostgreSQL that is not there."""
    with _without_database(tmp_path) as client:
        yield client


@contextmanager
def _without_database(folder: Path) -> Iterator[TestClient]:
    url = "postgresql+psycopg://nobody:secret@127.0.0.1:9/nothing"
    given = {"database_url": SecretStr(url), "campaign_id": 1, "action_tracker_id": 2, "spool_path": folder / "spool"}
    channels = {"folder": FolderChannel(FolderSettings(path=folder))}
    service = Service(Settings.model_validate(given), Database(url), channels)
    with TestClient(create_app(service, with_worker=False)) as client:
        yield client


def test_the_service_starts_and_takes_clicks_without_its_database(lonely: TestClient) -> None:
    """A landing page does not wait for the database; a load balancer for orders learns that it is away."""
    assert lonely.get("/livez").status_code == 200
    ready, orders = lonely.get("/readyz"), lonely.get("/readyz/orders")
    assert (ready.status_code, ready.json()["database"]) == (200, "away")
    assert (orders.status_code, orders.json()["ready"]) == (503, False)
    assert "secret" not in ready.text + orders.text
    landing = lonely.get("/capture?im_ref=abc")
    assert (landing.status_code, "im_ref=abc" in landing.headers["set-cookie"]) == (204, True)
    spool = lonely.get("/readyz").json()["spool"]
    assert (spool["state"], spool["clicks"]) == ("waiting", 1)
    assert 0 < spool["bytes"] < 500


def test_with_neither_database_nor_spool_no_clicks_can_be_taken(tmp_path: Path) -> None:
    """Only then should a load balancer send visitors elsewhere; those who come all the same get their cookies."""
    (tmp_path / "spool").write_text("a file in the way")
    with _without_database(tmp_path) as client:
        answer = client.get("/readyz")
        assert (answer.status_code, answer.json()["ready"], answer.json()["spool"]["state"]) == (
            503,
            False,
            "unwritable",
        )
        landing = client.get("/capture?im_ref=abc")
        assert (landing.status_code, "im_ref=abc" in landing.headers["set-cookie"]) == (204, True)


def test_a_spool_that_cannot_be_written_is_told_while_the_database_takes_clicks(
    make_settings: SettingsFactory, database: Database, tmp_path: Path
) -> None:
    """Clicks can be taken, so it is ready; the body says what an operator should see to."""
    (tmp_path / "file").write_text("a file in the way")
    settings = make_settings(spool_path=tmp_path / "file" / "spool")
    service = Service(settings, database, {"folder": FolderChannel(FolderSettings(path=tmp_path))})
    with TestClient(create_app(service, with_worker=False)) as client:
        answer = client.get("/readyz")
        assert (answer.status_code, answer.json()["spool"]["state"]) == (200, "unwritable")


def test_a_stopping_service_is_not_ready(client: TestClient, service: Service) -> None:
    """It lives, and asks to be sent nothing new."""
    service.stopping.set()
    assert client.get("/livez").status_code == 200
    for path in ("/readyz", "/readyz/orders"):
        answer = client.get(path)
        assert (answer.status_code, answer.json()["stopping"]) == (503, True)


def test_a_look_that_has_begun_ends_before_the_database_is_closed(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else its connection would be left open at the server."""
    begun, go, ended = threading.Event(), threading.Event(), threading.Event()

    def slow_look(database: Database) -> Schema:
        begun.set()
        go.wait(PATIENCE)
        seen = look(database)
        ended.set()
        return seen

    monkeypatch.setattr(health, "look", slow_look)
    monkeypatch.setattr(health, "LOOK_SECONDS", 0.01)
    lookout = health.Lookout(service.database, service.hold)
    assert asyncio.run(lookout.look()) == health.Sight()
    assert begun.wait(PATIENCE)
    go.set()
    lookout.close()
    assert ended.is_set()

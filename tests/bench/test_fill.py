"""The databases that are measured hold what the service would have written, and its peers write the same rows."""

import csv
import sqlite3
from pathlib import Path

import psycopg
import pytest
from fastapi.testclient import TestClient

from app.service import Service
from bench import export, fill
from bench.goal import Broken
from bench.peers import pgbench
from bench.place import Place, count, is_sqlite, path_of, require_rows
from bench.sizes import QUICK
from tests.conftest import Clock
from tests.servers import Postgres
from tests.support import EXPORT_KEY, ORDER_KEY, bearer, work


@pytest.fixture
def url(database_url: str) -> str:
    """The test's own database, as the bench names it."""
    return database_url.replace("postgresql+psycopg://", "postgresql://")


@pytest.fixture(autouse=True)
def _now(clock: Clock, today: object) -> None:
    """Databases are filled with orders of these days."""
    clock.now = today  # type: ignore[assignment]


def written_by_peer(url: str, path: Path) -> Path:
    """Write what the database's own client would, without needing that program."""
    with path.open("w", encoding="utf-8", newline="") as file:
        if is_sqlite(url):
            database = sqlite3.connect(path_of(url))
            csv.writer(file).writerows(database.execute(export.SELECT))
            database.close()
            return path
        with psycopg.connect(url) as server, server.cursor().copy(export.COPY.encode()) as copy:
            for block in copy:
                file.write(bytes(block).decode())
    return path


def test_what_is_filled_in_is_exported_as_if_it_had_been_posted(
    url: str, client: TestClient, service: Service, outbox: Path, tmp_path: Path
) -> None:
    """A bench on rows that the service would treat otherwise would measure something else."""
    orders = fill.waiting(url, 300)
    peer = written_by_peer(url, tmp_path / "peer.csv")
    client.post("/exports", headers=bearer(EXPORT_KEY))
    work(service)
    (batch,) = client.get("/batches", headers=bearer(EXPORT_KEY)).json()["items"]
    assert (orders, batch["orders"], batch["rows"]) == (100, 100, 300)
    export.require_same_rows(peer, outbox.glob("*.csv"))
    with peer.open("a", encoding="utf-8") as file:
        file.write("one,row,more\n")
    with pytest.raises(Broken, match="do not hold the rows"):
        export.require_same_rows(peer, outbox.glob("*.csv"))


def test_a_history_is_delivered_and_new_orders_come_after_it(url: str, client: TestClient, service: Service) -> None:
    """Old orders wait for nothing, and the ids go on behind them."""
    fill.delivered(url, 30)
    added = fill.waiting(url, 30, first=31)
    old = client.get("/orders/A-000000030", headers=bearer(ORDER_KEY)).json()
    assert old["state"] == "delivered"
    asked = client.post("/exports", headers=bearer(EXPORT_KEY)).json()
    work(service)
    assert client.get(f"/exports/{asked['id']}", headers=bearer(EXPORT_KEY)).json()["exported"] == added == 10
    assert count(url, "click") == 30


def test_rows_that_were_acknowledged_and_are_missing_are_noticed(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Speed without durability is not measured."""
    fill.delivered(url, 3)
    monkeypatch.setattr("bench.place.CATCH_UP_SECONDS", 0)
    require_rows(url, "conversion", 3)
    with pytest.raises(Broken, match="4 were acknowledged, and conversion has 3 rows"):
        require_rows(url, "conversion", 4)


@pytest.mark.parametrize("script", ["transaction", "statement"])
def test_pgbench_makes_whole_orders(postgres: Postgres, script: str) -> None:
    """Its scripts write three items an order, as the service does."""
    with postgres.new_database() as url:
        pgbench.make_tables(url)
        rate, made = pgbench.run(url, script, clients=2, seconds=1)
        assert rate > 0
        require_rows(url, "items", 3 * made)
        assert count(url, "items") == 3 * count(url, "orders")


def test_a_run_leaves_nothing_behind(tmp_path: Path) -> None:
    """Databases and folders go with the run that made them."""
    with Place(tmp_path, QUICK) as place, place.new_database("sqlite") as url:
        path_of(url).write_bytes(b"a database")
        with place.copy_of(url) as copy:
            assert path_of(copy).read_bytes() == b"a database"
    assert list(tmp_path.iterdir()) == []

"""The scripts of the backup recipe, and the way back after a restore, on both databases."""

import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from app.conversions.record import record
from app.database import Database
from app.delivery.recover import Fate, recover
from app.ledger.export_routes import request_export
from app.service import Service
from tests.conftest import driver
from tests.recipes.recipe import blocks
from tests.servers import INSTALLATION, PACKAGE, Postgres
from tests.support import NOW, order, parse_rfc4180, work

PROGRAMS = Path(find_spec(PACKAGE).submodule_search_locations[0]) / INSTALLATION / "bin"  # type: ignore[union-attr,index]

Restore = Callable[[Path], Service]


def script(folder: Path, name: str, *arguments: object) -> str:
    """Run a script of the recipe, and return what it printed."""
    path = folder / name
    path.write_text(blocks("backup.md")[name], "utf-8")
    surroundings = {"PATH": os.pathsep.join((str(PROGRAMS), os.environ["PATH"]))}
    command = ["sh", str(path), *map(str, arguments)]
    done = subprocess.run(command, env=surroundings, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def export(service: Service, *order_ids: str) -> None:
    """Record orders, and let an export send what it may."""
    record(service.database, [order(one) for one in order_ids], NOW)
    request_export(service.database)
    work(service)


def sent(outbox: Path) -> list[str]:
    """Return the order ids of every file that left."""
    rows = [row for file in outbox.iterdir() for row in list(parse_rfc4180(file.read_bytes()))[1:]]
    return sorted(row[3] for row in rows if row[9] == "SKU-0")  # its first line stands for an order


@pytest.fixture
def shop(service: Service) -> Service:
    """A shop that takes orders while it is backed up."""
    export(service, "A", "B")
    return service


def backed_up(shop: Service, folder: Path) -> Path:
    """Take a backup with the recipe's script in the middle of writing."""
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            record(shop.database, [order(f"during-{number}", click_id=None)], NOW)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        return Path(_back_up(shop.database, folder))
    finally:
        stop.set()
        writer.join()


def _back_up(database: Database, folder: Path) -> str:
    url = make_url(database.url)
    if database.is_sqlite:
        return script(folder, "backup-sqlite.sh", url.database, folder)
    return script(folder, "backup-postgresql.sh", _plain(database.url), folder)


def _plain(url: str) -> str:
    return url.replace("postgresql+psycopg://", "postgresql://")


@contextmanager
def target(database: Database, request: pytest.FixtureRequest) -> Iterator[str]:
    """Give where a backup is brought back to: the same file, or an empty database of the same server."""
    if database.is_sqlite:
        yield database.url
        return
    server: Postgres = request.getfixturevalue("postgres")
    with server.new_database() as url:
        yield driver(url)


@pytest.fixture
def restore(shop: Service, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Restore]:
    """Return what brings a backup back and puts a new process on it."""
    with target(shop.database, request) as url:

        def bring_back(copy: Path) -> Service:
            shop.database.close()
            if shop.database.is_sqlite:
                script(tmp_path, "restore-sqlite.sh", copy, make_url(url).database)
            else:
                script(tmp_path, "restore-postgresql.sh", copy, _plain(url))
            return Service(shop.settings, Database(url), shop.channels, shop.clock, schema_is_checked=True)

        yield bring_back


def test_the_way_back_after_a_restore(
    shop: Service, restore: Callable[[Path], Service], outbox: Path, tmp_path: Path
) -> None:
    """Backed up in the middle of writing, restored: nothing leaves twice, nothing is lost, and new orders go."""
    copy = backed_up(shop, tmp_path)
    export(shop, "C", "D")
    assert sent(outbox) == ["A", "B", "C", "D"]
    restored = restore(copy)
    export(restored, "E")
    assert sent(outbox) == ["A", "B", "C", "D"]  # everything is held
    assert [one.fate for one in recover(restored.database, restored.hold, NOW)] == [Fate.REFUSED]
    record(restored.database, [order(one) for one in "CD"], NOW)  # the shop posts again what it has
    assert [one.fate for one in recover(restored.database, restored.hold, NOW)] == [Fate.RECOVERED]
    work(restored)
    assert sent(outbox) == ["A", "B", "C", "D", "E"]
    restored.database.close()


def test_a_restored_database_is_whole(shop: Service, restore: Restore, tmp_path: Path) -> None:
    """Every order that was acknowledged before the backup began is there."""
    restored = restore(backed_up(shop, tmp_path))
    with restored.database.snapshot() as session:
        query = "SELECT order_id FROM conversion WHERE order_id IN ('A', 'B')"
        assert len(session.connection().exec_driver_sql(query).all()) == 2
    restored.database.close()

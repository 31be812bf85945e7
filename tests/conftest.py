"""What tests share: both databases, migrated as a merchant's would be, and the service put together on them."""

import os
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from hypothesis import settings as hypothesis_settings
from pydantic import SecretStr

from app.config import Settings
from app.database import Database
from app.delivery.channels.folder import FolderChannel, FolderSettings
from app.main import create_app, leave_alone_what_stays
from app.migrations import migrate
from app.security import hash_of
from app.service import Service
from tests.servers import Postgres
from tests.support import EXPORT_KEY, NOW, ORDER_KEY, READ_KEY

hypothesis_settings.register_profile("whole", deadline=None)  # how long an example takes is no promise of a test
hypothesis_settings.load_profile("whole")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the long tests: one that comes late is waited for by every process that has nothing left to do.

    Each process begins with a share of its own, which it loses to others from the end (`--dist=worksteal`).
    """
    processes = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    long = [item for item in items if item.get_closest_marker("long")]
    others = [item for item in items if not item.get_closest_marker("long")]
    items[:] = [
        item
        for number in range(processes)
        for item in (*long[number::processes], *others[_share(len(others), number, processes)])
    ]


def pytest_collection_finish() -> None:
    """Look for garbage as a service that has started does, not in thousands of tests that stay."""
    leave_alone_what_stays()


def _share(length: int, number: int, processes: int) -> slice:
    return slice(length * number // processes, length * (number + 1) // processes)


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Neither the developer's environment nor a `.env` reaches a test."""
    for name in list(os.environ):
        if name.upper().startswith("CAPTURE_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server of this test process alone.

    It does not wait for its disk, which takes most of what a commit or a new database takes: tests end processes, and
    what those have written is the operating system's then. A server that is itself ended begins with fsync of its own.
    """
    with Postgres(fsync=False) as server:
        yield server


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty SQLite database with the schema."""
    path = tmp_path_factory.mktemp("template") / "template.db"
    database = Database(f"sqlite:///{path}")
    migrate(database)
    database.close()
    return path


@pytest.fixture(scope="session")
def migrated_postgres(postgres: Postgres) -> Iterator[str]:
    """The name of an empty PostgreSQL database with the schema."""
    with postgres.new_database() as url:
        database = Database(driver(url))
        migrate(database)
        database.close()
        yield url.rsplit("/", 1)[1]


def driver(url: str) -> str:
    """Return a PostgreSQL URL as the settings turn it."""
    return url.replace("postgresql://", "postgresql+psycopg://")


@pytest.fixture
def sqlite_url(migrated_sqlite: Path, tmp_path: Path) -> str:
    """A fresh SQLite database of the test's own."""
    shutil.copy(migrated_sqlite, tmp_path / "test.db")
    return f"sqlite:///{tmp_path / 'test.db'}"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """A fresh database of the test's own, once on SQLite and once on PostgreSQL."""
    if request.param == "sqlite":
        yield request.getfixturevalue("sqlite_url")
        return
    server: Postgres = request.getfixturevalue("postgres")
    with server.new_database(template=request.getfixturevalue("migrated_postgres")) as url:
        yield driver(url)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """The test's own database, open."""
    opened = Database(database_url)
    yield opened
    opened.close()


SettingsFactory = Callable[..., Settings]


@pytest.fixture
def make_settings(database_url: str, tmp_path: Path) -> SettingsFactory:
    """Return settings for the test's database, with changes."""

    def make(**changes: object) -> Settings:
        values = {
            "database_url": SecretStr(database_url),
            "campaign_id": 1000,
            "action_tracker_id": 4321,
            "order_keys": (f"sha256:{hash_of(ORDER_KEY)}",),
            "export_keys": (f"sha256:{hash_of(EXPORT_KEY)}",),
            "read_keys": (f"sha256:{hash_of(READ_KEY)}",),
            "spool_path": tmp_path / "spool",
        }
        return Settings.model_validate(values | changes)

    return make


@pytest.fixture
def outbox(tmp_path: Path) -> Path:
    """The folder where files are left."""
    return tmp_path / "outbox"


class Clock:
    """A clock that stands still until it is set."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        """Return the time it was set to."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """The service's clock."""
    return Clock(NOW)


@pytest.fixture
def service(database: Database, make_settings: SettingsFactory, outbox: Path, clock: Clock) -> Service:
    """The service on the test's database, delivering to a folder, with no worker of its own."""
    channel = FolderChannel(FolderSettings(path=outbox))
    return Service(make_settings(), database, {"folder": channel}, clock, schema_is_checked=True)


@pytest.fixture
def client(service: Service) -> Iterator[TestClient]:
    """A checkout backend's connection to the service, which has no worker: exports are worked on by the test."""
    with TestClient(create_app(service, with_worker=False), base_url="https://track.shop.example") as connected:
        yield connected


@pytest.fixture
def today() -> datetime:
    """The real time, for what is judged by the service's own clock."""
    return datetime.now(UTC)

"""Databases of a shop whose orders were acknowledged: filled once, copied for each test."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.conftest import driver
from tests.crash import shop as shops
from tests.crash.oracle import Acknowledgements
from tests.crash.shop import Shop
from tests.servers import Postgres

ORDERS = 28


@pytest.fixture(scope="session")
def filled_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """A shop on SQLite."""
    folder = tmp_path_factory.mktemp("filled")
    return _filled(f"sqlite:///{folder / 'filled.db'}", folder)


@pytest.fixture(scope="session")
def filled_postgres(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A shop on PostgreSQL."""
    with postgres.new_database() as url:
        yield _filled(driver(url), tmp_path_factory.mktemp("filled"))


def _filled(url: str, folder: Path) -> Shop:
    shop = Shop(url, folder / "outbox", Acknowledgements(folder / "acknowledged"), folder / "event-types.toml")
    shop.migrate()
    shop.write_event_types()
    with shop.service(max_rows=2 * shops.MAX_ROWS) as service:
        shops.fill(service, shop.acknowledgements, shops.orders(ORDERS, datetime.now(UTC)))
    return shop


@pytest.fixture
def new_shop(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[str], Shop]]:
    """Return a shop of the test's own, on the database that is asked for, with an export requested."""
    with ExitStack() as stack:

        def new(kind: str) -> Shop:
            template: Shop = request.getfixturevalue(f"filled_{kind}")
            if kind == "sqlite":
                shutil.copy(template.url.removeprefix("sqlite:///"), tmp_path / "shop.db")
                url = f"sqlite:///{tmp_path / 'shop.db'}"
            else:
                server: Postgres = request.getfixturevalue("postgres")
                name = urlsplit(template.url).path.removeprefix("/")
                url = driver(stack.enter_context(server.new_database(template=name)))
            toml = tmp_path / "event-types.toml"
            shop = Shop(url, tmp_path / "outbox", template.acknowledgements, toml, shops.STILL_SET_UP)
            shop.write_event_types()
            shops.request_export(shop)
            return shop

        yield new


@pytest.fixture(params=["sqlite", "postgres"])
def shop(request: pytest.FixtureRequest, new_shop: Callable[[str], Shop]) -> Shop:
    """A shop of the test's own with an export requested, once on SQLite and once on PostgreSQL."""
    return new_shop(request.param)

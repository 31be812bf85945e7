"""Databases of a shop whose orders were acknowledged: filled once, copied for each test."""

import dataclasses
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from app.delivery.channels.sftp import SftpChannel
from tests.conftest import driver
from tests.crash import shop as shops
from tests.crash.oracle import Acknowledgements
from tests.crash.shop import NewShop, Shop
from tests.delivery.email_process import email_apart
from tests.delivery.ftp_server import ftps
from tests.delivery.receiver import Receiver, own_settings, settings
from tests.delivery.sftp_server import sftp
from tests.servers import Postgres

ORDERS = 34


@contextmanager
def renaming(tmp_path: Path) -> Iterator[Receiver]:
    """An SFTP server to which files go under another name first."""
    with sftp(tmp_path) as receiver:
        own = own_settings(receiver.channel).model_copy(update={"publish": "rename"})
        yield dataclasses.replace(receiver, channel=SftpChannel(own, settings()))


RECEIVERS = {"sftp": sftp, "renaming": renaming, "ftps": ftps, "email": email_apart}


@pytest.fixture(scope="session")
def receivers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Receiver]]:
    """The receiver of each channel, real ones, which live as long as the tests."""
    with ExitStack() as stack:

        @cache
        def receiver(way: str) -> Receiver:
            return stack.enter_context(RECEIVERS[way](tmp_path_factory.mktemp(way)))

        yield receiver


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
def new_shop(request: pytest.FixtureRequest, tmp_path: Path, receivers: Callable[[str], Receiver]) -> Iterator[NewShop]:
    """Return shops of the test's own."""
    with ExitStack() as stack:

        def new(kind: str, way: str = "folder") -> Shop:
            template: Shop = request.getfixturevalue(f"filled_{kind}")
            if kind == "sqlite":
                shutil.copy(template.url.removeprefix("sqlite:///"), tmp_path / "shop.db")
                url = f"sqlite:///{tmp_path / 'shop.db'}"
            else:
                server: Postgres = request.getfixturevalue("postgres")
                name = urlsplit(template.url).path.removeprefix("/")
                url = driver(stack.enter_context(server.new_database(template=name)))
            shutil.copy(template.acknowledgements.path, tmp_path / "acknowledged")
            acknowledgements, toml = Acknowledgements(tmp_path / "acknowledged"), tmp_path / "event-types.toml"
            shop = Shop(url, tmp_path / "outbox", acknowledgements, toml, shops.STILL_SET_UP)
            if way != "folder":
                shop = dataclasses.replace(shop, receiver=emptied(receivers(way)))
            shop.write_event_types()
            shops.request_export(shop)
            return shop

        yield new


def emptied(receiver: Receiver) -> Receiver:
    """Return a receiver without the files of another test."""
    for name in receiver.files():
        receiver.forget(name)
    return receiver


@pytest.fixture(params=["sqlite", "postgres"])
def shop(request: pytest.FixtureRequest, new_shop: NewShop) -> Shop:
    """A shop of the test's own with an export requested, once on SQLite and once on PostgreSQL."""
    return new_shop(request.param)

"""What a person does in a browser, and the service behind it."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from fastapi import FastAPI
from playwright.sync_api import Page
from pydantic import SecretStr

from app.clicks.limiter import RateLimit
from app.config import Settings
from app.dashboard.session_routes import TRIES
from app.database import Database
from app.delivery.channels.folder import FolderChannel, FolderSettings
from app.main import create_app
from app.security import hash_of
from app.service import Service
from tests.dashboard.shop import fill
from tests.servers import served
from tests.support import EXPORT_KEY, ORDER_KEY, READ_KEY

ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")
WIDTHS = (360, 768, 1440)
HEIGHTS = {360: 740, 768: 1024, 1440: 900}


class Running(NamedTuple):
    """A service that a browser can call."""

    service: Service
    address: str
    app: FastAPI

    def forget_tries(self) -> None:
        """Let a test's browser sign in, however often others have just done so from the same address."""
        self.app.state.sign_ins = RateLimit(TRIES)


def service_in(folder: Path, migrated: Path) -> Service:
    """Return a service whose database, an empty one, and files lie in a folder."""
    shutil.copy(migrated, folder / "shop.db")
    keys = {"order": ORDER_KEY, "export": EXPORT_KEY, "read": READ_KEY}
    values = {f"{right}_keys": (f"sha256:{hash_of(key)}",) for right, key in keys.items()}
    settings = Settings.model_validate(
        values
        | {
            "database_url": SecretStr(f"sqlite:///{folder / 'shop.db'}"),
            "campaign_id": 1000,
            "action_tracker_id": 4321,
            "folder_pulled_at": "04:30",
            "journal_path": folder / "journal",
            "spool_path": folder / "spool",
        }
    )
    database = Database(settings.database_url.get_secret_value())
    channels = {"folder": FolderChannel(FolderSettings(path=folder / "outbox"))}
    return Service(settings, database, channels, schema_is_checked=True)


@contextmanager
def running_shop(folder: Path, migrated: Path, *, days: int = 30) -> Iterator[Running]:
    """Serve a shop that has run for some days, from a folder of its own; `migrated` is an empty SQLite database."""
    service = service_in(folder, migrated)
    fill(service, days=days)
    app = create_app(service, with_worker=False)
    with served(app) as address:
        yield Running(service, address, app)


def sign_in(page: Page, *more_keys: str) -> None:
    """Sign in with the read key, as a person does, and add the rights of other keys."""
    page.goto("/dashboard/sign-in")
    page.get_by_label("Read key").fill(READ_KEY)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("heading", name="Overview").wait_for()
    for key in more_keys:
        page.goto("/dashboard/rights")
        page.get_by_label("Export key or order key").fill(key)
        page.get_by_role("button", name="Add").click()
        page.wait_for_load_state()

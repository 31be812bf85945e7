"""A real browser before real shops. Each test has a browser profile of its own; each file its own service."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright
from pydantic import SecretStr

from app.config import Settings
from app.database import Database
from app.delivery.channels.folder import FolderChannel, FolderSettings
from app.main import create_app
from app.service import Service
from tests.system import program
from tests.web.site import Site

ARGUMENTS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
)
# Playwright switches the back/forward cache off.
PLAYWRIGHTS_OWN = ["--disable-back-forward-cache"]
SHOPS: dict[str, dict[str, Any]] = {
    "shop.example": {},
    "shop.test": {},
    "shop.co.uk": {},
    "hidden.example": {"cookie_httponly": True},
    "asking.example": {"consent": "required"},
    "deaf.example": {"honor_gpc": False},
    "evil.example": {},
}
"""The domains, and what is set differently for the service behind them."""
WWW = tuple(f"https://www.{name}" for name in SHOPS if name != "evil.example")


@pytest.fixture(scope="module")
def whole_site(tmp_path_factory: pytest.TempPathFactory, migrated_sqlite: Path) -> Iterator[Site]:
    """The shops with their service, once for a file."""
    folder = tmp_path_factory.mktemp("site")
    shutil.copy(migrated_sqlite, folder / "test.db")
    database = Database(f"sqlite:///{folder / 'test.db'}")

    def service(**changes: Any) -> Service:
        values = {
            "database_url": SecretStr(database.url),
            "campaign_id": 1000,
            "action_tracker_id": 4321,
            "storefront_origins": (*WWW, "https://shop.example"),
            "linked_domains": ("www.shop.test", "*.shop.co.uk"),
            "journal_path": folder / "journal",
            "spool_path": folder / "spool",
        }
        settings = Settings.model_validate(values | changes)
        channels = {"folder": FolderChannel(FolderSettings(path=folder / "outbox"))}
        return Service(settings, Database(database.url), channels)

    plain = create_app(service(), with_worker=False)
    apps = {
        name: create_app(service(**changes), with_worker=False) if changes else plain for name, changes in SHOPS.items()
    }
    with Site(apps, database, folder).serving() as site:
        yield site
    database.close()


@pytest.fixture(scope="module")
def browser(whole_site: Site) -> Iterator[Browser]:
    """Chromium, which finds every host at the site and trusts its certificate alone."""
    told = (
        f"--host-resolver-rules=MAP * 127.0.0.1:{whole_site.port}",
        f"--ignore-certificate-errors-spki-list={whole_site.key_hash}",
    )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program("chromium"), args=[*ARGUMENTS, *told], ignore_default_args=PLAYWRIGHTS_OWN
        )
        yield browser
        browser.close()


@pytest.fixture
def site(whole_site: Site) -> Site:
    """The shops, with nothing left of another test."""
    whole_site.reset()
    return whole_site


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A visitor's browser, new."""
    context = browser.new_context()
    context.set_default_timeout(15_000)
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext) -> Page:
    """A tab of it."""
    return context.new_page()

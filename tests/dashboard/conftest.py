"""The dashboard in a real browser, on SQLite, with a shop behind it that has run for a month."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.dashboard.chromium import ARGUMENTS, Running, running_shop, sign_in
from tests.system import program


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, migrated_sqlite: Path) -> Iterator[Running]:
    """The shop's service, once for a file."""
    with running_shop(tmp_path_factory.mktemp("dashboard"), migrated_sqlite, days=10) as shop:
        yield shop


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Debian's browser, once for a file."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program("chromium"), args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def page(chromium: Browser, running: Running) -> Iterator[Page]:
    """A tab of a browser that nobody has signed in with."""
    running.forget_tries()
    context = chromium.new_context(base_url=running.address)
    context.set_default_timeout(15_000)
    yield context.new_page()
    context.close()


@pytest.fixture
def signed_in(page: Page) -> Page:
    """A tab of somebody who has signed in with a read key."""
    sign_in(page)
    return page

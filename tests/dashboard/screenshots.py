"""Pictures of the dashboard for the documents: `python -m tests.dashboard.screenshots FOLDER` takes them anew."""

import sys
import tempfile
from pathlib import Path
from typing import Final, Literal

from playwright.sync_api import Browser, ViewportSize, sync_playwright

from app.database import Database
from app.migrations import migrate
from tests.dashboard.chromium import ARGUMENTS, Running, running_shop, sign_in
from tests.system import program

SIZE: Final[ViewportSize] = {"width": 1000, "height": 620}
MOST_BYTES: Final = 150_000
LIGHT: Final = "light"
DARK: Final = "dark"
PICTURES: Final[dict[str, tuple[str, Literal["light", "dark"]]]] = {
    "overview": ("/dashboard", LIGHT),
    "days": ("/dashboard?days=30#days", DARK),
    "orders": ("/dashboard/orders", LIGHT),
    "order": ("/dashboard/orders/default/S-1011", LIGHT),
    "batches": ("/dashboard/batches", LIGHT),
    "submissions": ("/dashboard/submissions", DARK),
}
"""What is taken, by the name of its file, and whether in the light or in the dark."""


def take(browser: Browser, running: Running, folder: Path) -> list[Path]:
    """Take every picture into a folder, and return where they are."""
    taken = []
    folder.mkdir(parents=True, exist_ok=True)
    for name, (path, theme) in PICTURES.items():
        running.forget_tries()
        context = browser.new_context(base_url=running.address, viewport=SIZE, color_scheme=theme)
        page = context.new_page()
        sign_in(page)
        answer = page.goto(path)
        assert answer is None or answer.ok, path
        page.wait_for_load_state("networkidle")
        taken.append(folder / f"{name}.png")
        page.screenshot(path=taken[-1])
        context.close()
    return taken


def main(folder: str) -> None:
    """Take the pictures of a shop of their own."""
    with tempfile.TemporaryDirectory() as there, sync_playwright() as playwright:
        empty = Path(there) / "empty.db"
        database = Database(f"sqlite:///{empty}")
        migrate(database)
        database.close()
        browser = playwright.chromium.launch(executable_path=program("chromium"), args=ARGUMENTS)
        with running_shop(Path(there), empty) as running:
            for picture in take(browser, running, Path(folder)):
                print(f"{picture}: {picture.stat().st_size // 1024} KiB")
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1])

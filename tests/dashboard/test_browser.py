"""The dashboard in a real browser: signing in, by the keyboard alone, in both themes, on every width, for everybody."""

from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from fastapi import FastAPI
from fastapi.responses import HTMLResponse
from playwright.sync_api import Page

from app.dashboard.sessions import COOKIE
from tests.dashboard.chromium import HEIGHTS, WIDTHS, Running, sign_in
from tests.servers import served
from tests.support import EXPORT_KEY, ORDER_KEY, READ_KEY

pytestmark = pytest.mark.system

PAGES = (
    *("/dashboard", "/dashboard/rights", "/dashboard/none", "/dashboard/orders", "/dashboard/orders/default/S-1011"),
    *("/dashboard/batches", "/dashboard/submissions"),
)
MOST_BYTES = 100_000


def complaints(page: Page) -> list[str]:
    """Return what the browser will have complained of: errors of scripts, and what the policy kept from being done."""
    found: list[str] = []
    page.on("pageerror", lambda error: found.append(str(error)))
    page.on("console", lambda said: found.append(said.text) if said.type in {"error", "warning"} else None)
    return found


def test_signing_in_and_out(page: Page) -> None:
    """A wrong key is told; the right one leads to the page that was asked for; after sign-out nothing opens."""
    page.goto("/dashboard/batches")
    assert urlsplit(page.url).path == "/dashboard/sign-in"
    page.get_by_label("Read key").fill("wrong")
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("alert").get_by_text("not known").wait_for()
    page.get_by_label("Read key").fill(READ_KEY)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/dashboard/batches")
    [cookie] = page.context.cookies(page.url)
    assert (cookie["name"], cookie["secure"], cookie["httpOnly"]) == (COOKIE, True, True)
    assert (cookie["sameSite"], cookie["path"]) == ("Strict", "/dashboard")
    assert page.evaluate("document.cookie") == ""
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/dashboard/sign-in")
    page.go_back()
    page.goto("/dashboard")
    assert urlsplit(page.url).path == "/dashboard/sign-in"


def test_more_rights(signed_in: Page) -> None:
    """They are added by their keys, and shown in the frame of every page."""
    signed_in.get_by_role("link", name="Rights: read").click()
    for key in (EXPORT_KEY, ORDER_KEY):
        signed_in.get_by_label("Export key or order key").fill(key)
        signed_in.get_by_role("button", name="Add").click()
    signed_in.get_by_role("link", name="Rights: export, order, read").wait_for()


def test_a_page_of_another_site_does_nothing(signed_in: Page, running: Running) -> None:
    """It posts a form to the dashboard from a browser that is signed in: the session stays."""
    target = f"{running.address}/dashboard/sign-out"

    evil = FastAPI()

    @evil.get("/", response_class=HTMLResponse)
    def page() -> str:
        return f'<form method="post" action="{target}"><input name="token" value="x"><button>Win</button></form>'

    with served(evil) as address:
        signed_in.goto(address.replace("127.0.0.1", "localhost"))
        signed_in.get_by_role("button", name="Win").click()
        signed_in.wait_for_url("**/dashboard/sign-in")  # to which the browser brings no cookie from there
        signed_in.goto(address)  # another port is another origin of the same site, to which the cookie goes along
        signed_in.get_by_role("button", name="Win").click()
        signed_in.get_by_text("not sent by a page of the dashboard").wait_for()
    signed_in.goto(f"{running.address}/dashboard")
    signed_in.get_by_role("heading", name="What to do today").wait_for()


def test_by_the_keyboard_alone(page: Page) -> None:
    """Sign in, skip to the content, go on by the menu, sign out; where one is can be seen all the time."""
    page.goto("/dashboard/sign-in")
    page.keyboard.type(READ_KEY)  # the field has the focus already
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Overview").wait_for()
    page.keyboard.press("Tab")
    assert _focused(page) == "Skip to the content"
    box = page.get_by_role("link", name="Skip to the content").bounding_box()
    assert box
    assert box["y"] >= 0
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    page.goto("/dashboard")
    seen: list[str] = []
    while "Batches" not in seen:
        page.keyboard.press("Tab")
        seen.append(_focused(page))
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        assert len(seen) < 10
    page.keyboard.press("Enter")
    page.wait_for_url("**/dashboard/batches")
    while _focused(page) != "Sign out":
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_url("**/dashboard/sign-in")


def _focused(page: Page) -> str:
    return str(page.evaluate("document.activeElement.innerText")).strip()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_page_is_for_everybody(page: Page, theme: str) -> None:
    """No serious fault for readers and keyboards, nothing wider than the screen, no complaint of the browser."""
    page.emulate_media(color_scheme="dark" if theme == "dark" else "light", reduced_motion="reduce")
    found = complaints(page)
    page.goto("/dashboard/sign-in")
    faults = _faults(page)
    sign_in(page, EXPORT_KEY, ORDER_KEY)
    for path in PAGES:
        page.set_viewport_size({"width": WIDTHS[0], "height": HEIGHTS[WIDTHS[0]]})
        page.goto(path)
        faults += _faults(page)
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": HEIGHTS[width]})
            if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
                faults.append(f"{path} is wider than {width} px")
    assert faults == []
    assert [one for one in found if "404" not in one] == []


def _faults(page: Page) -> list[str]:
    violations = Axe().run(page).response["violations"]
    return [
        f"{page.url}: {one['id']} {node['target']} {node.get('failureSummary', '')}"
        for one in violations
        if one["impact"] in {"serious", "critical"}
        for node in one["nodes"]
    ]


@pytest.mark.parametrize("path", ["/dashboard", "/dashboard?days=90", "/dashboard/orders"])
def test_a_page_is_light(signed_in: Page, path: str) -> None:
    """With all that belongs to it, loaded for the first time, less than 100 KB come over the line."""
    signed_in.context.clear_cookies(name="none")
    session = signed_in.context.new_cdp_session(signed_in)
    session.send("Network.enable")
    session.send("Network.clearBrowserCache")
    received: list[int] = []
    session.on("Network.loadingFinished", lambda told: received.append(int(told["encodedDataLength"])))
    signed_in.goto(path)
    signed_in.wait_for_load_state("networkidle")
    assert len(received) >= 3
    assert sum(received) < MOST_BYTES
    images = "Array.from(document.images).filter(one => !one.complete || !one.naturalWidth).length"
    assert signed_in.evaluate(images) == 0

"""What the tests of this folder say often."""

import json
from collections.abc import Callable
from typing import Any, Final

from playwright.sync_api import BrowserContext, Page

from tests.servers import Complaint, wait_until
from tests.web.site import Heard, Site

ID: Final = "QiiWXOVnrQ3SQHl24jQjyxBGUkmzfJ3i1VHrWM0"
OTHER: Final = "aaaa:BBBB/cc=%2B+~._-"
DAY: Final = 86_400
SCRIPT: Final = '<script async src="https://track.{shop}/capture.js" {attributes}></script>'


def script(shop: str = "shop.example", **attributes: str) -> str:
    """Return the one line that a shop puts into its pages; attributes are given as `data_consent="required"`."""
    written = " ".join(f'{name.replace("_", "-")}="{value}"' for name, value in attributes.items())
    return SCRIPT.format(shop=shop, attributes=written)


def cookie(context: BrowserContext, shop: str = "shop.example", name: str = "im_ref") -> Any:
    """Return the only cookie of this name that pages of a shop would send, or None."""
    found = [one for one in context.cookies(f"https://www.{shop}/") if one.get("name") == name]
    assert len(found) < 2, found
    return found[0] if found else None


def value(context: BrowserContext, shop: str = "shop.example", name: str = "im_ref") -> str | None:
    """Return the cookie's value, or None."""
    found = cookie(context, shop, name)
    return str(found["value"]) if found else None


def told(one: Heard) -> dict[str, Any]:
    """Return what the snippet told the service."""
    body: dict[str, Any] = json.loads(one.body)
    return body


def until(page: Page, condition: Callable[[], bool], complaint: Complaint) -> None:
    """Wait for something outside of the page while the browser goes on."""

    def holds() -> bool:
        page.wait_for_timeout(1)  # while it waits, the browser's events are taken in
        return condition()

    wait_until(holds, complaint)


def recorded(site: Site, page: Page, *click_ids: str) -> None:
    """Wait until exactly these clicks are on record."""
    named = set(click_ids)
    until(page, lambda: set(site.clicks()) == named, lambda: f"on record are {set(site.clicks())}, not {named}")


def renewed(page: Page, context: BrowserContext, shop: str = "shop.example") -> None:
    """Wait until the cookie is the one that the server has set, whose time has no zero before it."""
    until(page, lambda: (value(context, shop, "im_ref_at") or "0")[0] != "0", "the server did not renew the cookie")


def quiet(page: Page) -> list[str]:
    """Return a list in which every error that reaches the page will stand."""
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    return errors

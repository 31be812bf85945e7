"""What a visitor allows, in a real browser: nothing is written before, nothing is left after."""

import json
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from tests.web.site import Site
from tests.web.visit import ID, cookie, quiet, recorded, renewed, script, told, until, value

pytestmark = pytest.mark.system

SHOP, ASKING, HIDDEN = "https://www.shop.example", "https://www.asking.example", "https://www.hidden.example"
LINK = '<a id="way" href="https://www.shop.test/">x</a>'
TRACES = "[document.cookie, localStorage.length, sessionStorage.length, document.querySelectorAll('form,input').length]"


def consent(page: Page, granted: bool) -> None:
    """Say what the visitor said, as a consent banner does."""
    page.evaluate(f"conversionCapture.consent({json.dumps(granted)})")


@pytest.fixture(params=["attribute", "server"])
def asking(request: pytest.FixtureRequest, site: Site) -> str:
    """A shop that asks first: by the script's attribute, or by the server's setting, which is written in."""
    if request.param == "server":
        site.add("www.asking.example/*", LINK + script("asking.example"))
        return "asking.example"
    site.add("www.shop.example/*", LINK + script(data_consent="required"))
    return "shop.example"


def test_nothing_is_written_before_consent(site: Site, context: BrowserContext, page: Page, asking: str) -> None:
    """No cookie, no storage, no call, nothing on a link, and no id for the page's own scripts."""
    page.goto(f"https://www.{asking}/?im_ref={ID}")
    page.wait_for_load_state("networkidle")
    page.evaluate("addEventListener('click', (event) => { window.used = event.target.href; event.preventDefault() })")
    page.locator("#way").click()
    assert page.evaluate("used") == "https://www.shop.test/"
    assert page.evaluate(TRACES) == ["", 0, 0, 0]
    assert page.evaluate("conversionCapture.clickId()") is None
    assert (context.cookies(), site.posts(), site.clicks()) == ([], [], {})


def test_consent_that_comes_later_on_the_landing_page_keeps_the_click(
    site: Site, context: BrowserContext, page: Page, asking: str
) -> None:
    """Also after the page's own router has cleaned the address."""
    page.goto(f"https://www.{asking}/?im_ref={ID}")
    page.wait_for_function("window.conversionCapture")
    page.evaluate("history.replaceState(null, '', '/')")
    page.wait_for_timeout(1_100)
    consent(page, True)
    recorded(site, page, ID)
    renewed(page, context, asking)
    assert value(context, asking) == ID
    assert told(site.posts()[0])["consent"] is True
    page.goto(f"https://www.{asking}/a")
    consent(page, True)
    page.wait_for_load_state("networkidle")
    assert len(site.posts()) == 1
    assert page.evaluate("conversionCapture.clickId()") == ID


def test_consent_is_told_also_when_the_server_was_away(
    site: Site, context: BrowserContext, page: Page, asking: str
) -> None:
    """A server that asks for consent gets it with the second try on the next page, before the banner has spoken."""
    site.is_down = True
    page.goto(f"https://www.{asking}/?im_ref={ID}")
    page.wait_for_function("window.conversionCapture")
    consent(page, True)
    page.wait_for_load_state("networkidle")
    site.is_down = False
    page.goto(f"https://www.{asking}/a")
    recorded(site, page, ID)
    assert [told(one)["consent"] for one in site.posts()] == [True, True]


def test_a_refusal_writes_nothing(site: Site, context: BrowserContext, page: Page, asking: str) -> None:
    """And needs no call, since there is nothing to forget."""
    page.goto(f"https://www.{asking}/?im_ref={ID}")
    page.wait_for_function("window.conversionCapture")
    consent(page, False)
    page.wait_for_load_state("networkidle")
    assert page.evaluate(TRACES) == ["", 0, 0, 0]
    assert (context.cookies(), site.posts()) == ([], [])


def test_withdrawing_deletes_cookie_and_record(site: Site, context: BrowserContext, page: Page) -> None:
    """On the landing page or on any later one, and it stays deleted."""
    site.add("www.shop.example/*", LINK + script())
    for path in ("", "later"):
        page.goto(f"{SHOP}/?im_ref={ID}")
        recorded(site, page, ID)
        renewed(page, context)
        if path:
            page.goto(f"{SHOP}/{path}")
            page.wait_for_function("window.conversionCapture")
        consent(page, False)
        recorded(site, page)
        page.wait_for_load_state("networkidle")
        assert (context.cookies(), page.evaluate("conversionCapture.clickId()")) == ([], None)
        assert page.evaluate("document.cookie + (sessionStorage.conversionCapture || '')") == ""


def test_withdrawing_reaches_a_cookie_that_no_script_can_see(site: Site, context: BrowserContext, page: Page) -> None:
    """The server deletes its HttpOnly cookie and the record."""
    site.add("www.hidden.example/*", script("hidden.example"))
    page.goto(f"{HIDDEN}/?im_ref={ID}")
    renewed(page, context, "hidden.example")
    assert cookie(context, "hidden.example")["httpOnly"]
    assert page.evaluate("document.cookie") == ""
    page.goto(f"{HIDDEN}/later")
    page.wait_for_function("window.conversionCapture")
    consent(page, False)
    recorded(site, page)
    until(page, lambda: context.cookies() == [], "a cookie is left")


def test_withdrawing_needs_no_server_for_the_cookie(site: Site, context: BrowserContext, page: Page) -> None:
    """With the service away the cookie goes all the same."""
    site.add("www.shop.example/", script())
    page.goto(f"{SHOP}/?im_ref={ID}")
    renewed(page, context)
    site.is_down = True
    consent(page, False)
    page.wait_for_load_state("networkidle")
    assert context.cookies() == []


def test_a_visitor_may_change_his_mind(site: Site, context: BrowserContext, page: Page) -> None:
    """Refused and then allowed on the landing page: the click is kept."""
    site.add("www.shop.example/", script())
    page.goto(f"{SHOP}/?im_ref={ID}")
    renewed(page, context)
    consent(page, False)
    recorded(site, page)
    page.wait_for_load_state("networkidle")
    consent(page, True)
    recorded(site, page, ID)
    until(page, lambda: value(context) == ID, "the click was not kept")


@pytest.fixture
def refusing(browser: Browser) -> Iterator[BrowserContext]:
    """A browser that sends Global Privacy Control, and says so to scripts."""
    context = browser.new_context(extra_http_headers={"Sec-GPC": "1"})
    context.add_init_script("Object.defineProperty(navigator, 'globalPrivacyControl', {value: true})")
    yield context
    context.close()


def test_global_privacy_control_is_a_refusal(site: Site, refusing: BrowserContext) -> None:
    """No cookie, no record, no call; what was kept before goes at the next page."""
    site.add("www.shop.example/*", LINK + script())
    page = refusing.new_page()
    errors = quiet(page)
    page.goto(f"{SHOP}/?im_ref={ID}")
    page.wait_for_load_state("networkidle")
    consent(page, True)
    page.wait_for_load_state("networkidle")
    assert page.evaluate(TRACES) == ["", 0, 0, 0]
    assert (refusing.cookies(), site.posts(), errors) == ([], [], [])
    kept = {"im_ref": ID, "im_ref_at": "1"}
    refusing.add_cookies(
        [{"name": name, "value": text, "domain": ".shop.example", "path": "/"} for name, text in kept.items()]
    )
    page.goto(f"{SHOP}/later")
    until(page, lambda: refusing.cookies() == [], "a cookie is left")
    until(page, lambda: bool(site.posts()), "the service was not told")  # the page itself drops its cookies before
    assert [told(one)["consent"] for one in site.posts()] == [False]


def test_a_shop_may_not_take_global_privacy_control_for_a_refusal(site: Site, refusing: BrowserContext) -> None:
    """With CAPTURE_HONOR_GPC=false, script and server agree."""
    site.add("www.deaf.example/", script("deaf.example"))
    page = refusing.new_page()
    page.goto(f"https://www.deaf.example/?im_ref={ID}")
    recorded(site, page, ID)
    assert value(refusing, "deaf.example") == ID

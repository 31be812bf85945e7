"""The tag manager's two tags in Chromium, put late into a page that has lost its query, before the real service."""

from collections.abc import Callable, Iterator, Mapping

import pytest
import trustme
from playwright.sync_api import Browser, Page, sync_playwright

from tests.recipes.proxies import Proxy, shop_nginx
from tests.recipes.recipe import SHOP, UGLY, Running, blocks, changed, encoded
from tests.servers import HOST, free_port, wait_until
from tests.system import program
from tests.web.conftest import ARGUMENTS

pytestmark = pytest.mark.system

TLS_SHOP = """
    server {{
        listen {host}:{port} ssl;
        ssl_certificate {folder}/pem;
        ssl_certificate_key {folder}/key;
        root shop;
        {locations}
    }}
"""
# The shop's router takes the query away before anything else has run.
ROUTER = "<!doctype html><title>Shop</title><script>history.replaceState(null, '', '/boots')</script><h1>Boots</h1>"
# What the tag manager does with Custom HTML: it makes the script elements anew, without attributes it does not know.
INJECT = """html => {
  for (const given of new DOMParser().parseFromString(html, 'text/html').querySelectorAll('script')) {
    const made = document.createElement('script');
    made.text = given.text;
    document.body.appendChild(made);
  }
}"""


@pytest.fixture(scope="module")
def proxy(running_service: Running, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """The shop over HTTPS, with the same-origin proxy of the recipe."""
    folder, port = tmp_path_factory.mktemp("nginx"), free_port()
    certificate = trustme.CA().issue_cert(SHOP)
    certificate.private_key_pem.write_to_path(folder / "key")
    for blob in certificate.cert_chain_pems:
        blob.write_to_path(folder / "pem", append=True)
    locations = blocks("reverse-proxy.md")["server.conf"]
    servers = TLS_SHOP.format(host=HOST, port=port, folder=folder, locations=locations)
    with shop_nginx(folder / "server", running_service.port, servers, port) as started:
        (started.folder / "shop" / "index.html").write_text(ROUTER, "utf-8")
        yield started


@pytest.fixture(scope="module")
def browser(proxy: Proxy) -> Iterator[Browser]:
    """Chromium, which finds every host at the shop's web server."""
    arguments = [*ARGUMENTS, f"--host-resolver-rules=MAP * {HOST}:{proxy.port}"]
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program("chromium"), args=arguments)
        yield started
        started.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A new visitor's tab, in which nothing may go wrong."""
    context = browser.new_context(ignore_https_errors=True)
    opened, faults = context.new_page(), list[str]()
    opened.on("pageerror", lambda error: faults.append(str(error)))
    yield opened
    context.close()
    assert faults == []


@pytest.fixture
def tag(page: Page) -> Callable[..., None]:
    """Put a tag of the recipe into the page."""

    def put(name: str, changes: Mapping[str, str] | None = None) -> None:
        page.evaluate(INJECT, changed(blocks("tag-manager.md")[name], changes or {}))

    return put


def land(page: Page, click_id: str) -> None:
    """Open the shop by a partner's link; its router has removed the click id when this returns."""
    page.goto(f"https://{SHOP}/?im_ref={encoded(click_id)}")
    assert page.evaluate("location.href") == f"https://{SHOP}/boots"


def loaded(page: Page) -> None:
    """Return when the snippet is there."""
    page.wait_for_function("window.conversionCapture !== undefined")


def cookies(page: Page) -> dict[str, str]:
    """Return the visitor's cookies."""
    return {one["name"]: one["value"] for one in page.context.cookies()}


def kept(page: Page, running_service: Running, click_id: str) -> None:
    """Return when the visitor's cookie and the record hold the click."""
    wait_until(lambda: cookies(page).get("im_ref") == click_id, "the cookie is not there")
    wait_until(lambda: click_id in running_service.clicks(), "the click is not on record")


NO_CONSENT_NEEDED = {"  script.setAttribute('data-consent', 'required');\n": ""}


def test_a_late_tag_finds_the_click_id(page: Page, running_service: Running, tag: Callable[..., None]) -> None:
    """It is in the address that the page was opened with, though the router has changed it."""
    land(page, UGLY[0])
    tag("load.html", NO_CONSENT_NEEDED)
    kept(page, running_service, UGLY[0])
    assert cookies(page)["im_ref_at"].isdigit()
    assert page.evaluate("conversionCapture.clickId()") == UGLY[0]


def test_nothing_is_kept_before_consent_and_the_click_is_kept_after_it(
    page: Page, running_service: Running, tag: Callable[..., None]
) -> None:
    """The attributes survive the tag manager, since they are set by script; consent comes later on the same page."""
    land(page, "with-consent")
    tag("load.html")
    loaded(page)
    assert page.evaluate("document.querySelector('script[src]').dataset.linkedDomains") == "shop.test,*.shop.test"
    assert cookies(page) == {}
    assert "with-consent" not in running_service.clicks()
    tag("granted.html")
    kept(page, running_service, "with-consent")


def test_consent_may_come_before_the_snippet(page: Page, running_service: Running, tag: Callable[..., None]) -> None:
    """The order of the two tags does not matter."""
    land(page, "early-consent")
    tag("granted.html")
    tag("load.html")
    kept(page, running_service, "early-consent")


def test_consent_can_be_withdrawn(page: Page, running_service: Running, tag: Callable[..., None]) -> None:
    """The same tag with `false` deletes the cookies and the record."""
    land(page, "withdrawn-consent")
    tag("load.html")
    tag("granted.html")
    kept(page, running_service, "withdrawn-consent")
    tag("granted.html", {"true": "false"})
    wait_until(lambda: cookies(page) == {}, "the cookies are still there")
    wait_until(lambda: "withdrawn-consent" not in running_service.clicks(), "the click is still on record")

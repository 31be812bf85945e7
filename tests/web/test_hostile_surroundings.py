"""Pages and browsers that allow little: the snippet does what it can and never disturbs the page."""

import pytest
from playwright.sync_api import BrowserContext, Page

from tests.web.site import Site
from tests.web.visit import ID, OTHER, quiet, recorded, renewed, script, until, value

pytestmark = pytest.mark.system

SHOP = "https://www.shop.example"
TRACK = "https://track.shop.example"
ALL = """<a id="way" href="https://www.shop.test/">x</a><script>
  addEventListener("click", (event) => { window.used = event.target.href; event.preventDefault() });
</script>"""
USE = """() => {
  history.pushState(1, "", location.href); history.replaceState(2, "");
  const said = [conversionCapture.consent(true), conversionCapture.consent(false)];
  document.getElementById("way").click();
  const opened = window.open("about:blank"); opened && opened.close();
  return [history.state, window.used.split("?")[0], ...said].map(String);
}"""
USED = ["2", "https://www.shop.test/", "undefined", "undefined"]


def test_cookies_are_blocked(site: Site, context: BrowserContext, page: Page) -> None:
    """Nothing is kept and nobody is called, since the server's cookie would be blocked too; this page has the id."""
    errors = quiet(page)
    site.add("www.shop.example/", ALL + script())
    context.new_cdp_session(page).send("Emulation.setDocumentCookieDisabled", {"disabled": True})
    page.goto(f"{SHOP}/?im_ref={ID}")
    page.wait_for_load_state("networkidle")
    assert page.evaluate("conversionCapture.clickId()") == ID
    assert page.evaluate(USE) == USED
    assert (context.cookies(), site.posts(), errors) == ([], [], [])


@pytest.mark.parametrize("sandbox", ["allow-scripts", "allow-scripts allow-forms allow-popups"])
def test_a_sandboxed_frame(site: Site, context: BrowserContext, page: Page, sandbox: str) -> None:
    """Where cookies and storage throw, nothing of it reaches the page."""
    errors = quiet(page)
    site.add("www.shop.example/", f'<iframe sandbox="{sandbox}" src="/inner?im_ref={ID}"></iframe>')
    site.add("www.shop.example/inner", ALL + script())
    page.goto(f"{SHOP}/")
    page.wait_for_load_state("networkidle")
    frame = page.frames[1]
    frame.wait_for_function("window.conversionCapture")
    assert frame.evaluate("conversionCapture.clickId()") == ID
    frame.evaluate("conversionCapture.consent(true); conversionCapture.consent(false); document.body.click()")
    page.wait_for_load_state("networkidle")
    assert (context.cookies(), site.clicks(), errors) == ([], {}, [])


def test_storage_is_full(site: Site, context: BrowserContext, page: Page) -> None:
    """The cookie and the record need no other storage."""
    errors = quiet(page)
    fill = "for (let size = 1 << 22; size; size >>= 1) try { sessionStorage[size] = 'x'.repeat(size) } catch (_) {}"
    site.add("www.shop.example/", f"<script>{fill}</script>{ALL}{script()}")
    page.goto(f"{SHOP}/?im_ref={ID}")
    recorded(site, page, ID)
    renewed(page, context)
    assert page.evaluate(USE) == USED
    assert errors == []


def test_the_endpoint_cannot_be_reached(site: Site, context: BrowserContext, page: Page) -> None:
    """Neither a refused connection nor an origin that the server does not know disturbs the page."""
    errors = quiet(page)
    for number, endpoint in enumerate(["https://127.0.0.1:1/capture", "https://track.evil.example/x", "http://[/"]):
        site.add("www.shop.example/", ALL + script(data_endpoint=endpoint))
        page.goto(f"{SHOP}/?im_ref=click-{number}")
        page.wait_for_load_state("networkidle")
        assert value(context) == f"click-{number}"
        assert page.evaluate("conversionCapture.clickId()") == f"click-{number}"
    assert errors == []


def test_old_or_broken_browsers(site: Site, context: BrowserContext, page: Page) -> None:
    """Without fetch, performance entries, or working storage the cookie is still kept."""
    errors = quiet(page)
    page.add_init_script(
        "delete window.fetch; delete window.performance; window.fetch = undefined; window.performance = undefined;"
        "Object.defineProperty(window, 'sessionStorage', {get() { throw new Error('no') }})"
    )
    site.add("www.shop.example/", ALL + script())
    page.goto(f"{SHOP}/?im_ref={ID}")
    until(page, lambda: value(context) == ID, "no cookie came")
    page.evaluate(USE)
    assert errors == []


def test_a_strict_content_security_policy(site: Site, context: BrowserContext, page: Page) -> None:
    """A nonce for the script and the endpoint in connect-src are all it needs; trusted types do not mind it."""
    errors, complaints = quiet(page), []
    page.on("console", lambda message: complaints.append(message.text))
    policy = f"default-src 'none'; script-src 'nonce-abc'; connect-src {TRACK}; require-trusted-types-for 'script'"
    body = '<a id="way" href="https://www.shop.test/">x</a><form id="form" action="https://www.shop.test/b"></form>'
    site.add("www.shop.example/", body + script(nonce="abc"), content_security_policy=policy)
    site.add("www.shop.test/*", script("shop.test"))
    page.goto(f"{SHOP}/?im_ref={ID}")
    recorded(site, page, ID)
    renewed(page, context)
    page.evaluate("open('https://www.shop.test/a')")
    page.evaluate("document.getElementById('form').submit()")
    until(page, lambda: value(context, "shop.test") == ID, "the click did not go along")
    assert ([one for one in complaints if "favicon" not in one and "404" not in one], errors) == ([], [])


def test_a_pinned_script(site: Site, context: BrowserContext, page: Page) -> None:
    """With `integrity` the browser runs exactly the released bytes, from another origin, and no others."""
    from app.clicks.snippet_routes import current_snippet  # noqa: PLC0415

    snippet = current_snippet(site.apps["shop.example"].state.settings)
    pinned = '<script src="{}/capture-{}.js" integrity="{}" crossorigin="anonymous"></script>'
    site.add("www.shop.example/", pinned.format(TRACK, snippet.name, snippet.integrity))
    page.goto(f"{SHOP}/?im_ref={OTHER.replace('%', '%25').replace('+', '%2B')}")
    recorded(site, page, OTHER)
    site.add("www.shop.example/", pinned.format(TRACK, snippet.name, snippet.integrity.replace("A", "B")))
    page.goto(f"{SHOP}/?im_ref=other")
    page.wait_for_load_state("networkidle")
    assert page.evaluate("typeof conversionCapture") == "undefined"

"""A stranger's page cannot plant a click with a visitor, and cannot delete one."""

import time

import pytest
from playwright.sync_api import BrowserContext, Page

from tests.web.site import Site
from tests.web.visit import ID, recorded, renewed, script, value

pytestmark = pytest.mark.system

SHOP, TRACK, EVIL = "https://www.shop.example", "https://track.shop.example", "https://www.evil.example"
PLANT = f"{TRACK}/capture?im_ref=evil"
BODY = """{method: "POST", credentials: "include", body: '{"im_ref": "evil"}', mode: "MODE", keepalive: true}"""

ATTACKS = {
    "image": f'<img src="{PLANT}">',
    "image by script": f'<script>new Image().src = "{PLANT}"</script>',
    "script": f'<script src="{PLANT}"></script>',
    "stylesheet": f'<link rel="stylesheet" href="{PLANT}">',
    "prefetch": f'<link rel="prefetch" href="{PLANT}"><link rel="preload" as="fetch" href="{PLANT}">',
    "video": f'<video src="{PLANT}"></video><audio src="{PLANT}"></audio>',
    "object": f'<object data="{PLANT}"></object><embed src="{PLANT}">',
    "frame": f'<iframe hidden src="{PLANT}"></iframe>',
    "frame that goes on": f'<iframe hidden src="{PLANT}&to={SHOP}/"></iframe>',
    "frame of the landing page": f'<iframe hidden src="{SHOP}/landing?im_ref=evil"></iframe>',
    "frame of a hand-over": f'<iframe hidden src="{SHOP}/landing?im_ref=evil&im_linked=NOW.NOW"></iframe>',
    "fetch": f'<script>fetch("{PLANT}", {{credentials: "include"}}).catch(() => 0)</script>',
    "fetch without CORS": f'<script>fetch("{PLANT}", {{credentials: "include", mode: "no-cors"}})</script>',
    "post": f'<script>fetch("{TRACK}/capture", {BODY.replace("MODE", "no-cors")})</script>',
    "post with CORS": f'<script>fetch("{TRACK}/capture", {BODY.replace("MODE", "cors")}).catch(() => 0)</script>',
    "beacon": f"""<script>navigator.sendBeacon("{TRACK}/capture", '{{"im_ref": "evil"}}')</script>""",
    "form in a frame": f"""<iframe hidden name="f"></iframe>
      <form target="f" method="post" enctype="text/plain" action="{TRACK}/capture">
      <input name='{{"im_ref": "evil", "x": "' value='"}}'></form><script>document.forms[0].submit()</script>""",
    "through the shop's own proxy": f'<img src="{SHOP}/aff/capture?im_ref=evil">'
    f'<iframe hidden src="{SHOP}/aff/capture?im_ref=evil"></iframe>',
    "withdrawal": f'<img src="{TRACK}/capture?consent=denied&im_ref={ID}"><iframe src="{TRACK}/capture?consent=denied">'
    f"""</iframe><script>navigator.sendBeacon("{TRACK}/capture", '{{"consent": false, "im_ref": "{ID}"}}')</script>""",
}


def attack(site: Site, page: Page, body: str) -> None:
    """Visit the stranger's page, and see that its calls arrive."""
    site.add("www.shop.example/landing", script())
    site.add("www.evil.example/", body.replace("NOW", str(int(time.time()))))
    before = len(site.heard)
    site.shown.clear()
    page.goto(f"{EVIL}/")
    page.wait_for_load_state("networkidle")
    assert len(site.heard) > before or "www.shop.example/landing" in site.shown


@pytest.mark.parametrize("body", ATTACKS.values(), ids=ATTACKS)
def test_a_stranger_plants_nothing(site: Site, context: BrowserContext, page: Page, body: str) -> None:
    """No cookie and no record come of it."""
    attack(site, page, body)
    assert (context.cookies(SHOP), site.clicks()) == ([], {})


def test_a_stranger_changes_nothing(site: Site, context: BrowserContext, page: Page) -> None:
    """A visitor who has a click keeps it, in the cookie and on record, whatever of this is tried."""
    site.add("www.shop.example/", script())
    page.goto(f"{SHOP}/?im_ref={ID}")
    recorded(site, page, ID)
    renewed(page, context)
    attack(site, page, "".join(ATTACKS.values()))
    assert value(context) == ID
    assert list(site.clicks()) == [ID]


def test_the_same_calls_from_the_shop_itself_count(site: Site, context: BrowserContext, page: Page) -> None:
    """The negative control: an image and a fetch of the shop's own page are its own business."""
    site.add("www.shop.example/", f'<img src="{TRACK}/capture?im_ref=image">')
    page.goto(f"{SHOP}/")
    recorded(site, page, "image")
    site.add("www.shop.example/", f'<script>fetch("{TRACK}/capture?im_ref=call", {{credentials: "include"}})</script>')
    page.goto(f"{SHOP}/")
    recorded(site, page, "image", "call")
    assert value(context) == "call"


def test_a_visitor_who_follows_a_link_is_a_landing(site: Site, context: BrowserContext, page: Page) -> None:
    """A partner's link through /capture is a navigation of the whole tab: it counts, and goes on to the shop."""
    site.add("www.evil.example/", f'<a id="way" href="{TRACK}/capture?im_ref={ID}&to={SHOP}/boots">x</a>')
    site.add("www.shop.example/boots", "<h1>Boots</h1>")
    page.goto(f"{EVIL}/")
    page.locator("#way").click()
    page.wait_for_url(f"{SHOP}/boots")
    recorded(site, page, ID)
    assert value(context) == ID


def test_a_sibling_that_tosses_cookies_is_cleaned_up_after(site: Site, context: BrowserContext, page: Page) -> None:
    """Cookies of another part of the domain do not outlive the next landing, so that a checkout reads one click."""
    site.add("www.shop.example/*", script())
    site.add("blog.shop.example/", "<script>document.cookie = 'im_ref=tossed; Domain=shop.example; Path=/'</script>")
    page.goto("https://blog.shop.example/")
    context.add_cookies(
        [{"name": "im_ref", "value": "host", "url": SHOP}, {"name": "im_ref", "value": "!", "url": TRACK}]
    )
    page.goto(f"{SHOP}/?im_ref={ID}")
    recorded(site, page, ID)
    renewed(page, context)
    assert {(one.get("name"), one.get("domain")) for one in context.cookies(TRACK)} == {
        ("im_ref", ".shop.example"),
        ("im_ref_at", ".shop.example"),
    }
    assert page.evaluate("conversionCapture.clickId()") in {ID, "host"}


@pytest.mark.parametrize("time_kept", ["", "99999999999"], ids=["no time", "a time to come"])
def test_a_tossed_cookie_hides_no_landing(site: Site, context: BrowserContext, page: Page, time_kept: str) -> None:
    """Not even where the clock goes on to the next second while the snippet is at work."""
    hasty = "<script>let now = Date.now() - 60_000; Date.now = () => (now += 1_000)</script>"
    site.add("www.shop.example/*", hasty + script())
    tossed = {"im_ref": "host", "im_ref_at": time_kept}
    context.add_cookies([{"name": name, "value": kept, "url": SHOP} for name, kept in tossed.items() if kept])
    page.goto(f"{SHOP}/?im_ref={ID}")
    recorded(site, page, ID)

"""A landing in a real browser: from the address to the cookie and the record, whatever the page does meanwhile."""

import time
from urllib.parse import quote

import pytest
from playwright.sync_api import BrowserContext, Page

from tests.web.site import Site
from tests.web.visit import DAY, ID, OTHER, cookie, quiet, recorded, renewed, script, told, until, value

pytestmark = pytest.mark.system

SHOP = "https://www.shop.example"
LATER = """<script>
  const late = () => {{
    const element = document.createElement("script");
    element.src = "https://track.shop.example/capture.js";
    document.head.append(element);
  }};
  {0}
</script>"""


def test_a_click_is_in_the_cookie_and_on_record(site: Site, context: BrowserContext, page: Page) -> None:
    """One line of HTML keeps the click: Secure, Lax, for the whole shop, as long as the referral window."""
    site.add("www.shop.example/boots", script())
    before = time.time()
    page.goto(f"{SHOP}/boots?im_ref={ID}&x=1", referer="https://blog.example/a")
    recorded(site, page, ID)
    renewed(page, context)
    kept = cookie(context)
    assert (kept["value"], kept["domain"], kept["path"]) == (ID, ".shop.example", "/")
    assert (kept["secure"], kept["sameSite"], kept["httpOnly"]) == (True, "Lax", False)
    assert kept["expires"] == pytest.approx(before + 30 * DAY, abs=20)
    assert before - 2 <= int(value(context, name="im_ref_at") or "") <= time.time()
    click = site.clicks()[ID]
    assert (click["landing_url"], click["referrer_origin"]) == (f"{SHOP}/boots", "https://blog.example")
    assert page.evaluate("conversionCapture.clickId()") == ID
    assert page.url == f"{SHOP}/boots?im_ref={ID}&x=1"


@pytest.mark.parametrize("click_id", [ID, OTHER, "%zz%25", "100%", "a+b", "x" * 64])
def test_an_id_is_kept_byte_for_byte(site: Site, context: BrowserContext, page: Page, click_id: str) -> None:
    """Cookie, record and script know the id as impact.com sent it."""
    site.add("www.shop.example/", script())
    page.goto(f"{SHOP}/?im_ref={quote(click_id, safe='')}")
    recorded(site, page, click_id)
    assert value(context) == click_id
    assert page.evaluate("conversionCapture.clickId()") == click_id


def test_a_plus_stays_a_plus(site: Site, context: BrowserContext, page: Page) -> None:
    """Form decoding, which would make a space of it, is not used."""
    site.add("www.shop.example/", script())
    page.goto(f"{SHOP}/?im_ref=a+b")
    recorded(site, page, "a+b")


@pytest.mark.parametrize(
    "query", ["im_ref=", f"im_ref={'x' * 65}", "im_ref=a b", "im_ref=%22", "ref=a", "xim_ref=a", ""]
)
def test_what_is_no_click_id_leaves_nothing(site: Site, context: BrowserContext, page: Page, query: str) -> None:
    """No cookie, no call, and the page hears nothing of it."""
    errors = quiet(page)
    site.add("www.shop.example/", script())
    page.goto(f"{SHOP}/?{query}")
    page.wait_for_load_state("networkidle")
    assert (context.cookies(), site.posts(), errors) == ([], [], [])
    assert page.evaluate("conversionCapture.clickId()") is None


@pytest.mark.parametrize(
    "place",
    [f"?a=1&im_ref={ID}", f"#im_ref={ID}", f"#/boots?x=1&im_ref={ID}", f"?irclickid={ID}", f"?irclickid=a&im_ref={ID}"],
)
def test_an_id_is_found_where_shops_have_it(site: Site, context: BrowserContext, page: Page, place: str) -> None:
    """In the query and in the fragment, under each configured name, the first name first."""
    site.add("www.shop.example/", script())
    page.goto(f"{SHOP}/{place}")
    recorded(site, page, ID)
    assert value(context) == ID


@pytest.mark.parametrize("place", ["?", "#"])
def test_a_router_that_strips_the_id_at_once_is_too_late(
    site: Site, context: BrowserContext, page: Page, place: str
) -> None:
    """The browser still knows the address that the page was opened with when the script comes seconds later."""
    site.add("www.shop.example/", LATER.format("history.replaceState(null, '', '/'); setTimeout(late, 300)"))
    page.goto(f"{SHOP}/{place}im_ref={ID}")
    recorded(site, page, ID)
    assert page.url == f"{SHOP}/"


def test_an_id_that_a_router_brings_is_kept(site: Site, context: BrowserContext, page: Page) -> None:
    """Also if it takes it away again before anybody could look at the address."""
    site.add("www.shop.example/", script())
    page.goto(f"{SHOP}/")
    page.wait_for_function("window.conversionCapture")
    page.evaluate(f"history.pushState(1, '', '/boots?im_ref={ID}'); history.replaceState(2, '', '/boots')")
    recorded(site, page, ID)
    assert page.evaluate("[history.state, location.href]") == [2, f"{SHOP}/boots"]


def test_attributes_come_before_the_servers_settings(site: Site, context: BrowserContext, page: Page) -> None:
    """A page can look for another parameter, keep it shorter, and have its own endpoint."""
    site.add(
        "www.shop.example/", script(data_parameters="partner, x", data_cookie_days="7", data_endpoint="/aff/capture")
    )
    page.goto(f"{SHOP}/?im_ref=no&x=yes")
    until(page, lambda: bool(site.posts()), "no call came")
    assert site.posts()[0].host == "www.shop.example"
    assert value(context) == "yes"
    assert cookie(context)["expires"] < time.time() + 31 * DAY


@pytest.mark.parametrize("host", ["shop.co.uk", "www.shop.co.uk", "a.b.shop.co.uk", "shop.example", "a.b.shop.example"])
def test_the_cookie_is_for_the_whole_shop(site: Site, context: BrowserContext, page: Page, host: str) -> None:
    """The highest domain that the browser accepts, also below a public suffix of two labels, with nothing left over."""
    site.is_down = True
    shop = host.rsplit("shop.", maxsplit=1)[-1]
    site.add(f"{host}/", script(f"shop.{shop}"))
    page.goto(f"https://{host}/?im_ref={ID}")
    until(page, lambda: bool(context.cookies()), "no cookie came")
    page.wait_for_load_state("networkidle")
    assert {(one.get("name"), one.get("domain")) for one in context.cookies()} == {
        ("im_ref", f".shop.{shop}"),
        ("im_ref_at", f".shop.{shop}"),
    }


def test_the_server_is_told_once(site: Site, context: BrowserContext, page: Page) -> None:
    """Not on every page, and not again for the same id."""
    site.add("www.shop.example/*", script())
    page.goto(f"{SHOP}/?im_ref={ID}")
    renewed(page, context)
    at = value(context, name="im_ref_at")
    for path in ("a", "b", f"?im_ref={ID}", "c"):
        page.goto(f"{SHOP}/{path}")
        page.wait_for_load_state("networkidle")
    assert [told(one)["im_ref"] for one in site.posts()] == [ID]
    assert value(context, name="im_ref_at") == at


def test_a_script_that_is_there_twice_works_once(site: Site, context: BrowserContext, page: Page) -> None:
    """A template and a tag manager may both have put it in."""
    site.add("www.shop.example/", '<a href="https://www.shop.test/">x</a>' + script() + script())
    page.goto(f"{SHOP}/?im_ref={ID}")
    renewed(page, context)
    page.wait_for_load_state("networkidle")
    assert len(site.posts()) == 1
    page.evaluate("addEventListener('click', (event) => { window.used = event.target.href; event.preventDefault() })")
    page.locator("a").click()
    assert page.evaluate("used").count("im_ref=") == 1


def test_a_server_that_was_away_is_told_on_the_next_page_once(site: Site, context: BrowserContext, page: Page) -> None:
    """The cookie is there at once; the record follows, with the time of the landing."""
    errors = quiet(page)
    site.add("www.shop.example/*", script())
    site.is_down = True
    page.goto(f"{SHOP}/boots?im_ref={ID}")
    page.wait_for_load_state("networkidle")
    assert value(context) == ID
    landed = told(site.posts()[0])["captured_at"]
    site.is_down = False
    page.goto(f"{SHOP}/a")
    recorded(site, page, ID)
    page.goto(f"{SHOP}/b")
    page.wait_for_load_state("networkidle")
    assert [told(one)["captured_at"] for one in site.posts()] == [landed, landed]
    assert (value(context, name="im_ref_at"), errors) == (str(landed), [])
    assert int(site.clicks()[ID]["captured_at"].timestamp()) == landed


def test_a_server_that_stays_away_is_not_asked_for_ever(site: Site, context: BrowserContext, page: Page) -> None:
    """One call on landing, one on the next page; the cookie stays."""
    site.add("www.shop.example/*", script())
    site.is_down = True
    for path in (f"?im_ref={ID}", "a", "b", "c"):
        page.goto(f"{SHOP}/{path}")
        page.wait_for_load_state("networkidle")
    assert len(site.posts()) == 2
    assert value(context) == ID


def test_a_page_that_is_left_at_once_loses_nothing(site: Site, context: BrowserContext, page: Page) -> None:
    """The request outlives the page: 200 landings, each left as soon as the script has run, 200 clicks on record."""
    leave = "location.replace(n < 200 ? `/?im_ref=click-${n}` : '/end')"
    site.add(
        "www.shop.example/",
        f"""<script src="https://track.shop.example/capture.js"></script>
        <script>const n = +location.search.split("-")[1] + 1; {leave}</script>""",
    )
    site.add("www.shop.example/end", "left")
    page.goto(f"{SHOP}/?im_ref=click-0", wait_until="commit")
    page.wait_for_url(f"{SHOP}/end", timeout=60_000)
    recorded(site, page, *(f"click-{number}" for number in range(200)))
    assert value(context) == "click-199"


def test_a_later_click_replaces_an_earlier_one(site: Site, context: BrowserContext, page: Page) -> None:
    """Last click wins."""
    site.add("www.shop.example/*", script())
    for click_id in ("first", "second"):
        page.goto(f"{SHOP}/?im_ref={click_id}")
        renewed(page, context)
    recorded(site, page, "first", "second")
    assert value(context) == "second"
    page.goto(f"{SHOP}/?im_ref=first")
    until(page, lambda: value(context) == "first", "the visitor came by the first partner again")


@pytest.mark.parametrize("cached", [True, False])
def test_going_back_or_reloading_is_no_click(site: Site, context: BrowserContext, page: Page, cached: bool) -> None:
    """With and without the back/forward cache, an older landing page does not take the order from a later partner."""
    count = "<script>addEventListener('pageshow', (event) => { window.cached = event.persisted })</script>"
    site.add("www.shop.example/*", count + script(), cache_control="no-cache" if cached else "no-store")
    for path in ("?im_ref=first", "a", "?im_ref=second"):
        page.goto(f"{SHOP}/{path}")
        page.wait_for_load_state("networkidle")
    for path in ("a", "?im_ref=first"):
        page.evaluate("history.back()")  # page.go_back() waits for a load that a cached page does not have
        page.wait_for_url(f"{SHOP}/{path}", wait_until="commit")
    page.wait_for_function("'cached' in window")
    page.wait_for_load_state("networkidle")
    assert page.url == f"{SHOP}/?im_ref=first"
    assert page.evaluate("cached") is cached
    assert value(context) == "second"
    page.reload()
    page.wait_for_load_state("networkidle")
    assert page.evaluate("conversionCapture.clickId()") == value(context) == "second"


def test_two_tabs_agree(site: Site, context: BrowserContext, page: Page) -> None:
    """What one tab has captured is the click of the other, and an old tab that is reloaded changes nothing."""
    site.add("www.shop.example/*", script())
    page.goto(f"{SHOP}/?im_ref=first")
    renewed(page, context)
    other = context.new_page()
    other.goto(f"{SHOP}/?im_ref=second")
    recorded(site, other, "first", "second")
    assert page.evaluate("conversionCapture.clickId()") == "second"
    page.reload()
    page.wait_for_load_state("networkidle")
    assert value(context) == "second"


def test_a_router_that_goes_back_is_no_click(site: Site, context: BrowserContext, page: Page) -> None:
    """In a single page, too, the address of an old landing comes back without its click."""
    site.add("www.shop.example/*", script())
    page.goto(f"{SHOP}/?im_ref=first")
    renewed(page, context)
    page.evaluate("history.pushState(null, '', '/?im_ref=second')")
    recorded(site, page, "first", "second")
    page.go_back()
    page.evaluate("document.body.click()")
    page.wait_for_load_state("networkidle")
    assert value(context) == "second"


def test_redirects_that_keep_the_query_keep_the_click(site: Site, context: BrowserContext, page: Page) -> None:
    """From the bare domain to www, to the language, with a slash."""
    query = f"?im_ref={ID}"
    site.add("shop.example/boots", "", 301, location=f"{SHOP}/boots{query}")
    site.add("www.shop.example/boots", "", 302, location=f"/en/boots{query}")
    site.add("www.shop.example/en/boots", "", 301, location=f"/en/boots/{query}")
    site.add("www.shop.example/en/boots/", script())
    page.goto(f"https://shop.example/boots{query}")
    recorded(site, page, ID)
    assert site.clicks()[ID]["landing_url"] == f"{SHOP}/en/boots/"

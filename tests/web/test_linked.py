"""From one shop's domain to another's, by every way out of a page, and only there."""

import re
import time
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from playwright.sync_api import BrowserContext, Page

from tests.web.site import Site
from tests.web.visit import DAY, ID, OTHER, cookie, quiet, recorded, renewed, script, until, value

pytestmark = pytest.mark.system

SHOP, LINKED = "https://www.shop.example", "https://www.shop.test"
TO = f"{LINKED}/boots"

WAYS = {
    "link": (f'<a id="way" href="{TO}">x</a>', "click"),
    "what is in a link": (f'<a href="{TO}"><b><i id="way">x</i></b></a>', "click"),
    "link to a new tab": (f'<a id="way" href="{TO}" target="_blank">x</a>', "click"),
    "middle click": (f'<a id="way" href="{TO}">x</a>', "middle"),
    "keyboard": (f'<a id="way" href="{TO}">x</a>', "Enter"),
    "image map": (
        f'<img usemap="#m" width="20" height="20"><map name="m"><area id="way" shape="default" href="{TO}"></map>',
        "this.click()",
    ),
    "drawing": (
        f'<svg width="99" height="99"><a href="{TO}"><rect id="way" width="99" height="99"/></a></svg>',
        "click",
    ),
    "link of a script": (f'<a id="way" href="{TO}">x</a>', "this.click()"),
    "form with GET": (f'<form action="{TO}"><input name="a" value="1"><button id="way">x</button></form>', "click"),
    "form with POST": (
        f'<form action="{TO}" method="post"><input name="a" value="1"><button id="way">x</button></form>',
        "click",
    ),
    "Enter in a field": (f'<form action="{TO}"><input id="way" name="a" value="1"></form>', "Enter"),
    "button with an address": (f'<form action="/x"><button id="way" formaction="{TO}">x</button></form>', "click"),
    "button with a method": (
        f'<form action="{TO}"><button id="way" formmethod="post">x</button></form>',
        "click",
    ),
    "button with GET in a form with POST": (
        f'<form action="{TO}" method="post"><button id="way" formmethod="get">x</button></form>',
        "click",
    ),
    "link of a page that keeps its clicks to itself": (
        f'<p onclick="event.stopPropagation()"><a id="way" href="{TO}">x</a></p>',
        "click",
    ),
    "submit()": (
        f'<form id="way" action="{TO}" method="post"><input name="submit_" value="1"></form>',
        "this.submit()",
    ),
    "submit() with GET": (f'<form id="way" action="{TO}"><input name="a" value="1"></form>', "this.submit()"),
    "requestSubmit()": (f'<form id="way" action="{TO}"></form>', "this.requestSubmit()"),
    "window.open": ('<p id="way">x</p>', f"window.open('{TO}')"),
    "window.open with more": ('<p id="way">x</p>', f"open(new URL('{TO}'), '_self', '')"),
}
SHADOW = """<div id="host"></div><script>
  setTimeout(() => { document.getElementById("host").attachShadow({mode: "open"}).innerHTML = `%s` }, 50)
</script>"""
IN_SHADOW = ("link", "what is in a link", "middle click", "keyboard", "form with GET", "form with POST")


def land(site: Site, context: BrowserContext, page: Page, body: str, click_id: str = ID, **attributes: str) -> None:
    """Land on a page of the first shop, and wait until the click is kept."""
    site.add("www.shop.example/", body + script(**attributes))
    site.add("www.shop.test/*", "<h1>Linked</h1>" + script("shop.test"))
    page.goto(f"{SHOP}/?im_ref={quote(click_id, safe='')}")
    renewed(page, context)


def leave(page: Page, how: str) -> Page:
    """Use the way, and return the tab in which the other shop's page has loaded."""
    way = page.locator("#way")
    way.wait_for(state="attached")
    if how == "click":
        way.click()
    elif how == "middle":
        way.click(button="middle")
    elif how == "Enter":
        way.press("Enter")
    else:
        way.evaluate(f"(element) => {{ (function () {{ {how} }}).call(element) }}")
    tabs = page.context.pages
    until(page, lambda: any(LINKED in tab.url for tab in page.context.pages), f"nobody went to {LINKED}: {tabs}")
    tab = next(tab for tab in page.context.pages if LINKED in tab.url)
    tab.wait_for_function("window.conversionCapture")
    return tab


@pytest.mark.parametrize(
    ("body", "how"),
    [*WAYS.values(), *((SHADOW % WAYS[way][0], WAYS[way][1]) for way in IN_SHADOW)],
    ids=[*WAYS, *(f"{way} in a shadow tree" for way in IN_SHADOW)],
)
def test_a_click_goes_along(site: Site, context: BrowserContext, page: Page, body: str, how: str) -> None:
    """Whatever takes the visitor there, the other shop has the click, and both pages stay as they were written."""
    errors = quiet(page)
    land(site, context, page, body, data_linked_domains="www.shop.test")
    at = value(context, name="im_ref_at")
    before = page.content()
    tab = leave(page, how)
    renewed(tab, context, "shop.test")
    assert value(context, "shop.test") == ID
    assert value(context, "shop.test", "im_ref_at") == at
    assert tab.evaluate("conversionCapture.clickId()") == ID
    query = parse_qs(urlsplit(tab.url).query)
    assert "im_linked" not in query
    assert query.get("im_ref") == [ID]
    if tab is not page:
        page.wait_for_timeout(20)
        assert page.content() == before
    assert errors == []


@pytest.mark.parametrize("click_id", [OTHER, "a+b%20c%2B"])
@pytest.mark.parametrize("way", ["link", "form with GET", "form with POST"])
def test_an_id_goes_along_byte_for_byte(
    site: Site, context: BrowserContext, page: Page, click_id: str, way: str
) -> None:
    """Both shops have the same id."""
    body, how = WAYS[way]
    land(site, context, page, body, click_id, data_linked_domains="www.shop.test")
    tab = leave(page, how)
    renewed(tab, context, "shop.test")
    assert value(context, "shop.test") == value(context) == click_id
    assert list(site.clicks()) == [click_id]


def test_everything_else_of_the_address_stays(site: Site, context: BrowserContext, page: Page) -> None:
    """Query and fragment arrive as the link has them; only the passing mark goes from the address bar."""
    rest = "a=1%202&b&c=%C3%BC+x"
    land(
        site,
        context,
        page,
        f'<a id="way" href="{TO}?{rest}#im_here?x=1">x</a>',
        data_linked_domains="www.shop.test",
    )
    tab = leave(page, "click")
    renewed(tab, context, "shop.test")
    assert tab.url == f"{TO}?im_ref={ID}&{rest}#im_here?x=1"


def test_a_link_has_the_click_only_while_it_is_used(site: Site, context: BrowserContext, page: Page) -> None:
    """Nothing is rewritten beforehand, and each use has the time of that use."""
    land(site, context, page, f'<a id="way" href="{TO}" target="_blank">x</a>', data_linked_domains="www.shop.test")
    used: list[str] = []
    page.on("console", lambda message: used.append(message.text))
    page.evaluate("addEventListener('click', (event) => console.log(event.target.href))")
    for _ in range(2):
        assert page.locator("#way").get_attribute("href") == TO
        page.locator("#way").click()
        page.wait_for_timeout(1_100)
    assert page.locator("#way").get_attribute("href") == TO
    issued = [int(re.findall(r"im_linked=[0-9]+\.([0-9]+)$", address)[0]) for address in used]
    assert issued[0] < issued[1]
    assert abs(issued[1] - time.time()) < 30


def test_a_menu_on_a_link_offers_the_click(site: Site, context: BrowserContext, page: Page) -> None:
    """Open in a new tab and copy use the address that the link has while the menu opens."""
    land(site, context, page, f'<a id="way" href="{TO}">x</a>', data_linked_domains="www.shop.test")
    page.evaluate("addEventListener('contextmenu', (event) => { window.offered = event.target.href })")
    page.locator("#way").click(button="right")
    assert page.evaluate("offered").startswith(f"{TO}?im_ref={ID}&im_linked=")
    page.wait_for_timeout(20)
    assert page.locator("#way").get_attribute("href") == TO


ELSEWHERE = [
    "https://www.evil.example/",
    "https://www.shop.test.evil.example/",
    "https://xwww.shop.test/",
    "https://shop.test/",
    "https://a.www.shop.test/",
    "http://www.shop.test/",
    "https://www.shop.test:8443/",
    "https://shop.co.uk/",
    "https://xshop.co.uk/",
    "https://www.shop.example/b",
    "https://a.shop.example/",
    "https://shop.example/",
    "/b",
    "#b",
    "mailto:x@www.shop.test",
    "javascript:void(0)",
    "https://",
    "",
]


def test_a_click_goes_nowhere_else(site: Site, context: BrowserContext, page: Page) -> None:
    """Only to https pages of the hosts that are listed, and never within the site."""
    land(
        site,
        context,
        page,
        '<a id="way">x</a>',
        data_linked_domains="www.shop.test, *.shop.co.uk, *.shop.example, www.shop.example",
    )
    page.evaluate(
        "addEventListener('click', (event) => { window.used = event.target.getAttribute('href');"
        " event.preventDefault() })"
    )
    for address in [*ELSEWHERE, "https://www.shop.co.uk/"]:
        page.locator("#way").evaluate("(way, to) => { way.setAttribute('href', to); way.click() }", address)
        assert (page.evaluate("used") == address) is (address in ELSEWHERE), address


@pytest.mark.parametrize("address", ["https://www.shop.test/", "https://www.shop.co.uk/", "https://a.b.shop.co.uk/?x"])
def test_a_click_goes_where_the_list_says(site: Site, context: BrowserContext, page: Page, address: str) -> None:
    """Exact hosts, and with `*.` every host below a domain; the server's own list counts where the page has none."""
    land(site, context, page, f'<a id="way" href="{address}">x</a>')
    page.evaluate(
        "addEventListener('click', (event) => { window.used = event.target.getAttribute('href');"
        " event.preventDefault() })"
    )
    page.locator("#way").evaluate("(way) => way.click()")
    assert page.evaluate("used").startswith(f"{address.partition('?')[0]}?im_ref={ID}&im_linked=")


@pytest.mark.parametrize(
    ("age", "mark", "counts"),
    [(90, "", True), (125, "", False), (-150, "", False), (270, ".s", True), (305, ".s", False), (-330, ".s", False)],
)
def test_a_copied_link_stops_working(
    site: Site, context: BrowserContext, page: Page, age: int, mark: str, counts: bool
) -> None:
    """After two minutes, five where the server's clock made it; the friend who got it is no partner's visitor."""
    site.add("www.shop.test/", script("shop.test"))
    now = int(time.time())
    page.goto(f"{LINKED}/?im_ref={ID}&im_linked={now - 1000}.{now - age}{mark}")
    page.wait_for_load_state("networkidle")
    assert value(context, "shop.test") == (ID if counts else None)
    assert list(site.clicks()) == ([ID] if counts else [])


@pytest.mark.parametrize("linked", ["", ".", "x.y", "1", "-1.{now}", "0.{now}", "{now}", "{now}.", "{now}.{now}x"])
def test_a_malformed_hand_over_is_no_click(site: Site, context: BrowserContext, page: Page, linked: str) -> None:
    """An id without a readable time counts as nothing, except that an empty mark is none."""
    site.add("www.shop.test/", script("shop.test"))
    page.goto(f"{LINKED}/?im_ref={ID}&im_linked={linked.format(now=int(time.time()))}")
    page.wait_for_load_state("networkidle")
    assert value(context, "shop.test") == (None if linked else ID)


@pytest.mark.parametrize("is_down", [False, True])
def test_a_handed_over_click_keeps_its_age(site: Site, context: BrowserContext, page: Page, is_down: bool) -> None:
    """The cookie on the second domain ends when the first one ends; one beyond the window is not taken."""
    site.is_down = is_down
    site.add("www.shop.test/", script("shop.test"))
    now = int(time.time())
    captured = now - 10 * DAY
    page.goto(f"{LINKED}/?im_ref={ID}&im_linked={captured}.{now}")
    page.wait_for_load_state("networkidle")
    assert int(value(context, "shop.test", "im_ref_at") or "") == captured
    assert cookie(context, "shop.test")["expires"] == pytest.approx(captured + 30 * DAY, abs=20)
    context.clear_cookies()
    page.goto(f"{LINKED}/?im_ref=old&im_linked={now - 31 * DAY}.{now}")
    page.wait_for_load_state("networkidle")
    assert context.cookies() == []


def test_a_handed_over_click_never_replaces_a_newer_one(site: Site, context: BrowserContext, page: Page) -> None:
    """Coming back from the other shop with an older partner's click leaves the later partner's."""
    site.add("www.shop.test/*", script("shop.test"))
    page.goto(f"{LINKED}/?im_ref=newer")
    renewed(page, context, "shop.test")
    now = int(time.time())
    page.goto(f"{LINKED}/a?im_ref=older&im_linked={now - 60}.{now}")
    page.wait_for_load_state("networkidle")
    assert value(context, "shop.test") == "newer"
    assert page.evaluate("conversionCapture.clickId()") == "newer"
    page.goto(f"{LINKED}/b?im_ref=newest&im_linked={now + 1}.{now + 1}")
    until(page, lambda: value(context, "shop.test") == "newest", "the newest click was not taken")


def test_a_reload_after_the_hand_over_changes_nothing(site: Site, context: BrowserContext, page: Page) -> None:
    """The address without its mark looks like a landing, and is none."""
    land(site, context, page, f'<a id="way" href="{TO}">x</a>', data_linked_domains="www.shop.test")
    tab = leave(page, "click")
    renewed(tab, context, "shop.test")
    at = value(context, "shop.test", "im_ref_at")
    tab.wait_for_timeout(1_100)
    tab.reload()
    tab.wait_for_load_state("networkidle")
    assert value(context, "shop.test", "im_ref_at") == at


def test_a_shop_without_script_hands_over_by_the_server(site: Site, context: BrowserContext, page: Page) -> None:
    """The cookie is HttpOnly, so the link goes by /handoff; the other shop's page has the click."""
    handoff = f"https://track.hidden.example/handoff?to={quote(f'{TO}?a=1#b', safe='')}"
    site.add("www.hidden.example/", f'<a id="way" href="{handoff}">x</a>' + script("hidden.example"))
    site.add("www.shop.test/*", script("shop.test"))
    page.goto(f"https://www.hidden.example/?im_ref={quote(OTHER, safe='')}")
    renewed(page, context, "hidden.example")
    assert cookie(context, "hidden.example")["httpOnly"]
    assert page.evaluate("document.cookie") == ""
    tab = leave(page, "click")
    renewed(tab, context, "shop.test")
    assert value(context, "shop.test") == OTHER
    assert value(context, "shop.test", "im_ref_at") == value(context, "hidden.example", "im_ref_at")
    assert parse_qs(urlsplit(tab.url).query) == {"a": ["1"], "im_ref": [OTHER]}


def test_the_journey_back_and_forth(site: Site, context: BrowserContext, page: Page) -> None:
    """A click follows the visitor over two domains and back, and each shop's records agree."""
    back = f'<a id="back" href="{SHOP}/checkout">x</a>'
    land(site, context, page, f'<a id="way" href="{TO}">x</a>', data_linked_domains="www.shop.test")
    site.add("www.shop.test/*", back + script("shop.test", data_linked_domains="www.shop.example"))
    site.add("www.shop.example/checkout", script())
    tab = leave(page, "click")
    renewed(tab, context, "shop.test")
    tab.locator("#back").click()
    tab.wait_for_url(re.compile("checkout"))
    tab.wait_for_load_state("networkidle")
    assert value(context) == value(context, "shop.test") == ID
    recorded(site, tab, ID)

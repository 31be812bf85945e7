"""A visitor goes from one shop domain to another, and the click goes along, with its age, to nobody else."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from urllib.parse import parse_qsl, quote, urlsplit

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.clicks.capture import Outcome
from app.clicks.handoff import handoff
from app.impact.limits import CLICK_ID
from tests.clicks.jar import Jar
from tests.clicks.shop import (
    DAY,
    HOST,
    ID,
    NOW,
    OTHER,
    SECOND,
    STOREFRONT,
    Shop,
    arrival,
    cookies_of,
    header_of,
    kept,
    settings_with,
)
from tests.clicks.test_redirect import BAD, GOOD

LINKED = "https://linked.example/cart?step=1#pay"
PAGE = {"sec_fetch_site": "same-origin", "sec_fetch_mode": "navigate", "sec_fetch_dest": "document"}
WINDOW = 30 * DAY


def location(to: str = LINKED, cookie: str = "", **details: str) -> str:
    """Return where a visitor with these cookies and headers is sent."""
    answer = handoff(arrival(f"to={quote(to, safe='')}", cookie=cookie, **details), settings_with())
    assert answer.status == 302
    return header_of(answer, "Location") or ""


def handed(click_id: str, captured: int) -> str:
    """Return the linked page's address with a click in it."""
    return f"https://linked.example/cart?step=1&im_ref={quote(click_id, safe='')}&im_linked={captured}.{SECOND}.s#pay"


@pytest.mark.parametrize("click_id", [ID, OTHER])
def test_the_click_goes_along(click_id: str) -> None:
    """As it is, with the time of its capture and the time of this call."""
    assert location(cookie=kept(click_id, SECOND - 99), **PAGE) == handed(click_id, SECOND - 99)


@given(st.from_regex(CLICK_ID, fullmatch=True))
def test_any_click_arrives_as_it_left(click_id: str) -> None:
    """Byte for byte, through the address and one decoding."""
    query = dict(parse_qsl(urlsplit(location(cookie=kept(click_id))).query))
    assert query["im_ref"] == click_id


COOKIES = [
    ("", None),
    ("theirs=1; xim_ref=a", None),
    ("im_ref=", None),
    ('im_ref="quoted"', None),
    ("im_ref=" + "x" * 65, None),
    (kept(ID, SECOND - WINDOW), None),
    (kept(ID, SECOND - WINDOW + 1), (ID, SECOND - WINDOW + 1)),
    ("im_ref=undated", ("undated", SECOND)),
    (kept("future", SECOND + 9), ("future", SECOND)),
    (kept("unreadable", "soon"), ("unreadable", SECOND)),
    (f"im_ref=a; im_ref=b; im_ref_at={SECOND - 9}; im_ref_at={SECOND - 8}", ("b", SECOND - 8)),
    (f"im_ref=a; im_ref=b; im_ref_at={SECOND - 9}; im_ref_at={SECOND - 9}", ("a", SECOND - 9)),
    (f"im_ref=a; im_ref=b; im_ref_at=x; im_ref_at={SECOND - 9}", ("b", SECOND - 9)),
    (f"im_ref=a; im_ref=a; im_ref_at={SECOND - 9}; im_ref_at={SECOND - 20}", ("a", SECOND - 20)),
    (f"im_ref=a; im_ref=a; im_ref_at={SECOND - 9}; im_ref_at={SECOND - WINDOW}", None),
    (f"im_ref=!; im_ref=b; im_ref_at={SECOND - 1}; im_ref_at={SECOND - 9}", ("b", SECOND - 9)),
]


@pytest.mark.parametrize(("cookie", "click"), COOKIES)
def test_which_click_goes_along(cookie: str, click: tuple[str, int] | None) -> None:
    """The one that counts, if it is within its window; one of unknown age goes as captured now."""
    assert location(cookie=cookie) == (handed(*click) if click else LINKED)


PLAIN = [
    ("to the shop's own page", f"{STOREFRONT}/cart", {}),
    ("to the shop's own page on another port", "https://shop.test:8443/cart", {}),
    ("a visitor who refuses", LINKED, {"sec_gpc": "1"}),
    ("a script", LINKED, {"sec_fetch_site": "same-origin", "sec_fetch_mode": "cors", "sec_fetch_dest": "empty"}),
    ("an image", LINKED, {"sec_fetch_site": "cross-site", "sec_fetch_mode": "no-cors", "sec_fetch_dest": "image"}),
    ("a frame", LINKED, PAGE | {"sec_fetch_dest": "iframe"}),
    ("a script of an older browser", LINKED, {"origin": STOREFRONT}),
    ("the same site", "https://linked.example/", {"host": "www.linked.example"}),
    ("the same host", "https://linked.example/", {"host": "linked.example:443"}),
    ("a sub-domain of the same site", "https://eu.partner.example/", {"host": "track.partner.example"}),
]


@pytest.mark.parametrize(("to", "headers"), [one[1:] for one in PLAIN], ids=[one[0] for one in PLAIN])
def test_the_click_stays_here(to: str, headers: Mapping[str, str]) -> None:
    """The visitor gets on, byte for byte to where they wanted, without it."""
    assert location(to, kept(), **headers) == to


def test_gpc_can_be_left_to_the_shop() -> None:
    """With CAPTURE_HONOR_GPC=false the signal changes nothing."""
    arrived = arrival(f"to={quote(LINKED)}", cookie=kept(), sec_gpc="1")
    assert ID in (header_of(handoff(arrived, settings_with(honor_gpc=False)), "Location") or "")


def test_a_storefront_on_another_port_is_not_the_linked_domain() -> None:
    """Only what CAPTURE_LINKED_DOMAINS names is handed a click, and that is the default port."""
    settings = settings_with(linked_domains=("shop.test", "shop.example"))
    for to, goes in (("https://shop.test:8443/", False), ("https://shop.test/", True)):
        answer = handoff(arrival(f"to={to}", cookie=kept()), settings)
        assert (ID in (header_of(answer, "Location") or "")) is goes


@pytest.mark.parametrize("target", BAD, ids=ascii)
def test_a_stranger_s_address_is_refused(target: str) -> None:
    """400, and the click is in no part of the answer."""
    answer = handoff(arrival(f"to={quote(target, '', errors='surrogatepass')}", cookie=kept()), settings_with())
    assert answer.status == 400
    assert header_of(answer, "Location") is None
    assert ID not in str(answer)


@pytest.mark.parametrize("target", GOOD)
def test_the_shop_s_own_addresses_are_taken(target: str) -> None:
    """Whatever is in their path, query and fragment; without a click they stay as they are."""
    assert location(target) == target


@pytest.mark.parametrize("query", ["", "x=1", "to=", "To=https://linked.example/"])
def test_without_an_address_there_is_nowhere_to_go(query: str) -> None:
    """400, as for a wrong one."""
    assert handoff(arrival(query, cookie=kept()), settings_with()).status == 400


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_over_http(shop: Shop, today: datetime, method: str) -> None:
    """A redirect that no cache keeps; nothing is set, nothing is stored, no script can read it, no address leaks."""
    landed = int(today.timestamp()) - 99
    headers = {"cookie": kept(at=landed), "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
    answer = shop.client.request(method, "/handoff", params={"to": LINKED}, headers=headers)
    assert answer.status_code == 302
    assert answer.headers["location"].startswith(f"https://linked.example/cart?step=1&im_ref={ID}&im_linked={landed}.")
    assert answer.headers["location"].endswith(".s#pay")
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["referrer-policy"] == "strict-origin"
    assert not {"set-cookie", "access-control-allow-origin"} & set(answer.headers)
    assert shop.rows() == []


@pytest.mark.parametrize("to", ["https://evil.example/", "", "https://linked.example\\@evil.example/"])
def test_a_refusal_over_http(shop: Shop, to: str) -> None:
    """A problem that says what is allowed, and names neither the click nor the address."""
    answer = shop.client.get("/handoff", params={"to": to}, headers={"cookie": kept()})
    assert (answer.status_code, answer.json()["code"]) == (400, "REDIRECT_NOT_ALLOWED")
    assert answer.headers["content-type"] == "application/problem+json"
    assert ID not in answer.text
    assert "evil" not in answer.text
    assert shop.client.post("/handoff", params={"to": LINKED}).status_code == 405


def test_the_whole_way(shop: Shop) -> None:
    """From one shop domain to the other, days after the landing, and back: the click's life never gets longer."""
    jar, now, ends = Jar(), SECOND, SECOND + WINDOW

    def visit(query: str, host: str) -> httpx.URL:
        at = NOW + timedelta(seconds=now - SECOND)
        arrived = arrival(query, host=host, cookie=jar.header(host, now), **PAGE)
        if query.startswith("to="):
            found = handoff(
                arrived._replace(second=int(at.timestamp())),
                settings_with(linked_domains=("linked.example", "shop.example")),
            )
            return httpx.URL(header_of(found, "Location") or "")
        done = shop.captured(arrived, now=at)
        assert done.outcome in {Outcome.CAPTURED, Outcome.REPEATED}
        jar.apply(host, cookies_of(done.answer), now)
        return httpx.URL("")

    visit(f"im_ref={quote(OTHER, safe='')}", HOST)
    now += 10 * DAY
    there = visit("to=https://linked.example/", HOST)
    now += 60
    visit(there.query.decode(), "track.linked.example")
    now += 5 * DAY
    back = visit("to=https://shop.example/", "track.linked.example")
    visit(back.query.decode(), HOST)
    kept_cookies = [(*key, *value) for key, value in jar.cookies.items()]
    assert sorted(kept_cookies) == sorted(
        (name, domain, False, value, ends)
        for domain in ("shop.example", "linked.example")
        for name, value in (("im_ref", OTHER), ("im_ref_at", str(SECOND)))
    )
    assert [row.captured_at for row in shop.rows()] == [NOW]
    now += 1 - 60
    assert visit("to=https://linked.example/", HOST).query.decode().endswith(f"im_linked={SECOND}.{now}.s")


def test_a_copied_link_is_worthless_after_five_minutes(shop: Shop) -> None:
    """Whoever gets it from a friend or a log brings no click."""
    link = httpx.URL(location(cookie=kept())).query.decode()
    for age, outcome in ((300, Outcome.CAPTURED), (301, Outcome.STALE)):
        arrived = arrival(link, host="track.linked.example")
        assert shop.captured(arrived, now=NOW + timedelta(seconds=age)).outcome == outcome

"""A landing from its arrival to the cookie and the row."""

import json
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.clicks.capture import Arrival
from app.impact.limits import CLICK_ID
from tests.clicks.shop import DAY, ID, NOW, OTHER, SECOND, STOREFRONT, Shop, arrival, cookies_of, header_of, kept, post

ATTRIBUTES = "Path=/; Domain=shop.example; SameSite=Lax; Secure"
ELSEWHERE = ("Path=/; SameSite=Lax; Secure", "Path=/; Domain=track.shop.example; SameSite=Lax; Secure")
SHADOWS = [f"{name}=; Max-Age=0; {where}" for where in ELSEWHERE for name in ("im_ref", "im_ref_at")]
EXPIRED = [f"im_ref=; Max-Age=0; {ATTRIBUTES}", f"im_ref_at=; Max-Age=0; {ATTRIBUTES}", *SHADOWS]
GOOGLEBOT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
NAMED = f"im_ref={quote(ID)}"


def cookies(click_id: str, at: int, max_age: int) -> list[str]:
    """Return the Set-Cookie values that keep a click."""
    return [f"im_ref={click_id}; Max-Age={max_age}; {ATTRIBUTES}", f"im_ref_at={at}; Max-Age={max_age}; {ATTRIBUTES}"]


def test_a_landing_is_kept_in_a_cookie_and_a_row(shop: Shop) -> None:
    """The visitor's browser and the shop's own records both know the click."""
    answer = shop.capture(
        arrival(
            f"{NAMED}&url={quote('https://www.shop.example/boots?im_ref=x#y')}&referrer={quote('https://blog.example/a')}",
            user_agent="Mozilla/5.0 (X11; Linux x86_64; rv:121.0) Gecko/20100101 Firefox/121.0",
        )
    )
    assert answer.status == 204
    assert cookies_of(answer) == cookies(ID, SECOND, 30 * DAY)
    assert header_of(answer, "Cache-Control") == "no-store"
    assert header_of(answer, "Vary") == "Origin"
    assert shop.row().model_dump() == {
        "click_id": ID,
        "captured_at": NOW,
        "landing_url": "https://www.shop.example/boots",
        "referrer_origin": "https://blog.example",
        "user_agent_family": "Firefox",
        "source": "get",
        "consent": "implied",
    }


@given(st.from_regex(CLICK_ID, fullmatch=True), st.booleans())
def test_an_id_is_the_same_everywhere(whole_shop: Shop, click_id: str, posted: bool) -> None:
    """From the link to the cookie and the row, no byte of a click id changes."""
    arrived = post({"im_ref": click_id}) if posted else arrival(f"im_ref={quote(click_id, safe='')}")
    answer = whole_shop.capture(arrived)
    assert cookies_of(answer)[0].partition(";")[0] == f"im_ref={click_id}"
    assert whole_shop.row().click_id == click_id
    whole_shop.forget_all()


@pytest.mark.parametrize("arrived", [arrival(), arrival("x=1"), post({}), post({"x": 1}), arrival(cookie=kept())])
def test_a_call_without_a_click_leaves_all(shop: Shop, arrived: Arrival) -> None:
    """A visit that came by itself changes neither cookie nor records."""
    answer = shop.capture(arrived)
    assert (answer.status, cookies_of(answer), shop.rows()) == (204, [], [])


@pytest.mark.parametrize(
    "arrived", [arrival("im_ref="), arrival("im_ref=a%20b"), post({"im_ref": "x" * 65}), post({"im_ref": ""})]
)
def test_a_bad_id_leaves_all(shop: Shop, arrived: Arrival) -> None:
    """A click id that cannot be one is refused, and nothing is set or stored."""
    answer = shop.capture(arrived)
    assert (answer.status, cookies_of(answer), shop.rows()) == (400, [], [])
    assert json.loads(answer.body)["code"] == "INVALID_CLICK_ID"
    assert header_of(answer, "Content-Type") == "application/problem+json"
    assert header_of(answer, "Cache-Control") == "no-store"


def test_another_click_replaces_the_cookie(shop: Shop) -> None:
    """The last click wins; the earlier one stays on record."""
    shop.capture(arrival(f"im_ref={OTHER.replace('%', '%25')}"))
    answer = shop.capture(arrival(NAMED, cookie=kept(OTHER)), now=NOW + timedelta(days=1))
    assert cookies_of(answer) == [*SHADOWS, *cookies(ID, SECOND + DAY, 30 * DAY)]
    assert {row.click_id for row in shop.rows()} == {ID, OTHER}


def test_the_same_click_keeps_its_age(shop: Shop) -> None:
    """Coming back by the same link ten days later leaves twenty days."""
    shop.capture(arrival(NAMED))
    answer = shop.capture(arrival(NAMED, cookie=kept()), now=NOW + timedelta(days=10))
    assert cookies_of(answer) == cookies(ID, SECOND, 20 * DAY)
    assert shop.row().captured_at == NOW


def test_a_click_ends_with_its_window(shop: Shop) -> None:
    """A cookie that should have ended is ended, and its click is not recorded anew."""
    answer = shop.capture(arrival(NAMED, cookie=kept()), now=NOW + timedelta(days=30))
    assert (cookies_of(answer), shop.rows()) == (EXPIRED, [])


def test_the_window_is_a_setting(shop: Shop) -> None:
    """Days, name, flags and parameters are the shop's choice."""
    answer = shop.capture(
        arrival("mine=abc", host="127.0.0.1:8000"),
        cookie_days=7,
        cookie_name="click",
        cookie_secure=False,
        cookie_httponly=True,
        parameters=("mine",),
    )
    flags = f"Max-Age={7 * DAY}; Path=/; SameSite=Lax; HttpOnly"
    assert cookies_of(answer) == [f"click=abc; {flags}", f"click_at={SECOND}; {flags}"]


@pytest.mark.parametrize("captured_at", [SECOND - 60, "2026-11-20T18:59:22+01:00"])
def test_a_late_report_keeps_its_time(shop: Shop, captured_at: object) -> None:
    """A click that could be reported only a minute later still counts from its landing."""
    answer = shop.capture(post({"im_ref": ID, "captured_at": captured_at}))
    assert cookies_of(answer) == cookies(ID, SECOND - 60, 30 * DAY - 60)
    assert (shop.row().captured_at, shop.row().source) == (NOW - timedelta(seconds=60), "post")


def test_a_late_report_does_not_undo_a_newer_click(shop: Shop) -> None:
    """The older click is recorded, the newer one keeps the cookie."""
    answer = shop.capture(post({"im_ref": ID, "captured_at": SECOND - 60}, cookie=kept(OTHER, SECOND - 59)))
    assert cookies_of(answer) == []
    assert shop.row().click_id == ID


def test_a_report_from_before_the_window_is_nothing(shop: Shop) -> None:
    """What is older than the window is neither set nor stored; what lies in the future counts as now."""
    assert cookies_of(shop.capture(post({"im_ref": ID, "captured_at": SECOND - 30 * DAY}))) == []
    assert shop.rows() == []
    assert cookies_of(shop.capture(post({"im_ref": ID, "captured_at": SECOND + DAY}))) == cookies(ID, SECOND, 30 * DAY)


@pytest.mark.parametrize(
    "arrived",
    [
        arrival(f"{NAMED}&consent=denied"),
        post({"im_ref": ID, "consent": False}),
        post({"consent": False}),
        arrival("consent=denied"),
        arrival(NAMED, sec_gpc="1"),
        arrival(f"{NAMED}&consent=granted", sec_gpc="1"),
        post({"im_ref": ID}, sec_gpc="1"),
        arrival(sec_gpc="1"),
        arrival("consent=denied", user_agent=GOOGLEBOT),
    ],
)
def test_a_refusal_deletes_everything(shop: Shop, arrived: Arrival) -> None:
    """A visitor who refuses, by word or by Global Privacy Control, leaves no cookie and no row behind."""
    bystander, named = post({"im_ref": "bystander"}), post({"im_ref": ID})
    for earlier in (bystander, named, post({"im_ref": "in-the-cookie"}), post({"im_ref": "tossed"})):
        shop.capture(earlier)
    header = f"{kept()}; im_ref=in-the-cookie; im_ref=tossed"
    answer = shop.capture(arrived._replace(headers={**arrived.headers, b"cookie": header.encode()}))
    assert (answer.status, cookies_of(answer)) == (204, EXPIRED)
    assert shop.row().click_id == "bystander"


def test_the_named_click_is_forgotten_without_a_cookie(shop: Shop) -> None:
    """Consent can be withdrawn for a click that the server alone knows."""
    shop.capture(arrival(NAMED))
    shop.capture(post({"im_ref": ID, "consent": False}))
    assert shop.rows() == []


def test_gpc_can_be_left_to_the_shop(shop: Shop) -> None:
    """With CAPTURE_HONOR_GPC=false the signal is not taken for a refusal."""
    assert len(cookies_of(shop.capture(arrival(NAMED, sec_gpc="1"), honor_gpc=False))) == 2
    assert len(shop.rows()) == 1


def test_where_consent_is_required_nothing_happens_without(shop: Shop) -> None:
    """No answer to the banner yet: nothing set, nothing stored, nothing expired."""
    for arrived in (arrival(NAMED, cookie=kept(OTHER)), post({"im_ref": ID}), arrival("consent=granted")):
        answer = shop.capture(arrived, consent="required")
        assert (answer.status, cookies_of(answer), shop.rows()) == (204, [], [])


@pytest.mark.parametrize("arrived", [arrival(f"{NAMED}&consent=granted"), post({"im_ref": ID, "consent": True})])
def test_where_consent_is_required_and_given_the_click_is_kept(shop: Shop, arrived: Arrival) -> None:
    """After a yes the landing counts like any other."""
    assert len(cookies_of(shop.capture(arrived, consent="required"))) == 2
    assert shop.row().consent == "granted"


def test_a_consent_that_is_given_later_is_kept_with_the_click(shop: Shop) -> None:
    """The banner is answered after the landing; and what was said once is not taken back by a page that is silent."""
    for arrived, known in (
        (arrival(NAMED), "implied"),
        (post({"im_ref": ID, "consent": True}), "granted"),
        (arrival(NAMED), "granted"),
    ):
        shop.capture(arrived)
        assert shop.row().consent == known
    assert shop.row().click_id == ID


@pytest.mark.parametrize(
    "headers",
    [
        {"user_agent": GOOGLEBOT},
        {"user_agent": "facebookexternalhit/1.1"},
        {"sec_purpose": "prefetch;prerender"},
        {"purpose": "prefetch"},
        {"x_moz": "prefetch"},
        {"x_purpose": "preview"},
    ],
)
def test_programs_and_prefetching_set_nothing(shop: Shop, headers: dict[str, str]) -> None:
    """A link preview or a page loaded on suspicion is no click, but still gets the page."""
    to = quote(f"{STOREFRONT}/boots", safe="")
    for arrived, status in ((arrival(NAMED, **headers), 204), (arrival(f"{NAMED}&to={to}", **headers), 302)):
        answer = shop.capture(arrived)
        assert (answer.status, cookies_of(answer), shop.rows()) == (status, [], [])


def test_a_redirect_without_a_click_just_redirects(shop: Shop) -> None:
    """The same link works for a visitor who comes without a partner."""
    answer = shop.capture(arrival(f"to={quote(STOREFRONT)}/"))
    assert (answer.status, header_of(answer, "Location")) == (302, f"{STOREFRONT}/")
    assert (cookies_of(answer), shop.rows()) == ([], [])


@pytest.mark.parametrize(
    ("query", "referer", "stored"),
    [
        ("", "https://www.shop.example/boots?a=b", "https://www.shop.example/boots"),
        ("", "https://track.shop.example/page", "https://track.shop.example/page"),
        ("", "https://blog.example/post", None),
        ("", "https://www.shop.example.evil.example/", None),
        ("&url=https://www.shop.example/hats", "https://www.shop.example/boots", "https://www.shop.example/hats"),
        ("&url=nonsense", "https://www.shop.example/boots", None),
        ("&to=https://www.shop.example/socks?a", "https://www.shop.example/boots", "https://www.shop.example/socks"),
    ],
)
def test_the_landing_page(shop: Shop, query: str, referer: str, stored: str | None) -> None:
    """The page is what the shop names, else where the link leads, else the shop's page that called; else unknown."""
    shop.capture(arrival(NAMED + query, referer=referer))
    assert (shop.row().landing_url, shop.row().referrer_origin) == (stored, None)


@given(
    st.sampled_from([b"im_ref=", b"consent=", b"to=", b"url=", b""]),
    st.binary(max_size=80),
    st.dictionaries(
        st.sampled_from(["cookie", "user-agent", "referer", "origin", "host", "sec-gpc", "content-type"]),
        st.text(st.characters(max_codepoint=255), max_size=80),
    ),
    st.sampled_from(["GET", "POST"]),
)
def test_no_call_is_too_strange(whole_shop: Shop, key: bytes, raw: bytes, headers: dict[str, str], method: str) -> None:
    """Whatever arrives, the answer is no server error, and no header of it can be split."""
    given = {name.encode(): value.encode("latin-1") for name, value in headers.items()}
    answer = whole_shop.capture(Arrival(method, "https", key + raw, given, raw, SECOND))
    assert answer.status in {204, 302, 400, 403, 415}
    assert all(value.isascii() and value.decode().isprintable() for _, value in answer.headers)
    whole_shop.forget_all()


def test_a_browser_s_month(shop: Shop) -> None:
    """Many landings over a month: the cookie is always the last click's, and never older than its window."""
    jar: dict[str, tuple[str, datetime]] = {}
    now, clicks = datetime(2026, 1, 1, tzinfo=UTC), ["a", "a", "b", "a", "a", "c", "c", "c"]
    first: dict[str, datetime] = {}
    for number, click_id in enumerate(clicks):
        header = "; ".join(f"{name}={value}" for name, (value, ends) in jar.items() if ends > now)
        again = f"im_ref={click_id};" in f"{header};"
        first[click_id] = first[click_id] if again else now
        for one in cookies_of(shop.capture(arrival(f"im_ref={click_id}", cookie=header), now=now)):
            pair, max_age = one.split("; ")[:2]
            name, _, value = pair.partition("=")
            jar[name] = (value, now + timedelta(seconds=int(max_age.removeprefix("Max-Age="))))
        assert jar["im_ref"] == (click_id, first[click_id] + timedelta(days=30)), number
        assert jar["im_ref_at"][0] == str(int(first[click_id].timestamp()))
        now += timedelta(days=4, hours=number)

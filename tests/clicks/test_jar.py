"""Cookies that contradict each other: what a browser is left with after a landing, a refusal, a renewal."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.clicks.click import Kept
from app.clicks.cookie import CookieRule, kept_clicks
from tests.clicks.jar import Jar
from tests.clicks.shop import DAY, HOST, ID, NOW, OTHER, SECOND, Shop, arrival, cookies_of, post

WINDOW = 30 * DAY
RULE = CookieRule("im_ref", ("auto",), secure=True, http_only=False)
DEEP = "a.b.shop.example"
PLACES = [None, DEEP, "b.shop.example", "shop.example"]
VALUES = ["one", "two", ID, "", "not an id", '"one"', "x" * 65]
TIMES = [str(SECOND + shift) for shift in (0, -1, -60, -5 * DAY, -WINDOW + 1, -WINDOW, -WINDOW - 9, 1, DAY)]
TIMES += ["", "soon", "-1"]


@st.composite
def jars(draw: st.DrawFn) -> Jar:
    """Anything that sub-domains, scripts and former settings can have left in a browser, in any order."""
    names = st.tuples(st.just("im_ref"), st.sampled_from(VALUES)) | st.tuples(
        st.just("im_ref_at"), st.sampled_from(TIMES)
    )
    jar = Jar()
    for (name, value), place in draw(st.lists(st.tuples(names, st.sampled_from(PLACES)), max_size=8)):
        where = f"; Domain={place}" if place else ""
        jar.set(DEEP, f"{name}={value}; Max-Age=99999999; Path=/{where}", SECOND)
    return jar


def read(jar: Jar, at: int = SECOND) -> list[Kept]:
    """Return the clicks that a checkout on the same host would find."""
    return kept_clicks(jar.header(DEEP, at), RULE)


def since(jar: Jar, click_id: str) -> int:
    """Return when this click was first captured, as far as the jar tells; else now."""
    times = [one.captured_at for one in read(jar) if one.click_id == click_id]
    return min((time for time in times if time is not None and time <= SECOND), default=SECOND)


@given(jars(), st.sampled_from(["one", "two", "three"]), st.sampled_from(["auto", "host", "b.shop.example"]))
def test_after_a_landing_one_click_is_left(whole_shop: Shop, jar: Jar, landed: str, domain: str) -> None:
    """Whatever the cookies were: the click that landed, alone, until one window after its first capture."""
    first = since(jar, landed)
    others = [one for one in read(jar) if one.click_id != landed]
    arrived = arrival(f"im_ref={landed}", host=DEEP, cookie=jar.header(DEEP, SECOND))
    answer = whole_shop.capture(arrived, cookie_domain=(domain,))
    jar.apply(DEEP, cookies_of(answer), SECOND)
    ends = {ends for (name, *_), (_, ends) in jar.cookies.items() if name in ("im_ref", "im_ref_at")}
    if first + WINDOW > SECOND:
        assert {(one.click_id, one.captured_at) for one in read(jar)} == {(landed, first)}
        assert first + WINDOW in ends
    elif not others:
        assert jar.header(DEEP, SECOND) == ""
    else:
        assert [one for one in read(jar) if one.click_id != landed] == others or jar.header(DEEP, SECOND) == ""
    whole_shop.forget_all()


@given(jars(), st.sampled_from(["auto", "host", "shop.example"]), st.sampled_from(["gpc", "get", "post"]))
def test_after_a_refusal_none_is_left(whole_shop: Shop, jar: Jar, domain: str, how: str) -> None:
    """Every variant of both cookies goes."""
    header = jar.header(DEEP, SECOND)
    arrived = {
        "gpc": arrival(sec_gpc="1", host=DEEP, cookie=header),
        "get": arrival("consent=denied", host=DEEP, cookie=header),
        "post": post({"consent": False}, host=DEEP, cookie=header),
    }[how]
    jar.apply(DEEP, cookies_of(whole_shop.capture(arrived, cookie_domain=(domain,))), SECOND)
    assert jar.header(DEEP, SECOND) == ""


@given(st.lists(st.tuples(st.sampled_from(["one", "two"]), st.integers(0, 20 * DAY), st.booleans()), min_size=1))
def test_however_often_a_link_is_opened(whole_shop: Shop, visits: list[tuple[str, int, bool]]) -> None:
    """A click lives one window from its first landing, through any number of visits, also with a script's copy."""
    jar, now, first = Jar(), SECOND, 0
    for click_id, pause, copied in visits:
        now += pause
        before = [one.click_id for one in kept_clicks(jar.header(HOST, now), RULE)]
        first = first if before and set(before) == {click_id} else now
        arrived = arrival(f"im_ref={click_id}", cookie=jar.header(HOST, now))
        answer = whole_shop.capture(arrived, now=NOW + timedelta(seconds=now - SECOND))
        jar.apply(HOST, cookies_of(answer), now)
        found = kept_clicks(jar.header(HOST, now), RULE)
        assert {(one.click_id, one.captured_at) for one in found} == {(click_id, first)}
        if copied:  # by a script that knows no domain
            for one in cookies_of(answer)[-2:]:
                jar.set(HOST, one.replace("; Domain=shop.example", ""), now)
        assert kept_clicks(jar.header(HOST, first + WINDOW), RULE) == []
    whole_shop.forget_all()


@pytest.mark.parametrize(
    "tossed", [f"im_ref={OTHER}; im_ref_at={SECOND - 1}", "im_ref=; im_ref_at=x", f"im_ref={OTHER}"]
)
def test_a_sibling_s_cookie_does_not_outlive_a_landing(shop: Shop, tossed: str) -> None:
    """What another host of the same site has put before the shop's cookie is gone after the next click."""
    header = f"{tossed}; im_ref=mine; im_ref_at={SECOND - 99}"
    cookies = cookies_of(shop.capture(arrival(f"im_ref={ID}", cookie=header)))
    assert [one.partition(";")[0] for one in cookies[-2:]] == [f"im_ref={ID}", f"im_ref_at={SECOND}"]
    assert {one.partition("; ")[2] for one in cookies[:-2]} == {
        "Max-Age=0; Path=/; SameSite=Lax; Secure",
        "Max-Age=0; Path=/; Domain=track.shop.example; SameSite=Lax; Secure",
    }

"""The cookies: read and written byte for byte, on the right domain."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.clicks.click import ClickId, Kept, Verdict
from app.clicks.cookie import (
    CookieRule,
    attributes,
    cookie_domain,
    expire_cookies,
    expire_shadows,
    is_same_site,
    is_settled,
    kept_clicks,
    set_cookies,
)
from app.impact.limits import CLICK_ID

RULE = CookieRule("im_ref", ("auto",), secure=True, http_only=False)
IDS = st.from_regex(CLICK_ID, fullmatch=True).map(ClickId)


def test_the_cookies_look_as_documented() -> None:
    """Name, life, path, domain and flags, in this order, and the time beside the id."""
    assert set_cookies(
        RULE, attributes(RULE, "track.shop.example"), ClickId("a/b=="), Verdict(1_763_661_622, 2_592_000, True)
    ) == (
        "im_ref=a/b==; Max-Age=2592000; Path=/; Domain=shop.example; SameSite=Lax; Secure",
        "im_ref_at=1763661622; Max-Age=2592000; Path=/; Domain=shop.example; SameSite=Lax; Secure",
    )


def test_flags_follow_the_settings_on_both_cookies() -> None:
    """A script that cannot change the id cannot change its time either."""
    rule = CookieRule("click", ("host",), secure=False, http_only=True)
    assert set_cookies(rule, attributes(rule, "localhost:8000"), ClickId("x"), Verdict(5, 9, True)) == (
        "click=x; Max-Age=9; Path=/; SameSite=Lax; HttpOnly",
        "click_at=5; Max-Age=9; Path=/; SameSite=Lax; HttpOnly",
    )


@pytest.mark.parametrize("host", ["track.shop.example", "localhost", "a.b.co.uk:8443"])
def test_expiring_names_the_same_domain_and_path(host: str) -> None:
    """A browser only forgets a cookie when domain and path are those it was set with."""
    for setting in set_cookies(RULE, attributes(RULE, host), ClickId("x"), Verdict(5, 9, True)):
        assert re.sub(r"=[^;]*; Max-Age=9", "=; Max-Age=0", setting) in expire_cookies(RULE, host)


@pytest.mark.parametrize(
    ("setting", "host", "domains"),
    [
        ("auto", "track.shop.example", [None, "track.shop.example"]),
        ("auto", "a.b.shop.co.uk:8443", [None, "a.b.shop.co.uk", "b.shop.co.uk"]),
        ("auto", "shop.example", [None]),
        ("auto", "shop.github.io", [None]),
        ("host", "www.shop.example", ["www.shop.example", "shop.example"]),
        ("eu.shop.example", "www.eu.shop.example", [None, "www.eu.shop.example", "shop.example"]),
        ("auto", "localhost:8000", []),
        ("auto", "127.0.0.1", []),
        ("auto", "github.io", []),
        ("auto", ".".join("abcdefghijklm") + ".shop.example", 8),
    ],
)
def test_what_can_stand_beside_the_cookie(setting: str, host: str, domains: list[str | None] | int) -> None:
    """Everything under which a browser may hold another cookie of this name for this host, and a bounded number."""
    found = expire_shadows(CookieRule("im_ref", (setting,), secure=False, http_only=False), host)
    assert [one.partition("=")[0] for one in found] == ["im_ref", "im_ref_at"] * (len(found) // 2)
    named = [re.search(r"Domain=([^;]+)", one) for one in found[::2]]
    assert (len(found) // 2 if isinstance(domains, int) else [one and one[1] for one in named]) == domains


@pytest.mark.parametrize(
    ("header", "settled"),
    [
        ("", True),
        ("theirs=1", True),
        ("im_ref=a; im_ref_at=5", True),
        ("im_ref=a", True),
        ("im_ref=b; im_ref_at=5", False),
        ("im_ref=a; im_ref_at=11", False),
        ("im_ref=a; im_ref_at=x", False),
        ("im_ref=!; im_ref_at=5", False),
        ("im_ref=", False),
        ("im_ref_at=5", False),
        ("im_ref=a; im_ref=a", False),
        ("im_ref=a; im_ref_at=5; im_ref_at=5", False),
    ],
)
def test_when_the_rest_is_cleared(header: str, settled: bool) -> None:
    """Unless the cookies hold the click alone, once, with a sound time, whatever else there may be goes."""
    assert is_settled(header, RULE, ClickId("a"), 10) is settled


@pytest.mark.parametrize(
    ("host", "other", "same"),
    [
        ("track.shop.example", "www.shop.example", True),
        ("www.shop.example:8443", "www.shop.example", True),
        ("shop.example", "linked.example", False),
        ("a.shop.co.uk", "b.other.co.uk", False),
        ("a.github.io", "b.github.io", False),
        ("github.io", "github.io", True),
        ("127.0.0.1:8000", "linked.example", False),
        ("localhost", "linked.example", False),
        ("", "linked.example", False),
    ],
)
def test_one_site_is_one_registrable_domain(host: str, other: str, same: bool) -> None:
    """Two hosts share their cookies there, and nowhere else."""
    assert is_same_site(host, other) is same


def test_a_host_prefix_is_honoured() -> None:
    """A cookie called `__Host-…` names no domain, or the browser would drop it."""
    rule = CookieRule("__Host-im_ref", ("auto",), secure=True, http_only=True)
    written = set_cookies(rule, attributes(rule, "a.shop.example"), ClickId("x"), Verdict(5, 9, True))
    assert not [one for one in (*written, *expire_cookies(rule, "a.shop.example")) if "Domain" in one]


@given(IDS, st.integers(0, 2_000_000_000), st.text("abcXYZ=%\"' ", max_size=10))
def test_an_id_survives_the_cookie(click_id: ClickId, time: int, noise: str) -> None:
    """What was written comes back byte for byte, whatever other cookies are sent."""
    written = [
        one.partition(";")[0]
        for one in set_cookies(RULE, attributes(RULE, "x.shop.example"), click_id, Verdict(time, 9, True))
    ]
    header = "; ".join((f"theirs={noise}", *written, "im_ref_x=1", "xim_ref=2", "IM_REF=3"))
    assert kept_clicks(header, RULE) == [Kept(click_id, time)]


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ("", []),
        ("im_ref", []),
        ("im_ref=", []),
        ('im_ref="quoted"', []),
        ("im_ref=" + "x" * 65, []),
        ("im_ref=a b", []),
        ("im_ref=caf\xe9", []),
        (" im_ref=a%2Bb+c ;im_ref_at=7", [Kept(ClickId("a%2Bb+c"), 7)]),
        ("im_ref=a=b=", [Kept(ClickId("a=b="), None)]),
        ("im_ref=a; im_ref_at=soon", [Kept(ClickId("a"), None)]),
        ("im_ref=a; im_ref_at=-5", [Kept(ClickId("a"), None)]),
        ("im_ref=a; im_ref_at=1e9", [Kept(ClickId("a"), None)]),
        ("im_ref=a; im_ref_at=" + "9" * 5_000, [Kept(ClickId("a"), None)]),
        ("im_ref=a; im_ref_at=٣", [Kept(ClickId("a"), None)]),
        ("im_ref=a; im_ref=b; im_ref_at=1; im_ref_at=2", [Kept(ClickId("a"), 1), Kept(ClickId("b"), 2)]),
        ("im_ref=!; im_ref=b; im_ref_at=1; im_ref_at=2", [Kept(ClickId("b"), 2)]),
        ("im_ref=a; im_ref=b; im_ref_at=2", [Kept(ClickId("a"), 2), Kept(ClickId("b"), 2)]),
        ("im_ref=a; im_ref_at=9; im_ref_at=2; im_ref_at=x", [Kept(ClickId("a"), 2)]),
    ],
)
def test_reading_cookies(header: str, found: list[Kept]) -> None:
    """Nothing is unquoted, wrong values are ignored, and several cookies of one name are all seen."""
    assert kept_clicks(header, RULE) == found


@given(st.text(st.characters(max_codepoint=255)))
def test_no_cookie_header_is_too_strange(header: str) -> None:
    """Whatever a browser sends, reading it goes well."""
    assert all(CLICK_ID.fullmatch(one.click_id) for one in kept_clicks(f"im_ref={header}", RULE))


@pytest.mark.parametrize(
    ("setting", "host", "domain"),
    [
        ("auto", "track.shop.example", "shop.example"),
        ("auto", "TRACK.Shop.Example:8443", "shop.example"),
        ("auto", "shop.example", "shop.example"),
        ("auto", "a.b.shop.co.uk", "shop.co.uk"),
        ("auto", "co.uk", None),
        ("auto", "shop.github.io", "shop.github.io"),
        ("auto", "github.io", None),
        ("auto", "www.xn--mller-kva.example", "xn--mller-kva.example"),
        ("auto", "localhost", None),
        ("auto", "localhost:8000", None),
        ("auto", "127.0.0.1", None),
        ("auto", "127.0.0.1:8000", None),
        ("auto", "[2001:db8::1]:8000", None),
        ("auto", "[::1]", None),
        ("auto", "shop.example.", None),
        ("auto", "", None),
        ("auto", "shop.example; Secure", None),
        ("auto", "shop.example\r\nX: y", None),
        ("auto", "ex\xe4mple.com", None),
        ("host", "track.shop.example", None),
        ("shop.example,shop.test", "www.shop.test", "shop.test"),
        ("shop.example,eu.shop.example", "www.eu.shop.example", "eu.shop.example"),
        ("eu.shop.example,shop.example", "www.shop.example", "shop.example"),
        ("shop.example", "shop.example:443", "shop.example"),
        ("shop.example", "evilshop.example", None),
        ("shop.example", "shop.example.evil.test", None),
        ("shop.example", "127.0.0.1", None),
    ],
)
def test_the_cookie_goes_on_the_shops_whole_domain(setting: str, host: str, domain: str | None) -> None:
    """Set on a tracking sub-domain, the cookie reaches the checkout, and never a domain that others share."""
    assert cookie_domain(tuple(setting.split(",")), host) == domain

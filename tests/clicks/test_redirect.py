"""The redirect leads to the shop's own pages, whatever address an attacker writes."""

import re
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.clicks.redirect import allowed_target
from app.errors import MalformedRequest
from tests.clicks.shop import ID, Shop, arrival, cookies_of, header_of

ORIGINS = ("https://www.shop.example", "https://shop.test:8443", "http://localhost:3000")
LINKED = ("linked.example", "*.partner.example")
SAFE = re.compile(
    r"https://(www\.shop\.example|shop\.test:8443|linked\.example|([a-z0-9-]+\.)+partner\.example)([/?#][!-\[\]-~]*)?"
)

GOOD = [
    "https://www.shop.example",
    "https://www.shop.example/",
    "https://www.shop.example/boots?size=42&colour=a+b%20c&im_ref=x%253A#top",
    "https://www.shop.example?a=1",
    "https://www.shop.example#a",
    "https://www.shop.example/@handle//x/../y;z=1?u=https://evil.example/",
    "https://www.shop.example/{a}|^`<b>\"'",
    "https://shop.test:8443/a",
    "https://linked.example/a",
    "https://eu.partner.example/a",
    "https://a.b.partner.example",
]

HOSTS = ["evil.example", "evil.example%2F", "evil.example%00", "www.shop.example.evil.example", "evilwww.shop.example"]
HOSTS += ["www.shop.example@evil.example", "www.shop.example%40evil.example", "www.shop.example:443@evil.example"]
HOSTS += ["a:b@www.shop.example", "@www.shop.example", ":@www.shop.example", "www.shop.example:@evil.example"]
HOSTS += ["www.shop.example.", "www.shop.example..", ".www.shop.example", "www..shop.example", "WWW.SHOP.EXAMPLE"]
HOSTS += ["www.shop.examplE", "www.shop。example", "www.shop．example", "www。shop。example", "ｗｗｗ.shop.example"]
HOSTS += [
    "www.shop.ex\u00adample",
    "www.shop.example\u200b",
    "www.ſhop.example",
    "www.shoр.example",
    "ｗww.shop.example",
]
HOSTS += [
    "%77ww.shop.example",
    "www%2Eshop%2Eexample",
    "www.shop.example%E3%80%82evil.example",
    "www.shop.example%2eevil",
]
HOSTS += ["www.shop.example:80", "www.shop.example:443", "www.shop.example:8443", "www.shop.example:", "shop.test"]
HOSTS += [
    "www.shop.example:0",
    "www.shop.example:99999999",
    "www.shop.example:4 3",
    "www.shop.example:+443",
    "shop.test:443",
]
HOSTS += ["shop.example", "x.www.shop.example", "www.shop.example,evil.example", "www.shop.example;evil.example"]
HOSTS += ["www.shop.example\\evil.example", "evil.example\\www.shop.example", "evil.example\\@www.shop.example"]
HOSTS += [
    "www.shop.example&evil.example",
    "www.shop.example evil.example",
    "www.shop.example|evil.example",
    "localhost:3000",
]
HOSTS += ["www.shop.example[evil.example]", "[::1]", "[www.shop.example]", "127.0.0.1", "2130706433", "0x7f.1", "", "/"]
HOSTS += ["partner.example", "evilpartner.example", "*.partner.example", ".partner.example", "a..partner.example"]
HOSTS += ["a.partner.example.evil.example", "a.partner.example:8443", "a_b.partner.example", "x.linked.example", "-"]
HOSTS += [
    "linked.example:443",
    "linked.example.",
    "linked.examplé",
    "xn--www.shop.example",
    "www.shop.example\x00.evil.example",
]

BAD = [f"https://{host}/x" for host in HOSTS]
BAD += [
    f"{scheme}//www.shop.example/"
    for scheme in ("", "http:", "HTTPS:", "Https:", "ftp:", "ws:", "https", "https:https:")
]
BAD += [
    f"{scheme}www.shop.example/"
    for scheme in ("https:", "https:/", "https:///", "https:////", "https:\\\\", "https:/\\")
]
BAD += [
    f"{space}https://www.shop.example/"
    for space in (" ", "\t", "\n", "\r\n", "\x00", "\x01", "\u00a0", "\ufeff", "\u2028")
]
BAD += [f"https://www.shop.example{space}/" for space in (" ", "\t", "\n", "\r\n", "\x00", "\x7f", "\u00a0", "\u3000")]
BAD += [
    f"https://www.shop.example/{odd}"
    for odd in ("\r\nSet-Cookie: a=b", "\nLocation: //evil.example", " ", "\t", "\\", "ä")
]
BAD += [
    f"https://www.shop.example/{odd}"
    for odd in ("\x00", "\x7f", "\u2028", "\u202e", "\ud83d\ude00", "\ufffd", "a" * 5_000)
]
BAD += [
    "",
    "/",
    "//evil.example",
    "///evil.example",
    "////evil.example",
    "\\evil.example",
    "\\\\evil.example",
    "/\\evil.example",
]
BAD += [
    "\\/evil.example",
    "/%09/evil.example",
    "/%2f/evil.example",
    "%2f%2fevil.example",
    "//www.shop.example@evil.example",
]
BAD += [
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    "java\tscript:alert(1)",
    "javascript://www.shop.example/%0aalert(1)",
]
BAD += ["data:text/html,<script>", "vbscript:x", "blob:https://www.shop.example/x", "file:///etc/passwd", "about:blank"]
BAD += [
    "view-source:https://www.shop.example/",
    "intent://www.shop.example/#Intent;scheme=https;end",
    "mailto:a@shop.example",
]
BAD += [
    "https%3A%2F%2Fwww.shop.example%2F",
    "https%3A//www.shop.example/",
    "https:%2F%2Fwww.shop.example/",
    "h%74tps://www.shop.example",
]
BAD += [
    "https%253A%252F%252Fwww.shop.example",
    "?",
    "#",
    ".",
    "..",
    "www.shop.example",
    "www.shop.example/x",
    "null",
    "@evil.example",
]


def test_the_list_is_long_enough() -> None:
    """At least a hundred tricks are tried, none twice."""
    assert len(set(BAD)) == len(BAD) >= 100


@pytest.mark.parametrize("target", GOOD)
def test_the_shops_own_pages_are_reached_byte_for_byte(target: str) -> None:
    """Path, query and fragment arrive exactly as the link had them."""
    assert SAFE.fullmatch(target)
    assert allowed_target(target, ORIGINS, LINKED) == target


@pytest.mark.parametrize("target", BAD, ids=ascii)
def test_no_trick_leads_elsewhere(target: str) -> None:
    """Anything that is not plainly a page of the shop is refused."""
    with pytest.raises(MalformedRequest) as refused:
        allowed_target(target, ORIGINS, LINKED)
    assert refused.value.code == "REDIRECT_NOT_ALLOWED"


PIECES = st.sampled_from(
    [
        "https:",
        "http:",
        "//",
        "/",
        "\\",
        "@",
        ":",
        ".",
        "?",
        "#",
        "www.shop.example",
        "evil.example",
        "linked.example",
        "eu.partner.example",
        "%2e",
        "%40",
        "%00",
        "\r\n",
        "\t",
        " ",
        "443",
        "8443",
        "shop.test",
        "。",
        "ä",
        "[",
        "]",
        "*.",
    ]
)


@given(st.lists(PIECES | st.text(max_size=3), max_size=12).map("".join))
@example("https://www.shop.example\n")
def test_fuzz_leads_nowhere_else(target: str) -> None:
    """Of all that can be pieced together only plain addresses of the shop pass, unchanged."""
    try:
        assert SAFE.fullmatch(allowed_target(target, ORIGINS, LINKED))
    except MalformedRequest:
        assert not SAFE.fullmatch(target)


def test_without_a_list_nothing_is_redirected() -> None:
    """A shop that has named no origin has no redirect."""
    for target in GOOD:
        with pytest.raises(MalformedRequest):
            allowed_target(target, (), ())


@pytest.mark.parametrize("target", BAD, ids=ascii)
def test_a_refused_redirect_stores_nothing(shop: Shop, target: str) -> None:
    """Over the whole way, an address that is refused gets 400 and leaves no trace."""
    raw = quote(target.encode("utf-8", "surrogatepass"), safe="")
    answer = shop.capture(arrival(f"im_ref={ID}&to={raw}"))
    assert (answer.status, header_of(answer, "Location"), cookies_of(answer)) == (400, None, [])
    assert shop.rows() == []


@pytest.mark.parametrize("target", GOOD)
def test_a_redirect_captures_first(shop: Shop, target: str) -> None:
    """A link through the service sets the cookie, records the click and leads on."""
    answer = shop.capture(arrival(f"im_ref={ID}&to={quote(target, safe='')}"))
    assert (answer.status, header_of(answer, "Location")) == (302, target)
    assert len(cookies_of(answer)) == 2
    assert (shop.row().click_id, shop.row().source) == (ID, "redirect")

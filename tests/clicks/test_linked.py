"""A click in a link to another domain: fresh or ignored, with its own age, encoded for every way of decoding."""

import json
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.clicks.capture import Arrival, Outcome
from app.clicks.click import ClickId
from app.clicks.linked import captured_of, with_click
from app.impact.limits import CLICK_ID
from tests.clicks.shop import DAY, ID, NOW, OTHER, SECOND, STOREFRONT, Shop, arrival, cookies_of, header_of, kept, post

N = SECOND
LINKS = [
    (f"{N}.{N}", N),
    (f"{N - DAY}.{N - 120}", N - DAY),
    (f"{N - DAY}.{N - 121}", None),
    (f"{N - DAY}.{N + 120}", N - DAY),
    (f"{N - DAY}.{N + 121}", None),
    (f"{N - DAY}.{N - 300}.s", N - DAY),
    (f"{N - DAY}.{N - 301}.s", None),
    (f"{N - DAY}.{N + 300}.s", N - DAY),
    (f"{N - DAY}.{N + 301}.s", None),
    (f"{N + 120}.{N}", N + 120),
    (f"{N + 121}.{N}", None),
    (f"{N + 300}.{N}.s", N + 300),
    (f"{N + 301}.{N}.s", None),
    (f"0.{N}", 0),
    ("", None),
    (".", None),
    (f"{N}", None),
    (f"{N}.", None),
    (f".{N}", None),
    (f"{N}.{N}.", None),
    (f"{N}.{N}.S", None),
    (f"{N}.{N}.x", None),
    (f"{N}.{N}.s.s", None),
    (f"{N}.{N}\n", None),
    (f" {N}.{N}", None),
    (f"-{N}.{N}", None),
    (f"+{N}.{N}", None),
    (f"{N}.{N}e0", None),
    (f"{N}.0x{N:x}", None),
    (f"{N}000.{N}", None),  # milliseconds
    ("٣.٣", None),
    ("9" * 5_000 + f".{N}", None),
]


@pytest.mark.parametrize(("link", "captured"), LINKS, ids=[ascii(one[0])[:40] for one in LINKS])
def test_a_link_is_good_for_minutes(link: str, captured: int | None) -> None:
    """Two where a browser issued it, five where a server did, before and after; all else is no hand-over."""
    assert captured_of(link, N) == captured


@pytest.mark.parametrize(("link", "captured"), LINKS, ids=[ascii(one[0])[:40] for one in LINKS])
def test_a_wrong_link_is_ignored(shop: Shop, link: str, captured: int | None) -> None:
    """By GET, by redirect and by POST: the click counts from its capture, or nothing happens and nothing fails."""
    to = f"{STOREFRONT}/a"
    query = f"im_ref={quote(ID)}&im_linked={quote(link)}"
    sent = [(arrival(query), 204), (arrival(f"{query}&to={to}"), 302), (post({"im_ref": ID, "im_linked": link}), 204)]
    for arrived, status in sent:
        done = shop.captured(arrived)
        assert (done.answer.status, header_of(done.answer, "Location")) == (status, to if status == 302 else None)
        alive = captured is not None and captured > N - 30 * DAY
        left = 30 * DAY - (N - min(captured or 0, N))
        assert [one.split("; ")[1] for one in cookies_of(done.answer)] == [f"Max-Age={left}"] * 2 * alive
        assert [row.captured_at for row in shop.rows()] == [NOW - timedelta(seconds=N - min(captured or 0, N))] * alive
        ignored = Outcome.STALE if captured is None else Outcome.EXPIRED
        assert done.outcome == (Outcome.CAPTURED if alive else ignored)
        shop.forget_all()


@pytest.mark.parametrize("value", [None, 5, 1.5, True, [], {}, [f"{N}.{N}"]], ids=repr)
def test_what_is_no_text_is_no_link(shop: Shop, value: Any) -> None:
    """A script's mistake costs the click, never the page."""
    done = shop.captured(post({"im_ref": ID, "im_linked": value}))
    assert (done.answer.status, done.outcome, cookies_of(done.answer), shop.rows()) == (204, Outcome.STALE, [], [])


def test_a_handed_over_click_is_called_im_ref(shop: Shop) -> None:
    """Also on a shop whose own links carry it under another name; without `im_linked` that name alone counts."""
    done = shop.captured(arrival(f"im_ref={ID}&mine={quote(OTHER)}&im_linked={N}.{N}"), parameters=("mine",))
    assert (done.outcome, shop.row().click_id) == (Outcome.CAPTURED, ID)
    assert shop.captured(arrival(f"im_ref={ID}"), parameters=("mine",)).outcome == Outcome.NONE


@pytest.mark.parametrize("as_post", [False, True])
def test_a_handed_over_click_never_replaces_a_newer_one(shop: Shop, as_post: bool) -> None:
    """Nor does it lengthen its own life; an older one gives way."""

    def handed_over(click_id: str, captured: int, cookie: str) -> tuple[str, list[str]]:
        link = f"{captured}.{N}"
        given = {"im_ref": click_id, "im_linked": link}
        arrived = (
            post(given, cookie=cookie) if as_post else arrival(f"im_ref={click_id}&im_linked={link}", cookie=cookie)
        )
        done = shop.captured(arrived)
        return done.outcome, [one.split("; ")[0] + one.split("; ")[1] for one in cookies_of(done.answer)[-2:]]

    def cookies(click_id: str, captured: int) -> list[str]:
        life = f"Max-Age={30 * DAY - (N - captured)}"
        return [f"im_ref={click_id}{life}", f"im_ref_at={captured}{life}"]

    assert handed_over("old", N - 60, kept("new", N - 59)) == (Outcome.OLDER, [])
    assert handed_over("new", N - 59, kept("old", N - 60)) == (Outcome.CAPTURED, cookies("new", N - 59))
    assert handed_over("same", N - 5, kept("same", N - 60)) == (Outcome.REPEATED, cookies("same", N - 60))
    assert handed_over("new", N - 59, "im_ref=undated") == (Outcome.CAPTURED, cookies("new", N - 59))
    assert handed_over("over", N - 30 * DAY, "") == (Outcome.EXPIRED, [])


@pytest.mark.parametrize("arrived", [arrival(f"im_linked={N}.{N}"), arrival("im_linked=x"), post({"im_linked": "x"})])
def test_a_link_without_a_click_is_nothing(shop: Shop, arrived: Arrival) -> None:
    """The times alone say nothing."""
    assert (shop.captured(arrived).outcome, shop.rows()) == (Outcome.NONE, [])


def test_refusal_and_consent_come_first(shop: Shop) -> None:
    """A stale link still withdraws; a fresh one still waits for consent."""
    shop.capture(arrival(f"im_ref={ID}"))
    assert shop.captured(arrival(f"im_ref={ID}&im_linked=x&consent=denied")).outcome == Outcome.WITHDRAWN
    assert shop.rows() == []
    fresh = arrival(f"im_ref={ID}&im_linked={N}.{N}")
    assert shop.captured(fresh, consent="required").outcome == Outcome.WITHHELD
    assert shop.rows() == []


IDS = st.from_regex(CLICK_ID, fullmatch=True).map(ClickId)
PRINTABLE = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="#"), max_size=40)


@given(IDS)
def test_every_decoding_gives_the_id_back(click_id: ClickId) -> None:
    """A plus as a blank or as a plus: after exactly one decoding the linked shop has the id."""
    query = urlsplit(with_click("https://linked.example/a?b=c", click_id, 7, N, ())).query
    assert dict(parse_qsl(query, strict_parsing=True))["im_ref"] == click_id
    plain = dict(one.split("=") for one in query.split("&"))
    assert unquote(plain["im_ref"]) == click_id
    assert set(query.partition("im_ref=")[2].partition("&")[0]) <= set(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~%"
    )


@given(PRINTABLE, PRINTABLE)
def test_the_rest_of_the_address_is_untouched(query: str, fragment: str) -> None:
    """Byte for byte, whatever the linked shop makes of it."""
    target = f"https://linked.example/a%20b?{query}#{fragment}"
    added = f"im_ref=x&im_linked=7.{N}.s"
    before = f"https://linked.example/a%20b?{query}&" if query else "https://linked.example/a%20b?"
    assert with_click(target, ClickId("x"), 7, N, ("irclickid",)) == f"{before}{added}#{fragment}"


@pytest.mark.parametrize(
    ("target", "becomes"),
    [
        ("https://l.example", "https://l.example?NEW"),
        ("https://l.example/", "https://l.example/?NEW"),
        ("https://l.example/?", "https://l.example/?NEW"),
        ("https://l.example/#im_ref=a", "https://l.example/?NEW#im_ref=a"),
        ("https://l.example/#a?b", "https://l.example/?NEW#a?b"),
        ("https://l.example/a?b#c#d", "https://l.example/a?b&NEW#c#d"),
        ("https://l.example/?a=1&&b", "https://l.example/?a=1&&b&NEW"),
        ("https://l.example/?a=?im_ref=1", "https://l.example/?a=?im_ref=1&NEW"),
        ("https://l.example/?im_ref=a", "https://l.example/?NEW"),
        ("https://l.example/?im_ref", "https://l.example/?NEW"),
        ("https://l.example/?im_ref=a&b=c&im_ref=d", "https://l.example/?b=c&NEW"),
        ("https://l.example/?im_linked=1.2&b=c&irclickid=x", "https://l.example/?b=c&NEW"),
        ("https://l.example/?i%6D_ref=a&im%5fref=b", "https://l.example/?NEW"),
        ("https://l.example/?IM_REF=a&im_ref2=b&xim_ref=c", "https://l.example/?IM_REF=a&im_ref2=b&xim_ref=c&NEW"),
        ("https://l.example/?u=https%3A%2F%2Fx%3Fim_ref%3Da", "https://l.example/?u=https%3A%2F%2Fx%3Fim_ref%3Da&NEW"),
    ],
)
def test_an_earlier_click_in_the_address_is_replaced(target: str, becomes: str) -> None:
    """However its name is written; what only looks like one stays."""
    new = f"im_ref=a%2Fb&im_linked=7.{N}.s"
    assert with_click(target, ClickId("a/b"), 7, N, ("im_ref", "irclickid")) == becomes.replace("NEW", new)


def test_the_body_names_it_too(shop: Shop) -> None:
    """A script posts what it found in its address."""
    answer = shop.client.post("/capture", content=json.dumps({"im_ref": ID, "im_linked": "1.2"}))
    assert (answer.status_code, shop.rows()) == (204, [])

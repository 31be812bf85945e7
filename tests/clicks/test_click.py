"""Which of two clicks counts, how long, and what is kept about one."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.clicks.click import (
    ClickId,
    Kept,
    Verdict,
    click_id_of,
    landing_url,
    last_click_wins,
    origin_of,
    visitors_click,
)

A, B = ClickId("click-a"), ClickId("click-b")
NOW, WINDOW = 1_800_000_000, 30 * 86_400
CHARACTERS = string.ascii_letters + string.digits + "._~:%+/=-"


@given(st.text(CHARACTERS, min_size=1, max_size=64))
def test_an_id_is_taken_as_it_is(text: str) -> None:
    """Every id that impact.com can issue is accepted, character for character."""
    assert click_id_of(text) == text


@given(st.text(), st.text(st.characters(exclude_characters=CHARACTERS), min_size=1), st.text())
def test_anything_else_is_no_id(before: str, foreign: str, after: str) -> None:
    """One foreign character is enough to refuse an id, wherever it stands."""
    assert click_id_of(before + foreign + after) is None


@pytest.mark.parametrize("text", ["", "x" * 65, "id\n", "\nid", "a b", 'a"b', "a;b", "a,b", "ä", "a\x00", "a\\b", "٣"])
def test_near_misses_are_no_ids(text: str) -> None:
    """Empty, too long, or one character off: refused."""
    assert click_id_of(text) is None


VERDICTS = [
    ("a first landing lives the whole window", None, [], Verdict(NOW, WINDOW, recorded=True)),
    ("another id replaces the cookie", None, [Kept(B, NOW - 99)], Verdict(NOW, WINDOW, recorded=True)),
    ("even one of the same second", None, [Kept(B, NOW)], Verdict(NOW, WINDOW, recorded=True)),
    ("the same id keeps its time", None, [Kept(A, NOW - 99)], Verdict(NOW - 99, WINDOW - 99, recorded=True)),
    ("also when reported late", NOW - 500, [Kept(A, NOW - 99)], Verdict(NOW - 99, WINDOW - 99, recorded=True)),
    ("a time in the future is now", None, [Kept(A, NOW + 1)], Verdict(NOW, WINDOW, recorded=True)),
    ("no time is now", None, [Kept(A, None)], Verdict(NOW, WINDOW, recorded=True)),
    ("a future report is now", NOW + 10**12, [], Verdict(NOW, WINDOW, recorded=True)),
    ("a late report has less life left", NOW - 60, [], Verdict(NOW - 60, WINDOW - 60, recorded=True)),
    ("an older click leaves a newer one", NOW - 60, [Kept(B, NOW - 59)], Verdict(NOW - 60, None, recorded=True)),
    ("but replaces one without a time", NOW - 60, [Kept(B, None)], Verdict(NOW - 60, WINDOW - 60, recorded=True)),
    ("or with one to come", NOW - 60, [Kept(B, NOW + 9)], Verdict(NOW - 60, WINDOW - 60, recorded=True)),
    ("or one past its life", NOW - 60, [Kept(B, NOW - WINDOW)], Verdict(NOW - 60, WINDOW - 60, recorded=True)),
    ("a newer one replaces it", NOW - 60, [Kept(B, NOW - 61)], Verdict(NOW - 60, WINDOW - 60, recorded=True)),
    ("at the window's end it is over", NOW - WINDOW, [], Verdict(NOW - WINDOW, None, recorded=False)),
    ("a second before it is not", NOW - WINDOW + 1, [], Verdict(NOW - WINDOW + 1, 1, recorded=True)),
    ("a cookie past its life goes", None, [Kept(A, NOW - WINDOW)], Verdict(NOW - WINDOW, 0, recorded=False)),
    (
        "of several the newest counts",
        NOW - 9,
        [Kept(B, NOW - 50), Kept(A, NOW - 5)],
        Verdict(NOW - 5, WINDOW - 5, True),
    ),
    ("of one id the oldest time", None, [Kept(A, NOW - 5), Kept(A, NOW - 8)], Verdict(NOW - 8, WINDOW - 8, True)),
    ("an id under a newer one returns", None, [Kept(A, NOW - 9), Kept(B, NOW - 3)], Verdict(NOW - 9, WINDOW - 9, True)),
    ("but not by an old report", NOW - 5, [Kept(A, NOW - 9), Kept(B, NOW - 3)], Verdict(NOW - 9, None, True)),
    ("nor when it is past its life", None, [Kept(A, NOW - WINDOW), Kept(B, NOW)], Verdict(NOW - WINDOW, None, False)),
    ("one old time is enough", None, [Kept(A, NOW - WINDOW), Kept(A, NOW)], Verdict(NOW - WINDOW, 0, False)),
]


@pytest.mark.parametrize(
    ("captured", "kept", "verdict"), [row[1:] for row in VERDICTS], ids=[row[0] for row in VERDICTS]
)
def test_last_click_wins(captured: int | None, kept: list[Kept], verdict: Verdict) -> None:
    """The shop's partners are credited by the last click, within the referral window."""
    assert last_click_wins(A, captured, kept, now=NOW, window=WINDOW) == verdict


@pytest.mark.parametrize(
    ("kept", "counts"),
    [
        ([], None),
        ([Kept(A, NOW)], Kept(A, NOW)),
        ([Kept(A, NOW - 5), Kept(B, NOW - 4)], Kept(B, NOW - 4)),
        ([Kept(A, NOW - 4), Kept(B, NOW - 5)], Kept(A, NOW - 4)),
        ([Kept(A, NOW - 5), Kept(B, NOW - 5)], Kept(A, NOW - 5)),
        ([Kept(A, None), Kept(B, NOW - WINDOW + 1)], Kept(B, NOW - WINDOW + 1)),
        ([Kept(A, NOW + 1), Kept(B, NOW - 5)], Kept(B, NOW - 5)),
        ([Kept(A, None), Kept(B, None)], Kept(A, None)),
        ([Kept(A, NOW + 1), Kept(B, None)], Kept(A, NOW + 1)),
        ([Kept(A, NOW - WINDOW)], None),
        ([Kept(A, NOW - WINDOW), Kept(B, None)], Kept(B, None)),
    ],
)
def test_one_of_several_cookies_counts(kept: list[Kept], counts: Kept | None) -> None:
    """The newest time that has come, then those without one, then the first sent; none beyond its window."""
    assert visitors_click(kept, now=NOW, window=WINDOW) == counts


@given(st.lists(st.tuples(st.sampled_from([A, B]), st.integers(0, WINDOW // 2)), min_size=1, max_size=12))
def test_renewing_never_lengthens_a_life(landings: list[tuple[ClickId, int]]) -> None:
    """However often the same link is opened, its click ends one window after the first of these landings."""
    now, ends = NOW, 0
    cookie: Kept | None = None
    for click_id, pause in landings:
        now += pause
        kept = [cookie] if cookie and now < ends else []  # what a browser still has
        first = kept[0].captured_at if kept and kept[0].click_id == click_id else now
        verdict = last_click_wins(click_id, None, kept, now=now, window=WINDOW)
        assert first is not None
        assert verdict == Verdict(first, first + WINDOW - now, recorded=True)
        cookie, ends = Kept(click_id, verdict.captured_at), now + (verdict.max_age or 0)


@given(
    st.none() | st.integers(-(10**15), 10**15),
    st.lists(st.builds(Kept, st.sampled_from([A, B]), st.none() | st.integers(0, 10**12)), max_size=4),
)
def test_no_input_makes_a_life_longer_than_the_window(captured: int | None, kept: list[Kept]) -> None:
    """Neither a forged cookie nor a forged report gives a click more than one window, or a time to come."""
    verdict = last_click_wins(A, captured, kept, now=NOW, window=WINDOW)
    assert verdict.max_age is None or 0 <= verdict.max_age <= WINDOW
    assert verdict.captured_at <= NOW
    if verdict.max_age:
        assert verdict.captured_at + WINDOW == NOW + verdict.max_age


@pytest.mark.parametrize(
    ("given_url", "stored"),
    [
        ("https://www.shop.example/boots?im_ref=1#top", "https://www.shop.example/boots"),
        ("https://user:secret@shop.example/a?b", "https://shop.example/a"),
        ("HTTPS://Shop.Example:443/A%20b", "https://shop.example/A%20b"),
        ("http://shop.example:8080", "http://shop.example:8080"),
        ("https://shop.example/Müller/靴", "https://shop.example/Müller/靴"),
        ("https://[2001:db8::1]:8443/x", "https://[2001:db8::1]:8443/x"),
        ("https://shop.example/" + "x" * 3_000, ("https://shop.example/" + "x" * 3_000)[:2_000]),
        ("javascript:alert(1)", None),
        ("data:text/html,x", None),
        ("/boots", None),
        ("", None),
        ("https://", None),
        ("https:///x", None),
        ("https://shop.example:99999/", None),
        ("https://[::1/", None),
        ("https://shop.example/a b", None),
        ("https://shop.example/\x00", None),
        ("https://shop.example/\ud800", None),
        ("https://shop.example/\r\nx", None),
        ("https://" + "x" * 400 + "/", None),
    ],
)
def test_what_is_kept_of_a_landing_page(given_url: str, stored: str | None) -> None:
    """The page is kept without query, fragment and login; what is no web address is not kept."""
    assert landing_url(given_url) == stored


@pytest.mark.parametrize(
    ("referrer", "origin"),
    [
        ("https://Blog.Example/post?u=alice#x", "https://blog.example"),
        ("http://blog.example:80/", "http://blog.example"),
        ("https://a:b@blog.example:444/", "https://blog.example:444"),
        ("android-app://com.google.android.gm/", None),
        ("about:client", None),
        ("null", None),
    ],
)
def test_what_is_kept_of_a_referrer(referrer: str, origin: str | None) -> None:
    """Only where the visitor came from is kept, not which page and not who they are there."""
    assert origin_of(referrer) == origin


@given(st.text() | st.text(st.characters(categories=["Cc", "Cs", "Zs", "Lo"])).map("https://shop.example/{}".format))
def test_no_text_can_upset_a_database(text: str) -> None:
    """Control characters and halves of surrogate pairs never get as far as a row."""
    for kept_text in (landing_url(text), origin_of(text)):
        assert kept_text is None or (kept_text.isprintable() and kept_text.encode() and len(kept_text) <= 2_000)

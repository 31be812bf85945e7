"""Telling visitors from programs, and hearing a refusal."""

import pytest
from crawleruseragents import CRAWLER_USER_AGENTS_DATA
from hypothesis import given
from hypothesis import strategies as st

from app.clicks.visitor import is_bot, is_speculative, sends_gpc, user_agent_family

WEBKIT = "AppleWebKit/605.1.15 (KHTML, like Gecko)"
IPHONE = f"Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) {WEBKIT}"
ANDROID = "Mozilla/5.0 (Linux; Android 13; SM-S911B; wv) AppleWebKit/537.36 (KHTML, like Gecko)"
WINDOWS = "Mozilla/5.0 (Windows NT 10.0; Win64; x64)"


@pytest.mark.parametrize(
    ("user_agent", "family"),
    [
        (f"{WINDOWS} AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36", "Chrome"),
        (f"{WINDOWS} AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36 Edg/120.0.0.0", "Edge"),
        (f"{WINDOWS}; rv:121.0) Gecko/20100101 Firefox/121.0", "Firefox"),
        (f"{IPHONE} Version/17.0 Mobile/15E148 Safari/604.1", "Mobile Safari"),
        (f"{IPHONE} Mobile/15E148 [Pinterest/iOS]", "Pinterest"),
        (f"{IPHONE} Mobile/15E148 Instagram 302.0.0.23.113 (iPhone13,2; iOS 16_6; en_US)", "Instagram"),
        (f"{ANDROID} Version/4.0 Chrome/119.0 Mobile Safari/537.36 [FB_IAB/FB4A;FBAV/439.0.0.44;]", "Facebook"),
        ("Mozilla/5.0 (Linux; Android 9; CUBOT Build/PPR1)", "Android"),
        ("", None),
        ("Something Nobody Knows", None),
    ],
)
def test_a_visitor_is_no_bot(user_agent: str, family: str | None) -> None:
    """Browsers count, also those inside of apps and those of a phone called CUBOT; only their family is kept."""
    assert not is_bot(user_agent)
    assert user_agent_family(user_agent) == family


@pytest.mark.parametrize(
    "user_agent",
    [
        "curl/8.1.2",
        "python-httpx/0.27",
        "python-requests/2.31.0",
        "axios/1.6",
        "okhttp/4.9",
        "Go-http-client/2.0",
        "GuzzleHttp/7",
        "node",
        "Java/17.0.1",
        f"{WINDOWS} (KHTML, like Gecko) HeadlessChrome/120.0.0.0 Safari/537.36",
    ],
)
def test_a_storefront_on_a_server_is_no_bot(user_agent: str) -> None:
    """HTTP libraries call for a storefront, and headless browsers test one."""
    assert not is_bot(user_agent)


@pytest.mark.parametrize(
    "user_agent",
    [
        "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
        "facebookexternalhit/1.1",
        "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
        "Twitterbot/1.0",
        "WhatsApp/2.23.20.0",
        "TelegramBot (like TwitterBot)",
        "LinkedInBot/1.0",
        "Mozilla/5.0 (compatible; bingbot/2.0)",
        "Mozilla/5.0 (compatible; Discordbot/2.0; +https://discordapp.com)",
        "GPTBot/1.2",
    ],
)
def test_link_previews_and_crawlers_are_bots(user_agent: str) -> None:
    """Pasting a partner's link into a chat is no visit."""
    assert is_bot(user_agent)


def test_the_whole_list_of_crawlers_is_known() -> None:
    """Every crawler of the public list is recognised by the examples that the list gives, libraries aside."""
    unwelcome = [
        one for one in CRAWLER_USER_AGENTS_DATA if not {"http-library", "browser-automation"} & set(one["tags"])
    ]
    missed = [text for one in unwelcome for text in one["instances"] if len(text) <= 512 and not is_bot(text)]
    assert len(unwelcome) > 1_000
    assert missed == []


@given(st.text(max_size=2_000))
def test_no_user_agent_is_too_strange(user_agent: str) -> None:
    """Whatever a program calls itself, it is looked at in bounded time and kept as plain text or not at all."""
    is_bot(user_agent)
    family = user_agent_family(user_agent)
    assert family is None or (family.isprintable() and len(family) <= 100)


@pytest.mark.parametrize(
    ("headers", "speculative"),
    [
        ({"sec-purpose": "prefetch"}, True),
        ({"sec-purpose": "prefetch;prerender"}, True),
        ({"sec-purpose": "prefetch;anonymous-client-ip"}, True),
        ({"purpose": "prefetch"}, True),
        ({"purpose": "Preview"}, True),
        ({"x-purpose": "preview"}, True),
        ({"x-moz": "prefetch"}, True),
        ({"x-purpose": "instant"}, True),
        ({"sec-purpose": ""}, False),
        ({"purpose": "navigate"}, False),
        ({"referer": "https://shop.example/prefetch"}, False),
        ({}, False),
    ],
)
def test_asking_ahead_is_no_visit(headers: dict[str, str], speculative: bool) -> None:
    """A page that the browser loads on suspicion has not been visited yet."""
    assert is_speculative(headers) is speculative


@pytest.mark.parametrize(("value", "refuses"), [("1", True), (" 1 ", True), ("0", False), ("", False), ("true", False)])
def test_global_privacy_control(value: str, refuses: bool) -> None:
    """The signal is exactly `1`, as its specification says."""
    assert sends_gpc({"sec-gpc": value}) is refuses

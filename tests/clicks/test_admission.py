"""Who may leave a click behind: every combination of what browsers say about a call."""

from itertools import product
from urllib.parse import quote

import pytest

from app.clicks.admission import may_be_handed_over, may_write
from app.clicks.capture import Outcome
from tests.clicks.shop import ID, OTHER, STOREFRONT, Shop, arrival, cookies_of, header_of, post

SITES: list[str | None] = [None, "none", "same-origin", "same-site", "cross-site"]
STRANGE_SITES: list[str | None] = [
    "",
    "cross-site, same-origin",
    "same-origin, cross-site",
    "null",
    "?1",
    "same_origin",
]
MODES = [None, "navigate", "no-cors", "cors", "same-origin", "nested-navigate", "websocket"]
DESTS = [None, "document", "iframe", "frame", "fencedframe", "object", "embed", "image", "script", "style", "empty"]
DESTS += ["audio", "video", "font", "worker", "track", "report", "document, iframe", "iframe, document"]
FRAMES = {"iframe", "frame", "fencedframe", "object", "embed", "document, iframe", "iframe, document"}
COMBINATIONS = list(product(SITES + STRANGE_SITES, MODES, DESTS, [False, True]))


def headers_of(site: str | None, mode: str | None, dest: str | None) -> dict[str, str]:
    """Return the headers that are there."""
    given = {"sec-fetch-site": site, "sec-fetch-mode": mode, "sec-fetch-dest": dest}
    return {name: value for name, value in given.items() if value is not None}


def allowed(site: str | None, mode: str | None, dest: str | None, ours: bool) -> bool:
    """Say what the documented table says."""
    if dest in FRAMES:
        return False
    if site in {None, "", "none", "same-origin", "same-site"} or ours:
        return True
    return mode == "navigate" and dest == "document"


def test_the_whole_table() -> None:
    """Over a thousand combinations of Sec-Fetch headers and origins, each as documented."""
    assert len(COMBINATIONS) > 1_000
    wrong = [one for one in COMBINATIONS if may_write(headers_of(*one[:3]), origin_is_ours=one[3]) is not allowed(*one)]
    assert wrong == []


ATTACKS = [
    ("cross-site", "no-cors", "image"),
    ("cross-site", "no-cors", "script"),
    ("cross-site", "no-cors", "style"),
    ("cross-site", "no-cors", "audio"),
    ("cross-site", "no-cors", "empty"),
    ("cross-site", "cors", "empty"),
    ("cross-site", "navigate", "iframe"),
    ("cross-site", "navigate", "frame"),
    ("cross-site", "navigate", "object"),
    ("cross-site", "navigate", "embed"),
    ("cross-site", "navigate", "fencedframe"),
    ("cross-site", "navigate", "empty"),
    ("same-site", "navigate", "iframe"),
    ("same-origin", "navigate", "iframe"),
    ("none", "navigate", "iframe"),
    ("CROSS-SITE", "no-cors", "image"),
    ("cross-site", "navigate", ""),
    ("cross-site", "", "document"),
]


@pytest.mark.parametrize(("site", "mode", "dest"), ATTACKS)
def test_a_stranger_s_page_plants_nothing(shop: Shop, site: str, mode: str, dest: str) -> None:
    """A hidden frame, an image or a script leaves neither cookie nor row, and a visitor on the way gets on."""
    headers = headers_of(site, mode, dest)
    for answer in (
        shop.client.get("/capture", params={"im_ref": ID, "consent": "granted"}, headers=headers),
        shop.client.post("/capture", json={"im_ref": ID}, headers=headers),
    ):
        assert (answer.status_code, answer.json()["code"]) == (403, "CROSS_SITE_NOT_ALLOWED")
        assert "CAPTURE_STOREFRONT_ORIGINS" in answer.json()["detail"]
        assert "set-cookie" not in answer.headers
    to = f"{STOREFRONT}/boots"
    answer = shop.client.get("/capture", params={"im_ref": ID, "to": to}, headers=headers)
    assert (answer.status_code, answer.headers["location"]) == (302, to)
    assert "set-cookie" not in answer.headers
    assert shop.rows() == []


@pytest.mark.parametrize(("site", "mode", "dest"), ATTACKS)
def test_a_stranger_s_page_deletes_nothing(shop: Shop, site: str, mode: str, dest: str) -> None:
    """A visitor's click is not forgotten because another page says so, nor by the browser's own signal there."""
    shop.capture(arrival(f"im_ref={ID}"))
    headers = headers_of(site, mode, dest) | {"cookie": f"im_ref={ID}"}
    for answer in (
        shop.client.get(f"/capture?consent=denied&im_ref={ID}", headers=headers),
        shop.client.get(f"/capture?consent=denied&im_ref={ID}&to={quote(STOREFRONT)}/", headers=headers),
        shop.client.post("/capture", json={"consent": False}, headers=headers),
        shop.client.get("/capture", headers=headers | {"sec-gpc": "1"}),
    ):
        assert answer.status_code in {302, 403}
        assert "set-cookie" not in answer.headers
    assert shop.row().click_id == ID


VISITS = [
    ("a link, followed", {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}),
    ("an address, typed", {"sec-fetch-site": "none", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}),
    ("the shop's script", {"sec-fetch-site": "same-origin", "sec-fetch-mode": "cors", "sec-fetch-dest": "empty"}),
    ("beside a proxy's path", {"sec-fetch-site": "same-site", "sec-fetch-mode": "no-cors", "sec-fetch-dest": "empty"}),
    ("a pixel of the shop", {"sec-fetch-site": "same-site", "sec-fetch-mode": "no-cors", "sec-fetch-dest": "image"}),
    (
        "another shop's script",
        {
            "sec-fetch-site": "cross-site",
            "sec-fetch-mode": "cors",
            "sec-fetch-dest": "empty",
            "origin": "https://shop.test:8443",
        },
    ),
    ("a server, or an older browser", {}),
    ("a server that passes the page's headers on", {"sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}),
]


@pytest.mark.parametrize("headers", [one[1] for one in VISITS], ids=[one[0] for one in VISITS])
def test_the_shop_itself_may(shop: Shop, headers: dict[str, str]) -> None:
    """Everything that a shop does by the docs leaves its click, and can withdraw it."""
    assert shop.client.get("/capture", params={"im_ref": ID}, headers=headers).status_code == 204
    assert shop.client.post("/capture", json={"im_ref": OTHER}, headers=headers).status_code == 204
    assert {row.click_id for row in shop.rows()} == {ID, OTHER}
    assert shop.client.post("/capture", json={"im_ref": ID, "consent": False}, headers=headers).status_code == 204
    assert ID not in {row.click_id for row in shop.rows()}


def test_an_allowed_origin_does_not_help_a_frame(shop: Shop) -> None:
    """What is loaded into a frame is refused, whoever says it asks."""
    done = shop.captured(arrival(f"im_ref={ID}", origin=STOREFRONT, sec_fetch_dest="iframe"))
    assert (done.outcome, done.answer.status, shop.rows()) == (Outcome.REFUSED, 403, [])
    assert header_of(done.answer, "Access-Control-Allow-Origin") == STOREFRONT


def test_an_older_browser_is_held_to_its_origin(shop: Shop) -> None:
    """Without Sec-Fetch headers a script's call is known by its Origin; a Lax cookie is not set from an image."""
    stranger = shop.captured(post({"im_ref": ID}, origin="https://evil.example"))
    assert (stranger.outcome, stranger.answer.status, shop.rows()) == (Outcome.REFUSED, 403, [])
    cookies = cookies_of(shop.capture(arrival(f"im_ref={ID}")))
    assert ["SameSite=Lax" in one for one in cookies] == [True, True]


HANDED = [
    ({}, True),
    ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}, True),
    ({"sec-fetch-site": "same-origin", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}, True),
    ({"sec-fetch-site": "same-origin", "sec-fetch-mode": "navigate", "sec-fetch-dest": "iframe"}, False),
    ({"sec-fetch-site": "same-origin", "sec-fetch-mode": "cors", "sec-fetch-dest": "empty"}, False),
    ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors", "sec-fetch-dest": "image"}, False),
    ({"sec-fetch-site": "none"}, False),
    ({"sec-fetch-mode": "navigate"}, False),
    ({"origin": STOREFRONT}, False),
    ({"origin": "null", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}, False),
]


@pytest.mark.parametrize(("headers", "may"), HANDED)
def test_who_is_handed_over(headers: dict[str, str], may: bool) -> None:
    """A visitor who goes there, or a server on the visitor's behalf; no script, no frame, no image."""
    assert may_be_handed_over(headers) is may

"""`/capture` over HTTP: origins, bodies, headers and its description."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.clicks.shop import HOST, ID, OTHER, STOREFRONT, Shop

ALLOWED = [STOREFRONT, "https://shop.test:8443", "http://localhost:3000", f"https://{HOST}"]

HOSTS = [
    "evil.example",
    "www.shop.example.evil.example",
    "evilwww.shop.example",
    "www.shop.example:8443",
    "shop.example",
]
HOSTS += ["WWW.SHOP.EXAMPLE", "www.shop.example.", "www.shop.example/", "www.shop.example/x", "www.shop.example?", "*"]
HOSTS += [
    "www.shop.example#",
    "user@www.shop.example",
    "www.shop.example@evil.example",
    "x.www.shop.example",
    "",
    "null",
]
HOSTS += ["www.shop.example:443", "www.shop.example:80", "www.shop.example:", "www-shop.example", "www_shop.example"]
HOSTS += [
    "wwwxshop.example",
    "www.shop.example%00.evil.example",
    "www.shop.example,evil.example",
    "shop.test",
    "localhost",
]
HOSTS += ["shop.test:443", "shop.test:84433", "shop.test:08443", "localhost:3001", "localhost:30000", "127.0.0.1:3000"]
HOSTS += [
    "[::1]:3000",
    "linked.example",
    "partner.example",
    "a.partner.example",
    f"{HOST}:8443",
    f"x.{HOST}",
    f"{HOST}.evil.example",
]
HOSTS += [
    "*.shop.example",
    "%77ww.shop.example",
    "www.shop.exampl",
    "ww.shop.example",
    "www.shop.examplee",
    "xn--www.shop.example",
]
HOSTS += [
    "www.shop.example\\",
    "www.shop.example;",
    "www.shop.example&",
    "www.shop.example|",
    "www.shop.example^",
    "www.shop.example'",
]
HOSTS += [f'www.shop.example"{end}' for end in ("", "x")] + [
    "www..shop.example",
    ".www.shop.example",
    "www.shop..example",
]
OTHERS = [
    "null",
    "Null",
    "NULL",
    "undefined",
    "*",
    "",
    "https:",
    "https://",
    "https:/www.shop.example",
    "//www.shop.example",
]
OTHERS += [
    "www.shop.example",
    "http://www.shop.example",
    "HTTPS://www.shop.example",
    "ftp://www.shop.example",
    "file://",
]
OTHERS += [
    "https://localhost:3000",
    "http://shop.test:8443",
    f"http://{HOST}",
    "chrome-extension://abc",
    "moz-extension://abc",
]
OTHERS += [
    "blob:https://www.shop.example",
    "data:",
    "about:blank",
    "javascript:alert(1)",
    "capacitor://localhost",
    "ws://www.shop.example",
]
OTHERS += [
    f"{STOREFRONT} {STOREFRONT}",
    f"{STOREFRONT}, {STOREFRONT}",
    f"{STOREFRONT},null",
    f"null, {STOREFRONT}",
    "https://www.shop.example:0443",
]
OTHERS += [
    "view-source:https://www.shop.example",
    "https:\\\\www.shop.example",
    "https:www.shop.example",
    "httpss://www.shop.example",
]
OTHERS += [
    f"{STOREFRONT}{end}" for end in ("\t", " ", "\x7f", "%20", "%0d%0a", "?null", "//", "/..", "$", "`", "~", "!")
]
STRANGERS = [f"https://{host}" for host in HOSTS] + OTHERS


def test_enough_origins_are_tried() -> None:
    """A hundred origins and more, none twice."""
    assert len(set(STRANGERS + ALLOWED)) >= 100


@pytest.mark.parametrize("origin", ALLOWED)
def test_the_shops_own_pages_may_call(shop: Shop, origin: str) -> None:
    """A storefront's script can call with credentials and read the answer, also a refusal, also its preflight."""
    calls = [
        shop.client.get(f"/capture?im_ref={ID}", headers={"origin": origin}),
        shop.client.post("/capture", content=json.dumps({"im_ref": OTHER}), headers={"origin": origin}),
        shop.client.get("/capture?im_ref=", headers={"origin": origin}),
        shop.client.post("/capture", content="{", headers={"origin": origin}),
        shop.client.post("/capture", content=b" " * 20_000, headers={"origin": origin}),
        shop.client.post("/capture", content="{}", headers={"origin": origin, "content-type": "text/html"}),
        shop.client.options("/capture", headers={"origin": origin, "access-control-request-method": "POST"}),
    ]
    assert [answer.status_code for answer in calls] == [204, 204, 400, 400, 413, 415, 204]
    for answer in calls:
        assert answer.headers["access-control-allow-origin"] == origin
        assert answer.headers["access-control-allow-credentials"] == "true"
        assert answer.headers.get_list("vary") == ["Origin"]
        assert answer.headers.get_list("cache-control") == ["no-store"]
    assert {row.click_id for row in shop.rows()} == {ID, OTHER}


@pytest.mark.parametrize("origin", STRANGERS, ids=ascii)
def test_no_other_page_may_call(shop: Shop, origin: str) -> None:
    """A page of any other origin gets 403, can read nothing, and leaves no cookie and no row."""
    for answer in (
        shop.client.get(f"/capture?im_ref={ID}", headers={"origin": origin}),
        shop.client.post("/capture", content=json.dumps({"im_ref": ID}), headers={"origin": origin}),
        shop.client.options("/capture", headers={"origin": origin, "access-control-request-method": "POST"}),
    ):
        assert (answer.status_code, answer.json()["code"]) == (403, "ORIGIN_NOT_ALLOWED")
        assert answer.headers["content-type"] == "application/problem+json"
        assert "access-control-allow-origin" not in answer.headers
        assert "access-control-allow-credentials" not in answer.headers
        assert "set-cookie" not in answer.headers
        assert answer.headers["vary"] == "Origin"
    assert shop.rows() == []


def test_two_origins_are_none(shop: Shop) -> None:
    """An Origin header that comes twice is not taken for the first of the two."""
    answer = shop.client.get(f"/capture?im_ref={ID}", headers=[("origin", STOREFRONT), ("origin", STOREFRONT)])
    assert answer.status_code == 403


def test_a_call_without_origin_is_answered_without_cors(shop: Shop) -> None:
    """A server-side storefront sends no Origin and gets no CORS headers."""
    answer = shop.client.get(f"/capture?im_ref={ID}")
    assert answer.status_code == 204
    assert "access-control-allow-origin" not in answer.headers
    assert answer.headers["vary"] == "Origin"
    assert "referrer-policy" not in answer.headers


def test_the_preflight_says_what_is_allowed(shop: Shop) -> None:
    """A browser may post JSON for a day without asking again."""
    answer = shop.client.options(
        "/capture",
        headers={
            "origin": STOREFRONT,
            "access-control-request-method": "POST",
            "access-control-request-headers": "content-type",
        },
    )
    assert answer.status_code == 204
    assert answer.content == b""
    assert answer.headers["access-control-allow-methods"] == "GET, POST"
    assert answer.headers["access-control-allow-headers"] == "content-type"
    assert answer.headers["access-control-max-age"] == "86400"
    assert shop.client.options("/capture").headers["allow"] == "GET, POST, OPTIONS"


def test_both_cookies_arrive(shop: Shop) -> None:
    """The answer to a landing has two Set-Cookie headers, and the next call's cookies are read."""
    first = shop.client.get(f"/capture?im_ref={ID}")
    assert [one.partition("=")[0] for one in first.headers.get_list("set-cookie")] == ["im_ref", "im_ref_at"]
    assert first.content == b""
    assert shop.client.cookies["im_ref"] == ID
    assert shop.client.post("/capture", content='{"consent": false}').status_code == 204
    assert (shop.rows(), len(shop.client.cookies)) == ([], 0)


def test_cookies_in_two_headers_are_all_read(shop: Shop) -> None:
    """A browser that splits its cookies over several headers (RFC 9113) is understood."""
    shop.client.get(f"/capture?im_ref={ID}")
    shop.client.cookies.clear()
    shop.client.post("/capture", content='{"consent": false}', headers=[("cookie", "a=b"), ("cookie", f"im_ref={ID}")])
    assert shop.rows() == []


def test_a_redirect_over_http(shop: Shop) -> None:
    """Location is the address itself, byte for byte."""
    answer = shop.client.get("/capture", params={"im_ref": ID, "to": f"{STOREFRONT}/a?b={{c}}|d%20e+f#g"})
    assert (answer.status_code, answer.headers["location"]) == (302, f"{STOREFRONT}/a?b={{c}}|d%20e+f#g")
    assert shop.row().click_id == ID


@pytest.mark.parametrize("media_type", ["application/json", "text/plain;charset=UTF-8", None])
def test_a_beacon_needs_no_preflight(shop: Shop, media_type: str | None) -> None:
    """JSON may come as text/plain, or without any type."""
    headers = {"content-type": media_type} if media_type else {}
    assert shop.client.post("/capture", content=json.dumps({"im_ref": ID}).encode(), headers=headers).status_code == 204
    assert shop.row().click_id == ID


def test_an_endless_body_is_not_read_to_its_end(shop: Shop) -> None:
    """A body without a stated length is refused as soon as it is too long; the rest is never asked for."""
    sent = []

    async def endless() -> AsyncIterator[bytes]:
        for number in range(10_000):
            sent.append(number)
            yield b" " * 1_024

    answer = shop.client.post("/capture", content=endless())
    assert (answer.status_code, answer.json()["code"]) == (413, "TOO_LARGE")
    assert len(sent) <= 18
    assert shop.rows() == []


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[]",
        '{"im_ref": NaN}',
        '{"im_ref": 1}',
        "[" * 10_000,
        '{"im_ref": "\\ud800"}',
        '{"consent": "yes"}',
        b"\xff",
    ],
    ids=repr,
)
def test_a_malformed_body_is_a_problem_and_no_crash(shop: Shop, content: Any) -> None:
    """Whatever is posted, the shop's developer gets a readable 400."""
    answer = shop.client.post("/capture", content=content)
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == 400
    assert shop.rows() == []


def test_text_that_a_database_may_refuse_is_not_kept(shop: Shop) -> None:
    """A landing page with a NUL or half a surrogate pair does not cost the click."""
    for number, url in enumerate(["https://www.shop.example/\x00", "https://www.shop.example/\ud800"]):
        body = json.dumps({"im_ref": f"id{number}", "url": url, "referrer": url})
        assert shop.client.post("/capture", content=body).status_code == 204
    assert [(row.landing_url, row.referrer_origin) for row in shop.rows()] == [(None, None)] * 2


def test_the_description_names_every_answer(shop: Shop) -> None:
    """A developer finds parameters, body and answers in the OpenAPI document."""
    path = shop.client.get("/openapi.json").json()["paths"]["/capture"]
    assert [one["name"] for one in path["get"]["parameters"]] == [
        "im_ref",
        "url",
        "referrer",
        "consent",
        "to",
        "im_linked",
    ]
    assert set(path["get"]["responses"]) == {"204", "302", "400", "403", "429"}
    assert set(path["post"]["responses"]) == {"204", "400", "403", "413", "415", "429"}
    assert set(path["options"]["responses"]) == {"204", "403"}
    assert set(path["post"]["requestBody"]["content"]) == {"application/json", "text/plain"}
    for operation in path.values():
        for status, response in operation["responses"].items():
            assert ("application/problem+json" in response.get("content", {})) == (status >= "400")

"""The shop's own web server before the real service: what gets through, what does not, and what it writes down."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.recipes.ear import Ear, listening
from tests.recipes.proxies import PROXIES, Proxy
from tests.recipes.recipe import PAGE, UGLY, Running, ask, encoded, service
from tests.servers import HOST, free_port
from tests.support import ORDER_KEY

pytestmark = pytest.mark.system

BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"


@pytest.fixture(scope="module", params=PROXIES)
def server(request: pytest.FixtureRequest) -> str:
    """Which web server."""
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def proxy(server: str, running_service: Running, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """The shop's web server before the service."""
    with PROXIES[server](tmp_path_factory.mktemp(server) / "server", running_service.port) as started:
        yield started


@pytest.fixture(scope="module")
def overheard(server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Proxy, Ear]]:
    """The shop's web server, and what it says to its service."""
    with listening() as ear, PROXIES[server](tmp_path_factory.mktemp(server) / "server", ear.port) as started:
        yield started, ear


@pytest.mark.parametrize("click_id", UGLY)
def test_a_click_id_gets_through_byte_for_byte(proxy: Proxy, running_service: Running, click_id: str) -> None:
    """By GET and by the snippet's POST, into both cookies and the record."""
    got = ask(proxy.port, f"/aff/capture?im_ref={encoded(click_id)}", user_agent=BROWSER)
    body = json.dumps({"im_ref": click_id, "url": "https://www.shop.example/"})
    posted = ask(proxy.port, "/aff/capture", "POST", body, user_agent=BROWSER, content_type="text/plain")
    for answer in (got, posted):
        assert (answer.status, answer.kept()) == (204, click_id)
        assert (answer.kept("im_ref_at") or "").isdigit()
        assert all("; Domain=shop.example; SameSite=Lax; Secure" in one for one in answer.cookies[-2:])
    assert click_id in running_service.clicks()


def test_the_query_is_passed_on_as_it_is(overheard: tuple[Proxy, Ear]) -> None:
    """Nothing is decoded, encoded again, sorted or dropped, whatever a visitor's link holds."""
    proxy, ear = overheard
    query = "im_ref=%2B+%zz%&a;b&=&&im_ref=2&url=https%3A%2F%2Fx%2F%3Fy&%"
    ask(proxy.port, f"/aff/capture?{query}")
    assert ear.last()[0] == f"/capture?{query}"


def test_the_service_learns_the_host_and_the_visitors_real_address(overheard: tuple[Proxy, Ear]) -> None:
    """What a visitor claims in forwarding headers is not passed on."""
    proxy, ear = overheard
    forged = {"x_forwarded_for": "6.6.6.6, 7.7.7.7", "x_forwarded_proto": "gopher", "cookie": "im_ref=a; im_ref=b"}
    ask(proxy.port, "/aff/capture?im_ref=a", Host="shop.example:8443", **forged)
    heard = ear.last()[1]
    assert heard["host"] == "shop.example:8443"
    assert heard["x-forwarded-for"] == HOST
    assert heard["x-forwarded-proto"] == "http"
    assert heard["cookie"] == "im_ref=a; im_ref=b"


def test_visitors_are_told_apart(server: str, tmp_path: Path) -> None:
    """A rate limit counts each visitor's own calls, and forging a forwarding header is no way around it."""
    (tmp_path / "service").mkdir()
    with (
        service(tmp_path / "service", rate_limit="2/hour") as limited,
        PROXIES[server](tmp_path / "server", limited.port) as proxy,
    ):
        calls = [ask(proxy.port, "/aff/capture?im_ref=a", x_forwarded_for=f"6.6.6.{number}") for number in range(3)]
        assert [one.status for one in calls] == [204, 204, 429]
        assert ask(proxy.port, "/aff/capture?im_ref=a", visitor="127.0.0.2").status == 204


PUBLIC = {
    "/aff/capture": "/capture",
    "/aff/handoff?to=https://shop.test/": "/handoff?to=https://shop.test/",
    "/aff/capture.js": "/capture.js",
    "/aff/capture-0123456789abcdef.js": "/capture-0123456789abcdef.js",
}


@pytest.mark.parametrize("path", PUBLIC)
def test_public_paths_reach_the_service(overheard: tuple[Proxy, Ear], path: str) -> None:
    """Under the names that the service knows; a shop's rule for all of its scripts does not get them first."""
    proxy, ear = overheard
    assert ask(proxy.port, path).status == 204
    assert ear.last()[0] == PUBLIC[path]


PRIVATE = (
    *("orders", "orders/1", "orders/bulk", "exports", "exports/1", "batches", "metrics", "docs", "redoc", ""),
    *("openapi.json", "livez", "readyz", "readyz/orders", "alarms", "dashboard", "reconciliation"),
)
DISGUISES = (
    "/aff/{}",
    "/aff//{}",
    "/aff/./{}",
    "/aff/capture/../{}",
    "/aff/capture/%2e%2e/{}",
    "/aff/capture%2f..%2f{}",
    "/aff/capture/..%2f{}",
    "/aff/..;/{}",
    "/aff/capture.js/{}",
    "/aff/capture\\..\\{}",
    "/aff/capture-0/../{}",
    "/aff/capture%0a/{}",
    "/aff/{}%3f/aff/capture",
    "/aff/{}?/aff/capture",
    "/aff/{}#/aff/capture",
    "/aff/{}/../capture",
    "//aff/{}",
    "/x/../aff/{}",
    "/{}",
    "http://www.shop.example/aff/{}",
)


@pytest.mark.parametrize("disguise", DISGUISES)
def test_private_paths_do_not_reach_the_service(overheard: tuple[Proxy, Ear], disguise: str) -> None:
    """However they are written, with a key or without."""
    proxy, ear = overheard
    for path in PRIVATE:
        ask(proxy.port, disguise.format(path), authorization=f"Bearer {ORDER_KEY}")
    assert {target for target, _ in ear.heard} <= {"/capture"}
    ear.heard.clear()


def test_a_body_that_is_too_large_is_refused(proxy: Proxy) -> None:
    """Nobody sends megabytes to the service."""
    answer = ask(proxy.port, "/aff/capture", "POST", " " * 100_000, content_type="text/plain")
    assert answer.status in {413, 502}  # Caddy 2.6 says it by 502
    assert answer.cookies == []


def test_no_log_holds_a_click_id(proxy: Proxy) -> None:
    """Neither in the address, nor in a referrer, nor in cookies or a redirect; but the call itself is logged."""
    secret = "SecretClickId"
    headers = {"referer": f"https://www.shop.example/?im_ref={secret}", "cookie": f"im_ref={secret}; im_ref_at=1"}
    ask(proxy.port, f"/aff/capture?im_ref={secret}", **headers)
    ask(proxy.port, f"/aff/capture?im_ref={secret}&to=https://www.shop.example/", **headers)
    ask(proxy.port, "/aff/capture", "POST", " " * 100_000, **headers)
    ask(proxy.port, f"/aff/orders?im_ref={secret}", **headers)
    assert secret not in proxy.logged()
    assert "/aff/capture" in proxy.logged()


def test_a_service_that_is_away_costs_the_shop_nothing(server: str, tmp_path: Path) -> None:
    """The page is served, the call fails at once, and no log holds the click id."""
    with PROXIES[server](tmp_path / "server", free_port()) as proxy:
        answer = ask(proxy.port, "/aff/capture?im_ref=SecretClickId", referer="https://x/?im_ref=SecretClickId")
        page = ask(proxy.port, "/")
        assert (answer.status, answer.cookies) == (502, [])
        assert (page.status, page.body) == (200, PAGE)
        assert answer.seconds < 20
        assert page.seconds < 20
        assert "SecretClickId" not in proxy.logged()


def test_a_frozen_service_costs_the_shop_nothing(proxy: Proxy, running_service: Running) -> None:
    """Calls end after three seconds, pages come meanwhile, and the service is used again when it is back."""
    with running_service.frozen():
        answer = ask(proxy.port, "/aff/capture?im_ref=SecretClickId", user_agent=BROWSER)
        page = ask(proxy.port, "/")
    assert (answer.status, page.body) == (504, PAGE)
    assert 2 < answer.seconds < 30
    assert page.seconds < 20
    assert "SecretClickId" not in proxy.logged()
    assert ask(proxy.port, "/aff/capture?im_ref=thawed", user_agent=BROWSER).kept() == "thawed"

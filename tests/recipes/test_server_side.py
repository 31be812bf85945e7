"""Storefronts without script, in three languages, before the real service."""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.recipes.ear import Ear, listening
from tests.recipes.recipe import PAGE, UGLY, Reply, Running, ask, blocks, changed, encoded, running, service
from tests.servers import HOST, free_port
from tests.system import program

COMMANDS: dict[str, Callable[[Path, int], list[str]]] = {
    "shop.py": lambda file, port: [sys.executable, str(file), str(port)],
    "shop.mjs": lambda file, port: [program("node"), str(file), str(port)],
    "shop.php": lambda file, port: [program("php"), "-n", "-S", f"{HOST}:{port}", str(file)],
}
NAVIGATION = {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate", "sec_fetch_dest": "document"}
BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"

LANGUAGES = [
    "shop.py",
    pytest.param("shop.mjs", marks=pytest.mark.system),
    pytest.param("shop.php", marks=pytest.mark.system),
]


PATIENT = {
    "shop.py": {"PATIENCE = 0.3": "PATIENCE = 30.0"},
    "shop.mjs": {"PATIENCE = 300": "PATIENCE = 30000"},
    "shop.php": {"PATIENCE = 0.3": "PATIENCE = 30.0"},
}
WITHDRAWN = {
    "shop.py": {"capture_cookies(environ)\n": "capture_cookies(environ, 'denied')\n"},
    "shop.mjs": {"captureCookies(request);": "captureCookies(request, 'denied');"},
    "shop.php": {"capture_cookies() as": "capture_cookies('denied') as"},
}
Shop = Callable[..., Reply]


@contextmanager
def open_shop(name: str, folder: Path, service_port: int, changes: Mapping[str, str] | None = None) -> Iterator[Shop]:
    """Open the shop of the recipe and give what asks it for a page; without changes of a test's own it is patient."""
    file, port = folder / name, free_port()
    file.write_text(changed(blocks("server-side.md")[name], PATIENT[name] if changes is None else changes), "utf-8")
    url = f"http://{HOST}:{service_port}"
    with running(COMMANDS[name](file, port), port, folder / f"{name}.log", CAPTURE_URL=url):
        yield lambda target="/", **headers: ask(port, target, **(NAVIGATION | {"user_agent": BROWSER} | headers))


@pytest.fixture(scope="module", params=LANGUAGES)
def language(request: pytest.FixtureRequest) -> str:
    """The shop's language."""
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def shop(language: str, running_service: Running, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A shop whose service works."""
    with open_shop(language, tmp_path_factory.mktemp("shop"), running_service.port) as visit:
        yield visit


@pytest.fixture(scope="module")
def overheard(language: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Shop, Ear]]:
    """A shop, and what it says to its service."""
    with listening() as ear, open_shop(language, tmp_path_factory.mktemp("shop"), ear.port) as visit:
        yield visit, ear


@pytest.mark.parametrize("click_id", UGLY)
def test_a_landing_sets_both_cookies_byte_for_byte(shop: Shop, running_service: Running, click_id: str) -> None:
    """The click id reaches the browser and the record as it stood in the link, on the shop's whole domain."""
    page = shop(f"/boots?utm_source=a%20b&im_ref={encoded(click_id)}&x=1")
    assert (page.status, page.body) == (200, PAGE)
    assert page.kept() == click_id
    assert (page.kept("im_ref_at") or "").isdigit()
    assert all("; Domain=shop.example; SameSite=Lax; Secure" in one for one in page.cookies[-2:])
    assert click_id in running_service.clicks()


def test_the_older_parameter_counts_too(shop: Shop) -> None:
    """`irclickid` carries the click id where there is no `im_ref`."""
    assert shop("/?irclickid=old-name").kept() == "old-name"


def test_ordinary_pages_cost_nothing(overheard: tuple[Shop, Ear]) -> None:
    """Without a click id the service is not called."""
    visit, ear = overheard
    assert visit("/?q=im_ref", cookie="im_ref=a; im_ref_at=1").cookies == []
    assert ear.heard == []


def test_the_service_gets_what_it_needs_and_no_more(overheard: tuple[Shop, Ear]) -> None:
    """Address, referrer and situation of the visitor, the two cookies, and neither the session nor other parameters."""
    visit, ear = overheard
    cookie = "session=secret; im_ref=a+b%2B; im_ref_at=1; ximref=1; im_ref=c"
    situation = {"sec_gpc": "0", "sec_fetch_user": "?1", "sec_purpose": "prefetch"}
    referrer = "https://partner.example/?a=1&b=2"
    target = "/a%20b?to=https://evil.example/&im_ref=%2B+&consent=denied&im_linked=1.2&password=x"
    visit(
        target, cookie=cookie, referer=referrer, authorization="Bearer secret", x_forwarded_for="6.6.6.6", **situation
    )
    path, headers = ear.last()
    assert path.startswith("/capture?im_ref=%2B+&im_linked=1.2&url=http")
    assert path.endswith("www.shop.example%2Fa%2520b&referrer=https%3A%2F%2Fpartner.example%2F%3Fa%3D1%26b%3D2")
    assert headers.pop("cookie") == "im_ref=a+b%2B; im_ref_at=1; im_ref=c"
    passed_on = NAVIGATION | situation | {"user_agent": BROWSER}
    expected = {name.replace("_", "-"): value for name, value in passed_on.items()}
    assert headers | expected == headers
    assert (headers["host"], headers["x-forwarded-for"]) == ("www.shop.example", HOST)
    assert "secret" not in str(headers)


def test_a_landing_knows_the_cookies_that_are_there(shop: Shop) -> None:
    """The same click again keeps its time, so its life is not lengthened; another one replaces it."""
    cookie = "session=1; im_ref=a+b%2B; im_ref_at=1700000000"
    first = shop("/?im_ref=repeated").kept("im_ref_at")
    again = shop("/?im_ref=repeated", cookie=f"im_ref=repeated; im_ref_at={int(first or 0) - 100}")
    assert again.kept("im_ref_at") == str(int(first or 0) - 100)
    assert shop("/?im_ref=newer", cookie=cookie).kept() == "newer"


def test_withdrawn_consent_deletes_cookies_and_record(
    language: str, shop: Shop, running_service: Running, tmp_path: Path
) -> None:
    """The shop says `denied` on a page without a click id; the browser is told to forget, and so is the record."""
    at = shop("/?im_ref=withdrawn").kept("im_ref_at")
    assert "withdrawn" in running_service.clicks()
    changes = WITHDRAWN[language] | PATIENT[language]
    with open_shop(language, tmp_path, running_service.port, changes) as visit:
        page = visit("/privacy", cookie=f"im_ref=withdrawn; im_ref_at={at}")
    assert {one.split("=")[0] for one in page.cookies} == {"im_ref", "im_ref_at"}
    assert all("=; Max-Age=0;" in one for one in page.cookies)
    assert "withdrawn" not in running_service.clicks()


@pytest.mark.system  # another visitor takes another loopback address, which only Linux has
def test_visitors_are_told_apart(language: str, tmp_path: Path) -> None:
    """A rate limit counts each visitor's own landings, and not the shop's."""
    (tmp_path / "service").mkdir()
    with (
        service(tmp_path / "service", rate_limit="2/hour") as limited,
        open_shop(language, tmp_path, limited.port) as visit,
    ):
        kept = [visit(f"/?im_ref=landing-{number}", x_forwarded_for="6.6.6.6").kept() for number in range(3)]
        assert kept == ["landing-0", "landing-1", None]
        assert visit("/?im_ref=other", visitor="127.0.0.2").kept() == "other"


REFUSALS = [
    {"sec_gpc": "1"},
    {"sec_purpose": "prefetch;prerender"},
    {"sec_fetch_dest": "iframe"},
    {"user_agent": "Googlebot/2.1 (+http://www.google.com/bot.html)"},
]


@pytest.mark.parametrize("headers", REFUSALS, ids=str)
def test_who_refuses_and_what_is_no_visit_gets_a_page_and_no_cookie(
    shop: Shop, running_service: Running, headers: dict[str, str]
) -> None:
    """The service sees Global Privacy Control, prefetches, hidden frames and crawlers through the shop."""
    page = shop("/?im_ref=unwanted", **headers)
    assert (page.body, page.kept()) == (PAGE, None)
    assert "unwanted" not in running_service.clicks()


@pytest.mark.parametrize(
    "query", ["im_ref=", "im_ref=a%00b", "im_ref=%0d%0aSet-Cookie:x=1", "im_ref=" + "a" * 65, "im_ref=%C3%BC"]
)
def test_nonsense_gets_a_page_and_no_cookie(shop: Shop, query: str) -> None:
    """What cannot be a click id does not reach the browser, and does not break the page."""
    page = shop(f"/?{query}")
    assert (page.status, page.body, page.cookies) == (200, PAGE, [])


def test_the_page_comes_without_the_service(language: str, tmp_path: Path) -> None:
    """At once where nobody listens."""
    with open_shop(language, tmp_path, free_port()) as visit:
        page = visit("/?im_ref=a")
    assert (page.status, page.body, page.cookies) == (200, PAGE, [])
    assert page.seconds < 10


def test_the_page_waits_for_a_frozen_service_only_briefly(
    language: str, running_service: Running, tmp_path: Path
) -> None:
    """Three tenths of a second, as the recipe says; the next landing is captured again."""
    with open_shop(language, tmp_path, running_service.port, changes={}) as visit:
        with running_service.frozen():
            page = visit("/?im_ref=lost")
        assert (page.status, page.body, page.cookies) == (200, PAGE, [])
        assert 0.2 < page.seconds < 10

"""What the doctor sees of a shop: every way of losing a click is found and named, and nothing of the look stays."""

from collections.abc import Callable, Collection, Mapping
from datetime import timedelta
from functools import partial
from types import MappingProxyType
from typing import NamedTuple

import httpx
import pytest
from sqlalchemy import func, select

from app.clicks.store import CLICK
from app.clicks.visitor import is_bot
from app.doctor.finding import Status
from app.doctor.web import BROWSER
from app.service import Service, utc_now
from tests.doctor.shop import HTML, PAGE, SNIPPET, TRACKING, World, as_it_should, page, seen, to, world

Break = Callable[[World], None]


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """One database: what a shop does depends on none."""
    return sqlite_url


@pytest.fixture
def service(service: Service) -> Service:
    """The service with the time of day, since clocks are compared."""
    service.clock = utc_now
    return service


@pytest.mark.parametrize(
    "changes", [{}, {"consent": "required"}, {"cookie_httponly": True}, {"cookie_days": 5, "parameters": ("cid",)}]
)
def test_a_shop_that_is_well(service: Service, changes: dict[str, object]) -> None:
    """Every look says ok, each of its kinds is there, and no click is left behind, however the cookie is set up."""
    with world(service, **changes) as shop:
        found = seen(service, shop)
        assert [one for one in found if one.status is not Status.OK] == []
        names = {one.name for one in found}
        assert {"tracking", "origin", "safari", "redirects", "call", "cookie", "snippet", "csp"} <= names
        [ways] = [one.detail for one in found if one.name == "redirects"]
        assert ways.endswith(
            "as given, by http, without www, with a slash at the end, in language de, in language en, in language fr."
        )
    with service.database.snapshot() as session:
        assert session.connection().execute(select(func.count()).select_from(CLICK)).scalar_one() == 0


def test_the_doctor_is_taken_for_a_visitor() -> None:
    """A crawler would get no cookie, and every shop would look ill."""
    assert not is_bot(BROWSER["User-Agent"])


def test_a_service_at_the_shops_own_address(service: Service) -> None:
    """Behind a proxy of the shop's nothing has to be allowed, and Safari keeps the cookie whole."""
    with world(service, storefront_origins=()) as shop:
        shop.shop = partial(page, html=HTML.replace(TRACKING, "https://www.shop.example"))
        found = {one.name: one for one in seen(service, shop, tracking="https://www.shop.example")}
        assert found["origin"].detail.endswith("is the same origin.")
        assert {found[name].status for name in ("origin", "safari", "call", "cookie", "csp", "snippet")} == {Status.OK}


def test_a_shop_whose_own_server_keeps_the_click(service: Service) -> None:
    """A redirect may drop the id once the cookie holds it."""

    def keep(request: httpx.Request) -> httpx.Response:
        click = request.url.params.get("im_ref")
        if click is None:
            return page(request)
        return httpx.Response(
            302, headers={"location": str(request.url.copy_with(query=None)), "set-cookie": f"im_ref={click}; Path=/"}
        )

    with world(service) as shop:
        shop.shop = keep
        assert {one.status for one in seen(service, shop) if one.name == "redirects"} == {Status.OK}


# What breaks ------------------------------------------------------------------------------------------------------


class Broken(NamedTuple):
    """A shop that is ill in one way, and what the doctor has to say: the finding, how bad, and a word of it."""

    how: Break
    name: str
    status: str
    word: str
    settings: Mapping[str, object] = MappingProxyType({})
    with_it: Collection[str] = ()


def without_query(when: Callable[[httpx.Request], bool]) -> Break:
    """Return what makes one redirect drop the query."""

    def break_it(shop: World) -> None:
        def answer(request: httpx.Request) -> httpx.Response:
            told = as_it_should(request)
            if when(request) and "location" in told.headers:
                return to(told.headers["location"].partition("?")[0])
            return told

        shop.shop = answer

    return break_it


def lower_case(shop: World) -> None:
    """Redirect once to the address in lower case, as some shops do for search engines."""
    shop.shop = lambda request: to(str(request.url).lower()) if "Z" in str(request.url) else page(request)


def by_language(shop: World) -> None:
    """Send visitors to the root of their language, without the query."""

    def answer(request: httpx.Request) -> httpx.Response:
        language = request.headers.get("accept-language", "")
        return to(f"https://www.shop.example/{language}/") if language == "fr" else as_it_should(request)

    shop.shop = answer


def circle(shop: World) -> None:
    """Redirect to itself."""
    shop.shop = lambda request: to(request.url)


def hang_up(request: httpx.Request) -> httpx.Response:
    """Give no answer."""
    raise httpx.ReadError("cut", request=request)


def set_shop(answer: Callable[[httpx.Request], httpx.Response]) -> Break:
    """Return what makes the shop answer so."""
    return lambda shop: setattr(shop, "shop", answer)


def with_policy(policy: str, html: str = HTML) -> Break:
    """Return what gives the page a policy."""
    return set_shop(partial(page, html=html, content_security_policy=policy))


def rewrite(old: str, new: str) -> Break:
    """Return what makes a proxy change every header of the service's answers."""

    def change(_request: httpx.Request, answer: httpx.Response) -> httpx.Response:
        headers = [(name, value.replace(old, new)) for name, value in answer.headers.multi_items()]
        return httpx.Response(answer.status_code, headers=headers, content=answer.content)

    return lambda shop: setattr(shop, "proxy", change)


def drop(*names: str) -> Break:
    """Return what makes a proxy take headers away."""

    def change(_request: httpx.Request, answer: httpx.Response) -> httpx.Response:
        headers = [(name, value) for name, value in answer.headers.multi_items() if name not in names]
        return httpx.Response(answer.status_code, headers=headers, content=answer.content)

    return lambda shop: setattr(shop, "proxy", change)


def kept_by_a_cache(shop: World) -> None:
    """Answer every call with the first one's cookie."""
    rewrite_id = "im_ref=somebody-elses; Max-Age=2592000; Path=/; Domain=shop.example; SameSite=Lax; Secure"
    shop.proxy = lambda _request, answer: httpx.Response(
        answer.status_code, headers={**answer.headers, "set-cookie": rewrite_id}
    )


def not_forgotten(shop: World) -> None:
    """Refuse what withdraws."""
    shop.proxy = lambda request, answer: httpx.Response(500) if "consent=denied" in str(request.url) else answer


def status_of(path: str, status: int) -> Break:
    """Return what makes a proxy answer itself."""
    return lambda shop: setattr(
        shop, "proxy", lambda request, answer: httpx.Response(status) if request.url.path == path else answer
    )


def names(**changed: tuple[str, list[str]]) -> Break:
    """Return what changes DNS of the service's host."""
    return lambda shop: shop.names.update({"track.shop.example": changed["track"]})


def no_host(shop: World) -> None:
    """Take the service's name from DNS."""
    del shop.names["track.shop.example"]


def wrong_clock(shop: World) -> None:
    """Let the shop's answers come from another time."""
    past = (utc_now() - timedelta(hours=2)).strftime("%a, %d %b %Y %H:%M:%S GMT")
    shop.shop = partial(page, date=past)


def elsewhere(shop: World) -> None:
    """Lead to another site's page."""

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.host == "www.boots.example":
            return page(request)
        return to(request.url.copy_with(host="www.boots.example"))

    shop.shop = answer


NONCED = HTML.replace("<script ", '<script nonce="abc" ')
META = "<meta http-equiv='Content-Security-Policy' content=\"script-src 'self'\">"
THERE = {"origin", "safari", "call"}
"""What is wrong with a page of another site besides."""
BROKEN = {
    "http drops the query": Broken(
        without_query(lambda request: request.url.scheme == "http"), "redirects", "failure", "by http"
    ),
    "the bare host drops the query": Broken(
        without_query(lambda request: request.url.host == "shop.example"), "redirects", "failure", "without www"
    ),
    "the slash drops the query": Broken(
        without_query(lambda request: request.url.path.endswith("/")), "redirects", "failure", "boots/ redirects to"
    ),
    "the language drops the query": Broken(by_language, "redirects", "failure", "in language fr"),
    "capitals are lost": Broken(lower_case, "redirects", "failure", "as given"),
    "a circle": Broken(circle, "storefront", "failure", "more than 10 times"),
    "no answer": Broken(set_shop(hang_up), "storefront", "failure", "no answer"),
    "redirect to no page": Broken(
        set_shop(lambda _: to("ftp://files.shop.example/boots")), "storefront", "failure", "no page"
    ),
    "redirect to no port": Broken(
        set_shop(lambda _: to("https://www.shop.example:99999/")), "storefront", "failure", "no"
    ),
    "an error page": Broken(set_shop(lambda _: httpx.Response(404)), "redirects", "warning", "answers 404"),
    "another site": Broken(elsewhere, "redirects", "warning", "another site", with_it=THERE),
    "CNAME to another site": Broken(names(track=("x.cdn.test", ["203.0.113.11"])), "safari", "warning", "x.cdn.test"),
    "an unlike address": Broken(
        names(track=("track.shop.example", ["198.51.100.1"])), "safari", "warning", "7 days instead of 30"
    ),
    "no address": Broken(no_host, "safari", "warning", "cannot be resolved"),
    "origin not named": Broken(
        lambda _: None, "call", "failure", "403", {"storefront_origins": ("https://shop.example",)}
    ),
    "the proxy drops CORS": Broken(drop("access-control-allow-credentials"), "call", "failure", "cookies"),
    "the proxy does not know /capture": Broken(status_of("/capture", 404), "call", "failure", "404"),
    "the proxy drops cookies": Broken(drop("set-cookie"), "cookie", "failure", "without the cookie"),
    "a cache": Broken(kept_by_a_cache, "cookie", "failure", "another visitor's"),
    "the cookie has a wrong domain": Broken(
        rewrite("Domain=shop.example", "Domain=track.shop.example"), "cookie", "failure", "do not see it"
    ),
    "the cookie is host-only": Broken(
        lambda _: None, "cookie", "failure", "that host alone", {"cookie_domain": ("host",)}
    ),
    "Secure is taken away": Broken(rewrite("; Secure", ""), "cookie", "failure", "no secure"),
    "HttpOnly is added": Broken(rewrite("; Secure", "; Secure; HttpOnly"), "cookie", "failure", "httponly"),
    "SameSite is changed": Broken(rewrite("SameSite=Lax", "SameSite=None"), "cookie", "failure", "samesite=None"),
    "the path is changed": Broken(rewrite("Path=/;", "Path=/track;"), "cookie", "failure", "path=/track"),
    "the life is cut": Broken(rewrite("Max-Age=2592000", "Max-Age=3600"), "cookie", "failure", "max-age=3600"),
    "the click stays": Broken(not_forgotten, "cookie", "warning", "not deleted (500)"),
    "no snippet is served": Broken(status_of("/capture.js", 404), "tracking", "failure", "404"),
    "script-src": Broken(with_policy("script-src 'self'"), "csp", "failure", "by script-src"),
    "script-src-elem": Broken(with_policy("script-src *; script-src-elem 'self'"), "csp", "failure", "script-src-elem"),
    "connect-src": Broken(with_policy("connect-src 'self'; script-src *"), "csp", "failure", "by connect-src"),
    "default-src": Broken(with_policy("default-src 'self'"), "csp", "failure", "by default-src"),
    "strict-dynamic": Broken(
        with_policy(f"script-src 'strict-dynamic' 'nonce-abc' {TRACKING}"), "csp", "failure", "script-src"
    ),
    "another nonce": Broken(with_policy("script-src 'nonce-xyz'", NONCED), "csp", "failure", "script-src"),
    "a policy in the page": Broken(
        set_shop(partial(page, html=HTML.replace("<head>", f"<head>{META}"))), "csp", "failure", "script-src"
    ),
    "the second of two policies": Broken(
        with_policy("script-src *, default-src 'none'"), "csp", "failure", "default-src"
    ),
    "a wrong clock": Broken(wrong_clock, "clock", "warning", "www.shop.example's"),
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
def test_what_is_broken_is_found(service: Service, broken: Broken) -> None:
    """With the name of what is wrong in it, and a sentence that says what to do; and what is well is not blamed."""
    with world(service, **broken.settings) as shop:
        broken.how(shop)
        found = [one for one in seen(service, shop) if one.status is not Status.OK]
    blamed = [one for one in found if one.name == broken.name]
    assert any(one.status.value == broken.status and broken.word in one.detail for one in blamed), found
    assert all(one.detail.endswith(".") and one.repair.endswith(".") for one in found)
    assert {one.name for one in found} <= {broken.name, *broken.with_it}


WELL = {
    "a nonce": with_policy("script-src 'nonce-abc' 'strict-dynamic'; connect-src *", NONCED),
    "the host": with_policy(f"default-src 'self'; script-src {TRACKING}/; connect-src *.shop.example:443"),
    "the scheme": with_policy("default-src https:"),
    "a tag manager": with_policy("script-src 'strict-dynamic' 'nonce-a'", HTML.replace(SNIPPET, "")),
    "what is no HTML": set_shop(partial(page, html=f"{HTML}<![what is this]><meta")),
    "report only": set_shop(partial(page, content_security_policy_report_only="default-src 'none'")),
}


@pytest.mark.parametrize("how", WELL.values(), ids=WELL)
def test_a_policy_that_allows_is_not_blamed(service: Service, how: Break) -> None:
    """By nonce, by host, by scheme, by a script that is trusted; what is only reported blocks nothing."""
    with world(service) as shop:
        how(shop)
        assert [one for one in seen(service, shop) if one.status is not Status.OK] == []


def test_a_service_on_another_site(service: Service) -> None:
    """Its cookie is a third party's, which is said of the settings, of the distance and of Safari."""
    with world(service) as shop:
        shop.names["t.tracker.test"] = ("t.tracker.test", ["203.0.113.11"])
        found = seen(service, shop, tracking="https://t.tracker.test")
        failed = {one.name for one in found if one.status is Status.FAILURE}
        assert {"cors", "origin", "safari", "cookie"} <= failed


def test_a_service_that_cannot_be_reached(service: Service) -> None:
    """The page is looked at all the same."""
    with world(service) as shop:
        shop.proxy = lambda request, _answer: hang_up(request)
        failed = {one.name for one in seen(service, shop) if one.status is Status.FAILURE}
        assert failed == {"tracking", "cookie"}


def test_what_was_not_asked_for_is_said(service: Service) -> None:
    """Without the service's address most cannot be judged, and who reads must not take that for health."""
    with world(service) as shop:
        found = {one.name: one for one in seen(service, shop, PAGE, tracking="")}
        assert (found["tracking"].status, "--tracking" in found["tracking"].repair) == (Status.WARNING, True)
        assert "cookie" not in found

"""Every answer of the dashboard: who gets it, the headers it has, and what it says when something is wrong."""

import gzip
import logging
import re
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.dashboard.assets import assets
from app.dashboard.pages import HEADERS
from app.dashboard.sessions import COOKIE
from app.database import Database
from app.main import create_app, openapi
from app.service import Service
from tests.dashboard.person import FROM_A_PAGE, sign_in

PUBLIC = {("GET", "/dashboard/sign-in"), ("POST", "/dashboard/sign-in"), ("GET", "/dashboard/static/{name}")}
"""What is answered without signing in."""


def routes(place: Any) -> Iterator[tuple[str, str]]:
    """Yield method and path of every route of the dashboard."""
    for route in place.routes:
        if (path := getattr(route, "path", "")).startswith("/dashboard"):
            yield from ((method, path) for method in sorted(route.methods))
        if inner := getattr(route, "original_router", None):
            yield from routes(inner)


def url_of(path: str) -> str:
    """Return a path with something in the places of its parameters."""
    return re.sub(r"\{[^}]*\}", "x", path)


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """No statement differs here."""
    return sqlite_url


@pytest.fixture
def calls(service: Service) -> list[tuple[str, str]]:
    """Every call of the dashboard."""
    return list(routes(create_app(service, with_worker=False)))


def test_without_signing_in_nothing_is_answered(client: TestClient, calls: list[tuple[str, str]]) -> None:
    """Whatever the method, with a wrong token too: the browser is sent to the form, and learns nothing else."""
    assert len(calls) > 10
    for method, path in set(calls) - PUBLIC:
        for token in ({}, {"Cookie": f"{COOKIE}=unknown"}):
            answer = client.request(method, url_of(path), headers=FROM_A_PAGE | token, follow_redirects=False)
            place = answer.headers.get("location", "").partition("?")[0]
            assert (answer.status_code, place, answer.text) == (303, "/dashboard/sign-in", ""), (method, path)


def test_a_part_of_a_page_sends_to_the_form_too(client: TestClient) -> None:
    """The script that asked puts no form into the middle of a page: it goes to the form."""
    answer = client.get("/dashboard/none", headers={"HX-Request": "true"})
    assert (answer.status_code, answer.headers["hx-redirect"]) == (401, "/dashboard/sign-in?to=%2Fdashboard%2Fnone")


def test_every_answer_has_the_headers(client: TestClient, calls: list[tuple[str, str]]) -> None:
    """Pages, refusals and redirects, signed in or not: no script of others, no frame, no cache, no referrer."""
    for signed_in in (False, True):
        if signed_in:
            sign_in(client)
        for method, path in set(calls) - {("POST", "/dashboard/sign-out")}:
            answer = client.request(method, url_of(path), headers=FROM_A_PAGE, follow_redirects=False)
            assert HEADERS.keys() <= {name.title() for name in answer.headers} | set(HEADERS), path
            for name, value in HEADERS.items():
                given = answer.headers[name]
                if name == "Content-Security-Policy" and answer.headers.get("content-type") == "image/svg+xml":
                    assert given.startswith("default-src 'none'; style-src 'unsafe-inline'")
                else:
                    assert given == value, (path, name)


def test_the_dashboard_is_no_part_of_the_api(calls: list[tuple[str, str]]) -> None:
    """Its pages are for people, and may change."""
    assert [path for path in openapi()["paths"] if path.startswith("/dashboard")] == []
    assert calls


def test_a_page_that_is_not_there_is_a_page(client: TestClient) -> None:
    """In the same frame, with a way on."""
    sign_in(client)
    answer = client.get("/dashboard/no/such/page")
    assert (answer.status_code, "<nav" in answer.text, 'href="/dashboard"' in answer.text) == (404, True, True)


def test_without_a_database_a_page_says_so(client: TestClient) -> None:
    """Nothing looks empty that only cannot be read: 503, what is not lost, and what to do."""
    sign_in(client)
    client.app.state.database = Database("postgresql+psycopg://nobody@127.0.0.1:1/none")  # type: ignore[attr-defined]
    answer = client.get("/dashboard")
    assert (answer.status_code, "conversion-capture doctor" in answer.text) == (503, True)
    assert answer.headers["retry-after"]
    part = client.get("/dashboard", headers={"HX-Request": "true"})
    assert (part.status_code, "<html" in part.text, 'role="alert"' in part.text) == (503, False, True)


def test_the_log_has_no_paths(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    """Ids of orders and what was searched for stand in no log line, only the route's template."""
    sign_in(client)
    with caplog.at_level(logging.INFO):
        client.get("/dashboard/secret-id?q=secret-query")
    assert "secret" not in str([record.__dict__ for record in caplog.records if record.name.startswith("app")])


@pytest.mark.parametrize("name", ["dashboard.css", "htmx.min.js", "fallback.js", "icon.svg"])
def test_files_are_named_by_their_content(client: TestClient, name: str) -> None:
    """A browser keeps them for ever, compressed where it takes that; a new version has another name."""
    stem, _, suffix = name.rpartition(".")
    [hashed] = [one for one in assets() if one.startswith(f"{stem}-") and one.endswith(suffix)]
    plain = client.get(f"/dashboard/static/{hashed}", headers={"Accept-Encoding": "identity"})
    packed = client.get(f"/dashboard/static/{hashed}", headers={"Accept-Encoding": "gzip"})
    assert plain.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert (packed.headers["content-encoding"], plain.content) == ("gzip", packed.content)
    assert (packed.headers["vary"], "content-encoding" in plain.headers) == ("Accept-Encoding", False)
    assert gzip.decompress(assets()[hashed].compressed) == plain.content
    assert client.get(f"/dashboard/static/{name}").status_code == 404


def test_no_page_has_a_script_or_a_style_within(client: TestClient) -> None:
    """The policy forbids them, and nothing is loaded from elsewhere."""
    sign_in(client)
    for path in ("/dashboard", "/dashboard/rights", "/dashboard/none"):
        text = client.get(path).text
        assert re.findall(r"<style|\sstyle=|\son[a-z]+=|javascript:|<script(?! src=\"/dashboard/)", text) == []
        assert re.findall(r"(?:src|href|action)=\"(?!/dashboard|#main)[^\"]*", text) == []


@pytest.mark.parametrize("days", [14, 30, 90])
def test_as_many_days_as_were_chosen(client: TestClient, days: int) -> None:
    """Each has its line, also if nothing happened on it."""
    sign_in(client)
    page = client.get("/dashboard", params={"days": days}).text
    assert page.count('<tr><th scope="row">') == days
    for name in ("clicks", "orders", "share", "revenue/USD"):
        answer = client.get(f"/dashboard/charts/{name}.svg", params={"days": days})
        assert (answer.status_code, answer.headers["content-type"]) == (200, "image/svg+xml")


@pytest.mark.parametrize("path", ["?days=15", "?days=x", "/charts/none.svg", "/charts/revenue/usd.svg"])
def test_what_is_not_offered_is_refused_in_words(client: TestClient, path: str) -> None:
    """With a page, not with a stack of errors."""
    sign_in(client)
    answer = client.get(f"/dashboard{path}")
    assert (answer.status_code, "is not right" in answer.text) == (422, True)

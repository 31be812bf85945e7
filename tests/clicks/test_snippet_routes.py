"""`/capture.js` and the released snippets over HTTP."""

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr

from app.clicks.release import release
from app.clicks.snippet import Snippet
from app.clicks.snippet_routes import current_snippet
from app.clicks.snippet_store import find_snippet
from app.database import Database
from app.main import create_app
from app.service import Service
from tests.conftest import SettingsFactory
from tests.servers import free_port, wait_until
from tests.support import NOW

ROOT = Path(__file__).parent.parent.parent


def on_record(database: Database, snippet: Snippet) -> bool:
    """Say whether a snippet was released."""
    with database.snapshot() as session:
        return find_snippet(session, snippet.name) is not None


@pytest.fixture
def broken(service: Service, make_settings: SettingsFactory) -> Iterator[TestClient]:
    """The service while nobody listens where its database should be."""
    url = f"postgresql+psycopg://x:x@127.0.0.1:{free_port()}/x"
    settings = make_settings(database_url=SecretStr(url))
    away = replace(service, settings=settings, database=Database(url), stopping=threading.Event())
    with TestClient(create_app(away, with_worker=False)) as connected:
        yield connected


def test_it_is_served_to_pages_of_every_origin(client: TestClient) -> None:
    """Compressed where that is accepted, readable across origins, checked again after an hour."""
    plain = client.get("/capture.js", headers={"Accept-Encoding": "identity"})
    packed = client.get("/capture.js", headers={"Accept-Encoding": "gzip, br"})
    assert plain.headers["content-type"] == "text/javascript; charset=utf-8"
    assert plain.headers["access-control-allow-origin"] == "*"
    assert plain.headers["vary"] == "Accept-Encoding"
    assert plain.headers["cache-control"].startswith("public, max-age=3600")
    assert "content-encoding" not in plain.headers
    assert (packed.headers["content-encoding"], packed.content) == ("gzip", plain.content)
    assert int(packed.headers["content-length"]) <= 1_700 < len(plain.content)


@pytest.mark.parametrize("header", ["gzip;q=0", "br", "", "gzip;q=0.0, *;q=0", "identity;q=1"])
def test_who_refuses_gzip_gets_none(client: TestClient, header: str) -> None:
    """By RFC 9110."""
    assert "content-encoding" not in client.get("/capture.js", headers={"Accept-Encoding": header}).headers


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
def test_who_has_it_need_not_load_it(client: TestClient, encoding: str) -> None:
    """304 for its own tag, weak or among others; the whole for any other."""
    accept = {"Accept-Encoding": encoding}
    tag = client.get("/capture.js", headers=accept).headers["etag"]
    for given in (tag, f"W/{tag}", f'"x", {tag}'):
        answer = client.get("/capture.js", headers=accept | {"If-None-Match": given})
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", tag)
    assert client.get("/capture.js", headers=accept | {"If-None-Match": '"x"'}).status_code == 200


def test_the_pinned_one_is_the_same_for_ever(client: TestClient, service: Service) -> None:
    """Under its hash the same bytes come with leave to keep them."""
    current = current_snippet(service.settings)
    answer = client.get(f"/capture-{current.name}.js")
    assert answer.content == current.content == client.get("/capture.js").content
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert answer.headers["access-control-allow-origin"] == "*"


def test_released_versions_stay(client: TestClient, service: Service, database: Database) -> None:
    """A page that pinned the snippet of an earlier version, or of earlier settings, still gets exactly that one."""
    earlier = Snippet(b"(()=>{})()")
    assert client.get(f"/capture-{earlier.name}.js").status_code == 404
    release(database, earlier, NOW)
    release(database, earlier, NOW)
    for _ in range(2):
        assert client.get(f"/capture-{earlier.name}.js").content == earlier.content


def test_what_was_served_once_is_released(client: TestClient, service: Service, make_settings: SettingsFactory) -> None:
    """A process with other settings, or a later version, still has the script that a page may have pinned."""
    current = current_snippet(service.settings)
    client.get(f"/capture-{current.name}.js")
    wait_until(lambda: on_record(service.database, current), "the snippet is not on record")
    changed = replace(service, settings=make_settings(cookie_days=7), stopping=threading.Event())
    assert current_snippet(changed.settings).name != current.name
    with TestClient(create_app(changed, with_worker=False)) as later:
        assert later.get(f"/capture-{current.name}.js").content == current.content


def test_a_database_that_is_away_does_not_matter(broken: TestClient, service: Service) -> None:
    """The current snippet is served all the same, under both names."""
    current = current_snippet(service.settings)
    for _ in range(3):
        assert broken.get("/capture.js").content == current.content
        assert broken.get(f"/capture-{current.name}.js").content == current.content


def test_the_command_prints_what_goes_into_pages(sqlite_url: str) -> None:
    """Both elements, as a shop's template takes them, and what is pinned is on record."""
    environment = {"CAPTURE_CAMPAIGN_ID": "1", "CAPTURE_ACTION_TRACKER_ID": "2", "CAPTURE_DATABASE_URL": sqlite_url}
    command = [sys.executable, "-m", "app", "snippet", "https://track.shop.example/"]
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": str(ROOT), **environment}, capture_output=True, text=True, check=True
    )
    plain, pinned = done.stdout.splitlines()
    assert plain == '<script async src="https://track.shop.example/capture.js"></script>'
    name, integrity = re.findall(r'capture-(.{20})\.js" integrity="(sha384-[^"]+)" crossorigin="anonymous"', pinned)[0]
    database = Database(sqlite_url)
    with database.snapshot() as session:
        released = find_snippet(session, name)
    database.close()
    assert released
    assert released.integrity == integrity


@pytest.mark.parametrize("name", ["0" * 20, "x", "0" * 19, "A" * 20, "..%2fx"])
def test_what_was_never_released_is_not_there(client: TestClient, name: str) -> None:
    """A problem says so."""
    answer = client.get(f"/capture-{name}.js")
    assert answer.status_code in {404, 422}
    assert answer.headers["content-type"] == "application/problem+json"

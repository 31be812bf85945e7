"""Who may call what: everybody tries everything, by the OpenAPI document and by the routes that are not in it.

Nothing here is a list of routes. A new one is tried as soon as it is there, and fails until it says who may call it.
"""

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import anyio
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from pydantic import SecretStr
from starlette.types import Message

from app.config import Settings
from app.database import Database
from app.delivery.channels.folder import FolderChannel, FolderSettings
from app.main import create_app, openapi
from app.security import hash_of
from app.service import Service
from tests.support import EXPORT_KEY, ORDER_KEY, PUBLIC, READ_KEY, bearer
from tests.test_structure import DOCUMENTATION, MAY

KEYS = {"order": ORDER_KEY, "export": EXPORT_KEY, "read": READ_KEY}
DOCUMENT = openapi()
PRIVATE = sorted(
    (method.upper(), path) for path, methods in DOCUMENT["paths"].items() for method in methods if path not in PUBLIC
)
"""Every call that is described and not public on purpose."""
OPEN_PAGES = ("/dashboard/sign-in", "/dashboard/static/")
"""What of the dashboard is there for everybody: the form, and what it is drawn with."""


@pytest.fixture(scope="module")
def service(migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory) -> Service:
    """A service that everybody tries."""
    folder = tmp_path_factory.mktemp("roles")
    shutil.copy(migrated_sqlite, folder / "roles.db")
    url = f"sqlite:///{folder / 'roles.db'}"
    values: dict[str, Any] = {f"{role}_keys": (f"sha256:{hash_of(key)}",) for role, key in KEYS.items()}
    values |= {"database_url": SecretStr(url), "campaign_id": 1000, "action_tracker_id": 4321}
    values |= {"spool_path": folder / "spool", "journal_path": folder / "journal"}
    channel = FolderChannel(FolderSettings(path=folder / "outbox"))
    return Service(Settings.model_validate(values), Database(url), {"folder": channel}, schema_is_checked=True)


@pytest.fixture(scope="module")
def client(service: Service) -> Iterator[TestClient]:
    """A connection to it."""
    app = create_app(service, with_worker=False)
    with TestClient(app, base_url="https://track.shop.example", follow_redirects=False) as connected:
        yield connected


def roles(method: str, path: str) -> set[str]:
    """Return the rights of which a call's key needs one, as the document has them."""
    [requirement] = DOCUMENT["paths"][path][method.lower()]["security"]
    return set(requirement["HTTPBearer"])


def url_of(path: str) -> str:
    """Return an address on a route: what stands for its parameters names nothing that there is."""
    parts = ("1" if part.startswith("{") else part for part in path.split("/"))
    return "/".join(parts)


@pytest.mark.parametrize(("method", "path"), PRIVATE)
def test_every_call_says_who_may_make_it(method: str, path: str) -> None:
    """In the document, for whoever writes a client; and that is what the contract has."""
    assert roles(method, path) == MAY[method, path]


STRANGERS: dict[str, Mapping[str, str] | Mapping[bytes, bytes]] = {
    "no key": {},
    "an unknown key": bearer("unknown"),
    "an empty key": bearer(""),
    "no key behind the scheme": {"Authorization": "Bearer"},
    "another case": bearer(ORDER_KEY.upper()),
    "two keys": bearer(f"{ORDER_KEY} {READ_KEY}"),
    "the hash of a key": bearer("sha256:" + "0" * 64),
    "a key that is no ASCII": {b"Authorization": "Bearer schl\u00fcssel".encode("latin-1")},
    "a long key": bearer("x" * 8_000),
    "another scheme": {"Authorization": f"Basic {ORDER_KEY}"},
    "no scheme": {"Authorization": ORDER_KEY},
    "a cookie": {"Cookie": f"key={ORDER_KEY}; Authorization=Bearer {ORDER_KEY}"},
    "another header": {"X-API-Key": ORDER_KEY},
}


@pytest.mark.parametrize(("method", "path"), PRIVATE)
def test_who_may_call_what(client: TestClient, method: str, path: str) -> None:
    """Without a known key 401, in the same words for all of them; without the right 403; the others pass."""
    url, allowed = url_of(path), roles(method, path)
    bodies = set()
    for name, headers in STRANGERS.items():
        answer = client.request(method, url, headers=headers, params={"key": ORDER_KEY, "access_token": ORDER_KEY})
        assert (answer.status_code, answer.headers.get("www-authenticate")) == (401, "Bearer"), name
        bodies.add(answer.text)
    assert len(bodies) == 2  # no key, and one that is not known
    for role, key in KEYS.items():
        answer = client.request(method, url, headers=bearer(key))
        assert (answer.status_code in {401, 403}) == (role not in allowed), role
        assert role in allowed or answer.status_code == 403


@pytest.mark.parametrize(("method", "path"), PRIVATE)
def test_a_key_that_was_taken_out_of_the_settings_opens_nothing(
    client: TestClient, service: Service, method: str, path: str
) -> None:
    """From the next start on it is as unknown as any other text."""
    without = service.settings.model_copy(update={f"{role}_keys": () for role in KEYS})
    state = client.app.state  # type: ignore[attr-defined]
    state.settings = without
    try:
        for key in KEYS.values():
            assert client.request(method, url_of(path), headers=bearer(key)).status_code == 401
    finally:
        state.settings = service.settings


class Untouchable:
    """What must not be looked at."""

    def __getattr__(self, name: str) -> Any:
        """Say that it was."""
        raise AssertionError(name)


def call_unread(app: FastAPI, method: str, path: str, headers: list[tuple[bytes, bytes]]) -> int:
    """Make a call whose body must not be read, and return the status."""
    told: list[Message] = []

    async def receive() -> Message:
        raise AssertionError("the body was read")

    async def send(message: Message) -> None:
        told.append(message)

    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "https",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(b"host", b"track.shop.example"), (b"content-length", b"10"), *headers],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 443),
    }
    anyio.run(app, scope, receive, send)
    return int(told[0]["status"])


@pytest.fixture(scope="module")
def blind(service: Service) -> FastAPI:
    """The application, with nothing behind it."""
    app = create_app(service, with_worker=False)
    for name in ("database", "intake", "keep", "hold", "lookout", "releases", "keeper"):
        setattr(app.state, name, Untouchable())
    return app


@pytest.mark.parametrize(("method", "path"), PRIVATE)
def test_a_refusal_reads_no_body_and_looks_nothing_up(blind: FastAPI, method: str, path: str) -> None:
    """So its time and its words tell nothing of what there is, and a stranger costs the service next to nothing."""
    wrong = next((key for role, key in KEYS.items() if role not in roles(method, path)), None)
    assert call_unread(blind, method, url_of(path), []) == 401
    assert call_unread(blind, method, url_of(path), [(b"authorization", b"Bearer unknown")]) == 401
    if wrong is not None:
        assert call_unread(blind, method, url_of(path), [(b"authorization", f"Bearer {wrong}".encode())]) == 403


@pytest.mark.parametrize(
    "path", sorted({path for method, path in PRIVATE if method == "POST" and ("GET", path) not in PRIVATE})
)
def test_what_changes_something_is_never_a_get(client: TestClient, path: str) -> None:
    """A crawler or a link preview with a key in its hands starts nothing."""
    assert client.get(url_of(path), headers=bearer(EXPORT_KEY)).status_code in {403, 404, 405}


# What is not in the document --------------------------------------------------------------------------------------


def routed(route: object, prefix: str = "") -> Iterator[tuple[str, frozenset[str]]]:
    """Yield every path below a route that is answered, with its methods."""
    path, methods = prefix + (getattr(route, "path", None) or ""), getattr(route, "methods", None)
    if methods:
        yield path, frozenset(methods)
    inner = getattr(route, "original_router", None) or getattr(route, "app", None)
    for one in getattr(inner, "routes", []):
        yield from routed(one, path if methods is None and getattr(route, "app", None) else prefix)


def test_whatever_is_not_described_is_a_page_or_the_documentation(blind: FastAPI) -> None:
    """No way in that no document tells of."""
    found = {path for route in blind.routes for path, _ in routed(route)}
    undescribed = found - set(DOCUMENT["paths"]) - DOCUMENTATION - PUBLIC
    assert {path for path in undescribed if path.partition("{")[0].split("/")[1] != "dashboard"} == set()


def test_without_a_session_no_page_of_the_dashboard_is_shown(client: TestClient, blind: FastAPI) -> None:
    """Whatever is asked for, and however, leads to the form."""
    pages = sorted({one for route in blind.routes for one in routed(route) if one[0].startswith("/dashboard")})
    cookies: list[dict[str, str]] = [{}, {"Cookie": "__Host-dashboard=unknown; session=unknown"}, bearer(READ_KEY)]
    for path, methods in pages:
        if path.startswith(OPEN_PAGES):
            continue
        for method, headers in ((method, headers) for method in sorted(methods) for headers in cookies):
            answer = client.request(method, url_of(path), headers=headers)
            leads_to_the_form = answer.headers.get("location", "").startswith("/dashboard/sign-in")
            assert answer.status_code in {401, 403} or leads_to_the_form, (method, path, answer.status_code)

"""Shops on several domains with the service behind them, over https on one loopback port, for a real browser.

The browser is told to look for every host on that port, so host names, cookies and origins are as they would be.
"""

import base64
import hashlib
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import trustme
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import load_pem_x509_certificate
from fastapi import FastAPI
from sqlalchemy import delete, select
from starlette.types import Receive, Scope, Send

from app.clicks.store import CLICK
from app.database import Database
from tests.servers import free_port, served, wait_until

TRACKING: Final = "track."
PROXIED: Final = "/aff/"
HTML: Final = "text/html; charset=utf-8"


@dataclass
class Page:
    """What a shop's server answers under one path."""

    body: str
    headers: Mapping[str, str] = field(default_factory=dict)
    status: int = 200


@dataclass(frozen=True)
class Heard:
    """A request that reached the service."""

    host: str
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


class Site:
    """Every shop of a test: pages by host and path, the service below `track.` and `/aff/`, and what reached it."""

    def __init__(self, apps: Mapping[str, FastAPI], database: Database, folder: Path) -> None:
        self.apps = apps
        self.database = database
        self.port = free_port()
        authority = trustme.CA()
        certificate = authority.issue_cert(*(f"{prefix}{name}" for name in apps for prefix in ("", "*.")))
        self.certificate = folder / "server.pem"
        certificate.private_key_and_cert_chain_pem.write_to_path(str(self.certificate))
        self.key_hash = _public_key_hash(certificate.cert_chain_pems[0].bytes())
        self.under_way = 0
        self.reset()

    def reset(self) -> None:
        """Forget every page, request and click, also one that was still on its way into the database."""
        wait_until(self._is_quiet, "clicks are still on their way")
        self.pages: dict[tuple[str, str], Page] = {}
        self.heard: list[Heard] = []
        self.shown: list[str] = []
        self.is_down = False
        with self.database.transaction() as session:
            session.connection().execute(delete(CLICK))

    def _is_quiet(self) -> bool:
        """Say whether the service answers nobody, and no click waits to be written again."""
        return not self.under_way and all(app.state.keeper.spool_state.state == "empty" for app in self.apps.values())

    def add(self, address: str, body: str, status: int = 200, **headers: str) -> None:
        """Put a page under `host/path`; headers are given as `content_security_policy="..."`."""
        host, _, path = address.partition("/")
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.pages[host, f"/{path}"] = Page(body, named, status)

    def clicks(self) -> dict[str, Mapping[str, Any]]:
        """Return every click on record by its id."""
        with self.database.snapshot() as session:
            return {row.click_id: dict(row._mapping) for row in session.connection().execute(select(CLICK))}

    def posts(self) -> list[Heard]:
        """Return the requests by which the snippet told the service something."""
        return [one for one in self.heard if one.method == "POST" and one.path == "/capture"]

    @contextmanager
    def serving(self) -> Iterator["Site"]:
        """Serve until the block ends."""
        with served(self, port=self.port, ssl_certfile=self.certificate):
            yield self

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer for the service or for a shop."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        headers = {name.decode(): value.decode("latin-1") for name, value in scope["headers"]}
        host, path = headers["host"], scope["path"]
        app = next((app for name, app in self.apps.items() if host == name or host.endswith(f".{name}")), None)
        if app and (host.startswith(TRACKING) or path.startswith(PROXIED)):
            scope = {**scope, "path": path.replace(PROXIED, "/", 1), "raw_path": b""}
            await self._ask(app, scope, headers, receive, send)
        else:
            self.shown.append(f"{host}{path}")
            await _show(self.pages.get((host, path)) or self.pages.get((host, "/*")), send)

    async def _ask(self, app: FastAPI, scope: Scope, headers: Mapping[str, str], receive: Receive, send: Send) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        self.heard.append(Heard(headers["host"], scope["method"], scope["path"], headers, body))
        if self.is_down and not scope["path"].endswith(".js"):
            await _show(Page("", {}, 502), send)
            return

        async def again() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        self.under_way += 1
        try:
            await app(scope, again, send)
        finally:
            self.under_way -= 1

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        async with AsyncExitStack() as stack:
            for app in {id(app): app for app in self.apps.values()}.values():
                await stack.enter_async_context(app.router.lifespan_context(app))
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})


async def _show(page: Page | None, send: Send) -> None:
    page = page or Page("", {}, 404)
    headers = {"content-type": HTML, "cache-control": "no-cache"} | dict(page.headers)
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": page.status, "headers": raw})
    await send({"type": "http.response.body", "body": page.body.encode()})


def _public_key_hash(certificate: bytes) -> str:
    key = load_pem_x509_certificate(certificate).public_key()
    digest = hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest()
    return base64.b64encode(digest).decode()

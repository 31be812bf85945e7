"""A shop's view of the service, for the tests of this folder: settings, calls as they arrive, and the rows kept."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import httpx
from fastapi import FastAPI
from sqlalchemy import select
from sqlmodel import SQLModel

from app.clicks.capture import Arrival, Captured, capture
from app.clicks.store import Click, Note, write
from app.config import Settings
from app.database import Database
from app.thin import Answer

STOREFRONT: Final = "https://www.shop.example"
HOST: Final = "track.shop.example"
NOW: Final = datetime(2026, 11, 20, 18, 0, 22, tzinfo=UTC)
SECOND: Final = int(NOW.timestamp())
DAY: Final = 86_400
ID: Final = "QiiWXOVnrQ3SQHl24jQjyxBGUkmzfJ3i1VHrWM0"
OTHER: Final = "aaaa:BBBB/cc=%2B+~._-"


def settings_with(**values: Any) -> Settings:
    """Return settings that no environment and no file has a say in."""
    return Settings.model_validate(
        {
            "campaign_id": 1000,
            "action_tracker_id": 4321,
            "storefront_origins": (STOREFRONT, "https://shop.test:8443", "http://localhost:3000"),
            "linked_domains": ("linked.example", "*.partner.example"),
            **values,
        }
    )


def arrival(query: str = "", **headers: str) -> Arrival:
    """Return a GET at `NOW`; headers are given as `sec_gpc="1"`."""
    return Arrival("GET", "https", query.encode(), _named(headers), b"", SECOND)


def post(values: Mapping[str, Any], **headers: str) -> Arrival:
    """Return a POST of JSON at `NOW`."""
    return Arrival("POST", "https", b"", _named(headers), json.dumps(values).encode(), SECOND)


def _named(headers: Mapping[str, str]) -> dict[bytes, bytes]:
    given = {"host": HOST, **{name.replace("_", "-"): value for name, value in headers.items()}}
    return {name.encode(): value.encode("latin-1") for name, value in given.items()}


def cookies_of(answer: Answer) -> list[str]:
    """Return every Set-Cookie value."""
    return [value.decode() for name, value in answer.headers if name == b"set-cookie"]


def header_of(answer: Answer, name: str) -> str | None:
    """Return a header's value, or None."""
    value = dict(answer.headers).get(name.lower().encode())
    return None if value is None else value.decode()


class Visitor:
    """A browser as far as HTTP goes: it keeps cookies and follows no redirect."""

    def __init__(self, app: FastAPI) -> None:
        self.transport = httpx.ASGITransport(app)
        self.cookies = httpx.Cookies()

    def get(self, path: str, **details: Any) -> httpx.Response:
        return asyncio.run(self._send("GET", path, details))

    def post(self, path: str, **details: Any) -> httpx.Response:
        return asyncio.run(self._send("POST", path, details))

    def options(self, path: str, **details: Any) -> httpx.Response:
        return asyncio.run(self._send("OPTIONS", path, details))

    def request(self, method: str, path: str, **details: Any) -> httpx.Response:
        return asyncio.run(self._send(method, path, details))

    async def _send(self, method: str, path: str, details: Mapping[str, Any]) -> httpx.Response:
        base = f"https://{HOST}"
        async with httpx.AsyncClient(transport=self.transport, base_url=base, cookies=self.cookies) as client:
            response = await client.request(method, path, **details)
            self.cookies = client.cookies
            return response


@dataclass(frozen=True)
class Shop:
    """The verb with settings and a real database, and the same over HTTP."""

    settings: Settings
    database: Database
    client: Visitor

    def capture(self, arrived: Arrival, now: datetime = NOW, **changed: Any) -> Answer:
        """Run the verb, with some settings changed; what it asks for is kept."""
        return self.captured(arrived, now, **changed).answer

    def captured(self, arrived: Arrival, now: datetime = NOW, **changed: Any) -> Captured:
        """Do the same, and tell what became of it."""
        settings = self.settings.model_copy(update=changed)
        done = capture(arrived._replace(second=int(now.timestamp())), settings)
        if done.note is not None:
            self.keep(done.note)
        return done

    def keep(self, note: Note) -> None:
        """Write a note down at once."""
        with self.database.transaction() as session:
            write(session, note)

    def rows(self) -> list[Click]:
        """Return every click on record."""
        with self.database.snapshot() as session:
            found = session.connection().execute(select(SQLModel.metadata.tables["click"])).mappings()
            return [Click(**row) for row in found]

    def row(self) -> Click:
        """Return the only click on record."""
        (row,) = self.rows()
        return row

    def forget_all(self) -> None:
        """Empty the table."""
        with self.database.transaction() as session:
            session.connection().execute(SQLModel.metadata.tables["click"].delete())


def kept(click_id: str = ID, at: int | str = SECOND, others: Mapping[str, str] | None = None) -> str:
    """Return the Cookie header of a visitor who landed at second `at`."""
    pairs = {"im_ref": click_id, "im_ref_at": str(at), **(others or {})}
    return "; ".join(f"{name}={value}" for name, value in pairs.items())

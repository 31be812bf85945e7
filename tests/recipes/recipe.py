"""The code in the recipes, taken out of them, and the programs that it is for, as children of the test."""

import http.client
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from app.security import hash_of
from tests.servers import HOST, free_port, wait_until
from tests.support import ORDER_KEY

ROOT: Final = Path(__file__).parent.parent.parent
SHOP: Final = "www.shop.example"
PAGE: Final = "<h1>Boots</h1>"
UGLY: Final = (
    "aaaa:BBBB/cc=%2B+~._-",
    "QiiWXOVnrQ3SQHl24jQjyxBGUkmzfJ3i1VHrWM0",
    "%253A%20",
    "+++",
    "100%",
    "a%zz%",
    "==",
    "/../a//b/./c",
    "~" * 64,
)
"""Click ids as impact.com may make them: every allowed character, and what careless decoding would change."""
_BLOCK: Final = re.compile(r"^```(?P<language>\S+) (?P<name>\S+)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(document: str) -> dict[str, str]:
    """Return the named code blocks of a recipe."""
    text = (ROOT / "docs" / "how-to" / document).read_text("utf-8")
    return {found["name"]: found["code"] for found in _BLOCK.finditer(text)}


def encoded(click_id: str) -> str:
    """Return a click id as a link carries it: one percent-decoding gives it back, and a `+` stays as it is."""
    return click_id.replace("%", "%25")


def changed(text: str, changes: Mapping[str, object]) -> str:
    """Return a configuration with other addresses and places; each one named must be in it."""
    for old, new in changes.items():
        assert old in text, f"the recipe does not say {old!r}"
        text = text.replace(old, str(new))
    return text


@contextmanager
def running(command: list[str], port: int, log: Path, **environment: str) -> Iterator["subprocess.Popen[bytes]"]:
    """Start a server that does not outlive the block; inside it, it takes connections."""
    surroundings = {"PATH": os.defpath, "LC_ALL": "C.UTF-8", "HOME": str(log.parent)}
    with (
        log.open("wb") as output,
        subprocess.Popen(
            command,
            cwd=log.parent,
            env=surroundings | environment,
            stdout=output,
            stderr=output,
            stdin=subprocess.DEVNULL,
        ) as process,
    ):
        try:
            wait_until(lambda: process.poll() is not None or listens(port), f"{command[0]} does not answer")
            assert process.poll() is None, log.read_text("utf-8", "replace")
            yield process
        finally:
            process.kill()


def listens(port: int) -> bool:
    """Say whether somebody takes connections there."""
    try:
        socket.create_connection((HOST, port), timeout=1).close()
    except OSError:
        return False
    return True


@dataclass(frozen=True)
class Running:
    """The service in a process of its own, on an SQLite database."""

    port: int
    folder: Path
    process: "subprocess.Popen[bytes]"

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://{HOST}:{self.port}"

    @property
    def database(self) -> Path:
        """Its database file."""
        return self.folder / "capture.db"

    def clicks(self) -> list[str]:
        """Return the click ids on record."""
        with sqlite3.connect(self.database) as connection:
            rows = connection.execute("SELECT click_id FROM click").fetchall()
        connection.close()
        return [row[0] for row in rows]

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Let it answer nothing inside the block, though its port takes connections."""
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)


@contextmanager
def service(folder: Path, port: int | None = None, **settings: str) -> Iterator[Running]:
    """Serve, as a merchant does."""
    port = port or free_port()
    environment = {
        "PYTHONPATH": str(ROOT),
        "CAPTURE_DATABASE_URL": f"sqlite:///{folder / 'capture.db'}",
        "CAPTURE_CAMPAIGN_ID": "1000",
        "CAPTURE_ACTION_TRACKER_ID": "4321",
        "CAPTURE_FOLDER_PATH": str(folder / "outbox"),
        "CAPTURE_ORDER_KEYS": f"sha256:{hash_of(ORDER_KEY)}",
        **{f"CAPTURE_{name.upper()}": value for name, value in settings.items()},
    }
    command = [sys.executable, "-m", "app", "serve", "--port", str(port)]
    with running(command, port, folder / "service.log", **environment) as process:
        # The first call waits for lists that are being read; it is a visitor's of its own.
        ask(port, "/capture?im_ref=first", user_agent="Mozilla/5.0", x_forwarded_for="192.0.2.1")
        yield Running(port, folder, process)


@dataclass(frozen=True)
class Reply:
    """An answer, its headers in their order, and how long it took."""

    status: int
    headers: list[tuple[str, str]]
    body: str
    seconds: float

    @property
    def cookies(self) -> list[str]:
        """Every Set-Cookie value."""
        return [value for name, value in self.headers if name.lower() == "set-cookie"]

    def header(self, name: str) -> str | None:
        """Return a header's value, or None."""
        return next((value for one, value in self.headers if one.lower() == name), None)

    def kept(self, name: str = "im_ref") -> str | None:
        """Return the value that a cookie is left with, None if it is not set or expired."""
        values = [one.split(";")[0].removeprefix(f"{name}=") for one in self.cookies if one.startswith(f"{name}=")]
        return values[-1] if values and values[-1] else None


def ask(port: int, target: str, method: str = "GET", body: str = "", visitor: str = HOST, **headers: str) -> Reply:
    """Send a request whose target and headers go out as they are; names are given as `sec_gpc="1"`."""
    connection = http.client.HTTPConnection(HOST, port, timeout=30, source_address=(visitor, 0))
    named = {"Host": SHOP, **{name.replace("_", "-"): value for name, value in headers.items()}}
    began = time.monotonic()
    try:
        connection.request(method, target, body or None, named)
        answer = connection.getresponse()
        text = answer.read().decode()
        return Reply(answer.status, answer.getheaders(), text, time.monotonic() - began)
    finally:
        connection.close()

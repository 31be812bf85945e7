"""impact.com's API as a test wants it: a real server over real sockets, whose answers follow a script."""

import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from app.impact.client import Account
from tests.servers import HOST

SID, TOKEN = "IRsid", "canary-token-of-the-api"
URI = f"/Advertisers/{SID}/APISubmissions/A-1"


@dataclass(frozen=True)
class Heard:
    """A call as it came."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def fields(self) -> dict[str, str]:
        """What a form says."""
        return dict(parse_qsl(self.body.decode(), keep_blank_values=True))


Script = Callable[[Heard, socket.socket], bytes | None]
"""Answers a call: with bytes, or by itself. The connection is closed after it."""


def answer(status: int, body: Any = b"", **headers: str) -> bytes:
    """Return an answer; what is no bytes is sent as JSON."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(content)}", "Connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + content


def queued(uri: str = URI, **headers: str) -> bytes:
    """Return what impact.com answers when it has taken a call."""
    return answer(200, {"Status": "QUEUED", "QueuedUri": uri}, **headers)


def reset(connection: socket.socket) -> None:
    """Cut a connection as a crashed host does."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")


@dataclass
class Scripted:
    """The server: what it heard, and how it answers."""

    script: Script = lambda _heard, _connection: queued()
    url: str = ""
    heard: list[Heard] = field(default_factory=list)

    def account(self, **changes: Any) -> Account:
        """Return whose API is called here."""
        return Account(self.url, SID, TOKEN, **{"seconds": 5, "allow_private": True} | changes)


@contextmanager
def serving(context: ssl.SSLContext | None = None) -> Iterator[Scripted]:
    """Serve on a free loopback port, encrypted with a `context`."""
    scripted, ended = Scripted(), threading.Event()
    with socket.create_server((HOST, 0), backlog=128) as listener:
        scripted.url = f"{'https' if context else 'http'}://{HOST}:{listener.getsockname()[1]}"
        thread = threading.Thread(target=_accept, args=(listener, scripted, context, ended), daemon=True)
        thread.start()
        try:
            yield scripted
        finally:
            ended.set()
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def _accept(
    listener: socket.socket, scripted: Scripted, context: ssl.SSLContext | None, ended: threading.Event
) -> None:
    while not ended.is_set():
        with suppress(OSError):
            connection, _ = listener.accept()
            threading.Thread(target=_serve, args=(connection, scripted, context), daemon=True).start()


def _serve(connection: socket.socket, scripted: Scripted, context: ssl.SSLContext | None) -> None:
    with suppress(OSError, ValueError), connection:
        secure = context.wrap_socket(connection, server_side=True) if context else connection
        with secure, secure.makefile("rb") as lines:
            heard = _read(lines)
            scripted.heard.append(heard)
            if (told := scripted.script(heard, secure)) is not None:
                secure.sendall(told)


def _read(lines: Any) -> Heard:
    method, target, _ = lines.readline().decode().split(" ")
    headers = {}
    while (line := lines.readline().decode().strip()) != "":
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    return Heard(method, target, headers, lines.read(int(headers.get("content-length", 0))))

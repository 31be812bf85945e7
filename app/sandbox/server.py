"""The HTTP server: one thread for each connection, so that a call that is held up holds up no other."""

import json
import socket
import sys
import threading
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import SplitResult, parse_qsl, urlsplit

from app.sandbox.faults import Misdeed
from app.sandbox.front import Front
from app.sandbox.wire import JSON, Answer, Call

LARGEST_BODY: Final = 16 * 1024 * 1024
HUGE: Final = 10 * 1024 * 1024


class HttpServer(ThreadingHTTPServer):
    """Serves the API until it is closed."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], front: Front) -> None:
        super().__init__(address, _Handler)
        self.front, self.over = front, threading.Event()
        self._open: set[socket.socket] = set()
        self._thread = threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.server_address[1])

    def start(self) -> None:
        """Begin to serve, on a thread of its own."""
        self._thread.start()

    def close(self) -> None:
        """Stop, and hang up on everybody."""
        self.over.set()
        self.shutdown()
        self._thread.join()
        for connection in list(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self.server_close()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Remember a connection for as long as it lasts."""
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Forget a connection."""
        self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of callers that have hung up; what else went wrong is a fault of the sandbox, and told."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _Hangup(Exception):
    """The connection ends without another word."""


class _Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version, server_version, sys_version = "HTTP/1.1", "sandbox", ""
    server: HttpServer
    disable_nagle_algorithm = True

    def handle_one_request(self) -> None:
        """Answer a request, or hang up."""
        try:
            super().handle_one_request()
        except (_Hangup, OSError):
            self.close_connection = True

    def log_message(self, *_: Any) -> None:
        """Log nothing: lines would hold what is in URLs."""

    def do_GET(self) -> None:
        self._serve()

    do_POST = do_PUT = do_DELETE = do_PATCH = do_GET  # noqa: N815 (the library's names)

    def _serve(self) -> None:
        """Answer as it should be, unless a fault is planted."""
        body = self._body()
        if body is None:
            return
        url = urlsplit(self.path)
        front = self.server.front
        refusal, headers = front.limit(url.path)
        misdeed = None if refusal else front.misdeed(self.command, url.path)
        if misdeed and not misdeed.after:
            self._misbehave(misdeed, None, headers)
            return
        answer = refusal or front.answer(self._call(url, body))
        if misdeed:
            self._misbehave(misdeed, answer, headers)
        else:
            self._send(answer, headers)

    def _call(self, url: SplitResult, body: bytes) -> Call:
        query = dict(parse_qsl(url.query, keep_blank_values=True))
        return Call(self.command, url.path, query, {name.lower(): text for name, text in self.headers.items()}, body)

    def _body(self) -> bytes | None:
        length = self.headers.get("Content-Length", "0")
        if "Transfer-Encoding" in self.headers or not length.isdecimal() or int(length) > LARGEST_BODY:
            self.close_connection = True
            refusal = self.server.front.refusal(
                HTTPStatus.LENGTH_REQUIRED, "Send a body with its length, below 16 MiB."
            )
            self._send(refusal, {})
            return None
        return self.rfile.read(int(length))

    def _send(self, answer: Answer, headers: dict[str, str]) -> None:
        self.send_response(answer.status)
        told = {"Content-Type": answer.kind, "Content-Length": str(len(answer.body)), **headers, **answer.headers}
        for name, value in told.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer.body)

    def _misbehave(self, misdeed: Misdeed, answer: Answer | None, headers: dict[str, str]) -> None:
        """Do what is planted; `answer` is the right one if the call was carried out."""
        kind = misdeed.answer
        if kind == "timeout":
            self.server.over.wait(misdeed.seconds)
            raise _Hangup
        if kind == "cut":
            raise _Hangup
        self._send(_wrong(kind, answer, self.server.front), headers)


def _wrong(kind: str, answer: Answer | None, front: Front) -> Answer:
    """Return an answer that is not what it should be."""
    right = answer.body if answer else json.dumps({"Status": "QUEUED", "QueuedUri": "/Advertisers/"}).encode()
    match kind:
        case "html":
            return Answer(HTTPStatus.OK, b"<html><body><h1>Be right back</h1></body></html>", "text/html")
        case "truncated":
            return Answer(HTTPStatus.OK, right[: len(right) * 2 // 3], JSON)
        case "huge":
            return Answer(HTTPStatus.OK, b'{"Status": "' + b"x" * HUGE + b'"}', JSON)
        case "redirect":
            return Answer(HTTPStatus.FOUND, b"", headers={"Location": "/elsewhere"})
        case _:
            return front.refusal(int(kind), "This fault was planted.")

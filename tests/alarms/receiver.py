"""The operator's side: a real HTTP server that alarms are posted to, which can be away or refuse."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.servers import HOST

TOKEN = "canary-token-of-the-alarm-url"


@dataclass
class Receiver:
    """What was posted, as path and JSON. `status` is what the next posts are answered with."""

    url: str = ""
    status: int = 204
    heard: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def told(self) -> list[tuple[str, str, str]]:
        """Return kind, subject and state of everything that was posted."""
        return [(one["kind"], one["subject"], one["state"]) for _, one in self.heard]


@contextmanager
def listening(port: int = 0) -> Iterator[Receiver]:
    """Take what is posted, on a loopback port, and remember it."""
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            receiver.heard.append((self.path, json.loads(body or b"{}")))
            self.send_response(receiver.status)
            self.send_header("Location", f"{receiver.url}&redirected")
            self.end_headers()

        def do_GET(self) -> None:
            self.do_POST()

        def log_message(self, *_arguments: object) -> None:
            return

    with ThreadingHTTPServer((HOST, port), Handler) as server:
        receiver.url = f"http://user:{TOKEN}@{HOST}:{server.server_port}/hook?token={TOKEN}"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield receiver
        finally:
            server.shutdown()
            thread.join()

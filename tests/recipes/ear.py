"""A listener in the service's place, for what only the receiver of a request can see."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.servers import HOST


@dataclass
class Ear:
    """Every request that came in: its target as it was written, and its headers."""

    port: int = 0
    heard: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    def last(self) -> tuple[str, dict[str, str]]:
        """Return the latest request and forget all."""
        latest = self.heard[-1]
        self.heard.clear()
        return latest


@contextmanager
def listening() -> Iterator[Ear]:
    """Answer every request with 204 and remember it."""
    ear = Ear()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            ear.heard.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_arguments: object) -> None:
            return

    with ThreadingHTTPServer((HOST, 0), Handler) as server:
        ear.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield ear
        finally:
            server.shutdown()
            thread.join()

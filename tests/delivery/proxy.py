"""A line between a channel and a server on this host that counts the bytes, and breaks after so many of them."""

import select
import socket
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Literal, Self

from tests.servers import HOST, PATIENCE

PIECE: Final = 16 * 1024
LOOK_EVERY_SECONDS: Final = 0.02
RESET: Final = b"\1\0\0\0\0\0\0\0"
"""What SO_LINGER wants for a close that is a reset."""


Direction = Literal["to_server", "to_client"]
How = Literal["close", "reset", "stall"]


@dataclass(frozen=True)
class Cut:
    """Where the line breaks, and how: both ends are closed, both are reset, or nothing passes any more."""

    direction: Direction
    after: int
    how: How


class Proxy:
    """Listens on `host`, passes everything on to a port of this host, and counts it by direction until the next `join`.

    Each connection is one thread's, which alone touches it.
    """

    def __init__(self, port: int, host: str = HOST, own_port: int = 0) -> None:
        self.passed = {"to_server": 0, "to_client": 0}
        self._to = port
        self._cut: Cut | None = None
        self._over = threading.Event()
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._door = socket.create_server((host, own_port))
        self.port: int = self._door.getsockname()[1]

    def __enter__(self) -> Self:
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self._acceptor.start()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._door.shutdown(socket.SHUT_RDWR)
        self._acceptor.join(PATIENCE)
        self._door.close()
        self.join()

    def join(self, cut: Cut | None = None) -> None:
        """Begin anew: end every connection, count from zero, and break next at `cut`."""
        with self._lock:
            self._over.set()
            for thread in self._threads:
                thread.join(PATIENCE)
            self.passed, self._cut = {"to_server": 0, "to_client": 0}, cut
            self._over, self._threads = threading.Event(), []

    def _accept(self) -> None:
        with suppress(OSError):  # the door is closed at the end
            while True:
                client = self._door.accept()[0]
                with self._lock:
                    thread = threading.Thread(target=self._serve, args=(client, self._over), daemon=True)
                    thread.start()
                    self._threads.append(thread)

    def _serve(self, client: socket.socket, over: threading.Event) -> None:
        with client, suppress(OSError), socket.create_connection((HOST, self._to), PATIENCE) as server:
            client.settimeout(PATIENCE)
            ways: dict[socket.socket, tuple[socket.socket, Direction]] = {
                client: (server, "to_server"),
                server: (client, "to_client"),
            }
            while ways and not over.is_set() and not self._breaks():
                ready, _, _ = select.select([*ways], [], [], LOOK_EVERY_SECONDS)
                for source in ready:
                    if not self._breaks() and not self._pass_on(source, *ways[source]):
                        del ways[source]
            if self._breaks():
                self._break(client, server, over)

    def _pass_on(self, source: socket.socket, target: socket.socket, direction: Direction) -> bool:
        """Pass on what has come, as far as it may, and say whether there may be more."""
        here = self._cut and self._cut.direction == direction
        piece = source.recv(min(PIECE, self._cut.after - self.passed[direction]) if here and self._cut else PIECE)
        if not piece:
            target.shutdown(socket.SHUT_WR)
            return False
        target.sendall(piece)
        self.passed[direction] += len(piece)
        return True

    def _breaks(self) -> bool:
        return self._cut is not None and self.passed[self._cut.direction] >= self._cut.after

    def _break(self, client: socket.socket, server: socket.socket, over: threading.Event) -> None:
        if self._cut and self._cut.how == "stall":
            over.wait()
        elif self._cut and self._cut.how == "reset":
            for one in (client, server):
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)

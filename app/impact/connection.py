"""How impact.com's API is reached: one connection for one call, through the service's one way out, within a deadline.

A connection that is kept may be closed by the other side in the moment of the next call, and nobody could tell whether
that call was taken: so none is kept. What fails before the request leaves is told apart from what fails after.
"""

import logging
import socket
import ssl
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import httpcore
import httpx

from app import egress
from app.errors import ApiUnavailable, ChannelUnavailable, ReceiverNotTrusted

for _name in ("httpx", "httpcore"):  # they write whole URLs and answers
    logging.getLogger(_name).setLevel(logging.WARNING)

CONNECT_SECONDS: Final = 10.0
_ACT_ON_ALL: Final = 0.001
"""The shortest wait that a socket is given: 0 would mean not to wait at all, and say so in another way."""


class Deadline:
    """The moment at which a call has to have ended, by a clock that nobody sets."""

    def __init__(self, seconds: float) -> None:
        self._at = time.monotonic() + seconds

    def left(self) -> float:
        """Return how many seconds are left. Raises TimeoutError if none are."""
        left = self._at - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return max(left, _ACT_ON_ALL)


class Connection(httpx.BaseTransport):
    """Makes each call over a connection of its own. `context` is what certificates are judged by."""

    def __init__(self, seconds: float, *, allow_private: bool, context: ssl.SSLContext | None = None) -> None:
        self.seconds, self.allow_private = seconds, allow_private
        self.context = context or ssl.create_default_context()
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request and return the answer, which is still to be read.

        Raises ApiUnavailable, ChannelRefused or ReceiverNotTrusted while nothing has left, httpx.TransportError after.
        """
        way_out = _WayOut(Deadline(self.seconds), allow_private=self.allow_private)
        pool = httpcore.ConnectionPool(self.context, max_keepalive_connections=0, network_backend=way_out)
        url = httpcore.URL(
            scheme=request.url.raw_scheme,
            host=request.url.raw_host,
            port=request.url.port,
            target=request.url.raw_path,
        )
        try:
            with _translated():
                answer = pool.handle_request(
                    httpcore.Request(request.method, url, headers=request.headers.raw, content=request.read())
                )
        except BaseException:
            pool.close()
            raise
        return httpx.Response(answer.status, headers=answer.headers, stream=_Body(answer, pool))


class _Body(httpx.SyncByteStream):
    """What is left of an answer; the connection ends with it."""

    def __init__(self, answer: httpcore.Response, pool: httpcore.ConnectionPool) -> None:
        self._answer, self._pool = answer, pool

    def __iter__(self) -> Iterator[bytes]:
        with _translated():
            yield from self._answer.iter_stream()

    def close(self) -> None:
        """Close the connection."""
        with _translated():
            self._answer.close()
            self._pool.close()


@contextmanager
def _translated() -> Iterator[None]:
    """Raise what goes wrong once a request has left as httpx has it."""
    try:
        yield
    except httpcore.TimeoutException as error:
        raise httpx.ReadTimeout("impact.com's API has not answered in time") from error
    except (httpcore.NetworkError, httpcore.ProtocolError) as error:
        raise httpx.ReadError("the connection to impact.com's API was cut") from error


class _WayOut(httpcore.NetworkBackend):
    """Connects to where the settings point, and nowhere else."""

    def __init__(self, deadline: Deadline, *, allow_private: bool) -> None:
        self._deadline, self._allow_private = deadline, allow_private

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ARG002 (httpcore's signature; the deadline counts)
        local_address: str | None = None,  # noqa: ARG002
        socket_options: Iterable[Any] | None = None,  # noqa: ARG002
    ) -> httpcore.NetworkStream:
        """Connect. Raises ApiUnavailable, or ChannelRefused for an address that is not public."""
        seconds = min(self._deadline.left(), CONNECT_SECONDS)
        try:
            return _Stream(
                egress.connect(host, port, seconds=seconds, allow_private=self._allow_private), self._deadline
            )
        except ChannelUnavailable as error:
            raise ApiUnavailable(str(error)) from error


class _Stream(httpcore.NetworkStream):
    """A connection on which every wait ends at the deadline, however slowly the other side speaks."""

    def __init__(self, sock: socket.socket, deadline: Deadline) -> None:
        self._sock, self._deadline = sock, deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002
        """Return what has come."""
        try:
            self._sock.settimeout(self._deadline.left())
            return self._sock.recv(max_bytes)
        except TimeoutError as error:
            raise httpcore.ReadTimeout from error
        except OSError as error:
            raise httpcore.ReadError from error

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002
        """Send all of it."""
        try:
            self._sock.settimeout(self._deadline.left())
            self._sock.sendall(buffer)
        except TimeoutError as error:
            raise httpcore.WriteTimeout from error
        except OSError as error:
            raise httpcore.WriteError from error

    def close(self) -> None:
        """End the connection."""
        self._sock.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ARG002
    ) -> httpcore.NetworkStream:
        """Go on encrypted. Raises ReceiverNotTrusted if the other side cannot prove who it is, or ApiUnavailable."""
        try:
            self._sock.settimeout(self._deadline.left())
            return _Stream(ssl_context.wrap_socket(self._sock, server_hostname=server_hostname), self._deadline)
        except ssl.SSLCertVerificationError as error:
            self.close()
            raise ReceiverNotTrusted(
                f"{server_hostname} cannot prove who it is ({error.verify_message}); nothing was sent to it."
            ) from error
        except OSError as error:
            self.close()
            raise ApiUnavailable(f"{server_hostname} does not begin to speak TLS ({egress.reason(error)}).") from error

    def get_extra_info(self, info: str) -> Any:
        """Return what httpcore asks of a connection."""
        if info == "ssl_object":
            return self._sock if isinstance(self._sock, ssl.SSLSocket) else None
        return None

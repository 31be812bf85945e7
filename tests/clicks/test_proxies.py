"""What a proxy says about the visitor is believed if the proxy is one that the settings name; over real sockets."""

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.servers import HOST, free_port, wait_until
from tests.test_cli import COMMAND, surroundings

CLIENT, OTHER, LIAR = "198.51.100.1", "198.51.100.2", "203.0.113.9"


@contextmanager
def serving(log: Path, **settings: str) -> Iterator[httpx.Client]:
    """Run the service as its command does, and connect to it from 127.0.0.1."""
    port = free_port()
    environment = surroundings(
        {
            "CAPTURE_DATABASE_URL": f"sqlite:///{log.parent}/proxies.db",
            "CAPTURE_RATE_LIMIT": "2/day",
            "FORWARDED_ALLOW_IPS": "*",  # what else configures such servers has no say
            **settings,
        }
    )
    command = [*COMMAND, "serve", "--no-worker", "--port", str(port)]
    with (
        log.open("wb") as stderr,
        subprocess.Popen(command, env=environment, stdout=stderr, stderr=stderr) as server,
        httpx.Client(base_url=f"http://{HOST}:{port}") as client,
    ):
        try:
            wait_until(lambda: _answers(client), "the service does not answer")
            yield client
        finally:
            server.send_signal(signal.SIGTERM)
        assert server.wait(30) == 0


def _answers(client: httpx.Client) -> bool:
    try:
        return client.get("/livez").is_success
    except httpx.TransportError:
        return False


def landing(client: httpx.Client, *forwarded_for: str, **headers: str) -> int:
    """Land through a proxy that says this; return the status."""
    given = [("x-forwarded-for", one) for one in forwarded_for] + list(headers.items())
    return client.get("/capture", headers=given).status_code


def from_own_page(client: httpx.Client, scheme: str, forwarded: str) -> int:
    """Call from a page of the service's own host over `scheme`, with what a proxy says of it."""
    own = f"{scheme}://{client.base_url.netloc.decode()}"
    return client.get("/capture", headers={"origin": own, "x-forwarded-proto": forwarded}).status_code


@pytest.mark.parametrize("trusted", ["", f"10.0.0.0/8, {HOST}", "127.0.0.0/8,::1"])
def test_a_trusted_proxy_is_believed(tmp_path: Path, trusted: str) -> None:
    """By default one on this host: clients are told apart by their own address, the scheme is the visitor's.

    What a client has put in front of the proxy's word is not believed, and no address is written down.
    """
    with serving(tmp_path / "log", CAPTURE_TRUSTED_PROXIES=trusted) as client:
        assert [landing(client, CLIENT) for _ in range(3)] == [204, 204, 429]
        assert [landing(client, f"{LIAR}, {CLIENT}"), landing(client, LIAR, CLIENT)] == [429, 429]
        assert [landing(client, f"{CLIENT}, {OTHER}") for _ in range(3)] == [204, 204, 429]
        assert [from_own_page(client, "https", "https"), from_own_page(client, "https", "http")] == [204, 403]
    log = (tmp_path / "log").read_text("utf-8")
    assert '"route": "/capture"' in log
    assert not [one for one in (CLIENT, OTHER, LIAR) if one in log]


def test_nobody_else_is_believed(tmp_path: Path) -> None:
    """Forged headers of an untrusted peer change neither whom its calls are counted for nor the scheme."""
    with serving(tmp_path / "log", CAPTURE_TRUSTED_PROXIES="10.0.0.0/8,::1") as client:
        assert [from_own_page(client, "https", "https"), from_own_page(client, "http", "https")] == [403, 204]
        assert [landing(client, one) for one in (CLIENT, OTHER, LIAR)] == [429, 429, 429]

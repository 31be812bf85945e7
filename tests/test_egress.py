"""The way out leads to the host in the settings and nowhere else."""

import socket
import threading
from collections.abc import Callable
from ipaddress import ip_address
from typing import Any

import pytest

from app.egress import connect, is_public, look_up
from app.errors import ChannelRefused, ChannelUnavailable
from tests.servers import free_port

PRIVATE = (
    *("127.0.0.1", "127.8.9.10", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0"),  # noqa: S104
    *("224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1", "fc00::1", "ff02::1", "::ffff:127.0.0.1"),
    *("::ffff:169.254.169.254", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::", "2002:c0a8:101::1"),
)
PUBLIC = ("8.8.8.8", "172.32.0.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808")


@pytest.mark.parametrize("address", PRIVATE)
def test_inner_addresses_are_known_in_every_form(address: str) -> None:
    """Loopback, private, link-local (where clouds keep their secrets), shared, multicast; also wrapped into IPv6."""
    assert not is_public(ip_address(address))


@pytest.mark.parametrize("address", PUBLIC)
def test_the_internet_can_be_reached(address: str) -> None:
    """An ordinary address is one."""
    assert is_public(ip_address(address))


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1"])
def test_a_name_that_leads_inside_is_refused_unless_that_is_allowed(host: str) -> None:
    """The sentence names the setting; a person has to look, so it is not tried again."""
    with pytest.raises(ChannelRefused, match="CAPTURE_ALLOW_PRIVATE_HOSTS"):
        connect(host, free_port(), seconds=5, allow_private=False)


def test_where_it_is_allowed_the_connection_is_there() -> None:
    """One's own FTP server may stand in the same network."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with connect("localhost", port, seconds=5, allow_private=True) as connection:
            assert connection.getpeername()[1] == port
            assert connection.gettimeout() == 5


def test_a_host_that_does_not_listen_is_tried_again() -> None:
    """Refused connections, and names that cannot be found now, pass."""
    with pytest.raises(ChannelUnavailable, match="cannot be reached"):
        connect("127.0.0.1", free_port(), seconds=5, allow_private=True)
    with pytest.raises(ChannelUnavailable, match="cannot be resolved"):
        connect("no-such-host.invalid", 22, seconds=5, allow_private=True)


def answers(*rounds: tuple[str, ...]) -> Callable[..., list[Any]]:
    """Return a resolver that answers each question otherwise."""
    left = list(rounds)

    def resolve(_host: str, port: int, **_: object) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port)) for one in left.pop(0)]

    return resolve


def test_one_inner_address_among_others_is_enough_to_refuse(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name server that mixes them is not believed at all."""
    monkeypatch.setattr(socket, "getaddrinfo", answers(("8.8.8.8", "10.0.0.1")))
    with pytest.raises(ChannelRefused):
        connect("drop.example", 22, seconds=5, allow_private=False)


def test_a_name_server_that_changes_its_mind_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection goes to the address that was looked at, and the name is not asked for again."""
    asked: list[str] = []

    def note(address: tuple[str, int], _seconds: float) -> None:
        asked.append(address[0])
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "getaddrinfo", answers(("8.8.8.8",), ("127.0.0.1",)))
    monkeypatch.setattr(socket, "create_connection", note)
    with pytest.raises(ChannelUnavailable):
        connect("drop.example", 22, seconds=5, allow_private=False)
    assert asked == ["8.8.8.8"]


def test_the_name_at_the_end_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """To which a CNAME leads, as Safari judges by; without one it is the name itself."""
    entry = (socket.AF_INET, socket.SOCK_STREAM, 6, "X.CDN.example.", ("8.8.8.8", 0))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [entry])
    assert look_up("track.shop.example", 5) == ("x.cdn.example", [ip_address("8.8.8.8")])
    monkeypatch.setattr(socket, "getaddrinfo", answers(("8.8.8.8", "2001:4860::1")))
    assert look_up("shop.example", 5) == ("shop.example", [ip_address("8.8.8.8"), ip_address("2001:4860::1")])


def test_a_resolver_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The system's resolver knows no deadline; the channel does."""
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: threading.Event().wait())
    with pytest.raises(ChannelUnavailable, match="cannot be resolved"):
        connect("drop.example", 22, seconds=1, allow_private=True)

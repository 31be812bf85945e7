"""The one way out: a connection to the host that the settings name, and to no other.

A name is resolved once, every address it has is looked at, and the connection goes to an address that was looked at: a
name server that answers differently the next moment changes nothing.
"""

import ipaddress
import socket
import threading
from ipaddress import IPv4Address, IPv6Address
from typing import Any, Final

from app.errors import ChannelRefused, ChannelUnavailable

Address = IPv4Address | IPv6Address

_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")


def connect(host: str, port: int, *, seconds: float, allow_private: bool) -> socket.socket:
    """Return an open connection whose timeout is `seconds`.

    Raises ChannelUnavailable if the host cannot be found or reached in time, ChannelRefused if its name leads to a
    loopback, private or link-local address and that is not allowed.
    """
    addresses = _resolve(host, port, seconds)
    if not allow_private and not all(is_public(one) for one in addresses):
        raise ChannelRefused(
            f"{host} leads to an address that is not public; if that is meant, set CAPTURE_ALLOW_PRIVATE_HOSTS=true."
        )
    trouble: OSError | None = None
    for address in addresses:
        try:
            return socket.create_connection((str(address), port), seconds)
        except OSError as error:
            trouble = error
    raise ChannelUnavailable(f"{host}, port {port}, cannot be reached: {reason(trouble)}.") from trouble


def reason(error: BaseException | None) -> str:
    """Return in a few words why a connection failed."""
    if isinstance(error, TimeoutError):
        return "it did not answer in time"
    return getattr(error, "strerror", None) or type(error).__name__


def is_public(address: Address) -> bool:
    """Say whether an address is out on the internet, looking also into the IPv6 forms that carry an IPv4 address."""
    inner = _inner(address) if isinstance(address, IPv6Address) else None
    return address.is_global and not address.is_multicast if inner is None else is_public(inner)


def _inner(address: IPv6Address) -> IPv4Address | None:
    """Return the IPv4 address that an IPv6 address leads to."""
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)


def look_up(host: str, seconds: float) -> tuple[str, list[Address]]:
    """Return a host's canonical name, to which its CNAME records lead, and its addresses. Raises ChannelUnavailable."""
    answers = _ask(host, 0, seconds, socket.AI_CANONNAME)
    return next((str(one[3]) for one in answers if one[3]), host).rstrip(".").lower(), _addresses(answers)


def _resolve(host: str, port: int, seconds: float) -> list[Address]:
    return _addresses(_ask(host, port, seconds))


def _addresses(answers: list[Any]) -> list[Address]:
    texts = dict.fromkeys(str(answer[4][0]).partition("%")[0] for answer in answers)
    return [ipaddress.ip_address(one) for one in texts]


def _ask(host: str, port: int, seconds: float, flags: int = 0) -> list[Any]:
    """Return what the resolver says of a host. It has no deadline, so a thread of its own waits for it."""
    found: list[list[Any]] = []
    trouble: list[OSError | UnicodeError] = []

    def ask() -> None:
        try:
            found.append(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags))
        except (OSError, UnicodeError) as error:
            trouble.append(error)

    thread = threading.Thread(target=ask, name="resolver", daemon=True)
    thread.start()
    thread.join(seconds)
    if not found or not found[0]:
        cause = trouble[0] if trouble else None
        raise ChannelUnavailable(f"The name {host} cannot be resolved now; look at its spelling.") from cause
    return found[0]

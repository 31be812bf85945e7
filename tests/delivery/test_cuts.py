"""The line to the receiver breaks after any number of bytes, in either direction: never is a file falsely delivered."""

import gc
import hashlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Final

import pytest

from app.delivery.channels import CHANNELS, Channel
from app.delivery.parcel import CHUNK, Parcel, Progress
from app.errors import ChannelUnavailable, DeliveryError, OutcomeUnknown
from tests.delivery.email_process import email_apart
from tests.delivery.ftp_server import certificate, kept
from tests.delivery.proxy import Cut, Direction, How, Proxy
from tests.delivery.receiver import Receiver, ignore, own_settings, settings
from tests.delivery.sftp_server import sftp
from tests.servers import HOST, free_port
from tests.soak import SOAK, chance

CONTENT = b"".join(hashlib.sha256(number.to_bytes(4, "big")).digest() for number in range(2_500))
"""Two pieces and a half, which no line can compress."""
OTHER_HOST = "127.0.0.2"
"""This host too: there a proxy can have the very port that an FTP server has named for its data."""
TRIES = 10
"""Sends after which a file has arrived once the line is whole; the server may still be busy with the broken one."""
HOWS: Final[tuple[How, ...]] = ("close", "reset", "close", "reset", "stall")
PLACES = ("0", "1", "50 %", "99.9 %", *(f"chance {number}" for number in range(32 if SOAK else 1)))

Record = Callable[[str, object], None]

# Python drops its TLS socket unclosed if the other end has reset the connection before TLS begins.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <ssl.SSLSocket:ResourceWarning")


@dataclass
class Line:
    """A receiver behind a line; `patient` and `hasty` are channels through it, with long and with short deadlines.

    Of its connections `cut` is the one that can be cut, and `rest` are those that stay whole.
    """

    receiver: Receiver
    patient: Channel
    hasty: Channel
    cut: Proxy
    rest: tuple[Proxy, ...] = ()

    def join(self, cut: Cut | None = None) -> None:
        """Begin anew with a line that is whole, or is to be cut."""
        for proxy in self.rest:
            proxy.join()
        self.cut.join(cut)


@contextmanager
def one_connection(
    way: str, server: Callable[[Path], AbstractContextManager[Receiver]], folder: Path
) -> Iterator[Line]:
    """A channel that uses one connection."""
    with server(folder) as receiver, Proxy(own_settings(receiver.channel).port) as proxy:
        yield Line(receiver, *channels(way, receiver, HOST, proxy.port), proxy)


@contextmanager
def two_connections(way: str, cut: str, folder: Path) -> Iterator[Line]:
    """FTP, with its control or its data connection cut."""
    server, issuer = certificate(folder / "certificates", HOST, OTHER_HOST)
    encrypted = {"certificate": str(server)} if way == "ftps" else {}
    port = free_port()
    with (
        kept(folder, issuer if encrypted else None, data_ports=(port,), **encrypted) as receiver,
        Proxy(own_settings(receiver.channel).port, OTHER_HOST) as control,
        Proxy(port, OTHER_HOST, port) as data,
    ):
        both = channels(way, receiver, OTHER_HOST, control.port)
        yield Line(receiver, *both, control, (data,)) if cut == "control" else Line(receiver, *both, data, (control,))


def channels(way: str, receiver: Receiver, host: str, port: int) -> tuple[Channel, Channel]:
    """Return a patient and a hasty channel that go to a proxy."""
    own, make = own_settings(receiver.channel).model_copy(update={"host": host, "port": port}), CHANNELS[way][1]
    hasty = {"connect_seconds": 1, "login_seconds": 1, "transfer_seconds": 1}
    return make(own, settings(channel=way, transfer_seconds=5)), make(own, settings(channel=way, **hasty))


LINES: dict[str, Callable[[Path], AbstractContextManager[Line]]] = {
    "sftp": partial(one_connection, "sftp", sftp),
    "email": partial(one_connection, "email", email_apart),
    "ftps": partial(two_connections, "ftps", "control"),
    "ftps data": partial(two_connections, "ftps", "data"),
    "ftp": partial(two_connections, "ftp", "control"),
    "ftp data": partial(two_connections, "ftp", "data"),
}


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], tuple[Line, dict[str, int]]]]:
    """Each line, and how many bytes pass over it in either direction when it is whole."""
    with ExitStack() as stack:

        @cache
        def find(name: str) -> tuple[Line, dict[str, int]]:
            line = stack.enter_context(LINES[name](tmp_path_factory.mktemp("line")))
            line.join()
            line.patient.send(Parcel("whole.csv", CONTENT), ignore)
            return line, dict(line.cut.passed)

        yield find


@pytest.fixture(autouse=True)
def _collected() -> Iterator[None]:
    """What a test has dropped is collected before the next one begins."""
    yield
    gc.collect()


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("direction", ["to_server", "to_client"])
@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.system] * (name == "sftp")) for name in LINES])
def test_a_cut_line_never_delivers_falsely(
    request: pytest.FixtureRequest,
    lines: Callable[[str], tuple[Line, dict[str, int]]],
    record_property: Record,
    name: str,
    direction: Direction,
    place: str,
) -> None:
    """Closed, reset or silent, wherever: what counts as delivered is there whole, and the next try makes all good."""
    random, (line, lengths) = chance(request), lines(name)
    how = random.choice(HOWS)
    parcel = Parcel(f"{random.randbytes(8).hex()}.csv", CONTENT)
    line.join(Cut(direction, _bytes(place, lengths[direction], random.random()), how))
    told = [0]
    error = failure_of(line.hasty if how == "stall" else line.patient, parcel, told.append)
    whole = line.receiver.files().get(parcel.name) == CONTENT
    match error:
        case None:
            assert whole
        case ChannelUnavailable():
            assert not whole
        case _:
            assert isinstance(error, OutcomeUnknown)
            assert told[-1] >= len(CONTENT) - CHUNK
    line.join()
    assert repair(line, parcel)
    assert line.receiver.files()[parcel.name] == CONTENT
    record_property("cuts", 1)


def failure_of(channel: Channel, parcel: Parcel, progress: Progress) -> DeliveryError | None:
    """Send, and return how that failed, None if it did not."""
    try:
        channel.send(parcel, progress)
    except DeliveryError as error:
        return error
    return None


def _bytes(place: str, length: int, by_chance: float) -> int:
    """Return the place as a number of bytes."""
    shares = {"50 %": 0.5, "99.9 %": 0.999}
    return int(place) if place in {"0", "1"} else int(shares.get(place, by_chance) * length)


def repair(line: Line, parcel: Parcel) -> bool:
    """Send until the file has arrived, as the worker does."""
    return any(failure_of(line.patient, parcel, ignore) is None for _ in range(TRIES))

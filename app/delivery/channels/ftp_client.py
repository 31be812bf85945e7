"""FTP as the channels speak it: within a deadline, verified where it is encrypted, with faults in words of ours."""

import ftplib
import re
import socket
import ssl
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

from app.egress import reason
from app.errors import ChannelRefused, ChannelUnavailable, ReceiverNotTrusted

FAULTS: Final = (ftplib.Error, OSError, EOFError, ValueError)
"""What a conversation raises."""
COURTESY_SECONDS: Final = 3
"""How long an answer is awaited on which nothing depends: to the end of TLS, to SIZE after the file, to QUIT."""
LAST_PORT: Final = 65_535
TELLING: Final = {"213", "227", "229"}
"""The answers whose numbers are needed: a size, and the port of a data connection."""
CERTIFICATES: Final = {
    9: "is not valid yet by this computer's clock",
    10: "has expired",
    18: "is self-signed",
    62: "is for another host name",
    64: "is for another address",
}
"""What OpenSSL's verification codes mean; the others are about the issuer."""


class Conversation(ftplib.FTP):
    """The control connection. Every wait ends at the deadline, however slowly the server speaks.

    Of an answer only the numbers are kept, since its text may quote the password.
    """

    def __init__(self, sock: socket.socket, seconds: float) -> None:
        super().__init__()
        self.sock, self.af = sock, sock.family
        self.unread = b""
        self.allow(seconds)

    def allow(self, seconds: float) -> None:
        """Set the deadline of what follows."""
        self.deadline = time.monotonic() + seconds

    def seconds_left(self) -> float:
        """Return the time until the deadline. Raises TimeoutError if it has passed."""
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left

    def link(self) -> socket.socket:
        """Return the socket, which waits until the deadline."""
        if self.sock is None:
            raise EOFError
        self.sock.settimeout(self.seconds_left())
        return self.sock

    def code(self) -> str:
        """Return the code of the server's next answer, good or bad."""
        return self.getmultiline()[:3]

    def putline(self, line: str) -> None:
        self.link()
        super().putline(line)

    def getline(self) -> str:
        while b"\n" not in self.unread:
            if len(self.unread) > self.maxline:
                raise ftplib.error_proto
            piece = self.link().recv(self.maxline)
            if not piece:
                raise EOFError
            self.unread += piece
        line, _, self.unread = self.unread.partition(b"\n")
        return line.decode(errors="replace").rstrip("\r")

    def getmultiline(self) -> str:
        answer = super().getmultiline()
        if not re.match("[1-5][0-9][0-9]", answer):
            raise ftplib.error_proto
        return re.sub("[^0-9,()|]", " ", answer) if answer[:3] in TELLING else answer[:3]

    def makepasv(self) -> tuple[str, int]:
        host, port = super().makepasv()
        if port > LAST_PORT:
            raise ftplib.error_proto
        return host, port

    def encrypt(self, context: ssl.SSLContext, host: str) -> None:
        """Go on in TLS."""
        self.unread = b""  # what came before may be from anybody
        self.sock = self.encrypted(self.link(), context, host)

    def encrypted(self, sock: socket.socket, context: ssl.SSLContext, host: str) -> ssl.SSLSocket:
        """Return a connection with TLS, a data connection in the session of this one, as some servers demand.

        Raises ReceiverNotTrusted, OSError.
        """
        session = self.sock.session if isinstance(self.sock, ssl.SSLSocket) else None
        sock.settimeout(self.seconds_left())
        try:
            return context.wrap_socket(sock, server_hostname=host, session=session)
        except ssl.SSLCertVerificationError as error:
            fault = CERTIFICATES.get(error.verify_code, "is from an issuer that is not known here")
            advice = "ask its operator, or name its issuer in CAPTURE_FTPS_CA_FILE"
            raise ReceiverNotTrusted(f"The certificate of {host} {fault}: {advice}.") from error
        except ssl.SSLEOFError:  # the connection was cut
            raise
        except ssl.SSLError as error:
            raise ReceiverNotTrusted(f"{host} does not speak TLS 1.2 or newer: ask its operator.") from error


def reset_unless_ended(data: socket.socket) -> None:
    """Let a data connection break with a reset: a close, even by a crash, says that the file is whole."""
    data.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def end(data: socket.socket) -> None:
    """End the data, in TLS and in TCP. What goes wrong here decides nothing: the server's confirmation does.

    Some servers never answer the end in TLS, and wait for the one in TCP.
    """
    with suppress(OSError):
        data.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 0, 0))
        if isinstance(data, ssl.SSLSocket):
            data.settimeout(COURTESY_SECONDS)
            data.unwrap()
    with suppress(OSError):
        data.shutdown(socket.SHUT_WR)


@contextmanager
def step(doing: str, advice: str, refusal: type[ChannelRefused] = ChannelRefused) -> Iterator[None]:
    """Say in which step something went wrong: what the server refuses for good is for a person, all else passes."""
    try:
        yield
    except ftplib.error_perm as error:
        raise refusal(f"{doing} was refused ({code_of(error)}): {advice}.") from None
    except FAULTS as error:
        raise ChannelUnavailable(f"{doing} failed: {why(error)}.") from None


def code_of(error: Exception) -> str:
    """Return the code that the server answered."""
    return str(error)[:3]


def why(error: BaseException) -> str:
    """Return in a few words what went wrong."""
    if isinstance(error, EOFError | ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return "the server closed the connection"
    if isinstance(error, OSError):
        return reason(error)
    if isinstance(error, ftplib.error_temp | ftplib.error_perm | ftplib.error_reply):
        return f"the server answered {code_of(error)}"
    return "the server's answer makes no sense"

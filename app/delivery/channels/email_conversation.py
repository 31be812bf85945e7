"""A conversation with a mail server, by smtplib: one login at most, one mail, and deadlines that hold.

smtplib's own exceptions quote the server, which may quote a password; what is raised here quotes numeric codes alone.
"""

import errno
import io
import re
import smtplib
import socket
import ssl
import time
from base64 import b64encode
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, Final

from app.delivery.parcel import CHUNK
from app.egress import reason
from app.errors import (
    ChannelRefused,
    ChannelUnavailable,
    CredentialsRefused,
    DeliveryError,
    OutcomeUnknown,
    ReceiverNotTrusted,
)

_READY, _CHALLENGE = 220, 334
_FOR_NOW, _FOR_GOOD = 4, 5  # the first digit of a refusal
_GOODBYE_SECONDS: Final = 1
_MOST_TALK: Final = 1024 * 1024  # bytes of answers before and after TLS, far beyond what a mail server says


class Conversation(smtplib.SMTP):
    """What is said over an open connection. Every wait in it ends with its phase. All methods raise DeliveryError."""

    def __init__(self, server: str, connection: socket.socket) -> None:
        address = connection.getsockname()[0]  # else smtplib asks for this host's name, which may take any time
        super().__init__(local_hostname=f"[IPv6:{address}]" if ":" in address else f"[{address}]")
        self.server = server
        self.sock: socket.socket | None = connection
        self.phase_ends = 0.0
        self.handed_over = False

    def begin(self, seconds: float) -> None:
        """Begin a phase."""
        self.phase_ends = time.monotonic() + seconds

    def open_socket(self) -> socket.socket:
        """Return the socket, which waits no longer than the phase lasts. Raises OSError if either is over."""
        left = self.phase_ends - time.monotonic()
        if left <= 0:
            raise TimeoutError
        if self.sock is None:
            raise smtplib.SMTPServerDisconnected
        self.sock.settimeout(left)
        return self.sock

    def send(self, s: Any) -> None:
        """Send a command or bytes."""
        try:
            self.open_socket()
            super().send(s)
        except OSError as error:  # smtplib's exceptions are OSErrors too
            raise self._broken_off(error) from error

    def getreply(self) -> tuple[int, bytes]:
        """Return the code and the text of an answer."""
        self.file = self.file or _Lines(_Answers(self))
        try:
            code, text = super().getreply()
        except OSError as error:
            raise self._broken_off(error) from error
        if code < 0:
            raise self._strange()
        return code, text

    def greet(self) -> None:
        """Say who we are, and learn what the server offers."""
        self.expect(self.ehlo(), 250, to="EHLO")

    def ask_for_tls(self) -> None:
        """Have the server begin with TLS. Raises ReceiverNotTrusted if it does not, as with somebody in between."""
        if not self.has_extn("starttls") or self.docmd("STARTTLS")[0] != _READY:
            raise ReceiverNotTrusted(
                f"{self.server} does not begin with encryption, so nothing was sent; if it expects that from the first"
                " byte set CAPTURE_EMAIL_SECURITY=tls, else ask who runs the server."
            )

    def secure(self, context: ssl.SSLContext) -> None:
        """Go on encrypted, if the server proves who it is. Raises ReceiverNotTrusted."""
        try:
            self.sock = context.wrap_socket(self.open_socket(), server_hostname=self.server)
        except ssl.SSLEOFError as error:
            raise self._broken_off(error) from error
        except ssl.SSLError as error:
            why = getattr(error, "verify_message", "").rstrip(".") or "it does not speak TLS as it should"
            raise ReceiverNotTrusted(
                f"{self.server} could not prove who it is ({why}), so nothing was sent; look at CAPTURE_EMAIL_HOST,"
                " CAPTURE_EMAIL_SECURITY and CAPTURE_EMAIL_CA_FILE."
            ) from error
        except OSError as error:
            raise self._broken_off(error) from error
        self.file = None  # what was said before may be anybody's

    def authenticate(self, name: str, password: str) -> None:
        """Log in with one try: a second mechanism after a wrong password counts as a second wrong password."""
        offered = self.esmtp_features.get("auth", "").upper().split()
        if "PLAIN" in offered:
            answer = self.docmd("AUTH", "PLAIN " + _base64(f"\0{name}\0{password}"))
        elif "LOGIN" in offered:
            answer = self.docmd("AUTH", "LOGIN")
            for text in (name, password):
                answer = self.docmd(_base64(text)) if answer[0] == _CHALLENGE else answer
        else:
            raise ChannelRefused(
                f"{self.server} offers neither AUTH PLAIN nor AUTH LOGIN; if it takes mails without a login, empty"
                " CAPTURE_EMAIL_USERNAME and CAPTURE_EMAIL_PASSWORD."
            )
        self.expect(answer, 235, to="CAPTURE_EMAIL_USERNAME with CAPTURE_EMAIL_PASSWORD", refusal=CredentialsRefused)

    def open(self, sender: str, receivers: Sequence[str], size: int) -> None:
        """Name sender and receivers, and begin a mail, unless a single one of them is refused."""
        limit = re.fullmatch(r"[1-9][0-9]{0,17}", self.esmtp_features.get("size", ""))
        if limit and int(limit[0]) < size:
            self.leave()
            raise ChannelRefused(
                f"{self.server} takes mails of up to {limit[0]} bytes and this one has {size}; have it take larger"
                " ones, or set CAPTURE_CHANNEL to another channel."
            )
        self._address(sender, receivers, [f"size={size}"] if self.has_extn("size") else [])
        self.expect(self.docmd("DATA"), 354, to="the mail")

    def ask(self, sender: str, receivers: Sequence[str]) -> None:
        """Name sender and receivers as for a mail, and have the server forget them: there is none."""
        self._address(sender, receivers, [])
        self.expect(self.docmd("RSET"), 250, to="RSET")

    def _address(self, sender: str, receivers: Sequence[str], options: Sequence[str]) -> None:
        self.expect(self.mail(sender, options), 250, to="CAPTURE_EMAIL_FROM")
        for one in receivers:
            self.expect(self.rcpt(one), 250, 251, to="an address in CAPTURE_EMAIL_TO, CAPTURE_EMAIL_CC or email_to")

    def write(self, message: bytes) -> Iterator[float]:
        """Hand a mail over, and yield after each piece which part has gone; without the dot at the end it is none."""
        content = re.sub(rb"(?m)^\.", b"..", message)
        for start in range(0, len(content), CHUNK):
            self.send(content[start : start + CHUNK])
            yield min((start + CHUNK) / len(content), 1)
        self.send(b".\r\n")
        self.handed_over = True

    def expect(
        self, answer: tuple[int, bytes], *wanted: int, to: str, refusal: type[ChannelRefused] = ChannelRefused
    ) -> None:
        """Raise, and take leave, unless the answer has a wanted code."""
        code = answer[0]
        if code in wanted:
            return
        failure = self._strange()
        if code // 100 == _FOR_NOW:
            failure = ChannelUnavailable(f"{self.server} refuses {to} for now (code {code}).")
        elif code // 100 == _FOR_GOOD:
            failure = refusal(f"{self.server} refuses {to} (code {code}); put that right, or ask who runs the server.")
        self.leave()
        raise failure

    def leave(self) -> None:
        """Take leave; nothing depends on the answer."""
        self.begin(_GOODBYE_SECONDS)
        with suppress(DeliveryError):
            self.docmd("QUIT")

    def _broken_off(self, error: OSError) -> DeliveryError:
        self.close()
        cause = error.__context__ if isinstance(error, smtplib.SMTPException) else error
        return self._failure(reason(cause) if isinstance(cause, OSError) else "it closed the connection")

    def _strange(self) -> DeliveryError:
        return self._failure("its answer is none of a mail server (look at CAPTURE_EMAIL_HOST and CAPTURE_EMAIL_PORT)")

    def _failure(self, why: str) -> DeliveryError:
        if self.handed_over:
            return OutcomeUnknown(f"{self.server} has the mail and did not confirm it ({why}); it may have arrived.")
        return ChannelUnavailable(f"{self.server} did not get the whole mail, since {why}.")


class _Lines(io.BufferedReader):
    """The lines of a server's answers."""

    def readline(self, size: int | None = -1, /) -> bytes:
        """Return a line, or nothing at the end, as one that breaks off is none: `250` may have been to be `250-`."""
        line = super().readline(size)
        return line if line.endswith(b"\n") or len(line) == size else b""


class _Answers(io.RawIOBase):
    """The bytes that a server says, for as long as the phase lasts and not without end."""

    def __init__(self, conversation: Conversation) -> None:
        self.conversation, self.left = conversation, _MOST_TALK

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        size = self.conversation.open_socket().recv_into(buffer)
        self.left -= size
        if self.left < 0:
            raise ConnectionAbortedError(errno.ECONNABORTED, "it talks without end")
        return size


def _base64(text: str) -> str:
    """Return what AUTH sends; what an environment holds goes byte for byte, also where it is not UTF-8."""
    return b64encode(text.encode("utf-8", "surrogateescape")).decode("ascii")

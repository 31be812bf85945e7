"""Mail servers for tests: a real one that keeps what it gets, and one that misbehaves where a script says so."""

import base64
import select
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage, MIMEPart
from email.policy import default
from enum import Enum
from pathlib import Path
from typing import Any, BinaryIO, Self

import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope, LoginPassword

from app.delivery.channels.email import EmailChannel, EmailSettings
from tests.delivery.receiver import Receiver, settings
from tests.servers import HOST, PATIENCE, free_port

SENDER, TO = "shop@shop.example", "imports-4321@impact.example"
USERNAME, PASSWORD = "merchant", "canary-p\u00e4ssword-93b1"


@dataclass(frozen=True)
class Mail:
    """A mail as a server has got it: the envelope, and what a parser makes of the bytes."""

    sender: str
    receivers: list[str]
    raw: bytes

    @property
    def parsed(self) -> EmailMessage:
        """The mail as a modern parser reads it."""
        found = message_from_bytes(self.raw, policy=default)
        assert isinstance(found, EmailMessage)
        assert not [part.defects for part in found.walk() if part.defects]
        return found

    @property
    def attachment(self) -> EmailMessage:
        """The one attachment."""
        (only,) = self.parsed.iter_attachments()
        return only


@dataclass
class Mailbox:
    """What aiosmtpd tells of a mail and of a login."""

    mails: list[Mail] = field(default_factory=list)
    logins: list[bytes] = field(default_factory=list)

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Envelope) -> str:  # noqa: N802  # aiosmtpd's name
        """Keep the mail."""
        assert isinstance(envelope.content, bytes)
        self.mails.append(Mail(str(envelope.mail_from), list(envelope.rcpt_tos), envelope.content))
        return "250 kept"

    def authenticate(self, _server: Any, _session: Any, _envelope: Any, _mechanism: str, login: Any) -> AuthResult:
        """Let the merchant in."""
        assert isinstance(login, LoginPassword)
        self.logins.append(login.password)
        right = (login.login, login.password) == (USERNAME.encode(), PASSWORD.encode())
        return AuthResult(success=right, handled=False)

    def files(self) -> dict[str, bytes]:
        """Return the attachments by name; a mail that came twice counts once."""
        unlike = {one.parsed["Message-ID"]: one.attachment for one in self.mails}
        names = [str(one.get_filename()) for one in unlike.values()]
        assert len(set(names)) == len(names), "a file came again under another Message-ID"
        return dict(zip(names, map(payload, unlike.values()), strict=True))

    def arrived(self) -> list[tuple[str, bytes]]:
        """Return name and bytes of every attachment, in the order in which the mails came."""
        parts = [one.attachment for one in list(self.mails)]
        return [(str(one.get_filename()), payload(one)) for one in parts]

    def forget(self, name: str) -> None:
        """Delete the mails with a file."""
        self.mails[:] = [one for one in self.mails if one.attachment.get_filename() != name]


def payload(part: MIMEPart) -> bytes:
    """Return a part's bytes."""
    content = part.get_payload(decode=True)
    assert isinstance(content, bytes)
    return content


@contextmanager
def mail_server(mailbox: Mailbox, port: int, tls: ssl.SSLContext) -> Iterator[None]:
    """Run aiosmtpd with STARTTLS and a login."""
    controller = Controller(
        mailbox,
        hostname=HOST,
        port=port,
        tls_context=tls,
        require_starttls=True,
        auth_required=True,
        authenticator=mailbox.authenticate,
    )
    controller.start()
    try:
        yield
    finally:
        controller.stop()


def server_tls(authority: trustme.CA, **certificate: Any) -> ssl.SSLContext:
    """Return a server's side of TLS, with a certificate for this host unless another is described."""
    identity = certificate.pop("identity", HOST)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(identity, **certificate).configure_cert(context)
    return context


def ca_file(authority: trustme.CA, folder: Path) -> Path:
    """Write the authority's certificate down."""
    authority.cert_pem.write_to_path(folder / "ca.pem")
    return folder / "ca.pem"


@contextmanager
def email(tmp_path: Path) -> Iterator[Receiver]:
    """A mail server with STARTTLS and a login."""
    authority, mailbox, port = trustme.CA(), Mailbox(), free_port()
    tls, running = server_tls(authority), ExitStack()

    def repair() -> None:
        running.enter_context(mail_server(mailbox, port, tls))

    account = EmailSettings.model_validate(
        {"host": HOST, "port": port, "username": USERNAME, "password": PASSWORD, "from_": SENDER, "to": TO}
        | {"ca_file": ca_file(authority, tmp_path)}
    )
    with running:
        repair()
        yield Receiver(
            EmailChannel(account, settings(channel="email")),
            mailbox.files,
            running.close,
            repair,
            mailbox.forget,
            mailbox.arrived,
        )


# A server with a script -------------------------------------------------------------------------------------------


class Misdeed(Enum):
    """What a server does in place of an answer."""

    DROP = "it closes the connection"
    STALL = "it says and reads nothing more"
    DRIP = "it begins an answer, and goes on with it byte by byte"
    TALK = "it talks without end"


DROP, STALL, DRIP, TALK = Misdeed
Answer = str | bytes | Misdeed
"""A text is a whole answer; bytes are said as they stand, and are the last ones."""
POLITE: dict[str, str] = {
    "greeting": "220 scripted",
    "EHLO": "250-scripted\r\n250 STARTTLS",
    "STARTTLS": "220 go on",
    "EHLO in TLS": "250-scripted\r\n250-SIZE\r\n250 AUTH CRAM-MD5 LOGIN PLAIN",
    "AUTH": "235 welcome",
    "MAIL": "250 ok",
    "RCPT": "250 ok",
    "DATA": "354 go on",
    "dot": "250 kept",
    "QUIT": "221 bye",
}
"""What a server says at each step where a script says nothing else. `TLS` and `body` are steps without an answer."""


class _Over(Exception):
    """The connection is to be closed."""


class Scripted:
    """A mail server that takes one connection after the other, and does at each step what its script says."""

    def __init__(self, tls: ssl.SSLContext | None, script: Mapping[str, Answer], *, at_once: bool = False) -> None:
        self.script: dict[str, Answer] = {**POLITE, **script}
        self.tls, self.at_once = tls, at_once
        self.said: list[str] = []
        self.logins: list[str] = []
        self.mails: list[Mail] = []
        self.cut = 0
        self.over = threading.Event()
        self.listener = socket.create_server((HOST, 0))
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
        self.port: int = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self._serve)

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.listener.shutdown(socket.SHUT_RDWR)  # wakes the thread
        self.thread.join(PATIENCE)
        self.listener.close()

    @property
    def verbs(self) -> list[str]:
        """The commands that were given."""
        return [line.split()[0].upper() for line in self.said]

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with suppress(_Over, OSError):
                self._talk(connection)

    def _talk(self, connection: socket.socket) -> None:
        with ExitStack() as open_ones:
            secure = self.at_once
            if secure:
                connection = self._secured(open_ones.enter_context(connection))
            open_ones.enter_context(connection)
            reader: BinaryIO = open_ones.enter_context(connection.makefile("rb"))
            self._answer(connection, "greeting")
            while line := reader.readline().decode().strip():
                self.said.append(line)
                verb = line.split()[0].upper()
                if verb == "AUTH":
                    self._log_in(connection, reader, line)
                self._answer(connection, "EHLO in TLS" if verb == "EHLO" and secure else verb, line)
                if verb == "STARTTLS":
                    connection, secure = open_ones.enter_context(self._secured(connection)), True
                    reader = open_ones.enter_context(connection.makefile("rb"))
                elif verb == "DATA" and self.script["DATA"] == POLITE["DATA"]:
                    self._take(connection, reader)
                elif verb == "QUIT":
                    return

    def _secured(self, connection: socket.socket) -> socket.socket:
        if isinstance(self.script.get("TLS"), Misdeed):
            self._answer(connection, "TLS")
        assert self.tls
        return self.tls.wrap_socket(connection, server_side=True)

    def _log_in(self, connection: socket.socket, reader: BinaryIO, line: str) -> None:
        _, mechanism, *given = line.split()
        while mechanism.upper() == "LOGIN" and len(given) < 2:
            connection.sendall(b"334 VGVsbCBtZQ==\r\n")
            given.append(reader.readline().decode().strip())
        self.logins.append("\0".join(base64.b64decode(one).decode() for one in given))

    def _take(self, connection: socket.socket, reader: BinaryIO) -> None:
        lines: list[bytes] = []
        while (line := reader.readline()) != b".\r\n":
            if not line:
                self.cut += 1
                raise _Over
            lines.append(line.removeprefix(b"."))
            if "body" in self.script:
                self._answer(connection, "body")
        self.mails.append(Mail("", [], b"".join(lines)))
        self._answer(connection, "dot")

    def _answer(self, connection: socket.socket, step: str, line: str = "") -> None:
        answer = self.script.get(line) or self.script[step]
        if isinstance(answer, str):
            connection.sendall(answer.encode() + b"\r\n")
        elif isinstance(answer, bytes):
            connection.sendall(answer)
            raise _Over
        elif answer is DROP:
            raise _Over
        elif answer is STALL:
            self._wait_for_the_end(connection)
        elif answer is DRIP:
            for byte in b"220-" + b"slow" * 20:
                connection.sendall(bytes([byte]))
                time.sleep(0.1)
            connection.sendall(b"\r\n220 at last\r\n")
        else:
            while True:
                connection.sendall(b"220-and another thing\r\n" * 1000)

    def _wait_for_the_end(self, connection: socket.socket) -> None:
        """Hold the connection until the other side, or the test, has had enough."""
        hung_up = select.poll()
        hung_up.register(connection, select.POLLRDHUP)
        while not (hung_up.poll(50) or self.over.is_set()):
            pass
        raise _Over

"""FTP servers: pyftpdlib's, which keeps the files it is sent, vsftpd, and one that says what a test tells it to."""

import json
import shutil
import socket
import ssl
import subprocess
import sys
import threading
from base64 import b64decode
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, Final, Self

import trustme

from app.delivery.channels.ftp import FtpChannel, FtpSettings, FtpsSettings
from tests.delivery.receiver import Receiver, settings
from tests.servers import HOST, PATIENCE, free_port, wait_until
from tests.system import program

USERNAME: Final = "merchant"
PASSWORD: Final = "canary-Päss w0rd"
ACCOUNT: Final = "daemon"
TCP_CLOSED: Final = 7  # what Linux says of a connection that was reset; one that was ended waits for its own end
"""Whose files vsftpd writes; an account with a home that exists."""


def channel(
    port: int, ca_file: Path | None = None, shared: Mapping[str, object] | None = None, **own: Any
) -> FtpChannel:
    """Return a channel to a server on this host: with TLS if there is a file of issuers."""
    values = {"host": HOST, "port": port, "username": USERNAME, "password": PASSWORD} | own
    found = (
        FtpsSettings.model_validate(values | {"ca_file": ca_file}) if ca_file else FtpSettings.model_validate(values)
    )
    return FtpChannel(found, settings(**(shared or {})))


def certificate(folder: Path, *names: str, **validity: Any) -> tuple[Path, Path]:
    """Return a server's certificate with its key, and its issuer's certificate, as files."""
    folder.mkdir(exist_ok=True)
    issuer, paths = trustme.CA(), (folder / "server.pem", folder / "issuer.pem")
    issuer.issue_cert(*(names or (HOST,)), **validity).private_key_and_cert_chain_pem.write_to_path(str(paths[0]))
    issuer.cert_pem.write_to_path(str(paths[1]))
    return paths


def tls(server: Path) -> ssl.SSLContext:
    """Return the server's side of TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(server)
    return context


@contextmanager
def ftp(tmp_path: Path) -> Iterator[Receiver]:
    """A server without TLS."""
    with kept(tmp_path, None) as receiver:
        yield receiver


@contextmanager
def ftps(tmp_path: Path) -> Iterator[Receiver]:
    """A server that demands TLS for everything."""
    server, issuer = certificate(tmp_path / "certificates")
    with kept(tmp_path, issuer, certificate=str(server)) as receiver:
        yield receiver


@contextmanager
def kept(tmp_path: Path, issuer: Path | None, directory: str = "", **options: Any) -> Iterator[Receiver]:
    """A pyftpdlib server in a process of its own; `options` are those of ftp_process.py."""
    root, port = tmp_path / "ftp", free_port()
    (root / directory).mkdir(parents=True)
    log = tmp_path / "received"
    log.touch()
    given = {"root": str(root), "port": port, "username": USERNAME, "password": PASSWORD, "log": str(log)} | options
    command = [sys.executable, str(Path(__file__).with_name("ftp_process.py")), json.dumps(given)]
    running: list[subprocess.Popen[bytes]] = []

    def begin() -> None:
        running.append(subprocess.Popen(command))
        wait_until(lambda: _greets(port), "the FTP server does not start")

    def end() -> None:
        running[-1].kill()
        running[-1].wait()

    begin()
    try:
        yield Receiver(
            channel(port, issuer, directory=directory),
            lambda: {one.name: one.read_bytes() for one in (root / directory).iterdir()},
            end,
            begin,
            lambda name: (root / directory / name).unlink(),
            lambda: [(name, b64decode(text)) for name, text in map(json.loads, log.read_text("utf-8").splitlines())],
        )
    finally:
        end()


@contextmanager
def vsftpd(tmp_path: Path) -> Iterator[Receiver]:
    """Debian's vsftpd as its manual advises: TLS for all, data only in the session of the control connection."""
    server, issuer = certificate(tmp_path / "certificates")
    root, port = tmp_path / "vsftpd", free_port()
    (root / "empty").mkdir(parents=True)
    (root / "drop").mkdir()
    shutil.chown(root / "drop", ACCOUNT)
    yes = "listen anonymous_enable write_enable anon_upload_enable anon_other_write_enable ssl_enable allow_anon_ssl"
    lines = [f"{name}=YES" for name in f"{yes} force_anon_logins_ssl force_anon_data_ssl require_ssl_reuse".split()]
    lines += [f"{name}=NO" for name in ("local_enable", "xferlog_enable", "seccomp_sandbox")]
    lines += [f"listen_address={HOST}", f"listen_port={port}", f"ftp_username={ACCOUNT}", f"nopriv_user={ACCOUNT}"]
    lines += [f"anon_root={root}", f"secure_chroot_dir={root / 'empty'}", f"rsa_cert_file={server}", "ssl_ciphers=HIGH"]
    (tmp_path / "vsftpd.conf").write_text("\n".join([*lines, ""]), "utf-8")
    command = [program("vsftpd"), str(tmp_path / "vsftpd.conf")]
    running = [subprocess.Popen(command)]
    try:
        wait_until(lambda: _greets(port), "vsftpd does not start")
        yield Receiver(
            channel(port, issuer, username="ftp", directory="drop"),
            lambda: {one.name: one.read_bytes() for one in (root / "drop").iterdir()},
            running[0].kill,
            lambda: running.append(subprocess.Popen(command)),
            lambda name: (root / "drop" / name).unlink(),
        )
    finally:
        running[-1].terminate()
        running[-1].wait()


def _greets(port: int) -> bool:
    with suppress(OSError), socket.create_connection((HOST, port), PATIENCE) as visitor:
        return visitor.recv(3) == b"220"
    return False


class Scripted:
    """A server that gives ordinary answers, except where a test tells it other ones, and writes down what it hears.

    `answers`: the answer to a command, or to "greeting"; "" closes the connection, None says nothing, a function does
    as it pleases. `after`: the same, once the data has ended. `take`: after so many bytes the data connection is reset.
    `stalls`: the data is not read.
    """

    def __init__(
        self,
        answers: Mapping[str, Any] | None = None,
        *,
        after: Any = "226 Done.",
        take: int | None = None,
        stalls: bool = False,
        control: ssl.SSLContext | None = None,
        data: ssl.SSLContext | None = None,
        address: str = "127,0,0,1",
        answers_end_of_tls: bool = True,
    ) -> None:
        self.answers, self.after, self.take, self.address = answers or {}, after, take, address
        self.control, self.data, self.answers_end_of_tls = control, data or control, answers_end_of_tls
        self.stalls = stalls
        self.heard: list[str] = []
        self.received = b""
        self.ended = ""
        self.over = threading.Event()
        self._door = socket.create_server((HOST, 0))
        self._passive = socket.create_server((HOST, 0))
        self.port: int = self._door.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        with suppress(OSError):
            self._door.shutdown(socket.SHUT_RDWR)
        self._thread.join(PATIENCE)
        self._door.close()
        self._passive.close()

    def wait_for_end(self) -> None:
        """Return when a visitor's data has ended, in one way or another."""
        wait_until(lambda: self.ended != "", "the data does not end")

    def _serve(self) -> None:
        while not self.over.is_set():
            with suppress(OSError):
                visitor = self._door.accept()[0]
                visitor.settimeout(PATIENCE)
                with closing(_Visit(self, visitor)) as visit:
                    visit.converse()


class _Visit:
    """One visitor of the scripted server."""

    def __init__(self, server: Scripted, control: socket.socket) -> None:
        self.server, self.control, self.private = server, control, False

    def close(self) -> None:
        self.control.close()

    def converse(self) -> None:
        """Answer until the visitor leaves."""
        going = self.say(self.server.answers.get("greeting", "220 Welcome."))
        while going and (line := self._read()):
            self.server.heard.append(line)
            verb = line.split()[0]
            self.private = self.private or line == "PROT P"
            port = self.server._passive.getsockname()[1]
            ordinary = {
                "AUTH": "234 Go ahead." if self.server.control else "502 What?",
                "USER": "331 Password?",
                "PASS": "230 Come in.",
                "PASV": f"227 Passive ({self.server.address},{port >> 8},{port & 255}).",
                "STOR": "150 Send it.",
                "SIZE": f"213 {len(self.server.received)}",
                "QUIT": "221 Bye.",
            }
            answer = self.server.answers.get(verb, ordinary.get(verb, "200 Fine."))
            going = self.say(answer) and self._follow(verb, answer)

    def say(self, answer: Any) -> bool:
        """Give an answer, and tell whether the conversation goes on."""
        if callable(answer):
            answer(self.control)
        elif answer:
            self.control.sendall(answer.encode("latin-1") + b"\r\n")
        return bool(answer != "")

    def _follow(self, verb: str, answer: Any) -> bool:
        """Do what a good answer promises."""
        if verb == "AUTH" and str(answer).startswith("234") and self.server.control:
            self.control = self.server.control.wrap_socket(self.control, server_side=True)
        elif verb == "STOR" and str(answer).startswith("1"):
            self._take()
            return self.say(self.server.after)
        return True

    def _read(self) -> str:
        line = b""
        while not line.endswith(b"\n"):
            piece = self.control.recv(1)
            if not piece:
                return ""
            line += piece
        return line.decode().rstrip()

    def _take(self) -> None:
        self.server.received = b""
        data: socket.socket = self.server._passive.accept()[0]
        try:
            if self.private and self.server.data:
                data = self.server.data.wrap_socket(data, server_side=True)
            self._take_from(data)
        except OSError as error:
            self.server.ended = type(error).__name__
        finally:
            data.close()

    def _take_from(self, data: socket.socket) -> None:
        if self.server.stalls:
            self.server.over.wait(PATIENCE)
        while piece := data.recv(65_536):
            self.server.received += piece
            if self.server.take is not None and len(self.server.received) > self.server.take:
                data.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                return
        # TLS may hide a reset, and takes an end without its own for one, as many servers do: TCP knows what it was.
        state = data.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
        self.server.ended = "reset" if state == TCP_CLOSED else "end"
        if isinstance(data, ssl.SSLSocket) and self.server.answers_end_of_tls:
            data.unwrap()
        elif isinstance(data, ssl.SSLSocket):
            socket.socket.recv(data, 1)  # the end in TCP

"""SFTP servers on loopback: OpenSSH's, and one that does as a test tells it."""

import asyncio
import getpass
import os
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import asyncssh

from app.config import Settings
from app.delivery.channels.sftp import SftpChannel, SftpSettings
from tests.delivery.receiver import Receiver, settings
from tests.servers import HOST, PATIENCE, free_port, wait_until
from tests.system import program

USER, PASSWORD = "merchant", "correct-horse-battery"


def public_line(key: asyncssh.SSHKey) -> str:
    """Return a key's public half as the setting wants it."""
    return key.export_public_key().decode().strip()


def channel(**changes: Any) -> SftpChannel:
    """Return a channel; the names of shared settings are those that receivers take."""
    shared = {name: changes.pop(name) for name in list(changes) if name in Settings.model_fields}
    return SftpChannel(SftpSettings.model_validate(changes), settings(**shared))


# OpenSSH ----------------------------------------------------------------------------------------------------------


class OpenSSH:
    """OpenSSH's server, with a folder in which whoever logs in lands; `denied` are requests that it refuses."""

    _process: subprocess.Popen[bytes] | None = None

    def __init__(self, home: Path, denied: str = "", kinds: tuple[str, ...] = ("ssh-ed25519",)) -> None:
        self.folder, self.key_file, self.port = home / "drop", home / "id", free_port()
        self.host_keys = [asyncssh.generate_private_key(kind) for kind in kinds]
        self._home = home
        self.folder.mkdir()
        key = asyncssh.generate_private_key("ssh-ed25519")
        _write_private(self.key_file, key.export_private_key())
        (home / "authorized_keys").write_text(public_line(key), "utf-8")
        paths = [home / f"host_{number}" for number in range(len(kinds))]
        for path, host_key in zip(paths, self.host_keys, strict=True):
            _write_private(path, host_key.export_private_key())
        lines = [
            *(f"Port {self.port}", f"ListenAddress {HOST}", "PidFile none", *(f"HostKey {path}" for path in paths)),
            *("UsePAM no", "StrictModes no", "PasswordAuthentication no", "PermitRootLogin prohibit-password"),
            *("LogLevel VERBOSE", f"AuthorizedKeysFile {home / 'authorized_keys'}"),
            f"Subsystem sftp internal-sftp -d {self.folder}" + (f" -P {denied}" if denied else ""),
        ]
        (home / "sshd_config").write_text("\n".join(lines) + "\n", "utf-8")

    def start(self) -> None:
        """Start it, and wait until it takes connections."""
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # root's server does not start without
        with (self._home / "log").open("ab") as log:
            command = [program("sshd"), "-D", "-e", "-f", str(self._home / "sshd_config")]
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_until(lambda: f"listening on {HOST}" in self.log(), f"sshd does not start: {self.log()}")

    def stop(self) -> None:
        """End it."""
        if self._process:
            self._process.terminate()
            self._process.wait(PATIENCE)
            self._process = None
            (self._home / "log").unlink()

    def log(self) -> str:
        """Return what it has said since it started."""
        return (self._home / "log").read_text("utf-8")

    def files(self) -> dict[str, bytes]:
        """Return what lies in the folder."""
        return {one.name: one.read_bytes() for one in self.folder.iterdir()}

    def channel(self, **changes: Any) -> SftpChannel:
        """Return a channel that knows this server."""
        own = {"host": HOST, "port": self.port, "username": getpass.getuser(), "key_file": self.key_file}
        return channel(**(own | {"host_keys": tuple(map(public_line, self.host_keys))} | changes))


def _write_private(path: Path, content: bytes) -> None:
    path.touch(0o600)
    path.write_bytes(content)


@contextmanager
def openssh(tmp_path: Path, **options: Any) -> Iterator[OpenSSH]:
    """Run OpenSSH's server inside the block."""
    home = tmp_path / "openssh"
    home.mkdir()
    server = OpenSSH(home, **options)
    try:
        server.start()
        yield server
    finally:
        server.stop()


@contextmanager
def sftp(tmp_path: Path) -> Iterator[Receiver]:
    """The receiver of the contract: OpenSSH with a folder that everything can be seen in."""
    with openssh(tmp_path) as server:

        def forget(name: str) -> None:
            (server.folder / name).unlink()

        yield Receiver(server.channel(), server.files, server.stop, server.start, forget)


# One that does as it is told --------------------------------------------------------------------------------------

Act = Callable[["Request"], Any]
"""What happens instead of a request."""


@dataclass
class Request:
    """A request that the script takes into its hands."""

    channel: Any
    folder: Path
    carry_out: Callable[[], Any]

    @property
    def connection(self) -> Any:
        """The connection that it came by."""
        return self.channel.get_connection()


def fail(status: int) -> Act:
    """Answer a request with a status, in words that repeat the password."""

    def act(_request: Request) -> None:
        raise asyncssh.SFTPError(status, f"{USER} {PASSWORD} cannot do that")

    return act


def hang_up(request: Request) -> Any:
    """Break the connection before the request is carried out."""
    request.connection.abort()
    return asyncio.Event().wait()


def carry_out_and_hang_up(request: Request) -> Any:
    """Do what is asked and break the connection instead of saying so."""
    request.carry_out()
    return hang_up(request)


def stall(_request: Request) -> Any:
    """Never answer."""
    return asyncio.Event().wait()


def carry_out_and_move_away(request: Request) -> Any:
    """Take a file away in the moment that it is closed."""
    done = request.carry_out()
    for path in request.folder.iterdir():
        path.rename(request.folder.parent / "taken" / path.name)
    return done


@dataclass
class Scripted:
    """How the scripted server behaves, and what it has seen."""

    home: Path
    host_key: asyncssh.SSHKey = field(default_factory=lambda: asyncssh.generate_private_key("ssh-ed25519"))
    script: dict[str, Act] = field(default_factory=dict)
    login: str = "password"
    on_password: Callable[[Any], None] = lambda _connection: None
    port: int = 0
    logins: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    connections: list[Any] = field(default_factory=list)
    opened: list[Any] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        """Where files arrive."""
        return self.home / "drop"

    def files(self) -> dict[str, bytes]:
        """Return what lies there."""
        return {one.name: one.read_bytes() for one in self.folder.iterdir()}

    def channel(self, **changes: Any) -> SftpChannel:
        """Return a channel that knows this server."""
        own = {"host": HOST, "port": self.port, "username": USER, "password": PASSWORD}
        return channel(**(own | {"host_keys": (public_line(self.host_key),)} | changes))


class _Server(asyncssh.SSHServer):
    """Lets in who knows the password, and counts who tries."""

    def __init__(self, scripted: Scripted) -> None:
        self._scripted = scripted

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn
        self._scripted.connections.append(conn)

    def begin_auth(self, username: str) -> bool:
        self._scripted.requests.append(f"login of {username}")
        return True

    def password_auth_supported(self) -> bool:
        return self._scripted.login == "password"

    def kbdint_auth_supported(self) -> bool:
        return self._scripted.login == "keyboard-interactive"

    def get_kbdint_challenge(self, _username: str, _lang: str, _submethods: str) -> Any:
        return "", "", "", [("Password: ", False)]

    def validate_kbdint_response(self, username: str, responses: Any) -> bool:
        return self.validate_password(username, responses[0])

    def validate_password(self, _username: str, password: str) -> bool:
        self._scripted.logins.append(password)
        self._scripted.on_password(self._connection)
        return password == PASSWORD


class _Files(asyncssh.SFTPServer):
    """Asks the script before each request."""

    def __init__(self, scripted: Scripted, channel: Any) -> None:
        super().__init__(channel, chroot=os.fsencode(scripted.folder))
        self._scripted = scripted

    def _do(self, name: str, carry_out: Callable[[], Any]) -> Any:
        self._scripted.requests.append(name)
        act = self._scripted.script.get(name)
        if act is None:
            return carry_out()
        return act(Request(self.channel, self._scripted.folder, carry_out))

    def open(self, path: bytes, pflags: int, attrs: asyncssh.SFTPAttrs) -> Any:
        open_it = super().open

        def carry_out() -> Any:
            self._scripted.opened.append(open_it(path, pflags, attrs))
            return self._scripted.opened[-1]

        return self._do("open", carry_out)

    def setstat(self, path: bytes, attrs: asyncssh.SFTPAttrs) -> Any:
        return self._do("setstat", partial(super().setstat, path, attrs))

    def fsetstat(self, file_obj: object, attrs: asyncssh.SFTPAttrs) -> Any:
        return self._do("fsetstat", partial(super().fsetstat, file_obj, attrs))

    def write(self, file_obj: object, offset: int, data: bytes) -> Any:
        return self._do("write", partial(super().write, file_obj, offset, data))

    def close(self, file_obj: object) -> Any:
        return self._do("close", partial(super().close, file_obj))

    def stat(self, path: bytes) -> Any:
        return self._do("stat", partial(super().stat, path))

    def rename(self, oldpath: bytes, newpath: bytes) -> Any:
        return self._do("rename", partial(super().rename, oldpath, newpath))

    def posix_rename(self, oldpath: bytes, newpath: bytes) -> Any:
        return self._do("posix_rename", partial(super().posix_rename, oldpath, newpath))

    def remove(self, path: bytes) -> Any:
        return self._do("remove", partial(super().remove, path))


@contextmanager
def scripted_server(tmp_path: Path, **options: Any) -> Iterator[Scripted]:
    """Run the scripted server inside the block, on a thread of its own."""
    scripted = Scripted(tmp_path / "scripted", **options)
    for name in ("drop", "taken"):
        (scripted.home / name).mkdir(parents=True)
    started = threading.Event()
    ends: list[Callable[[], object]] = []

    async def serve() -> None:
        listener = await asyncssh.listen(
            HOST,
            0,
            server_factory=lambda: _Server(scripted),
            server_host_keys=[scripted.host_key],
            sftp_factory=lambda channel: _Files(scripted, channel),
            config=None,
        )
        end = asyncio.Event()
        ends.append(partial(asyncio.get_running_loop().call_soon_threadsafe, end.set))
        scripted.port = listener.get_port()
        started.set()
        await end.wait()
        listener.close()
        for connection in scripted.connections:
            connection.abort()
            await connection.wait_closed()
        for file in scripted.opened:
            file.close()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    try:
        assert started.wait(PATIENCE), "the scripted server does not start"
        yield scripted
    finally:
        for end in ends:
            end()
        thread.join(PATIENCE)


def _relay(source: socket.socket, target: socket.socket, held_back: threading.Event) -> None:
    """Pass bytes on; from when they are held back, all at once when the source has ended."""
    kept = b""
    with suppress(OSError):
        while data := source.recv(65_536):
            kept += data
            if not held_back.is_set():
                target.sendall(kept)
                kept = b""
        target.sendall(kept)
        target.shutdown(socket.SHUT_WR)


@contextmanager
def delayed(port: int, held_back: threading.Event) -> Iterator[int]:
    """Stand before a server, and from a moment on let its last answers arrive together with its good-bye."""
    with socket.create_server((HOST, 0)) as listener:

        def serve() -> None:
            client, _ = listener.accept()
            with client, socket.create_connection((HOST, port)) as server:
                there = threading.Thread(target=_relay, args=(client, server, threading.Event()), daemon=True)
                there.start()
                _relay(server, client, held_back)
                there.join(PATIENCE)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        thread.join(PATIENCE)

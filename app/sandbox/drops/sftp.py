"""The SFTP drop. A file is taken when it is closed, and one that ends in `.part` when it gets its final name."""

import hmac
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import asyncssh

from app.sandbox.desk import Desk
from app.sandbox.drops.loop import Loop

PART = b".part"


class SftpDrop:
    """Listens until it is closed; `host_key` is the public half of its key."""

    def __init__(self, desk: Desk, folder: Path, login: tuple[str, str], loop: Loop, port: int) -> None:
        self.desk, self.folder, self.login = desk, folder, login
        self.connections: set[asyncssh.SSHServerConnection] = set()
        self.opened: list[Any] = []
        self._loop = loop
        key = asyncssh.generate_private_key("ssh-ed25519")
        self.host_key = key.export_public_key().decode().strip()
        self._listener = loop.run(self._listen(key, port))

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._listener.get_port())

    def close(self) -> None:
        """Stop, and hang up on everybody."""
        self._loop.run(self._close())

    async def _listen(self, key: asyncssh.SSHKey, port: int) -> asyncssh.SSHAcceptor:
        return await asyncssh.listen(
            self.desk.options.host,
            port,
            server_factory=lambda: _Visitor(self),
            server_host_keys=[key],
            sftp_factory=lambda channel: _Files(self, channel),
            config=None,
        )

    async def _close(self) -> None:
        self._listener.close()
        for connection in list(self.connections):
            connection.abort()
            await connection.wait_closed()
        for file in self.opened:
            with suppress(OSError):
                file.close()


class _Visitor(asyncssh.SSHServer):
    """Lets in who knows the password."""

    def __init__(self, drop: SftpDrop) -> None:
        self._drop = drop

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn
        self._drop.connections.add(conn)

    def connection_lost(self, _exc: Exception | None) -> None:
        self._drop.connections.discard(self._connection)

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        given, wanted = f"{username}\n{password}".encode(), "\n".join(self._drop.login).encode()
        return hmac.compare_digest(given, wanted)


class _Files(asyncssh.SFTPServer):
    """A folder into which files are written; what it shows of them is a setting."""

    def __init__(self, drop: SftpDrop, channel: Any) -> None:
        super().__init__(channel, chroot=os.fsencode(drop.folder))
        self._drop, self._is_blind = drop, drop.desk.options.write_only
        self._written: dict[Any, bytes] = {}

    def open(self, path: bytes, pflags: int, attrs: asyncssh.SFTPAttrs) -> Any:
        writes = bool(pflags & asyncssh.FXF_WRITE)
        if self._is_blind and not writes:
            raise asyncssh.SFTPPermissionDenied("Nothing is given back here.")
        file = super().open(path, pflags, attrs)
        self._drop.opened.append(file)
        if writes:
            self._written[file] = path
        return file

    def close(self, file_obj: Any) -> Any:
        done = super().close(file_obj)
        self._drop.opened.remove(file_obj)
        path = self._written.pop(file_obj, None)
        broke_off = self.channel.get_connection() not in self._drop.connections  # then the library closes what is open
        if path and not broke_off and not path.endswith(PART):
            self._take(path)
        return done

    def rename(self, oldpath: bytes, newpath: bytes) -> Any:
        done = super().rename(oldpath, newpath)
        self._take_renamed(oldpath, newpath)
        return done

    def posix_rename(self, oldpath: bytes, newpath: bytes) -> Any:
        done = super().posix_rename(oldpath, newpath)
        self._take_renamed(oldpath, newpath)
        return done

    async def scandir(self, path: bytes) -> Any:
        if not self._is_blind:
            async for entry in super().scandir(path):
                yield entry

    def stat(self, path: bytes) -> Any:
        self._look(path)
        return super().stat(path)

    def lstat(self, path: bytes) -> Any:
        self._look(path)
        return super().lstat(path)

    def _look(self, path: bytes) -> None:
        """Raise SFTPNoSuchFile where a file is asked for and nothing is shown."""
        if self._is_blind and not Path(os.fsdecode(self.map_path(path))).is_dir():
            raise asyncssh.SFTPNoSuchFile("Nothing is shown here.")

    def _take_renamed(self, oldpath: bytes, newpath: bytes) -> None:
        if oldpath.endswith(PART) and not newpath.endswith(PART):
            self._take(newpath)

    def _take(self, path: bytes) -> None:
        file = Path(os.fsdecode(self.map_path(path)))
        content = file.read_bytes()
        if self._is_blind:
            file.unlink()
        self._drop.desk.receive(file.name, content, "sftp")

"""The FTPS drop: explicit TLS for everything. A file is taken when its transfer has ended well."""

import threading
from pathlib import Path
from typing import Any

from pyftpdlib.authorizers import DummyAuthorizer  # type: ignore[import-untyped] # it comes without types
from pyftpdlib.handlers import TLS_FTPHandler  # type: ignore[import-untyped] # it comes without types
from pyftpdlib.ioloop import IOLoop  # type: ignore[import-untyped] # it comes without types
from pyftpdlib.servers import FTPServer  # type: ignore[import-untyped] # it comes without types

from app.sandbox.desk import Desk

WRITE_ONLY, EVERYTHING = "ew", "elradfmwMT"
PART = ".part"


class FtpsDrop:
    """Listens until it is closed."""

    def __init__(self, desk: Desk, folder: Path, certificate: Path, login: tuple[str, str], port: int) -> None:
        self._over = threading.Event()
        rights = WRITE_ONLY if desk.options.write_only else EVERYTHING
        handler = _handler(desk, folder, certificate, login, rights)
        self._loop = IOLoop()
        self._server = FTPServer((desk.options.host, port), handler, self._loop)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.address[1])

    def close(self) -> None:
        """Stop, and hang up on everybody."""
        self._over.set()
        self._thread.join()

    def _serve(self) -> None:
        while not self._over.is_set():
            self._loop.loop(timeout=0.05, blocking=False)  # the server's own way would also set up logging
        self._server.close_all()


def _handler(desk: Desk, folder: Path, certificate: Path, login: tuple[str, str], rights: str) -> type:
    """Return the class of a visit; pyftpdlib is told what to do by the attributes of one."""
    allowed = DummyAuthorizer()
    allowed.add_user(*login, str(folder), perm=rights)

    class Visit(TLS_FTPHandler):  # type: ignore[misc] # it comes without types
        """One visitor."""

        authorizer, certfile, auth_failed_timeout = allowed, str(certificate), 0
        tls_control_required = tls_data_required = True

        def on_file_received(self, file: str) -> None:
            """Take a file that came whole."""
            if not file.endswith(PART):
                _take(desk, Path(file))

        def ftp_RNTO(self, path: str) -> Any:  # noqa: N802 (pyftpdlib's name)
            """Take a file that gets its final name."""
            done = super().ftp_RNTO(path)
            if done and not path.endswith(PART):
                _take(desk, Path(path))
            return done

    return Visit


def _take(desk: Desk, file: Path) -> None:
    content = file.read_bytes()
    if desk.options.write_only:
        file.unlink()
    desk.receive(file.name, content, "ftps")

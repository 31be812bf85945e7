"""A sandbox that runs: its servers on threads of their own, from entering a block until leaving it."""

import json
import secrets
import shutil
import tempfile
import warnings
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from app.sandbox.certificates import make
from app.sandbox.desk import Desk
from app.sandbox.drops.folder import FolderDrop
from app.sandbox.drops.loop import Loop
from app.sandbox.drops.sftp import SftpDrop
from app.sandbox.front import Front, plant_all
from app.sandbox.options import OFF, Options
from app.sandbox.server import HttpServer
from app.sandbox.state import state


def _utc_now() -> datetime:
    return datetime.now(UTC)


def _plant_from(path: Path, desk: Desk) -> None:
    try:
        plant_all(desk, json.loads(path.read_text("utf-8")))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


class Sandbox:
    """A stand-in for impact.com; `settings` are those of a service that is to talk to it.

    with Sandbox(Options(campaigns="1000")) as box:
        ...
    """

    def __init__(self, options: Options | None = None, *, clock: Callable[[], datetime] = _utc_now) -> None:
        options = options or Options()
        self.options = options
        self.account_sid = options.account_sid or f"IR{secrets.token_hex(8)}"
        self.auth_token = options.auth_token or secrets.token_urlsafe(16)
        self.password = options.password or secrets.token_urlsafe(16)
        self.desk = Desk(options, clock)
        self.settings: dict[str, str] = {}
        self._folders: FolderDrop | None = None
        self._running = ExitStack()
        if options.faults:
            _plant_from(options.faults, self.desk)

    def __enter__(self) -> Self:
        with ExitStack() as running:
            self._start(running)
            self._running = running.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._running.close()

    @property
    def url(self) -> str:
        """Where the HTTP API is."""
        return self.settings["CAPTURE_IMPACT_API_URL"]

    def state(self) -> dict[str, Any]:
        """Return what GET /sandbox/state answers."""
        with self.desk.lock:
            return state(self.desk)

    def plant(self, *faults: dict[str, Any]) -> None:
        """Plant faults, as POST /sandbox/faults does. Raises UnknownFault."""
        with self.desk.lock:
            plant_all(self.desk, list(faults))

    def pull(self) -> None:
        """Pull the folder now, without waiting for the interval."""
        if self._folders is not None:
            self._folders.pull()

    def _start(self, running: ExitStack) -> None:
        options = self.options
        home = Path(tempfile.mkdtemp(prefix="sandbox-"))
        running.callback(shutil.rmtree, home, ignore_errors=True)
        self._serve_http(running)
        if options.sftp_port != OFF:
            self._serve_sftp(running, home)
        if options.ftps_port != OFF or options.smtp_port != OFF:
            self._serve_with_tls(running, home)
        if options.pull_folder or options.results_folder:
            self._folders = FolderDrop(self.desk, self.account_sid)
            running.callback(self._folders.close)

    def _serve_http(self, running: ExitStack) -> None:
        server = HttpServer((self.options.host, self.options.port), Front(self.desk, self.account_sid, self.auth_token))
        running.callback(server.close)
        server.start()
        self.settings |= {
            "CAPTURE_IMPACT_API_URL": f"http://{self.options.host}:{server.port}",
            "CAPTURE_IMPACT_ACCOUNT_SID": self.account_sid,
            "CAPTURE_IMPACT_AUTH_TOKEN": self.auth_token,
            "CAPTURE_ALLOW_PRIVATE_HOSTS": "true",
        }

    def _serve_sftp(self, running: ExitStack, home: Path) -> None:
        loop, folder = Loop(), home / "sftp"
        running.callback(loop.close)
        folder.mkdir()
        drop = SftpDrop(self.desk, folder, self._login, loop, self.options.sftp_port)
        running.callback(drop.close)
        self._tell("SFTP", drop.port, HOST_KEYS=drop.host_key)

    def _serve_with_tls(self, running: ExitStack, home: Path) -> None:
        ca_file, certificate = make(home, self.options.host)
        if self.options.ftps_port != OFF:
            self._serve_ftps(running, home / "ftps", ca_file, certificate)
        if self.options.smtp_port != OFF:
            self._serve_smtp(running, ca_file, certificate)

    def _serve_ftps(self, running: ExitStack, folder: Path, ca_file: Path, certificate: Path) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # its library loads modules that Python is to drop
            from app.sandbox.drops.ftps import FtpsDrop  # noqa: PLC0415 (its library comes with the extra)

        folder.mkdir()
        drop = FtpsDrop(self.desk, folder, certificate, self._login, self.options.ftps_port)
        running.callback(drop.close)
        self._tell("FTPS", drop.port, CA_FILE=str(ca_file))

    def _serve_smtp(self, running: ExitStack, ca_file: Path, certificate: Path) -> None:
        from app.sandbox.drops.smtp import SmtpDrop  # noqa: PLC0415 (its library comes with the extra)

        loop = Loop()
        running.callback(loop.close)
        drop = SmtpDrop(self.desk, certificate, self._login, loop, self.options.smtp_port)
        running.callback(drop.close)
        addresses = {"FROM": "shop@shop.example", "TO": "imports@sandbox.example"}
        self._tell("EMAIL", drop.port, CA_FILE=str(ca_file), SECURITY="starttls", **addresses)

    @property
    def _login(self) -> tuple[str, str]:
        return self.options.username, self.password

    def _tell(self, channel: str, port: int, **more: str) -> None:
        """Note what a service needs to know of a drop."""
        told = {"HOST": self.options.host, "PORT": str(port), "USERNAME": self.options.username}
        told |= {"PASSWORD": self.password, **more}
        self.settings |= {f"CAPTURE_{channel}_{name}": value for name, value in told.items()}

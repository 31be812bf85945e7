"""`conversion-capture sandbox`: a process of its own, until it is stopped."""

import os
import shlex
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import get_type_hints

import httpx
import pytest
from dotenv import dotenv_values
from typer.testing import CliRunner

from app.cli import cli
from app.config import Settings
from app.errors import Failure
from app.sandbox.options import Options
from app.sandbox.sandbox import Sandbox
from tests.servers import PATIENCE, wait_until

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "how-to" / "sandbox.md").read_text("utf-8")
COMMAND = [sys.executable, "-m", "app", "sandbox"]


@contextmanager
def running(*options: str) -> Iterator[subprocess.Popen[str]]:
    """Start the command, and see that it is gone in the end."""
    process = subprocess.Popen(
        [*COMMAND, *options],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def in_a_shell(file: Path) -> dict[str, str]:
    """Return the settings as a shell reads them."""
    script = f"set -a; . {shlex.quote(str(file))}; env -0"
    told = subprocess.run(["/bin/sh", "-c", script], env={}, capture_output=True, text=True, check=True).stdout
    pairs = dict(line.split("=", 1) for line in told.split("\0") if line)
    return {name: text for name, text in pairs.items() if name.startswith("CAPTURE_")}


def test_it_tells_how_to_reach_it_and_ends_when_it_is_told(tmp_path: Path) -> None:
    """The settings are printed, and in a file for nobody else's eyes; SIGTERM ends it with status 0."""
    file = tmp_path / "sandbox.env"
    with running("--env-file", str(file), "--trackers", "4321=1000") as process:
        wait_until(lambda: file.exists() or process.poll() is not None, "it does not start")
        settings = in_a_shell(file)
        assert settings == dotenv_values(file)
        assert settings["CAPTURE_SFTP_HOST_KEYS"].startswith("ssh-ed25519 AAAA")
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        login = settings["CAPTURE_IMPACT_ACCOUNT_SID"], settings["CAPTURE_IMPACT_AUTH_TOKEN"]
        told = httpx.get(f"{settings['CAPTURE_IMPACT_API_URL']}/sandbox/state", auth=login, trust_env=False).json()
        assert told["files"] == []
        assert Path(settings["CAPTURE_FTPS_CA_FILE"]).exists()
        process.send_signal(signal.SIGTERM)
        printed, complaints = process.communicate(timeout=PATIENCE)
    assert (process.returncode, complaints) == (0, "")
    assert file.read_text("utf-8") in printed
    assert not Path(settings["CAPTURE_FTPS_CA_FILE"]).exists()


@pytest.fixture
def _signals_as_they_were() -> Iterator[None]:
    """What the command does with signals ends with the test."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def refused(*options: str) -> tuple[int, str]:
    """Return the exit status and the sentence of a command that starts nothing."""
    result = CliRunner().invoke(cli, ["sandbox", *options])
    return result.exit_code, str(result.exception) if isinstance(result.exception, Failure) else result.output


@pytest.mark.parametrize(
    ("options", "status", "sentence"),
    [
        (["--trackers", "4321"], 1, "'4321' is no NAME=VALUE"),
        (["--faults", "missing.json"], 1, "missing.json"),
        (["--faults", "wrong.json"], 1, "wrong.json: a fault has exactly one of"),
        (["--account-currency", "EURO"], 1, "no ISO 4217 code"),
        (["--numbers", "words"], 2, "words"),
    ],
)
def test_a_wrong_option_is_told_in_a_sentence(options: list[str], status: int, sentence: str) -> None:
    """And nothing is started."""
    Path("wrong.json").write_text("{}", "utf-8")
    exit_status, told = refused(*options)
    assert exit_status == status
    assert sentence in told


@pytest.mark.usefixtures("_signals_as_they_were")
def test_without_its_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """And how to do without."""
    monkeypatch.delitem(sys.modules, "app.sandbox.drops.ftps", raising=False)
    monkeypatch.setitem(sys.modules, "pyftpdlib.authorizers", None)
    exit_status, told = refused()
    assert exit_status == 1
    assert "install conversion-capture[sandbox]" in told
    assert "--ftps-port -1" in told


@pytest.mark.usefixtures("_signals_as_they_were")
def test_a_port_that_is_taken_is_told() -> None:
    """And what was started before is gone."""
    with Sandbox() as box:
        port = box.settings["CAPTURE_SFTP_PORT"]
        assert "in use" in refused("--sftp-port", port)[1]


def test_every_option_is_on_its_page_as_it_is_in_the_help() -> None:
    """With its default and the same words."""
    assert [row for row in rows() if row not in PAGE] == []


def rows() -> Iterator[str]:
    """Yield what the page says of each option."""
    hints = get_type_hints(Options, include_extras=True)
    for one in fields(Options):
        yield f"| `--{one.name.replace('_', '-')}` | {shown(one.default)} | {hints[one.name].__metadata__[0].help} |"


def shown(default: object) -> str:
    """Return a default as the page has it."""
    if default in {None, ""}:
        return "none"
    return {True: "on", False: "off"}[default] if isinstance(default, bool) else f"`{default}`"


def test_what_it_tells_are_settings_of_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of them can be set, so that a typing error would stop the start."""
    with Sandbox() as box:
        told = {name: text for name, text in box.settings.items() if "_IMPACT_" not in name}
    for name, text in told.items():
        monkeypatch.setenv(name, text)
    assert Settings.model_validate({"campaign_id": 1, "action_tracker_id": 2}).allow_private_hosts

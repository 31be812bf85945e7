"""What `make test` and `.ci/run` do about programs that are missing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import system

ROOT = Path(__file__).parent.parent
LOCALE = {"LC_ALL": "C.UTF-8"}


def test_without_the_programs_the_other_tests_run_and_one_line_names_what_was_left_out(tmp_path: Path) -> None:
    """On a machine with neither apt nor a browser, the tests that need none are still run."""
    sample = tmp_path / "test_sample.py"
    sample.write_text(
        "import pytest\n\n\n@pytest.mark.system\ndef test_a():\n    pass\n\n\ndef test_b():\n    pass\n", "utf-8"
    )
    command = [
        sys.executable,
        "-m",
        "tests.system",
        "-q",
        "-p",
        "no:cacheprovider",
        "-c",
        "pyproject.toml",
        str(sample),
    ]
    surroundings = LOCALE | {"PATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, cwd=ROOT, env=surroundings, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed, 1 deselected" in done.stdout
    (line,) = done.stderr.splitlines()
    assert line.startswith("left out: the tests marked `system`, since chromium, ")
    assert "chromium" in line.partition("apt-get install ")[2]


def test_files_lie_in_memory_only_where_there_is_room(tmp_path: Path) -> None:
    """A container may have little of it, or none."""
    assert system.folder_in_memory(tmp_path, room=1) == tmp_path
    assert system.folder_in_memory(tmp_path, room=2**60) is None
    assert system.folder_in_memory(tmp_path / "nowhere", room=1) is None


def test_no_daemon_starts_while_packages_are_installed(tmp_path: Path) -> None:
    """Debian's scripts ask a file whether they may; it is gone afterwards, also when the installation fails."""
    policy = tmp_path / "policy-rc.d"
    with pytest.raises(subprocess.CalledProcessError, match="101"), system.services_kept_down(policy):
        subprocess.run([policy], check=True)
    assert not policy.exists()


def test_a_policy_of_the_machines_own_stays(tmp_path: Path) -> None:
    """It is neither replaced nor removed."""
    policy = tmp_path / "policy-rc.d"
    policy.write_text("own", "utf-8")
    with system.services_kept_down(policy):
        pass
    assert policy.read_text("utf-8") == "own"


CLOSINGS = [
    ("12 passed in 3.45s", 0),
    ("left out: the tests marked `system`, since caddy are missing\n12 passed in 3.45s", 1),
    ("11 passed, 1 skipped in 3.45s", 1),
    ("11 passed, 1 deselected in 3.45s", 1),
    ("1 failed, 11 passed in 3.45s\nexit 2", 2),
    ("no tests ran in 0.01s", 1),
]


@pytest.mark.parametrize(("output", "status"), CLOSINGS)
def test_ci_fails_when_anything_was_left_out(tmp_path: Path, output: str, status: int) -> None:
    """Whatever stands in make's place prints how the tests went."""
    text, _, ending = output.partition("\nexit ")
    make = tmp_path / "make"
    make.write_text(f"#!/bin/sh\ncat <<'END'\n{text}\nEND\nexit {ending or 0}\n", "utf-8")
    make.chmod(0o755)
    surroundings = LOCALE | {"PATH": f"{tmp_path}{os.pathsep}{os.defpath}"}
    done = subprocess.run([ROOT / ".ci" / "run"], env=surroundings, capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stdout + done.stderr

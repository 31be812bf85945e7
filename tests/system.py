"""The programs from the operating system's packages that tests marked `system` talk to.

`python -m tests.system ARGUMENTS` installs what is missing, where root and apt are at hand, and becomes
`pytest ARGUMENTS`. If a program is still missing, the tests marked `system` are left out and one line says so.
What tests write lies in memory where there is room, unless TMPDIR names a folder.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import psutil

PACKAGES: Final = {
    "chromium": "chromium",
    "nginx": "nginx-light",
    "caddy": "caddy",
    "php": "php-cli",
    "node": "nodejs",
    "vsftpd": "vsftpd",
    "sshd": "openssh-server",
    "curl": "curl",
}
"""The Debian package of each program."""
PLACES: Final = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))
"""Where programs lie; servers are often beyond an ordinary user's PATH."""
LEFT_OUT: Final = "left out:"
"""How the line begins; `.ci/run` looks for it."""
POLICY: Final = Path("/usr/sbin/policy-rc.d")
MEMORY: Final = Path("/dev/shm")  # noqa: S108 (pytest makes folders of its own there)
ROOM: Final = 4 * 1024**3
"""Twice the bytes that a whole run ever holds."""


def program(name: str) -> str:
    """Return where a program lies. A test that needs it fails, and does not skip itself, where it is missing."""
    found = shutil.which(name, path=PLACES)
    assert found, f"{name} is not installed: `apt-get install {PACKAGES[name]}`, or `make test` as root"
    return found


def missing() -> dict[str, str]:
    """Return the programs that are not there, each with its package."""
    return {name: package for name, package in PACKAGES.items() if not shutil.which(name, path=PLACES)}


def install(packages: list[str], policy: Path = POLICY) -> str | None:
    """Install packages with apt, and say in a sentence what went wrong, if anything did."""
    apt = shutil.which("apt-get", path=PLACES)
    if not apt:
        return "there is no apt-get here"
    if os.geteuid() != 0:
        return "only root may install them"
    print(f"installing {', '.join(packages)}", flush=True)
    surroundings = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    wait = ("-o", "DPkg::Lock::Timeout=300")
    with services_kept_down(policy):
        for arguments in (("update",), ("install", "--yes", "--no-install-recommends", *packages)):
            command = [apt, "--quiet=2", *wait, *arguments]
            done = subprocess.run(
                command, env=surroundings, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
            )
            if done.returncode:
                print(done.stdout, file=sys.stderr)
                return f"`apt-get {arguments[0]}` failed with status {done.returncode}, as shown above"
    return None


@contextmanager
def services_kept_down(policy: Path = POLICY) -> Iterator[None]:
    """Let no package start its daemon: Debian's scripts ask `policy-rc.d`, which answers 101 for no.

    One that is there already is the machine's own decision, and stays.
    """
    if policy.exists():
        yield
        return
    policy.write_text("#!/bin/sh\nexit 101\n", "utf-8")
    policy.chmod(0o755)
    try:
        yield
    finally:
        policy.unlink()


def folder_in_memory(memory: Path = MEMORY, room: int = ROOM) -> Path | None:
    """Return where files lie in memory, None if there is little room or programs may not be run from there.

    Tests end processes and never the machine, so that none of their files needs a disk; to wait for one takes a sixth
    of a run.
    """
    try:
        status = os.statvfs(memory)
    except OSError:
        return None
    free = min(status.f_bavail * status.f_frsize, psutil.virtual_memory().available)
    fits = free >= room and os.access(memory, os.W_OK | os.X_OK) and not status.f_flag & os.ST_NOEXEC
    return memory if fits else None


def main(arguments: list[str]) -> None:
    """Install what is missing, then become pytest."""
    if "TMPDIR" not in os.environ and (folder := folder_in_memory()):
        os.environ["TMPDIR"] = str(folder)
    trouble = install(sorted(missing().values())) if missing() else None
    if absent := missing():
        reason = trouble or "the packages did not bring them"
        print(
            f"{LEFT_OUT} the tests marked `system`, since {', '.join(absent)} are missing and {reason};"
            f" on Debian: apt-get install {' '.join(sorted(absent.values()))}",
            file=sys.stderr,
            flush=True,
        )
        arguments = ["-m", "not system", *arguments]
    os.execv(sys.executable, [sys.executable, "-m", "pytest", *arguments])  # noqa: S606


if __name__ == "__main__":
    main(sys.argv[1:])

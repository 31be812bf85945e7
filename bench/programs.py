"""The programs that are measured against, or measure: from the system's packages, or from a Python package."""

import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from bench.goal import NotRun
from tests.servers import INSTALLATION, PACKAGE
from tests.system import PLACES, install

PACKAGES: Final = {"wrk": "wrk", "sqlite3": "sqlite3"}
"""The Debian package of each program that is installed where root and apt are at hand."""
NODE_PACKAGES: Final = "nodejs npm g++ make"
NODE: Final = Path(__file__).parent / "peers" / "fastify"
INSTALL_SECONDS: Final = 600


def install_missing() -> None:
    """Install what is missing, or say in a sentence what the rows that need it will lack."""
    missing = [package for name, package in PACKAGES.items() if not shutil.which(name, path=PLACES)]
    if missing and (trouble := install(missing)):
        print(f"{', '.join(missing)} cannot be installed: {trouble}", file=sys.stderr)


def program(name: str) -> str:
    """Return where a program lies. Raises NotRun."""
    if found := shutil.which(name, path=PLACES):
        return found
    raise NotRun(f"{name} is missing; on Debian: apt-get install {PACKAGES.get(name, NODE_PACKAGES)}")


def of_postgresql(name: str) -> str:
    """Return where `psql` or `pgbench` lies: beside the server, in its own package, so that the versions agree."""
    spec = find_spec(PACKAGE)
    own = Path(spec.origin).parent / INSTALLATION / "bin" / name if spec and spec.origin else Path(name)
    found = shutil.which(own) or shutil.which(name, path=PLACES)
    if found:
        return found
    raise NotRun(f"{name} is missing; on Debian: apt-get install postgresql-client postgresql-contrib")


def node_modules(folder: Path) -> tuple[str, Path]:
    """Install what the Fastify peer needs into a folder, once; return node and the peer's file there. Raises NotRun."""
    node, npm = program("node"), program("npm")
    folder.mkdir(parents=True, exist_ok=True)
    lock, done = (NODE / "package-lock.json").read_bytes(), folder / "installed.json"
    for name in ("package.json", "package-lock.json", "server.js"):
        shutil.copy(NODE / name, folder / name)
    if not done.is_file() or done.read_bytes() != lock:
        print("installing Fastify and better-sqlite3, which is compiled: a minute or two", flush=True)
        command = [npm, "ci", "--no-audit", "--no-fund", *_headers(node)]
        ended = subprocess.run(
            command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=INSTALL_SECONDS, check=False
        )
        if ended.returncode:
            raise NotRun(f"npm could not install better-sqlite3: {_last_line(ended.stdout)}")
        done.write_bytes(lock)
    return node, folder / "server.js"


def _headers(node: str) -> list[str]:
    """Say where node's own headers lie, if they came with it, so that none are downloaded."""
    prefix = Path(node).resolve().parent.parent
    return [f"--nodedir={prefix}"] if (prefix / "include" / "node" / "node.h").is_file() else []


def _last_line(printed: bytes) -> str:
    lines = printed.decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"

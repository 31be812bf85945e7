"""pgbench with an order of three items: what PostgreSQL itself takes from so many clients, without any service."""

import os
import re
import subprocess
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import psycopg

from bench.goal import Broken
from bench.programs import of_postgresql

SCRIPTS: Final = Path(__file__).parent / "pgbench"
RATE: Final = re.compile(r"^tps = ([0-9.]+) ", re.MULTILINE)
DONE: Final = re.compile(r"^number of transactions actually processed: (\d+)", re.MULTILINE)
FAILED: Final = re.compile(r"^number of failed transactions: (\d+)", re.MULTILINE)


def make_tables(url: str) -> None:
    """Make the tables of the scripts."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute((SCRIPTS / "tables.sql").read_bytes())


def run(url: str, script: str, clients: int, seconds: int) -> tuple[float, int]:
    """Return transactions per second, and how many there were. Raises Broken if one failed."""
    command = [of_postgresql("pgbench"), "-n", "-M", "prepared", f"-c{clients}", "-j1", f"-T{seconds}"]
    ended = subprocess.run(
        [*command, "-f", SCRIPTS / f"{script}.sql"],
        env=os.environ | client_environment(url),
        capture_output=True,
        text=True,
        timeout=seconds + 60,
        check=False,
    )
    rate, done, failed = RATE.search(ended.stdout), DONE.search(ended.stdout), FAILED.search(ended.stdout)
    if ended.returncode or not rate or not done or not failed or failed[1] != "0":
        raise Broken(f"pgbench failed: {ended.stderr.strip()[-500:]}")
    return float(rate[1]), int(done[1])


def client_environment(url: str) -> dict[str, str]:
    """Return how PostgreSQL's own clients are told where to connect, the password kept out of their arguments."""
    parts = urlsplit(url)
    return {
        "PGHOST": parts.hostname or "",
        "PGPORT": str(parts.port),
        "PGUSER": parts.username or "",
        "PGPASSWORD": parts.password or "",
        "PGDATABASE": parts.path.lstrip("/"),
    }

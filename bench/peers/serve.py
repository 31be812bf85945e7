"""Serve a peer in a process of its own, its database and log in a folder."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

from bench.programs import node_modules
from bench.service import PYTHON, ROOT, Server, running
from tests.servers import free_port

DATABASE = "peer.db"


@contextmanager
def peer(
    name: str, folder: Path, cpu: int | None = None, surroundings: Mapping[str, str] = MappingProxyType({})
) -> Iterator[Server]:
    """Serve a Python peer; without another `PLAIN_DATABASE_URL` its database is a SQLite file in the folder."""
    port = free_port()
    own = {"PYTHONPATH": str(ROOT), "PLAIN_KEY": "unused", "PLAIN_DATABASE_URL": f"sqlite:///{folder / DATABASE}"}
    command = [*PYTHON, "bench.peers", name, str(port)]
    with running(command, port, folder, os.environ | own | dict(surroundings), cpu=cpu) as server:
        yield server


@contextmanager
def fastify(folder: Path, modules: Path, cpu: int | None = None) -> Iterator[Server]:
    """Serve the Fastify peer. Raises NotRun where node is missing."""
    node, script = node_modules(modules)
    port = free_port()
    command = [node, str(script), str(folder / DATABASE), str(port)]
    with running(command, port, folder, os.environ, cpu=cpu) as server:
        yield server

"""`python -m bench.peers NAME PORT` serves a peer, on uvicorn with the settings that the service itself has."""

import sys
from importlib import import_module
from typing import Final

import uvicorn

from app import logs

APPLICATIONS: Final = {"bare": "bench.peers.bare", "plain": "bench.peers.plain", "no_database": "bench.no_database"}


def main(name: str, port: int) -> None:
    """Serve until SIGTERM."""
    if name == "no_database":  # which is the service, and writes its log
        logs.configure()
    uvicorn.run(
        import_module(APPLICATIONS[name]).create(),
        port=port,
        loop="uvloop",
        http="httptools",
        log_config=None,
        access_log=False,
        server_header=False,
    )


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))

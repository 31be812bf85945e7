"""The command is loaded without looking for garbage, and runs with it."""

import subprocess
import sys

SAY = "import gc; from app import __main__, cli; cli.main = lambda: print(gc.isenabled()); __main__.main()"


def test_garbage_is_collected_as_soon_as_everything_is_loaded() -> None:
    """A service that runs for months would else grow for months."""
    told = subprocess.run([sys.executable, "-c", SAY], capture_output=True, text=True, timeout=60, check=True)
    assert told.stdout == "True\n"

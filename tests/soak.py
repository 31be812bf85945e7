"""How much a run tries, and what it came to.

Plain test runs try each thing once, on combinations that chance picks; with SOAK=1 they try all of them, as `make soak`
does, which loads this module as a plugin and prints the counts at the end. SOAK_SEED=n repeats a run's choices.
"""

import os
import secrets
import time
from collections import Counter
from random import Random
from typing import Final

import pytest

SOAK: Final = bool(os.environ.get("SOAK"))
SEED: Final = os.environ.get("SOAK_SEED") or os.environ.get("PYTEST_XDIST_TESTRUNUID", "")[:8] or secrets.token_hex(4)
"""The same in every process of a run."""
COUNTS: Final = ("kills", "cuts", "rescued", "repeated", "lost", "doubled", "altered")
BEGAN: Final = time.monotonic()


def chance(request: pytest.FixtureRequest) -> Random:
    """Return the chance of a test, whichever tests run beside it; a failure shows how to repeat it."""
    name = request.node.nodeid
    request.node.add_report_section("setup", "seed", f"SOAK_SEED={SEED} repeats the choices of {name}")
    return Random(f"{SEED} {name}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what all tests counted."""
    counts: Counter[str] = Counter(dict.fromkeys(COUNTS, 0))
    for report in (*terminalreporter.getreports("passed"), *terminalreporter.getreports("failed")):
        for name, value in report.user_properties if report.when == "call" else ():
            counts[name] += value
    told = ", ".join(f"{name} {count}" for name, count in counts.items())
    terminalreporter.write_line(f"soak: {told}, minutes {(time.monotonic() - BEGAN) / 60:.1f}, seed {SEED}")

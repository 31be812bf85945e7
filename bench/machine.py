"""What this machine offers: processors to pin to, and what a process weighs."""

import os
import platform
import shutil
import sqlite3
from pathlib import Path

import psutil

MIB = 1024 * 1024


def cpus() -> list[int]:
    """Return the processors that this process may use."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


def server_and_client() -> tuple[int | None, int | None]:
    """Return a processor for a server and another for its load, where there are two to choose."""
    available = cpus()
    return (available[0], available[1]) if len(available) > 1 else (None, None)


def pinned(cpu: int | None) -> tuple[str, ...]:
    """Return what goes before a command, so that it stays on one processor."""
    return ("taskset", "--cpu-list", str(cpu)) if cpu is not None and shutil.which("taskset") else ()


def resident_mb(pid: int | None = None) -> float:
    """Return the memory that a process has now, with that of its children."""
    process = psutil.Process(pid)
    family = [process, *process.children(recursive=True)] if pid else [process]
    return sum(float(one.memory_info().rss) for one in family) / MIB


def peak_mb() -> float:
    """Return the most memory that this process ever had; `ru_maxrss` would begin with its parent's."""
    for line in Path("/proc/self/status").read_text("ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("this system does not say how much memory a process had at most")


def facts() -> dict[str, str | int]:
    """Return what a reader must know of the machine, and nothing that names it."""
    return {
        "cores": len(cpus()) or os.cpu_count() or 1,
        "architecture": platform.machine(),
        "system": platform.system(),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
    }

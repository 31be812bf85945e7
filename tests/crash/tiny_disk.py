"""A disk that fills up: a small file system in memory if one can be mounted, else a limit on what a process writes.

Either makes a write fail in the middle: the one with ENOSPC, the other with EFBIG, which SQLite takes for broken.
"""

import ctypes
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, Literal, Protocol

import psutil

KIB: Final = 1024
SIZE: Final = 24 * KIB * KIB
MNT_DETACH: Final = 2

Fault = Literal["full", "failing"]
FAULTS: Final[tuple[Fault, ...]] = ("full", "failing")


class Disk(Protocol):
    """A folder whose disk can be without room for a while."""

    path: Path

    def fill(self, process: int, leaving: int) -> None:
        """Leave room for so many bytes to a process."""

    def free(self, process: int) -> None:
        """Make room again."""


class FullDisk:
    """A file system of its own, which a file of ballast fills."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._ballast = path / "ballast"

    def fill(self, process: int, leaving: int) -> None:  # noqa: ARG002 (the disk is the same for every process)
        self._write(SIZE)
        os.truncate(self._ballast, max(0, self._ballast.stat().st_size - leaving))

    def free(self, process: int) -> None:  # noqa: ARG002 (so it is here)
        self._ballast.unlink()

    def _write(self, size: int) -> None:
        with suppress(OSError), self._ballast.open("wb", buffering=0) as file:
            for _ in range(size // KIB):
                file.write(bytes(KIB))


class FailingDisk:
    """An ordinary folder; a process's writes fail beyond so many bytes of any file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def fill(self, process: int, leaving: int) -> None:
        _limit(process, leaving)

    def free(self, process: int) -> None:
        _limit(process, resource.RLIM_INFINITY)


def _limit(process: int, size: int) -> None:
    _, hard = psutil.Process(process).rlimit(psutil.RLIMIT_FSIZE)
    psutil.Process(process).rlimit(psutil.RLIMIT_FSIZE, (size, hard))


@contextmanager
def tiny_disk(folder: Path, fault: Fault) -> Iterator[Disk]:
    """Give a disk with that fault inside the block. Where nothing can be mounted, a full disk is a failing one."""
    path = folder / "disk"
    path.mkdir()
    if fault == "failing" or not _mounted(path):
        yield FailingDisk(path)
        return
    try:
        yield FullDisk(path)
    finally:
        assert _libc().umount2(os.fsencode(path), MNT_DETACH) == 0, "the small file system stays mounted"


def _mounted(path: Path) -> bool:
    """Mount a small file system, and say whether that was allowed."""
    options = f"size={SIZE},mode=700".encode()
    done: int = _libc().mount(b"tmpfs", os.fsencode(path), b"tmpfs", 0, options)
    return done == 0


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)

"""A file appears in a folder whole or not at all, and stays there through a power cut."""

import logging
import os
import secrets
from pathlib import Path

from app.delivery.parcel import CHUNK, Parcel, Progress


def put(folder: Path, parcel: Parcel, progress: Progress, logger: logging.Logger) -> None:
    """Put a file there: written under a name ending in `.part`, synced, renamed; the same again changes nothing.

    Every step is told to `logger`. Raises OSError, and what `progress` raises.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if not lies_in(folder, parcel):
        _write(folder, parcel, progress, logger)
    sync(folder)  # so that the new name survives too
    logger.debug("folder.synced", extra={"folder": str(folder)})


def lies_in(folder: Path, parcel: Parcel) -> bool:
    """Say whether the file lies there, the same to the byte."""
    try:
        return (folder / parcel.name).read_bytes() == parcel.content
    except FileNotFoundError:  # not there, or fetched and deleted between a look and the reading
        return False


def _write(folder: Path, parcel: Parcel, progress: Progress, logger: logging.Logger) -> None:
    for left in folder.glob(f"{parcel.name}*.part"):
        left.unlink(missing_ok=True)  # by an interrupted attempt; one that still writes fails at its rename
    part = folder / f"{parcel.name}.{secrets.token_hex(4)}.part"  # of this attempt alone
    with part.open("xb") as handle:
        logger.debug("file.opened", extra={"file": parcel.name})
        for start in range(0, len(parcel.content), CHUNK):
            handle.write(parcel.content[start : start + CHUNK])
            progress(handle.tell())
            logger.debug("file.progress", extra={"file": parcel.name, "bytes": handle.tell()})
        handle.flush()
        logger.debug("file.written", extra={"file": parcel.name})
        os.fsync(handle.fileno())
    logger.debug("file.synced", extra={"file": parcel.name})
    part.replace(folder / parcel.name)
    logger.debug("file.renamed", extra={"file": parcel.name})


def sync(folder: Path) -> None:
    """Let the names in a folder survive a power cut. Raises OSError."""
    entry = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(entry)
    finally:
        os.close(entry)

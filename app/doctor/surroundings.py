"""Beside the database: keys, and room to write."""

import os
import shutil
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Final

from app.delivery.channels.folder import FolderChannel
from app.delivery.journal import SETTING
from app.doctor.database import database_file
from app.doctor.finding import Finding, Status
from app.health import DISK_FLOOR_BYTES
from app.security import Right
from app.service import Service

MEGABYTE: Final = 1024 * 1024


def keys(service: Service) -> Iterator[Finding]:
    """See whether every right has keys, and none has another's."""
    held = {right: set(getattr(service.settings, f"{right}_keys")) for right in Right}
    new = "Make one with `conversion-capture keys new`."
    missing = [f"CAPTURE_{right.upper()}_KEYS" for right in Right if not held[right]]
    if missing:
        more = "" if held[Right.READ] else _NOBODY_READS
        told = f"There are no {' and no '.join(missing)}: those calls get 401{more}."
        yield Finding("keys", Status.WARNING, told, new)
    shared = [f"{one} and {other}" for one, other in combinations(Right, 2) if held[one] & held[other]]
    if shared:
        # One for reading signs people in to the dashboard, and stands in charts' settings: it must not be worth more.
        bad = bool(held[Right.READ] & (held[Right.ORDER] | held[Right.EXPORT]))
        told = f"The same key may do what is for {', and for '.join(shared)}."
        yield Finding("keys", Status.FAILURE if bad else Status.WARNING, told, new)
    if not missing and not shared:
        yield Finding("keys", Status.OK, "Orders, exports and readers have keys, and no key has two rights.")


_NOBODY_READS: Final = ", and without a key to read nobody can sign in to the dashboard"


def disk(service: Service) -> Iterator[Finding]:
    """See whether there is room wherever the service writes, and whether it may write there."""
    places = {"CAPTURE_SPOOL_PATH": service.settings.spool_path, SETTING: service.settings.journal_path}
    if path := database_file(service):
        places["CAPTURE_DATABASE_URL"] = path.parent
    if isinstance(folder := service.channels.get("folder"), FolderChannel):
        places["CAPTURE_FOLDER_PATH"] = folder.path
    for variable, place in places.items():
        yield _room(variable, place, service.settings.alarm_disk_bytes)


def _room(variable: str, place: Path, wanted: int) -> Finding:
    there = next(path for path in (place.resolve(), *place.resolve().parents) if path.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        repair = f"Give the service's account the folder, or set {variable} to another."
        return Finding("disk", Status.FAILURE, f"{place} is no folder that can be written to.", repair)
    free = shutil.disk_usage(there).free
    status = Status.FAILURE if free < DISK_FLOOR_BYTES else Status.WARNING if free < wanted else Status.OK
    repair = "" if status is Status.OK else f"Make room, or set {variable} to a place that has some."
    return Finding("disk", status, f"{place} has {free // MEGABYTE:,} MiB free.", repair)

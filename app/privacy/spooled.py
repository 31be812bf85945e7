"""The spool of this host: what waits there of a click is written over where it stands.

Its line stays as long as it was, since the process that has written it knows where each line begins.
"""

import os
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import BinaryIO

from sqlmodel import Session

from app.clicks.spool import line_of, payload_of
from app.clicks.store import Note, claim_segment, forget_segment, note_from_json, note_to_json


def spooled(folder: Path, click_ids: Collection[str]) -> Iterator[Note]:
    """Yield the notes of these clicks that lie in the spool, replayed already or not."""
    for path in _segments(folder):
        with path.open("rb") as file:
            yield from (note for line in file if (note := _about(line, click_ids)))


def forget_in_spool(session: Session, folder: Path, click_ids: Collection[str], *, dry_run: bool = False) -> int:
    """Write over what the spool holds of clicks, durably, and return how many notes that were.

    Nobody replays a segment meanwhile: whoever wants to waits for this transaction, or was done before. Raises OSError.
    """
    if dry_run:
        return sum(1 for _ in spooled(folder, click_ids))
    found = 0
    for path in _segments(folder):
        claim_segment(session, path.stem)
        try:
            with path.open("r+b") as file:
                found += _overwrite(file, click_ids)
        except FileNotFoundError:  # replayed just now
            forget_segment(session, path.stem)
    return found


def _overwrite(file: BinaryIO, click_ids: Collection[str]) -> int:
    found, position = 0, 0
    for line in file:
        if note := _about(line, click_ids):
            found += 1
            left = note_to_json(Note(forget=frozenset(one for one in note.forget if one not in click_ids)))
            os.pwrite(file.fileno(), line_of(left.ljust(len(line) - len(line_of(b"")))), position)
        elif _is_damaged(line) and any(click_id.encode() in line for click_id in click_ids):
            os.pwrite(file.fileno(), b" " * (len(line) - 1), position)
        position += len(line)
    os.fsync(file.fileno())
    return found


def _is_damaged(line: bytes) -> bool:
    """Say whether a line that was written to its end is not what was written."""
    return line.endswith(b"\n") and payload_of(line) is None


def _about(line: bytes, click_ids: Collection[str]) -> Note | None:
    """Return the note of a line if it is about one of these clicks."""
    try:
        note = note_from_json(payload_of(line) or b"")
    except ValueError:
        return None
    about = [*note.forget, *([note.record.click_id] if note.record else [])]
    return note if any(one in click_ids for one in about) else None


def _segments(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.spool")) if folder.is_dir() else []

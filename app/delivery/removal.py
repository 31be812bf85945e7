"""How a file stands in the journal whose content is removed: its name and hash stay, so that it still guards.

What follows the first line is the file with personal cells emptied; it tells which orders have left, and is never sent.
"""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from app.errors import Failure

SUFFIX: Final = ".removed"


@dataclass(frozen=True, slots=True)
class Removal:
    """When and why the content of a file was removed (`erased`, `old`), and the SHA-256 of what it was."""

    sha256: str
    at: datetime
    why: str


class NotMarked(Failure):
    """A file of the journal has not the first line that it should have."""

    code = "KEPT_FILE_DAMAGED"


def marked(removal: Removal, content: bytes) -> bytes:
    """Return the file as it stands in the journal."""
    first = {"sha256": removal.sha256, "removed_at": removal.at.isoformat(), "why": removal.why}
    return json.dumps(first).encode() + b"\n" + content


def unmarked(kept: bytes) -> tuple[Removal, bytes]:
    """Return what `marked` was given. Raises NotMarked."""
    first, _, content = kept.partition(b"\n")
    try:
        said = json.loads(first)
        return Removal(str(said["sha256"]), datetime.fromisoformat(said["removed_at"]), str(said["why"])), content
    except (ValueError, KeyError, TypeError) as error:
        raise NotMarked("Its first line does not say when and why its content was removed.") from error

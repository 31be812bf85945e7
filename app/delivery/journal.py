"""The journal: a folder, outside the database, with every file that may have left. A restored backup cannot lose it."""

import logging
from pathlib import Path
from typing import Final

from app.delivery.durable import put
from app.delivery.kept import is_ours
from app.delivery.parcel import Parcel
from app.errors import ChannelUnavailable

logger = logging.getLogger(__name__)

SETTING: Final = "CAPTURE_JOURNAL_PATH"


class Journal:
    """Files are kept there before their first byte leaves, under their own names; nothing is ever taken away."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._listed: tuple[int, list[str]] = (0, [])

    def keep(self, parcel: Parcel) -> None:
        """Keep a file, durably; the same again changes nothing. Raises ChannelUnavailable if it cannot be."""
        try:
            put(self.path, parcel, lambda _: None, logger)
        except OSError as exc:
            raise ChannelUnavailable(
                f"The journal {self.path} cannot be written to ({exc.strerror}), so that nothing leaves;"
                f" make room, or let {SETTING} name a folder that is writable."
            ) from exc

    def names(self) -> list[str]:
        """Return the names of the kept files, those kept last first. Raises ChannelUnavailable."""
        try:
            changed_at = self.path.stat().st_mtime_ns
            if changed_at != self._listed[0]:
                self._listed = (changed_at, self._list())
        except FileNotFoundError:
            return []  # nothing was ever kept
        except OSError as exc:
            raise ChannelUnavailable(
                f"The journal {self.path} cannot be read ({exc.strerror}), so that nothing leaves; {SETTING} names it."
            ) from exc
        return self._listed[1]

    def read(self, name: str) -> bytes:
        """Return a kept file. Raises ChannelUnavailable."""
        try:
            return (self.path / name).read_bytes()
        except OSError as exc:
            raise ChannelUnavailable(f"{self.path / name} cannot be read ({exc.strerror}).") from exc

    def _list(self) -> list[str]:
        ours = [path for path in self.path.iterdir() if is_ours(path.name)]
        return [path.name for path in sorted(ours, key=lambda path: (path.stat().st_mtime_ns, path.name), reverse=True)]

"""The journal: a folder, outside the database, with every file that may have left. A restored backup cannot lose it."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from app.delivery.durable import put, sync
from app.delivery.kept import is_ours
from app.delivery.parcel import Parcel
from app.delivery.removal import SUFFIX, Removal, marked, unmarked
from app.errors import ChannelUnavailable

logger = logging.getLogger(__name__)

SETTING: Final = "CAPTURE_JOURNAL_PATH"


class Journal:
    """Files are kept there before their first byte leaves, under their own names; no name is ever taken away."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._listed: tuple[int, list[str]] = (0, [])

    def keep(self, parcel: Parcel) -> None:
        """Keep a file, durably; the same again changes nothing. Raises ChannelUnavailable if it cannot be.

        Of one whose content was removed meanwhile nothing more is kept than is left of it.
        """
        with self._writing():
            put(self.path, parcel, lambda _: None, logger)
        self.drop_whole(parcel.name)

    def keep_removed(self, name: str, left: bytes, removal: Removal) -> None:
        """Keep of a file what is `left`, durably, marked as nothing to be sent, in place of what was kept.

        It stays where it was among the files by age. Raises ChannelUnavailable.
        """
        with self._writing():
            whole, left_over = self.path / name, self.path / f"{name}{SUFFIX}"
            before = next((path.stat() for path in (whole, left_over) if path.exists()), None)
            put(self.path, Parcel(left_over.name, marked(removal, left)), lambda _: None, logger)
            if before:
                os.utime(left_over, ns=(before.st_atime_ns, before.st_mtime_ns))
            for path in (whole, *self.path.glob(f"{name}.*.part")):
                path.unlink(missing_ok=True)
            sync(self.path)

    def has_whole(self, name: str) -> bool:
        """Say whether a file lies whole beside what is left of it: whoever removed its content was ended in between."""
        return (self.path / f"{name}{SUFFIX}").exists() and (self.path / name).exists()

    def drop_whole(self, name: str) -> bool:
        """Delete such a file, durably, and say whether there was one. Raises ChannelUnavailable."""
        if not self.has_whole(name):
            return False
        with self._writing():
            (self.path / name).unlink(missing_ok=True)
            sync(self.path)
        return True

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

    def look(self, name: str) -> tuple[bytes, Removal | None]:
        """Return a kept file, or what is left of it and its removal. Raises ChannelUnavailable, NotMarked."""
        left = self.path / f"{name}{SUFFIX}"
        try:
            if left.exists():
                removal, content = unmarked(left.read_bytes())
                return content, removal
            return (self.path / name).read_bytes(), None
        except OSError as exc:
            raise ChannelUnavailable(f"{self.path / name} cannot be read ({exc.strerror}).") from exc

    def read(self, name: str) -> bytes:
        """Return a kept file, or what is left of it. Raises ChannelUnavailable, NotMarked."""
        return self.look(name)[0]

    def kept_at(self, name: str) -> datetime:
        """Return when a file was kept."""
        left = self.path / f"{name}{SUFFIX}"
        return datetime.fromtimestamp((left if left.exists() else self.path / name).stat().st_mtime, UTC)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as exc:
            raise ChannelUnavailable(
                f"The journal {self.path} cannot be written to ({exc.strerror}), so that nothing leaves;"
                f" make room, or let {SETTING} name a folder that is writable."
            ) from exc

    def _list(self) -> list[str]:
        ours = [path for path in self.path.iterdir() if is_ours(path.name.removesuffix(SUFFIX))]
        kept = {path.name.removesuffix(SUFFIX): path.stat().st_mtime_ns for path in ours}
        return sorted(kept, key=lambda name: (kept[name], name), reverse=True)

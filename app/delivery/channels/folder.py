"""Files are left in a folder: for one's own FTP server from which impact.com pulls, or for uploads by hand."""

import logging
import os
import secrets
from pathlib import Path

from pydantic_settings import BaseSettings, SettingsConfigDict

from app.batches.batch import BatchFile
from app.errors import ChannelUnavailable

logger = logging.getLogger(__name__)


class FolderSettings(BaseSettings):
    """Where the files are left."""

    model_config = SettingsConfigDict(
        env_prefix="CAPTURE_FOLDER_", env_file=".env", env_ignore_empty=True, extra="ignore", frozen=True
    )

    path: Path = Path("var/outbox")


class FolderChannel:
    """A file appears whole or not at all: written under a name ending in `.part`, synced, renamed."""

    def __init__(self, settings: FolderSettings) -> None:
        self.path = settings.path

    def send(self, file: BatchFile) -> None:
        """Put the file there; the same file again changes nothing. Raises ChannelUnavailable if it cannot be."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            if not self._is_there(file):
                self._write(file)
            self._sync_folder()
        except OSError as exc:
            raise ChannelUnavailable(f"The folder {self.path} cannot be written to: {exc.strerror}.") from exc

    def _is_there(self, file: BatchFile) -> bool:
        target = self.path / file.name
        return target.is_file() and target.read_bytes() == file.content

    def _write(self, file: BatchFile) -> None:
        for left in self.path.glob(f"{file.name}*.part"):
            left.unlink(missing_ok=True)  # by an interrupted attempt; one that still writes fails at its rename
        part = self.path / f"{file.name}.{secrets.token_hex(4)}.part"  # of this attempt alone
        with part.open("xb") as handle:
            logger.debug("file.opened", extra={"file": file.name})
            handle.write(file.content)
            handle.flush()
            logger.debug("file.written", extra={"file": file.name})
            os.fsync(handle.fileno())
        logger.debug("file.synced", extra={"file": file.name})
        part.replace(self.path / file.name)
        logger.debug("file.renamed", extra={"file": file.name})

    def _sync_folder(self) -> None:
        """Make the new name survive a power cut."""
        folder = os.open(self.path, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        logger.debug("folder.synced", extra={"folder": str(self.path)})

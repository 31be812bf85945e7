"""Files are left in a folder: for one's own FTP server from which impact.com pulls, or for uploads by hand."""

import logging
import os
from pathlib import Path

from pydantic_settings import BaseSettings, SettingsConfigDict

from app.config import Settings
from app.delivery.durable import lies_in, put
from app.delivery.parcel import Parcel, Progress
from app.errors import ChannelUnavailable

logger = logging.getLogger(__name__)


class FolderSettings(BaseSettings):
    """Where the files are left."""

    model_config = SettingsConfigDict(
        env_prefix="CAPTURE_FOLDER_", env_file=".env", env_ignore_empty=True, extra="ignore", frozen=True
    )

    path: Path = Path("var/outbox")


class FolderChannel:
    """A file appears whole or not at all, and again if it was fetched and deleted."""

    def __init__(self, settings: FolderSettings, _shared: Settings | None = None) -> None:
        self.path = settings.path

    def send(self, parcel: Parcel, progress: Progress) -> None:
        """Put the file there; the same file again changes nothing. Raises ChannelUnavailable if it cannot be."""
        try:
            put(self.path, parcel, progress, logger)
        except OSError as exc:
            raise ChannelUnavailable(f"The folder {self.path} cannot be written to: {exc.strerror}.") from exc

    def ask(self, parcel: Parcel) -> bool | None:
        """Say that the file is there if it is; one that is not may have been fetched and deleted."""
        try:
            return lies_in(self.path, parcel) or None
        except OSError as exc:
            raise ChannelUnavailable(f"The folder {self.path} cannot be read: {exc.strerror}.") from exc

    def probe(self) -> str:
        """See whether files may be left there. Raises ChannelUnavailable."""
        there = next(one for one in (self.path.absolute(), *self.path.absolute().parents) if one.exists())
        if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
            raise ChannelUnavailable(
                f"The folder {self.path} cannot be written to: give it to the service's account, or set"
                " CAPTURE_FOLDER_PATH to another."
            )
        return "files can be left in its folder" if there == self.path.absolute() else "its folder can be made"

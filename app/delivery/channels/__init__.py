"""The ways out, one file each."""

from typing import Any, Final, Protocol

from pydantic_settings import BaseSettings

from app.batches.batch import BatchFile
from app.delivery.channels.folder import FolderChannel, FolderSettings


class Channel(Protocol):
    """Hands a file over. Sending the same file again must be harmless."""

    def send(self, file: BatchFile) -> None:
        """Return when the file has arrived whole. Raises DeliveryError."""


CHANNELS: Final[dict[str, tuple[type[BaseSettings], Any]]] = {"folder": (FolderSettings, FolderChannel)}
"""Name in CAPTURE_CHANNEL to the channel's settings and the channel."""

"""The ways out, one file each."""

from collections.abc import Mapping
from typing import Any, Final, Protocol, runtime_checkable

from pydantic_settings import BaseSettings

from app.delivery.channels.email import EmailChannel, EmailSettings
from app.delivery.channels.folder import FolderChannel, FolderSettings
from app.delivery.channels.ftp import FtpChannel, FtpSettings, FtpsSettings
from app.delivery.channels.sftp import SftpChannel, SftpSettings
from app.delivery.parcel import Parcel, Progress


class Channel(Protocol):
    """Hands a file over. Sending the same file again must be harmless."""

    def send(self, parcel: Parcel, progress: Progress) -> None:
        """Return when the file has arrived whole. Raises DeliveryError, and what `progress` raises."""

    def ask(self, parcel: Parcel) -> bool | None:
        """Say whether a file lies there whole; None where one cannot see that. Raises DeliveryError."""


@runtime_checkable
class Probed(Protocol):
    """A way out that can be tried without leaving anything."""

    def probe(self) -> str:
        """Go as far as a file's first byte, with one login at most; return what was seen. Raises DeliveryError."""


Channels = Mapping[str, Channel]
"""The channels in use by name."""

CHANNELS: Final[dict[str, tuple[type[BaseSettings], Any]]] = {
    "folder": (FolderSettings, FolderChannel),
    "email": (EmailSettings, EmailChannel),
    "sftp": (SftpSettings, SftpChannel),
    "ftps": (FtpsSettings, FtpChannel),
    "ftp": (FtpSettings, FtpChannel),
}
"""Name in CAPTURE_CHANNEL to the channel's settings and the channel, made from these and the shared settings."""

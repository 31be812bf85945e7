"""Files are put on an SFTP server: impact.com's, whose directory shows nothing, or one's own."""

import asyncio
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from app.config import Settings, require
from app.delivery.parcel import Parcel, Progress, to_the_end
from app.errors import ChannelUnavailable, Misconfigured, OutcomeUnknown
from app.setting_types import split_list


def _public_key(line: str) -> str:
    import asyncssh  # noqa: PLC0415 (heavy, and only who pins a key needs it)

    try:
        asyncssh.import_public_key(line)
    except ValueError:  # the sentence repeats nothing, since somebody may have put the private key here
        raise ValueError(
            "write the server's public key as ssh-ed25519 AAAA..., without the host name, several with commas between"
        ) from None
    return line


HostKeys = Annotated[
    tuple[Annotated[str, AfterValidator(_public_key)], ...],
    NoDecode,
    BeforeValidator(split_list),
]


class SftpSettings(BaseSettings):
    """Where the server is, how it proves who it is, and how we do."""

    model_config = SettingsConfigDict(
        env_prefix="CAPTURE_SFTP_", env_file=".env", env_ignore_empty=True, extra="ignore", frozen=True
    )

    host: str = ""
    port: int = Field(default=22, ge=1, le=65_535)
    username: str = ""
    password: SecretStr = SecretStr("")
    key_file: Path | None = None
    key_passphrase: SecretStr = SecretStr("")
    host_keys: HostKeys = ()
    directory: str = ""
    publish: Literal["direct", "rename"] = "direct"


class SftpChannel:
    """Writes a file under its name, or under one that ends in `.part` and is then renamed, as the setting says."""

    def __init__(self, settings: SftpSettings, shared: Settings) -> None:
        require(
            settings,
            host="the server's name, such as batch.impact.com",
            username="the user name that impact.com or your server gave you",
            host_keys="the server's public key, confirmed by who runs it; without it anybody could pose as the server",
        )
        if bool(settings.password) == bool(settings.key_file):
            raise Misconfigured("Set CAPTURE_SFTP_PASSWORD or CAPTURE_SFTP_KEY_FILE, one of the two.")
        from app.delivery.channels.sftp_login import Server  # noqa: PLC0415 (its library is heavy; not all need it)

        self.settings = settings
        self._server = Server(settings, shared)
        self._directory, self._renames = PurePosixPath(settings.directory), settings.publish == "rename"

    def send(self, parcel: Parcel, progress: Progress) -> None:
        """Put the file there; the same file again does no harm. Raises DeliveryError, and what `progress` raises."""
        asyncio.run(self._send(parcel, progress))

    def ask(self, parcel: Parcel) -> bool | None:
        """Say whether the file lies there whole; None where nothing is shown, or the file may have been fetched."""
        return asyncio.run(self._ask(parcel))

    def probe(self) -> str:
        """Log in and see that the directory is there; nothing is written. Raises DeliveryError."""
        return asyncio.run(self._probe())

    async def _send(self, parcel: Parcel, progress: Progress) -> None:
        path = str(self._directory / parcel.name)
        async with self._server.session() as session:
            if not self._renames:
                with to_the_end(progress) as held:
                    await session.put(parcel, path, held, OutcomeUnknown)
            elif not await session.is_there(parcel, path):
                await session.put(parcel, f"{path}.part", progress, ChannelUnavailable)
                await session.rename(parcel, path)

    async def _ask(self, parcel: Parcel) -> bool | None:
        path = str(self._directory / parcel.name)
        async with self._server.session() as session:
            size = await session.size(path)
            if size is not None:
                return size == len(parcel.content)
            unfinished = self._renames and await session.size(f"{path}.part") is not None
            return False if unfinished else None

    async def _probe(self) -> str:
        async with self._server.session() as session:
            there = await session.has_directory(str(self._directory))
        seen = "has the directory" if there else "does not show its directory, which is no fault"
        return f"{self.settings.host} takes the login and {seen}"

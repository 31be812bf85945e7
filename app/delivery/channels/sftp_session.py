"""What is done with a file at an SFTP server.

Each request is answered before the next is made, so it is known how much was handed over. Of what the server says only
numbers are repeated: its words may contain a user name.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

import asyncssh

from app.delivery.parcel import CHUNK, Parcel, Progress
from app.errors import ChannelRefused, ChannelUnavailable, DeliveryError, OutcomeUnknown

logger = logging.getLogger(__name__)

_GONE: Final = frozenset({asyncssh.FX_BAD_MESSAGE, asyncssh.FX_NO_CONNECTION, asyncssh.FX_CONNECTION_LOST})
"""Statuses that mean the end of the session, not an answer."""
_FOR_A_PERSON: Final = frozenset(
    {
        *(asyncssh.FX_NO_SUCH_FILE, asyncssh.FX_NO_SUCH_PATH, asyncssh.FX_NOT_A_DIRECTORY),
        *(asyncssh.FX_PERMISSION_DENIED, asyncssh.FX_WRITE_PROTECT, asyncssh.FX_FILE_IS_A_DIRECTORY),
        *(asyncssh.FX_OP_UNSUPPORTED, asyncssh.FX_INVALID_FILENAME),
    }
)
"""Statuses that are the same the next time; others, such as a full disk, may pass."""
_NO_DIRECTORY: Final = frozenset({asyncssh.FX_NO_SUCH_FILE, asyncssh.FX_NO_SUCH_PATH, asyncssh.FX_NOT_A_DIRECTORY})
_DIRECTORIES: Final = frozenset({asyncssh.FILEXFER_TYPE_DIRECTORY, asyncssh.FILEXFER_TYPE_UNKNOWN})
_LOST: Final[dict[type[DeliveryError], str]] = {
    ChannelUnavailable: "before it had the whole file; if this goes on, look at the network and the server",
    OutcomeUnknown: "after the whole file was sent, so it may have arrived; look there before sending it by hand",
}


class Session:
    """What is done at the server, all of it before one deadline."""

    def __init__(self, sftp: asyncssh.SFTPClient, host: str, seconds: float) -> None:
        self._sftp, self._host = sftp, host
        self._until = asyncio.get_running_loop().time() + seconds

    async def put(self, parcel: Parcel, path: str, progress: Progress, at_end: type[DeliveryError]) -> None:
        """Write the file; what fails once the last byte is on its way is an `at_end`."""
        size = len(parcel.content)
        async with self._answered(ChannelUnavailable):
            file = await self._sftp.open(path, "wb", block_size=0)  # 0: a write is one request
        logger.debug("file.opened", extra={"file": parcel.name})
        for start in range(0, size, CHUNK):
            end = min(start + CHUNK, size)
            async with self._answered(at_end if end == size else ChannelUnavailable):
                await file.write(parcel.content[start:end], start)
            progress(end)
            logger.debug("file.progress", extra={"file": parcel.name, "bytes": end})
        logger.debug("file.written", extra={"file": parcel.name})
        async with self._answered(at_end):
            await file.close()
        logger.debug("file.closed", extra={"file": parcel.name})
        await self._check(parcel, path, at_end)

    async def rename(self, parcel: Parcel, path: str) -> None:
        """Give the finished file its name."""
        part = f"{path}.part"
        async with self._answered(OutcomeUnknown):
            try:
                await self._rename(part, path)
            except asyncssh.SFTPError as error:
                if error.code in _GONE:
                    raise
                there = await self._size(path)
                with suppress(asyncssh.SFTPError):
                    await self._sftp.remove(part)
                if there != len(parcel.content):  # else another delivery of the same file came first
                    raise ChannelRefused(
                        f"{self._host} did not rename the file to its final name (SFTP status {error.code}); if it does"
                        " not allow that, set CAPTURE_SFTP_PUBLISH=direct."
                    ) from None
        logger.debug("file.renamed", extra={"file": parcel.name})

    async def is_there(self, parcel: Parcel, path: str) -> bool:
        """Say whether the file has its name already. Raises ChannelRefused if something else has it."""
        size = await self.size(path)
        if size not in {None, len(parcel.content)}:
            raise ChannelRefused(
                f"{self._host} has another file named {parcel.name}, of {size} bytes instead of {len(parcel.content)};"
                " look at it and move it away."
            )
        return size is not None

    async def size(self, path: str) -> int | None:
        """Return how long a file is, None if that cannot be seen."""
        async with self._answered(ChannelUnavailable):
            return await self._size(path)

    async def has_directory(self, path: str) -> bool:
        """Say whether a directory is seen; some servers show nothing. Raises ChannelRefused if it is known to be none.

        The answer is what `stat` says: nothing is listed, opened or written.
        """
        async with self._answered(ChannelUnavailable):
            try:
                kind = (await self._sftp.stat(path)).type
            except asyncssh.SFTPError as error:
                if error.code in _GONE:
                    raise
                status: int | None = error.code
            else:
                status = None if kind in _DIRECTORIES else asyncssh.FX_NOT_A_DIRECTORY
        if status in _NO_DIRECTORY:
            raise ChannelRefused(
                f"{self._host} takes the login and has no directory {path!r} for this account; look at"
                " CAPTURE_SFTP_DIRECTORY."
            )
        return status is None

    async def _check(self, parcel: Parcel, path: str, at_end: type[DeliveryError]) -> None:
        """Look at a file that was closed. Who shows nothing, or goes away now, has nevertheless confirmed it."""
        try:
            async with asyncio.timeout_at(self._until):
                size = await self._size(path)
        except asyncssh.SFTPNoConnection:  # so the close may never have left: without a connection asyncssh drops it
            raise at_end(f"{self._host} ended the connection {_LOST[at_end]}.") from None
        except (asyncssh.Error, OSError):
            return
        logger.debug("file.checked", extra={"file": parcel.name})
        if size not in {None, len(parcel.content)}:
            raise ChannelUnavailable(
                f"{self._host} shows {size} of {len(parcel.content)} bytes; if this goes on, ask who runs it."
            )

    async def _size(self, path: str) -> int | None:
        try:
            return (await self._sftp.stat(path)).size
        except asyncssh.SFTPError as error:
            if error.code in _GONE:
                raise
            return None

    async def _rename(self, old: str, new: str) -> None:
        try:
            await self._sftp.posix_rename(old, new)
        except asyncssh.SFTPOpUnsupported:
            await self._sftp.rename(old, new)

    @asynccontextmanager
    async def _answered(self, lost: type[DeliveryError]) -> AsyncIterator[None]:
        """Translate what fails at a request: `lost` if there is no answer, else what the answer means."""
        try:
            async with asyncio.timeout_at(self._until):
                yield
        except TimeoutError:
            raise lost(f"{self._host} did not answer within CAPTURE_TRANSFER_SECONDS, {_LOST[lost]}.") from None
        except (asyncssh.Error, OSError) as error:
            if isinstance(error, asyncssh.SFTPError) and error.code not in _GONE:
                raise _refusal(error.code, self._host) from None
            raise lost(f"{self._host} ended the connection {_LOST[lost]}.") from None


def _refusal(status: int, host: str) -> DeliveryError:
    """Say what an SFTP status means for a file."""
    if status in _FOR_A_PERSON:
        return ChannelRefused(
            f"{host} does not let this account write the file (SFTP status {status}); look at CAPTURE_SFTP_DIRECTORY"
            " and at the account's rights."
        )
    return ChannelUnavailable(f"{host} could not store the file (SFTP status {status}); its disk or quota may be full.")

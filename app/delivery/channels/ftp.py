"""Files go to an FTP server: encrypted by explicit TLS, or as plain FTP where nothing else is to be had."""

import ftplib
import logging
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Annotated, Final

from pydantic import AfterValidator, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from app.config import Settings, require
from app.delivery.channels.ftp_client import (
    COURTESY_SECONDS,
    FAULTS,
    Conversation,
    code_of,
    end,
    reset_unless_ended,
    step,
    why,
)
from app.delivery.parcel import CHUNK, Parcel, Progress, to_the_end
from app.delivery.tls import verified
from app.egress import connect
from app.errors import (
    ChannelRefused,
    ChannelUnavailable,
    CredentialsRefused,
    DeliveryError,
    OutcomeUnknown,
    ReceiverNotTrusted,
)

logger = logging.getLogger(__name__)

CONFIRMED: Final = {"226", "250"}


def _one_line(value: str) -> str:
    if not value.isprintable():  # a line break begins another FTP command
        raise ValueError("it has a character that cannot be printed, such as a line break")
    return value


def _one_secret_line(value: SecretStr) -> SecretStr:
    _one_line(value.get_secret_value())
    return value


Line = Annotated[str, AfterValidator(_one_line)]


class FtpSettings(BaseSettings):
    """An FTP server, and who one is there."""

    model_config = SettingsConfigDict(
        env_prefix="CAPTURE_FTP_", env_file=".env", env_ignore_empty=True, extra="ignore", frozen=True
    )

    host: Line = ""
    port: int = Field(default=21, ge=1, le=65_535)
    username: Line = ""
    password: Annotated[SecretStr, AfterValidator(_one_secret_line)] = SecretStr("")
    directory: Line = ""


class FtpsSettings(FtpSettings):
    """The same for one with TLS, and a file of authorities that are believed instead of the system's."""

    model_config = SettingsConfigDict(env_prefix="CAPTURE_FTPS_")

    ca_file: Path | None = None


class FtpChannel:
    """A file is stored under its name, byte for byte, and has arrived when the server has confirmed it.

    Nothing else is written, renamed or deleted there.
    """

    def __init__(self, settings: FtpSettings, shared: Settings) -> None:
        require(
            settings,
            host="the FTP server's name, such as batch.impact.com",
            username="the user that the receiver has given you",
            password="the password that the receiver has given you",  # noqa: S106 (a word on it)
        )
        self.settings, self.shared, self.host = settings, shared, settings.host
        self.prefix = settings.model_config.get("env_prefix", "")
        self.context = None
        if isinstance(settings, FtpsSettings):
            self.context = verified(settings.ca_file, "CAPTURE_FTPS_CA_FILE")
        if not self.context:
            detail = "Password and orders can be read on their way with plain FTP: use ftps or sftp if you can."
            logger.warning("channel.unencrypted", extra={"detail": detail})

    def send(self, parcel: Parcel, progress: Progress) -> None:
        """Return when the server has confirmed the file. Raises DeliveryError, and what `progress` raises."""
        with self._session() as ftp:
            ftp.allow(self.shared.transfer_seconds)
            self._prepare(ftp)
            with to_the_end(progress) as held:
                with self._data_connection(ftp, parcel) as data:
                    self._hand_over(ftp, data, parcel, held)
                    end(data)
                    self._await_confirmation(ftp, parcel)
                self._compare_size(ftp, parcel)
            with suppress(*FAULTS):
                ftp.allow(COURTESY_SECONDS)
                ftp.sendcmd("QUIT")

    def ask(self, parcel: Parcel) -> bool | None:
        """Say what the file's size tells; None where none is shown. Raises DeliveryError."""
        with self._session() as ftp:
            self._prepare(ftp)
            with step(f"Asking {self.host} for the size of {parcel.name}", "ask its operator"):
                size = _size(ftp, parcel)
        if size is None or size > len(parcel.content):
            return None
        return size == len(parcel.content)

    def probe(self) -> str:
        """Log in and enter the directory; nothing is stored. Raises DeliveryError."""
        with self._session() as ftp:
            self._prepare(ftp)
            with suppress(*FAULTS):
                ftp.allow(COURTESY_SECONDS)
                ftp.sendcmd("QUIT")
        return f"{self.host} takes the login" + (" and has the directory" if self.settings.directory else "")

    @contextmanager
    def _session(self) -> Iterator[Conversation]:
        """Connect and log in: once, whatever comes of it."""
        logger.debug("channel.connecting")
        seconds, allow_private = self.shared.connect_seconds, self.shared.allow_private_hosts
        sock = connect(self.host, self.settings.port, seconds=seconds, allow_private=allow_private)
        with closing(Conversation(sock, self.shared.login_seconds)) as ftp:
            with step(f"The connection to {self.host}", "ask its operator"):
                ftp.voidresp()
            logger.debug("channel.connected")
            if self.context:
                advice = "no password was sent; ask its operator for FTP over explicit TLS"
                with step(f"Encryption at {self.host}", advice, ReceiverNotTrusted):
                    ftp.voidcmd("AUTH TLS")
                    ftp.encrypt(self.context, self.host)
            self._log_in(ftp)
            logger.debug("channel.logged_in")
            yield ftp

    def _log_in(self, ftp: Conversation) -> None:
        with step(f"The login at {self.host}", "ask its operator about the account"):
            try:
                ftp.login(self.settings.username, self.settings.password.get_secret_value())
            except (ftplib.error_perm, ftplib.error_temp) as error:
                if code_of(error) in {"430", "530"}:
                    variables = f"{self.prefix}USERNAME and {self.prefix}PASSWORD, which are case-sensitive"
                    raise CredentialsRefused(f"{self.host} refuses the login: check {variables}.") from None
                raise

    def _prepare(self, ftp: Conversation) -> None:
        """Agree on encrypted data and binary mode, and enter the directory."""
        if self.context:
            advice = "no file was sent; ask its operator for encrypted data connections (PROT P)"
            with step(f"The encryption of data at {self.host}", advice, ReceiverNotTrusted):
                ftp.voidcmd("PBSZ 0")
                ftp.voidcmd("PROT P")
        with step(f"Binary mode at {self.host}", "ask its operator for it"):
            ftp.voidcmd("TYPE I")
        if self.settings.directory:
            with step(f"Entering the directory at {self.host}", f"check {self.prefix}DIRECTORY"):
                ftp.cwd(self.settings.directory)

    @contextmanager
    def _data_connection(self, ftp: Conversation, parcel: Parcel) -> Iterator[socket.socket]:
        """Open the file at the host of the control connection, whatever address the server names."""
        with step(f"Passive mode at {self.host}", "ask its operator for it"):
            host, port = ftp.makepasv()
            seconds = min(self.shared.connect_seconds, ftp.seconds_left())
        with connect(host, port, seconds=seconds, allow_private=self.shared.allow_private_hosts) as plain:
            reset_unless_ended(plain)
            advice = f"ask its operator for the right to write and overwrite files, and check {self.prefix}DIRECTORY"
            with step(f"Storing {parcel.name} at {self.host}", advice):
                if not ftp.sendcmd(f"STOR {parcel.name}").startswith("1"):
                    raise ftplib.error_proto
            try:
                data = ftp.encrypted(plain, self.context, self.host) if self.context else plain
            except OSError as error:
                raise self._broken_off(ftp, parcel, error) from None
            with data:
                yield data

    def _hand_over(self, ftp: Conversation, data: socket.socket, parcel: Parcel, progress: Progress) -> None:
        logger.debug("file.opened", extra={"file": parcel.name})
        for start in range(0, len(parcel.content), CHUNK):
            piece = parcel.content[start : start + CHUNK]
            try:
                data.settimeout(ftp.seconds_left())
                data.sendall(piece)
            except OSError as error:
                raise self._broken_off(ftp, parcel, error) from None
            progress(start + len(piece))
            logger.debug("file.progress", extra={"file": parcel.name, "bytes": start + len(piece)})
        logger.debug("file.written", extra={"file": parcel.name})

    def _broken_off(self, ftp: Conversation, parcel: Parcel, error: OSError) -> DeliveryError:
        """Return what a transfer comes to that was cut before its end; the server may say why."""
        said = why(error)
        with suppress(*FAULTS):
            ftp.allow(COURTESY_SECONDS)
            code = ftp.code()
            if refused := self._not_taken(parcel, code):
                return refused
            said = f"the server answered {code}"
        return ChannelUnavailable(f"The transfer of {parcel.name} to {self.host} broke off: {said}.")

    def _not_taken(self, parcel: Parcel, code: str) -> DeliveryError | None:
        """Return the error that an answer to a transfer says plainly; 421 is about the connection, not the file."""
        if code.startswith("5"):
            advice = "ask its operator about the room and the rights that the account has"
            return ChannelRefused(f"{self.host} refused {parcel.name} ({code}): {advice}.")
        if code.startswith("4") and code != "421":
            return ChannelUnavailable(f"{self.host} could not take {parcel.name} this time ({code}).")
        return None

    def _await_confirmation(self, ftp: Conversation, parcel: Parcel) -> None:
        try:
            code = ftp.code()
        except FAULTS as error:
            said = why(error)
            raise OutcomeUnknown(
                f"{self.host} was given all of {parcel.name} and did not confirm it: {said}."
            ) from None
        if code not in CONFIRMED:
            said = f"{self.host} was given all of {parcel.name} and answered {code} instead of 226."
            raise self._not_taken(parcel, code) or OutcomeUnknown(said)
        logger.debug("file.closed", extra={"file": parcel.name})

    def _compare_size(self, ftp: Conversation, parcel: Parcel) -> None:
        """Look whether the file is there whole. Not to see it is no failure: it may be hidden, or taken away."""
        size = None
        with suppress(*FAULTS):
            ftp.allow(COURTESY_SECONDS)
            size = _size(ftp, parcel)
        logger.debug("file.checked", extra={"file": parcel.name})
        if size is not None and size < len(parcel.content):
            whole = len(parcel.content)
            raise ChannelUnavailable(f"{self.host} confirmed {parcel.name} but has {size} of its {whole} bytes.")


def _size(ftp: Conversation, parcel: Parcel) -> int | None:
    """Return the size that the server tells, in the mode that was set; None if it refuses to."""
    try:
        return ftp.size(parcel.name)
    except ftplib.error_perm:
        return None

"""Files leave as attachments of e-mails: one mail for each file, to the address that impact.com gave its event type.

That a mail server took the mail is all that can be known; nobody can be asked afterwards whether it is there.
"""

import hashlib
import logging
import re
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import localtime
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from app.config import Settings, require
from app.delivery.channels.email_conversation import Conversation
from app.delivery.parcel import Parcel, Progress
from app.delivery.tls import verified
from app.egress import connect
from app.errors import ChannelRefused, Misconfigured
from app.event_type import EmailAddress
from app.setting_types import split_list

logger = logging.getLogger(__name__)

_PORTS: Final = {"starttls": 587, "tls": 465, "none": 25}
_NAME: Final = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")  # needs no quotes in a Message-ID or anywhere else
_POLICY: Final = SMTP.clone(cte_type="7bit")
# Lines of the header are not folded below what SMTP can carry, since a file name over two lines is not read everywhere.
_UNFOLDED: Final = _POLICY.clone(max_line_length=998)


def _one_line(value: str) -> str:
    if not (value.isascii() and value.isprintable()):
        raise ValueError("write one line of ASCII characters")
    return value


class EmailSettings(BaseSettings):
    """The mail server, the addresses, and what is in a mail beside the file."""

    model_config = SettingsConfigDict(
        env_prefix="CAPTURE_EMAIL_",
        env_file=".env",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        populate_by_name=True,
    )

    host: str = ""
    port: int | None = Field(default=None, ge=1, le=65535)
    username: str = ""
    password: SecretStr = SecretStr("")
    security: Literal["starttls", "tls", "none"] = "starttls"
    ca_file: Path | None = None
    from_: EmailAddress | None = Field(default=None, validation_alias="CAPTURE_EMAIL_FROM")
    to: EmailAddress | None = None
    cc: Annotated[tuple[EmailAddress, ...], NoDecode, BeforeValidator(split_list)] = ()
    subject: Annotated[str, AfterValidator(_one_line)] = ""
    body: str = ""


class EmailChannel:
    """One mail with one attachment for each file; the same file again has the same Message-ID."""

    def __init__(self, settings: EmailSettings, shared: Settings) -> None:
        require(settings, host="the name of the mail server", from_="the address that the mails come from")
        _check(settings, shared)
        self.settings, self.shared = settings, shared
        self.port = settings.port or _PORTS[settings.security]
        self.context = None if settings.security == "none" else verified(settings.ca_file, "CAPTURE_EMAIL_CA_FILE")

    def send(self, parcel: Parcel, progress: Progress) -> None:
        """Return when the server has taken the mail. Raises DeliveryError, and what `progress` raises."""
        to, note = self._address(parcel), {"file": parcel.name}
        message = _message(parcel, self.settings, to)
        mail = self._connect(note)
        try:
            mail.begin(self.shared.login_seconds)
            self._log_in(mail)
            logger.debug("channel.logged_in", extra=note)
            mail.begin(self.shared.transfer_seconds)
            mail.open(str(self.settings.from_), (to, *self.settings.cc), len(message))
            logger.debug("file.opened", extra=note)
            for part in mail.write(message):
                progress(int(part * len(parcel.content)))
                logger.debug("file.progress", extra=note | {"bytes": int(part * len(parcel.content))})
            logger.debug("file.written", extra=note)
            mail.expect(mail.getreply(), 250, to="the mail")
            logger.debug("file.closed", extra=note)
            mail.leave()
        finally:
            mail.close()

    def ask(self, _parcel: Parcel) -> None:
        """Say that nobody can see what became of a mail."""

    def probe(self) -> str:
        """Log in, and have every address looked at without a mail. Raises DeliveryError."""
        settings = self.settings
        found = (_address(settings, self.shared, key) for key in _keys(self.shared))
        receivers = list(dict.fromkeys([*filter(None, found), *settings.cc]))
        mail = self._connect({})
        try:
            mail.begin(self.shared.login_seconds)
            self._log_in(mail)
            mail.begin(self.shared.login_seconds)
            mail.ask(str(settings.from_), receivers)
            mail.leave()
        finally:
            mail.close()
        return f"{settings.host} would take mails to {len(receivers)} addresses"

    def _address(self, parcel: Parcel) -> EmailAddress:
        address = _address(self.settings, self.shared, parcel.event_type)
        if not address:
            raise ChannelRefused(
                f"The event type {parcel.event_type} has no address in the settings any more; set CAPTURE_EMAIL_TO to"
                " the one for its files."
            )
        return address

    def _connect(self, note: dict[str, str]) -> Conversation:
        settings, shared = self.settings, self.shared
        logger.debug("channel.connecting", extra=note)
        connection = connect(
            settings.host,
            self.port,
            seconds=shared.connect_seconds,
            allow_private=shared.allow_private_hosts,
        )
        logger.debug("channel.connected", extra=note)
        return Conversation(settings.host, connection)

    def _log_in(self, mail: Conversation) -> None:
        """Go as far as mails may be handed over; a server that has not yet proved who it is gets nothing but EHLO."""
        settings = self.settings
        if self.context and settings.security == "tls":
            mail.secure(self.context)
        mail.expect(mail.getreply(), 220, to="the connection")
        mail.greet()
        if self.context and settings.security == "starttls":
            mail.ask_for_tls()
            mail.secure(self.context)
            mail.greet()
        if settings.username:
            mail.authenticate(settings.username, settings.password.get_secret_value())


def _message(parcel: Parcel, settings: EmailSettings, to: EmailAddress) -> bytes:
    """Return the mail. Raises ChannelRefused if the file's name cannot stand in it."""
    if not _NAME.fullmatch(parcel.name):
        raise ChannelRefused(f"The file name {parcel.name!r} cannot stand in a mail; it has to be plain ASCII.")
    sender, name = str(settings.from_), parcel.name
    digest = hashlib.sha256(parcel.content).hexdigest()[:16]
    message = EmailMessage(_POLICY)
    message["From"] = sender
    message["To"] = to
    if settings.cc:
        message["Cc"] = settings.cc
    message["Date"] = localtime()
    message["Message-ID"] = f"<{name.removesuffix('.csv')}.{digest}@{sender.partition('@')[2]}>"
    if settings.subject:
        message["Subject"] = settings.subject
    message.set_content(settings.body.encode("utf-8", "replace").decode("utf-8"))
    kind = {"name": name, "charset": "utf-8"}
    message.add_attachment(parcel.content, maintype="text", subtype="csv", filename=name, params=kind)
    return message.as_bytes(policy=_UNFOLDED)


def _keys(shared: Settings) -> list[str]:
    """Return the event types whose files leave as mails."""
    return [key for key in shared.event_type_keys if shared.channel_of_files(key) == "email"]


def _address(settings: EmailSettings, shared: Settings, key: str) -> EmailAddress | None:
    """Return where the files of an event type go."""
    event_type = shared.event_type(key)
    return (event_type and event_type.email_to) or settings.to


def _check(settings: EmailSettings, shared: Settings) -> None:
    """Raise Misconfigured unless the settings fit together."""
    if bool(settings.username) != bool(settings.password.get_secret_value()):
        raise Misconfigured("CAPTURE_EMAIL_USERNAME and CAPTURE_EMAIL_PASSWORD go together: set both or neither.")
    if settings.username and settings.security == "none":
        raise Misconfigured(
            "CAPTURE_EMAIL_USERNAME is not sent over a connection that is not encrypted: set CAPTURE_EMAIL_SECURITY to"
            " starttls or tls, or empty CAPTURE_EMAIL_USERNAME and CAPTURE_EMAIL_PASSWORD."
        )
    if without := [key for key in _keys(shared) if not _address(settings, shared, key)]:
        raise Misconfigured(
            f"CAPTURE_EMAIL_TO is missing: set it to the address that impact.com gave for conversions, or give email_to"
            f" in CAPTURE_EVENT_TYPES to {', '.join(without)}."
        )

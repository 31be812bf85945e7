"""How an SFTP server and we prove to each other who we are: its key is checked, then one credential is offered once.

Of what a server says only numbers are repeated: its words may contain a user name or a password.
"""

import asyncio
import getpass
import logging
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import asyncssh
from asyncssh.public_key import get_default_public_key_algs
from asyncssh.saslprep import SASLPrepError, saslprep

from app.config import Settings
from app.delivery.channels.sftp import SftpSettings
from app.delivery.channels.sftp_session import Session
from app.egress import connect
from app.errors import ChannelUnavailable, CredentialsRefused, DeliveryError, Misconfigured, ReceiverNotTrusted

logger = logging.getLogger(__name__)


class Server:
    """An SFTP server, the keys it is known by, and the credential for it."""

    def __init__(self, settings: SftpSettings, shared: Settings) -> None:
        self._settings, self._shared = settings, shared
        self._host_keys = [asyncssh.import_public_key(line) for line in settings.host_keys]
        self._private_key = _read_private_key(settings) if settings.key_file else None
        try:
            saslprep(settings.username)
        except SASLPrepError:
            raise Misconfigured("CAPTURE_SFTP_USERNAME has a character that no user name can have.") from None

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Session]:
        """Connect and log in, and hang up in the end. Raises DeliveryError."""
        logger.debug("channel.connecting")
        host, seconds, private = self._settings.host, self._shared.connect_seconds, self._shared.allow_private_hosts
        with connect(host, self._settings.port, seconds=seconds, allow_private=private) as sock:
            logger.debug("channel.connected")
            credential = _Credential(self._settings.password.get_secret_value(), self._private_key)
            connection: asyncssh.SSHClientConnection | None = None
            try:
                async with self._login_answered(credential):
                    # With its name, since a peer that has hung up already has no address that could be asked for.
                    connection = await asyncssh.connect(host, sock=sock, **self._options(credential))
                    sftp = await connection.start_sftp_client()
                logger.debug("channel.logged_in")
                yield Session(sftp, host, self._shared.transfer_seconds)
            finally:
                if connection is not None:
                    connection.close()
                    await connection.wait_closed()

    def _options(self, credential: "_Credential") -> dict[str, object]:
        """Return what makes asyncssh heed our settings alone: no file of this account, no agent, no default key."""
        _name_this_account()
        return {
            "config": None,
            "known_hosts": (self._host_keys, [], []),
            "server_host_key_algs": _kinds(self._host_keys),
            "x509_trusted_certs": None,
            "x509_trusted_cert_paths": [],
            "username": self._settings.username,
            "client_factory": lambda: credential,
            "password": credential.hand_over_password if credential.password else None,
            "client_keys": None,  # not []: that stands for the keys of this account; the factory hands ours over
            "preferred_auth": ["password", "keyboard-interactive"] if credential.password else ["publickey"],
            "agent_path": None,
            "gss_host": None,
            "login_timeout": 0,  # ours counts
        }

    @asynccontextmanager
    async def _login_answered(self, credential: "_Credential") -> AsyncIterator[None]:
        """Translate what fails between the connection and the first request."""
        host, seconds = self._settings.host, self._shared.login_seconds
        try:
            async with asyncio.timeout(seconds):
                yield
        except TimeoutError:
            raise ChannelUnavailable(
                f"{host} did not finish the login within {seconds} seconds; if it is slow, raise CAPTURE_LOGIN_SECONDS."
            ) from None
        except (asyncssh.Error, OSError) as error:
            raise _failure(error, host, credential) from None


class _Credential(asyncssh.SSHClient):
    """Hands a password or a key over once, and knows whether an answer to it is still due."""

    def __init__(self, password: str, key: asyncssh.SSHKey | None) -> None:
        self.password, self._key = password, key
        self.answer_is_due = False

    def hand_over_password(self) -> str:
        """Return the password; asyncssh asks for it once."""
        self.answer_is_due = True
        return self.password

    def public_key_auth_requested(self) -> asyncssh.SSHKey | None:
        """Return the key the first time; asyncssh asks until there is none."""
        self.answer_is_due = True
        key, self._key = self._key, None
        return key

    def auth_completed(self) -> None:
        """Note that the server has let us in."""
        self.answer_is_due = False


def _kinds(host_keys: Sequence[asyncssh.SSHKey]) -> list[str]:
    """Return the kinds of keys that a server may show: first those of the pinned ones, so that it shows one of these.

    The others are there for it to show a wrong key, and not to hang up for want of a right one.
    """
    pinned = [kind for key in host_keys for kind in key.sig_algorithms]
    return [kind.decode() for kind in dict.fromkeys([*pinned, *get_default_public_key_algs()])]


def _failure(error: Exception, host: str, credential: _Credential) -> DeliveryError:
    """Say what a failed login means. A server that hangs up with a message instead of an answer has refused it."""
    if isinstance(error, asyncssh.HostKeyNotVerifiable):
        return ReceiverNotTrusted(
            f"{host} shows no host key that CAPTURE_SFTP_HOST_KEYS names; ask who runs it whether the key was changed,"
            " and set the new one only if they confirm it."
        )
    told_to_leave = isinstance(error, asyncssh.DisconnectError) and not isinstance(error, asyncssh.ConnectionLost)
    if isinstance(error, asyncssh.PermissionDenied) or (told_to_leave and credential.answer_is_due):
        kind = "PASSWORD" if credential.password else "KEY_FILE"
        return CredentialsRefused(
            f"{host} refused the login; look at CAPTURE_SFTP_USERNAME and CAPTURE_SFTP_{kind}, and ask whether the"
            " account is open."
        )
    number = f" (code {error.code})" if isinstance(error, asyncssh.DisconnectError | asyncssh.ChannelOpenError) else ""
    return ChannelUnavailable(
        f"{host} broke the login off{number}; if this goes on, look at CAPTURE_SFTP_PORT, and ask whether the account"
        " may use SFTP."
    )


def _read_private_key(settings: SftpSettings) -> asyncssh.SSHKey:
    """Return the key of the settings. Raises Misconfigured."""
    name, passphrase = f"CAPTURE_SFTP_KEY_FILE: {settings.key_file}", settings.key_passphrase.get_secret_value()
    try:
        return asyncssh.read_private_key(str(settings.key_file), passphrase or None)
    except OSError as error:
        raise Misconfigured(f"{name} cannot be read ({error.strerror}).") from None
    except ValueError:
        how = "with" if passphrase else "without"
        raise Misconfigured(
            f"{name} is not a private key, or does not open {how} CAPTURE_SFTP_KEY_PASSPHRASE."
        ) from None


def _name_this_account() -> None:
    """Let the account have a name and a home: asyncssh wants to know both, and in a container there may be neither."""
    try:
        getpass.getuser()
    except (KeyError, OSError):
        os.environ["LOGNAME"] = "capture"
    try:
        Path.home()
    except RuntimeError:
        os.environ["HOME"] = os.devnull  # in which there is nothing to find

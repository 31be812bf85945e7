"""The mail drop: STARTTLS and a login first, then each attachment of a mail is a file."""

import asyncio
import hmac
import ssl
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword

from app.sandbox.desk import Desk
from app.sandbox.drops.loop import Loop

LARGEST_MAIL = 64 * 1024 * 1024


class SmtpDrop:
    """Listens until it is closed."""

    def __init__(self, desk: Desk, certificate: Path, login: tuple[str, str], loop: Loop, port: int) -> None:
        self._desk, self._login, self._loop = desk, login, loop
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.load_cert_chain(certificate)
        self._server = loop.run(self._listen(port))

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.sockets[0].getsockname()[1])

    def close(self) -> None:
        """Stop."""
        self._loop.run(self._close())

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Envelope) -> str:  # noqa: N802 (aiosmtpd's name)
        """Take the attachments of a mail."""
        content = envelope.content
        mail = message_from_bytes(content if isinstance(content, bytes) else b"", policy=default)
        for part in mail.iter_attachments():
            payload = part.get_payload(decode=True)
            if isinstance(payload, bytes) and part.get_filename():
                self._desk.receive(str(part.get_filename()), payload, "smtp")
        return "250 OK"

    def _authenticate(self, _server: Any, _session: Any, _envelope: Any, _mechanism: str, login: Any) -> AuthResult:
        given = login.login + b"\n" + login.password if isinstance(login, LoginPassword) else b""
        right = hmac.compare_digest(given, "\n".join(self._login).encode())
        return AuthResult(success=right, handled=False)

    async def _listen(self, port: int) -> asyncio.Server:
        def visit() -> SMTP:
            return SMTP(
                self,
                hostname="sandbox",
                tls_context=self._tls,
                require_starttls=True,
                auth_required=True,
                authenticator=self._authenticate,
                data_size_limit=LARGEST_MAIL,
                loop=asyncio.get_running_loop(),
            )

        return await asyncio.get_running_loop().create_server(visit, self._desk.options.host, port)

    async def _close(self) -> None:
        self._server.close()
        await self._server.wait_closed()

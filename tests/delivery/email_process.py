"""The mail server in a process of its own, for lines that are cut and senders that are killed; it keeps mails in files.

python -m tests.delivery.email_process FOLDER PORT     with the certificate server.pem in the folder
"""

import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trustme
from aiosmtpd.smtp import Envelope

from app.delivery.channels.email import EmailChannel, EmailSettings
from tests.delivery.email_server import PASSWORD, SENDER, TO, USERNAME, Mail, Mailbox, ca_file, mail_server
from tests.delivery.receiver import Receiver, settings
from tests.servers import HOST, free_port


@dataclass
class Filing(Mailbox):
    """Mails go into a folder, each whole before it is confirmed."""

    folder: Path = Path()
    count: int = 0

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Envelope) -> str:  # noqa: N802  # aiosmtpd's name
        assert isinstance(envelope.content, bytes)
        self.count += 1
        part = self.folder / "part"
        part.write_bytes(envelope.content)
        part.rename(self.folder / f"{self.count:06}.eml")
        return "250 kept"


def serve(folder: Path, port: int) -> None:
    """Serve until the process is killed."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "server.pem")
    with mail_server(Filing(folder=folder), port, context):
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        threading.Event().wait()


@contextmanager
def email_apart(tmp_path: Path) -> Iterator[Receiver]:
    """A mail server with STARTTLS and a login."""
    authority, port = trustme.CA(), free_port()
    authority.issue_cert(HOST).private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "server.pem"))
    account = EmailSettings.model_validate(
        {"host": HOST, "port": port, "username": USERNAME, "password": PASSWORD, "from_": SENDER, "to": TO}
        | {"ca_file": ca_file(authority, tmp_path)}
    )
    command = [sys.executable, "-m", "tests.delivery.email_process", str(tmp_path), str(port)]
    running: list[subprocess.Popen[bytes]] = []

    def begin() -> None:
        running.append(subprocess.Popen(command, cwd=Path(__file__).parents[2], stdout=subprocess.PIPE))
        assert running[-1].stdout
        assert running[-1].stdout.readline() == b"ready\n"

    def end() -> None:
        running[-1].kill()
        running[-1].communicate()

    def mails() -> dict[Path, Mail]:
        return {path: Mail("", [], path.read_bytes()) for path in sorted(tmp_path.glob("*.eml"))}

    def forget(name: str) -> None:
        for path, mail in mails().items():
            if mail.attachment.get_filename() == name:
                path.unlink()

    begin()
    try:
        yield Receiver(
            EmailChannel(account, settings(channel="email")),
            lambda: Mailbox([*mails().values()]).files(),
            end,
            begin,
            forget,
            lambda: Mailbox([*mails().values()]).arrived(),
        )
    finally:
        end()


if __name__ == "__main__":
    serve(Path(sys.argv[1]), int(sys.argv[2]))

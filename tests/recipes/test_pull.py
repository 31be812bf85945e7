"""The recipe for a directory that impact.com pulls from: real servers, set up by the recipe's own lines.

The servers run in a mount namespace in which /etc and /srv are the test's, so that accounts and directories are made by
the very commands of the recipe, and nothing is left behind.
"""

import asyncio
import ftplib
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncssh
import pytest
import trustme

from app.delivery.channels.folder import FolderChannel, FolderSettings
from tests.delivery.receiver import NAME, PARCEL, ignore
from tests.recipes.recipe import blocks, changed, listens
from tests.servers import HOST, free_port, wait_until
from tests.system import PLACES, program

pytestmark = pytest.mark.system

PASSWORD = "a-long-random-one"
ENTER = """
set -eu
mount --bind "$WORLD/etc" /etc
mount --bind "$WORLD/srv" /srv
"""


@pytest.fixture
def world(tmp_path: Path) -> Path:
    """A copy of what the recipe changes: /etc and /srv."""
    shutil.copytree("/etc", tmp_path / "etc", symlinks=True, ignore_dangling_symlinks=True)
    (tmp_path / "srv").mkdir(0o755)
    (tmp_path / "srv").chmod(0o755)
    for secret in ("shadow", "gshadow"):
        (tmp_path / "etc" / secret).chmod(0o640)
    return tmp_path


@contextmanager
def serving(world: Path, port: int, command: str) -> Iterator[None]:
    """Set the account up as the recipe does, run a server in the world of the test, and leave a file there."""
    script = ENTER + blocks("pull.md")["accounts.sh"] + f"exec {command}\n"
    surroundings = {"WORLD": str(world), "PASSWORD": PASSWORD, "SERVICE": "root", "PATH": PLACES}
    with (
        (world / "log").open("wb") as log,
        subprocess.Popen(
            [program("unshare"), "--mount", "--propagation", "private", "sh", "-c", script],
            env=surroundings,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        ) as process,
    ):
        try:
            wait_until(lambda: process.poll() is not None or listens(port), "the server does not start")
            assert process.poll() is None, (world / "log").read_text("utf-8")
            FolderChannel(FolderSettings(path=world / "srv" / "impact" / "outbox")).send(PARCEL, ignore)
            yield
        finally:
            process.kill()


def test_openssh_shows_the_files_and_nothing_else(world: Path) -> None:
    """The account fetches the very bytes; it writes nothing, sees nothing outside, and gets no shell."""
    port, key = free_port(), asyncssh.generate_private_key("ssh-ed25519")
    (world / "etc" / "host_key").touch(0o600)
    (world / "etc" / "host_key").write_bytes(key.export_private_key())
    (world / "etc" / "impact.conf").write_text(blocks("pull.md")["impact.conf"], "utf-8")
    lines = [
        *(f"Port {port}", f"ListenAddress {HOST}", "HostKey /etc/host_key", "PidFile none", "UsePAM no"),
        *("PasswordAuthentication no", "Subsystem sftp internal-sftp", "Include /etc/impact.conf"),
    ]
    (world / "etc" / "test_sshd_config").write_text("\n".join([*lines, ""]), "utf-8")
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)

    async def visit() -> None:
        async with asyncssh.connect(
            HOST,
            port,
            username="impact",
            password=PASSWORD,
            known_hosts=([key.convert_to_public()], [], []),
            client_keys=None,
            agent_path=None,
            config=None,
        ) as connection:
            async with connection.start_sftp_client() as client:
                assert {str(name) for name in await client.listdir(".")} == {".", "..", NAME}
                await client.get(f"/outbox/{NAME}", world / "fetched")
                assert (world / "fetched").read_bytes() == PARCEL.content
                for forbidden in (client.remove(NAME), client.mkdir("/outbox/new"), client.listdir("/etc")):
                    with pytest.raises(asyncssh.SFTPError):
                        await forbidden
            shell = await connection.run("id", timeout=20)
            assert "uid=" not in str(shell.stdout)

    with serving(world, port, f"{program('sshd')} -D -e -f /etc/test_sshd_config"):
        asyncio.run(visit())


def test_vsftpd_shows_the_files_and_nothing_else(world: Path) -> None:
    """Over TLS only, the account fetches the very bytes; it writes nothing and sees nothing outside."""
    port, authority = free_port(), trustme.CA()
    certificate = authority.issue_cert(HOST)
    (world / "etc" / "ssl" / "impact").mkdir(parents=True)
    certificate.cert_chain_pems[0].write_to_path(world / "etc" / "ssl" / "impact" / "fullchain.pem")
    certificate.private_key_pem.write_to_path(world / "etc" / "ssl" / "impact" / "privkey.pem")
    conf = changed(blocks("pull.md")["vsftpd.conf"], {"listen_port=21\n": f"listen_port={port}\n"})
    (world / "etc" / "vsftpd.conf").write_text(conf + "seccomp_sandbox=NO\nbackground=NO\n", "utf-8")
    (world / "etc" / "vsftpd.impact").write_text("impact\n", "utf-8")
    (world / "etc" / "pam.d" / "vsftpd-impact").write_text(blocks("pull.md")["vsftpd-impact"], "utf-8")
    context = ssl.create_default_context()
    authority.configure_trust(context)
    with serving(world, port, f"{program('vsftpd')} /etc/vsftpd.conf"):
        with ftplib.FTP() as plain:  # noqa: S321 (to see it refused)
            plain.connect(HOST, port, timeout=30)
            with pytest.raises(ftplib.error_perm):
                plain.login("impact", PASSWORD)
        with ftplib.FTP_TLS(context=context, timeout=30) as client:  # noqa: S321 (over TLS)
            client.connect(HOST, port)
            client.login("impact", PASSWORD)
            client.prot_p()
            client.cwd("/outbox")
            (world / "srv" / "impact" / "outbox" / f"{NAME}.1.part").write_bytes(b"half")
            assert client.nlst() == [NAME]
            content = bytearray()
            client.retrbinary(f"RETR {NAME}", content.extend)
            assert bytes(content) == PARCEL.content
            for forbidden in (f"DELE {NAME}", "MKD new", f"RNFR {NAME}"):
                with pytest.raises(ftplib.error_perm):
                    client.voidcmd(forbidden)
            with pytest.raises(ftplib.error_perm):
                client.retrbinary(f"RETR {NAME}.1.part", content.extend)
            assert client.pwd() == "/outbox"
            with pytest.raises(ftplib.error_perm):
                client.cwd("/etc")

"""The ways by which files get into a sandbox, with the service's own channels and over real sockets."""

import asyncio
import csv
import smtplib
import ssl
from email.message import EmailMessage
from ftplib import FTP_TLS, error_perm
from io import BytesIO
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from app.config import Settings
from app.delivery.channels.email import EmailChannel, EmailSettings
from app.delivery.channels.ftp import FtpChannel, FtpsSettings
from app.delivery.channels.sftp import SftpChannel, SftpSettings
from app.delivery.parcel import Parcel
from tests.sandbox.conftest import Box, Boxes
from tests.sandbox.world import ITEM, NOW, item
from tests.servers import wait_until

CONTENT = f"{ITEM}\r\n{item()}\r\n{item('A-2', currency='X')}\r\n".encode()
CHANNELS: dict[str, tuple[str, type[Any], type[Any], dict[str, str]]] = {
    "sftp": ("sftp", SftpChannel, SftpSettings, {}),
    "sftp, renamed": ("sftp", SftpChannel, SftpSettings, {"publish": "rename"}),
    "ftps": ("ftps", FtpChannel, FtpsSettings, {}),
    "smtp": ("smtp", EmailChannel, EmailSettings, {}),
}


def files(box: Box) -> list[tuple[str, str, int, int]]:
    """Return name, way, records and errors of each file."""
    found = box.sandbox.state()["files"]
    return [(one["name"], one["source"], one["records"], len(one["errors"])) for one in found]


@pytest.mark.parametrize("write_only", [True, False])
@pytest.mark.parametrize("name", CHANNELS)
def test_the_service_s_channel_gets_a_file_through(
    start: Boxes, monkeypatch: pytest.MonkeyPatch, name: str, write_only: bool
) -> None:
    """With nothing but the settings that the sandbox tells; the same file again is another submission."""
    way, channel, settings, more = CHANNELS[name]
    box = start(write_only=write_only, **{f"{way}_port": 0})
    for variable, value in box.sandbox.settings.items():
        monkeypatch.setenv(variable, value)
    shared = Settings.model_validate({"campaign_id": 1, "action_tracker_id": 2, "allow_private_hosts": True})
    for _ in range(2 if not more else 1):
        channel(settings(**more), shared).send(Parcel("2026-11-27_ActionData_x.csv", CONTENT), lambda _: None)
    first, *again = files(box)
    assert first == ("2026-11-27_ActionData_x.csv", way, 2, 1)
    assert [one[3] for one in again] == ([] if more else [2])


def _connect(box: Box, password: str) -> Any:
    settings = box.sandbox.settings
    return asyncssh.connect(
        "127.0.0.1",
        int(settings["CAPTURE_SFTP_PORT"]),
        known_hosts=([asyncssh.import_public_key(settings["CAPTURE_SFTP_HOST_KEYS"])], [], []),
        username="merchant",
        password=password,
        client_keys=None,
        config=None,
    )


async def _sftp(box: Box, password: str) -> tuple[list[str], str]:
    async with _connect(box, password) as connection, connection.start_sftp_client() as sftp:
        async with sftp.open("a.csv", "wb") as file:
            await file.write(CONTENT)
        names = [str(one) for one in await sftp.listdir(".") if one not in {".", ".."}]
        try:
            async with sftp.open("a.csv", "rb") as file:
                return names, str(len(await file.read()))
        except asyncssh.SFTPError as error:
            return names, type(error).__name__


async def _break_off(box: Box) -> None:
    connection = await _connect(box, box.sandbox.password)
    sftp = await connection.start_sftp_client()
    file = await sftp.open("half.csv", "wb")
    await file.write(CONTENT[:100])
    connection.abort()
    await connection.wait_closed()


@pytest.mark.parametrize(
    ("write_only", "seen"), [(True, ([], "SFTPPermissionDenied")), (False, (["a.csv"], str(len(CONTENT))))]
)
def test_what_the_sftp_drop_shows_is_a_setting(start: Boxes, write_only: bool, seen: tuple[list[str], str]) -> None:
    """As impact.com's it shows and gives back nothing; another password gets nowhere."""
    box = start(sftp_port=0, write_only=write_only)
    assert asyncio.run(_sftp(box, box.sandbox.password)) == seen
    assert files(box) == [("a.csv", "sftp", 2, 1)]
    with pytest.raises(asyncssh.PermissionDenied):
        asyncio.run(_sftp(box, "wrong"))


def test_an_upload_that_breaks_off_is_no_file(start: Boxes) -> None:
    """Half a file is never worked on; the next upload is."""
    box = start(sftp_port=0)
    asyncio.run(_break_off(box))
    asyncio.run(_sftp(box, box.sandbox.password))
    assert [one[0] for one in files(box)] == ["a.csv"]


def _ftps(box: Box) -> FTP_TLS:
    settings = box.sandbox.settings
    context = ssl.create_default_context(cafile=settings["CAPTURE_FTPS_CA_FILE"])
    ftp = FTP_TLS(context=context, timeout=20)  # noqa: S321 (with TLS it is secure)
    ftp.connect("127.0.0.1", int(settings["CAPTURE_FTPS_PORT"]))
    return ftp


def test_the_ftps_drop_wants_tls_and_shows_nothing(start: Boxes) -> None:
    """No login in the clear, no data in the clear, nothing given back."""
    box = start(ftps_port=0)
    with _ftps(box) as ftp:
        with pytest.raises(error_perm):
            ftp.sendcmd("USER merchant")
        ftp.login("merchant", box.sandbox.password)
        with pytest.raises(error_perm):
            ftp.storbinary("STOR a.csv", BytesIO(CONTENT))
        ftp.prot_p()
        ftp.storbinary("STOR a.csv", BytesIO(CONTENT))
        with pytest.raises(error_perm):
            ftp.retrbinary("RETR a.csv", lambda _: None)
    assert files(box) == [("a.csv", "ftps", 2, 1)]


def test_each_attachment_of_a_mail_is_a_file(start: Boxes) -> None:
    """After STARTTLS and a login, and not before."""
    box = start(smtp_port=0)
    settings = box.sandbox.settings
    mail = EmailMessage()
    mail["From"], mail["To"] = settings["CAPTURE_EMAIL_FROM"], settings["CAPTURE_EMAIL_TO"]
    mail.set_content("two files")
    for name in ("a.csv", "result_b.csv"):
        mail.add_attachment(CONTENT, maintype="text", subtype="csv", filename=name)
    with smtplib.SMTP("127.0.0.1", int(settings["CAPTURE_EMAIL_PORT"]), timeout=20) as smtp:
        with pytest.raises(smtplib.SMTPSenderRefused):
            smtp.send_message(mail)
        smtp.starttls(context=ssl.create_default_context(cafile=settings["CAPTURE_EMAIL_CA_FILE"]))
        with pytest.raises(smtplib.SMTPAuthenticationError):
            smtp.login("merchant", "wrong")
        smtp.login("merchant", box.sandbox.password)
        smtp.send_message(mail)
    assert files(box) == [("a.csv", "smtp", 2, 1)]
    assert box.sandbox.state()["ignored_files"] == ["result_b.csv"]


def test_a_folder_is_pulled_and_results_are_written(start: Boxes, tmp_path: Path) -> None:
    """Once for each content of a file, in the interval or when told; the result names each line that was refused."""
    folder, results = tmp_path / "outbox", tmp_path / "results"
    folder.mkdir()
    (folder / "a.csv").write_bytes(CONTENT)
    (folder / "a.csv.part").write_bytes(b"half")
    box = start(pull_folder=folder, results_folder=results)
    wait_until((results / "result_a.csv").exists, "nothing is pulled at the start")
    box.sandbox.pull()
    assert files(box) == [("a.csv", "pull", 2, 1)]
    (folder / "a.csv").write_bytes(CONTENT + f"{item('A-3')}\r\n".encode())
    box.sandbox.pull()
    assert [one[2:] for one in files(box)] == [(2, 1), (3, 2)]
    with (results / "result_a.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    header = "Line,OrderId,Sku,Category,CampaignId,ActionTrackerId,MediaPartnerId,Status,Reason"
    assert ",".join(rows[0]) == header
    with (results / "receipt_a.csv").open(encoding="utf-8", newline="") as file:
        assert next(csv.DictReader(file))["FileName"] == "a.csv"


def test_a_file_is_pulled_again_in_the_interval(start: Boxes, tmp_path: Path) -> None:
    """Without anybody telling it to."""
    box = start(pull_folder=tmp_path, pull_seconds=1)
    (tmp_path / "a.csv").write_bytes(CONTENT)
    wait_until(lambda: len(files(box)) == 1, "the folder is not looked at again")
    assert box.sandbox.state()["files"][0]["submitted_at"] == NOW.isoformat()

"""Files go to an FTP server with TLS: to the one that is meant, or not at all."""

import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme

from app.delivery.channels.ftp import FtpChannel
from app.errors import ChannelRefused, ChannelUnavailable, CredentialsRefused, Misconfigured, ReceiverNotTrusted
from tests.delivery.ftp_server import Scripted, certificate, channel, kept, tls, vsftpd
from tests.delivery.receiver import NAME, PARCEL, ignore
from tests.servers import HOST


@pytest.fixture
def certificates(tmp_path: Path) -> tuple[Path, Path]:
    """A server's certificate and its issuer's."""
    return certificate(tmp_path / "certificates")


@pytest.mark.system
def test_a_server_that_demands_one_tls_session_for_all_takes_the_file(tmp_path: Path) -> None:
    """Debian's vsftpd with `require_ssl_reuse`: the data continues the session of the control connection."""
    with vsftpd(tmp_path) as receiver:
        receiver.channel.send(PARCEL, ignore)
        receiver.channel.send(PARCEL, ignore)
        assert receiver.files() == {NAME: PARCEL.content}
        assert receiver.channel.ask(PARCEL) is not False


def test_a_wrong_password_is_tried_once(tmp_path: Path) -> None:
    """The account is not locked by trying: the server counts one login, and who is to look is told where."""
    server, issuer = certificate(tmp_path / "certificates")
    logins = tmp_path / "logins"
    with kept(tmp_path, issuer, certificate=str(server), logins=str(logins)) as receiver:
        assert isinstance(receiver.channel, FtpChannel)
        sender = channel(receiver.channel.settings.port, issuer, password="wrong")
        with pytest.raises(CredentialsRefused, match="CAPTURE_FTPS_PASSWORD"):
            sender.send(PARCEL, ignore)
        receiver.channel.ask(PARCEL)  # by its answer, the server has noted all that was before
        assert logins.read_text() == "x"
        assert receiver.files() == {}


def self_signed(folder: Path) -> Path:
    """Return a certificate that is its own issuer, with its key."""
    issuer, path = trustme.CA(), folder / "self.pem"
    path.write_bytes(issuer.private_key_pem.bytes() + issuer.cert_pem.bytes())
    return path


def expired(folder: Path) -> Path:
    """Return a certificate of yesterday, and let its issuer be trusted."""
    past = datetime.now(UTC) - timedelta(days=2)
    return certificate(folder, not_before=past, not_after=past + timedelta(days=1))[0]


def early(folder: Path) -> Path:
    """Return a certificate of tomorrow."""
    return certificate(folder, not_before=datetime.now(UTC) + timedelta(days=1))[0]


@pytest.mark.parametrize(
    ("host", "make", "word"),
    [
        (HOST, expired, "has expired"),
        (HOST, early, "not valid yet"),
        (HOST, self_signed, "is self-signed"),
        ("localhost", lambda folder: certificate(folder, "ftp.impact.example")[0], "another host name"),
        (HOST, lambda folder: certificate(folder, "192.0.2.1")[0], "another address"),
        (HOST, lambda folder: certificate(folder / "stranger")[0], "issuer that is not known here"),
    ],
)
def test_who_cannot_prove_to_be_meant_gets_nothing(
    tmp_path: Path, certificates: tuple[Path, Path], host: str, make: Callable[[Path], Path], word: str
) -> None:
    """Neither user nor password, and the sentence says what is wrong with the certificate."""
    server, issuer = make(certificates[0].parent), certificates[1]
    with Scripted(control=tls(server)) as scripted:
        with pytest.raises(ReceiverNotTrusted, match=word):
            channel(scripted.port, issuer, host=host).send(PARCEL, ignore)
        assert scripted.heard == ["AUTH TLS"]


@pytest.mark.parametrize("answer", ["500 What?", "502 No.", "530 Log in first.", "534 No."])
def test_without_encryption_nothing_is_sent(certificates: tuple[Path, Path], answer: str) -> None:
    """Not offered, or taken out on the way: it is the same, and no password leaves."""
    with Scripted({"AUTH": answer}) as scripted:
        with pytest.raises(ReceiverNotTrusted, match="no password was sent"):
            channel(scripted.port, certificates[1]).send(PARCEL, ignore)
        assert scripted.heard == ["AUTH TLS"]


def test_old_tls_is_not_spoken(certificates: tuple[Path, Path]) -> None:
    """1.2 is the least."""
    old = tls(certificates[0])
    old.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    with pytest.warns(DeprecationWarning, match=r"TLSv1_1"):
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    old.set_ciphers("ALL:@SECLEVEL=0")
    with Scripted(control=old) as scripted:
        with pytest.raises(ReceiverNotTrusted, match=r"TLS 1\.2"):
            channel(scripted.port, certificates[1]).send(PARCEL, ignore)
        assert scripted.heard == ["AUTH TLS"]


def test_what_was_said_before_the_encryption_does_not_count(certificates: tuple[Path, Path]) -> None:
    """Somebody in between could have said it."""
    with Scripted({"AUTH": "234 Go ahead.\r\n530 You are nobody."}, control=tls(certificates[0])) as scripted:
        channel(scripted.port, certificates[1]).send(PARCEL, ignore)
        assert scripted.received == PARCEL.content


@pytest.mark.parametrize("command", ["PBSZ", "PROT"])
def test_data_is_not_sent_in_the_clear(certificates: tuple[Path, Path], command: str) -> None:
    """A server that wants it so gets no file."""
    with Scripted({command: "536 In the clear, please."}, control=tls(certificates[0])) as scripted:
        with pytest.raises(ReceiverNotTrusted, match="PROT P"):
            channel(scripted.port, certificates[1]).send(PARCEL, ignore)
        assert not [line for line in scripted.heard if line.startswith("STOR")]


def test_a_data_connection_that_is_not_encrypted_gets_nothing(certificates: tuple[Path, Path]) -> None:
    """It agreed to PROT P and does not keep it."""

    def agree(control: Any) -> None:
        control.sendall(b"200 Of course.\r\n")
        scripted.data = None

    scripted = Scripted({"PROT": agree}, control=tls(certificates[0]), take=0, after="")
    with scripted, pytest.raises((ReceiverNotTrusted, ChannelUnavailable)):
        channel(scripted.port, certificates[1]).send(PARCEL, ignore)
    assert PARCEL.content[:20] not in scripted.received


def test_another_server_on_the_data_connection_gets_nothing(tmp_path: Path, certificates: tuple[Path, Path]) -> None:
    """Its certificate is looked at as the first one is."""
    impostor = tls(certificate(tmp_path / "impostor")[0])
    with Scripted(control=tls(certificates[0]), data=impostor) as scripted:
        with pytest.raises(ReceiverNotTrusted, match="issuer that is not known here"):
            channel(scripted.port, certificates[1]).send(PARCEL, ignore)
        assert scripted.received == b""


def test_why_a_data_connection_is_refused_is_heard(certificates: tuple[Path, Path]) -> None:
    """It is closed before anything was sent, and the reason stands on the control connection."""

    def agree(control: Any) -> None:
        control.sendall(b"150 Send it.\r\n522 One session, please.\r\n")
        scripted._passive.accept()[0].close()

    scripted = Scripted({"STOR": agree}, control=tls(certificates[0]))
    with scripted, pytest.raises(ChannelRefused, match="522"):
        channel(scripted.port, certificates[1]).send(PARCEL, ignore)


def test_a_server_that_never_answers_the_end_of_tls_is_told_in_tcp(certificates: tuple[Path, Path]) -> None:
    """Some wait for the connection to end; the file is confirmed all the same."""
    with Scripted(control=tls(certificates[0]), answers_end_of_tls=False) as scripted:
        channel(scripted.port, certificates[1]).send(PARCEL, ignore)
        assert (scripted.received, scripted.ended) == (PARCEL.content, "end")


def test_a_file_of_issuers_that_cannot_be_read_stops_the_start(tmp_path: Path) -> None:
    """Absent or no certificates: the variable is named."""
    for path in (tmp_path / "absent.pem", tmp_path / "orders.csv"):
        (tmp_path / "orders.csv").write_text("OrderId\n")
        with pytest.raises(Misconfigured, match="CAPTURE_FTPS_CA_FILE"):
            channel(21, path)

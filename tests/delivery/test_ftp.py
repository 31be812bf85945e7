"""Files go to an FTP server: what its answers, and their absence, are taken for. Plain and with TLS alike."""

import logging
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from app.delivery.channels.ftp import FtpChannel, FtpSettings, FtpsSettings
from app.delivery.parcel import CHUNK, Parcel
from app.errors import (
    ChannelRefused,
    ChannelUnavailable,
    CredentialsRefused,
    DeliveryError,
    Misconfigured,
    OutcomeUnknown,
)
from tests.delivery.ftp_server import PASSWORD, USERNAME, Scripted, certificate, channel, kept, tls
from tests.delivery.receiver import NAME, PARCEL, ignore, settings

LOG = "app.delivery.channels.ftp"
SMALL = Parcel(NAME, b"OrderId\r\n1\r\n")
Start = Callable[..., tuple[FtpChannel, Scripted]]


@contextmanager
def starting(certificates: tuple[Path, Path] | None) -> Iterator[Start]:
    """Give a function that starts a scripted server, and gives a channel to it."""
    with ExitStack() as running:

        def start(answers: dict[str, Any] | None = None, **script: Any) -> tuple[FtpChannel, Scripted]:
            shared = script.pop("shared", None)
            control = tls(certificates[0]) if certificates else None
            server = running.enter_context(Scripted(answers, control=control, **script))
            return channel(server.port, certificates and certificates[1], shared), server

        yield start


@pytest.fixture
def start() -> Iterator[Start]:
    """Start a server without TLS."""
    with starting(None) as start:
        yield start


@pytest.fixture(params=["ftp", "ftps"])
def start_either(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Start]:
    """Start a server without TLS, and in another run one with it."""
    with starting(certificate(tmp_path / "certificates") if request.param == "ftps" else None) as start:
        yield start


def failure(sender: FtpChannel, parcel: Parcel = SMALL) -> DeliveryError:
    """Return the error that a delivery ends with, which is a sentence."""
    with pytest.raises(DeliveryError) as caught:
        sender.send(parcel, ignore)
    assert str(caught.value).endswith(".")
    return caught.value


def test_the_file_is_all_that_is_written_there(start_either: Start) -> None:
    """One login, one file under its final name in binary mode: no test files, folders, renaming or appending."""
    sender, server = start_either()
    sender.send(PARCEL, ignore)
    secure = isinstance(sender.settings, FtpsSettings)
    private = ["PBSZ 0", "PROT P"] if secure else []
    assert server.heard == [
        *(["AUTH TLS"] if secure else []),
        *(f"USER {USERNAME}", f"PASS {PASSWORD}", *private, "TYPE I", "PASV", f"STOR {NAME}", f"SIZE {NAME}", "QUIT"),
    ]
    assert server.received == PARCEL.content


def test_every_step_is_logged(start_either: Start, caplog: pytest.LogCaptureFixture) -> None:
    """What the crash tests go by."""
    sender, _ = start_either()
    caplog.clear()
    caplog.set_level(logging.DEBUG, LOG)
    sender.send(Parcel(NAME, b"x" * (CHUNK + 1)), ignore)
    assert [one.message for one in caplog.records] == [
        *("channel.connecting", "channel.connected", "channel.logged_in", "file.opened", "file.progress"),
        *("file.progress", "file.written", "file.closed", "file.checked"),
    ]


@pytest.mark.parametrize("code", ["226", "250"])
def test_a_confirmed_file_is_delivered(start: Start, code: str) -> None:
    """Both codes that confirm a file do."""
    sender, server = start(after=f"{code}-It is\r\n here\r\n{code} now.")
    sender.send(SMALL, ignore)
    assert server.received == SMALL.content


@pytest.mark.parametrize(
    ("after", "error"),
    [
        *[(f"{code} Sorry.", ChannelUnavailable) for code in (425, 426, 450, 451, 452)],
        *[(f"{code} Sorry.", ChannelRefused) for code in (550, 552, 553)],
        *[(answer, OutcomeUnknown) for answer in ("421 Bye.", "200 Fine.", "150 Wait.", "", "nonsense", "22")],
    ],
)
def test_only_a_confirmation_means_delivered(start_either: Start, after: str, error: type[DeliveryError]) -> None:
    """All was handed over: a plain no is one, and all else leaves open whether the file is there."""
    sender, server = start_either(after=after)
    assert type(failure(sender)) is error
    assert server.received == SMALL.content


def test_a_confirmation_that_never_comes_is_not_awaited_for_ever(start: Start) -> None:
    """Once everything was handed over, silence up to the deadline leaves the outcome open."""
    sender, _ = start(after=None, shared={"transfer_seconds": 4})
    assert type(failure(sender)) is OutcomeUnknown


@pytest.mark.parametrize(
    ("after", "error"),
    [
        ("", ChannelUnavailable),
        ("226 Done.", ChannelUnavailable),
        ("426 Cut off.", ChannelUnavailable),
        ("552 No room.", ChannelRefused),
    ],
)
def test_a_transfer_that_is_cut_in_the_middle_is_no_delivery(
    start_either: Start, after: str, error: type[DeliveryError]
) -> None:
    """Whatever the server says then, a part of a file is never taken for the whole; and why is heard."""
    sender, _ = start_either(take=3 * CHUNK, after=after)
    assert type(failure(sender, Parcel(NAME, bytes(32 * 1024 * 1024)))) is error


def test_a_server_that_stops_reading_holds_nothing_up(start: Start) -> None:
    """The deadline is one for the whole transfer, and then the file is tried again."""
    sender, _ = start(stalls=True, shared={"transfer_seconds": 2})
    assert type(failure(sender, Parcel(NAME, bytes(32 * 1024 * 1024)))) is ChannelUnavailable


def test_a_server_that_speaks_ever_so_slowly_holds_nothing_up(start: Start) -> None:
    """A byte now and then does not put the deadline off."""
    over = threading.Event()

    def drip(control: Any) -> None:
        while not over.wait(0.1):
            control.sendall(b"2")

    sender, _ = start({"USER": drip}, shared={"login_seconds": 1})
    begun = time.monotonic()
    try:
        assert type(failure(sender)) is ChannelUnavailable
        assert time.monotonic() - begun < 60
    finally:
        over.set()


@pytest.mark.parametrize(
    ("command", "answer", "error"),
    [
        ("greeting", "421 Too many.", ChannelUnavailable),
        ("greeting", "", ChannelUnavailable),
        ("greeting", "hello", ChannelUnavailable),
        ("greeting", "554 Go away.", ChannelRefused),
        ("USER", "421 Too many.", ChannelUnavailable),
        ("USER", "530 No.", CredentialsRefused),
        ("PASS", "530 No.", CredentialsRefused),
        ("PASS", "430 No.", CredentialsRefused),
        ("PASS", "421 Later.", ChannelUnavailable),
        ("PASS", "500 What?", ChannelRefused),
        ("PASS", "", ChannelUnavailable),
        ("TYPE", "504 No.", ChannelRefused),
        ("PASV", "502 No.", ChannelRefused),
        ("PASV", "227 (127,0,0,1,999,999)", ChannelUnavailable),
        ("PASV", "227 somewhere", ChannelUnavailable),
        ("PASV", "425 Later.", ChannelUnavailable),
        ("STOR", "550 No.", ChannelRefused),
        ("STOR", "553 No.", ChannelRefused),
        ("STOR", "452 Full.", ChannelUnavailable),
        ("STOR", "226 Done.", ChannelUnavailable),
    ],
)
def test_an_answer_before_the_file_says_whether_to_try_again(
    start: Start, command: str, answer: str, error: type[DeliveryError]
) -> None:
    """A refusal for good is for a person, all else passes; there is one login in each case, and no file."""
    sender, server = start({command: answer})
    assert type(failure(sender)) is error
    assert len([line for line in server.heard if line.startswith("PASS")]) <= 1
    assert server.received == b""


def test_a_secret_that_a_server_repeats_goes_no_further(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    """Neither user nor password is in an error, its causes or a log, nor the password in printed settings."""
    caplog.set_level(logging.DEBUG)
    told, errors = f"{USERNAME} with {PASSWORD}".encode().decode("latin-1"), []
    for command in ("greeting", "USER", "PASS", "TYPE", "PASV", "STOR"):
        for code in (150, 227, 332, 421, 430, 530, 999):
            sender, _ = start({command: f"{code} {told}"})
            try:
                sender.send(SMALL, ignore)
            except DeliveryError as error:
                errors.append("".join(traceback.format_exception(error)) + repr(error) + repr(error.__context__))
    assert len(errors) > 30
    printed = "".join([*errors, caplog.text, *(str(vars(one)) for one in caplog.records)])
    assert PASSWORD not in printed + repr(channel(21).settings)
    assert USERNAME not in printed


def test_who_is_told_to_stop_leaves_no_file_that_looks_whole(start_either: Start) -> None:
    """The data connection ends in a reset, which no server takes for the end of a file."""
    sender, server = start_either()

    def stop(handed_over: int) -> None:
        if handed_over > 3 * CHUNK:
            raise ChannelUnavailable("The worker was told to stop in the middle of it; it begins again.")

    with pytest.raises(ChannelUnavailable, match="told to stop"):
        sender.send(PARCEL, stop)
    server.wait_for_end()
    assert server.ended != "end"
    assert server.heard[-1] == f"STOR {NAME}"


def test_data_goes_to_the_configured_host_whatever_address_is_named(start: Start) -> None:
    """A server cannot send the orders elsewhere."""
    sender, server = start(address="192,0,2,1")
    sender.send(SMALL, ignore)
    assert server.received == SMALL.content


def test_greetings_in_another_alphabet_do_no_harm(start: Start) -> None:
    """Answers need not be UTF-8."""
    sender, server = start({"greeting": "220 Grüß Gott.", "USER": "331-Schön\r\nund gut\r\n331 Kennwört?"})
    sender.send(SMALL, ignore)
    assert server.received == SMALL.content


@pytest.mark.parametrize("answer", ["550 No.", "502 What?", "421 Bye.", "", "213 many", f"213 {len(SMALL.content)}"])
def test_a_size_that_is_not_shown_changes_nothing(start: Start, answer: str) -> None:
    """The file was confirmed: a drop may hide it, and a reader may have taken it already."""
    start({"SIZE": answer})[0].send(SMALL, ignore)


def test_a_file_that_is_shown_too_small_is_sent_again(start: Start) -> None:
    """It was confirmed, and yet it can be seen that it is not whole."""
    sender, _ = start({"SIZE": f"213 {len(SMALL.content) - 1}"})
    assert type(failure(sender)) is ChannelUnavailable


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (f"213 {len(SMALL.content)}", True),
        (f"213 {len(SMALL.content) - 1}", False),
        (f"213 {len(SMALL.content) + 1}", None),
        *[(f"{code} No.", None) for code in (500, 502, 550)],
    ],
)
def test_asking_tells_what_the_size_tells(start: Start, answer: str, told: bool | None) -> None:
    """Whole, visibly not whole, or not to be seen; and nothing is written to find out."""
    sender, server = start({"SIZE": answer})
    assert sender.ask(SMALL) is told
    assert not [line for line in server.heard if line.startswith("STOR")]


@pytest.mark.parametrize(
    ("command", "answer", "error"),
    [
        ("SIZE", "421 Bye.", ChannelUnavailable),
        ("SIZE", "", ChannelUnavailable),
        ("PASS", "530 No.", CredentialsRefused),
    ],
)
def test_who_cannot_be_asked_says_so(start: Start, command: str, answer: str, error: type[DeliveryError]) -> None:
    """Not to know whether a file is there is something else than not to see it."""
    sender, _ = start({command: answer})
    with pytest.raises(error):
        sender.ask(SMALL)


# Servers that keep what they are sent -------------------------------------------------------------------------------


def test_every_byte_arrives_as_it_is(tmp_path: Path) -> None:
    """No line ends are changed, as FTP does unless told otherwise."""
    parcel = Parcel(NAME, b"\n\r\n\r\x00\xff\xfe\x1a" * 1000 + bytes(range(256)))
    with kept(tmp_path, None) as receiver:
        receiver.channel.send(parcel, ignore)
        assert receiver.files() == {NAME: parcel.content}


def test_a_drop_that_shows_nothing_takes_the_file(tmp_path: Path) -> None:
    """Neither listing nor sizes: the confirmation is enough, and asking tells nothing."""
    with kept(tmp_path, None, rights="ew") as receiver:
        receiver.channel.send(PARCEL, ignore)
        assert receiver.files() == {NAME: PARCEL.content}
        assert receiver.channel.ask(PARCEL) is None


def test_a_file_that_is_taken_away_at_once_was_delivered(tmp_path: Path) -> None:
    """A reader that moves each file away as it comes finds it whole, each time."""
    taken = tmp_path / "taken"
    taken.mkdir()
    with kept(tmp_path, None, moved_to=str(taken)) as receiver:
        receiver.channel.send(PARCEL, ignore)
        receiver.channel.send(PARCEL, ignore)
        assert (receiver.files(), receiver.channel.ask(PARCEL)) == ({}, None)
    assert {one.name: one.read_bytes() for one in taken.iterdir()} == {NAME: PARCEL.content}


def test_files_go_into_the_directory_that_is_set(tmp_path: Path) -> None:
    """One that is not there is a person's to look at; it is not made."""
    with kept(tmp_path, None, directory="in/orders") as receiver:
        receiver.channel.send(PARCEL, ignore)
        assert receiver.files() == {NAME: PARCEL.content}
        sender = receiver.channel
        assert isinstance(sender, FtpChannel)
        lost = channel(sender.settings.port, directory="elsewhere")
        assert "CAPTURE_FTP_DIRECTORY" in str(failure(lost))
    assert not (tmp_path / "ftp" / "elsewhere").exists()


# Settings -----------------------------------------------------------------------------------------------------------


def test_plain_ftp_comes_with_one_warning(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    """It says that password and orders can be read on their way; with TLS there is none."""
    channel(21)
    assert [(one.levelname, one.message) for one in caplog.records] == [("WARNING", "channel.unencrypted")]
    assert PASSWORD not in str(vars(caplog.records[0]))
    channel(21, certificate(tmp_path / "certificates")[1])
    assert len(caplog.records) == 1


def test_hosts_on_the_inside_are_refused_unless_allowed(start: Start) -> None:
    """Nothing is sent to a private address by mistake."""
    sender, server = start(shared={"allow_private_hosts": False})
    assert type(failure(sender)) is ChannelRefused
    assert server.heard == []


@pytest.mark.parametrize("given", [FtpSettings(), FtpsSettings()])
def test_what_is_missing_is_named(given: FtpSettings) -> None:
    """Host, user and password, each with its variable."""
    with pytest.raises(Misconfigured) as caught:
        FtpChannel(given, settings())
    prefix = given.model_config.get("env_prefix")
    assert [line.split()[0] for line in str(caught.value).splitlines()] == [
        f"{prefix}{name}" for name in ("HOST", "USERNAME", "PASSWORD")
    ]


@pytest.mark.parametrize("name", ["host", "username", "password", "directory"])
def test_a_setting_cannot_bring_a_command_with_it(name: str) -> None:
    """A line break would begin one; what is wrong is said without the value."""
    with pytest.raises(ValueError, match="cannot be printed") as caught:
        FtpSettings.model_validate({name: f"{PASSWORD}\r\nDELE x"})
    assert PASSWORD not in str(caught.value.errors(include_input=False))  # type: ignore[attr-defined] # pydantic's

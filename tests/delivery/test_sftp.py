"""SFTP: OpenSSH's server in the forms that receivers give it, and one that misbehaves as each test tells it."""

import asyncio
import logging
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from pydantic import SecretStr

from app.config import load
from app.delivery.channels.sftp import SftpChannel, SftpSettings
from app.delivery.parcel import CHUNK, Parcel
from app.errors import (
    ChannelRefused,
    ChannelUnavailable,
    CredentialsRefused,
    DeliveryError,
    Misconfigured,
    OutcomeUnknown,
    ReceiverNotTrusted,
)
from tests.delivery.receiver import NAME, PARCEL, ignore
from tests.delivery.sftp_server import (
    PASSWORD,
    USER,
    Act,
    Request,
    Scripted,
    carry_out_and_hang_up,
    carry_out_and_move_away,
    channel,
    delayed,
    fail,
    hang_up,
    openssh,
    public_line,
    scripted_server,
    stall,
)
from tests.servers import HOST, wait_until

SIZE = len(PARCEL.content)
TWO_PIECES = Parcel("two.csv", b"x" * (2 * CHUNK))


@pytest.fixture
def scripted(tmp_path: Path) -> Iterator[Scripted]:
    """The server that does as it is told."""
    with scripted_server(tmp_path) as server:
        yield server


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """What the service logs, all of it, and the libraries as much as in production."""
    caplog.set_level(logging.DEBUG, logger="app")
    return caplog


def failure(sftp: SftpChannel, parcel: Parcel = PARCEL) -> DeliveryError:
    """Return what sending a file fails with."""
    with pytest.raises(DeliveryError) as raised:
        sftp.send(parcel, ignore)
    assert str(raised.value).endswith(".")
    return raised.value


def at(number: int, act: Act) -> Act:
    """Let requests be carried out, and do something else at the one of this number."""
    seen: list[None] = []

    def acting(request: Request) -> Any:
        seen.append(None)
        return act(request) if len(seen) == number else request.carry_out()

    return acting


# What a receiver allows ---------------------------------------------------------------------------------------------


@pytest.mark.system
def test_a_blind_drop_takes_a_file(tmp_path: Path) -> None:
    """impact.com's shows nothing: no listing, no size, no attributes; the file counts as delivered all the same."""
    denied = "opendir,readdir,stat,lstat,fstat,setstat,fsetstat,rename,posix-rename,remove,mkdir,realpath,limits"
    with openssh(tmp_path, denied=denied) as server:
        sftp = server.channel()
        assert sftp.ask(PARCEL) is None
        sftp.send(PARCEL, ignore)
        assert server.files() == {NAME: PARCEL.content}
        assert sftp.ask(PARCEL) is None


@pytest.mark.system
def test_what_can_be_seen_is_told(tmp_path: Path) -> None:
    """Where the file is shown, asking says whether it is whole; one that is gone may have been fetched."""
    with openssh(tmp_path) as server:
        sftp = server.channel()
        (server.folder / NAME).write_bytes(PARCEL.content[:-1])
        assert sftp.ask(PARCEL) is False
        sftp.send(PARCEL, ignore)
        assert sftp.ask(PARCEL) is True
        (server.folder / NAME).unlink()
        assert sftp.ask(PARCEL) is None


@pytest.mark.system
def test_a_longer_file_under_the_name_is_replaced(tmp_path: Path) -> None:
    """Nothing of what lay there before is left behind the end."""
    with openssh(tmp_path) as server:
        (server.folder / NAME).write_bytes(PARCEL.content + b"more")
        server.channel().send(PARCEL, ignore)
        assert server.files() == {NAME: PARCEL.content}


@pytest.mark.system
@pytest.mark.parametrize("denied", ["", "posix-rename"])
def test_with_rename_the_name_appears_when_the_file_is_whole(
    tmp_path: Path, log: pytest.LogCaptureFixture, denied: str
) -> None:
    """Until then it has a name that ends in `.part`, also where an interrupted attempt left one."""
    seen: list[tuple[str, dict[str, int]]] = []
    with openssh(tmp_path, denied=denied) as server:
        (server.folder / f"{NAME}.part").write_bytes(b"?" * (SIZE + 1))

        class Onlooker(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                seen.append((record.msg, {one.name: one.stat().st_size for one in server.folder.iterdir()}))

        onlooker, logger = Onlooker(), logging.getLogger("app.delivery.channels")
        logger.addHandler(onlooker)
        try:
            server.channel(publish="rename").send(PARCEL, ignore)
        finally:
            logger.removeHandler(onlooker)
        assert server.files() == {NAME: PARCEL.content}
    part = f"{NAME}.part"
    assert [step for step in seen if step[0] != "file.progress"] == [
        ("channel.connecting", {part: SIZE + 1}),
        ("channel.connected", {part: SIZE + 1}),
        ("channel.logged_in", {part: SIZE + 1}),
        ("file.opened", {part: 0}),
        ("file.written", {part: SIZE}),
        ("file.closed", {part: SIZE}),
        ("file.checked", {part: SIZE}),
        ("file.renamed", {NAME: SIZE}),
    ]


@pytest.mark.system
def test_a_server_that_renames_nothing_is_told_to_a_person(tmp_path: Path) -> None:
    """The sentence names the setting to change, nothing is left lying there, and with that setting it works."""
    with openssh(tmp_path, denied="rename,posix-rename") as server:
        refused = failure(server.channel(publish="rename"))
        assert isinstance(refused, ChannelRefused)
        assert "CAPTURE_SFTP_PUBLISH=direct" in str(refused)
        assert server.files() == {}
        server.channel(publish="direct").send(PARCEL, ignore)
        assert server.files() == {NAME: PARCEL.content}


@pytest.mark.system
def test_the_directory_of_the_settings_is_used(tmp_path: Path) -> None:
    """Files go there, and one that does not exist is a person's business: none is made."""
    with openssh(tmp_path) as server:
        (server.folder / "in").mkdir()
        for directory in ("in", str(server.folder / "in")):
            server.channel(directory=directory).send(PARCEL, ignore)
            assert [one.name for one in (server.folder / "in").iterdir()] == [NAME]
            (server.folder / "in" / NAME).unlink()
        refused = failure(server.channel(directory="out"))
        assert type(refused) is ChannelRefused
        assert "CAPTURE_SFTP_DIRECTORY" in str(refused)
        assert not (server.folder / "out").exists()


def test_a_file_that_is_moved_away_at_once_was_delivered(scripted: Scripted) -> None:
    """Some receivers take a file the moment it is closed; that it cannot be seen then means nothing."""
    scripted.script["close"] = carry_out_and_move_away
    sftp = scripted.channel()
    sftp.send(PARCEL, ignore)
    assert (scripted.home / "taken" / NAME).read_bytes() == PARCEL.content
    assert sftp.ask(PARCEL) is None


def test_nothing_is_done_beside_writing_the_file(scripted: Scripted) -> None:
    """No test file, no folder, no times or rights set, which a drop may refuse; one write at a time."""
    scripted.channel().send(TWO_PIECES, ignore)
    assert scripted.requests == [f"login of {USER}", "open", "write", "write", "close", "stat"]


# Who is there -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["ssh-ed25519", "ecdsa-sha2-nistp256"])
def test_another_host_key_ends_it_before_any_login(scripted: Scripted, kind: str) -> None:
    """Neither the user name nor the password leaves when the server is not the one whose key is pinned."""
    stranger = public_line(asyncssh.generate_private_key(kind))
    refused = failure(scripted.channel(host_keys=(stranger,)))
    assert isinstance(refused, ReceiverNotTrusted)
    assert "CAPTURE_SFTP_HOST_KEYS" in str(refused)
    assert (scripted.requests, scripted.logins) == ([], [])


def test_two_host_keys_may_be_pinned(scripted: Scripted) -> None:
    """While a key is replaced, the old and the new one are both good."""
    other = public_line(asyncssh.generate_private_key("ssh-ed25519"))
    for pinned in [(other, public_line(scripted.host_key)), (public_line(scripted.host_key), other)]:
        scripted.channel(host_keys=pinned).send(PARCEL, ignore)
    assert scripted.files() == {NAME: PARCEL.content}


@pytest.mark.system
def test_a_server_with_several_keys_shows_the_pinned_one(tmp_path: Path) -> None:
    """Whichever of its keys was pinned, it is that one which is looked at."""
    with openssh(tmp_path, kinds=("ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa")) as server:
        for key in server.host_keys:
            server.channel(host_keys=(public_line(key),)).send(PARCEL, ignore)
        assert server.files() == {NAME: PARCEL.content}


@pytest.mark.parametrize("way", ["password", "keyboard-interactive"])
def test_a_wrong_password_is_tried_once(tmp_path: Path, way: str) -> None:
    """The right one is taken however the server asks for it; a wrong one costs a single try, so nothing gets locked."""
    with scripted_server(tmp_path, login=way) as server:
        server.channel().send(PARCEL, ignore)
        assert server.logins == [PASSWORD]
        refused = failure(server.channel(password="wrong"))
        assert isinstance(refused, CredentialsRefused)
        assert "CAPTURE_SFTP_PASSWORD" in str(refused)
        assert server.logins == [PASSWORD, "wrong"]


def test_a_server_that_hangs_up_on_a_credential_has_refused_it(scripted: Scripted) -> None:
    """With a message it says so; when the line just breaks, the password may be right, and is tried again."""
    scripted.on_password = lambda connection: connection.disconnect(2, f"{PASSWORD} was wrong too often")
    assert type(failure(scripted.channel())) is CredentialsRefused
    scripted.on_password = lambda connection: connection.abort()
    assert type(failure(scripted.channel())) is ChannelUnavailable


@pytest.mark.system
@pytest.mark.parametrize("kind", ["ssh-ed25519", "ssh-rsa"])
def test_a_key_logs_in_and_a_wrong_one_is_tried_once(tmp_path: Path, kind: str) -> None:
    """impact.com asks for an RSA key, others like newer ones."""
    with openssh(tmp_path) as server:
        key, path = asyncssh.generate_private_key(kind), tmp_path / "own"
        key.write_private_key(path)
        refused = failure(server.channel(key_file=path))
        assert isinstance(refused, CredentialsRefused)
        assert "CAPTURE_SFTP_KEY_FILE" in str(refused)
        wait_until(lambda: "Connection closed" in server.log() or "Disconnected" in server.log(), "sshd says nothing")
        assert server.log().count("Failed publickey") == 1
        (tmp_path / "openssh" / "authorized_keys").write_text(public_line(key), "utf-8")
        server.channel(key_file=path).send(PARCEL, ignore)
        assert server.files() == {NAME: PARCEL.content}


@pytest.mark.system
def test_an_encrypted_key_opens_with_its_passphrase(tmp_path: Path) -> None:
    """In the form that ssh-keygen writes."""
    with openssh(tmp_path) as server:
        asyncssh.read_private_key(server.key_file).write_private_key(
            tmp_path / "locked", passphrase=PASSWORD, rounds=16, ignore_few_rounds=True
        )
        sftp = server.channel(key_file=tmp_path / "locked", key_passphrase=PASSWORD)
        sftp.send(PARCEL, ignore)
        assert server.files() == {NAME: PARCEL.content}


@pytest.mark.parametrize(
    ("name", "passphrase", "sentence"),
    [
        ("nothing", "", "cannot be read (No such file or directory)."),
        ("words", "", "is not a private key, or does not open without CAPTURE_SFTP_KEY_PASSPHRASE."),
        ("locked", "", "is not a private key, or does not open without CAPTURE_SFTP_KEY_PASSPHRASE."),
        ("locked", "another-secret", "is not a private key, or does not open with CAPTURE_SFTP_KEY_PASSPHRASE."),
    ],
)
def test_a_key_that_cannot_be_used_stops_the_start(tmp_path: Path, name: str, passphrase: str, sentence: str) -> None:
    """It is found out before the first file is due, and neither the key nor the passphrase is told."""
    key = asyncssh.generate_private_key("ssh-ed25519")
    key.write_private_key(tmp_path / "locked", passphrase=PASSWORD, rounds=16, ignore_few_rounds=True)
    (tmp_path / "words").write_text("no key at all", "utf-8")
    own = {"host": "sftp.example", "username": USER, "host_keys": (public_line(key),)}
    with pytest.raises(Misconfigured) as raised:
        channel(**own, key_file=tmp_path / name, key_passphrase=passphrase)
    assert str(raised.value) == f"CAPTURE_SFTP_KEY_FILE: {tmp_path / name} {sentence}"


@pytest.mark.system
def test_nothing_of_the_account_s_own_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its keys, its known hosts and its configuration are for people: the settings alone decide."""
    home = tmp_path / "home"
    (home / ".ssh").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    with openssh(tmp_path) as server:
        (home / ".ssh" / "id_ed25519").write_bytes(server.key_file.read_bytes())
        known = f"[{HOST}]:{server.port} {public_line(server.host_keys[0])}\n"
        (home / ".ssh" / "known_hosts").write_text(known, "utf-8")
        (home / ".ssh" / "config").write_text(
            "Host *\n  User nobody\n  HostKeyAlias other\n  Ciphers 3des-cbc\n", "utf-8"
        )
        server.channel().send(PARCEL, ignore)
        stranger = asyncssh.generate_private_key("ssh-ed25519")
        stranger.write_private_key(tmp_path / "stranger")
        assert isinstance(failure(server.channel(key_file=tmp_path / "stranger")), CredentialsRefused)
        assert isinstance(failure(server.channel(host_keys=(public_line(stranger),))), ReceiverNotTrusted)


WITHOUT_A_NAME = """
import os, sys
from tests.delivery.receiver import PARCEL, ignore
from tests.delivery.sftp_server import channel
_, port, key, password = sys.argv
sftp = channel(host="127.0.0.1", port=int(port), host_keys=(key,), username="merchant", password=password)
sftp.send(PARCEL, ignore)  # which loads what cannot be read any more in a moment
if os.geteuid() == 0:
    os.setuid(54_321)
sftp.send(PARCEL, ignore)
"""


def test_an_account_without_a_name_can_send(scripted: Scripted) -> None:
    """In a container the service may run under a number that no account has, without a home."""
    command = [sys.executable, "-c", WITHOUT_A_NAME, str(scripted.port), public_line(scripted.host_key), PASSWORD]
    root = Path(__file__).parent.parent.parent
    done = subprocess.run(command, cwd=root, env={}, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert scripted.files() == {NAME: PARCEL.content}


# What goes wrong on the way -----------------------------------------------------------------------------------------

LAST_WRITE = -(-SIZE // CHUNK)
UNANSWERED = [
    ("open", 1, "direct", ChannelUnavailable),
    ("write", 1, "direct", ChannelUnavailable),
    ("write", LAST_WRITE - 1, "direct", ChannelUnavailable),
    ("write", LAST_WRITE, "direct", OutcomeUnknown),
    ("close", 1, "direct", OutcomeUnknown),
    ("write", LAST_WRITE, "rename", ChannelUnavailable),
    ("close", 1, "rename", ChannelUnavailable),
    ("posix_rename", 1, "rename", OutcomeUnknown),
]


@pytest.mark.parametrize(("step", "number", "publish", "outcome"), UNANSWERED)
def test_a_lost_answer_is_told_by_what_may_have_arrived(
    scripted: Scripted, step: str, number: int, publish: str, outcome: type[DeliveryError]
) -> None:
    """Before the last byte left it is tried again; after that nobody knows, and it is never called delivered."""
    scripted.script[step] = at(number, hang_up)
    sftp = scripted.channel(publish=publish)
    assert type(failure(sftp)) is outcome
    sftp.send(PARCEL, ignore)
    assert scripted.files() == {NAME: PARCEL.content}


@pytest.mark.parametrize(
    ("step", "publish", "outcome"),
    [
        ("write", "direct", ChannelUnavailable),
        ("close", "direct", OutcomeUnknown),
        ("posix_rename", "rename", OutcomeUnknown),
    ],
)
def test_a_server_that_stalls_ends_the_transfer(
    scripted: Scripted, step: str, publish: str, outcome: type[DeliveryError]
) -> None:
    """The deadline of the transfer counts at each of its steps, up to the last answer."""
    scripted.script[step] = at(1, stall)
    lost = failure(scripted.channel(publish=publish, transfer_seconds=2), TWO_PIECES)
    assert type(lost) is outcome
    assert "CAPTURE_TRANSFER_SECONDS" in str(lost)


def test_a_close_that_went_out_with_the_connection_is_no_delivery(scripted: Scripted) -> None:
    """The session ends together with the last write's answer: the close was never sent, so nothing was confirmed."""
    gone = threading.Event()

    def leave(request: Request) -> None:
        request.channel.exit(0)
        request.connection.close()

    def answer_and_leave(request: Request) -> Any:
        gone.set()
        asyncio.get_running_loop().call_later(0.1, leave, request)
        return request.carry_out()

    scripted.script["write"] = at(2, answer_and_leave)
    with delayed(scripted.port, gone) as port:
        assert type(failure(scripted.channel(port=port), TWO_PIECES)) is OutcomeUnknown


@pytest.mark.parametrize("act", [stall, hang_up, fail(3), fail(4), fail(8)])
def test_a_look_that_fails_after_the_close_is_no_failure(scripted: Scripted, act: Act) -> None:
    """The server has confirmed the file; that it shows nothing, or leaves, does not take that back."""
    scripted.script["stat"] = act
    scripted.channel(transfer_seconds=2).send(PARCEL, ignore)
    assert scripted.files() == {NAME: PARCEL.content}


def test_a_file_that_is_shown_shorter_did_not_arrive(scripted: Scripted) -> None:
    """A server that loses a piece and confirms it all the same is found out where it shows the size."""
    scripted.script["write"] = at(LAST_WRITE, lambda _request: len(PARCEL.content) % CHUNK)
    assert type(failure(scripted.channel())) is ChannelUnavailable
    scripted.channel().send(PARCEL, ignore)
    assert scripted.files() == {NAME: PARCEL.content}


@pytest.mark.parametrize(
    ("step", "status", "outcome"),
    [
        ("open", 2, ChannelRefused),  # no such folder
        ("open", 3, ChannelRefused),  # not allowed
        ("open", 4, ChannelUnavailable),
        ("write", 4, ChannelUnavailable),  # what is said when the disk is full
        ("close", 4, ChannelUnavailable),
        ("close", 3, ChannelRefused),
    ],
)
def test_a_refusal_is_told_by_whether_it_may_pass(
    scripted: Scripted, step: str, status: int, outcome: type[DeliveryError]
) -> None:
    """A full disk may have room later; a missing right needs a person. Its number is told, its words are not."""
    scripted.script[step] = fail(status)
    refused = failure(scripted.channel())
    assert type(refused) is outcome
    assert f"(SFTP status {status})" in str(refused)


def test_a_server_that_never_answers_ends_the_login(scripted: Scripted) -> None:
    """It takes the connection and says nothing: the deadline of the login counts."""
    with socket.create_server((HOST, 0)) as silent:
        lost = failure(scripted.channel(port=silent.getsockname()[1], login_seconds=1))
        assert type(lost) is ChannelUnavailable
        assert "CAPTURE_LOGIN_SECONDS" in str(lost)


def test_a_server_of_another_protocol_is_tried_again(scripted: Scripted) -> None:
    """What stands there for a while instead of the server, such as a proxy's page, stops nothing for good."""
    with socket.create_server((HOST, 0)) as web:

        def answer() -> None:
            with web.accept()[0] as client:
                client.sendall(b"HTTP/1.1 503 Service Unavailable\r\n\r\n" * 1_000)

        threading.Thread(target=answer, daemon=True).start()
        assert type(failure(scripted.channel(port=web.getsockname()[1]))) is ChannelUnavailable


# Rename -------------------------------------------------------------------------------------------------------------


def test_a_rename_whose_answer_is_lost_is_found_done(scripted: Scripted) -> None:
    """Nobody knows at first; asking shows it, and the next attempt sends nothing again."""
    scripted.script["posix_rename"] = carry_out_and_hang_up
    sftp = scripted.channel(publish="rename")
    assert type(failure(sftp)) is OutcomeUnknown
    assert sftp.ask(PARCEL) is True
    sftp.send(PARCEL, ignore)
    assert scripted.requests.count("open") == 1
    assert scripted.files() == {NAME: PARCEL.content}


def test_a_rename_that_was_never_done_is_seen(scripted: Scripted) -> None:
    """The finished file still has its other name, so it has not been taken."""
    scripted.script["posix_rename"] = at(1, hang_up)
    sftp = scripted.channel(publish="rename")
    assert type(failure(sftp)) is OutcomeUnknown
    assert sftp.ask(PARCEL) is False
    sftp.send(PARCEL, ignore)
    assert scripted.files() == {NAME: PARCEL.content}


def test_another_file_under_the_name_stays(scripted: Scripted) -> None:
    """With rename, what is not this file is neither replaced nor deleted: a person looks."""
    (scripted.folder / NAME).write_bytes(b"somebody else's")
    assert type(failure(scripted.channel(publish="rename"))) is ChannelRefused
    assert scripted.files() == {NAME: b"somebody else's"}


def test_a_rename_that_another_worker_did_first_is_no_failure(scripted: Scripted) -> None:
    """A paused worker and the one that took over meet at the end: the file is there, and nothing beside it."""

    def too_late(request: Request) -> None:
        request.carry_out()
        (request.folder / f"{NAME}.part").write_bytes(PARCEL.content)
        raise asyncssh.SFTPFailure("it exists")

    scripted.script["posix_rename"] = too_late
    scripted.channel(publish="rename").send(PARCEL, ignore)
    assert scripted.files() == {NAME: PARCEL.content}


# Settings and secrets -----------------------------------------------------------------------------------------------

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDiStQFP8F4OVhnDgUFIn7tBAc3sPLRpRvZdUY5HfExo"


@pytest.mark.parametrize(
    "value", ["batch.impact.com " + KEY, "ssh-ed25519 AAAA", "SHA256:abc", "-----BEGIN OPENSSH PRIVATE KEY-----secret"]
)
def test_host_keys_are_read_when_settings_are(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    """What is not a public key stops the start with a sentence that repeats nothing of it."""
    monkeypatch.setenv("CAPTURE_SFTP_HOST_KEYS", f"{KEY}, {value}")
    with pytest.raises(Misconfigured) as raised:
        load(SftpSettings)
    assert str(raised.value) == (
        "CAPTURE_SFTP_HOST_KEYS [1]: write the server's public key as ssh-ed25519 AAAA..., without the host name,"
        " several with commas between."
    )


def test_two_host_keys_are_read_from_one_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commas between them."""
    monkeypatch.setenv("CAPTURE_SFTP_HOST_KEYS", f"{KEY}, {KEY} with a comment")
    [settings] = load(SftpSettings)
    assert isinstance(settings, SftpSettings)
    assert settings.host_keys == (KEY, f"{KEY} with a comment")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"host": ""}, "CAPTURE_SFTP_HOST is missing"),
        ({"username": ""}, "CAPTURE_SFTP_USERNAME is missing"),
        ({"host_keys": ()}, "CAPTURE_SFTP_HOST_KEYS is missing"),
        ({"password": ""}, "Set CAPTURE_SFTP_PASSWORD or CAPTURE_SFTP_KEY_FILE"),
        ({"key_file": "id"}, "Set CAPTURE_SFTP_PASSWORD or CAPTURE_SFTP_KEY_FILE"),
        ({"username": "a\x00b"}, "CAPTURE_SFTP_USERNAME has a character"),
    ],
)
def test_what_is_missing_stops_the_start(changes: dict[str, Any], said: str) -> None:
    """By name, before the first file is due."""
    whole = {"host": "sftp.example", "username": USER, "password": PASSWORD, "host_keys": (KEY,)}
    channel(**whole)
    with pytest.raises(Misconfigured, match=said):
        channel(**(whole | changes))


def test_a_private_address_is_not_connected_to_unless_allowed(scripted: Scripted) -> None:
    """The settings cannot be used to reach into one's own network."""
    assert type(failure(scripted.channel(allow_private_hosts=False))) is ChannelRefused
    assert scripted.requests == []


def quoting(_request: Request) -> Any:
    """Hang up with the password in the message."""
    _request.connection.disconnect(2, f"{USER} {PASSWORD}")
    return asyncio.Event().wait()


SCRIPTS: dict[str, dict[str, Act]] = {
    "no": {"open": fail(3)},
    "full": {"write": fail(4)},
    "leaving": {"close": quoting},
    "unnamed": {"posix_rename": fail(8), "rename": fail(8)},
    "well": {},
}


def refuse_loudly(connection: Any) -> None:
    """Hang up on a password, and repeat it."""
    connection.disconnect(2, f"{PASSWORD} of {USER} is wrong")


@pytest.mark.parametrize("script", [*SCRIPTS, "loud"])
def test_secrets_are_told_to_nobody(scripted: Scripted, log: pytest.LogCaptureFixture, script: str) -> None:
    """A server that repeats the password in all it says: no error, trace, log line or `repr` has it."""
    scripted.script = SCRIPTS.get(script, {})
    scripted.on_password = refuse_loudly if script == "loud" else lambda _connection: None
    sftp, told = scripted.channel(publish="rename"), ""
    try:
        sftp.send(PARCEL, ignore)
    except DeliveryError as error:
        told = f"{error!r} {''.join(traceback.format_exception(error))}"
    settings = SftpSettings(password=SecretStr(PASSWORD), key_passphrase=SecretStr(PASSWORD))
    lines = [f"{record.getMessage()} {vars(record)}" for record in log.records]
    assert any("channel.connected" in line for line in lines)
    assert (script == "well") == (told == "")
    for text in (told, repr(sftp), repr(vars(sftp)), repr(settings), str(settings), *lines):
        assert PASSWORD not in text

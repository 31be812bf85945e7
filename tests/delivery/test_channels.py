"""The contract of every channel: a file arrives whole, under its name, and a second time does no harm.

A new channel gets its receiver here, one line in RECEIVERS.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

import pytest
from pydantic import SecretStr

from app.delivery.channels import CHANNELS, Probed
from app.delivery.channels.email import EmailChannel
from app.delivery.channels.folder import FolderChannel, FolderSettings
from app.delivery.parcel import CHUNK, Parcel
from app.errors import ChannelRefused, ChannelUnavailable, CredentialsRefused, LeaseLost
from tests.delivery.email_server import email
from tests.delivery.ftp_server import channel as ftp_channel
from tests.delivery.ftp_server import ftp, ftps, kept
from tests.delivery.receiver import NAME, PARCEL, Receiver, ignore, own_settings, settings
from tests.delivery.sftp_server import openssh, scripted_server, sftp


@contextmanager
def folder(tmp_path: Path) -> Iterator[Receiver]:
    """A folder that does not exist yet."""
    path, away = tmp_path / "deep" / "outbox", tmp_path / "away"

    def break_down() -> None:
        path.parent.mkdir(exist_ok=True)
        if path.exists():
            path.rename(away)
        path.write_text("a file where the folder should be")

    def repair() -> None:
        path.unlink()
        if away.exists():
            away.rename(path)

    yield Receiver(
        FolderChannel(FolderSettings(path=path)),
        lambda: {one.name: one.read_bytes() for one in path.iterdir() if one.suffix != ".part"},
        break_down,
        repair,
        lambda name: (path / name).unlink(),
    )


RECEIVERS: dict[str, Callable[[Path], AbstractContextManager[Receiver]]] = {
    "folder": folder,
    "email": email,
    "sftp": sftp,
    "ftps": ftps,
    "ftp": ftp,
}
FROM_PACKAGES = frozenset({"sftp"})
"""Those whose receiver is a program from the operating system's packages."""


def test_every_channel_is_tested() -> None:
    """No way out is offered that has not kept this contract."""
    assert set(RECEIVERS) == set(CHANNELS)


@pytest.fixture(
    params=[pytest.param(name, marks=pytest.mark.system if name in FROM_PACKAGES else ()) for name in CHANNELS]
)
def receiver(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Receiver]:
    """Each channel's receiver in turn."""
    with RECEIVERS[request.param](tmp_path) as found:
        yield found


def test_a_file_arrives_whole_under_its_name(receiver: Receiver) -> None:
    """The exact bytes, and nothing beside them."""
    receiver.channel.send(PARCEL, ignore)
    assert receiver.files() == {NAME: PARCEL.content}


def test_the_same_file_again_is_harmless(receiver: Receiver) -> None:
    """A crash may cause a second delivery: the same name, the same bytes, one file."""
    receiver.channel.send(PARCEL, ignore)
    receiver.channel.send(PARCEL, ignore)
    assert receiver.files() == {NAME: PARCEL.content}


def test_a_file_that_was_fetched_and_deleted_can_be_sent_again(receiver: Receiver) -> None:
    """Who pulls files may delete them."""
    receiver.channel.send(PARCEL, ignore)
    receiver.forget(NAME)
    receiver.channel.send(PARCEL, ignore)
    assert receiver.files() == {NAME: PARCEL.content}


def test_other_files_stay_as_they_are(receiver: Receiver) -> None:
    """Each batch has a file of its own."""
    other = Parcel("other.csv", b"x")
    receiver.channel.send(other, ignore)
    receiver.channel.send(PARCEL, ignore)
    assert receiver.files() == {NAME: PARCEL.content, "other.csv": b"x"}


def test_a_receiver_that_is_away_is_tried_again(receiver: Receiver) -> None:
    """It says so, and the next try works."""
    receiver.break_down()
    with pytest.raises(ChannelUnavailable) as away:
        receiver.channel.send(PARCEL, ignore)
    assert str(away.value).endswith(".")
    receiver.repair()
    receiver.channel.send(PARCEL, ignore)
    assert receiver.files() == {NAME: PARCEL.content}


def test_progress_is_told_as_it_is_made(receiver: Receiver) -> None:
    """At least once for every 32 KiB, never backwards, and all of it in the end."""
    told: list[int] = []
    receiver.channel.send(PARCEL, told.append)
    size = len(PARCEL.content)
    assert told == sorted(told)
    assert told[-1] >= size
    assert max(later - earlier for earlier, later in zip([0, *told], told, strict=False)) <= 2 * CHUNK


def test_who_has_lost_the_work_stops_in_the_middle(receiver: Receiver) -> None:
    """Another worker has taken over: this one hands nothing more over, and the other's try succeeds."""

    def stop(handed_over: int) -> None:
        if handed_over > 3 * CHUNK:
            raise LeaseLost("Another worker has taken this delivery over.")

    with pytest.raises(LeaseLost):
        receiver.channel.send(PARCEL, stop)
    receiver.channel.send(PARCEL, ignore)
    assert receiver.files() == {NAME: PARCEL.content}


def test_who_was_overtaken_does_the_other_s_file_no_harm(receiver: Receiver) -> None:
    """It slept just before it opened the file, and another worker sent it: what lies there in the end is whole."""
    receiver.channel.send(PARCEL, ignore)

    def stop(handed_over: int) -> None:
        if handed_over:
            raise LeaseLost("Another worker has taken this delivery over.")

    with suppress(LeaseLost):  # the folder sees that the file is there, and writes nothing
        receiver.channel.send(PARCEL, stop)
    assert receiver.files() == {NAME: PARCEL.content}


def test_who_was_overtaken_before_it_began_touches_nothing(receiver: Receiver) -> None:
    """It learns of it before the receiver's file is opened."""

    def stop(_handed_over: int) -> None:
        raise LeaseLost("Another worker has taken this delivery over.")

    with pytest.raises(LeaseLost):
        receiver.channel.send(PARCEL, stop)
    assert receiver.files() in ({}, {NAME: PARCEL.content})


def test_asking_never_denies_what_is_there(receiver: Receiver) -> None:
    """One that cannot see says so; one that can tells what lies there whole."""
    assert receiver.channel.ask(PARCEL) is not True
    receiver.channel.send(PARCEL, ignore)
    assert receiver.channel.ask(PARCEL) is not False


# The folder's own -------------------------------------------------------------------------------------------------


def test_what_an_interrupted_attempt_left_is_replaced(tmp_path: Path) -> None:
    """Half a file is under a name that ends in `.part`, and goes with the next attempt."""
    (tmp_path / f"{NAME}.part").write_bytes(PARCEL.content[:1000])
    FolderChannel(FolderSettings(path=tmp_path)).send(PARCEL, ignore)
    assert {one.name: one.read_bytes() for one in tmp_path.iterdir()} == {NAME: PARCEL.content}


def test_a_damaged_file_is_put_right(tmp_path: Path) -> None:
    """What lies there under the name is replaced unless it is the same to the byte."""
    (tmp_path / NAME).write_bytes(PARCEL.content[:-1] + b"?")
    FolderChannel(FolderSettings(path=tmp_path)).send(PARCEL, ignore)
    assert (tmp_path / NAME).read_bytes() == PARCEL.content


class Onlooker(logging.Handler):
    """Somebody who looks into the folder at every step that the channel logs."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.seen: list[tuple[str, dict[str, int]]] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Note what lies there."""
        self.seen.append((record.msg, {one.suffix: one.stat().st_size for one in self.path.iterdir()}))


def test_the_name_appears_only_when_the_file_is_whole_and_on_disk(tmp_path: Path) -> None:
    """Written, synced, renamed, in this order: whoever looks at any moment sees all of it or nothing."""
    onlooker, log = Onlooker(tmp_path), logging.getLogger("app.delivery.channels.folder")
    log.addHandler(onlooker)
    log.setLevel(logging.DEBUG)
    try:
        FolderChannel(FolderSettings(path=tmp_path)).send(PARCEL, ignore)
    finally:
        log.removeHandler(onlooker)
        log.setLevel(logging.NOTSET)
    size = len(PARCEL.content)
    assert [step for step in onlooker.seen if step[0] != "file.progress"] == [
        ("file.opened", {".part": 0}),
        ("file.written", {".part": size}),
        ("file.synced", {".part": size}),
        ("file.renamed", {".csv": size}),
        ("folder.synced", {".csv": size}),
    ]


def test_a_receiver_can_be_tried_without_leaving_anything(receiver: Receiver) -> None:
    """Somebody who sets a channel up sees that it works before the first file, and impact.com gets no test file."""
    assert isinstance(receiver.channel, Probed)
    seen = receiver.channel.probe()
    assert seen
    assert receiver.arrived is None or receiver.arrived() == []
    receiver.channel.send(PARCEL, ignore)
    receiver.channel.probe()
    assert receiver.files() == {NAME: PARCEL.content}


def test_a_receiver_that_is_away_is_seen(receiver: Receiver) -> None:
    """A try says what is wrong, as a delivery would."""
    assert isinstance(receiver.channel, Probed)
    receiver.break_down()
    with pytest.raises(ChannelUnavailable) as away:
        receiver.channel.probe()
    assert str(away.value).endswith(".")
    receiver.repair()
    receiver.channel.probe()


def test_a_try_logs_in_once(tmp_path: Path) -> None:
    """A wrong password is shown once, since accounts are locked after a few."""
    with email(tmp_path) as receiver:
        own = own_settings(receiver.channel)
        wrong = EmailChannel(own.model_copy(update={"password": SecretStr("wrong")}), settings(channel="email"))
        with pytest.raises(CredentialsRefused):
            wrong.probe()
    with scripted_server(tmp_path) as server:
        with pytest.raises(CredentialsRefused):
            server.channel(password="wrong").probe()
        assert server.logins == ["wrong"]


@pytest.mark.system
def test_a_directory_that_is_not_there_is_named(tmp_path: Path) -> None:
    """Every file would be refused."""
    with openssh(tmp_path) as server, pytest.raises(ChannelRefused, match="CAPTURE_SFTP_DIRECTORY"):
        server.channel(directory="nowhere").probe()
    with kept(tmp_path, None) as receiver:
        port = own_settings(receiver.channel).port
        with pytest.raises(ChannelRefused, match="CAPTURE_FTP_DIRECTORY"):
            ftp_channel(port, directory="nowhere").probe()

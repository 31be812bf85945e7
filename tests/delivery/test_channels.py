"""The contract of every channel: a file arrives whole, under its name, and a second time does no harm.

A new channel gets its receiver here, one line in RECEIVERS.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from app.batches.batch import BatchFile
from app.delivery.channels import CHANNELS, Channel
from app.delivery.channels.folder import FolderChannel, FolderSettings
from app.errors import ChannelUnavailable

NAME = "2026-11-22_ActionData_default_0123456789abcdef.csv"
FILE = BatchFile(NAME, "OrderId\r\nü,1\r\n".encode() * 50_000, 50_000, ())


@dataclass
class Receiver:
    """The other side: a channel to it, what is there, and how it is taken away and brought back."""

    channel: Channel
    files: Callable[[], dict[str, bytes]]
    break_down: Callable[[], None]
    repair: Callable[[], None]
    forget: Callable[[str], None]


def folder(tmp_path: Path) -> Receiver:
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

    return Receiver(
        FolderChannel(FolderSettings(path=path)),
        lambda: {one.name: one.read_bytes() for one in path.iterdir()},
        break_down,
        repair,
        lambda name: (path / name).unlink(),
    )


RECEIVERS: dict[str, Callable[[Path], Receiver]] = {"folder": folder}


def test_every_channel_is_tested() -> None:
    """No way out is offered that has not kept this contract."""
    assert set(RECEIVERS) == set(CHANNELS)


@pytest.fixture(params=CHANNELS)
def receiver(request: pytest.FixtureRequest, tmp_path: Path) -> Receiver:
    """Each channel's receiver in turn."""
    return RECEIVERS[request.param](tmp_path)


def test_a_file_arrives_whole_under_its_name(receiver: Receiver) -> None:
    """The exact bytes, and nothing beside them."""
    receiver.channel.send(FILE)
    assert receiver.files() == {NAME: FILE.content}


def test_the_same_file_again_is_harmless(receiver: Receiver) -> None:
    """A crash may cause a second delivery: the same name, the same bytes, one file."""
    receiver.channel.send(FILE)
    receiver.channel.send(FILE)
    assert receiver.files() == {NAME: FILE.content}


def test_a_file_that_was_fetched_and_deleted_can_be_sent_again(receiver: Receiver) -> None:
    """Who pulls files may delete them."""
    receiver.channel.send(FILE)
    receiver.forget(NAME)
    receiver.channel.send(FILE)
    assert receiver.files() == {NAME: FILE.content}


def test_other_files_stay_as_they_are(receiver: Receiver) -> None:
    """Each batch has a file of its own."""
    other = BatchFile("other.csv", b"x", 1, ())
    receiver.channel.send(other)
    receiver.channel.send(FILE)
    assert receiver.files() == {NAME: FILE.content, "other.csv": b"x"}


def test_a_receiver_that_is_away_is_tried_again(receiver: Receiver) -> None:
    """It says so, and the next try works."""
    receiver.break_down()
    with pytest.raises(ChannelUnavailable) as away:
        receiver.channel.send(FILE)
    assert str(away.value).endswith(".")
    receiver.repair()
    receiver.channel.send(FILE)
    assert receiver.files() == {NAME: FILE.content}


# The folder's own -------------------------------------------------------------------------------------------------


def test_what_an_interrupted_attempt_left_is_replaced(tmp_path: Path) -> None:
    """Half a file is under a name that ends in `.part`, and goes with the next attempt."""
    (tmp_path / f"{NAME}.part").write_bytes(FILE.content[:1000])
    FolderChannel(FolderSettings(path=tmp_path)).send(FILE)
    assert {one.name: one.read_bytes() for one in tmp_path.iterdir()} == {NAME: FILE.content}


def test_a_damaged_file_is_put_right(tmp_path: Path) -> None:
    """What lies there under the name is replaced unless it is the same to the byte."""
    (tmp_path / NAME).write_bytes(FILE.content[:-1] + b"?")
    FolderChannel(FolderSettings(path=tmp_path)).send(FILE)
    assert (tmp_path / NAME).read_bytes() == FILE.content


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
        FolderChannel(FolderSettings(path=tmp_path)).send(FILE)
    finally:
        log.removeHandler(onlooker)
        log.setLevel(logging.NOTSET)
    size = len(FILE.content)
    assert onlooker.seen == [
        ("file.opened", {".part": 0}),
        ("file.written", {".part": size}),
        ("file.synced", {".part": size}),
        ("file.renamed", {".csv": size}),
        ("folder.synced", {".csv": size}),
    ]

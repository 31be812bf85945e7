"""Several workers at once, and one that sleeps past its lease: nothing is sent twice, and the late one is refused."""

import logging
import signal
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from app.delivery.channels.folder import FolderChannel, FolderSettings
from app.delivery.parcel import Parcel, Progress
from app.errors import ChannelUnavailable
from app.service import Service
from tests.crash.shop import SECONDS, NewShop, Shop
from tests.crash.test_kill import DATABASES, assert_nothing_more_goes, of_way, recover
from tests.crash.victim import REFUSED, finish
from tests.servers import wait_until
from tests.soak import chance
from tests.support import work

# A worker that stands still inside a transaction keeps others waiting, so these steps lie between transactions.
PAUSES = ("export.selected", "batch.committed", "export.ending", "delivery.started", "file.written", "delivery.sent")


@pytest.mark.parametrize("step", PAUSES)
def test_a_worker_that_slept_through_its_lease_is_refused(shop: Shop, step: str) -> None:
    """Another one took over and finished; what the sleeper still does changes nothing, and it is told so."""
    assert_a_sleeper_is_refused(shop, step)


@pytest.mark.parametrize(
    ("way", "step"),
    [
        *(of_way("sftp", step) for step in ("channel.logged_in", "file.progress", "file.written", "file.closed")),
        *(of_way("renaming", step) for step in ("file.progress", "file.closed")),
        ("ftps", "file.progress"),
        ("email", "file.progress"),
    ],
)
def test_one_that_slept_in_the_middle_of_an_upload_is_refused(
    request: pytest.FixtureRequest, new_shop: NewShop, way: str, step: str
) -> None:
    """What it has begun does the other's file no harm: it is there whole, with the same bytes."""
    assert_a_sleeper_is_refused(new_shop(chance(request).choice(DATABASES), way), step)


def assert_a_sleeper_is_refused(shop: Shop, step: str) -> None:
    """Stop a worker at a step until another one has finished; then let it go on."""
    with shop.victim("SIGSTOP", step, "1") as sleeper:
        process = psutil.Process(sleeper.pid)
        wait_until(lambda: process.status() == psutil.STATUS_STOPPED, "the worker did not come to the step")
        recover(shop)
        before = shop.facts()
        assert shop.faults(at_rest=True) == []
        process.send_signal(signal.SIGCONT)
        sleeper.join(SECONDS)
        assert sleeper.exitcode == REFUSED
    assert shop.facts() == before
    assert_nothing_more_goes(shop)


def test_two_workers_at_once_share_the_work(shop: Shop) -> None:
    """Each file is sent exactly once, by one of them."""
    arguments = ("tests.crash.victim",)
    with shop.process(*arguments, lease_seconds=15) as one, shop.process(*arguments, lease_seconds=15) as other:
        for process in (one, other):
            assert process.stdout
            assert process.stdout.readline() == "ready\n"
        for process in (one, other):
            assert process.stdin
            process.stdin.write("go\n")
            process.stdin.flush()
        for process in (one, other):
            _, errors = process.communicate(timeout=SECONDS)
            assert process.returncode == 0, errors
    assert shop.faults(at_rest=True) == []
    assert set(shop.facts().attempts.values()) == {1}
    assert_nothing_more_goes(shop)


class Rivalry:
    """A channel that lets a rival worker work while the first file is under way."""

    def __init__(self, rival: Callable[[], object]) -> None:
        self.rival = rival
        self.sent: Counter[str] = Counter()

    def send(self, parcel: Parcel, _progress: Progress) -> None:
        self.sent[parcel.name] += 1
        if self.sent.total() == 1:
            self.rival()

    def ask(self, _parcel: Parcel) -> None:
        return None


def sent_by_rivals(one: Service, other: Service) -> Counter[str]:
    """Let one worker be overtaken by another in the middle of a delivery; return how often each file was sent."""
    channel = Rivalry(lambda: work(other))
    one.channels = other.channels = {"folder": channel}
    finish(one)
    return channel.sent


def test_a_lease_keeps_a_file_from_being_sent_twice(new_shop: NewShop) -> None:
    """While one worker sends a file, another leaves it alone."""
    shop = new_shop("sqlite")
    with shop.service(lease_seconds=15) as one, shop.service(lease_seconds=15) as other:
        sent = sent_by_rivals(one, other)
    assert set(sent.values()) == {1}


def test_without_leases_files_would_be_sent_twice(new_shop: NewShop) -> None:
    """The negative control: the same check sees it when a lease holds nobody off."""
    shop = new_shop("sqlite")
    with shop.service() as one, shop.service() as other:
        one.settings = other.settings = one.settings.model_copy(update={"lease_seconds": 0})
        sent = sent_by_rivals(one, other)
    assert set(sent.values()) == {1, 2}


def test_two_attempts_at_once_never_show_half_a_file(tmp_path: Path) -> None:
    """An attempt whose lease ended comes to its rename while another writes: what appears is whole, or nothing does."""
    channel, file = FolderChannel(FolderSettings(path=tmp_path)), Parcel("file.csv", b"whole")
    written, opened, ended = threading.Event(), threading.Event(), threading.Event()
    outcomes: dict[str, bool] = {}

    class Meeting(logging.Filter):
        """Holds the late attempt before its rename until the other has opened its file, and that one until then."""

        def filter(self, record: logging.LogRecord) -> bool:
            match threading.current_thread().name, record.getMessage():
                case "late", "file.written":
                    written.set()
                    opened.wait(SECONDS)
                case "other", "file.opened":
                    opened.set()
                    ended.wait(SECONDS)
            return False

    def attempt() -> None:
        try:
            channel.send(file, lambda _: None)
        except ChannelUnavailable:
            outcomes[threading.current_thread().name] = False
        else:
            outcomes[threading.current_thread().name] = True

    late, other = (threading.Thread(target=attempt, name=name) for name in ("late", "other"))
    logger = logging.getLogger("app.delivery.channels.folder")
    meeting = Meeting()
    logger.addFilter(meeting)
    logger.setLevel(logging.DEBUG)
    try:
        late.start()
        assert written.wait(SECONDS)
        other.start()
        late.join()
        assert {path.name: path.read_bytes() for path in tmp_path.glob("*.csv")} in ({}, {file.name: file.content})
        ended.set()
        other.join()
    finally:
        logger.removeFilter(meeting)
        logger.setLevel(logging.NOTSET)
    assert outcomes["other"]
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {file.name: file.content}

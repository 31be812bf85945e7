"""What was appended to the spool is read again, each line once and in order, whatever happened to the files."""

import resource
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from stat import S_IMODE
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.clicks.spool import Segment, Spool, SpoolState

PAYLOADS = st.lists(st.binary(max_size=60).map(lambda some: some.replace(b"\n", b"")), min_size=1, max_size=12)


def appended(spool: Spool, *payloads: bytes, urgent: bool = False) -> list[bool]:
    """Append payloads of one kind."""
    return spool.append([(payload, urgent) for payload in payloads])


def adopted(folder: Path, most: int = 100) -> list[bytes | None]:
    """Return what another process finds, the oldest first; None stands for a damaged line."""
    found = []
    with closing(Spool(folder, 10**6)) as spool:
        spool.adopt()
        while segment := spool.next():
            found += lines(segment, most)
    return found


def lines(segment: Segment, most: int = 100) -> list[bytes | None]:
    """Read a segment to its end in pieces of about `most` bytes."""
    found = []
    while piece := segment.read(segment.position, most):
        found += [line.payload for line in piece]
        segment.advance(piece)
    assert (segment.position, segment.done) == (segment.end, segment.lines)
    return found


@contextmanager
def folder() -> Iterator[Path]:
    """Give a folder for one example."""
    with TemporaryDirectory() as name:
        yield Path(name) / "var" / "spool"


@given(st.lists(PAYLOADS, min_size=1, max_size=4), st.integers(1, 300))
def test_what_was_appended_is_read_in_its_order(groups: list[list[bytes]], most: int) -> None:
    """In groups, over several processes' lives, in pieces of any size."""
    with folder() as path:
        for group in groups:
            with closing(Spool(path, 10**6)) as spool:
                assert appended(spool, *group) == [True] * len(group)
                assert spool.state() == SpoolState("waiting", len(group), spool.state().size, 10**6)
        assert adopted(path, most) == [payload for group in groups for payload in group]


@given(PAYLOADS, st.data())
def test_a_torn_end_is_dropped_and_nothing_before_it(payloads: list[bytes], data: st.DataObject) -> None:
    """A process that was killed while it wrote leaves half a line, which nobody was told of."""
    with folder() as path:
        with closing(Spool(path, 10**6)) as spool:
            appended(spool, *payloads)
        (file,) = path.iterdir()
        whole = file.read_bytes()
        cut = data.draw(st.integers(0, len(whole)))
        file.write_bytes(whole[:cut])
        assert adopted(path) == payloads[: whole[:cut].count(b"\n")]


@given(PAYLOADS, st.data())
def test_damage_stays_where_it_is(payloads: list[bytes], data: st.DataObject) -> None:
    """A byte that has changed on the disk costs its own line and no other, and is never taken for a note."""
    with folder() as path:
        with closing(Spool(path, 10**6)) as spool:
            appended(spool, *payloads)
        (file,) = path.iterdir()
        whole = bytearray(file.read_bytes())
        place = data.draw(st.integers(0, len(whole) - 2))  # a last newline that changes makes a torn end
        changed = whole[place] ^ data.draw(st.integers(1, 255))
        hit = whole[:place].count(b"\n")
        merges = whole[place] == ord("\n")
        whole[place] = changed
        file.write_bytes(whole)
        found = adopted(path)
        assert found[:hit] == payloads[:hit]
        after = payloads[hit + 1 + merges :]
        assert found[len(found) - len(after) :] == after
        assert {*found[hit : len(found) - len(after)]} == {None}


def test_only_its_own_account_can_read_it(tmp_path: Path) -> None:
    """The folder is made with mode 0700, its files with 0600."""
    with closing(Spool(tmp_path / "var" / "spool", 10**6)) as spool:
        appended(spool, b"note")
    assert S_IMODE((tmp_path / "var" / "spool").stat().st_mode) == 0o700
    assert [S_IMODE(file.stat().st_mode) for file in (tmp_path / "var" / "spool").iterdir()] == [0o600]


def test_the_segments_of_a_living_process_are_its_own(tmp_path: Path) -> None:
    """Another process takes over only what nobody holds any more."""
    with closing(Spool(tmp_path, 10**6)) as other:
        with closing(Spool(tmp_path, 10**6)) as living:
            appended(living, b"note")
            other.adopt()
            assert other.next() is None
            assert (other.state().state, other.state().size) == ("empty", living.state().size)
        other.adopt()
        segment = other.next()
        assert segment
        assert lines(segment) == [b"note"]


def test_it_grows_to_its_limit_and_refusals_still_have_room(tmp_path: Path) -> None:
    """Clicks that do not fit are refused, one by one; a visitor's withdrawal still finds room; then it is full."""
    with closing(Spool(tmp_path, 64 * 1024)) as spool:
        fits = [appended(spool, b"x" * 990)[0] for _ in range(70)]
        assert fits == [True] * 61 + [False] * 9
        assert spool.state().state == "full"
        assert appended(spool, b"small", b"x" * 990, urgent=True) == [True, True]
        assert appended(spool, b"x" * 4000, urgent=True) == [False]
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) == spool.state().size <= 64 * 1024


def test_many_processes_share_the_limit(tmp_path: Path) -> None:
    """The bound is one of the folder."""
    with ExitStack() as stack:
        for _ in range(3):
            appended(stack.enter_context(closing(Spool(tmp_path, 64 * 1024))), *[b"x" * 990] * 30)
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) <= 64 * 1024


@contextmanager
def full_disk(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond a size, as a full disk would."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("size", [0, 150, 199])
def test_a_full_disk_leaves_no_half_line(tmp_path: Path, size: int) -> None:
    """What could not be written whole is taken back, told, and goes on as if it had not been tried."""
    with closing(Spool(tmp_path, 10**6)) as spool:
        written = 0
        with full_disk(size), suppress(OSError):
            for _ in range(3):
                appended(spool, b"y" * 90)
                written += 1
        assert written == size // 100
        assert spool.state().state == "unwritable"
        assert appended(spool, b"after") == [True]
        assert spool.state().state == "waiting"
    assert adopted(tmp_path) == [b"y" * 90] * written + [b"after"]


def test_a_folder_that_cannot_be_made_is_known_before_it_is_needed(tmp_path: Path) -> None:
    """The state tells it from the start, and that it is well again."""
    (tmp_path / "var").write_text("a file in the way")
    spool = Spool(tmp_path / "var" / "spool", 10**6)
    with pytest.raises(OSError, match="var"):
        spool.probe()
    assert spool.state().state == "unwritable"
    (tmp_path / "var").unlink()
    spool.probe()
    assert spool.state().state == "empty"
    assert list((tmp_path / "var" / "spool").iterdir()) == []

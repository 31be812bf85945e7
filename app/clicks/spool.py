"""Where notes wait on this host while the database is away: append-only files, durable before `append` returns.

Each process writes segments of its own and holds a lock on them while it lives, so that those of a process that was
killed, or that ran before a restart, can be told and are adopted. A line is a CRC-32, a space and a payload. A line
that is torn at the end of a file was never acknowledged.
"""

import fcntl
import os
import re
import secrets
import threading
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Final, Literal

SEGMENT_BYTES: Final = 4 * 1024 * 1024
"""A segment that has grown beyond this is followed by another, so that what was replayed makes room."""
PIECE_BYTES: Final = 64 * 1024
RESERVE: Final = 16
"""The share of the limit, one part in so many, that only urgent lines may fill."""
ROOM_FOR_ONE: Final = 4 * 1024
_NAME: Final = re.compile(r"(?P<number>[0-9]{12})-[0-9a-f]{16}\.spool")
_HEAD: Final = 9


@dataclass(frozen=True, slots=True)
class SpoolState:
    """How the spool stands: `waiting` notes, as far as this process knows them, `size` bytes of all processes."""

    state: Literal["empty", "waiting", "full", "unwritable"]
    waiting: int
    size: int
    limit: int


@dataclass(frozen=True, slots=True)
class Line:
    """What a segment holds at an offset: `payload` is None if it is damaged. The next line begins at `end`."""

    payload: bytes | None
    offset: int
    end: int


@dataclass(eq=False, slots=True)
class Segment:
    """A file that this process has locked. Up to `end` it is durable, up to `position` it is known to be replayed."""

    path: Path
    file: FileIO
    end: int = 0
    position: int = 0
    lines: int = 0
    done: int = 0

    @property
    def name(self) -> str:
        """What it is called for ever; no other segment anywhere has this name."""
        return self.path.stem

    def read(self, position: int, most: int = 0) -> list[Line]:
        """Return the lines from `position` on, about `most` bytes of them, or a piece."""
        if position >= self.end:
            return []
        with self.path.open("rb") as file:
            file.seek(position)
            found: list[Line] = []
            for text in file.readlines(min(most or PIECE_BYTES, self.end - position)):
                begin = found[-1].end if found else position
                if begin + len(text) > self.end:
                    break  # is being written just now
                found.append(Line(payload_of(text), begin, begin + len(text)))
            return found

    def recount(self, position: int) -> None:
        """Note that it is replayed up to `position`, as the database knows and this process did not."""
        self.done = _whole_lines(self.path, position)[1]
        self.position = position

    def advance(self, lines: Sequence[Line]) -> None:
        """Note that these lines, the next ones, are replayed."""
        self.position, self.done = lines[-1].end, self.done + len(lines)


class Spool:
    """The segments in a folder that this process holds: written by one thread, replayed by another."""

    def __init__(self, path: Path, limit: int) -> None:
        self.path, self.limit = path, limit
        self._lock = threading.Lock()
        self._held: list[Segment] = []
        self._current: Segment | None = None
        self._size = 0
        self._is_writable = True

    def append(self, payloads: Sequence[tuple[bytes, bool]]) -> list[bool]:
        """Make the payloads durable, in their order; say of each whether it had room. Raises OSError if none can be.

        The second of each pair says whether it is urgent: urgent ones still have room when the others have none.
        """
        with self._lock:
            try:
                self._measure()
                lines = [line_of(payload) for payload, _ in payloads]
                fits = list(self._fitting([len(line) for line in lines], [urgent for _, urgent in payloads]))
                if any(fits):
                    self._write([line for line, fit in zip(lines, fits, strict=True) if fit])
            except OSError:
                self._is_writable = False
                raise
            self._is_writable = True
            return fits

    def probe(self) -> None:
        """Find out whether the folder can be written to. Raises OSError if not."""
        with self._lock:
            try:
                self._make_folder()
                trial = self.path / f".trial-{secrets.token_hex(8)}"
                os.close(os.open(trial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
                trial.unlink()
                self._measure()
            except OSError:
                self._is_writable = False
                raise
            self._is_writable = True

    def state(self) -> SpoolState:
        """Tell how the spool stood a moment ago; touches no disk."""
        waiting = sum(segment.lines - segment.done for segment in list(self._held))
        usable: Literal["empty", "waiting", "full"] = "waiting" if waiting else "empty"
        if self.limit - self.limit // RESERVE - self._size < ROOM_FOR_ONE:
            usable = "full"
        return SpoolState(usable if self._is_writable else "unwritable", waiting, self._size, self.limit)

    def backlog(self) -> int:
        """Return how many bytes are known to wait."""
        return sum(segment.end - segment.position for segment in list(self._held))

    def adopt(self) -> None:
        """Take over the segments that nobody has locked. Raises OSError if the folder cannot be read."""
        with self._lock:
            held = {segment.path for segment in self._held}
            for path in self._files():
                if path not in held and (file := _locked(path)):
                    end, lines = _whole_lines(path)
                    self._held.append(Segment(path, file, end, lines=lines))
            self._held.sort(key=lambda segment: segment.name)
            self._measure()

    def next(self) -> Segment | None:
        """Return the oldest segment that holds something to replay."""
        return next((segment for segment in list(self._held) if segment.position < segment.end), None)

    def finished(self, *, with_current: bool) -> list[Segment]:
        """Return the segments that are replayed and get no more lines; the one being written counts if asked for."""
        with self._lock:
            if with_current and self._current and self._current.position >= self._current.end:
                self._current = None
            return [one for one in self._held if one is not self._current and one.position >= one.end]

    def clear(self, segment: Segment) -> None:
        """Empty a finished segment, so that nobody will replay it again whatever is known of it elsewhere."""
        os.ftruncate(segment.file.fileno(), 0)
        os.fsync(segment.file.fileno())
        segment.end = segment.position = 0
        segment.lines = segment.done = 0

    def remove(self, segment: Segment) -> None:
        """Delete an empty segment."""
        with self._lock:
            segment.path.unlink(missing_ok=True)
            segment.file.close()
            self._held.remove(segment)
            self._measure()

    def close(self) -> None:
        """Let go of every segment, for others to adopt."""
        with self._lock:
            for segment in self._held:
                segment.file.close()
            self._held, self._current = [], None

    def _files(self) -> list[Path]:
        if not self.path.is_dir():
            return []
        return sorted(path for path in self.path.iterdir() if _NAME.fullmatch(path.name))

    def _measure(self) -> None:
        self._size = 0
        for path in self._files():
            with suppress(FileNotFoundError):  # another process has just replayed it
                self._size += path.stat().st_size

    def _fitting(self, sizes: Sequence[int], urgent: Sequence[bool]) -> Iterator[bool]:
        size = self._size
        for more, is_urgent in zip(sizes, urgent, strict=True):
            fits = size + more <= (self.limit if is_urgent else self.limit - self.limit // RESERVE)
            size += more if fits else 0
            yield fits

    def _write(self, lines: Sequence[bytes]) -> None:
        segment = self._current
        if segment is None or segment.end >= SEGMENT_BYTES:
            segment = self._current = self._new()
        content = memoryview(b"".join(lines))
        try:
            while content:
                content = content[segment.file.write(content) :]
            os.fsync(segment.file.fileno())
        except OSError:
            self._withdraw(segment)
            raise
        written = sum(map(len, lines))
        segment.end += written
        segment.lines += len(lines)
        self._size += written

    def _withdraw(self, segment: Segment) -> None:
        """Take back what was written in part; a segment of which that is not certain gets no further line."""
        try:
            os.ftruncate(segment.file.fileno(), segment.end)
            os.fsync(segment.file.fileno())
        except OSError:
            self._current = None

    def _new(self) -> Segment:
        """Create a segment whose name survives a power cut, and lock it before anybody adopts it."""
        self._make_folder()
        numbers = [int(found["number"]) for path in self._files() if (found := _NAME.fullmatch(path.name))]
        path = self.path / f"{max(numbers, default=0) + 1:012}-{secrets.token_hex(8)}.spool"
        unlocked = path.with_suffix(".new")
        descriptor = os.open(unlocked, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o600)
        file = FileIO(descriptor, "r+")
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            unlocked.rename(path)
            _sync_folder(self.path)
        except OSError:
            file.close()
            for name in (unlocked, path):
                name.unlink(missing_ok=True)
            raise
        self._held.append(Segment(path, file))
        return self._held[-1]

    def _make_folder(self) -> None:
        if not self.path.is_dir():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.mkdir(mode=0o700, exist_ok=True)
            _sync_folder(self.path.parent)


def line_of(payload: bytes) -> bytes:
    """Return the line that a payload is written as."""
    return b"%08x %b\n" % (zlib.crc32(payload), payload)


def payload_of(line: bytes) -> bytes | None:
    """Return what a line was made of, or None if it is damaged."""
    payload = line[_HEAD:-1]
    return payload if line == line_of(payload) else None


def _whole_lines(path: Path, end: int | None = None) -> tuple[int, int]:
    """Return where the last whole line before `end` ends, and how many lines there are."""
    last = found = 0
    with path.open("rb") as file:
        while chunk := file.read(PIECE_BYTES if end is None else min(PIECE_BYTES, end - file.tell())):
            found += chunk.count(b"\n")
            if b"\n" in chunk:
                last = file.tell() - len(chunk) + chunk.rindex(b"\n") + 1
    return last, found


def _locked(path: Path) -> FileIO | None:
    """Open and lock a segment; None if somebody has, or if it is gone."""
    try:
        file = FileIO(os.open(path, os.O_RDWR | os.O_APPEND), "r+")
    except (FileNotFoundError, PermissionError):  # replayed just now, or another account's
        return None
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(file.fileno()).st_nlink > 0:
            return file
    except BlockingIOError:
        pass
    file.close()
    return None


def _sync_folder(path: Path) -> None:
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)

"""Importing a file of orders: exactly once, in bounded memory, and on from where it was after a crash.

The file is read twice: first as a whole, for its hash and for orders whose lines are apart, and then some orders at a
time, which are recorded while the next ones are read.
"""

import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, Final

from app.batches.batch import is_too_old
from app.batches.build import age_limit
from app.config import DEFAULT_EVENT_TYPE, Settings
from app.conversions.mapping import Mapping
from app.conversions.order import Order
from app.conversions.order_file import Chunk, Entry, Reading
from app.conversions.record import Outcome, Result, foretell, record
from app.database import Database, refuses_values
from app.errors import Failure, InvalidFile, NotFound, Unavailable
from app.ledger.import_source import Format, Source, look_at_csv, look_at_ndjson, recognised
from app.ledger.import_tally import Fate, Tally
from app.ledger.intake import GROUP, conflict, event_types, rules
from app.ledger.rejects import NoRejects, Rejects, Writer

Watch = Callable[[BinaryIO], AbstractContextManager[BinaryIO]]
Sleep = Callable[[float], object]

TRIES: Final = 30
"""Tries at recording some orders, a second apart, while the database is away or busy."""
PAUSE: Final = 1.0
NOTE_BYTES: Final = 1 << 19
"""How far a crash throws an import back, at most; what is read again is there already."""

_OUTCOMES: Final = {Outcome.NEW: Fate.RECORDED, Outcome.REPLAYED: Fate.PRESENT}


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be imported, and how it is read."""

    path: Path
    rejects: Path | None
    """Where rejected lines go; None: nowhere, which leaves no note either."""
    format: Format | None = None
    mapping: Mapping | None = None
    event_type: str = DEFAULT_EVENT_TYPE
    dry_run: bool = False


class _Hashed:
    """A file that is hashed as it is read."""

    def __init__(self, content: BinaryIO) -> None:
        self._content = content
        self.sha256 = hashlib.sha256()

    def seek(self, offset: int) -> None:
        """Begin at this place."""
        self._content.seek(offset)

    def read(self, size: int) -> bytes:
        """Return the next bytes."""
        data = self._content.read(size)
        self.sha256.update(data)
        return data


class Import:
    """One import. `clock` tells the time at which orders are recorded; `sleep` waits for a database that is away."""

    def __init__(
        self, database: Database, settings: Settings, request: Request, clock: Callable[[], datetime], sleep: Sleep
    ) -> None:
        self._database, self._request, self._clock, self._sleep = database, request, clock, sleep
        self._limit, self._key = age_limit(settings), settings.fingerprint_key
        self._now = clock()
        self._reading = Reading(rules(settings), self._now, request.event_type)
        self._event_types = event_types(settings)
        self.resumed_at = 0
        """The line from which on this run went on, 0 if it began anew."""

    def run(self, watched: Watch = nullcontext, rejected: Callable[[str], object] = lambda _: None) -> Tally:
        """Import the file and return what became of its lines. Raises Failure; the same call again goes on then.

        `watched` may wrap the open file to show how far it has been read; `rejected` is told of each rejected order.
        """
        self._tell = rejected
        try:
            return self._run(watched)
        except OSError as error:
            raise Unavailable(
                f"The file, or what is rejected of it, cannot be read or written any more ({error.strerror}). What was"
                " recorded stays, and the same command goes on where it was."
            ) from error

    def _run(self, watched: Watch) -> Tally:
        with _opened(self._request.path) as content, watched(content) as reading:
            stamp = _stamp(content)
            source = self._look(reading, size=stamp[0])
            kept = self._request.rejects
            with Rejects(kept, self._identity) if kept else NoRejects() as rejects:
                tally = self._take_all(reading, source, rejects, lambda: _stamp(content) == stamp)
                rejects.finish(any_lines=tally.lines[Fate.REJECTED] > 0)
        return tally

    def _look(self, content: BinaryIO, *, size: int) -> Source:
        """Read the file as a whole, and say what it is. Raises InvalidFile."""
        asked, hashed = self._request, _Hashed(content)
        if not size:
            raise InvalidFile(f"{asked.path} is empty; there is nothing to import.")
        form = asked.format or recognised(content)
        whole: Any = hashed
        if form == "csv":
            source = look_at_csv(whole, size, asked.mapping, self._event_types, self._reading)
        else:
            source = look_at_ndjson(whole, size, self._reading)
        self._identity = {
            "sha256": hashed.sha256.hexdigest(),
            "format": form,
            "mapping": asked.mapping.model_dump(mode="json") if asked.mapping else None,
            "event_type": asked.event_type,
            "dry_run": asked.dry_run,
        }
        return source

    def _take_all(
        self, content: BinaryIO, source: Source, rejects: Rejects | NoRejects, is_unchanged: Callable[[], bool]
    ) -> Tally:
        noted = rejects.note
        tally = Tally.of(noted["tally"]) if noted else Tally()
        offset, line = (noted["offset"], noted["line"]) if noted else (source.offset, source.line)
        self.resumed_at = line if noted else 0
        if not noted:
            rejects.add(source.writer.head())
            rejects.take_note({"offset": offset, "line": line, "tally": tally.as_json()})
        for chunk, fates in self._recorded(source.orders(content, offset, line), is_unchanged):
            self._settle(chunk, fates, tally, rejects, source.writer)
            if chunk.offset - offset >= NOTE_BYTES:
                offset = chunk.offset
                rejects.take_note({"offset": offset, "line": chunk.line, "tally": tally.as_json()})
        return tally

    def _recorded(
        self, chunks: Iterator[Chunk], is_unchanged: Callable[[], bool]
    ) -> Iterator[tuple[Chunk, list[Outcome | Failure]]]:
        """Yield each chunk with what became of its orders, while the next chunk is read."""
        begun: deque[tuple[Chunk, Future[list[Outcome | Failure]]]] = deque()
        lane = ThreadPoolExecutor(1, "import")
        try:
            for chunk in chunks:
                if not is_unchanged():
                    raise InvalidFile(
                        f"{self._request.path} was changed while it was read; what was recorded so far stays. Import"
                        " it when it is complete."
                    )
                orders = [entry.order for entry in chunk.entries if entry.order is not None]
                begun.append((chunk, lane.submit(self._record, orders)))
                if len(begun) > 1:
                    done, outcomes = begun.popleft()
                    yield done, outcomes.result()
            while begun:
                done, outcomes = begun.popleft()
                yield done, outcomes.result()
        finally:
            lane.shutdown(cancel_futures=True)

    def _record(self, orders: list[Order]) -> list[Outcome | Failure]:
        """Record orders in small transactions, between which others have their turn."""
        groups = (orders[start : start + GROUP] for start in range(0, len(orders), GROUP))
        return [outcome for group in groups for outcome in self._record_group(group)]

    def _record_group(self, orders: list[Order]) -> list[Outcome | Failure]:
        """Record some orders; where the database finds fault with one, that one fails alone."""
        try:
            return [*self._patiently(orders)]
        except Failure:
            raise
        except Exception as error:
            if not refuses_values(error):
                raise
            if len(orders) == 1:
                return [Failure("The database refuses a value of this order.", code="VALUE_REFUSED")]
            return [outcome for order in orders for outcome in self._record_group([order])]

    def _patiently(self, orders: list[Order]) -> list[Outcome | Failure]:
        for left in range(TRIES - 1, -1, -1):
            try:
                if self._request.dry_run:
                    return [*foretell(self._database, orders, self._key)]
                results = record(self._database, orders, self._clock(), self._key)
                return [_outcome(result) for result in results]
            except Unavailable as away:
                if not left:
                    raise Unavailable(f"{away} The import goes on where it was when you repeat the command.") from away
                self._sleep(PAUSE)
        return []

    def _settle(
        self, chunk: Chunk, fates: list[Outcome | Failure], tally: Tally, rejects: Rejects | NoRejects, writer: Writer
    ) -> None:
        """Count what became of a chunk, and put what was rejected where it belongs."""
        outcomes = iter(fates)
        for entry in chunk.entries:
            code, reason = entry.code, entry.reason
            if entry.order is not None:
                outcome = next(outcomes)
                if isinstance(outcome, Outcome) and outcome in _OUTCOMES:
                    too_old = is_too_old(entry.order, self._limit, self._now)
                    tally.count(entry.order, _OUTCOMES[outcome], entry.lines, too_old=too_old)
                    continue
                refusal = outcome if isinstance(outcome, Failure) else conflict(entry.order)
                code, reason = refusal.code, str(refusal)
            tally.reject(entry.lines, code)
            rejects.add(writer.lines(entry, code, reason))
            self._tell(_sentence(entry, code, reason))


def _outcome(result: Result) -> Outcome | Failure:
    """Return what became of an order; one whose chain would not hold is a failure of its own."""
    return Failure(result.faults[0].detail, code=result.faults[0].code) if result.faults else result.outcome


def _sentence(entry: Entry, code: str, reason: str) -> str:
    first, last = entry.block.line_of(entry.first), entry.block.line_of(entry.end - 1)
    return f"{f'line {first}' if first == last else f'lines {first} to {last}'}: {code}: {reason}"


def _opened(path: Path) -> BinaryIO:
    try:
        if not path.is_dir() and not path.is_file() and path.exists():
            raise InvalidFile(f"{path} is no file that can be read twice; copy what comes from it into a file.")
        return path.open("rb")
    except OSError as error:
        raise NotFound(f"{path} cannot be read: {error.strerror}.", code="FILE_UNREADABLE") from error


def _stamp(content: BinaryIO) -> tuple[int, int]:
    """Return what changes when somebody writes to the file."""
    status = os.fstat(content.fileno())
    return status.st_size, status.st_mtime_ns

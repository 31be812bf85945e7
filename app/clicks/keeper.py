"""Keeps notes: in the database while it answers, else in the spool, so that no visitor ever waits for a database.

Everything is decided on the event loop. Two lanes do what may block, one call each at a time: one for the database,
which commits and replays, so that a commit that hung cannot overtake a replay; one for the spool. Whatever has gathered
goes together. Notes take effect in the order in which they came, whichever way each of them goes.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Final, TypeVar

from app.clicks.replay import FEW, Replay
from app.clicks.spool import PIECE_BYTES, Spool, SpoolState
from app.clicks.store import Note, note_to_json
from app.errors import Failure
from app.lane import Lane
from app.metrics import count_notes

logger = logging.getLogger(__name__)

PATIENCE: Final = 0.1
"""Seconds that a note waits for the database before it and all others turn to the spool."""
LIMIT: Final = 1.0
"""Seconds that a note waits for the database where it cannot turn to the spool; then its visitor is answered."""
SHORTEST_LOOK: Final = 0.001
START_SECONDS: Final = 2.0
CLOSE_SECONDS: Final = 5.0
REST: Final = 0.5
TIDY_SECONDS: Final = 5.0
CALM_SECONDS: Final = 0.2
FILE_SECONDS: Final = 1.0
"""So often some of a crowd is filed also while new clicks come without a pause."""
QUIET_SECONDS: Final = 10.0
GROUP: Final = 500
CROWD: Final = 10_000
"""As many notes may wait for the database, and as many for the disk; more of them would only fill the memory."""

R = TypeVar("R")


@dataclass(eq=False, slots=True)
class Waiting:
    """A note, who waits for it, and since when (by the event loop's clock).

    A visitor may go away, which ends `answered`; `is_settled` says that it is known what became of the note.
    """

    note: Note
    answered: asyncio.Future[None]
    since: float
    is_settled: bool = False


class Keeper:
    """Where `/capture` leaves its notes. Begin with `start`, on the event loop on which everything else is called."""

    def __init__(self, replay: Replay, spool: Spool) -> None:
        self._replay, self._spool = replay, spool
        self._is_direct = False
        self._pending: list[Waiting] = []
        """For the database, in their order; the first ones may be on their way."""
        self._spooling: list[Waiting] = []
        """For the spool, likewise. A note there is older than every note that is pending."""
        self._called, self._spool_called, self._tried = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._spool_idle = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._watch: asyncio.TimerHandle | None = None
        self._calm_at = self._filed_at = 0.0
        self._said: dict[str, tuple[float, int]] = {}

    @property
    def can_take(self) -> bool:
        """Whether a note would be made durable, as far as is known."""
        return self._is_direct or self.spool_state.state not in {"full", "unwritable"}

    @property
    def spool_state(self) -> SpoolState:
        """How the spool stood a moment ago."""
        return self._spool.state()

    async def start(self) -> None:
        """Begin, and wait a moment for the database, so that the first notes find it if it is there."""
        self._loop = asyncio.get_running_loop()
        self._database_lane, self._spool_lane = Lane("clicks to database"), Lane("clicks to spool")
        self._tasks = [asyncio.create_task(self._serve_spool()), asyncio.create_task(self._serve_database())]
        await _within(self._tried, START_SECONDS)

    async def close(self) -> None:
        """End when every note that was taken is durable; what the database could not take now stays in the spool."""
        if self._pending:
            await asyncio.wait([one.answered for one in self._pending], timeout=PATIENCE)
            self._turn("stopping")
        await _within(self._spool_idle, CLOSE_SECONDS)
        for task in self._tasks:
            task.cancel()
        if self._watch:
            self._watch.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for lane in (self._spool_lane, self._database_lane):
            lane.close()
            await asyncio.to_thread(lane.join, LIMIT)
        self._spool.close()

    async def keep(self, note: Note) -> None:
        """Make a note durable. Never raises, and never takes longer than LIMIT; what went wrong is in the log."""
        one = Waiting(note, self._loop.create_future(), self._loop.time())
        if len(self._pending) >= CROWD:
            self._turn("crowded")
        if self._is_direct:
            self._pending.append(one)
            self._called.set()
        else:
            self._to_spool([one])
        if self._watch is None:
            self._watch = self._loop.call_later(self._patience, self._look_after)
        await one.answered

    # How long notes wait ------------------------------------------------------------------------------------------

    @property
    def _patience(self) -> float:
        """Where the spool cannot help, a database that is merely slow is waited for a little longer."""
        return LIMIT if self.spool_state.state == "unwritable" else PATIENCE

    def _look_after(self) -> None:
        """See that no note waits too long, and look again when the oldest one might."""
        now, self._watch = self._loop.time(), None
        if self._pending and now >= self._pending[0].since + self._patience:
            self._turn("waiting")
        for one in self._spooling:
            if now < one.since + LIMIT + PATIENCE:
                break
            if not one.answered.done():
                self._say(logging.ERROR, "notes.answered_early")
                _answer(one)
        ends = [one.since + self._patience for one in self._pending[:1]]
        waited_for = (one.since + LIMIT + PATIENCE for one in self._spooling if not one.answered.done())
        if ends := [*ends, *islice(waited_for, 1)]:
            self._watch = self._loop.call_at(max(min(ends), now + SHORTEST_LOOK), self._look_after)

    # The database's side ------------------------------------------------------------------------------------------

    async def _serve_database(self) -> None:
        tidy_at = self._loop.time()
        while True:
            now, must_file = self._loop.time(), self._replay.has_crowd
            if not self._is_direct:
                await self._catch_up()
                tidy_at = self._loop.time()
            elif self._pending and not (must_file and now >= self._filed_at + FILE_SECONDS):
                await self._store()
            elif must_file and (now >= self._calm_at or self._pending):
                await self._done("filing", self._replay.file)
                self._filed_at = self._loop.time()
            elif tidy_at <= now:
                more = await self._done("tidying", self._replay.tidy)
                tidy_at = self._loop.time() + (0 if more else TIDY_SECONDS)
            else:
                self._called.clear()
                await _within(self._called, (min(tidy_at, self._calm_at) if must_file else tidy_at) - now)

    async def _store(self) -> None:
        """Store what is pending. A note that the spool took meanwhile is stored twice, which changes nothing."""
        group = self._pending[:GROUP]
        refused = await self._done("storing", partial(self._replay.store, [one.note for one in group]))
        if refused is None:
            return
        if self._is_direct:
            del self._pending[: len(group)]
        count_notes("stored", len(group) - refused)
        if len(group) > FEW:
            self._crowd_came(self._loop.time())
        for one in group:
            _settle(one)

    def _crowd_came(self, now: float) -> None:
        """File what came when it is calm again: it costs the disk more than appending does."""
        if self._calm_at < now:  # it begins
            self._filed_at = now
        self._calm_at = now + CALM_SECONDS

    async def _catch_up(self) -> None:
        """Replay the spool until the database can take new notes behind it."""
        while True:
            # Not to the end: while notes keep coming there may never be one.
            if not await self._replayed(leaving=PIECE_BYTES):
                self._tried.set()
                await asyncio.sleep(REST)
                continue
            self._is_direct = True  # new notes wait for those that are on their way into the spool and out again
            await self._spool_idle.wait()
            if await self._replayed() and self._is_direct:
                self._tried.set()
                self._say(logging.INFO, "notes.direct")
                return

    async def _replayed(self, leaving: int = 0) -> bool:
        """Replay the spool until so many bytes are left; say whether that was possible."""
        more = await self._done("replaying", self._replay.begin)
        while more and self._spool.backlog() > leaving:
            more = await self._done("replaying", self._replay.piece)
        return more is not None

    async def _done(self, doing: str, work: Callable[[], R]) -> R | None:
        """Let the database's lane do something; None and the turn to the spool if it could not."""
        try:
            return await self._database_lane.run(work)
        except Failure:
            self._turn(doing)
        except Exception as exc:  # noqa: BLE001 (whatever it is, the notes are safe in the spool)
            self._say(logging.ERROR, "notes.failed", doing=doing, error=type(exc).__name__)
            self._turn(doing)
        return None

    def _turn(self, doing: str) -> None:
        """From now on every note goes to the spool, behind those for which the database did not answer."""
        if self._is_direct:
            self._say(logging.WARNING, "notes.spooling", doing=doing)
        self._is_direct = False
        pending, self._pending = self._pending, []
        self._to_spool([one for one in pending if not one.is_settled])

    # The spool's side ---------------------------------------------------------------------------------------------

    def _to_spool(self, notes: list[Waiting]) -> None:
        room = max(0, CROWD - len(self._spooling))
        if notes:
            self._spooling += notes[:room]
            self._spool_idle.clear()
            self._spool_called.set()
        if lost := notes[room:]:
            self._lose(lost, "slow")

    async def _serve_spool(self) -> None:
        try:
            await self._spool_lane.run(self._spool.probe)
        except OSError as exc:
            self._say(logging.ERROR, "spool.unwritable", reason=exc.strerror)
        while True:
            while self._spooling:
                await self._append(list(self._spooling))
            self._spool_idle.set()
            await self._spool_called.wait()
            self._spool_called.clear()

    async def _append(self, group: list[Waiting]) -> None:
        notes = [one.note for one in group]
        try:
            taken = await self._spool_lane.run(lambda: self._spool.append([_payload(note) for note in notes]))
            reason = "full"
        except Exception as exc:  # noqa: BLE001 (a visitor must be answered, whatever the disk says)
            taken, reason = [False] * len(group), getattr(exc, "strerror", None) or type(exc).__name__
        del self._spooling[: len(group)]
        count_notes("spooled", sum(taken))
        for fits, one in zip(taken, group, strict=True):
            if fits:
                _settle(one)
        self._lose([one for one in group if not one.is_settled], reason)

    def _lose(self, notes: list[Waiting], reason: str) -> None:
        """Own up to notes that neither the spool nor, so far, the database took."""
        if notes:
            count_notes("lost", len(notes))
            self._say(logging.ERROR, "notes.lost", len(notes), reason=reason)
        for one in notes:
            _settle(one)

    def _say(self, level: int, event: str, number: int = 1, **facts: str | None) -> None:
        """Log an event, at most once in a while, with how often it has come since: a flood must not fill the log."""
        said_at, unsaid = self._said.get(event, (-QUIET_SECONDS, 0))
        if self._loop.time() - said_at < QUIET_SECONDS:
            self._said[event] = (said_at, unsaid + number)
            return
        self._said[event] = (self._loop.time(), 0)
        logger.log(level, event, extra={"number": unsaid + number, **facts})


def _settle(one: Waiting) -> None:
    one.is_settled = True
    _answer(one)


def _answer(one: Waiting) -> None:
    if not one.answered.done():
        one.answered.set_result(None)


def _payload(note: Note) -> tuple[bytes, bool]:
    """Return what the spool holds of a note; a visitor's refusal has room when clicks have none any more."""
    return note_to_json(note), note.record is None


async def _within(event: asyncio.Event, seconds: float) -> None:
    """Wait for the event, so long at most."""
    with suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)

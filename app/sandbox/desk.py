"""Takes what is sent, and works on it when its time has come: looked at whenever somebody looks.

Nothing here runs by itself, so that a clock that stands still holds everything as it is.
"""

import random
import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from threading import RLock
from typing import Any, Final

from app.sandbox.faults import Faults
from app.sandbox.ledger import Ledger
from app.sandbox.options import Options
from app.sandbox.program import Program
from app.sandbox.submissions import ApiSubmission, FileSubmission
from app.sandbox.work import Works

IGNORED: Final = ("receipt_", "result_")
"""How names of files begin that impact.com ignores."""


class Desk:
    """All that the sandbox knows. Whoever uses it holds its lock."""

    def __init__(self, options: Options, clock: Callable[[], datetime]) -> None:
        self.options, self.clock = options, clock
        self.lock = RLock()
        self.works = Works(Program.of(options), Ledger(), Faults())
        self.files: dict[str, FileSubmission] = {}
        self.calls: dict[str, ApiSubmission] = {}
        self.lost: list[str] = []
        self.ignored: list[str] = []
        self.minutes = Counter[str]()
        self._waiting: list[FileSubmission | ApiSubmission] = []
        self._ids = random.SystemRandom()

    @property
    def ledger(self) -> Ledger:
        """The actions."""
        return self.works.ledger

    def now(self) -> datetime:
        """Return the time, and see to all whose time has come."""
        now = self.clock().astimezone(UTC)
        due = [one for one in self._waiting if one.ready_at <= now]
        if due:
            self._waiting = [one for one in self._waiting if one.ready_at > now]
        for one in sorted(due, key=lambda one: one.ready_at):
            if isinstance(one, FileSubmission):
                self.works.work_on_file(one, one.ready_at)
            else:
                self.works.work_on_call(one, one.ready_at)
            one.is_done = True
        return now

    def receive(self, name: str, content: bytes, source: str) -> None:
        """Take a file that was left whole, whatever its name: the same name again is another submission."""
        with self.lock:
            now = self.now()
            if name.startswith(IGNORED):
                self.ignored.append(name)
                return
            if self.works.faults.loses(name):
                self.lost.append(name)
                return
            seconds = self.options.delay_seconds + self.works.faults.delay(name)
            file = FileSubmission(
                id=f"F-{self._id()}",
                kind="Conversion",
                submitted_at=now,
                ready_at=now + timedelta(seconds=seconds),
                name=name,
                content=content,
                source=source,
            )
            self.files[file.id] = file
            self._waiting.append(file)
            self.now()

    def queue(self, kind: str, place: str, fields: Mapping[str, str], payload: str) -> ApiSubmission:
        """Take a call of the API."""
        now = self.now()
        ready_at = now + timedelta(seconds=self.options.delay_seconds)
        call = ApiSubmission(
            id=f"A-{self._id()}",
            kind=kind,
            submitted_at=now,
            ready_at=ready_at,
            place=place,
            fields=fields,
            payload=payload,
        )
        self.calls[call.id] = call
        self._waiting.append(call)
        self.now()
        return call

    def plant(self, wish: Mapping[str, Any]) -> None:
        """Plant a fault, or close an action by hand. Raises UnknownFault."""
        self.works.faults.plant(wish)
        now = self.now()
        for action in self.ledger.named(str(wish.get("approve", ""))):
            action.is_approved = True
        for action in self.ledger.named(str(wish.get("lock", ""))):
            action.locks_at = min(action.locks_at, now)

    def _id(self) -> str:
        return str(uuid.UUID(int=self._ids.getrandbits(128), version=4))

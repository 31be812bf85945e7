"""What files of both kinds have in common on their way into the database: one transaction each, or planned anew."""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any, Final, Protocol, Self, TypeVar

from sqlmodel import Session

from app.batches import store
from app.batches.batch import BatchFile, BatchKind
from app.batches.store import Claim
from app.config import Settings
from app.database import database_now
from app.errors import Failure
from app.event_type import HTTP_API

MOST_REPLANS: Final = 20

Clock = Callable[[], datetime]
Room = Callable[[], int]
"""Says how many more orders can leave by calls, as the database knows it."""


class Ways:
    """By which way the next file of an event type leaves, and how many orders may: by calls first, then by files."""

    def __init__(self, files: str | None, calls: int = 0) -> None:
        self._files, self._left = files, calls

    @classmethod
    def of(cls, settings: Settings, key: str, room: Room) -> Self:
        """Return the ways of an event type, with as many calls as there is room for."""
        return cls(settings.channel_of_files(key), room()) if settings.channel_of(key) == HTTP_API else cls(None)

    def next(self) -> tuple[str | None, int | None]:
        """Return the channel, where it is to be settled, and the number, where there is one."""
        return (HTTP_API, self._left) if self._left > 0 else (self._files, None)

    def took(self, channel: str | None, orders: int) -> None:
        """Note that so many orders are planned to leave by a channel."""
        if channel == HTTP_API:
            self._left -= orders


class Planned(Protocol):
    """A file that is planned, and what is left out on the way to it."""

    last: int
    """The last revision or correction that was looked at."""


P = TypeVar("P", bound=Planned)


def until_committed(
    plans_after: Callable[[int], Iterable[P]], commit: Callable[[P], bool] | None = None
) -> Iterator[P]:
    """Yield plan after plan, each committed; from one whose orders have changed meanwhile on, all are made anew.

    `plans_after` makes those that follow a revision or correction. Raises Failure if the changes have no end.
    """
    after, replans = 0, 0
    while True:
        for plan in plans_after(after):
            if commit is not None and not commit(plan):
                break
            after = plan.last
            yield plan
        else:
            return
        replans += 1
        if replans > MOST_REPLANS:
            raise Failure("Orders kept changing while they were exported; trigger the export again.")


def advance(session: Session, settings: Settings, claimed: Claim, **counts: int) -> None:
    """Add to what an export has done, and renew its lease. Raises LeaseLost."""
    until = database_now(session) + timedelta(seconds=settings.lease_seconds)
    added = {name: store.EXPORT.c[name] + number for name, number in counts.items()}
    store.advance_export(session, claimed, leased_until=until, **added)


def batch_row(
    kind: BatchKind,
    event_type: str,
    batch_id: str,
    file: BatchFile,
    orders: int,
    claimed: Claim,
    now: datetime,
    channel: str | None = None,
) -> dict[str, Any]:
    """Return the row of a batch."""
    return {
        "batch_id": batch_id,
        "export_id": claimed.export_id,
        "kind": kind.value,
        "event_type": event_type,
        "filename": file.name,
        "created_at": now,
        "rows": file.rows,
        "orders": orders,
        "sha256": file.sha256,
        "channel": channel,
    }

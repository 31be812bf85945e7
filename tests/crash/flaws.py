"""Faults that a worker process can be given, so that the judge has something to find."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Row, insert
from sqlmodel import Session

from app.batches import store as batches
from app.delivery import store
from app.delivery.attempt import Outcome
from app.delivery.store import ATTEMPT, Claim


def record_after_the_upload() -> None:
    """Write an attempt down only when it has ended."""
    finish = store.finish

    def start(session: Session, row: Row[Any], channel: str, now: datetime) -> Claim:
        return Claim(row.batch, row.token + 1, row.event_type, channel)

    def record(session: Session, claim: Claim, outcome: Outcome, sent_bytes: int, now: datetime) -> None:
        new = {"batch": claim.batch, "number": claim.number, "channel": claim.channel, "started_at": now}
        session.connection().execute(insert(ATTEMPT), [new | {"status": "started"}])
        finish(session, claim, outcome, sent_bytes, now)

    store.start, store.finish = start, record


def leave_on_the_list() -> None:
    """Take nothing off the list of what waits when it goes into a batch."""

    def take(session: Session, revision_ids: Sequence[int]) -> int:
        return len(revision_ids)

    batches.take = take


FLAWS: Final[dict[str, Callable[[], None]]] = {
    one.__name__: one for one in (record_after_the_upload, leave_on_the_list)
}

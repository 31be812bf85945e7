"""Reading across the stages. Nothing is written here, and nothing scans a history: every statement starts at a key.

The newest revision of an order is the one that counts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, exists, func, select
from sqlalchemy.orm import aliased
from sqlmodel import Session

from app.batches.store import BATCH, BATCH_LINE, LEFT_OUT, UNDELIVERED
from app.conversions.store import CONVERSION, REVISION, UNSENT
from app.delivery.attempt import AttemptStatus
from app.delivery.store import ATTEMPT
from app.ledger.state import OrderState

PAGE: Final = 100


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """What the stages after its recording know of a revision; None where they know nothing."""

    hold_reason: str | None = None
    state: str | None = None
    reason: str | None = None
    detail: str | None = None
    batch_id: str | None = None
    filename: str | None = None
    first_line: int | None = None
    arrived: bool = False
    doubtful: bool = False


def find_order(session: Session, event_type: str, order_id: str) -> int | None:
    """Return the conversion's id."""
    statement = select(CONVERSION.c.id).where(CONVERSION.c.event_type == event_type, CONVERSION.c.order_id == order_id)
    return session.connection().execute(statement).scalar_one_or_none()


def newest_revisions(session: Session, conversion_ids: Sequence[int]) -> list[int]:
    """Return the newest revision of each conversion, by ascending conversion."""
    newest = (
        select(func.max(REVISION.c.id))
        .where(REVISION.c.conversion_id.in_(conversion_ids))
        .group_by(REVISION.c.conversion_id)
        .order_by(REVISION.c.conversion_id)
    )
    return list(session.connection().execute(newest).scalars())


def whereabouts(session: Session, revision_ids: Sequence[int]) -> dict[int, Whereabouts]:
    """Return what the later stages know of revisions: their wait, what an export left out, their batch and line."""
    statement = (
        select(
            REVISION.c.id,
            UNSENT.c.hold_reason,
            LEFT_OUT.c.state,
            LEFT_OUT.c.reason,
            LEFT_OUT.c.detail,
            BATCH.c.batch_id,
            BATCH.c.filename,
            BATCH_LINE.c.first_line,
            _has(AttemptStatus.DELIVERED).label("arrived"),
            _has(AttemptStatus.UNKNOWN).label("doubtful"),
        )
        .join(UNSENT, UNSENT.c.revision_id == REVISION.c.id, isouter=True)
        .join(LEFT_OUT, LEFT_OUT.c.revision_id == REVISION.c.id, isouter=True)
        .join(BATCH_LINE, BATCH_LINE.c.revision_id == REVISION.c.id, isouter=True)
        .join(BATCH, BATCH.c.id == BATCH_LINE.c.batch, isouter=True)
        .where(REVISION.c.id.in_(revision_ids))
    )
    return {row.id: Whereabouts(*row[1:]) for row in session.connection().execute(statement)}


def page(session: Session, state: OrderState | None, after: int) -> list[int]:
    """Return up to PAGE + 1 newest revisions with an id above `after`, in the order of recording."""
    found: set[int] = set()
    for revision_id, source in _sources(state):
        this, later = aliased(REVISION), aliased(REVISION)
        same_order = later.c.conversion_id == this.c.conversion_id
        superseded = exists().where(this.c.id == revision_id, same_order, later.c.id > revision_id)
        statement = source.where(revision_id > after, ~superseded).order_by(revision_id).limit(PAGE + 1)
        found.update(session.connection().execute(statement).scalars())
    return sorted(found)[: PAGE + 1]


def _sources(state: OrderState | None) -> list[tuple[ColumnElement[int], Select[Any]]]:
    """Return where the revisions in `state` are found: the small tables that say so, read along their keys."""
    waits, omitted, line = UNSENT.c.revision_id, LEFT_OUT.c.revision_id, BATCH_LINE.c.revision_id
    queued = select(line).join(UNDELIVERED, UNDELIVERED.c.batch == BATCH_LINE.c.batch)
    arrived, doubtful = _has(AttemptStatus.DELIVERED), _has(AttemptStatus.UNKNOWN)
    sources: dict[OrderState | None, list[tuple[ColumnElement[int], Select[Any]]]] = {
        None: [(REVISION.c.id, select(REVISION.c.id))],
        OrderState.PENDING: [
            (waits, select(waits).where(UNSENT.c.hold_reason.is_(None), ~exists().where(omitted == waits)))
        ],
        OrderState.HELD: [
            (waits, select(waits).where(UNSENT.c.hold_reason.is_not(None))),
            (omitted, select(omitted).where(LEFT_OUT.c.state == "held")),
        ],
        OrderState.EXPIRED: [(omitted, select(omitted).where(LEFT_OUT.c.state == "expired"))],
        OrderState.BATCHED: [(line, queued.where(~arrived, ~doubtful))],
        OrderState.UNKNOWN: [(line, queued.where(~arrived, doubtful))],
        OrderState.DELIVERED: [(line, select(line).where(arrived))],
    }
    return sources[state]


def _has(status: AttemptStatus) -> ColumnElement[bool]:
    """Say whether an attempt on a line's batch ever ended so."""
    return exists().where(ATTEMPT.c.batch == BATCH_LINE.c.batch, ATTEMPT.c.status == status.value)


def undelivered_untried(session: Session, export_id: int, may_leave: ColumnElement[bool]) -> bool:
    """Say whether a batch of the export that may leave still waits for the end of its first attempt."""
    ended = exists().where(ATTEMPT.c.batch == BATCH.c.id, ATTEMPT.c.ended_at.is_not(None))
    statement = (
        select(UNDELIVERED.c.batch)
        .join(BATCH, BATCH.c.id == UNDELIVERED.c.batch)
        .where(BATCH.c.export_id == export_id, ~ended, may_leave)
        .limit(1)
    )
    return session.connection().execute(statement).first() is not None

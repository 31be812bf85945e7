"""Reading across the stages. Nothing is written here, and nothing scans a history: every statement starts at a key.

The newest revision of an order is the one that counts.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, exists, func, select
from sqlalchemy.orm import aliased
from sqlmodel import Session

from app.batches.store import BATCH, BATCH_LINE, LEFT_OUT, UNCONFIRMED, UNDELIVERED
from app.conversions import store as conversions
from app.conversions.corrections_store import CANCELLED
from app.conversions.moved_store import destinations
from app.conversions.store import CONVERSION, REVISION, UNSENT
from app.delivery.attempt import AttemptStatus
from app.delivery.store import ATTEMPT
from app.ledger.state import OrderState, order_state
from app.submissions.store import JUDGED_ORDER, RESULT, is_judged, order_verdicts, results
from app.submissions.submission import Verdict

PAGE: Final = 100
FEW: Final = 100
"""As many batches hold few enough orders to be looked through."""


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """What the stages after its recording know of a revision; None where they know nothing.

    `one_line` says that its batch has a single line for each order.
    """

    hold_reason: str | None = None
    state: str | None = None
    reason: str | None = None
    detail: str | None = None
    batch_id: str | None = None
    filename: str | None = None
    first_line: int | None = None
    one_line: bool = False
    arrived: bool = False
    doubtful: bool = False
    cancelled: bool = False
    verdict: str | None = None

    @property
    def order_state(self) -> OrderState:
        """The state of the order, if the revision is its newest."""
        return order_state(
            hold_reason=self.hold_reason,
            left_out=self.state,
            cancelled=self.cancelled,
            batched=self.batch_id is not None,
            arrived=self.arrived,
            doubtful=self.doubtful,
            verdict=self.verdict,
        )


def find_order(session: Session, event_type: str, order_id: str) -> int | None:
    """Return the conversion's id, of an order that has moved to another event type the one that it has there."""
    statement = select(CONVERSION.c.id).where(CONVERSION.c.event_type == event_type, CONVERSION.c.order_id == order_id)
    found: int | None = session.connection().execute(statement).scalar_one_or_none()
    moved = destinations(session, [found]) if found is not None else {}
    return find_order(session, moved[found], order_id) if found is not None and moved else found


def fingerprint(session: Session, revision_id: int) -> str:
    """Return the fingerprint of the body that a revision came with."""
    statement = select(REVISION.c.fingerprint).where(REVISION.c.id == revision_id)
    return str(session.connection().execute(statement).scalar_one())


def is_cancelled(session: Session, revision_id: int) -> bool:
    """Say whether the order was reversed before it had left, so that this revision never leaves."""
    statement = select(CANCELLED.c.revision_id).where(CANCELLED.c.revision_id == revision_id)
    return session.connection().execute(statement).first() is not None


def newest_revisions(session: Session, conversion_ids: Sequence[int]) -> list[int]:
    """Return the newest revision of each conversion, by ascending conversion."""
    newest = conversions.newest_revisions(session, conversion_ids)
    return [newest[conversion_id] for conversion_id in sorted(newest)]


def whereabouts(session: Session, revision_ids: Sequence[int]) -> dict[int, Whereabouts]:
    """Return what the later stages know of revisions: their wait or end, what an export left out, their batch and line.

    Each table is asked by its own key: a planner that may join them may find reading one of them whole cheaper.
    """
    connection = session.connection()
    waits = select(UNSENT.c.revision_id, UNSENT.c.hold_reason).where(UNSENT.c.revision_id.in_(revision_ids))
    omitted = select(LEFT_OUT).where(LEFT_OUT.c.revision_id.in_(revision_ids))
    lines = select(BATCH_LINE).where(BATCH_LINE.c.revision_id.in_(revision_ids))
    cancelled = select(CANCELLED.c.revision_id).where(CANCELLED.c.revision_id.in_(revision_ids))
    found: dict[int, dict[str, Any]] = {revision_id: {} for revision_id in revision_ids}
    for row in connection.execute(waits):
        found[row.revision_id]["hold_reason"] = row.hold_reason
    for row in connection.execute(omitted):
        found[row.revision_id].update(state=row.state, reason=row.reason, detail=row.detail)
    for revision_id in connection.execute(cancelled).scalars():
        found[revision_id] = {"cancelled": True}  # whatever an export that looked before has noted
    placed = connection.execute(lines).all()
    files = files_of(session, {row.batch for row in placed}) if placed else {}
    verdicts = order_verdicts(session, [row.revision_id for row in placed]) if placed else {}
    for row in placed:
        verdict = verdicts.get(row.revision_id)
        found[row.revision_id].update(files[row.batch], first_line=row.first_line, verdict=verdict)
    return {revision_id: Whereabouts(**facts) for revision_id, facts in found.items()}


def files_of(session: Session, batches: Collection[int]) -> dict[int, dict[str, Any]]:
    """Return what an order or a correction is told of its batch."""
    told = (BATCH.c.id, BATCH.c.batch_id, BATCH.c.filename, (BATCH.c.rows == BATCH.c.orders).label("one_line"))
    names = select(*told).where(BATCH.c.id.in_(batches))
    tried = select(ATTEMPT.c.batch, ATTEMPT.c.status).where(ATTEMPT.c.batch.in_(batches)).distinct()
    connection = session.connection()
    ended = {(row.batch, row.status) for row in connection.execute(tried)}
    return {
        row.id: {
            "batch_id": row.batch_id,
            "filename": row.filename,
            "one_line": row.one_line,
            "arrived": (row.id, AttemptStatus.DELIVERED) in ended,
            "doubtful": (row.id, AttemptStatus.UNKNOWN) in ended,
        }
        for row in connection.execute(names)
    }


def page(session: Session, state: OrderState | None, after: int) -> list[int]:
    """Return up to PAGE + 1 newest revisions with an id above `after`, in the order of recording."""
    found: set[int] = set()
    for revision_id, source in _sources(state, *_results(session)):
        this, later = aliased(REVISION), aliased(REVISION)
        same_order = later.c.conversion_id == this.c.conversion_id
        newer = select(func.count()).where(this.c.id == revision_id, same_order, later.c.id > revision_id)
        is_newest = newer.correlate(revision_id.table).scalar_subquery() == 0  # row by row, until a page is full
        statement = source.where(revision_id > after, is_newest).order_by(revision_id).limit(PAGE + 1)
        found.update(session.connection().execute(statement).scalars())
    return sorted(found)[: PAGE + 1]


def _results(session: Session) -> tuple[bool, list[int] | None]:
    """Say whether any batch has a result, and return those that have arrived and have none, if they are few."""
    connection = session.connection()
    any_has = connection.execute(select(RESULT.c.batch).order_by(RESULT.c.batch).limit(1)).first() is not None
    some = select(UNCONFIRMED.c.batch).order_by(UNCONFIRMED.c.batch).limit(FEW + 1)
    batches = list(connection.execute(some).scalars())
    if len(batches) > FEW:
        return any_has, None
    tried = select(ATTEMPT.c.batch).where(
        ATTEMPT.c.batch.in_(batches), ATTEMPT.c.status == AttemptStatus.DELIVERED.value
    )
    arrived = set(connection.execute(tried).scalars()) if batches else set()
    return any_has, sorted(arrived - set(results(session, batches)))


def _sources(
    state: OrderState | None, any_is_decided: bool, undecided: list[int] | None
) -> list[tuple[ColumnElement[int], Select[Any]]]:
    """Return where the revisions in `state` are found: the small tables that say so, read along their keys."""
    waits, omitted, line = UNSENT.c.revision_id, LEFT_OUT.c.revision_id, BATCH_LINE.c.revision_id
    cancelled = CANCELLED.c.revision_id
    ends = (
        select(func.count()).where(cancelled == omitted).correlate(LEFT_OUT).scalar_subquery()
    )  # one by one, as below
    left_out = select(omitted).where(ends == 0)
    judged = JUDGED_ORDER.c.revision_id
    own = select(func.count()).where(judged == line).correlate(BATCH_LINE).scalar_subquery()
    lines = select(line).where(own == 0)
    arrived = exists().where(ATTEMPT.c.batch == BATCH_LINE.c.batch, ATTEMPT.c.status == AttemptStatus.DELIVERED.value)
    known = select(func.count()).where(RESULT.c.batch == BATCH_LINE.c.batch).correlate(BATCH_LINE).scalar_subquery()
    if undecided is None:
        delivered = lines.where(arrived, known == 0)
    else:
        delivered = lines.where(BATCH_LINE.c.batch.in_(undecided))
    sources: dict[OrderState | None, list[tuple[ColumnElement[int], Select[Any]]]] = {
        None: [(REVISION.c.id, select(REVISION.c.id))],
        OrderState.PENDING: [
            (waits, select(waits).where(UNSENT.c.hold_reason.is_(None), ~exists().where(omitted == waits)))
        ],
        OrderState.HELD: [
            (waits, select(waits).where(UNSENT.c.hold_reason.is_not(None))),
            (omitted, left_out.where(LEFT_OUT.c.state == "held")),
        ],
        OrderState.EXPIRED: [(omitted, left_out.where(LEFT_OUT.c.state == "expired"))],
        OrderState.CANCELLED: [(cancelled, select(cancelled))],
        OrderState.BATCHED: [(line, lines.where(BATCH_LINE.c.batch.in_(_queued(doubtful=False))))],
        OrderState.UNKNOWN: [(line, lines.where(BATCH_LINE.c.batch.in_(_queued(doubtful=True))))],
        OrderState.DELIVERED: [(line, delivered)],
        OrderState.ACCEPTED: [
            (judged, select(judged).where(is_judged(JUDGED_ORDER, Verdict.ACCEPTED))),
            *([(line, lines.where(known > 0))] if any_is_decided else []),
        ],
        OrderState.PARTLY_ACCEPTED: [(judged, select(judged).where(is_judged(JUDGED_ORDER, Verdict.PARTLY_ACCEPTED)))],
        OrderState.REJECTED: [(judged, select(judged).where(is_judged(JUDGED_ORDER, Verdict.REJECTED)))],
    }
    return sources[state]


def _queued(*, doubtful: bool) -> Select[Any]:
    """Return the batches that have not arrived and may have, or have certainly not.

    Attempts are counted, which is done batch by batch: an EXISTS might be made of all attempts there ever were.
    """

    def tries(status: AttemptStatus) -> ColumnElement[int]:
        ended_so = ATTEMPT.c.batch == UNDELIVERED.c.batch, ATTEMPT.c.status == status.value
        return select(func.count()).where(*ended_so).correlate(UNDELIVERED).scalar_subquery()

    unknown = tries(AttemptStatus.UNKNOWN)
    not_arrived = select(UNDELIVERED.c.batch).where(tries(AttemptStatus.DELIVERED) == 0)
    return not_arrived.where(unknown > 0 if doubtful else unknown == 0)


def orders_of(session: Session, revision_ids: Sequence[int]) -> dict[int, tuple[str, str]]:
    """Return the event type and the order id of each revision."""
    statement = (
        select(REVISION.c.id, CONVERSION.c.event_type, CONVERSION.c.order_id)
        .join(CONVERSION, CONVERSION.c.id == REVISION.c.conversion_id)
        .where(REVISION.c.id.in_(revision_ids))
    )
    return {row.id: (row.event_type, row.order_id) for row in session.connection().execute(statement)}


def left_out(session: Session, export_id: int, most: int) -> list[dict[str, Any]]:
    """Return what an export left out and no later one has looked at, in the order of recording: the first `most`."""
    connection = session.connection()
    omitted = select(LEFT_OUT).where(LEFT_OUT.c.export_id == export_id).order_by(LEFT_OUT.c.revision_id).limit(most)
    rows = connection.execute(omitted).all()
    named = orders_of(session, [row.revision_id for row in rows])
    told = ((*named[row.revision_id], row.state, row.reason, row.detail) for row in rows)
    return [dict(zip(("event_type", "order_id", "state", "reason", "detail"), one, strict=True)) for one in told]


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

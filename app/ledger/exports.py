"""Exports and batches as they are shown."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from pydantic import BaseModel
from sqlalchemy import Row
from sqlmodel import Session

from app.batches import store as batches
from app.config import Settings
from app.delivery import deliver
from app.delivery import store as deliveries
from app.delivery.attempt import AttemptStatus, BatchState, batch_state, next_pull
from app.errors import NotFound
from app.ledger import store
from app.ledger.deadlines import Deadlines, deadlines
from app.ledger.state import OrderState
from app.strict_json import unusable
from app.submissions.store import results

MOST_NAMED: Final = 100
"""As many orders that it left out an export names; a flood of them helps nobody."""
ALL_LEFT_OUT: Final = [f"/orders?state={state}" for state in (OrderState.HELD, OrderState.EXPIRED)]


class BatchView(BaseModel):
    """A batch and where it is. `channel` was settled with it: without one, the settings say how its file leaves."""

    id: str
    kind: str
    event_type: str
    filename: str
    rows: int
    orders: int
    sha256: str
    channel: str | None
    state: BatchState


class AttemptView(BaseModel):
    """One attempt to hand a batch over."""

    number: int
    channel: str
    status: AttemptStatus
    started_at: datetime
    ended_at: datetime | None
    code: str | None
    detail: str | None
    sent_bytes: int | None


class ResultView(BaseModel):
    """What impact.com made of a batch: how many orders, or corrections, it took, and how many it did not.

    Those that it took in part are neither. `source`: its API (`api`, `calls`), or a report that was read (`file`).
    """

    accepted: int
    rejected: int
    source: str
    recorded_at: datetime


class BatchDetail(BatchView):
    """A batch with the history of its delivery, and what impact.com made of it.

    `next_attempt_at`: when it is tried next, None if it has arrived or waits for a person. `pull_expected_by`: when
    impact.com, which fetches once a day, should have fetched it from the folder.
    """

    export_id: str
    created_at: datetime
    next_attempt_at: datetime | None
    pull_expected_by: datetime | None
    attempts: list[AttemptView]
    result: ResultView | None


class LeftOutView(BaseModel):
    """An order that an export left out; `detail` says why and what to do."""

    order_id: str
    event_type: str
    state: OrderState
    reason: str
    detail: str


class ExportView(BaseModel):
    """An export: what it sent, and what it left out and why it is counted. The first three counts are orders.

    `corrections` have left with it. When it ended, `corrections_waiting` were still to leave: what left of their orders
    before has to be delivered first; `corrections_held` do not leave before a person has seen to them.

    `left_out` names the first 100 that nothing has happened to since; where there are more, `left_out_more` says where
    all of them are listed.
    """

    id: str
    state: str
    requested_at: datetime
    ended_at: datetime | None
    failure: str | None
    batches: list[BatchView]
    exported: int
    held: int
    expired: int
    corrections: int
    corrections_waiting: int
    corrections_held: int
    left_out: list[LeftOutView]
    left_out_more: list[str]


class ExportReport(ExportView):
    """An export, and what comes to its end soon whatever it sent."""

    deadlines: Deadlines


class BatchPage(BaseModel):
    """A page of batches; `next` is what to give as `after` for the next one."""

    items: list[BatchView]
    next: str | None


def show_export(session: Session, row: Row[Any]) -> ExportView:
    """Return an export with its batches and the orders that it left out."""
    left_out = store.left_out(session, row.id, MOST_NAMED + 1) if row.held or row.expired else []
    return ExportView(
        id=str(row.id),
        state=row.state,
        requested_at=row.requested_at,
        ended_at=row.ended_at,
        failure=row.failure,
        batches=batch_views(session, batches.batches_of(session, row.id)),
        exported=row.exported,
        held=row.held,
        expired=row.expired,
        corrections=row.corrections,
        corrections_waiting=row.corrections_waiting,
        corrections_held=row.corrections_held,
        left_out=[LeftOutView(**one) for one in left_out[:MOST_NAMED]],
        left_out_more=ALL_LEFT_OUT if len(left_out) > MOST_NAMED else [],
    )


def find_export(session: Session, export_id: str) -> ExportView:
    """Return one export. Raises NotFound."""
    number = int(export_id) if export_id.isascii() and export_id.isdigit() and len(export_id) < len(str(2**63)) else 0
    row = batches.find_export(session, number)
    if row is None:
        raise NotFound("There is no export with this id.", code="EXPORT_NOT_FOUND")
    return show_export(session, row)


def with_deadlines(session: Session, settings: Settings, export: ExportView, now: datetime) -> ExportReport:
    """Return an export with what comes to its end soon."""
    return ExportReport(**dict(export), deadlines=deadlines(session, settings, now))


def is_settled(session: Session, settings: Settings, export: ExportView) -> bool:
    """Say whether an export has ended and so have the first delivery attempts of its batches."""
    may_leave = deliver.may_leave(session, settings)
    return export.state in {"done", "failed"} and not store.undelivered_untried(session, int(export.id), may_leave)


def list_batches(session: Session, after: int) -> BatchPage:
    """Return a page of batches in the order of their creation."""
    rows = batches.list_batches(session, after)
    more = len(rows) > batches.PAGE
    shown = rows[: batches.PAGE]
    return BatchPage(items=batch_views(session, shown), next=str(shown[-1].id) if more else None)


def find_batch(session: Session, batch_id: str) -> Row[Any]:
    """Return a batch's row. Raises NotFound."""
    row = None if unusable(batch_id) else batches.find_batch(session, batch_id)
    if row is None:
        raise NotFound("There is no batch with this id.", code="BATCH_NOT_FOUND")
    return row


def show_batch(session: Session, settings: Settings, row: Row[Any]) -> BatchDetail:
    """Return a batch with its attempts."""
    attempts = deliveries.attempts(session, [row.id]).get(row.id, [])
    waiting = deliveries.queued(session, row.id)
    result = results(session, [row.id]).get(row.id)
    return BatchDetail(
        **_view(row, attempts, result, stuck=waiting is not None and waiting.stuck is not None).model_dump(),
        export_id=str(row.export_id),
        created_at=row.created_at,
        next_attempt_at=waiting.due_at if waiting and not waiting.stuck else None,
        pull_expected_by=_pull_expected_by(settings, attempts),
        attempts=[
            AttemptView(
                number=one.number,
                channel=one.channel,
                status=one.status,
                started_at=one.started_at,
                ended_at=one.ended_at,
                code=one.code,
                detail=one.detail,
                sent_bytes=one.sent_bytes,
            )
            for one in attempts
        ],
        result=result and ResultView.model_validate(result, from_attributes=True),
    )


def _pull_expected_by(settings: Settings, attempts: Sequence[Row[Any]]) -> datetime | None:
    left = [one.ended_at for one in attempts if (one.channel, one.status) == ("folder", AttemptStatus.DELIVERED)]
    return next_pull(left[-1], settings.folder_pulled_at) if left else None


def batch_views(session: Session, rows: Sequence[Row[Any]]) -> list[BatchView]:
    """Return batches with the state that each is in."""
    numbers = [row.id for row in rows]
    attempts, stuck = deliveries.attempts(session, numbers), deliveries.stuck(session, numbers)
    known = results(session, numbers)
    return [_view(row, attempts.get(row.id, []), known.get(row.id), stuck=row.id in stuck) for row in rows]


def _view(row: Row[Any], attempts: Sequence[Row[Any]], result: Row[Any] | None, *, stuck: bool) -> BatchView:
    return BatchView(
        id=row.batch_id,
        kind=row.kind,
        event_type=row.event_type,
        filename=row.filename,
        rows=row.rows,
        orders=row.orders,
        sha256=row.sha256,
        channel=row.channel,
        state=batch_state([one.status for one in attempts], stuck=stuck, verdict=result.verdict if result else None),
    )

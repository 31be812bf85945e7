"""Submissions as they are shown: under impact.com's own field names, with what each reason means."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final

import orjson
from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_pascal
from sqlalchemy import Row
from sqlmodel import Session

from app.config import Settings
from app.errors import NotFound
from app.impact.columns import EVENT_CODE
from app.impact.outcomes import NextStep, reason
from app.submissions import listing_store as store
from app.submissions.listing_store import Wanted
from app.submissions.reason_view import ReasonView
from app.submissions.store import Objection

_OWN: Final = frozenset(
    {
        *("id", "batch", "errors", "errors_number", "errors_next", "lines"),
        *("order", "meaning", "next_step", "what_to_do", "stands"),
    }
)
"""What we add to impact.com's fields."""


class _Named(BaseModel):
    """What is shown under impact.com's names, and what we add under ours."""

    model_config = ConfigDict(
        alias_generator=lambda name: name if name in _OWN else to_pascal(name),
        populate_by_name=True,
        serialize_by_alias=True,
    )


class SubmissionView(_Named):
    """What impact.com shows of one call or one file, in the fields of its submission objects.

    Those of files are null for a call, and the other way round. `id` is our own, `batch` what it is about.
    """

    id: str
    batch: str
    batch_id: str | None
    type: str
    status: str
    submission_date: datetime | None
    completion_date: datetime | None
    error_type: str | None
    error_reason: str | None
    campaign_id: int | None
    action_tracker_id: int | None
    order_id: str | None
    event_code: str | None
    uri: str | None
    file_name: str | None
    total_records: int | None
    total_errors: int | None
    errors_uri: str | None


class OrderRef(BaseModel):
    """An order."""

    event_type: str
    order_id: str


class ErrorView(_Named):
    """A row of impact.com's error details, with what its reason means.

    `Line` is our line, the header being line 1, and `order` our order, where the row could be joined. It does not
    stand (`stands`) where it only says that something is there already.
    """

    line: int | None
    order_id: str | None
    sku: str | None
    category: str | None
    status: str | None
    reason: str
    order: OrderRef | None
    meaning: str
    next_step: NextStep
    what_to_do: str
    stands: bool


class SubmissionDetail(SubmissionView):
    """A submission with its errors, 100 at a time: `errors_next` is what to give as `after` for the next ones.

    `lines` says how the lines of a file's errors were counted.
    """

    errors: list[ErrorView]
    errors_number: int
    errors_next: str | None
    lines: str | None


class SubmissionPage(BaseModel):
    """A page of submissions; `next` is what to give as `after` for the next one."""

    items: list[SubmissionView]
    next: str | None


def list_submissions(session: Session, settings: Settings, wanted: Wanted, after: int) -> SubmissionPage:
    """Return a page of submissions."""
    rows = store.page(session, wanted, after)
    shown = rows[: store.PAGE]
    more = len(rows) > len(shown)
    return SubmissionPage(items=show(session, settings, shown), next=str(shown[-1].id) if more else None)


def find_submission(session: Session, settings: Settings, submission_id: str, after: int) -> SubmissionDetail:
    """Return a submission with a page of its errors. Raises NotFound."""
    is_id = submission_id.isascii() and submission_id.isdigit() and len(submission_id) < len(str(2**63))
    row = store.find(session, int(submission_id)) if is_id else None
    if row is None:
        raise NotFound("There is no submission with this id.", code="SUBMISSION_NOT_FOUND")
    [view] = show(session, settings, [row])
    number, errors = store.errors(session, row.id, after)
    shown = errors[: store.PAGE]
    more = len(errors) > len(shown)
    return SubmissionDetail(
        **view.model_dump(by_alias=False),
        errors=_errors(session, shown),
        errors_number=number,
        errors_next=str(shown[-1].id) if more else None,
        lines=row.lines_told,
    )


def submissions_of_revision(session: Session, settings: Settings, revision_id: int) -> list[SubmissionView]:
    """Return what impact.com shows of a revision: of its call, or of the file that it stands in."""
    rows = store.of_orders_newest(session, revision_id, store.batch_of(session, revision_id))
    return show(session, settings, rows)


def submissions_of_batch(session: Session, settings: Settings, batch: int) -> list[SubmissionView]:
    """Return what impact.com shows of a batch: of its file, or the first of its calls."""
    return show(session, settings, store.of_batch(session, batch, store.PAGE))


def newest_submissions(session: Session, settings: Settings, before: int) -> SubmissionPage:
    """Return a page of submissions, the newest first; `next` is what to give as `before` for the next one."""
    rows = store.newest(session, before, store.PAGE + 1)
    shown = rows[: store.PAGE]
    more = len(rows) > len(shown)
    return SubmissionPage(items=show(session, settings, shown), next=str(shown[-1].id) if more else None)


def reasons_of(objections: Iterable[Objection]) -> list[ReasonView]:
    """Return why something was not taken, as it is shown; each reason once."""
    return [ReasonView.of(one.code, line=one.line, sku=one.sku) for one in dict.fromkeys(objections)]


def show(session: Session, settings: Settings, rows: Sequence[Row[Any]]) -> list[SubmissionView]:
    """Return the views of submissions. What was sent is not among it: it holds personal data."""
    orders = store.orders_of(session, *_records(rows))
    batches = store.batches_of(session, {row.batch for row in rows})
    return [_view(settings, row, batches[row.batch], orders.get(_record(row))) for row in rows]


def _view(settings: Settings, row: Row[Any], batch: Row[Any], order: Row[Any] | None) -> SubmissionView:
    event_type = settings.event_type(batch.event_type)
    extra = getattr(order, "extra", None)
    code = (orjson.loads(extra).get(EVENT_CODE) if extra else None) or getattr(event_type, "event_code", None)
    same = ("type", "status", "submission_date", "completion_date", "error_type", "error_reason")
    of_files = ("uri", "file_name", "total_records", "total_errors", "errors_uri")
    return SubmissionView(
        id=str(row.id),
        batch=batch.batch_id,
        batch_id=row.impact_id,
        campaign_id=getattr(event_type, "campaign_id", None),
        action_tracker_id=getattr(event_type, "action_tracker_id", None),
        order_id=order and order.order_id,
        event_code=code if order is not None else None,
        **{name: getattr(row, name) for name in (*same, *of_files)},
    )


def _errors(session: Session, rows: Sequence[Row[Any]]) -> list[ErrorView]:
    orders = store.orders_of(session, *_records(rows))
    return [_error(row, orders.get(_record(row))) for row in rows]


def _error(row: Row[Any], order: Row[Any] | None) -> ErrorView:
    known = reason(row.reason)
    return ErrorView(
        line=row.line,
        order_id=row.order_id or (order and order.order_id),
        sku=row.sku,
        category=row.category,
        status=row.error_type,
        reason=row.reason,
        order=order and OrderRef(event_type=order.event_type, order_id=order.order_id),
        meaning=known.meaning,
        next_step=known.next_step,
        what_to_do=known.what_to_do,
        stands=row.rejects,
    )


def _record(row: Row[Any]) -> tuple[str, int | None]:
    """Return what names the revision or the correction that a row is about."""
    return ("revision", row.revision_id) if row.revision_id else ("correction", row.correction_id)


def _records(rows: Sequence[Row[Any]]) -> tuple[set[int], set[int]]:
    revisions = {row.revision_id for row in rows if row.revision_id}
    return revisions, {row.correction_id for row in rows if row.correction_id}

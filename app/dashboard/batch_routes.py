"""HTTP of the pages of batches: the list, one with its delivery and its lines, and its file in two forms."""

from http import HTTPStatus
from typing import Annotated, Any, Final

from fastapi import Query, Response
from sqlalchemy import Row

from app.batches import store as batches
from app.dashboard.acts import acts_of
from app.dashboard.desk import Desk, DeskDep
from app.dashboard.lines import lines_of
from app.dashboard.meanings import BATCHES
from app.dashboard.pages import page_router
from app.dashboard.sheet import sheet_name, sheet_of
from app.delivery.deliver import way_of
from app.ledger.batch_list import NEWEST, newest_batches
from app.ledger.exports import find_batch, show_batch
from app.submissions.listing import submissions_of_batch

router = page_router()

DONE: Final = {
    "redelivery": "It is queued, and is sent again next. Its attempts are listed below.",
    "confirmation": "It is on record that the file has arrived. It is not sent again.",
}
"""What was done before the page is shown again."""
Before = Annotated[int, Query(ge=0, le=NEWEST)]
PageNumber = Annotated[int, Query(ge=1, le=NEWEST)]


@router.get("/batches")
def get_batches(desk: DeskDep, before: Before = NEWEST) -> Response:
    """List batches, the newest first."""
    with desk.database.snapshot() as session:
        page = newest_batches(session, before)
    return desk.page("batches.html", page=page, is_first=before == NEWEST)


@router.get("/batches/{batch_id}")
def get_batch(desk: DeskDep, batch_id: str, page: PageNumber = 1, done: str = "") -> Response:
    """Show a batch, how its delivery went, and a page of its lines."""
    with desk.database.snapshot() as session:
        row = find_batch(session, batch_id)
        batch = show_batch(session, desk.settings, row)
        content = None if row.removed_at else batches.content_of(session, row.id)
        submissions = submissions_of_batch(session, desk.settings, row.id)
    return desk.page(
        "batch.html",
        batch=batch,
        way=way_of(desk.settings, batch.channel, batch.event_type),
        removed_at=row.removed_at,
        lines=None if content is None else lines_of(content, batch.rows, page),
        submissions=submissions,
        acts=acts_of(batch.state),
        states=BATCHES,
        done=DONE.get(done),
    )


@router.get("/batches/{batch_id}/file")
def get_file(desk: DeskDep, batch_id: str) -> Response:
    """Return the exact bytes."""
    row, content = _content(desk, batch_id)
    return _gone(desk, row) if content is None else _download(content, row.filename)


@router.get("/batches/{batch_id}/sheet")
def get_sheet(desk: DeskDep, batch_id: str) -> Response:
    """Return the file for a spreadsheet, which runs nothing of it."""
    row, content = _content(desk, batch_id)
    return _gone(desk, row) if content is None else _download(sheet_of(content), sheet_name(row.filename))


def _content(desk: Desk, batch_id: str) -> tuple[Row[Any], bytes | None]:
    with desk.database.snapshot() as session:
        row = find_batch(session, batch_id)
        return row, None if row.removed_at else batches.content_of(session, row.id)


def _gone(desk: Desk, row: Row[Any]) -> Response:
    """Return the page about a file that is not kept any more."""
    return desk.page("gone.html", HTTPStatus.GONE, batch=row)


def _download(content: bytes, filename: str) -> Response:
    """Return a file that is saved, and not opened within the dashboard."""
    headers = {"Content-Disposition": f'attachment; filename="{filename}"'}
    return Response(content, media_type="text/csv", headers=headers)

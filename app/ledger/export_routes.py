"""HTTP of exports and batches."""

import asyncio
import time
from datetime import UTC, datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.concurrency import run_in_threadpool

from app.batches import store as batches
from app.config import Settings
from app.conversions.order_body import read_body
from app.database import Database, DatabaseDep
from app.delivery import resume
from app.ledger.exports import (
    BatchDetail,
    BatchPage,
    ExportReport,
    ExportView,
    find_batch,
    find_export,
    is_settled,
    list_batches,
    show_batch,
    show_export,
    with_deadlines,
)
from app.ledger.intake import rules
from app.ledger.repair import RepairBody, RepairView, repair
from app.security import Right, requires
from app.web import MIB, Cursor, Now, SettingsDep, limited_body, problems

router = APIRouter(tags=["exports"])

LONGEST_WAIT: Final = 60
LOOK_EVERY: Final = 0.1

MayRead = Depends(requires(Right.READ, Right.EXPORT))
MayExport = Depends(requires(Right.EXPORT))

_DONE: Final[dict[int | str, dict[str, Any]]] = {
    200: {"model": ExportReport, "description": "It is done (with `wait`)."}
}
_BUILT: Final[dict[int | str, dict[str, Any]]] = {
    200: {"model": RepairView, "description": "Nothing could be sent again; `left_out` says why."},
    201: {"model": RepairView, "description": "A file was built, and is delivered next."},
}
_REPAIR_BODY: Final[dict[str, Any]] = {
    "requestBody": {"required": False, "content": {"application/json": {"schema": RepairBody.model_json_schema()}}}
}
_FILE: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "The exact bytes.",
        "content": {"text/csv": {"schema": {"type": "string", "format": "binary"}}},
    }
}


@router.post(
    "/exports",
    status_code=202,
    dependencies=[MayExport],
    responses={**_DONE, **problems(401, 403, 422, 503)},
)
async def post_export(
    request: Request,
    response: Response,
    database: DatabaseDep,
    settings: SettingsDep,
    wait: Annotated[int, Query(ge=0, le=LONGEST_WAIT, description="Seconds to wait for the end.")] = 0,
) -> ExportReport:
    """Start an export, or return the one that runs. A worker does it; an export is done when its batches are queued."""
    export = await run_in_threadpool(request_export, database)
    request.app.state.wake()
    deadline = time.monotonic() + wait
    export, settled = await run_in_threadpool(_look, database, settings, export.id)
    while not settled and time.monotonic() < deadline:
        await asyncio.sleep(LOOK_EVERY)
        export, settled = await run_in_threadpool(_look, database, settings, export.id)
    response.headers["Location"] = f"/exports/{export.id}"
    response.status_code = 200 if wait and settled else 202
    return await run_in_threadpool(_report, database, settings, export)


def request_export(database: Database) -> ExportView:
    """Return the open export, made now if there was none."""
    with database.transaction() as session:
        return show_export(session, batches.request_export(session, datetime.now(UTC)))


def _look(database: Database, settings: Settings, export_id: str) -> tuple[ExportView, bool]:
    with database.snapshot() as session:
        export = find_export(session, export_id)
        return export, is_settled(session, settings, export)


def _report(database: Database, settings: Settings, export: ExportView) -> ExportReport:
    with database.snapshot() as session:
        return with_deadlines(session, settings, export, datetime.now(UTC))


@router.get("/exports/{export_id}", dependencies=[MayRead], responses=problems(401, 403, 404, 422, 503))
def get_export(export_id: str, database: DatabaseDep, settings: SettingsDep, now: Now) -> ExportReport:
    """Say how an export stands, what it sent, and what comes to its end soon."""
    with database.snapshot() as session:
        return with_deadlines(session, settings, find_export(session, export_id), now)


@router.get("/batches", dependencies=[MayRead], responses=problems(401, 403, 422, 503))
def get_batches(database: DatabaseDep, after: Cursor = 0) -> BatchPage:
    """List batches in the order of their creation, 100 to a page."""
    with database.snapshot() as session:
        return list_batches(session, after)


@router.get("/batches/{batch_id}", dependencies=[MayRead], responses=problems(401, 403, 404, 422, 503))
def get_batch(batch_id: str, database: DatabaseDep, settings: SettingsDep) -> BatchDetail:
    """Say what a batch is and how its delivery went."""
    with database.snapshot() as session:
        return show_batch(session, settings, find_batch(session, batch_id))


@router.get(
    "/batches/{batch_id}/file",
    dependencies=[MayRead],
    response_class=Response,
    responses=_FILE | problems(401, 403, 404, 410, 422, 503),
)
def get_file(batch_id: str, database: DatabaseDep) -> Response:
    """Return the exact bytes of a batch; 410 when its content was removed, since data were erased or it was old."""
    with database.snapshot() as session:
        row = find_batch(session, batch_id)
        content = batches.content_of(session, row.id)
    headers = {"Content-Disposition": f'attachment; filename="{row.filename}"', "X-Content-Type-Options": "nosniff"}
    return Response(content, media_type="text/csv", headers=headers)


@router.post(
    "/batches/{batch_id}/redelivery",
    status_code=202,
    dependencies=[MayExport],
    responses=problems(401, 403, 404, 409, 410, 422, 503),
)
def post_redelivery(batch_id: str, request: Request, database: DatabaseDep, settings: SettingsDep) -> BatchDetail:
    """Send the same bytes under the same name again."""
    with database.transaction() as session:
        row = find_batch(session, batch_id)
        resume.redeliver(session, settings, row.id, row.event_type)
        batch = show_batch(session, settings, row)
    request.app.state.wake()
    return batch


@router.post(
    "/batches/{batch_id}/corrections",
    dependencies=[MayExport],
    openapi_extra=_REPAIR_BODY,
    responses={**_BUILT, **problems(401, 403, 404, 409, 410, 413, 422, 503)},
)
def post_corrections(
    batch_id: str,
    request: Request,
    response: Response,
    body: Annotated[bytes, Depends(limited_body(MIB))],
    database: DatabaseDep,
    settings: SettingsDep,
    now: Now,
) -> RepairView:
    """Send those orders of a batch again that impact.com has not taken and that are repaired, in a file of their own.

    `order_ids` names those that were repaired at impact.com's side. The same again builds nothing twice.
    """
    asked = read_body(RepairBody, body or b"{}", rules(settings), now)
    view = repair(database, settings, request.app.state.hold, batch_id, asked.order_ids, lambda: datetime.now(UTC))
    response.status_code = 201 if view.batches else 200
    request.app.state.wake()
    return view


@router.post(
    "/batches/{batch_id}/confirmation",
    dependencies=[MayExport],
    responses=problems(401, 403, 404, 409, 422, 503),
)
def post_confirmation(batch_id: str, database: DatabaseDep, settings: SettingsDep, now: Now) -> BatchDetail:
    """Record that the file has arrived, as you saw in impact.com's File Submissions; it is not sent again."""
    with database.transaction() as session:
        row = find_batch(session, batch_id)
        resume.confirm(session, row.id, now)
        return show_batch(session, settings, row)

"""HTTP of what is done about batches, with an export key: what will happen is told first, and then what came of it."""

from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final, Literal

from fastapi import Response

from app.dashboard.acts import BY_NAME
from app.dashboard.desk import Desk, DeskDep
from app.dashboard.forms import Posted
from app.dashboard.links import batch_path, with_query
from app.dashboard.meanings import BATCHES
from app.dashboard.pages import page_router
from app.delivery import resume
from app.delivery.deliver import way_of
from app.errors import Conflict, InvalidInput
from app.ledger.exports import find_batch, show_batch
from app.ledger.repair import RepairView, repair
from app.security import Right

router = page_router()

MOST_NAMED: Final = 100
"""As many orders that stay as they are a page names."""


@dataclass(frozen=True, slots=True)
class Tried:
    """What was asked for and not done, and why; or what would be done."""

    refused: str | None = None
    typed: str = ""
    status: HTTPStatus = HTTPStatus.OK
    would: RepairView | None = None


@router.get("/batches/{batch_id}/{name}")
def get_act(desk: DeskDep, batch_id: str, name: Literal["redelivery", "confirmation", "corrections"]) -> Response:
    """Tell what would be done about a batch, and ask whether to do it."""
    if name != "corrections" or not desk.visitor.may(Right.EXPORT):
        return _ask(desk, batch_id, name)
    try:
        return _ask(desk, batch_id, name, Tried(would=_repair(desk, batch_id, [], dry_run=True)))
    except Conflict as refused:
        return _ask(desk, batch_id, name, Tried(str(refused)))


@router.post("/batches/{batch_id}/redelivery")
def post_redelivery(desk: DeskDep, form: Posted, batch_id: str) -> Response:  # noqa: ARG001 (its token is checked)
    """Send the same bytes under the same name again."""
    desk.require(Right.EXPORT)
    try:
        with desk.database.transaction() as session:
            row = find_batch(session, batch_id)
            resume.redeliver(session, desk.settings, row.id, row.event_type)
    except Conflict as refused:
        return _ask(desk, batch_id, "redelivery", Tried(str(refused), status=refused.status))
    desk.wake_worker()
    return desk.go_to(with_query(batch_path(batch_id), done="redelivery"))


@router.post("/batches/{batch_id}/confirmation")
def post_confirmation(desk: DeskDep, form: Posted, batch_id: str) -> Response:  # noqa: ARG001 (its token is checked)
    """Put on record that the file has arrived."""
    desk.require(Right.EXPORT)
    try:
        with desk.database.transaction() as session:
            resume.confirm(session, find_batch(session, batch_id).id, desk.now)
    except Conflict as refused:
        return _ask(desk, batch_id, "confirmation", Tried(str(refused), status=refused.status))
    return desk.go_to(with_query(batch_path(batch_id), done="confirmation"))


@router.post("/batches/{batch_id}/corrections")
def post_corrections(desk: DeskDep, form: Posted, batch_id: str) -> Response:
    """Send those orders of a batch again that impact.com has refused and that are repaired."""
    desk.require(Right.EXPORT)
    typed = form.get("order_ids")
    named = [line.strip() for line in typed.splitlines() if line.strip()]
    try:
        built = _repair(desk, batch_id, named, dry_run=False)
    except (Conflict, InvalidInput) as refused:
        return _ask(desk, batch_id, "corrections", Tried(_sentence(refused), typed, refused.status))
    desk.wake_worker()
    with desk.database.snapshot() as session:
        event_type = find_batch(session, batch_id).event_type
    return desk.page("corrections.html", built=built, event_type=event_type, most=MOST_NAMED)


def _repair(desk: Desk, batch_id: str, named: list[str], *, dry_run: bool) -> RepairView:
    hold = desk.request.app.state.hold
    return repair(desk.database, desk.settings, hold, batch_id, named, lambda: datetime.now(UTC), dry_run=dry_run)


def _sentence(refused: Conflict | InvalidInput) -> str:
    return " ".join(fault.detail for fault in refused.faults) if isinstance(refused, InvalidInput) else str(refused)


def _ask(desk: Desk, batch_id: str, name: str, tried: Tried | None = None) -> Response:
    """Return the page that says what would be done about a batch, and asks whether to do it."""
    with desk.database.snapshot() as session:
        row = find_batch(session, batch_id)
        batch = show_batch(session, desk.settings, row)
    tried = tried or Tried()
    values: dict[str, Any] = {"batch": batch, "way": way_of(desk.settings, batch.channel, batch.event_type)}
    values |= {"act": BY_NAME[name], "tried": tried, "most": MOST_NAMED, "states": BATCHES}
    return desk.page("act.html", tried.status, is_removed=row.removed_at is not None, **values)

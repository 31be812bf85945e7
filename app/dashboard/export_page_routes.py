"""HTTP of running an export now, and of the page that says how it goes."""

from fastapi import Response

from app.dashboard.desk import DeskDep
from app.dashboard.forms import Posted
from app.dashboard.links import HOME
from app.dashboard.meanings import EXPORTS
from app.dashboard.pages import page_router
from app.ledger.deadlines import deadlines
from app.ledger.export_routes import request_export
from app.ledger.exports import find_export
from app.security import Right

router = page_router()


@router.get("/exports")
def get_new_export(desk: DeskDep) -> Response:
    """Tell what an export would do, and ask whether to run one."""
    with desk.database.snapshot() as session:
        ends = deadlines(session, desk.settings, desk.now)
    return desk.page("export_now.html", ends=ends)


@router.post("/exports")
def post_export(desk: DeskDep, form: Posted) -> Response:  # noqa: ARG001 (its token is checked)
    """Start an export, or show the one that runs."""
    desk.require(Right.EXPORT)
    export = request_export(desk.database)
    desk.wake_worker()
    return desk.go_to(f"{HOME}/exports/{export.id}")


@router.get("/exports/{export_id}")
def get_export(desk: DeskDep, export_id: str) -> Response:
    """Say how an export goes, what it sent, and what it left out."""
    with desk.database.snapshot() as session:
        export = find_export(session, export_id)
    return desk.page("export.html", export=export, exports=EXPORTS)

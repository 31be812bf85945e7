"""HTTP of the comparison of shop, service and impact.com."""

import io
from collections.abc import Iterator
from datetime import date
from tempfile import SpooledTemporaryFile
from typing import IO, Annotated, Any, Final, Literal

from fastapi import APIRouter, Depends, Header, Query, Response
from fastapi.responses import StreamingResponse

from app.database import DatabaseDep
from app.ledger.reconcile import check_period, known, reconcile
from app.ledger.report import Csv, First, ReconciliationView, report
from app.security import Right, requires
from app.web import KIB, MIB, IsoDay, Now, SettingsDep, problems

router = APIRouter(tags=["operation"])

IN_MEMORY: Final = 8 * MIB
"""So much of a CSV file is kept in memory; more of it on disk, until it has been sent."""
_CSV: Final = "text/csv"
_ANSWER: Final[dict[int | str, dict[str, Any]]] = {
    200: {"model": ReconciliationView, "content": {_CSV: {"schema": {"type": "string"}}}}
}


@router.get(
    "/reconciliation",
    dependencies=[Depends(requires(Right.READ, Right.EXPORT))],
    response_model=ReconciliationView,
    responses=_ANSWER | problems(401, 403, 422, 503),
)
def get_reconciliation(
    database: DatabaseDep,
    settings: SettingsDep,
    now: Now,
    first: Annotated[date, Query(alias="from", description="The first day (UTC) of event dates."), IsoDay],
    last: Annotated[date, Query(alias="to", description="The last day, at most 45 in all."), IsoDay],
    form: Annotated[
        Literal["json", "csv"] | None, Query(alias="format", description="CSV has every difference.")
    ] = None,
    accept: Annotated[str, Header(include_in_schema=False)] = "",
) -> Any:
    """Compare what the shop said, what has left, and what impact.com has, and name each difference."""
    check_period(first, last)
    if form == "csv" or (form is None and accept.partition(";")[0].strip().lower() == _CSV):
        content: IO[bytes] = SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115 (it is closed when it has been sent)
        text = io.TextIOWrapper(content, "utf-8", newline="", write_through=True)
        with database.snapshot() as session:
            reconcile(session, settings, (first, last), known(session, settings, now), Csv(text))
        text.detach()
        name = f"reconciliation-{first}-{last}.csv"
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        return StreamingResponse(_pieces(content), media_type=_CSV, headers=headers)
    listed = First()
    with database.snapshot() as session:
        what = known(session, settings, now)
        tally = reconcile(session, settings, (first, last), what, listed)
    told = report((first, last), what, tally, listed.found, shop_is_a_file=False)
    return Response(told.model_dump_json(by_alias=True), media_type="application/json")


def _pieces(content: IO[bytes]) -> Iterator[bytes]:
    with content:
        content.seek(0)
        while piece := content.read(64 * KIB):
            yield piece

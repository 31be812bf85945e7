"""HTTP of what each day brought."""

from datetime import date
from typing import Annotated

from fastapi import APIRouter, Depends, Query

from app.database import DatabaseDep
from app.ledger.totals import DayList, list_days
from app.security import Right, requires
from app.web import IsoDay, problems

router = APIRouter(tags=["operation"])


@router.get(
    "/totals",
    dependencies=[Depends(requires(Right.READ, Right.EXPORT))],
    responses=problems(401, 403, 422, 503),
)
def get_totals(
    database: DatabaseDep,
    first: Annotated[date, Query(alias="from", description="The first day (UTC)."), IsoDay],
    last: Annotated[date, Query(alias="to", description="The last day, at most 400 in all."), IsoDay],
) -> DayList:
    """Say what each day brought: clicks, and orders by event type and currency, as recorded and as they stand now."""
    with database.snapshot() as session:
        return list_days(session, first, last)

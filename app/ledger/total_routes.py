"""HTTP of what each day brought."""

from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from pydantic import BeforeValidator

from app.database import DatabaseDep
from app.ledger.totals import DayList, list_days
from app.security import Right, requires
from app.web import problems

router = APIRouter(tags=["operation"])


def _iso_day(value: Any) -> date:
    """Read a day, and not the number of seconds that would pass for one."""
    if len(value) != len("2026-11-22"):
        raise ValueError("write the day as 2026-11-22")
    return date.fromisoformat(value)


IsoDay = BeforeValidator(_iso_day)


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
    """Say what each day brought: clicks, and orders by event type and currency, as they were recorded."""
    with database.snapshot() as session:
        return list_days(session, first, last)

"""HTTP of alarms."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel

from app.alarms import store
from app.database import DatabaseDep
from app.security import Right, requires
from app.web import problems

router = APIRouter(tags=["operation"])


class AlarmView(BaseModel):
    """Something that a person has to see to. `subject` is the batch, channel, export or host it is about, if any."""

    id: str
    kind: str
    subject: str
    severity: str
    since: datetime
    cleared_at: datetime | None
    detail: str


class AlarmList(BaseModel):
    """Alarms in the order in which they were raised."""

    items: list[AlarmView]


@router.get(
    "/alarms",
    dependencies=[Depends(requires(Right.READ, Right.EXPORT))],
    responses=problems(401, 403, 422, 503),
)
def get_alarms(
    database: DatabaseDep,
    all_: Annotated[
        bool, Query(alias="all", description="Also those that are over, as long as they are kept.")
    ] = False,
) -> AlarmList:
    """List the alarms that hold now, each with what to do."""
    with database.snapshot() as session:
        rows = store.newest(session, only_holding=not all_)
    return AlarmList(
        items=[
            AlarmView(
                id=str(row.id),
                kind=row.kind,
                subject=row.subject,
                severity=row.severity,
                since=row.since,
                cleared_at=row.cleared_at,
                detail=row.detail,
            )
            for row in rows
        ]
    )

"""HTTP of submissions."""

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from sqlmodel import Session

from app.config import DEFAULT_EVENT_TYPE
from app.conversions import store as conversions
from app.conversions.moved_store import destinations
from app.database import DatabaseDep
from app.security import Right, requires
from app.strict_json import unusable
from app.submissions.listing import SubmissionDetail, SubmissionPage, find_submission, list_submissions
from app.submissions.listing_store import Wanted
from app.web import Cursor, IsoDay, SettingsDep, problems

router = APIRouter(tags=["submissions"])


MayRead = Depends(requires(Right.READ, Right.EXPORT))
Text = Annotated[str | None, Query(max_length=500)]


def wanted(
    status: Text = None,
    type_: Annotated[str | None, Query(alias="type", max_length=500)] = None,
    reason: Text = None,
    first: Annotated[date | None, Query(alias="from", description="The first day (UTC)."), IsoDay] = None,
    last: Annotated[date | None, Query(alias="to", description="The last day (UTC)."), IsoDay] = None,
) -> Wanted:
    """Return what a query asks for, but for the order."""
    since = datetime.combine(first, time(), UTC) if first else None
    until = datetime.combine(last, time(), UTC) + timedelta(days=1) if last and last < date.max else None
    return Wanted(status, type_, reason, None, since, until)


@router.get("/submissions", dependencies=[MayRead], responses=problems(401, 403, 422, 503))
def get_submissions(
    database: DatabaseDep,
    settings: SettingsDep,
    asked: Annotated[Wanted, Depends(wanted)],
    order_id: Text = None,
    event_type: str = DEFAULT_EVENT_TYPE,
    after: Cursor = 0,
) -> SubmissionPage:
    """List what impact.com shows of what was sent, 100 to a page, in its own field names."""
    if any(unusable(text) for text in (asked.status, asked.type, asked.reason, order_id, event_type) if text):
        return SubmissionPage(items=[], next=None)
    with database.snapshot() as session:
        if order_id is not None:
            conversion_id = _find(session, event_type, order_id)
            if conversion_id is None:
                return SubmissionPage(items=[], next=None)
            asked = replace(asked, conversion_id=conversion_id)
        return list_submissions(session, settings, asked, after)


@router.get("/submissions/{submission_id}", dependencies=[MayRead], responses=problems(401, 403, 404, 422, 503))
def get_submission(
    submission_id: str, database: DatabaseDep, settings: SettingsDep, after: Cursor = 0
) -> SubmissionDetail:
    """Show one submission with its errors, joined to our lines, and what each reason means."""
    with database.snapshot() as session:
        return find_submission(session, settings, submission_id, after)


def _find(session: Session, event_type: str, order_id: str) -> int | None:
    """Return the order that is meant, of one that has moved to another event type the one there."""
    found = conversions.find_keys(session, [(event_type, order_id)]).get((event_type, order_id))
    moved = destinations(session, [found]) if found is not None else {}
    return _find(session, moved[found], order_id) if found is not None and moved else found

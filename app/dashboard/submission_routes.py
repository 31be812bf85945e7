"""HTTP of the pages of what impact.com made of what was sent, and of what is held before it is sent."""

from datetime import timedelta
from typing import Annotated, Any, Final

from fastapi import Query, Response

from app.dashboard.desk import DeskDep
from app.dashboard.meanings import HOLDS, STEPS
from app.dashboard.pages import page_router
from app.database import only_by_keys
from app.ledger.batch_list import NEWEST
from app.ledger.search import Wanted, search
from app.ledger.state import OrderState
from app.submissions.frequency import frequencies
from app.submissions.listing import find_submission, newest_submissions
from app.web import Cursor

router = page_router()

DAYS: Final = (1, 7, 30, 90)
"""Over so many days reasons may be counted."""
Days = Annotated[int, Query(ge=1, le=DAYS[-1])]
Before = Annotated[int, Query(ge=0, le=NEWEST)]


@router.get("/submissions")
def get_submissions(desk: DeskDep, days: Days = 30, before: Before = NEWEST) -> Response:
    """Show why impact.com refused things lately, the most frequent first, and its newest answers."""
    with desk.database.snapshot() as session:
        only_by_keys(session)
        often = frequencies(session, desk.now - timedelta(days=days))
        page = newest_submissions(session, desk.settings, before)
    values: dict[str, Any] = {
        "days": days,
        "choices": DAYS,
        "often": often,
        "page": page,
        "steps": STEPS,
        "is_first": before == NEWEST,
    }
    return desk.page("submissions.html", **values)


@router.get("/submissions/held")
def get_held(desk: DeskDep, after: Cursor = 0) -> Response:
    """List the orders that do not leave before somebody has seen to them."""
    with desk.database.snapshot() as session:
        found = search(session, desk.settings, Wanted(state=OrderState.HELD), after or None)
    return desk.page("held.html", found=found, holds=HOLDS, is_first=not after)


@router.get("/submissions/{submission_id}")
def get_submission(desk: DeskDep, submission_id: str, after: Cursor = 0) -> Response:
    """Show one submission with its errors."""
    with desk.database.snapshot() as session:
        submission = find_submission(session, desk.settings, submission_id, after)
    return desk.page("submission.html", one=submission, steps=STEPS)

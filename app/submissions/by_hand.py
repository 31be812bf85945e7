"""The result of a batch, as a person has it from impact.com's interface: a report, or that all of it was accepted."""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Row
from sqlmodel import Session

from app.batches import store as batches
from app.database import Database, retried
from app.delivery import store as deliveries
from app.errors import Conflict, InvalidFile, NotFound
from app.submissions import follow_store
from app.submissions import record_store as store
from app.submissions.join import join
from app.submissions.judge import Against, forgiven, verdicts
from app.submissions.record import PERSON, Trouble, arrived, record_file, settle_file
from app.submissions.record_store import ORDERS
from app.submissions.report import Report
from app.submissions.submission import COMPLETE, Source, Told, Verdict

_NAME: Final = re.compile(r"\d{4}-\d\d-\d\d_(?:Action|Modification)Data_[a-z0-9-]{1,32}_([0-9a-f]+)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a batch's result is by now. `unjoined` errors are of none of its lines; `is_new`: this was not known."""

    filename: str
    accepted: int
    partly_accepted: int
    rejected: int
    unjoined: int = 0
    lines_told: str | None = None
    trouble: Trouble | None = None
    is_new: bool = True


def batch_in_name(name: str) -> str | None:
    """Return the id of the batch whose file's name is part of a report's name."""
    found = _NAME.search(name)
    return found[1] if found else None


def find(session: Session, batch_id: str) -> Row[Any]:
    """Return a batch's row. Raises NotFound."""
    row = batches.find_batch(session, batch_id)
    if row is None:
        raise NotFound(f"There is no batch {batch_id}; GET /batches lists all of them.", code="BATCH_NOT_FOUND")
    return row


@retried
def record_by_hand(
    database: Database, batch_id: str, report: Report | None, now: datetime, *, dry_run: bool = False
) -> Outcome:
    """Record what a report says of a batch, or without one that impact.com has taken all that no error stands against.

    The same again changes nothing. Raises NotFound, InvalidFile, and Conflict if it is not what is known already.
    """
    with database.transaction() as session:
        batch = store.lock(session, find(session, batch_id).id)
        _refuse_what_cannot_be(session, batch)
        if store.result_of(session, batch.id) is not None and not follow_store.is_looked_after(session, batch.id):
            outcome = _compare(session, batch, report)
        else:
            outcome = _record(session, batch, report, now)
        if dry_run or not outcome.is_new:
            session.rollback()
        return outcome


def _refuse_what_cannot_be(session: Session, batch: Row[Any]) -> None:
    if not deliveries.attempts(session, [batch.id]):
        raise Conflict(f"{batch.filename} has not left yet, so that it has no result. Nothing was recorded.")
    if follow_store.is_leaving(session, batch.id):
        raise Conflict(
            f"{batch.filename} is being sent right now; do this again once that has ended. Nothing was recorded."
        )
    if batch.channel == "http_api":
        raise Conflict(
            f"The orders of {batch.filename} went one by one by impact.com's API, which tells what became of each; no"
            " report is about them. Nothing was recorded."
        )


def _record(session: Session, batch: Row[Any], report: Report | None, now: datetime) -> Outcome:
    complete = [row for row in store.submissions_of(session, batch.id) if store.is_complete(row)]
    told = Told(COMPLETE, file_name=batch.filename, completion_date=now, total_errors=0)
    if report is not None:
        if not report.is_through:
            raise InvalidFile(f"impact.com was not through with {batch.filename} yet. Nothing was recorded.")
        told = Told(
            COMPLETE,
            file_name=batch.filename,
            completion_date=now,
            total_records=report.total_records,
            total_errors=report.total_errors,
        )
    if report is not None or not complete:
        arrived(session, batch, told, now, by=PERSON)
        new = record_file(session, batch, told, report.errors if report else (), Source.FILE, now)
        if _is_repeated(session, new, complete):
            return _known(session, batch, is_new=False)
    trouble = settle_file(session, batch, Source.FILE, now, by_person=report is None)
    return _known(session, batch, trouble=trouble, joined=report is not None)


def _is_repeated(session: Session, new: int, complete: list[Row[Any]]) -> bool:
    """Say whether a report says what one that was read before has said."""
    before = [row.id for row in complete if row.source == Source.FILE]
    said: dict[int, list[tuple[Any, ...]]] = {number: [] for number in (new, *before)}
    for row in store.errors_of(session, list(said)):
        whose = (row.revision_id, row.correction_id, row.line, row.order_id, row.sku, row.reason)
        said[row.submission_id].append(whose)
    return any(sorted(said[number], key=repr) == sorted(said[new], key=repr) for number in before)


def _known(
    session: Session, batch: Row[Any], *, is_new: bool = True, trouble: Trouble | None = None, joined: bool = False
) -> Outcome:
    """Return what is on record of a batch."""
    number, counted = store.judged(session, batch)
    rejected, partly = counted.get(Verdict.REJECTED, 0), counted.get(Verdict.PARTLY_ACCEPTED, 0)
    submissions = store.submissions_of(session, batch.id)[-1:] if joined else []
    errors = store.errors_of(session, [row.id for row in submissions]) if submissions else []
    return Outcome(
        batch.filename,
        number - rejected - partly if trouble is None else 0,
        partly,
        rejected,
        unjoined=sum(row.revision_id is None and row.correction_id is None for row in errors),
        lines_told=submissions[0].lines_told if submissions else None,
        trouble=trouble,
        is_new=is_new,
    )


def _compare(session: Session, batch: Row[Any], report: Report | None) -> Outcome:
    """Return what is known, if a report says the same. Raises Conflict."""
    refused = store.verdicts_of(session, batch)
    parts = store.sent(session, batch)
    against: list[Against] = []
    if report is not None:
        is_order = store.kind_of(batch) is ORDERS
        again = follow_store.may_have_come_twice(session, batch.id, (PERSON,))
        excused = forgiven(is_order=is_order, reverses=True, again=again)
        for row, place in zip(report.errors, join(report.errors, parts)[0], strict=True):
            if place.owner is not None and not excused.issuperset(row.reasons):
                against.append(Against(place.owner, place.line, row.sku))
    said = {owner: one for owner, one in verdicts(parts.of_owner, [against]).items() if one is not Verdict.ACCEPTED}
    if said != refused or (report is not None and not report.errors and report.total_errors):
        raise Conflict(
            f"This is not what is known of {batch.filename}: of its orders or corrections {len(refused)} were not"
            f" accepted whole, and by this {len(said)} were not. GET /submissions shows what impact.com told. Nothing"
            " was recorded.",
            code="RESULT_KNOWN",
        )
    return _known(session, batch, is_new=False)

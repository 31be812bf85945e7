"""What impact.com told, put on record, and what follows from it: verdicts, and the result of the batch."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import Row
from sqlmodel import Session

from app.batches import store as batches
from app.batches.batch import BatchKind
from app.delivery import store as deliveries
from app.delivery.attempt import IMPACT
from app.submissions import follow_store
from app.submissions import record_store as store
from app.submissions.hold_corrections import hold_corrections, release_corrections
from app.submissions.join import join
from app.submissions.judge import Against, count_differs, file_verdict, forgiven, verdicts
from app.submissions.record_store import CORRECTIONS, ORDERS
from app.submissions.sent import Sent
from app.submissions.submission import (
    COMPLETE,
    RECORDS_ZERO,
    VALIDATION,
    ErrorLine,
    Source,
    Told,
    Verdict,
    reasons_in,
)

logger = logging.getLogger(__name__)

PERSON: Final = "person"


class Trouble(StrEnum):
    """Why a person has to look at a batch of which impact.com has told something."""

    RECORDS_DIFFER = "records_differ"
    ERRORS_MISSING = "errors_missing"
    NOT_JOINED = "not_joined"
    GIVEN_UP = batches.GIVEN_UP


# Calls ----------------------------------------------------------------------------------------------------------


def record_call(session: Session, call: Row[Any], told: Told, now: datetime) -> None:
    """Record what became of a call; where impact.com is through with it, also the verdict, and the batch's result."""
    batch = store.lock(session, call.batch)
    kind, record = (ORDERS, call.revision_id) if call.revision_id else (CORRECTIONS, call.correction_id)
    facts = {"revision_id": call.revision_id, "correction_id": call.correction_id}
    dated = replace(told, type=told.type or call.type, submission_date=told.submission_date or call.started_at)
    submission_id = _put_of_call(session, call.batch, kind.key, record, dated, facts, now)
    if not told.is_complete:
        return
    excused = forgiven(is_order=kind is ORDERS, reverses=call.type == "Reversal", again=call.was_unknown)
    reasons = reasons_in(told.error_reason) or ((told.error_type,) if told.error_type else ())
    errors = [_error(ErrorLine((reason,), error_type=told.error_type), reason, facts, excused) for reason in reasons]
    store.put_errors(session, submission_id, errors)
    rejected = any(error["rejects"] for error in errors)
    store.judge_one(session, kind, record, submission_id, Verdict.REJECTED if rejected else Verdict.ACCEPTED)
    if rejected and kind is ORDERS:
        hold_corrections(session, store.orders_of(session, [record]))
    follow_store.answered(session, call.id)
    settle_calls(session, batch, now)


def _put_of_call(
    session: Session, batch: int, key: str, record: int, told: Told, facts: Mapping[str, Any], now: datetime
) -> int:
    """Record the submission of a call in place of what was recorded before, which may have had no id yet."""
    before = store.of_record(session, key, record)
    if before is None:
        return store.put(session, batch, told, Source.CALLS.value, recorded_at=now, **facts)
    store.change(session, before.id, **asdict(told), recorded_at=now)
    return int(before.id)


def settle_calls(session: Session, batch: Row[Any], now: datetime) -> None:
    """Record the result of a batch of calls once every one of them is judged. The batch has to be locked."""
    number, found = store.judged(session, batch)
    if sum(found.values()) < number:
        return
    _finish(session, batch, number, found, Source.CALLS, now)


# Files ----------------------------------------------------------------------------------------------------------


def record_file(
    session: Session, batch: Row[Any], told: Told, errors: Sequence[ErrorLine], source: Source, now: datetime
) -> int:
    """Record a submission of a file with its errors, joined to the lines of the file, and return its id.

    The batch has to be locked.
    """
    default = "Conversion" if batch.kind == BatchKind.CONVERSIONS else "Modification"
    dated = replace(told, type=told.type or default, submission_date=told.submission_date or now)
    submission_id = store.put(session, batch.id, dated, source.value, recorded_at=now)
    if not told.is_complete:
        return submission_id
    sent = store.sent(session, batch)
    lines_told = None
    if told.total_records == 0:
        rows = _all_refused(batch, sent)
    else:
        joined, lines_told = join(errors, sent)
        key = store.kind_of(batch).key
        rows = [
            _error(row if place.owner is None else replace(row, line=place.line), reason, {key: place.owner})
            for row, place in zip(errors, joined, strict=True)
            for reason in row.reasons
        ]
    store.change(session, submission_id, lines_told=lines_told if errors else None)
    store.put_errors(session, submission_id, rows)
    return submission_id


def _all_refused(batch: Row[Any], sent: Sent) -> list[dict[str, Any]]:
    """Return the reason why nothing of a file was taken of which impact.com counts no record."""
    why = ErrorLine((RECORDS_ZERO,), error_type=VALIDATION)
    return [_error(why, RECORDS_ZERO, {store.kind_of(batch).key: owner}) for owner in sent.of_owner]


def _error(
    row: ErrorLine, reason: str, about: Mapping[str, int | None], excused: frozenset[str] = frozenset()
) -> dict[str, Any]:
    told = {name: getattr(row, name) for name in ("line", "order_id", "sku", "category", "error_type")}
    whose = {"revision_id": None, "correction_id": None} | dict(about)
    return {**whose, **told, "reason": reason, "rejects": reason not in excused}


def settle_file(
    session: Session, batch: Row[Any], source: Source, now: datetime, *, by_person: bool = False
) -> Trouble | None:
    """Judge the records of a file by all its submissions, and record its result if everything of it is known.

    Where something does not add up, only what is refused is recorded, and why a person has to look is returned; a
    person who has looked vouches for the rest. The batch has to be locked.
    """
    every = store.submissions_of(session, batch.id)
    complete = [row for row in every if store.is_complete(row)]
    if not complete:
        return None
    errors, troubles = _judged_errors(session, batch, complete, again=False)
    again = _came_again(session, batch.id, [row for row in complete if troubles[row.id] is None])
    if again:
        errors, troubles = _judged_errors(session, batch, complete, again=True)
    good = [row for row in complete if by_person or troubles[row.id] is None]
    parts = store.sent(session, batch).of_owner
    against = {row.id: _against(store.kind_of(batch).key, errors[row.id]) for row in complete}
    is_one = not again and sum(row.source == Source.API for row in complete) == 1  # then all that is told of it is true
    told = [one for row in complete if is_one and row not in good for one in against[row.id]]
    found = verdicts(parts, [told + against[row.id] for row in good or complete])
    store.forgive(session, _overcome(store.kind_of(batch).key, errors, found))
    last = {one.owner: row.id for row in complete for one in against[row.id]}
    refused = {owner: (verdict, last[owner]) for owner, verdict in found.items() if verdict is not Verdict.ACCEPTED}
    before = store.verdicts_of(session, batch)
    store.judge(session, batch, refused)
    if store.kind_of(batch) is ORDERS:
        _see_to_corrections(session, before, found)
    if not good:
        trouble = next(filter(None, troubles.values()))
        follow_store.note_trouble(session, batch.id, trouble.value)
        return trouble
    if by_person or source is Source.FILE or len(complete) == len(every):
        counted = {one: sum(verdict is one for verdict in found.values()) for one in Verdict}
        _finish(session, batch, len(found), counted, source, now)
    return None


def _see_to_corrections(session: Session, before: Mapping[int, Verdict], found: Mapping[int, Verdict]) -> None:
    """Hold the corrections of orders that were not taken, and let those leave of orders that were taken after all."""
    if refused := [one for one, verdict in found.items() if verdict is not Verdict.ACCEPTED]:
        hold_corrections(session, store.orders_of(session, refused))
    was_rejected = [one for one, verdict in before.items() if verdict is Verdict.REJECTED]
    if taken := [one for one in was_rejected if found[one] is not Verdict.REJECTED]:
        release_corrections(session, store.orders_of(session, taken))


def _came_again(session: Session, batch: int, good: Sequence[Row[Any]]) -> bool:
    """Say whether a file came, or may have come, once more than is told of without doubt."""
    told = sum(row.source == Source.API for row in good)
    return follow_store.may_have_come_twice(session, batch, (PERSON, IMPACT), told=told)


def _overcome(
    key: str, errors: Mapping[int, Sequence[tuple[Row[Any], bool]]], found: Mapping[int, Verdict]
) -> list[int]:
    """Return the errors that stand against nothing, since what they are about was taken by another submission."""
    every = (error for some in errors.values() for error, _ in some)
    return [one.id for one in every if one.rejects and found.get(getattr(one, key)) is Verdict.ACCEPTED]


def _judged_errors(
    session: Session, batch: Row[Any], complete: Sequence[Row[Any]], *, again: bool
) -> tuple[dict[int, list[tuple[Row[Any], bool]]], dict[int, Trouble | None]]:
    """Return the errors of submissions, and what does not add up in each.

    Of an error it is said whether it stands against its record; those that do not are noted.
    """
    is_order = store.kind_of(batch) is ORDERS
    reversing = set() if is_order else store.reversals(session, batch.id)
    found: dict[int, list[tuple[Row[Any], bool]]] = {row.id: [] for row in complete}
    no_more: list[int] = []
    for row in store.errors_of(session, list(found)):
        excused = forgiven(is_order=is_order, reverses=row.correction_id in reversing, again=again)
        found[row.submission_id].append((row, row.reason not in excused))
        if row.rejects and row.reason in excused:
            no_more.append(row.id)
    store.forgive(session, no_more)
    return found, {row.id: _trouble(row, batch, found[row.id]) for row in complete}


def _trouble(row: Row[Any], batch: Row[Any], errors: Sequence[tuple[Row[Any], bool]]) -> Trouble | None:
    """Return what does not add up in a submission."""
    if count_differs(row.total_records, batch.rows):
        return Trouble.RECORDS_DIFFER
    counted = row.total_errors or int(bool(row.error_reason or row.error_type))
    if row.total_records != 0 and len(errors) < counted:
        return Trouble.ERRORS_MISSING
    unjoined = any(error.revision_id is None and error.correction_id is None and stands for error, stands in errors)
    return Trouble.NOT_JOINED if unjoined else None


def _against(key: str, errors: Sequence[tuple[Row[Any], bool]]) -> list[Against]:
    return [
        Against(getattr(error, key), error.line, error.sku)
        for error, stands in errors
        if stands and getattr(error, key) is not None
    ]


# Both -----------------------------------------------------------------------------------------------------------


def _finish(
    session: Session, batch: Row[Any], number: int, found: Mapping[Verdict, int], source: Source, now: datetime
) -> None:
    """Record the result of a batch of which everything is known."""
    rejected = found.get(Verdict.REJECTED, 0)
    accepted = number - rejected - found.get(Verdict.PARTLY_ACCEPTED, 0)
    verdict = file_verdict(accepted, rejected, number)
    store.put_result(session, batch.id, verdict, accepted, rejected, source.value, now)
    follow_store.confirmed(session, batch.id)
    named = {"batch": batch.id, "batch_id": batch.batch_id}
    facts = named | {"verdict": verdict.value, "accepted": accepted, "rejected": rejected}
    is_news = accepted < number and source is not Source.FILE  # who reads a report knows what it says
    logger.log(logging.WARNING if is_news else logging.INFO, "submission.result", extra=facts)


def arrived(session: Session, batch: Row[Any], told: Told, now: datetime, by: str = IMPACT) -> None:
    """Let a delivery whose outcome was not known be known, since impact.com has the whole file.

    A file of which impact.com counts other records than we sent has not arrived.
    """
    cut = told.total_records == 0 or count_differs(told.total_records, batch.rows)
    if cut or not follow_store.not_arrived(session, [batch.id]):
        return
    if deliveries.confirm(session, batch.id, now, by=by):
        logger.warning("delivery.confirmed", extra={"batch": batch.id, "by": by, "status": told.status or COMPLETE})

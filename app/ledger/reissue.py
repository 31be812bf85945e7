"""Which corrections of a refused file are told again, and the corrections in which they are.

A correction is in one file for ever. So one that is told again is a new one, with what is true of the order by then and
impact.com does not believe yet.
"""

import csv
import io
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Row
from sqlmodel import Session

from app.batches import modifications_store
from app.batches import store as batches
from app.batches.modification import form_of
from app.batches.modifications_store import LOOKED_AT_AGAIN
from app.config import Settings
from app.conversions import corrections_store as corrections
from app.conversions import store as conversions
from app.conversions.correction import ZERO_AMOUNT, Corrected
from app.conversions.wish import Kind, Lines, Wish
from app.impact.outcomes import NextStep, reason
from app.ledger import corrections_store as ledger
from app.ledger.correction_answer import answer
from app.ledger.mending import ORDER_FIRST, Chosen, Later, Left, Refused, why_it_stays_untold
from app.ledger.standing import Case, case_of, level_of, number_of_lines
from app.submissions.store import objections_to_corrections, order_verdicts
from app.submissions.submission import Verdict


def choose_corrections(
    session: Session,
    settings: Settings,
    batch: Row[Any],
    refused: Mapping[int, Verdict],
    named: Collection[str],
    now: datetime,
) -> Chosen:
    """Choose among corrections of a batch that impact.com has not taken, and let those wait that are told again."""
    rows = corrections.of_ids(session, list(refused))
    ids = sorted({row.conversion_id for row in rows})
    conversions.lock_all(session, ids)
    corrections.lock_waits(session, ids)
    batches.lock_batch(session, batch.id)
    under_way = modifications_store.not_arrived(session, ids)
    objections = objections_to_corrections(session, list(refused))
    header, first = _beginning(batches.what_is_left_of(session, batch.id))
    chosen = Chosen()
    for row in rows:
        event_type = settings.event_type(row.event_type)
        newest = conversions.newest_of(session, row.conversion_id)
        verdict = order_verdicts(session, [newest.revision_id]).get(newest.revision_id)
        codes = [one.code for one in objections.get(row.id, ())]
        if ledger.left_by(session, newest.revision_id) is None or verdict is Verdict.REJECTED:
            chosen.left.append(Left(row.order_id, ORDER_FIRST, codes))
            continue
        tracker = event_type.action_tracker_id if event_type else None
        by_action = ledger.action_of(session, row.conversion_id) is not None
        one = Refused(
            verdict=refused[row.id],
            codes=codes,
            named=row.order_id in named,
            differs=_named_otherwise(header, first, by_action=by_action, tracker=tracker),
            settled=verdict is not None and _may_come_later(codes),
            at_rest=row.conversion_id not in under_way,
        )
        case = case_of(session, newest, event_type, waited=False)
        _choose(session, chosen, row, one, case, now)
    return chosen


def _choose(session: Session, chosen: Chosen, row: Row[Any], one: Refused, case: Case, now: datetime) -> None:
    """Let a correction wait that is told again, unless one waits already that says all that it does."""
    waits = corrections.waiting(session, row.conversion_id)
    told, lines = case.standing.told or (), case.standing.lines
    if waits is not None and waits.hold_reason is not None and waits.hold_reason not in LOOKED_AT_AGAIN:
        one = replace(one, later=Later(held=waits.hold_detail or waits.hold_reason))
    elif waits is not None:
        one = replace(one, later=Later())
    corrected = _to_be_told(case, told, row.reason)
    one = replace(one, nothing_left=level_of(case, corrected) is None)
    why = why_it_stays_untold(one)
    if why is not None:
        chosen.left.append(Left(row.order_id, why, one.codes))
    elif waits is not None and all(now_.reason for now_, before in zip(lines, told, strict=True) if now_ != before):
        chosen.goes[waits.correction_id] = row.order_id
    else:
        corrections.withdraw(session, row.conversion_id)
        chosen.goes[_add(session, case, corrected, Wish(Kind(row.kind), row.reason), now)] = row.order_id


def _to_be_told(case: Case, told: Lines, because: str) -> Corrected:
    """Return the order as it is, with a reason for each line that impact.com does not believe yet."""
    pairs = zip(case.standing.lines, told, strict=True)
    lines = tuple(replace(line, reason=None if line == known else line.reason or because) for line, known in pairs)
    reverses = case.standing.is_reversed
    hold_reason = ZERO_AMOUNT if reverses and not sum(line.amount for line in told) else None
    return Corrected(lines, reverses, tuple(line.sku for line in lines), hold_reason)


def _add(session: Session, case: Case, corrected: Corrected, wish: Wish, now: datetime) -> int:
    """Record a correction that says again what was refused, and let it wait."""
    recorded, level = case.recorded, level_of(case, corrected)
    assert level is not None  # noqa: S101 (what has no level is not told)
    told = answer(recorded.order, case.number, wish, corrected, level, now, at_impact=True)
    row: dict[str, Any] = {"conversion_id": recorded.conversion_id, "number": case.number, "kind": wish.kind.value}
    row |= {"reason": wish.reason, "reverses": corrected.reverses, "recorded_at": now, "request": ""}
    correction_id = corrections.add(session, row | {"answer": told.model_dump_json()}, corrected.lines)
    corrections.wait(
        session,
        correction_id=correction_id,
        conversion_id=recorded.conversion_id,
        event_type=recorded.order.event_type,
        level=level,
        lines=number_of_lines(level, corrected.lines),
        hold_reason=corrected.hold_reason,
    )
    return correction_id


# What has changed since -------------------------------------------------------------------------------------------


def _beginning(content: bytes) -> tuple[Sequence[str], Sequence[str]]:
    """Return the header of a file and its first row."""
    rows = csv.reader(io.StringIO(content.decode(), newline=""))
    return next(rows), next(rows)


def _named_otherwise(header: Sequence[str], first: Sequence[str], *, by_action: bool, tracker: int | None) -> bool:
    """Say whether a file would name its orders otherwise now: by actions known since, or by another event type id."""
    form = form_of(header)
    if form is None or form.by_action != by_action:
        return form is not None
    return not by_action and tracker is not None and first[0] != str(tracker)


def _may_come_later(codes: Sequence[str]) -> bool:
    return bool(codes) and all(reason(code).next_step is NextStep.RESEND_LATER for code in codes)

"""Reading what became of corrections, across the stages. Every statement starts at the key of one, or of an order."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Row, select
from sqlmodel import Session

from app.actions import store as actions
from app.batches.store import BATCH, BATCH_LINE, CORRECTION_LINE
from app.conversions.corrections_store import ACTION, CORRECTION, UNSENT_CORRECTION
from app.conversions.store import CONVERSION
from app.ledger.state import CorrectionState, correction_state
from app.ledger.store import files_of
from app.submissions.store import correction_verdicts

SHOWN: Final = 100
"""So many corrections of an order are shown, the newest."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a correction is: it waits (and may be held), or stands in a file, or neither."""

    waits: bool = False
    hold_reason: str | None = None
    filename: str | None = None
    arrived: bool = False
    doubtful: bool = False
    verdict: str | None = None

    @property
    def state(self) -> CorrectionState:
        """The state that this is."""
        return correction_state(
            waits=self.waits,
            hold_reason=self.hold_reason,
            batched=self.filename is not None,
            arrived=self.arrived,
            doubtful=self.doubtful,
            verdict=self.verdict,
        )


def left_by(session: Session, revision_id: int) -> Row[Any] | None:
    """Return the numbers of rows and orders of the batch that a revision is in, or None if it is in none."""
    batch = select(BATCH.c.rows, BATCH.c.orders).join(BATCH_LINE, BATCH_LINE.c.batch == BATCH.c.id)
    return session.connection().execute(batch.where(BATCH_LINE.c.revision_id == revision_id)).one_or_none()


def sent(session: Session, conversion_id: int) -> list[int]:
    """Return the corrections of an order that have left since the order itself did, oldest first."""
    lines = (
        select(CORRECTION.c.id)
        .join(CORRECTION_LINE, CORRECTION_LINE.c.correction_id == CORRECTION.c.id)
        .where(CORRECTION.c.conversion_id == conversion_id, CORRECTION.c.revision_id.is_(None))
        .order_by(CORRECTION.c.id)
    )
    return list(session.connection().execute(lines).scalars())


def told_as(session: Session, correction_ids: Sequence[int]) -> dict[int, Row[Any]]:
    """Return of corrections whether they reversed the order, and what was answered, which has their level."""
    told = select(CORRECTION.c.id, CORRECTION.c.reverses, CORRECTION.c.answer).where(
        CORRECTION.c.id.in_(correction_ids)
    )
    return {row.id: row for row in session.connection().execute(told)}


def reported(session: Session, conversion_id: int) -> Row[Any] | None:
    """Return an order's action as impact.com told it last: of several the one that corrections name, else the newest.

    In which order they were read says nothing of that.
    """
    found = actions.actions_of(session, [conversion_id]).get(conversion_id)
    if not found:
        return None
    name = action_of(session, conversion_id)
    return next((row for row in found if row.action_id == name), None) or actions.newest(found)


def corrections_of(session: Session, conversion_id: int) -> Sequence[Row[Any]]:
    """Return an order's newest corrections in their order."""
    columns = (CORRECTION.c[name] for name in ("id", "number", "kind", "reason", "recorded_at", "occurred_at"))
    newest = select(*columns).where(CORRECTION.c.conversion_id == conversion_id).order_by(CORRECTION.c.number.desc())
    return session.connection().execute(newest.limit(SHOWN)).all()[::-1]


def orders_of(session: Session, correction_ids: Sequence[int]) -> dict[int, tuple[str, str]]:
    """Return the event type and the order id that each correction is of."""
    statement = (
        select(CORRECTION.c.id, CONVERSION.c.event_type, CONVERSION.c.order_id)
        .join(CONVERSION, CONVERSION.c.id == CORRECTION.c.conversion_id)
        .where(CORRECTION.c.id.in_(correction_ids))
    )
    return {row.id: (row.event_type, row.order_id) for row in session.connection().execute(statement)}


def places(session: Session, conversion_id: int, correction_ids: Sequence[int]) -> dict[int, Place]:
    """Return where corrections of an order are."""
    found = placed(session, correction_ids)
    waits = select(UNSENT_CORRECTION).where(UNSENT_CORRECTION.c.conversion_id == conversion_id)
    for row in session.connection().execute(waits):
        found[row.correction_id] = Place(waits=True, hold_reason=row.hold_reason)
    return {correction_id: found.get(correction_id, Place()) for correction_id in correction_ids}


def placed(session: Session, correction_ids: Sequence[int]) -> dict[int, Place]:
    """Return where those corrections are that stand in a file."""
    standing = select(CORRECTION_LINE).where(CORRECTION_LINE.c.correction_id.in_(correction_ids))
    lines = session.connection().execute(standing).all()
    files = files_of(session, {row.batch for row in lines}) if lines else {}
    names = ("filename", "arrived", "doubtful")
    verdicts = correction_verdicts(session, [row.correction_id for row in lines]) if lines else {}
    return {
        row.correction_id: Place(
            **{name: files[row.batch][name] for name in names}, verdict=verdicts.get(row.correction_id)
        )
        for row in lines
    }


def action_of(session: Session, conversion_id: int) -> str | None:
    """Return the name that impact.com gave to an order, where it is known."""
    known = select(ACTION.c.action_id).where(ACTION.c.conversion_id == conversion_id)
    return session.connection().execute(known).scalar_one_or_none()

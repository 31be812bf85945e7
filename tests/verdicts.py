"""What impact.com decided, as it stands in the database once it is known, for tests of what follows from it."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import Table, delete, insert, select
from sqlmodel import Session

from app.batches.store import BATCH, BATCH_LINE, CORRECTION_LINE, UNCONFIRMED
from app.conversions.corrections_store import CORRECTION
from app.conversions.store import CONVERSION, REVISION
from app.database import Database, only_by_keys
from app.submissions.hold_corrections import hold_corrections
from app.submissions.store import JUDGED_CORRECTION, JUDGED_ORDER, RESULT, SUBMISSION, SUBMISSION_ERROR, results
from tests.support import NOW

Codes = Sequence[str] | Mapping[str, Sequence[str]]
"""Reasons against an order, or by the SKUs that they stand against, which leaves the others accepted."""


def judge(database: Database, refused: Mapping[str, Codes], batch_id: str | None = None) -> None:
    """Let impact.com have decided about a batch, else about every one that has no result yet; the rest is accepted.

    `refused` has the reasons by order id.
    """
    with database.transaction() as session:
        only_by_keys(session)
        batches = select(BATCH).order_by(BATCH.c.id)
        wanted = batches if batch_id is None else batches.where(BATCH.c.batch_id == batch_id)
        for batch in session.connection().execute(wanted).all():
            if not results(session, [batch.id]):
                _judge(session, batch, refused)


def _judge(session: Session, batch: Any, refused: Mapping[str, Codes]) -> None:
    connection = session.connection()
    told = {"batch": batch.id, "type": "Conversion", "status": "Complete", "source": "api", "recorded_at": NOW}
    [submission] = connection.execute(
        insert(SUBMISSION).returning(SUBMISSION.c.id), [told | {"file_name": batch.filename}]
    ).scalars()
    of_orders = batch.kind == "conversions"
    name, judged = ("revision_id", JUDGED_ORDER) if of_orders else ("correction_id", JUDGED_CORRECTION)
    found = {order_id: ids for order_id, ids in _orders(session, batch).items() if order_id in refused}
    for order_id, (one, conversion_id) in found.items():
        codes = refused[order_id]
        by_sku = codes if isinstance(codes, Mapping) else {None: codes}
        errors = [
            {"submission_id": submission, name: one, "order_id": order_id, "sku": sku, "reason": code, "rejects": True}
            for sku, some in by_sku.items()
            for code in some
        ]
        connection.execute(insert(SUBMISSION_ERROR), errors)
        verdict = "partly_accepted" if isinstance(codes, Mapping) else "rejected"
        connection.execute(insert(judged), [{name: one, "submission_id": submission, "verdict": verdict}])
        hold_corrections(session, [conversion_id])
    verdict = "accepted" if not found else "rejected" if len(found) == batch.orders else "partly_rejected"
    counts = {"accepted": batch.orders - len(found), "rejected": len(found)}
    row = {"batch": batch.id, "verdict": verdict, "source": "api", "recorded_at": NOW}
    connection.execute(insert(RESULT), [row | counts])
    connection.execute(delete(UNCONFIRMED).where(UNCONFIRMED.c.batch == batch.id))


def _orders(session: Session, batch: Any) -> dict[str, tuple[int, int]]:
    """Return what a batch holds of each order, and its conversion."""
    if batch.kind == "conversions":
        return _of(session, batch.id, BATCH_LINE, REVISION)
    return _of(session, batch.id, CORRECTION_LINE, CORRECTION)


def _of(session: Session, batch: int, lines: Table, said: Table) -> dict[str, tuple[int, int]]:
    [key] = lines.primary_key
    named = select(key, CONVERSION.c.id, CONVERSION.c.order_id).join_from(lines, said, said.c.id == key)
    mine = named.join(CONVERSION, CONVERSION.c.id == said.c.conversion_id).where(lines.c.batch == batch)
    return {row.order_id: (row[0], row.id) for row in session.connection().execute(mine)}


def reject(database: Database, *order_ids: str, codes: Collection[str] = ("ACTIONTRACKER_NOT_FOUND",)) -> None:
    """Let impact.com have refused these orders of every batch that has no result yet, and taken the others."""
    judge(database, {order_id: list(codes) for order_id in order_ids})

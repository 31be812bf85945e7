"""What is still to be learned, and every statement on it: calls in `unanswered`, batches in `unconfirmed`.

Whoever asks moves the next look on first and counts the token up, so that two replicas do not ask the same at once.
"""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, Row, Table, delete, exists, func, literal, select, update
from sqlmodel import Session

from app.batches.store import BATCH, UNCONFIRMED, UNDELIVERED
from app.database import database_now, insert_new_from, only_by_keys
from app.delivery.attempt import AttemptStatus
from app.delivery.calls_store import CALL, UNANSWERED
from app.delivery.store import ATTEMPT
from app.submissions.store import RESULT

MOST_BATCHES: Final = 100
"""As many batches are looked after at once; one listing serves all of them."""
NEWEST: Final = 1_000
"""Among so many of the newest batches are those that left while replicas were upgraded."""
NEVER: Final = timedelta(days=3650)


def adopt(session: Session) -> None:
    """Look after those of the newest batches that a replica of an older version has sent, which knew nothing of it."""
    only_by_keys(session)
    recent = select(BATCH.c.id).order_by(BATCH.c.id.desc()).limit(NEWEST)
    known = [exists().where(table.c.batch == ATTEMPT.c.batch) for table in (UNCONFIRMED, RESULT)]
    first = func.min(ATTEMPT.c.started_at)
    left = select(ATTEMPT.c.batch, first, first, literal(0), literal(0)).where(ATTEMPT.c.batch.in_(recent))
    forgotten = left.where(*(~one for one in known)).group_by(ATTEMPT.c.batch)
    names = ["batch", "since", "due_at", "looks", "token"]
    session.connection().execute(insert_new_from(session, UNCONFIRMED, names, forgotten))


def claim_call(session: Session, lease: timedelta) -> Row[Any] | None:
    """Take a call that is due, and return it with `looks` and the `token` it was taken under."""
    connection, now = session.connection(), database_now(session)
    due = select(UNANSWERED).where(UNANSWERED.c.due_at <= now).order_by(UNANSWERED.c.due_at).limit(1)
    row = connection.execute(due.with_for_update(skip_locked=True)).one_or_none()
    if row is None or not _move_on(session, UNANSWERED, row.call, row.token, now + lease):
        return None
    told = select(CALL, UNANSWERED.c.looks, UNANSWERED.c.token).join(UNANSWERED, UNANSWERED.c.call == CALL.c.id)
    return connection.execute(told.where(CALL.c.id == row.call)).one()


def claim_batches(session: Session, lease: timedelta) -> list[Row[Any]]:
    """Take the batches that are due, and return them with their names and the tokens they were taken under."""
    connection, now = session.connection(), database_now(session)
    due = select(UNCONFIRMED).where(UNCONFIRMED.c.due_at <= now).order_by(UNCONFIRMED.c.due_at).limit(MOST_BATCHES)
    rows = connection.execute(due.with_for_update(skip_locked=True)).all()
    mine = [row.batch for row in rows if _move_on(session, UNCONFIRMED, row.batch, row.token, now + lease)]
    told = select(BATCH.c.filename, BATCH.c.created_at, BATCH.c.channel, UNCONFIRMED)
    joined = told.join(UNCONFIRMED, UNCONFIRMED.c.batch == BATCH.c.id).where(BATCH.c.id.in_(mine))
    return list(connection.execute(joined.order_by(BATCH.c.id))) if mine else []


def _move_on(session: Session, table: Table, key: int, token: int, until: datetime) -> bool:
    taken = update(table).where(*_is(table, key, token)).values(token=token + 1, due_at=until)
    return session.connection().execute(taken).rowcount == 1


def put_off(session: Session, table: Table, key: int, token: int, looks: int, wait: timedelta) -> None:
    """Look again after a while, if nobody else has taken it over."""
    later = update(table).where(*_is(table, key, token))
    session.connection().execute(later.values(looks=looks, due_at=database_now(session) + wait))


def holds(session: Session, table: Table, key: int, token: int) -> bool:
    """Say whether what was taken is still ours; it stays so until the transaction ends."""
    [column] = table.primary_key
    mine = select(column).where(*_is(table, key, token)).with_for_update()
    return session.connection().execute(mine).first() is not None


def _is(table: Table, key: int, token: int) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    [column] = table.primary_key
    return column == key, table.c.token == token


def answered(session: Session, call: int) -> None:
    """Ask no more about a call."""
    session.connection().execute(delete(UNANSWERED).where(UNANSWERED.c.call == call))


def confirmed(session: Session, batch: int) -> None:
    """Look after a batch no more."""
    session.connection().execute(delete(UNCONFIRMED).where(UNCONFIRMED.c.batch == batch))


def note_trouble(session: Session, batch: int, trouble: str | None) -> None:
    """Note why a person has to look at a batch, or that none has to."""
    this = update(UNCONFIRMED).where(UNCONFIRMED.c.batch == batch)
    session.connection().execute(this.values(trouble=trouble))


def give_up(session: Session, batch: int, trouble: str) -> None:
    """Note that nothing will be learned of a batch any more. Its row stays: it was delivered, and no more is known."""
    this = update(UNCONFIRMED).where(UNCONFIRMED.c.batch == batch)
    session.connection().execute(this.values(trouble=trouble, due_at=database_now(session) + NEVER))


def is_looked_after(session: Session, batch: int) -> bool:
    """Say whether something of a batch is still to be learned."""
    one = select(UNCONFIRMED.c.batch).where(UNCONFIRMED.c.batch == batch)
    return session.connection().execute(one).first() is not None


def is_leaving(session: Session, batch: int) -> bool:
    """Say whether a batch is being sent right now; nobody begins to until the transaction ends."""
    lease = select(UNDELIVERED.c.leased_until).where(UNDELIVERED.c.batch == batch).with_for_update()
    until = session.connection().execute(lease).scalar_one_or_none()
    return until is not None and until > database_now(session)


def not_arrived(session: Session, batches: Collection[int]) -> set[int]:
    """Return those of the batches that are in the delivery queue and have never arrived for certain."""
    connection = session.connection()
    arrived = select(ATTEMPT.c.batch).where(
        ATTEMPT.c.batch.in_(batches), ATTEMPT.c.status == AttemptStatus.DELIVERED.value
    )
    queued = select(UNDELIVERED.c.batch).where(UNDELIVERED.c.batch.in_(batches))
    return set(connection.execute(queued).scalars()) - set(connection.execute(arrived).scalars())


def may_have_come_twice(session: Session, batch: int, not_by: Sequence[str], *, told: int = 1) -> bool:
    """Say whether a file may have arrived once more than is told of: by an attempt nobody knows about, or by several.

    What was written down `not_by` a channel has sent nothing.
    """
    tried = select(ATTEMPT.c.status).where(ATTEMPT.c.batch == batch, ATTEMPT.c.channel.not_in(not_by))
    statuses = list(session.connection().execute(tried).scalars())
    return AttemptStatus.UNKNOWN in statuses or statuses.count(AttemptStatus.DELIVERED) > max(told, 1)

"""The records of exports and batches, and every statement on them.

A revision ends in exactly one place: on the lines of one batch for ever (a primary key says so), or among what an
export left out. A batch has one name and one content for ever.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Row,
    Select,
    Table,
    delete,
    false,
    func,
    insert,
    literal,
    select,
    text,
    update,
)
from sqlmodel import Field, Session, SQLModel

from app.batches.batch import AgeLimit
from app.conversions.store import REVISION, UNSENT
from app.database import ROW_ID, UTCDateTime, database_now, insert_new, numbers
from app.errors import ContentRemoved, LeaseLost

PAGE: Final = 100
OPEN: Final = 1
ERASED: Final = "erased"
OLD: Final = "old"
"""Why the content of a batch was removed: it held data of a person, or nobody needs it any more."""


class Export(SQLModel, table=True):
    """One run of the exporter. `slot` is 1 while it is queued or running and NULL after: so one is open at a time.

    `token` grows with every claim; what an earlier claimant still tries to record is refused by it. `corrections` have
    left with it; of those that were there when it ended, some wait for a delivery and some are held.
    """

    __tablename__ = "export"
    __table_args__ = (
        CheckConstraint("state IN ('queued', 'running', 'done', 'failed')", name="export_state"),
        Index(
            "exports_that_expired",
            "requested_at",
            sqlite_where=text("expired > 0"),
            postgresql_where=text("expired > 0"),
        ),
    )

    id: int | None = Field(default=None, sa_column=Column(ROW_ID, primary_key=True))
    slot: int | None = Field(default=None, unique=True)
    state: str
    requested_at: datetime = Field(sa_type=UTCDateTime)
    ended_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    exported: int = 0
    held: int = 0
    expired: int = 0
    corrections: int = Field(default=0, sa_column=Column(Integer, nullable=False, server_default="0"))
    corrections_waiting: int = Field(default=0, sa_column=Column(Integer, nullable=False, server_default="0"))
    corrections_held: int = Field(default=0, sa_column=Column(Integer, nullable=False, server_default="0"))
    failure: str | None = None
    token: int = 0
    leased_until: datetime | None = Field(default=None, sa_type=UTCDateTime)


class Batch(SQLModel, table=True):
    """A file for impact.com. `batch_id` is random, so that a name stays unique even when a database is restored.

    `channel` is the way out that was settled when it was made; without it the settings say by which one it leaves.
    `removed_at`: its content is gone since then, `removed_why` (`erased`: it held data of a person, `old`).
    """

    __tablename__ = "batch"
    __table_args__ = (CheckConstraint("kind IN ('conversions', 'modifications')", name="batch_kind"),)

    id: int | None = Field(default=None, sa_column=Column(ROW_ID, primary_key=True))
    batch_id: str = Field(unique=True)
    export_id: int = Field(sa_column=Column(BigInteger, ForeignKey("export.id"), nullable=False, index=True))
    kind: str
    event_type: str
    filename: str = Field(unique=True)
    created_at: datetime = Field(sa_type=UTCDateTime)
    rows: int
    orders: int
    sha256: str
    channel: str | None = None
    removed_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    removed_why: str | None = None


class BatchContent(SQLModel, table=True):
    """The exact bytes of a batch, apart from its row so that lists stay light."""

    __tablename__ = "batch_content"

    batch: int = Field(sa_column=Column(ROW_ID, ForeignKey("batch.id"), primary_key=True, autoincrement=False))
    content: bytes = Field(sa_type=LargeBinary)


class BatchLine(SQLModel, table=True):
    """Where a revision stands: its items are on the lines from `first_line` on, in their order.

    Where a line is a whole order, they are all on that one. A batch with as many rows as orders has no other lines.
    """

    __tablename__ = "batch_line"
    __table_args__ = (Index("lines_of_batch", "batch", "first_line"),)

    revision_id: int = Field(sa_column=Column(ROW_ID, ForeignKey("revision.id"), primary_key=True, autoincrement=False))
    batch: int = Field(sa_column=Column(BigInteger, ForeignKey("batch.id"), nullable=False))
    first_line: int


class CorrectionLine(SQLModel, table=True):
    """Where a correction stands: its lines are those from `first_line` on."""

    __tablename__ = "correction_line"
    __table_args__ = (Index("corrections_of_batch", "batch", "first_line"),)

    correction_id: int = Field(
        sa_column=Column(ROW_ID, ForeignKey("correction.id"), primary_key=True, autoincrement=False)
    )
    batch: int = Field(sa_column=Column(BigInteger, ForeignKey("batch.id"), nullable=False))
    first_line: int


class LeftOut(SQLModel, table=True):
    """A revision that an export could not send, and why. If it still waits in `unsent`, the next one tries again.

    `expires_at`: until when impact.com would take it. A row without it was made by a version before 0014.
    """

    __tablename__ = "left_out"
    __table_args__ = (
        CheckConstraint("state IN ('held', 'expired')", name="left_out_state"),
        Index("left_out_by_state", "state", "revision_id"),
        Index("left_out_by_reason", "reason", "revision_id"),
        Index("left_out_by_export", "export_id", "revision_id"),
        Index("left_out_until", "state", "expires_at"),
    )

    revision_id: int = Field(sa_column=Column(ROW_ID, ForeignKey("revision.id"), primary_key=True, autoincrement=False))
    export_id: int = Field(sa_column=Column(BigInteger, ForeignKey("export.id"), nullable=False))
    state: str
    reason: str
    detail: str
    expires_at: datetime | None = Field(default=None, sa_type=UTCDateTime)


class Undelivered(SQLModel, table=True):
    """A batch that has not arrived yet. The row comes with the batch and goes with its delivery.

    `since` is the number of the last attempt before it was queued. `stuck` is set when no attempt comes by itself any
    more: `failed`, or `unknown` if the file may have arrived.
    """

    __tablename__ = "undelivered"
    __table_args__ = (CheckConstraint("stuck IN ('failed', 'unknown')", name="undelivered_stuck"),)

    batch: int = Field(sa_column=Column(ROW_ID, ForeignKey("batch.id"), primary_key=True, autoincrement=False))
    due_at: datetime = Field(sa_type=UTCDateTime)
    token: int = 0
    leased_until: datetime | None = Field(default=None, sa_type=UTCDateTime)
    since: int = Field(default=0, sa_column=Column(Integer, nullable=False, server_default="0"))
    stuck: str | None = None


GIVEN_UP: Final = "given_up"
"""What is wrong with a batch of which impact.com will tell nothing any more."""


class Unconfirmed(SQLModel, table=True):
    """A batch that has left, or may have, and of which impact.com has not told everything yet.

    The row comes with the first attempt and goes with the result; it is looked after from `due_at` on, `looks` times so
    far.
    """

    __tablename__ = "unconfirmed"
    __table_args__ = (Index("unconfirmed_when_due", "due_at"),)

    batch: int = Field(sa_column=Column(ROW_ID, ForeignKey("batch.id"), primary_key=True, autoincrement=False))
    since: datetime = Field(sa_type=UTCDateTime)
    due_at: datetime = Field(sa_type=UTCDateTime)
    looks: int = 0
    token: int = 0
    trouble: str | None = None


EXPORT: Final = Export.__table__  # type: ignore[attr-defined]
BATCH: Final = Batch.__table__  # type: ignore[attr-defined]
BATCH_CONTENT: Final = BatchContent.__table__  # type: ignore[attr-defined]
BATCH_LINE: Final = BatchLine.__table__  # type: ignore[attr-defined]
CORRECTION_LINE: Final = CorrectionLine.__table__  # type: ignore[attr-defined]
LEFT_OUT: Final = LeftOut.__table__  # type: ignore[attr-defined]
UNDELIVERED: Final = Undelivered.__table__  # type: ignore[attr-defined]
UNCONFIRMED: Final = Unconfirmed.__table__  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True)
class Claim:
    """A worker's right to work on an export until its lease ends."""

    export_id: int
    token: int


class Waiting(NamedTuple):
    """Revisions that wait, column by column, as files are planned by them.

    An older version recorded no `lines` and no `currencies`. `hold_reasons` are there for those that are not to leave.
    `are_usual` says of which these columns show nothing that could keep them back, the currency aside.
    """

    revision_ids: Sequence[int] = ()
    lines: Sequence[int | None] = ()
    currencies: Sequence[str | None] = ()
    hold_reasons: Sequence[str | None] = ()
    are_usual: Sequence[bool] = ()


@dataclass(frozen=True, slots=True)
class Omission:
    """Why a revision does not go. `again`: the next export looks at it anew, since the reason may be gone by then."""

    revision_id: int
    state: str
    reason: str
    detail: str
    again: bool = False


# Exports --------------------------------------------------------------------------------------------------------


def request_export(session: Session, now: datetime) -> Row[Any]:
    """Return the open export, making one if there is none."""
    connection = session.connection()
    while True:  # the open one may end between the two statements
        connection.execute(insert_new(session, EXPORT), [{"slot": OPEN, "state": "queued", "requested_at": now}])
        row = connection.execute(select(EXPORT).where(EXPORT.c.slot == OPEN)).one_or_none()
        if row is not None:
            return row


def add_export(session: Session, now: datetime) -> Claim:
    """Add an export that is done as soon as its files are, beside the one that is open, and take it."""
    row = {"state": "done", "requested_at": now, "ended_at": now, "token": 1}
    number = session.connection().execute(insert(EXPORT).returning(EXPORT.c.id), [row]).scalar_one()
    return Claim(number, 1)


def find_export(session: Session, export_id: int) -> Row[Any] | None:
    """Return an export's row."""
    return session.connection().execute(select(EXPORT).where(EXPORT.c.id == export_id)).one_or_none()


def pause_export(session: Session) -> None:
    """Let the open export commit no file until the transaction ends. Where there is one writer, that is so already."""
    session.connection().execute(select(EXPORT.c.id).where(EXPORT.c.slot == OPEN).with_for_update())


def interrupt_exports(session: Session) -> None:
    """Let no file be committed that is planned already: whoever made it finds that he has lost it, and plans anew."""
    connection = session.connection()
    newest = connection.execute(select(func.coalesce(func.max(EXPORT.c.id), 0))).scalar_one()
    recent = update(EXPORT).where(EXPORT.c.id > newest - PAGE)
    connection.execute(recent.values(token=EXPORT.c.token + 1, leased_until=None))


def claim_export(session: Session, lease: timedelta) -> Claim | None:
    """Take the open export, if there is one and nobody's lease on it is running."""
    connection, now = session.connection(), database_now(session)
    row = connection.execute(select(EXPORT).where(EXPORT.c.slot == OPEN)).one_or_none()
    if row is None or (row.leased_until is not None and row.leased_until > now):
        return None
    mine = (
        update(EXPORT)
        .where(EXPORT.c.id == row.id, EXPORT.c.token == row.token, EXPORT.c.slot == OPEN)
        .values(state="running", token=row.token + 1, leased_until=now + lease)
    )
    return Claim(row.id, row.token + 1) if connection.execute(mine).rowcount == 1 else None


def advance_export(session: Session, claim: Claim, **values: Any) -> None:
    """Update an export that is still ours. Raises LeaseLost if another worker has taken it over."""
    statement = update(EXPORT).where(EXPORT.c.id == claim.export_id, EXPORT.c.token == claim.token).values(**values)
    if session.connection().execute(statement).rowcount != 1:
        raise LeaseLost("Another worker has taken this export over.")


# What waits -----------------------------------------------------------------------------------------------------


def waiting_event_types(session: Session) -> list[str]:
    """Return the event types of what waits."""
    return list(session.connection().execute(select(UNSENT.c.event_type).distinct().order_by("event_type")).scalars())


def newest_waiting(session: Session) -> int:
    """Return the newest revision that waits, or 0."""
    newest = select(func.coalesce(func.max(UNSENT.c.revision_id), 0))
    return int(session.connection().execute(newest).scalar_one())


def waiting(
    session: Session,
    event_type: str,
    *,
    after: int,
    upto: int,
    limit: int,
    oldest: datetime,
    most_lines: int,
    only: Sequence[int] | None = None,
) -> Waiting:
    """Return what waits, in the order of recording, from an index that holds nothing else; with `only`, of these.

    Usual is what is not held, happened at `oldest` or later, and has not too many lines.
    """
    usual = UNSENT.c.hold_reason.is_(None) & (UNSENT.c.event_at >= oldest) & (UNSENT.c.lines <= most_lines)
    statement = (
        select(
            *(UNSENT.c.revision_id, UNSENT.c.lines, UNSENT.c.currency, UNSENT.c.hold_reason),
            func.coalesce(usual, false()),
        )
        .where(UNSENT.c.event_type == event_type, UNSENT.c.revision_id > after, UNSENT.c.revision_id <= upto)
        .order_by(UNSENT.c.revision_id)
        .limit(limit)
    )
    if only is not None:
        statement = statement.where(UNSENT.c.revision_id.in_(_all_of(session, only)))
    return Waiting(*zip(*session.connection().execute(statement).all(), strict=True))


def take(session: Session, revision_ids: Sequence[int]) -> int:
    """Remove `unsent` rows and return how many there were: fewer than asked for means that orders have changed."""
    mine = UNSENT.c.revision_id.in_(_all_of(session, revision_ids))
    return session.connection().execute(delete(UNSENT).where(mine)).rowcount


def omit(session: Session, export_id: int, omissions: Sequence[Omission], limit: AgeLimit) -> None:
    """Note why revisions were left out, in place of what an earlier export noted."""
    if not omissions:
        return
    revision_ids = [one.revision_id for one in omissions]
    forget_omissions(session, revision_ids)
    told = select(REVISION.c.id, REVISION.c.event_at, REVISION.c.media_id)
    found = session.connection().execute(told.where(REVISION.c.id.in_(_all_of(session, revision_ids))))
    ends = {row.id: row.event_at + limit.age(has_media_id=row.media_id is not None) for row in found}
    rows = [
        {
            "revision_id": one.revision_id,
            "export_id": export_id,
            "state": one.state,
            "reason": one.reason,
            "detail": one.detail,
            "expires_at": ends[one.revision_id],
        }
        for one in omissions
    ]
    session.connection().execute(insert(LEFT_OUT), rows)


def forget_omissions(session: Session, revision_ids: Sequence[int]) -> None:
    """Remove what earlier exports noted about revisions."""
    mine = LEFT_OUT.c.revision_id.in_(_all_of(session, revision_ids))
    session.connection().execute(delete(LEFT_OUT).where(mine))


# Batches --------------------------------------------------------------------------------------------------------


def add_batch(
    session: Session, row: dict[str, Any], content: bytes, revision_ids: Sequence[int], first_lines: Sequence[int]
) -> int:
    """Add a batch with its bytes, the first line of each revision, and its place in the delivery queue, due now."""
    return _add_file(session, row, content, BATCH_LINE, revision_ids, first_lines)


def add_modifications(
    session: Session, row: dict[str, Any], content: bytes, correction_ids: Sequence[int], first_lines: Sequence[int]
) -> int:
    """Add a batch of modifications likewise."""
    return _add_file(session, row, content, CORRECTION_LINE, correction_ids, first_lines)


def _add_file(
    session: Session, row: dict[str, Any], content: bytes, lines: Table, ids: Sequence[int], first_lines: Sequence[int]
) -> int:
    connection = session.connection()
    [key] = lines.primary_key
    number: int = connection.execute(insert(BATCH).returning(BATCH.c.id), [row]).scalar_one()
    connection.execute(insert(BATCH_CONTENT), [{"batch": number, "content": content}])
    placed = numbers(session, id=ids, first_line=first_lines)
    here = select(placed.c.id, literal(number), placed.c.first_line)
    connection.execute(insert(lines).from_select([key, lines.c.batch, lines.c.first_line], here))
    connection.execute(insert(UNDELIVERED), [{"batch": number, "due_at": database_now(session)}])
    return number


def batches_of(session: Session, export_id: int) -> Sequence[Row[Any]]:
    """Return an export's batches in the order of their creation."""
    return session.connection().execute(select(BATCH).where(BATCH.c.export_id == export_id).order_by(BATCH.c.id)).all()


def list_batches(session: Session, after: int) -> Sequence[Row[Any]]:
    """Return a page of batches and one more, in the order of their creation."""
    statement = select(BATCH).where(BATCH.c.id > after).order_by(BATCH.c.id).limit(PAGE + 1)
    return session.connection().execute(statement).all()


def newest_batches(session: Session, before: int, most: int) -> Sequence[Row[Any]]:
    """Return the newest batches of those with a number below `before`, newest first."""
    statement = select(BATCH).where(BATCH.c.id < before).order_by(BATCH.c.id.desc()).limit(most)
    return session.connection().execute(statement).all()


def find_batch(session: Session, batch_id: str) -> Row[Any] | None:
    """Return a batch's row."""
    return session.connection().execute(select(BATCH).where(BATCH.c.batch_id == batch_id)).one_or_none()


def batch_of(session: Session, revision_id: int) -> Row[Any] | None:
    """Return the row of the batch that a revision is in, or None if it is in none."""
    placed = select(BATCH).join(BATCH_LINE, BATCH_LINE.c.batch == BATCH.c.id)
    return session.connection().execute(placed.where(BATCH_LINE.c.revision_id == revision_id)).one_or_none()


def lock_batch(session: Session, number: int) -> None:
    """Let nobody decide to send a batch again, or its orders anew, until the transaction ends."""
    session.connection().execute(select(BATCH.c.id).where(BATCH.c.id == number).with_for_update())


def content_of(session: Session, number: int) -> bytes:
    """Return the exact bytes of a batch. Raises ContentRemoved."""
    require_content(session, number)
    return what_is_left_of(session, number)


def require_content(session: Session, number: int) -> None:
    """Raise ContentRemoved if a batch's bytes are not there any more."""
    row = session.connection().execute(select(BATCH).where(BATCH.c.id == number)).one()
    if row.removed_at is not None:
        raise _removed(row)


def what_is_left_of(session: Session, number: int) -> bytes:
    """Return the bytes of a batch, or what is left of them when data of a person were erased: their cells are empty.

    That is what its lines are known by, and is never sent. Raises ContentRemoved if nothing is left.
    """
    kept = select(BATCH_CONTENT.c.content).where(BATCH_CONTENT.c.batch == number)
    content: bytes | None = session.connection().execute(kept).scalar_one_or_none()
    if content is None:
        raise _removed(session.connection().execute(select(BATCH).where(BATCH.c.id == number)).one())
    return content


def _removed(row: Row[Any]) -> ContentRemoved:
    because = "it held data of a person who was erased" if row.removed_why == ERASED else "it was old"
    return ContentRemoved(
        f"The content of {row.filename} was removed on {row.removed_at:%Y-%m-%d}, since {because}. Its hash, its lines"
        " and what became of its orders are still known; the file itself cannot be had or sent again."
    )


def remove_content(session: Session, number: int, left: bytes | None, now: datetime, why: str) -> None:
    """Let a batch have no content any more but what is `left`; when and why it was first removed stays."""
    connection = session.connection()
    first = update(BATCH).where(BATCH.c.id == number, BATCH.c.removed_at.is_(None))
    connection.execute(first.values(removed_at=now, removed_why=why))
    mine = BATCH_CONTENT.c.batch == number
    if left is None:
        connection.execute(delete(BATCH_CONTENT).where(mine))
    else:
        connection.execute(update(BATCH_CONTENT).where(mine).values(content=left))


def _all_of(session: Session, revision_ids: Sequence[int]) -> Select[tuple[int]]:
    return select(numbers(session, id=revision_ids).c.id)

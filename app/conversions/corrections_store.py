"""The records of corrections: what a shop said of an order after it had sent it.

While nothing of an order has left, a correction makes a revision of it, or cancels it. After that it keeps all items as
they are in the end, and those that impact.com must be told of have a reason; it waits in `unsent_correction` until it
leaves or a later one takes its place.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Row,
    Select,
    UniqueConstraint,
    delete,
    func,
    insert,
    select,
    text,
    update,
)
from sqlmodel import Field, Session, SQLModel

from app.conversions.store import CONVERSION, LOOKUP_CHUNK
from app.conversions.wish import Line, Lines
from app.database import ROW_ID, UTCDateTime


class Correction(SQLModel, table=True):
    """A correction that was accepted, for ever. `revision_id` is the revision that it made or cancelled, if it did so.

    That is also the one that took its place: the order was sent anew after impact.com had refused it.

    `reverses` says that nothing is left of the order. `request` is the SHA-256 of what was asked for and `answer` the
    JSON that was answered, for repeats with the same `idempotency_key`.
    """

    __tablename__ = "correction"
    __table_args__ = (
        UniqueConstraint("conversion_id", "number", name="one_correction_per_number"),
        UniqueConstraint("conversion_id", "idempotency_key", name="one_correction_per_key"),
        CheckConstraint("kind IN ('modification', 'reversal', 'refund')", name="correction_kind"),
        Index(
            "orders_corrected_often",
            "number",
            "conversion_id",
            sqlite_where=text("number >= 900"),
            postgresql_where=text("number >= 900"),
        ),
    )

    id: int | None = Field(default=None, sa_column=Column(ROW_ID, primary_key=True))
    conversion_id: int = Field(sa_column=Column(BigInteger, ForeignKey("conversion.id"), nullable=False))
    number: int
    kind: str
    reason: str
    reverses: bool
    occurred_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    recorded_at: datetime = Field(sa_type=UTCDateTime)
    revision_id: int | None = Field(
        default=None, sa_column=Column(BigInteger, ForeignKey("revision.id"), nullable=True)
    )
    idempotency_key: str | None
    request: str
    answer: str


class CorrectionItem(SQLModel, table=True):
    """One line of an order as a correction leaves it, `amount` in minor units; final values, never differences.

    `reason` is there where impact.com must be told: the line differs from what left last. For a correction that made a
    revision there are no such rows.
    """

    __tablename__ = "correction_item"

    correction_id: int = Field(sa_column=Column(BigInteger, ForeignKey("correction.id"), primary_key=True))
    position: int = Field(primary_key=True)
    sku: str
    category: str
    quantity: int = Field(sa_type=BigInteger)
    amount: int = Field(sa_type=BigInteger)
    reason: str | None


class UnsentCorrection(SQLModel, table=True):
    """A correction that has not left yet; one of an order at most, since a later one takes its place.

    `level` says whether its lines name items or the order, `lines` how many they are. `hold_reason` says why it will
    not leave, if it will not, and `hold_detail` is the sentence of the export that found so.
    """

    __tablename__ = "unsent_correction"
    __table_args__ = (
        CheckConstraint("level IN ('item', 'order')", name="correction_level"),
        Index("unsent_corrections_in_order", "event_type", "correction_id"),
    )

    correction_id: int = Field(
        sa_column=Column(ROW_ID, ForeignKey("correction.id"), primary_key=True, autoincrement=False)
    )
    conversion_id: int = Field(sa_column=Column(BigInteger, ForeignKey("conversion.id"), nullable=False, unique=True))
    event_type: str
    level: str
    lines: int
    hold_reason: str | None
    hold_detail: str | None = None


class Cancelled(SQLModel, table=True):
    """A revision that never leaves, since its order was reversed before it had."""

    __tablename__ = "cancelled"

    revision_id: int = Field(sa_column=Column(ROW_ID, ForeignKey("revision.id"), primary_key=True, autoincrement=False))
    correction_id: int = Field(sa_column=Column(BigInteger, ForeignKey("correction.id"), nullable=False))


class Action(SQLModel, table=True):
    """The name that impact.com gave to an order, a dotted text, where it is known."""

    __tablename__ = "action"
    __table_args__ = (Index("orders_of_actions", "action_id"),)

    conversion_id: int = Field(
        sa_column=Column(ROW_ID, ForeignKey("conversion.id"), primary_key=True, autoincrement=False)
    )
    action_id: str


CORRECTION: Final = Correction.__table__  # type: ignore[attr-defined]
CORRECTION_ITEM: Final = CorrectionItem.__table__  # type: ignore[attr-defined]
UNSENT_CORRECTION: Final = UnsentCorrection.__table__  # type: ignore[attr-defined]
CANCELLED: Final = Cancelled.__table__  # type: ignore[attr-defined]
ACTION: Final = Action.__table__  # type: ignore[attr-defined]


def with_key(session: Session, conversion_id: int, idempotency_key: str) -> Row[Any] | None:
    """Return the correction of an order that was made under a key."""
    mine = CORRECTION.c.conversion_id == conversion_id, CORRECTION.c.idempotency_key == idempotency_key
    return session.connection().execute(select(CORRECTION.c.request, CORRECTION.c.answer).where(*mine)).one_or_none()


def of_ids(session: Session, correction_ids: Sequence[int]) -> Sequence[Row[Any]]:
    """Return corrections with the order that each is of, by ascending id."""
    columns = [CORRECTION.c[name] for name in ("id", "conversion_id", "kind", "reason")]
    orders: Select[Any] = select(*columns, CONVERSION.c.event_type, CONVERSION.c.order_id)
    mine = orders.join(CONVERSION, CONVERSION.c.id == CORRECTION.c.conversion_id)
    return session.connection().execute(mine.where(CORRECTION.c.id.in_(correction_ids)).order_by(CORRECTION.c.id)).all()


def waiting(session: Session, conversion_id: int) -> Row[Any] | None:
    """Return an order's correction that waits, if one does."""
    mine = select(UNSENT_CORRECTION).where(UNSENT_CORRECTION.c.conversion_id == conversion_id)
    return session.connection().execute(mine).one_or_none()


def newest(session: Session, conversion_id: int) -> Row[Any] | None:
    """Return the number of an order's newest correction, and whether it reversed the order."""
    of_order = select(CORRECTION.c.number, CORRECTION.c.reverses).where(CORRECTION.c.conversion_id == conversion_id)
    return session.connection().execute(of_order.order_by(CORRECTION.c.number.desc()).limit(1)).one_or_none()


def later_than(session: Session, conversion_id: int, occurred_at: datetime) -> Sequence[Row[Any]]:
    """Return kind and answer of an order's corrections that happened later."""
    later = CORRECTION.c.conversion_id == conversion_id, CORRECTION.c.occurred_at > occurred_at
    return session.connection().execute(select(CORRECTION.c.kind, CORRECTION.c.answer).where(*later)).all()


def truths(session: Session, conversion_ids: Sequence[int]) -> dict[int, int]:
    """Return, by conversion, the newest correction that holds the order's lines, of those orders that have one."""
    of_orders = CORRECTION.c.conversion_id.in_(conversion_ids), CORRECTION.c.revision_id.is_(None)
    newest_of = select(CORRECTION.c.conversion_id, func.max(CORRECTION.c.id).label("id")).where(*of_orders)
    rows = session.connection().execute(newest_of.group_by(CORRECTION.c.conversion_id))
    return {row.conversion_id: row.id for row in rows}


def lines_of(session: Session, correction_ids: Sequence[int]) -> dict[int, Lines]:
    """Return the lines of an order as corrections left it, by correction."""
    mine = CORRECTION_ITEM.c.correction_id.in_(correction_ids)
    in_order = CORRECTION_ITEM.c.correction_id, CORRECTION_ITEM.c.position
    found: dict[int, list[Line]] = {correction_id: [] for correction_id in correction_ids}
    for row in session.connection().execute(select(CORRECTION_ITEM).where(mine).order_by(*in_order)):
        found[row.correction_id].append(Line(row.sku, row.category, row.quantity, row.amount, row.reason))
    return {correction_id: tuple(lines) for correction_id, lines in found.items()}


def add(session: Session, row: dict[str, Any], lines: Lines = ()) -> int:
    """Add a correction with the lines of the order, and return its id."""
    connection = session.connection()
    number: int = connection.execute(insert(CORRECTION).returning(CORRECTION.c.id), [row]).scalar_one()
    items = [
        {
            "correction_id": number,
            "position": position,
            "sku": line.sku,
            "category": line.category,
            "quantity": line.quantity,
            "amount": line.amount,
            "reason": line.reason,
        }
        for position, line in enumerate(lines)
    ]
    if items:
        connection.execute(insert(CORRECTION_ITEM), items)
    return number


def wait(session: Session, **row: Any) -> None:
    """Let a correction wait for the next export."""
    session.connection().execute(insert(UNSENT_CORRECTION), [row])


def lock_waits(session: Session, conversion_ids: Sequence[int]) -> None:
    """Let no export take a correction of these orders until the transaction ends; one that is about to comes first."""
    for start in range(0, len(conversion_ids), LOOKUP_CHUNK):
        these = UNSENT_CORRECTION.c.conversion_id.in_(conversion_ids[start : start + LOOKUP_CHUNK])
        waits = select(UNSENT_CORRECTION.c.correction_id).where(these).order_by(UNSENT_CORRECTION.c.correction_id)
        session.connection().execute(waits.with_for_update())


def withdraw(session: Session, conversion_id: int) -> bool:
    """End the wait of an order's correction, since another takes its place; say whether one was waiting."""
    mine = delete(UNSENT_CORRECTION).where(UNSENT_CORRECTION.c.conversion_id == conversion_id)
    return session.connection().execute(mine).rowcount == 1


def replace_with(session: Session, conversion_id: int, revision_id: int) -> None:
    """Let a revision stand for all that was corrected of the order before, which is not told any more."""
    withdraw(session, conversion_id)
    mine = CORRECTION.c.conversion_id == conversion_id, CORRECTION.c.revision_id.is_(None)
    session.connection().execute(update(CORRECTION).where(*mine).values(revision_id=revision_id))


def cancel(session: Session, revision_id: int, correction_id: int) -> None:
    """Let a revision never leave."""
    session.connection().execute(insert(CANCELLED), [{"revision_id": revision_id, "correction_id": correction_id}])


def names_another(session: Session, conversion_id: int, action_id: str) -> bool:
    """Say whether this is the name of another order at impact.com."""
    others = ACTION.c.action_id == action_id, ACTION.c.conversion_id != conversion_id
    return session.connection().execute(select(ACTION.c.conversion_id).where(*others).limit(1)).first() is not None


def name_action(session: Session, conversion_id: int, action_id: str) -> None:
    """Note the name that impact.com gave to an order, in place of one that was noted before."""
    connection = session.connection()
    connection.execute(delete(ACTION).where(ACTION.c.conversion_id == conversion_id))
    connection.execute(insert(ACTION), [{"conversion_id": conversion_id, "action_id": action_id}])

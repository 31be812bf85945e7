"""The records of corrections: what a shop said of an order after it had sent it.

While nothing of an order has left, a correction makes a revision of it, or cancels it. After that it keeps all items as
they are in the end, and those that impact.com must be told of have a reason; it waits in `unsent_correction` until it
leaves or a later one takes its place.
"""

from datetime import datetime
from typing import Final

from sqlalchemy import BigInteger, CheckConstraint, Column, ForeignKey, Index, UniqueConstraint
from sqlmodel import Field, SQLModel

from app.database import ROW_ID, UTCDateTime


class Correction(SQLModel, table=True):
    """A correction that was accepted, for ever. `revision_id` is the revision that it made or cancelled, if it did so.

    `reverses` says that nothing is left of the order. `request` is the SHA-256 of what was asked for and `answer` the
    JSON that was answered, for repeats with the same `idempotency_key`.
    """

    __tablename__ = "correction"
    __table_args__ = (
        UniqueConstraint("conversion_id", "number", name="one_correction_per_number"),
        UniqueConstraint("conversion_id", "idempotency_key", name="one_correction_per_key"),
        CheckConstraint("kind IN ('modification', 'reversal', 'refund')", name="correction_kind"),
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

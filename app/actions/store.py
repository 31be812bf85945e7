"""The actions as impact.com has them, and every statement on them."""

from datetime import datetime
from typing import Final

from sqlalchemy import BigInteger, Column, ForeignKey, Index
from sqlmodel import Field, SQLModel

from app.database import ROW_ID, UTCDateTime


class ReportedAction(SQLModel, table=True):
    """An action as impact.com told it last. Amounts are in minor units of `currency`; texts are kept as they came.

    `conversion_id` is our order, where there is one.
    """

    __tablename__ = "reported_action"
    __table_args__ = (
        Index("actions_of_conversion", "conversion_id"),
        Index("actions_by_date", "event_at", "id"),
        Index("actions_by_order", "action_tracker_id", "order_id"),
    )

    id: int | None = Field(default=None, sa_column=Column(ROW_ID, primary_key=True))
    action_id: str = Field(unique=True)
    conversion_id: int | None = Field(default=None, sa_column=Column(BigInteger, ForeignKey("conversion.id")))
    campaign_id: str
    action_tracker_id: str
    order_id: str
    state: str
    currency: str | None
    amount: int | None = Field(default=None, sa_type=BigInteger)
    payout: int | None = Field(default=None, sa_type=BigInteger)
    event_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    locks_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    cleared_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    read_at: datetime = Field(sa_type=UTCDateTime)


class ActionsRead(SQLModel, table=True):
    """How far a program's `Actions` and their log, `ActionUpdates`, have been read, and when the next look is due."""

    __tablename__ = "actions_read"

    campaign_id: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    kind: str = Field(primary_key=True)
    read_up_to: datetime | None = Field(default=None, sa_type=UTCDateTime)
    due_at: datetime = Field(sa_type=UTCDateTime)
    token: int = 0
    leased_until: datetime | None = Field(default=None, sa_type=UTCDateTime)


REPORTED_ACTION: Final = ReportedAction.__table__  # type: ignore[attr-defined]
ACTIONS_READ: Final = ActionsRead.__table__  # type: ignore[attr-defined]

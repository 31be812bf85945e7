"""What impact.com decided about orders, kept where the files are made: the child of a rejected order must not leave.

The rows are written by the stage that learns of it, `submissions`.
"""

from typing import Final

from sqlalchemy import BigInteger, CheckConstraint, Column, ForeignKey, Index
from sqlmodel import Field, SQLModel

from app.database import ROW_ID

VERDICTS: Final = "verdict IN ('accepted', 'partly_accepted', 'rejected')"


class JudgedOrder(SQLModel, table=True):
    """What impact.com decided about a revision, where its batch's result does not say it."""

    __tablename__ = "judged_order"
    __table_args__ = (
        CheckConstraint(VERDICTS, name="judged_order_verdict"),
        Index("orders_by_verdict", "verdict", "revision_id"),
    )

    revision_id: int = Field(sa_column=Column(ROW_ID, ForeignKey("revision.id"), primary_key=True, autoincrement=False))
    submission_id: int = Field(sa_column=Column(BigInteger, ForeignKey("submission.id"), nullable=False))
    verdict: str


JUDGED_ORDER: Final = JudgedOrder.__table__  # type: ignore[attr-defined]

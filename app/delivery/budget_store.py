"""What the account's replicas have spent of impact.com's calls, and every statement on it."""

from datetime import datetime
from typing import Final

from sqlalchemy import BigInteger, Column
from sqlmodel import Field, SQLModel

from app.database import UTCDateTime


class SpentCalls(SQLModel, table=True):
    """How many calls were made in a minute, counted since 1970. Minutes that no window reaches any more are deleted."""

    __tablename__ = "spent_calls"

    minute: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    calls: int


class CallBudget(SQLModel, table=True):
    """One row: what impact.com said last of its limit, and until when nobody calls it."""

    __tablename__ = "call_budget"

    id: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    rate_limit: int | None = None
    remaining: int | None = None
    resets_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    closed_until: datetime | None = Field(default=None, sa_type=UTCDateTime)
    seen_at: datetime | None = Field(default=None, sa_type=UTCDateTime)


SPENT_CALLS: Final = SpentCalls.__table__  # type: ignore[attr-defined]
CALL_BUDGET: Final = CallBudget.__table__  # type: ignore[attr-defined]

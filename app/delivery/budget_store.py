"""What the account's replicas have spent of impact.com's calls, and every statement on it."""

from dataclasses import asdict
from datetime import datetime
from typing import Any, Final

from sqlalchemy import BigInteger, Column, delete, func, select, update
from sqlmodel import Field, Session, SQLModel

from app.database import UTCDateTime, add_to, insert_new
from app.delivery.budget import Standing, Told, first_counted, minute_of

ONLY: Final = 1


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


def standing(session: Session, now: datetime) -> Standing:
    """Return how the budget stands.

    The minute is that of the fastest of the replicas' clocks, so that none forgets sooner than another what was spent.
    """
    newest = session.connection().execute(select(func.max(SPENT_CALLS.c.minute))).scalar_one()
    minute = max(minute_of(now), newest or 0)
    counted = select(SPENT_CALLS).where(SPENT_CALLS.c.minute >= first_counted(minute))
    spent = {row.minute: row.calls for row in session.connection().execute(counted)}
    row = session.connection().execute(select(CALL_BUDGET).where(CALL_BUDGET.c.id == ONLY)).one_or_none()
    told = Told() if row is None else Told(row.rate_limit, row.remaining, row.resets_at, row.closed_until, row.seen_at)
    return Standing(minute, spent, told)


def lock(session: Session) -> None:
    """Let nobody else spend or note anything until the transaction ends. Where there is one writer, that is so."""
    connection, mine = session.connection(), CALL_BUDGET.c.id == ONLY
    if connection.execute(select(CALL_BUDGET.c.id).where(mine).with_for_update()).first() is None:
        connection.execute(insert_new(session, CALL_BUDGET), [{"id": ONLY}])
        connection.execute(select(CALL_BUDGET.c.id).where(mine).with_for_update())


def spend(session: Session, minute: int) -> None:
    """Count a call, and forget what counts no more."""
    session.connection().execute(delete(SPENT_CALLS).where(SPENT_CALLS.c.minute < first_counted(minute)))
    add_to(session, SPENT_CALLS, [{"minute": minute, "calls": 1}])


def note(session: Session, told: Told) -> None:
    """Note what impact.com says of its limit."""
    values: dict[str, Any] = asdict(told)
    values["rate_limit"] = values.pop("limit")
    session.connection().execute(update(CALL_BUDGET).where(CALL_BUDGET.c.id == ONLY).values(values))

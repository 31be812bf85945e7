"""What each day brought, as it is shown."""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Final

from pydantic import BaseModel
from sqlmodel import Session

from app.clicks import store as clicks
from app.conversions import totals_store as conversions
from app.errors import Fault, InvalidInput, pointer_to
from app.impact.currency import format_amount
from app.ledger.orders import Money
from app.ledger.standings import CountedDay, read_days
from app.ledger.state import OrderState

MOST_DAYS: Final = 400


class RecordedView(BaseModel):
    """The orders of one event type and currency, as they were recorded; `held`: how many of them were held at once."""

    event_type: str
    currency: str
    orders: int
    with_click_id: int
    held: int
    amount: Money


class StandingView(BaseModel):
    """Those of a day's orders that are in one state by now; `amount` is what corrections have left of them."""

    event_type: str
    currency: str
    state: OrderState
    orders: int
    with_click_id: int
    amount: Money


class DayView(BaseModel):
    """What a day (UTC) brought: the clicks that were captured and the orders that were recorded on it.

    `standing` is what these orders had come to at `counted_at`, each of them in one state; both are empty until a
    worker has counted the day.
    """

    day: date
    clicks: int
    recorded: list[RecordedView]
    counted_at: datetime | None
    standing: list[StandingView]


class DayList(BaseModel):
    """Days in their order; one that brought nothing is left out."""

    items: list[DayView]


def list_days(session: Session, first: date, last: date) -> DayList:
    """Return the days from `first` to `last`, both included. Raises InvalidInput if there are none or too many."""
    if not timedelta(0) <= last - first < timedelta(days=MOST_DAYS):
        detail = f"`to` is the day of `from` or a later one, and both together at most {MOST_DAYS} days."
        raise InvalidInput([Fault("INVALID_PARAMETER", detail, pointer_to("query", "to"))])
    clicked, recorded = clicks.counted(session, first, last), conversions.between(session, first, last)
    standing = read_days(session, first, last)
    return DayList(
        items=[
            DayView(
                day=day,
                clicks=clicked.get(day, 0),
                recorded=[
                    RecordedView(
                        event_type=event_type,
                        currency=currency,
                        orders=total.orders,
                        with_click_id=total.with_click_id,
                        held=total.held,
                        amount=format_amount(total.amount, currency),
                    )
                    for (event_type, currency), total in recorded.get(day, {}).items()
                ],
                counted_at=standing[day].counted_at if day in standing else None,
                standing=list(_standing(standing[day])) if day in standing else [],
            )
            for day in sorted({*clicked, *recorded, *(day for day, counted in standing.items() if counted.by)})
        ]
    )


def _standing(counted: CountedDay) -> Iterator[StandingView]:
    for (event_type, currency), states in counted.by.items():
        for state, share in states.items():
            yield StandingView(
                event_type=event_type,
                currency=currency,
                state=state,
                orders=share.orders,
                with_click_id=share.with_click_id,
                amount=format_amount(share.amount, currency),
            )

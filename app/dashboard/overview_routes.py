"""HTTP of the overview and its charts."""

import gzip
from enum import IntEnum
from typing import Annotated, Any, Final

from fastapi import Depends, Path, Query, Request, Response

from app.dashboard import charts
from app.dashboard.days import GROUPS, Day, amount, counted_at, currencies, states_of
from app.dashboard.overview import look, read
from app.dashboard.pages import page_router, render
from app.dashboard.sessions import SignedIn
from app.database import DatabaseDep
from app.impact.currency import DECIMALS, format_amount
from app.web import Now, SettingsDep, accepts_gzip

router = page_router()

CHART_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
"""A chart has its colours within itself, and loads nothing."""


class Days(IntEnum):
    """How many days are shown."""

    FORTNIGHT = 14
    MONTH = 30
    QUARTER = 90


NumberOfDays = Annotated[Days, Query(alias="days")]


@router.get("")
def get_overview(
    request: Request,
    visitor: SignedIn,  # noqa: ARG001 (whoever is signed in may see it)
    database: DatabaseDep,
    settings: SettingsDep,
    now: Now,
    number: NumberOfDays = Days.FORTNIGHT,
) -> Response:
    """Show what is to be done, how things stand, and what the last days brought."""
    today = now.date()
    with database.snapshot() as session:
        standing, days = look(session, settings, now), read(session, today, number)
    page = render(
        request,
        "overview.html",
        standing=standing,
        days=days,
        today=days[-1],
        yesterday=days[-2],
        counted_at=counted_at(days),
        choices=list(Days),
        number=number,
        revenue=[_revenue(days, currency) for currency in currencies(days)],
    )
    return _packed(request, page)


def _revenue(days: list[Day], currency: str) -> dict[str, Any]:
    """Return the table of a currency: the newest day first, days without orders left out, nothing where it is none."""
    states = states_of(days, currency)

    def cells(some: list[Day]) -> list[str]:
        by_state = [sum(amount(day, currency, [state]) for day in some) for state in states]
        return [format_amount(one, currency) if one else "" for one in (*by_state, sum(by_state))]

    of_it = [day for day in reversed(days) if currency in day.amounts]
    return {
        "currency": currency,
        "states": states,
        "rows": [(day, cells([day])) for day in of_it],
        "sums": cells(of_it),
    }


def drawn_days(
    visitor: SignedIn,  # noqa: ARG001 (whoever is signed in may see them)
    database: DatabaseDep,
    now: Now,
    number: NumberOfDays = Days.FORTNIGHT,
) -> list[Day]:
    """Return the days that a chart is drawn of."""
    with database.snapshot() as session:
        return read(session, now.date(), number)


DrawnDays = Annotated[list[Day], Depends(drawn_days)]


@router.get("/charts/{name}.svg")
def get_chart(
    request: Request, days: DrawnDays, name: Annotated[str, Path(pattern="^(clicks|orders|share)$")]
) -> Response:
    """Draw what the last days brought."""
    if name == "clicks":
        drawn = charts.bars(_labels(days), [charts.Series("clicks", [day.clicks for day in days])])
    elif name == "orders":
        without = [day.orders - day.with_click_id for day in days]
        series = [charts.Series("with a click id", [day.with_click_id for day in days])]
        drawn = charts.bars(_labels(days), [*series, charts.Series("without one", without)])
    else:
        shares = [1000 * day.with_click_id // day.orders if day.orders else None for day in days]
        drawn = charts.shares(_labels(days), charts.Series("share", shares))
    return _chart(request, drawn)


@router.get("/charts/revenue/{currency}.svg")
def get_revenue_chart(
    request: Request, days: DrawnDays, currency: Annotated[str, Path(pattern="^[A-Z]{3}$")]
) -> Response:
    """Draw what the orders of the last days come to in one currency, by what has become of them."""
    series = [charts.Series(name, [amount(day, currency, states) for day in days]) for name, states in GROUPS.items()]
    return _chart(request, charts.bars(_labels(days), series, decimals=DECIMALS.get(currency, 0)))


def _labels(days: list[Day]) -> list[str]:
    return [f"{day.day.day} {day.day:%b}" for day in days]


def _chart(request: Request, drawn: bytes) -> Response:
    headers = {"Content-Security-Policy": CHART_POLICY}
    return _packed(request, Response(drawn, headers=headers, media_type="image/svg+xml"))


def _packed(request: Request, response: Response) -> Response:
    """Compress an answer where the browser takes that.

    Only answers that repeat nothing of what they were asked by: from the length of others a stranger might guess the
    token in their forms.
    """
    response.headers["Vary"] = "Accept-Encoding"
    if accepts_gzip(request.headers.get("accept-encoding", "")):
        response.body = gzip.compress(bytes(response.body), 6)
        response.headers.update({"Content-Encoding": "gzip", "Content-Length": str(len(response.body))})
    return response

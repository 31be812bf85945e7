"""Which times are asked for: none missed, none too long."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from app.actions.window import FARTHEST, MOST, SMALLEST, Kind, Window, beginning, narrower, window_from

LIMIT = timedelta(days=45)
TIMES = st.datetimes(datetime(2020, 1, 1), datetime(2026, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001 (hypothesis')
KINDS = st.sampled_from(list(Kind))


@given(KINDS, TIMES, TIMES, st.one_of(st.none(), TIMES), st.timedeltas(timedelta(days=1), MOST))
def test_every_instant_is_covered(
    kind: Kind, one: datetime, other: datetime, read: datetime | None, width: timedelta
) -> None:
    """From where the last reading ended (or the first order left) up to now, with no window over 45 days."""
    first, now = sorted((one, other))
    at = start = beginning(kind, read, first, now)
    known = min(first if read is None else read, now)
    assert start <= known or start == now - FARTHEST
    while window := window_from(at, now, width):
        assert window.start == at < window.end
        asked = [datetime.fromisoformat(text) for text in window.query_times]
        assert asked[0] <= window.start
        assert asked[1] >= window.end
        assert asked[1] - asked[0] <= LIMIT
        at = window.end
    assert at == now


@given(TIMES, st.timedeltas(SMALLEST, MOST), st.one_of(st.none(), st.integers(11, 10_000)))
def test_what_has_too_many_pages_gets_narrower_until_it_cannot(
    start: datetime, width: timedelta, pages: int | None
) -> None:
    """At most half each time, so that it ends."""
    less = narrower(Window(start, start + width), pages)
    assert less is None or SMALLEST <= less <= width / 2

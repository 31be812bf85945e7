"""The answer to a new order is written without the model that describes it, and says the same."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from app.batches.batch import AgeLimit
from app.conversions.order import Item, Order
from app.ledger.orders import OrderDetail, show_new
from tests.support import NOW, order

TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20)
MAYBE = st.none() | TEXT
EXTRA = st.dictionaries(st.sampled_from(["Note", "Text1"]), TEXT)
ITEMS = st.builds(Item, TEXT, TEXT, st.integers(1, 2**31 - 1), st.integers(0, 10**16 - 1), EXTRA)
ORDERS = st.builds(
    Order,
    event_type=st.sampled_from(["default", "b2b"]),
    order_id=TEXT,
    event_date=st.datetimes(datetime(1, 1, 2), datetime(9998, 1, 1), timezones=st.timezones()),  # noqa: DTZ001 (Hypothesis gives them a zone)
    currency=st.sampled_from(["USD", "JPY", "TND", "CLF"]),
    items=st.lists(ITEMS, min_size=1, max_size=4).map(tuple),
    click_id=MAYBE,
    promo_code=MAYBE,
    media_id=MAYBE,
    customer_id=MAYBE,
    customer_status=MAYBE,
    extra=EXTRA,
)
TIMES = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


@given(ORDERS, TIMES, st.integers(1, 88), st.none() | TIMES)
def test_the_answer_is_what_the_model_would_say(
    one: Order, now: datetime, days: int, locks_at: datetime | None
) -> None:
    """Every field is there, in its form: times, amounts, texts; and a client that knows the model can read it."""
    content = show_new(one, AgeLimit(days, 398), now, locks_at)
    view = OrderDetail.model_validate_json(content, extra="forbid")
    assert view.model_dump_json().encode() == content
    assert (view.locks_at, view.expires_at, view.recorded_at) == (
        locks_at,
        one.event_date.astimezone(UTC) + timedelta(days=days if one.media_id is None else 398),
        now,
    )


def test_an_order_without_credit_is_held() -> None:
    """The state and its reason are told at once."""
    view = OrderDetail.model_validate_json(show_new(replace(order(), click_id=None), AgeLimit(87, 397), NOW))
    assert (view.state, view.hold_reason, view.reason) == ("held", "no_attribution", "no_attribution")
    assert OrderDetail.model_validate_json(show_new(order(), AgeLimit(87, 397), NOW)).state == "pending"

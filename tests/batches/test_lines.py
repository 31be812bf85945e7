"""The lines that a database puts together are those of `render`, byte by byte, on both databases."""

import csv
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from app.batches.batch import AgeLimit, BatchFile, Credits, assemble, lines_of, render
from app.batches.build import load_as_told
from app.batches.lines_store import read_lines
from app.clicks.store import NewClick, add_new
from app.conversions import store
from app.conversions.order import Item, Order, merge
from app.conversions.record import record
from app.database import Database, only_by_keys
from app.event_type import EventType
from app.impact.columns import EXTRA, FILE_COLUMNS, OPTIONAL_COLUMNS, Kind, Level
from app.impact.currency import DECIMALS
from tests.support import NOW, order

DATA = Path(__file__).parent.parent / "data"
LIMIT = AgeLimit(87, 397)
PLAIN = EventType(campaign_id=1000, action_tracker_id=4321)
LEVELS = {
    "item-level": PLAIN,
    "order-level": EventType(campaign_id=1000, action_tracker_id=4322, level="order"),
    "chained": EventType(campaign_id=1000, action_tracker_id=4323, level="chained"),
    "mobile": EventType(campaign_id=1000, action_tracker_id=4324, level="mobile", event_code="SALE"),
}
"""Each makes the golden file of that name."""
NUMBERS = count()


def recorded(database: Database, orders: Sequence[Order]) -> tuple[list[int], list[Order]]:
    """Record orders, and return their revisions and what the database says of them."""
    ids = [result.conversion_id for result in record(database, orders, NOW)]
    with database.snapshot() as session:
        numbers = session.connection().execute(
            text(f"SELECT id FROM revision WHERE conversion_id IN ({', '.join(map(str, ids))}) ORDER BY id")  # noqa: S608
        )
        revisions = list(numbers.scalars())
        return revisions, [one.order for one in store.load(session, revisions)]


def put_together(
    database: Database, revisions: Sequence[int], orders: Sequence[Order], event_type: EventType
) -> BatchFile:
    """Return the file whose lines the database put together, with the columns that it says are needed."""
    oldest = NOW - timedelta(days=LIMIT.days)
    with database.snapshot() as session:
        only_by_keys(session)
        _, needed = read_lines(session, revisions, event_type, Credits(), oldest)
        lines, again = read_lines(session, revisions, event_type, needed, oldest)
    assert again == needed
    return assemble("x.csv", event_type, needed, lines, [len(lines_of(one, event_type)) for one in orders])


def assert_same(database: Database, orders: Sequence[Order], event_type: EventType = PLAIN) -> None:
    """Compare both ways to a file."""
    revisions, kept = recorded(database, orders)
    assert put_together(database, revisions, kept, event_type) == render("x.csv", kept, event_type, LIMIT, NOW)


@pytest.mark.parametrize("level", LEVELS)
def test_impact_s_own_example_comes_out_byte_for_byte(database: Database, level: str) -> None:
    """The file in impact.com's guide is what either database makes of that order; in the other layouts likewise."""
    example = Order(
        event_type="default",
        order_id="01928374",
        event_date=datetime.fromisoformat("2021-11-23T18:00:22+00:00"),
        currency="USD",
        click_id="QiiWXOVnrQ3SQHl24jQjyxBGUkmzfJ3i1VHrWM0",
        customer_id="BCZ2WVSH674563PDPYOTM3AXDQ",
        items=(Item("A-198237465", "Blacksmithing", 1, 4250), Item("A-91827645", "Sporting Goods", 1, 1350)),
    )
    file = put_together(database, *recorded(database, [example]), LEVELS[level])
    assert file.content == (DATA / f"{level}.csv").read_bytes().replace(b"\n", b"\r\n")
    assert file == render("x.csv", [example], LEVELS[level], LIMIT, example.event_date)


@pytest.mark.parametrize("amount", [0, 1, 9, 10, 99, 100, 101, 1350, 10**12 + 7, 10**15 + 5])
@pytest.mark.parametrize("level", ["item-level", "chained"])
def test_amounts_have_the_decimals_of_their_currency(database: Database, amount: int, level: str) -> None:
    """Every currency of ISO 4217, in one file, of items and of whole orders."""
    orders = [order(code, currency=code, items=0) for code in DECIMALS]
    items = (Item("S", "c", 1, amount), Item("T", "c", 1, 2 * amount))
    assert_same(database, [replace(one, items=items) for one in orders], LEVELS[level])


def test_times_keep_their_offset_and_lose_their_fraction(database: Database) -> None:
    """As in every file."""
    moments = [
        (NOW - timedelta(days=3, microseconds=fraction)).astimezone(timezone(timedelta(minutes=minutes)))
        for fraction in (0, 1, 999_999, 500_000)
        for minutes in (0, 60, -570, 345, 14 * 60)
    ]
    assert_same(database, [order(f"A-{n}", items=1, event_date=moment) for n, moment in enumerate(moments)])


CLICK = order("click", promo_code="P", media_id="7")
PROMO = order("promo", click_id=None, promo_code="SPRING, 10%")
BOTH = order("both", click_id=None, promo_code="SPRING, 10%", media_id="7")
MEDIA = order("media", click_id=None, media_id="7")
OLD = order("old", media_id="7", age=timedelta(days=150))
EDGE = order("edge", media_id="7", age=timedelta(days=87))


@pytest.mark.parametrize("columns", [(), ("PromoCode",), ("OrderPromoCode", "Note"), ("MediaPartnerId",)], ids=str)
@pytest.mark.parametrize(
    "orders",
    [[CLICK], [CLICK, PROMO], [MEDIA, CLICK], [OLD], [EDGE], [BOTH], [PROMO, MEDIA, CLICK, OLD]],
    ids=lambda orders: "-".join(one.order_id for one in orders),
)
def test_credit_columns_are_the_same(database: Database, orders: list[Order], columns: tuple[str, ...]) -> None:
    """They are there when an order needs them, and filled for those that do."""
    assert_same(database, orders, PLAIN.model_copy(update={"columns": columns}))


ITEM_COLUMNS = ("Name", "ItemMpn")
COLUMNS = ("CustomerStatus", "Name", "Note", "MediaId", "ItemMpn", "SubId1", "EventCode", "AppleIfa")
TEXTS = st.text(
    st.characters(exclude_categories=["C", "Zl", "Zp"], include_characters=" ,\"'\\%_=+-@;ü💐\u2028\ufeff"),
    min_size=1,
    max_size=12,
)
MAYBE = st.none() | TEXTS


@st.composite
def any_order(draw: st.DrawFn) -> Order:
    """An order as the service could have taken it, or worse."""
    items = st.builds(
        Item,
        TEXTS,
        TEXTS,
        st.integers(0, 10**9),
        st.integers(-(10**6), 10**14),
        st.dictionaries(st.sampled_from(ITEM_COLUMNS), TEXTS),
    )
    zone = timezone(timedelta(minutes=draw(st.integers(-14 * 60, 14 * 60))))
    return Order(
        event_type="default",
        order_id=f"{draw(TEXTS)}{next(NUMBERS)}",
        event_date=(NOW - timedelta(microseconds=draw(st.integers(0, 200 * 86_400 * 10**6)))).astimezone(zone),
        currency=draw(st.sampled_from(["USD", "JPY", "KWD", "CLF", "EUR"])),
        items=merge(draw(st.lists(items, min_size=1, max_size=3))),
        click_id=draw(MAYBE),
        promo_code=draw(MAYBE),
        media_id=draw(st.none() | st.just("2763")),
        customer_id=draw(st.none() | st.just("") | TEXTS),
        customer_status=draw(MAYBE),
        extra=draw(st.dictionaries(st.sampled_from(["Note", "SubId1", "Text1", "EventCode", "AppleIfa"]), TEXTS)),
    )


@given(
    st.lists(any_order(), min_size=1, max_size=6),
    st.lists(st.sampled_from(COLUMNS), unique=True),
    st.sampled_from(sorted(LEVELS)),
)
@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
def test_whatever_an_order_holds_its_lines_are_the_same(
    database: Database, orders: list[Order], columns: list[str], level: str
) -> None:
    """Quotes, commas, emoji, blanks at either end, long digits, amounts below zero, any offset, column and layout."""
    event_type = LEVELS[level]
    fitting = [name for name in columns if event_type.has_item_lines or name not in ITEM_COLUMNS]
    assert_same(database, orders, event_type.model_copy(update={"columns": tuple(fitting)}))


@pytest.mark.parametrize("asks", [True, False])
def test_consent_comes_from_the_click_where_the_event_type_asks_for_it(database: Database, asks: bool) -> None:
    """Only what the visitor said: not silence, not of a click that is unknown; and the shop's own word goes before."""
    known = {"given": "granted", "silent": "implied", "older": None}
    with database.transaction() as session:
        add_new(session, [NewClick(name, NOW, consent=consent) for name, consent in known.items()])
    orders = [order(f"by-{name}", click_id=name, items=1) for name in (*known, "gone", None)]
    orders += [order("own", click_id="given", items=1, extra={"TrackingConsent": "false"})]
    event_type = PLAIN.model_copy(update={"columns": ("TrackingConsent",), "tracking_consent": asks})
    revisions, _ = recorded(database, orders)
    with database.snapshot() as session:
        told = [one.order for one in load_as_told(session, event_type, revisions)]
    file = put_together(database, revisions, told, event_type)
    assert file == render("x.csv", told, event_type, LIMIT, NOW)
    lines = csv.DictReader(file.content.decode().splitlines())
    said = {line["OrderId"]: line["TrackingConsent"] for line in lines if line["TrackingConsent"]}
    assert said == {"own": "false"} | ({"by-given": "true"} if asks else {})


OF_KIND = {Kind.DECIMAL: "1.50", Kind.INTEGER: "7", Kind.BOOLEAN: "true", Kind.DATETIME: "2026-11-20T18:00:22Z"}


@pytest.mark.parametrize("level", LEVELS)
def test_every_optional_column_can_be_put_there(database: Database, level: str) -> None:
    """Each column that a file of its layout may have is one word of the settings, and comes from the same place."""
    values = {name: OF_KIND.get(one.kind, f'{name}, "x"') for name, one in EXTRA.items()}
    full = replace(
        order("full", promo_code="P", media_id="7", customer_status="New"),
        items=(Item("S", "c", 1, 1, values), Item("T", "c", 1, 1)),
        extra=values,
    )
    event_type = LEVELS[level]
    left_out = {"OrderPromoCode", "MediaPartnerId"} | (set() if event_type.level == "mobile" else {"EventCode"})
    names = tuple(
        name
        for name, one in OPTIONAL_COLUMNS.items()
        if name not in left_out and (event_type.has_item_lines or one.level is Level.ORDER)
    )
    event_type = EventType.model_validate(event_type.model_dump() | {"columns": names})
    assert event_type.file_columns == (*FILE_COLUMNS[event_type.level], *names)
    assert_same(database, [full, order("empty")], event_type)

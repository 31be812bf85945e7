"""A file is what impact.com's documents say: columns, lines, order, quoting, name."""

import csv
import io
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.batches.batch import AgeLimit, BatchFile, BatchKind, expires_at, file_name, is_too_old, render
from app.conversions.order import Item, Order
from app.event_type import EventType
from app.impact.columns import FILE_COLUMNS, MINIMUM_COLUMNS
from tests.support import NOW, order, parse_rfc4180

GOLDEN = Path(__file__).parent.parent / "data" / "item-level.csv"
PLAIN = EventType(campaign_id=1000, action_tracker_id=4321)
LIMIT = AgeLimit(87, 397)
SECOND = timedelta(seconds=1)


def made(*orders: Order, columns: tuple[str, ...] = (), now: datetime = NOW) -> BatchFile:
    """Return the file of these orders."""
    return render("x.csv", orders, PLAIN.model_copy(update={"columns": columns}), LIMIT, now)


def table(file: BatchFile) -> tuple[list[str], list[dict[str, str]]]:
    """Return a file's header, and its rows by column."""
    header, *rows = parse_rfc4180(file.content)
    return header, [dict(zip(header, row, strict=True)) for row in rows]


def test_impact_s_own_example_comes_out_byte_for_byte() -> None:
    """The file in impact.com's guide is what the service makes of that order, with the line ends of RFC 4180."""
    example = Order(
        event_type="default",
        order_id="01928374",
        event_date=datetime(2021, 11, 23, 18, 0, 22, tzinfo=UTC),
        currency="USD",
        click_id="QiiWXOVnrQ3SQHl24jQjyxBGUkmzfJ3i1VHrWM0",
        customer_id="BCZ2WVSH674563PDPYOTM3AXDQ",
        items=(Item("A-198237465", "Blacksmithing", 1, 4250), Item("A-91827645", "Sporting Goods", 1, 1350)),
    )
    file = made(example, now=example.event_date)
    assert file.content == GOLDEN.read_bytes().replace(b"\n", b"\r\n")
    assert (file.rows, file.first_lines) == (2, (2,))


def test_a_file_is_plain_utf8_with_crlf() -> None:
    """No byte order mark, CRLF at the end of every line, quotes only where RFC 4180 needs them."""
    items = (
        Item("A,1", 'He said "hi"', 1, 1),
        Item("=1+1", " blanks kept ", 1, 1),
        Item("-2", "Œuvre 😀", 1, 1),
        Item("00123", "a;b\tc", 1, 1),
    )
    file = made(replace(order(), items=items, customer_id="'quoted'"))
    lines = file.content.decode("utf-8").split("\r\n")
    assert lines[0] == ",".join(MINIMUM_COLUMNS)
    assert lines[-1] == ""
    assert [line.split(",USD,0.01,")[1] for line in lines[1:-1]] == [
        '"He said ""hi""","A,1",1',
        " blanks kept ,=1+1,1",
        "Œuvre 😀,-2,1",
        "a;b\tc,00123,1",
    ]
    assert all(",'quoted'," in line for line in lines[1:-1])


@given(st.lists(st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1), min_size=4, max_size=4))
def test_three_readers_read_the_same_values(texts: list[str]) -> None:
    """Whatever is in a text, every reader of RFC 4180 gets it back unchanged."""
    sku, category, customer, order_id = texts
    file = made(replace(order(order_id), customer_id=customer, items=(Item(sku, category, 1, 1),)))
    [ours] = table(file)[1]
    [standard] = csv.DictReader(io.StringIO(file.content.decode("utf-8"), newline=""), strict=True)
    assert ours == standard
    assert [ours[name] for name in ("Sku", "Category", "CustomerId", "OrderId")] == texts


def test_the_date_keeps_the_offset_it_came_with() -> None:
    """A sale at one o'clock in Berlin says so, and fractions of a second are left out."""
    berlin = datetime(2026, 11, 20, 1, 2, 3, 999_999, tzinfo=timezone(timedelta(hours=1)))
    [row] = table(made(replace(order(items=1), event_date=berlin)))[1]
    assert row["EventDate"] == "2026-11-20T01:02:03+01:00"
    india = berlin.astimezone(timezone(-timedelta(hours=9, minutes=30)))
    [row] = table(made(replace(order(items=1), event_date=india)))[1]
    assert row["EventDate"] == "2026-11-19T14:32:03-09:30"


def test_every_order_knows_its_line() -> None:
    """The header is line 1; the lines of an order are consecutive and in the order of its items."""
    sizes = [3, 1, 2]
    file = made(*(order(f"A-{number}", items=size) for number, size in enumerate(sizes)))
    _, rows = table(file)
    assert (file.first_lines, file.rows) == ((2, 5, 6), 6)
    assert [row["OrderId"] for row in rows] == ["A-0"] * 3 + ["A-1"] + ["A-2"] * 2
    assert [row["Sku"] for row in rows] == ["SKU-0", "SKU-1", "SKU-2", "SKU-0", "SKU-0", "SKU-1"]


# Layouts ----------------------------------------------------------------------------------------------------------

LAYOUTS = {
    "order-level": EventType(campaign_id=1000, action_tracker_id=4322, level="order"),
    "chained": EventType(campaign_id=1000, action_tracker_id=4323, level="chained"),
}


@pytest.mark.parametrize("level", LAYOUTS)
def test_a_whole_order_is_one_line_where_the_level_says_so(level: str) -> None:
    """It has the sum of the items to the cent, and the next order stands on the next line."""
    orders = [order(f"A-{number}", items=size, extra={"Note": "x"}) for number, size in enumerate([3, 1, 2])]
    orders[1] = replace(orders[1], click_id=None, promo_code="SPRING", currency="KWD")
    event_type = LAYOUTS[level].model_copy(update={"columns": ("Note",)})
    file = render("x.csv", orders, event_type, LIMIT, NOW)
    header, rows = table(file)
    assert header == [*FILE_COLUMNS[event_type.level], "Note", "PromoCode"]
    assert (file.first_lines, file.rows) == ((2, 3, 4), 3)
    assert [(row["OrderId"], row["Amount"], row["PromoCode"], row["Note"]) for row in rows] == [
        ("A-0", "30.00", "", "x"),
        ("A-1", "1.000", "SPRING", "x"),
        ("A-2", "20.00", "", "x"),
    ]


def test_a_mobile_app_event_has_its_code_or_that_of_its_event_type() -> None:
    """What the order says goes first, and the parameters of the app follow where they are wanted."""
    event_type = EventType(
        campaign_id=1000, action_tracker_id=4324, level="mobile", event_code="SALE", columns=("AppleIfa",)
    )
    install = order("install", items=1, extra={"EventCode": "INSTALL", "AppleIfa": "IFA-1"})
    header, rows = table(render("x.csv", [install, order("sale", items=1)], event_type, LIMIT, NOW))
    assert header == [*MINIMUM_COLUMNS, "EventCode", "AppleIfa"]
    assert [(row["EventCode"], row["AppleIfa"]) for row in rows] == [("INSTALL", "IFA-1"), ("SALE", "")]


# Columns at the right ---------------------------------------------------------------------------------------------

BY_CLICK = order("click", items=1, promo_code="P", media_id="7")
BY_PROMO = order("promo", items=1, click_id=None, promo_code="SPRING")
BY_BOTH = order("both", items=1, click_id=None, promo_code="SPRING", media_id="7")
BY_MEDIA = order("media", items=1, click_id=None, media_id="7")


@pytest.mark.parametrize(
    ("orders", "added"),
    [
        ([BY_CLICK], []),
        ([BY_PROMO], ["PromoCode"]),
        ([BY_MEDIA], ["MediaId"]),
        ([BY_CLICK, BY_PROMO], ["PromoCode"]),
        ([BY_BOTH], ["PromoCode", "MediaId"]),
        ([BY_MEDIA, BY_PROMO, BY_CLICK, BY_BOTH], ["PromoCode", "MediaId"]),
    ],
)
def test_credit_columns_are_there_exactly_when_an_order_needs_them(orders: list[Order], added: list[str]) -> None:
    """PromoCode and MediaId are filled for the orders that are credited by them, and for no other.

    Without a click both are: impact.com may not know the code, and knows the partner.
    """
    header, rows = table(made(*orders))
    assert header == [*MINIMUM_COLUMNS, *added]
    for row in rows:
        assert row.get("PromoCode", "") == ("SPRING" if row["OrderId"] in {"promo", "both"} else "")
        assert row.get("MediaId", "") == ("7" if row["OrderId"] in {"media", "both"} else "")
        assert row["ClickId"] == ("click-1" if row["OrderId"] == "click" else "")


def test_an_order_that_is_accepted_only_with_its_media_id_gets_it() -> None:
    """An order of five months with a click id is accepted for its partner's id, so the file says that too."""
    old = replace(BY_CLICK, event_date=NOW - timedelta(days=150))
    header, [row] = table(made(old))
    assert header[-1] == "MediaId"
    assert (row["MediaId"], row["ClickId"]) == ("7", "click-1")


def test_optional_columns_follow_in_the_order_of_the_settings() -> None:
    """Of the order or of the item, empty where a shop did not send one, and never at another place."""
    columns = ("CustomerStatus", "Name", "OrderTax", "Text50")
    items = (Item("A", "c", 1, 1, {"Name": "Anvil, big"}), Item("B", "c", 1, 1))
    full = replace(order("full"), items=items, customer_status="New", extra={"OrderTax": "1.5", "Note": "not asked"})
    for orders in ([full, BY_PROMO], [BY_PROMO, full], [BY_PROMO]):
        header, rows = table(made(*orders, columns=columns))
        assert header == [*MINIMUM_COLUMNS, *columns, "PromoCode"]
        found = [[row[name] for name in columns] for row in rows if row["OrderId"] == "full"]
        assert found == ([["New", "Anvil, big", "1.5", ""], ["New", "", "1.5", ""]] if full in orders else [])


@pytest.mark.parametrize(
    ("columns", "header"),
    [
        (("PromoCode",), ["PromoCode", "MediaId"]),
        (("OrderPromoCode",), ["OrderPromoCode", "MediaId"]),
        (("MediaPartnerId", "Note"), ["MediaPartnerId", "Note", "PromoCode"]),
        (("MediaId", "PromoCode"), ["MediaId", "PromoCode"]),
    ],
)
def test_a_credit_column_stands_once_under_either_name(columns: tuple[str, ...], header: list[str]) -> None:
    """impact.com knows PromoCode and MediaId under two names each, and refuses a column twice."""
    assert table(made(BY_PROMO, BY_MEDIA, columns=columns))[0][len(MINIMUM_COLUMNS) :] == header


# Age --------------------------------------------------------------------------------------------------------------

ZONES = [
    *("UTC", "Europe/Berlin", "Europe/London", "America/New_York", "America/Los_Angeles", "America/Sao_Paulo"),
    *("Asia/Kolkata", "Asia/Kathmandu", "Asia/Tokyo", "Asia/Tehran", "Australia/Lord_Howe", "Australia/Adelaide"),
    *("Pacific/Auckland", "Pacific/Chatham", "Pacific/Kiritimati", "Pacific/Marquesas", "Africa/Casablanca"),
    *("America/St_Johns", "Antarctica/Troll", "Pacific/Apia"),
]
MOMENTS = st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1))  # noqa: DTZ001 (the zone is drawn apart)


@given(MOMENTS, st.sampled_from(ZONES), st.sampled_from(["click_id", "media_id"]))
def test_an_order_is_too_old_a_second_after_the_limit_and_not_before(moment: datetime, zone: str, credit: str) -> None:
    """87 times 24 hours (397 with a partner's id), wherever the shop is and whether or not its clocks changed since."""
    local = moment.replace(tzinfo=UTC).astimezone(ZoneInfo(zone))
    sold = replace(order(), event_date=datetime.fromisoformat(local.isoformat()))
    if credit == "media_id":
        sold = replace(sold, click_id=None, media_id="7")
    edge = moment.replace(tzinfo=UTC) + timedelta(days=397 if credit == "media_id" else 87)
    assert expires_at(sold, LIMIT) == edge
    assert not is_too_old(sold, LIMIT, edge - SECOND)
    assert not is_too_old(sold, LIMIT, edge)
    assert is_too_old(sold, LIMIT, edge + SECOND)


# Names ------------------------------------------------------------------------------------------------------------


@given(st.dates(date(2026, 1, 1)), st.from_regex(r"[a-z0-9-]{1,32}", fullmatch=True))
def test_a_name_tells_what_and_when(day: date, event_type: str) -> None:
    """Title and date as impact.com asks for, ASCII, and never one of the names that it ignores."""
    name = file_name(BatchKind.CONVERSIONS, event_type, "0123456789abcdef", day)
    assert name == f"{day}_ActionData_{event_type}_0123456789abcdef.csv"
    assert name.isascii()
    assert not name.startswith(("receipt_", "result_"))

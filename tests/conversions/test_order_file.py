"""Reading files of orders: every layout, everything that can be wrong with a file, nothing read half."""

import io
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from textwrap import dedent

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.conversions import csv_records
from app.conversions.csv_records import Form, Lines, Records
from app.conversions.mapping import Mapping, read_mapping
from app.conversions.order import Item, Order
from app.conversions.order_body import Rules
from app.conversions.order_file import CsvOrders, Entry, NdjsonOrders, Reading, find_apart
from app.conversions.table import Table
from app.errors import InvalidFile
from tests.support import NOW

TYPES = {"default": (1000, 4321), "signup": (1000, 4400)}
RULES = Rules({"default": None, "signup": "EUR"}, max_items=9_999)
OWN = "CampaignId,ActionTrackerId,EventDate,OrderId,ClickId,CustomerId,CurrencyCode,Amount,Category,Sku,Quantity"
DATE = "2026-11-20T18:00:22+01:00"


def read(
    text: str | bytes,
    mapping: Mapping | None = None,
    *,
    key: str = "default",
    types: dict[str, tuple[int, int]] = TYPES,
) -> list[Entry]:
    """Return what a CSV file says."""
    content = text if isinstance(text, bytes) else text.encode()
    form = mapping.form if mapping else Form()

    def records() -> tuple[Records, Table]:
        reading = Records(io.BytesIO(content), form, size=len(content))
        block = reading.read()
        assert block is not None
        if len(block.rows) > 1:
            reading.put_back(block, 1)
        return reading, Table(block.rows[0], mapping, types, key)

    reading, table = records()
    apart = find_apart(reading, table) if table.is_item_level else set()
    reading, table = records()
    return [entry for chunk in CsvOrders(reading, table, Reading(RULES, NOW, key), apart) for entry in chunk.entries]


def read_ndjson(content: bytes, key: str = "default") -> list[Entry]:
    """Return what an NDJSON file says."""
    lines = Lines(io.BytesIO(content), size=len(content))
    return [entry for chunk in NdjsonOrders(lines, Reading(RULES, NOW, key)) for entry in chunk.entries]


def orders(entries: Sequence[Entry]) -> list[Order | str]:
    """Return the orders, and codes where there are none."""
    return [entry.order or entry.code for entry in entries]


def line(order_id: str = "A-1", sku: str = "S-1", amount: str = "10.00", **changes: str) -> str:
    """Return a line in impact.com's item-level layout."""
    cells = ["1000", "4321", DATE, order_id, "c1", "u1", "USD", amount, "Mugs", sku, "1"]
    return ",".join((dict(zip(OWN.split(","), cells, strict=True)) | changes).values())


def file(*lines: str, end: str = "\r\n") -> str:
    """Return a file in that layout."""
    return end.join((OWN, *lines, ""))


def order(order_id: str = "A-1", /, *items: tuple[str, int], **changes: object) -> Order:
    """Return the order that such lines say."""
    facts: dict[str, object] = {"event_date": datetime.fromisoformat(DATE), "currency": "USD", "event_type": "default"}
    facts |= {"click_id": "c1", "customer_id": "u1"}
    facts["items"] = tuple(Item(sku, "Mugs", 1, amount) for sku, amount in items or (("S-1", 1000),))
    return Order(order_id=order_id, **(facts | changes))  # type: ignore[arg-type]


# impact.com's layouts ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["\r\n", "\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("last", [True, False])
def test_our_own_item_level_file_says_its_orders(end: str, mark: str, *, last: bool) -> None:
    """One line per item, with either line end, with a byte order mark, with and without an end to the last line."""
    text = mark + file(line(), line(sku="S-2", amount="2.5"), line("A-2"), end=end)
    assert orders(read(text if last else text.removesuffix(end))) == [
        order("A-1", ("S-1", 1000), ("S-2", 250)),
        order("A-2"),
    ]


def test_an_order_level_file_gives_each_order_one_item() -> None:
    """Without a column for SKUs each line is an order, whose item is called `order`; equal lines are not added up."""
    text = (
        f"CampaignId,ActionTrackerId,OrderId,EventDate,Amount,Currency,CustomerId\n1000,4321,A-1,{DATE},56.00,USD,u1\n"
    )
    text += f"1000,4321,A-1,{DATE},56.00,USD,u1\n"
    one = order("A-1", click_id=None, items=(Item("order", "order", 1, 5600),))
    assert orders(read(text)) == [one, one]


def test_the_ids_choose_the_event_type() -> None:
    """Campaign and action tracker name an event type; those that nobody has set up are refused."""
    lines = [line("A"), line("B", ActionTrackerId="4400"), line("C", ActionTrackerId="9"), line("D", CampaignId="")]
    entries = read(file(*lines))
    assert orders(entries) == [order("A"), order("B", event_type="signup"), "ACTIONTRACKER_NOT_FOUND", order("D")]
    assert entries[2].reason.startswith("line 4, ActionTrackerId: ")


def test_the_option_says_what_a_file_leaves_open() -> None:
    """A file without ids is of the event type that is named; one with ids keeps its own."""
    text = f"OrderId,EventDate,Amount,ClickId,CustomerId\nA-1,{DATE},10.00,c1,u1\n"
    (found,) = orders(read(text, key="signup"))
    assert isinstance(found, Order)
    assert (found.event_type, found.currency) == ("signup", "EUR")
    assert orders(read(file(line()), key="signup")) == [order()]
    both = {"default": (1, 2), "signup": (1, 2)}
    (entry,) = read(
        f"CampaignId,ActionTrackerId,{text.replace(f'A-1,{DATE}', f'1,2,A-1,{DATE}')}", types=both, key="signup"
    )
    assert entry.order
    assert entry.order.event_type == "signup"


def test_optional_columns_and_other_names() -> None:
    """Parameters go into extra, of the order or of the item; aliases mean their fields."""
    text = (
        "Oid,EventDate,Currency,MediaPartnerId,CustomerStatus,Note,ItemMpn,ItemPrice,Category,Sku,Quantity\n"
        f"A-1,{DATE},USD,77,New,hello,M-1,2.50,Mugs,S-1,3\n"
    )
    items = (Item("S-1", "Mugs", 3, 750, {"ItemMpn": "M-1"}),)
    rest: dict[str, object] = {
        "click_id": None,
        "customer_id": None,
        "media_id": "77",
        "customer_status": "New",
        "extra": {"Note": "hello"},
    }
    assert orders(read(text)) == [order(items=items, **rest)]


def test_an_empty_cell_says_nothing() -> None:
    """Later lines of an order may leave out what its first line said, as shops' own exports do; contradictions not."""
    rest = line(sku="S-2", EventDate="", ClickId="", CustomerId="", CurrencyCode="", CampaignId="1000")
    assert orders(read(file(line(), rest))) == [order("A-1", ("S-1", 1000), ("S-2", 1000))]
    (entry,) = read(file(line(), line(sku="S-2", ClickId="other")))
    assert (entry.code, entry.lines) == ("ORDER_DIFFERS", 2)
    assert "ClickId" in entry.reason


def test_lines_of_one_sku_are_one_item() -> None:
    """As everywhere: quantities and amounts are added."""
    (found,) = orders(read(file(line(), line(amount="0.50"))))
    assert isinstance(found, Order)
    assert found.items == (Item("S-1", "Mugs", 2, 1050),)


# Nothing is read half ---------------------------------------------------------------------------------------------


def test_an_order_whose_lines_are_apart_is_not_recorded_at_all() -> None:
    """Neither its first lines nor its later ones: an order recorded in part would be paid in part."""
    entries = read(file(line("A"), line("B"), line("A", sku="S-2"), line("C")))
    assert orders(entries) == ["OID_DUPLICATE", order("B"), "OID_DUPLICATE", order("C")]


def test_orders_far_apart_are_found_too() -> None:
    """Also where the lines between are more than memory keeps."""
    between = [line(f"B-{number:06}") for number in range(25_000)]
    codes = orders(read(file(line("A"), *between, line("A", sku="S-2"))))
    assert (codes[0], codes[-1], len(codes)) == ("OID_DUPLICATE", "OID_DUPLICATE", 25_002)
    assert "OID_DUPLICATE" not in codes[1:-1]


@pytest.mark.parametrize(
    ("broken", "code"),
    [
        ("1000,4321,too,short", "CELL_COUNT"),
        (line(amount="1,000.00"), "CELL_COUNT"),
        ('1000,"4321"x,' + line().partition("4321,")[2], "QUOTING"),
    ],
)
def test_what_stands_beside_an_unreadable_line_is_refused_with_it(broken: str, code: str) -> None:
    """It may be a line of the order before or behind; those further away are recorded."""
    entries = read(file(line("A"), line("B"), line("B", sku="S-2"), broken, line("C"), line("D")))
    assert orders(entries) == [order("A"), code, order("D")]
    assert entries[1].lines == 4
    assert "line 5" in entries[1].reason


def test_an_open_quote_costs_its_own_line_and_its_neighbours() -> None:
    """What follows is read, however long the file is."""
    many = [line(f"B-{number}") for number in range(3_000)]
    entries = read(file(line("A"), f'"{line("X")}', *many))
    assert [entry.code for entry in entries if entry.code] == ["QUOTING"]
    assert sum(entry.lines for entry in entries) == 3_002
    assert len(entries) == 3_000


def test_quoted_cells_hold_what_they_hold() -> None:
    """Delimiters, quotes and text beyond ASCII come through byte for byte; a line break in an order is refused."""
    (found, bad) = orders(read(file(line(sku='"a,""b"" é"'), line("B", sku='"a\nb"'))))
    assert isinstance(found, Order)
    assert found.items[0].sku == 'a,"b" é'
    assert bad == "INVALID_TEXT"


def test_bytes_of_another_encoding_are_refused_by_line() -> None:
    """A file that is Latin-1 in places is told so where it is; the other orders are recorded."""
    text = file(line("A"), line("B", Category="Möbel"), line("C")).encode("latin-1")
    entries = read(text)
    assert [entry.code for entry in entries] == ["", "NOT_DECODED", ""]
    assert entries[1].block.raw(entries[1].first) == line("B", Category="Möbel").encode("latin-1") + b"\r"


def test_lines_without_an_order_id_stand_alone() -> None:
    """They are not taken for one order."""
    assert orders(read(file(line(""), line(""), line("B")))) == ["OID_MISSING", "OID_MISSING", order("B")]


def test_an_endless_order_is_refused_in_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of its lines, however many pieces they are read in, and none of its neighbours."""
    monkeypatch.setattr(csv_records, "PIECE", 1 << 12)
    monkeypatch.setattr("app.conversions.order_file._MOST_TOGETHER", 1 << 14)
    endless = [line("X", sku=f"S-{number}") for number in range(2_000)]
    entries = read(file(line("A"), *endless, line("B")))
    assert orders(entries)[0] == order("A")
    assert {entry.code for entry in entries[1:-1]} == {"TOO_MANY_ITEMS"}
    assert sum(entry.lines for entry in entries) == 2_002


@pytest.mark.parametrize("piece", [1, 7, 64, 300, 5_000])
def test_where_a_piece_ends_does_not_matter(piece: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same orders, wherever the reading of the file is interrupted."""
    lines = [
        line(f"A-{number // 3}", sku=f'"S,{number}"', Category='"two\nlines"' if number == 7 else "Mugs")
        for number in range(30)
    ]
    text = "\ufeff" + file(*lines, "", line("Z"), end="\n")
    whole = [(entry.order, entry.code, entry.reason, entry.lines) for entry in read(text)]
    monkeypatch.setattr(csv_records, "PIECE", piece)
    assert [(entry.order, entry.code, entry.reason, entry.lines) for entry in read(text)] == whole
    assert len(whole) == 11


PIECES = st.sampled_from(
    [line("A"), line("B"), line("A", sku="S-2"), '"', ",", "\r", "\n", "\r\n", '"\n"', "x", "é", " "]
)


@given(st.lists(PIECES, max_size=30).map("".join), st.sampled_from([1, 50, 1 << 17]))
def test_no_line_is_lost_whatever_the_file_holds(text: str, piece: int) -> None:
    """Every line is in exactly one place: of an order, or of what is refused."""
    content = f"{OWN}\n{text}".encode()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(csv_records, "PIECE", piece)
        entries = read(content)
    seen = [entry.block.raw(place) for entry in entries for place in range(entry.first, entry.end)]
    lines = [one for raw in seen for one in raw.split(b"\n")]
    assert [one for one in lines if one.strip(b"\r")] == [one for one in content.split(b"\n")[1:] if one.strip(b"\r")]


def test_every_fault_of_an_order_is_told_by_line_and_column() -> None:
    """What a person needs to repair it."""
    (entry,) = read(file(line(EventDate="yesterday"), line(sku="S-2", EventDate="yesterday", amount="-1")))
    assert entry.code == "INVALID"
    assert "line 2, EventDate: This must be a time" in entry.reason
    assert "line 3, Amount: This must be a number" in entry.reason


def test_the_future_is_refused() -> None:
    """As by POST /orders: the same rules everywhere."""
    later = (NOW + timedelta(hours=1)).isoformat()
    assert orders(read(file(line(EventDate=later)))) == ["INVALID_EVENT_DATE"]


# Headers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "sentence"),
    [
        ("OrderId,EventDate,Amount,Colour", "'Colour' is no column"),
        ("OrderId,EventDate,Amount,Oid", "'Oid' says again"),
        ("EventDate,Amount", "order_id"),
        ("OrderId,EventDate,Sku,Amount", "category, quantity"),
        ("OrderId,EventDate,Amount,ItemPrice", "take one of the two out"),
        ("OrderId;EventDate;Amount", "is no column"),
    ],
)
def test_a_header_that_leaves_something_open_stops_the_import(header: str, sentence: str) -> None:
    """Before anything is recorded."""
    with pytest.raises(InvalidFile, match=sentence):
        read(f"{header}\n")


def test_utf_16_is_named() -> None:
    """Spreadsheets write it as Unicode text."""
    with pytest.raises(InvalidFile, match="UTF-16"):
        read(file(line()).encode("utf-16"))


def test_a_file_without_lines_is_named() -> None:
    """A megabyte without a line end is no CSV."""
    with pytest.raises(InvalidFile, match="1,048,576 bytes"):
        read(OWN.encode() + b"\n" + bytes(3 << 20))


# Mappings ---------------------------------------------------------------------------------------------------------

SHOPIFY = """
    date_format = "%Y-%m-%d %H:%M:%S %z"
    [columns]
    order_id = "Name"
    event_date = "Created at"
    currency = "Currency"
    promo_code = "Discount Code"
    customer_id = "Customer"
    sku = "Lineitem sku"
    unit_price = "Lineitem price"
    quantity = "Lineitem quantity"
    [defaults]
    category = "Shop"
"""


def test_a_file_as_shopify_exports_it() -> None:
    """Order columns in the first line alone, prices of units, line breaks in columns that nobody asks for."""
    mapping = read_mapping(dedent(SHOPIFY))
    text = (
        "Name,Created at,Currency,Discount Code,Customer,Notes,Lineitem quantity,Lineitem price,Lineitem sku\n"
        '#1001,2026-11-20 18:00:22 +0100,USD,AUTUMN,u1,"ring\ntwice",2,12.50,S-1\n'
        "#1001,,,,,,1,0.99,S-2\n"
    )
    items = (Item("S-1", "Shop", 2, 2500), Item("S-2", "Shop", 1, 99))
    assert orders(read(text, mapping)) == [order("#1001", items=items, click_id=None, promo_code="AUTUMN")]


GERMAN = """
    delimiter = ";"
    encoding = "windows-1252"
    decimal_mark = ","
    thousands_mark = "."
    date_format = "%d.%m.%Y %H:%M"
    time_zone = "Europe/Berlin"
    [columns]
    order_id = "Bestellung"
    event_date = "Zeit"
    amount = "Betrag"
    category = "Warengruppe"
    sku = "Artikel"
    quantity = "Menge"
    click_id = "Klick"
    [defaults]
    currency = "EUR"
"""


def german(amount: str = "1.234,50", when: str = "20.11.2026 18:00", quantity: str = "2,00") -> list[Entry]:
    """Return what a German file with one line says."""
    text = f"Bestellung;Zeit;Betrag;Warengruppe;Artikel;Menge;Klick\nA-1;{when};{amount};Möbel;S-1;{quantity};c1\n"
    return read(text.encode("cp1252"), read_mapping(dedent(GERMAN)))


def test_a_german_file() -> None:
    """Semicolons, commas, dots between thousands, days first, local time, Windows' encoding."""
    (found,) = orders(german())
    assert isinstance(found, Order)
    assert found.items == (Item("S-1", "Möbel", 2, 123450),)
    assert found.event_date.isoformat() == "2026-11-20T18:00:00+01:00"
    assert orders(german(when="20.07.2026 18:00")) == [
        order(
            items=(Item("S-1", "Möbel", 2, 123450),),
            currency="EUR",
            customer_id=None,
            event_date=datetime(2026, 7, 20, 16, tzinfo=UTC),
        )
    ]


@pytest.mark.parametrize("amount", ["12.50", "1.23,00", "1,234.50", "1.2345,00", "1,2,3", "x", "-1,00", "1,234"])
def test_an_amount_that_may_mean_something_else_is_refused(amount: str) -> None:
    """12.50 is no 1,250 by accident."""
    assert orders(german(amount))[0] in {"AMOUNT_NEGATIVE_OR_NOT_A_NUMBER", "AMOUNT_DECIMALS"}


@pytest.mark.parametrize(
    ("when", "seen"),
    [
        ("29.03.2026 02:30", None),
        ("25.10.2026 02:30", "2026-10-25T02:30:00+02:00"),
        ("2026-11-20 18:00", None),
        ("01.01.0001 00:00", None),  # what some shops write for no date, and no time in UTC
    ],
)
def test_hours_that_clocks_skip_or_repeat(when: str, seen: str | None) -> None:
    """A time that there was not is refused; of two the first is meant."""
    (found,) = orders(german(when=when))
    assert (found.event_date.isoformat() if isinstance(found, Order) else None) == seen


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("columns = 1", "columns"),
        ("[columns", "not TOML"),
        ('[columns]\ncolour = "X"', "colour is no field"),
        ('[columns]\nOrderId = "X"\norder_id = "Y"', "order_id is named twice"),
        ('delimiter = ";;"\n[columns]\norder_id = "X"', "one character"),
        ('encoding = "utf-16"\n[columns]\norder_id = "X"', "extends ASCII"),
        ('time_zone = "Middle/Earth"\n[columns]\norder_id = "X"', "no time zone"),
        ('decimal_mark = ","\nthousands_mark = ","\n[columns]\norder_id = "X"', "not the same"),
        ('[columns]\namount = "X"\nunit_price = "Y"', "not both"),
        (
            'dekimal = ","\n[columns]\norder_id = "X"',
            "dekimal: there is no such key; docs/reference/import-files.md has those that there are",
        ),
        ('delimiter = ";"', "columns: this is required"),
    ],
)
def test_a_wrong_mapping_is_told_by_name(text: str, sentence: str) -> None:
    """In a sentence that says what to write."""
    with pytest.raises(InvalidFile, match=sentence):
        read_mapping(text)


def test_a_column_that_the_file_does_not_have_is_named() -> None:
    """With those that it has."""
    with pytest.raises(InvalidFile, match=r"no column 'Name'.*OrderId"):
        read(file(line()), read_mapping('[columns]\norder_id = "Name"'))


@pytest.mark.parametrize("number", [0, 1])
def test_the_examples_of_the_documentation_are_mappings(number: int) -> None:
    """Who copies one has a mapping that is read."""
    text = (Path(__file__).parent.parent.parent / "docs" / "reference" / "import-files.md").read_text("utf-8")
    assert read_mapping(text.split("```toml\n")[1 + number].partition("```")[0]).columns["order_id"]


# NDJSON -----------------------------------------------------------------------------------------------------------

BODY = (
    b'{"order_id": "A-1", "event_date": "2026-11-20T18:00:22+01:00", "currency": "USD", "click_id": "c1",'
    b' "customer_id": "u1", "items": [{"sku": "S-1", "category": "Mugs", "quantity": 1, "amount": 10.00}]}'
)


def test_bodies_line_by_line() -> None:
    """As POST /orders takes them; blank lines are none, a mark at the beginning does no harm, the last may be open."""
    entries = read_ndjson(b"\xef\xbb\xbf" + BODY + b"\r\n\n" + BODY.replace(b"A-1", b"A-2") + b"\n{}\nx\n" + BODY[:-9])
    assert orders(entries)[:2] == [order("A-1"), order("A-2")]
    assert [entry.block.line_of(entry.first) for entry in entries] == [1, 3, 4, 5, 6]
    assert [entry.code for entry in entries[2:]] == ["INVALID", "CONV_MALFORMED", "CONV_MALFORMED"]


def test_a_repaired_line_of_a_rejects_file_is_read() -> None:
    """What an import said of it is no part of the order, and its numbers keep every digit."""
    noted = BODY[:-1] + b', "rejected": {"line": 1, "code": "X", "reason": "Y"}}'
    assert orders(read_ndjson(noted)) == [order("A-1")]
    assert orders(read_ndjson(noted, key="signup")) == [order("A-1", event_type="signup")]
    assert orders(read_ndjson(noted.replace(b"10.00", b"10.001"))) == ["AMOUNT_DECIMALS"]

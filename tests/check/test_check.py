"""The check of conversion files: everything impact.com would refuse is found at its line, and nothing else is."""

import csv
import io
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.check.check import Check
from app.check.findings import (
    CODES,
    IMPACT_CODES,
    OWN_CODES,
    RIGHT_AT_ONCE,
    RULES,
    Finding,
    amount_rule,
    amounts_at_once,
    event_date_rule,
    event_dates_at_once,
)
from app.check.glance import looks_right
from app.check.records import MAX_LINE, Block
from app.check.rows import Rows
from app.check.runs import Runs
from app.impact.columns import CHAINED_COLUMNS, MINIMUM_COLUMNS, ORDER_COLUMNS
from app.impact.currency import DECIMALS, format_amount
from app.impact.limits import CLICK_ID
from tests.check import test_modifications

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
HEADER = ",".join(MINIMUM_COLUMNS)
ROW = "1000,4321,2026-11-20T18:00:22+00:00,A-1,abcDEF123,cust-00042,EUR,40.00,Mugs,MUG-1,2"
GOLDEN = Path(__file__).parents[1] / "data" / "item-level.csv"


def check(content: bytes, name: str = "orders.csv", now: datetime = NOW) -> tuple[Check, list[Finding]]:
    """Check `content`, and return the counts and what was found; a file that looks right at a glance has nothing."""
    checked = Check(name, io.BytesIO(content), now=now)
    findings = list(checked.findings())
    in_it = [finding for finding in findings if finding.code not in {"RECORDS_ZERO", "CHECK_FILE_NAME"}]
    assert not (in_it and looks_right(content, now=now))
    return checked, findings


def found(content: bytes | str, name: str = "orders.csv", now: datetime = NOW) -> set[tuple[str, int, str]]:
    """Return code, line and severity of everything found."""
    _, findings = check(content.encode() if isinstance(content, str) else content, name, now)
    told = [(finding.code, finding.line, finding.severity, finding.column) for finding in findings]
    assert len(told) == len(set(told)), "something is said twice"
    return {(code, line, severity) for code, line, severity, _ in told}


def row(**cells: str) -> str:
    """Return the sample row with other cells, those of further columns at the end."""
    values = dict(zip(MINIMUM_COLUMNS, ROW.split(","), strict=True)) | cells
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator="\r\n").writerow(values.values())
    return out.getvalue().removesuffix("\r\n")


def file(*rows: str, more: Sequence[str] = ()) -> str:
    """Return a file of these rows, with further columns if there are `more`."""
    return "\r\n".join([",".join([HEADER, *more]), *rows]) + "\r\n"


def chained(*rows: str) -> str:
    """Return a file of chained actions with these rows."""
    return "\r\n".join([",".join(CHAINED_COLUMNS), *rows]) + "\r\n"


def test_the_sample_of_impacts_guide_is_right() -> None:
    """The golden file passes on the day after it was made."""
    checked, findings = check(GOLDEN.read_bytes(), now=datetime(2021, 11, 24, tzinfo=UTC))
    assert findings == []
    assert (checked.rows, checked.orders, checked.faults, checked.warnings) == (2, 1, 0, 0)


# One small file for every code ----------------------------------------------------------------------------------

FAULTS: list[tuple[str, int, str]] = [
    ("ACTIONTRACKERID_INVALID", 2, file(row(ActionTrackerId="sale"))),
    ("ACTIONTRACKERID_INVALID", 2, file(row(ActionTrackerId=""))),
    ("ACTION_REF_NOT_FOUND", 2, file(row(ClickId="", CustomerId=""))),
    ("AMOUNT_NEGATIVE_OR_NOT_A_NUMBER", 2, file(row(Amount="-1.00"))),
    ("AMOUNT_NEGATIVE_OR_NOT_A_NUMBER", 2, file(row(Amount="1,234.00"))),
    ("AMOUNT_NEGATIVE_OR_NOT_A_NUMBER", 2, file(row(Amount="12,50"))),
    ("AMOUNT_NEGATIVE_OR_NOT_A_NUMBER", 2, file(row(Amount="1e3"))),
    ("AMOUNT_NEGATIVE_OR_NOT_A_NUMBER", 2, file(row(Amount="NaN"))),
    ("AMOUNT_NEGATIVE_OR_NOT_A_NUMBER", 2, file(row(Amount="٤٢"))),
    ("AMOUNT_NEGATIVE_OR_NOT_A_NUMBER", 2, file(row(Amount=" 1.00"))),
    ("AMOUNT_NEGATIVE_OR_NOT_A_NUMBER", 2, file(row(Amount=""))),
    ("CHECK_AMOUNT_DECIMALS", 2, file(row(Amount="1.005"))),
    ("CHECK_AMOUNT_DECIMALS", 2, file(row(CurrencyCode="JPY", Amount="100.00"))),
    ("CHECK_AMOUNT_TOO_LARGE", 2, file(row(Amount="1000000000000.00"))),
    ("CHECK_AMOUNT_TWICE", 1, file(row(ItemPrice="20.00"), more=["ItemPrice"])),
    ("CHECK_BYTE_ORDER_MARK", 1, "\ufeff" + file(ROW)),
    ("CHECK_CELL_COUNT", 3, file(ROW, ROW + ",more")),
    ("CHECK_CELL_COUNT", 3, file(ROW, ROW.rpartition(",")[0])),
    ("CHECK_COLUMN_CASE", 1, file(ROW).replace("OrderId", "orderId")),
    ("CHECK_COLUMN_CASE", 1, file(ROW).replace("OrderId", " OrderId")),
    ("CHECK_COLUMN_MISSING", 1, file(ROW.replace("cust-00042,", "")).replace("CustomerId,", "")),
    ("CHECK_COLUMN_TWICE", 1, file(row(Oid="A-1"), more=["Oid"])),
    ("CHECK_COLUMN_TWICE", 1, file(row(MediaId="1", MediaPartnerId="1"), more=["MediaId", "MediaPartnerId"])),
    ("CHECK_COLUMN_UNKNOWN", 1, file(row(Colour="red"), more=["Colour"])),
    ("CHECK_CONTROL_CHARACTER", 2, file(row(Category="a\x00b"))),
    ("CHECK_CONTROL_CHARACTER", 2, file(row(Category="a\tb"))),
    ("CHECK_CONTROL_CHARACTER", 2, file(row(Category="a\x85b"))),
    ("CHECK_CONTROL_CHARACTER", 2, file(row(Category="a\rb"))),
    ("CHECK_CUSTOMER_MISSING", 2, chained("1000,4321,,A-1,2026-11-20T18:00:22+00:00,40.00,EUR,abcDEF123")),
    ("CHECK_EVENT_CODE_MISSING", 2, file(row(EventCode=""), more=["EventCode"])),
    ("CHECK_EVENT_IN_FUTURE", 2, file(row(EventDate="2026-11-22T12:05:01+00:00"))),
    ("CHECK_EVENT_TOO_OLD", 2, file(row(EventDate="2026-08-26T11:59:59+00:00"))),
    ("CHECK_FILE_EMPTY", 1, ""),
    ("CHECK_HEADER_MISSING", 1, ROW),
    ("CHECK_HEADER_MISSING", 1, file(ROW).replace(",", ";")),
    ("CHECK_HEADER_MISSING", 1, "\n" + file(ROW)),
    ("CHECK_LINE_TOO_LONG", 2, file(row(Category="x" * MAX_LINE), ROW)),
    ("CHECK_LINE_TOO_LONG", 3, file(ROW, row(Category="x" * MAX_LINE)).rstrip()),
    ("CHECK_NO_ROWS", 1, file()),
    ("CHECK_ORDER_DIFFERS", 3, file(ROW, row(CustomerId="another"))),
    ("CHECK_PERSONAL_DATA", 2, file(row(CustomerId="jo@shop.example"))),
    ("CHECK_QUOTING", 2, file(ROW.replace("Mugs", '"Mugs" and cups'), ROW)),
    ("CHECK_QUOTING", 2, file(ROW.replace("Mugs", '19" Mugs'), ROW)),
    ("CHECK_QUOTING", 3, file(ROW, ROW.replace("Mugs", '"Mugs'))),
    ("CHECK_QUOTING", 2, file(ROW.replace("Mugs", '"Mugs'), *[ROW] * 3000)),
    ("CHECK_QUOTING", 2, file(ROW.replace("Mugs", "Mu\rgs"), ROW)),
    ("CHECK_TOO_MANY_ROWS", 10_002, file(*[ROW] * 10_001)),
    ("INVALID_CURRENCY_CODE", 2, file(row(CurrencyCode="eur"))),
    ("INVALID_CURRENCY_CODE", 2, file(row(CurrencyCode="XXX"))),
    ("INVALID_EVENT_DATE", 2, file(row(EventDate="2026-11-20T18:00:22"))),
    ("INVALID_EVENT_DATE", 2, file(row(EventDate="2026-11-20 18:00:22+00:00"))),
    ("INVALID_EVENT_DATE", 2, file(row(EventDate="20/11/2026"))),
    ("INVALID_EVENT_DATE", 2, file(row(EventDate="2026-11-31T18:00:22Z"))),
    ("INVALID_EVENT_DATE", 2, file(row(EventDate=""))),
    ("MALFORMED", 2, file(row(CampaignId="shop"))),
    ("MALFORMED", 2, file(row(OrderId="x" * 65))),
    ("MALFORMED", 2, file(row(ClickId=" abcDEF123"))),
    ("MALFORMED", 2, file(row(ClickId="abc{DEF}"))),
    ("MALFORMED", 2, file(row(ClickId="x" * 65))),
    ("MALFORMED", 2, file(row(CustomerId="x" * 256))),
    ("MALFORMED", 2, file(row(Sku="x" * 256))),
    ("MALFORMED", 2, file(row(Category="x" * 256))),
    ("MALFORMED", 2, file(row(Quantity="0"))),
    ("MALFORMED", 2, file(row(Quantity="1.5"))),
    ("MALFORMED", 2, file(row(Text1="x" * 65), more=["Text1"])),
    ("MALFORMED", 2, file(row(MediaId="partner"), more=["MediaId"])),
    ("MALFORMED", 2, file(row(Date1="yesterday"), more=["Date1"])),
    ("MALFORMED", 2, file(row(Numeric1="1,5"), more=["Numeric1"])),
    ("MALFORMED", 2, file(row(CustomerEmail="jo@shop.example"), more=["CustomerEmail"])),
    ("NO_ITEM", 2, file(row(Sku=""))),
    ("NO_ITEM", 2, file(row(Sku=" "))),
    ("NO_ITEM", 2, file(row(Quantity=""))),
    ("NO_ITEM", 1, file(ROW.replace("Mugs,MUG-1,2", "Cup")).replace("Category,Sku,Quantity", "Name")),
    ("OID_DUPLICATE", 4, file(ROW, row(OrderId="B"), ROW)),
    ("OID_MISSING", 2, file(row(OrderId=""))),
    ("OID_MISSING", 2, file(row(OrderId="  "))),
    ("ORDERSUBTOTAL_NOT_A_NUMBER", 2, file(row(OrderSubtotal="much"), more=["OrderSubtotal"])),
]

WARNINGS: list[tuple[str, int, str]] = [
    ("ACTION_REF_NOT_FOUND", 2, file(row(ClickId=""))),
    ("CHECK_BLANKS", 2, file(row(OrderId="A-1 "))),
    ("CHECK_BLANKS", 2, file(row(Sku=" MUG-1"))),
    ("CHECK_BLANK_LINE", 3, file(ROW, "", ROW)),
    ("CHECK_COLUMN_ALIAS", 1, file(ROW).replace("OrderId", "Oid")),
    ("CHECK_COLUMN_ALIAS", 1, file(ROW).replace("CurrencyCode", "Currency")),
    ("CHECK_COLUMN_ALIAS", 1, file(ROW).replace("Amount", "ItemPrice")),
    ("CHECK_COLUMN_ORDER", 1, "\n".join(",".join(reversed(line.split(","))) for line in (HEADER, ROW))),
    ("CHECK_EVENT_DATE_NOW", 2, file(row(EventDate="NOW"))),
    ("CHECK_LINE_BREAK", 2, file(row(Category="a\nb"))),
    ("CHECK_TOO_MANY_ROWS", 10_001, file(*[ROW] * 10_000)),
    ("INVALID_CURRENCY_CODE", 2, file(row(CurrencyCode=""))),
    ("NO_ITEM", 2, file(row(Category=""))),
]


@pytest.mark.parametrize(("code", "line", "content"), FAULTS)
def test_each_fault_is_found_at_its_line(code: str, line: int, content: str) -> None:
    """A file with one fault has this finding, and no other fault."""
    assert {finding for finding in found(content) if finding[2] == "fault"} == {(code, line, "fault")} | _both(content)


def _both(content: str) -> set[tuple[str, int, str]]:
    """A lone carriage return outside quotes is a control character, and breaks the line as well."""
    return {("CHECK_CONTROL_CHARACTER", 2, "fault")} if "Mu\rgs" in content else set()


@pytest.mark.parametrize(("code", "line", "content"), WARNINGS)
def test_what_may_pass_is_a_warning(code: str, line: int, content: str) -> None:
    """A file that impact.com may accept has no fault."""
    assert found(content) == {(code, line, "warning")}


@pytest.mark.parametrize("name", ["orders.txt", "orders.csv.part", "orders", "orders.xml"])
def test_only_files_named_csv_are_read(name: str) -> None:
    """Of a file with another extension, impact.com's Records column shows 0."""
    assert found(file(ROW), name) == {("RECORDS_ZERO", 1, "fault")}


@pytest.mark.parametrize("name", ["receipt_1.csv", "result_1.csv", "Result_.csv"])
def test_reserved_names_are_told(name: str) -> None:
    """Files of these names are ignored."""
    assert found(file(ROW), name) == {("CHECK_FILE_NAME", 1, "fault")}


@pytest.mark.parametrize("line", [1, 2, 3])
def test_text_that_is_not_utf8_is_found_at_its_line(line: int) -> None:
    """A file saved in Latin-1 is told from UTF-8 wherever its umlaut stands."""
    lines = file(row(Note="x"), row(Note="x"), more=["Note"]).encode().split(b"\r\n")
    lines[line - 1] += "ü".encode("latin-1")
    assert ("CHECK_NOT_UTF8", line, "fault") in found(b"\r\n".join(lines))


def test_a_file_in_utf16_is_told_in_one_sentence() -> None:
    """As spreadsheets write it when asked for Unicode."""
    assert found(file(*[ROW] * 100).encode("utf-16")) == {("CHECK_NOT_UTF8", 1, "fault")}


def test_every_code_has_a_file_that_shows_it() -> None:
    """The table of codes and what the check does say the same."""
    shown = {code for code, _, _ in FAULTS + WARNINGS} | {"RECORDS_ZERO", "CHECK_FILE_NAME", "CHECK_NOT_UTF8"}
    corrections = test_modifications.FAULTS | test_modifications.WARNINGS
    assert shown | {fault[0] for _, fault in corrections.values()} == set(CODES)


def test_our_codes_cannot_be_taken_for_those_of_impact() -> None:
    """Nobody should look for ours in impact.com's lists."""
    assert all(code.startswith("CHECK_") for code in OWN_CODES)
    assert not any(code.startswith("CHECK_") for code in IMPACT_CODES)


# What is allowed ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        file(ROW).replace("\r\n", "\n"),
        file(ROW).rstrip(),
        file(ROW, row(ActionTrackerId="99"), row(OrderId="a-1")),
        file(row(ClickId="", PromoCode="SAVE"), more=["PromoCode"]),
        file(row(ClickId="", CustomerId="", MediaPartnerId="77"), more=["MediaPartnerId"]),
        file(row(EventDate="2025-10-20T12:00:00Z", MediaId="77"), more=["MediaId"]),
        file(row(Category='Home, "Garden" & more', Sku="Ünï-💐")),
        file(row(Category='"'), row(Sku='""'), row(Sku='",'), row(Sku=',"')),
        file(row(Amount="0"), row(Amount="7.5"), row(CurrencyCode="JPY", OrderId="J", Amount="1350")),
        file(row(OrderDiscount="5.00", CustomerId=""), more=["OrderDiscount"]),
        file(row(EventDate="2026-11-20T20:00:22.5+02:00")),
    ],
)
def test_right_files_have_no_findings(content: str) -> None:
    """Line ends of either kind, a missing last one, quotes, other event types, other ways to credit an order."""
    assert found(content) == set()


ZONES = ["UTC", "America/New_York", "Europe/Berlin", "Asia/Kolkata", "Pacific/Chatham", "Pacific/Kiritimati"]


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize(("days", "media_id"), [(88, ""), (398, "77")])
@pytest.mark.parametrize("now", [NOW, datetime(2026, 3, 29, 2, 30, tzinfo=UTC)])
def test_the_age_limit_is_exact_to_the_second(zone: str, days: int, media_id: str, now: datetime) -> None:
    """At the edge an event is accepted, a second later no more, whatever its offset and over summer time."""
    edge = now - timedelta(days=days)
    for second, faults in ((-1, {("CHECK_EVENT_TOO_OLD", 2, "fault")}), (0, set()), (1, set())):
        event = (edge + timedelta(seconds=second)).astimezone(ZoneInfo(zone))
        content = file(row(EventDate=event.isoformat(timespec="seconds"), MediaId=media_id), more=["MediaId"])
        assert found(content, now=now) == faults


def test_line_numbers_count_quoted_line_breaks() -> None:
    """The line told is the one where an editor shows the record's beginning."""
    content = file(row(Category="a\nb\r\nc"), ROW, row(Quantity="x"))
    assert ("MALFORMED", 6, "fault") in found(content)
    checked, findings = check(content.encode())
    assert (checked.rows, checked.orders) == (3, 1)
    assert [finding.order_id for finding in findings if finding.code == "MALFORMED"] == ["A-1"]


def test_reading_goes_on_behind_a_line_that_cannot_be_read() -> None:
    """A fault does not hide those below it."""
    long = row(Category="x" * MAX_LINE)
    content = file(ROW, ROW.replace("Mugs", '"M"x'), long, "", ROW, row(Quantity="x"))
    assert found(content) == {
        ("CHECK_QUOTING", 3, "fault"),
        ("CHECK_LINE_TOO_LONG", 4, "fault"),
        ("CHECK_BLANK_LINE", 5, "warning"),
        ("MALFORMED", 7, "fault"),
    }


def test_a_byte_order_mark_hides_no_column() -> None:
    """The rest of the file is checked as if the mark were not there."""
    assert found("\ufeff" + file(row(CampaignId="x"))) == {
        ("CHECK_BYTE_ORDER_MARK", 1, "fault"),
        ("MALFORMED", 2, "fault"),
    }


@pytest.mark.parametrize("orders", [3, 1_000, 25_000, 60_000])
def test_an_order_that_begins_again_is_found_however_far_away(orders: int) -> None:
    """Also when its first line was read too long ago to be in memory."""
    rows = [row(OrderId=f"A-{number}") for number in range(orders)]
    checked, findings = check(file(*rows, rows[0], rows[1]).encode())
    duplicates = [(found.line, found.order_id) for found in findings if found.code == "OID_DUPLICATE"]
    assert duplicates == [(orders + 2, "A-0"), (orders + 3, "A-1")]
    assert (checked.rows, checked.orders) == (orders + 2, orders)


@pytest.mark.parametrize("step", [1, -1, 7_919, 60_001])
def test_orders_that_begin_again_are_found_in_whatever_order_they_come(step: int) -> None:
    """Numbered upwards, downwards, or as chance has it; parts whose numbers lie apart need not be looked through."""
    count = 99_991  # a prime, so that every step comes by every number
    keys = [f"4321,{100_000 + number * step % count}" for number in range(count)]
    again = [keys[0], keys[25_000], keys[-1]]
    with closing(Runs()) as runs:
        told = [runs.begin(key, line) for line, key in enumerate([*keys, *again], 2)]
        late = {finding.line: finding.order_id for finding in runs.late()}
        found_at_once = {finding.line: finding.order_id for finding in told if finding}
        assert late | found_at_once == {count + 2 + n: key.partition(",")[2] for n, key in enumerate(again)}
        assert runs.orders == count


def test_an_order_that_differs_is_found_where_its_first_line_has_left_memory() -> None:
    """What was put away a moment ago is still the order that is being read."""
    first = 20_224  # the last row of the block that fills the memory
    rows = [row(OrderId=f"A-{number}") for number in range(1, first + 1)]
    content = file(*rows, row(OrderId=f"A-{first}", CustomerId="another"), row(OrderId="A-1"))
    assert {finding for finding in found(content) if finding[0] != "CHECK_TOO_MANY_ROWS"} == {
        ("CHECK_ORDER_DIFFERS", first + 2, "fault"),
        ("OID_DUPLICATE", first + 3, "fault"),
    }


def test_findings_come_from_the_top_down() -> None:
    """Whether they are about the text or about a value."""
    _, findings = check(file(row(Quantity="x"), row(Category="a\tb"), row(Sku="")).encode())
    assert [finding.line for finding in findings] == [2, 3, 4]


# Any file -------------------------------------------------------------------------------------------------------

TEXTS = st.text(st.characters(exclude_categories=["C", "Z"], include_characters=", \"'=+-@;ü💐"), max_size=30)
WORDS = TEXTS.map(str.strip).filter(bool)
CLICK_IDS = st.from_regex(CLICK_ID, fullmatch=True)


@st.composite
def orders(draw: st.DrawFn) -> list[dict[str, str]]:
    """The rows of a valid order."""
    currency = draw(st.sampled_from(["USD", "EUR", "JPY", "KWD", "CLF"]))
    age = timedelta(seconds=draw(st.integers(0, 88 * 86_400)))
    zone = timezone(timedelta(minutes=draw(st.integers(-14 * 60, 14 * 60))))
    order = {
        "CampaignId": "1000",
        "ActionTrackerId": draw(st.sampled_from(["4321", "4322"])),
        "EventDate": (NOW - age).astimezone(zone).isoformat(timespec="seconds"),
        "OrderId": draw(WORDS),
        "ClickId": draw(CLICK_IDS),
        "CustomerId": draw(st.from_regex(r"[A-Za-z0-9-]{0,40}", fullmatch=True)),
        "CurrencyCode": currency,
    }
    amounts = st.integers(0, 10 ** (12 + DECIMALS[currency]) - 1).map(lambda minor: format_amount(minor, currency))
    quantities = st.integers(1, 999).map(str)
    items = st.fixed_dictionaries({"Amount": amounts, "Category": WORDS, "Sku": WORDS, "Quantity": quantities})
    return [order | item for item in draw(st.lists(items, min_size=1, max_size=4))]


FILES = st.lists(
    orders(), min_size=1, max_size=8, unique_by=lambda order: (order[0]["ActionTrackerId"], order[0]["OrderId"])
)


@given(FILES)
def test_a_file_of_right_orders_has_no_findings(wanted: list[list[dict[str, str]]]) -> None:
    """Nothing that may be sent is complained about, whatever characters, currencies and offsets it has."""
    checked, findings = check(file(*[row(**cells) for order in wanted for cells in order]).encode())
    assert findings == []
    assert (checked.rows, checked.orders) == (sum(map(len, wanted)), len(wanted))


WRONG = [
    ("CampaignId", "x", "MALFORMED"),
    ("ActionTrackerId", "x", "ACTIONTRACKERID_INVALID"),
    ("EventDate", "2026-11-20", "INVALID_EVENT_DATE"),
    ("EventDate", "2026-08-26T13:59:59+02:00", "CHECK_EVENT_TOO_OLD"),
    ("EventDate", "2026-11-22T14:05:01+02:00", "CHECK_EVENT_IN_FUTURE"),
    ("OrderId", "", "OID_MISSING"),
    ("ClickId", "a b", "MALFORMED"),
    ("CustomerId", "a@b.example", "CHECK_PERSONAL_DATA"),
    ("CurrencyCode", "EURO", "INVALID_CURRENCY_CODE"),
    ("Amount", "-1", "AMOUNT_NEGATIVE_OR_NOT_A_NUMBER"),
    ("Amount", "1.00001", "CHECK_AMOUNT_DECIMALS"),
    ("Sku", "", "NO_ITEM"),
    ("Quantity", "-1", "MALFORMED"),
]


@given(FILES, st.sampled_from(WRONG), st.data())
def test_a_single_fault_is_found_at_its_line(
    wanted: list[list[dict[str, str]]], wrong: tuple[str, str, str], data: st.DataObject
) -> None:
    """Whichever row has it, and whatever stands around it."""
    column, value, code = wrong
    rows = [cells for order in wanted for cells in order]
    at = data.draw(st.integers(0, len(rows) - 1))
    rows[at] = rows[at] | {column: value}
    assert (code, at + 2, "fault") in found(file(*[row(**cells) for cells in rows]))


@pytest.mark.parametrize("at", [0, 1, 255, 256, 257, 511, 700])
@pytest.mark.parametrize(("column", "value", "code"), WRONG)
def test_a_single_fault_is_found_among_many_rows(at: int, column: str, value: str, code: str) -> None:
    """Reading many rows at once overlooks nothing and blames nobody else: only the wrong row and its order's others."""
    rows = [row(OrderId=f"A-{number}") for number in range(701)]
    rows[at] = row(**{"OrderId": f"A-{at}", column: value})
    assert found(file(*rows)) == {(code, at + 2, "fault")}


CHANGES = st.just(("Note", "")) | st.sampled_from([("Note", "x"), *[wrong[:2] for wrong in WRONG]])


@given(
    st.lists(st.tuples(st.integers(0, 12), CHANGES), max_size=40),
    st.sampled_from([MINIMUM_COLUMNS, ORDER_COLUMNS, CHAINED_COLUMNS]),
)
def test_many_rows_at_once_and_row_by_row_find_the_same(
    plan: list[tuple[int, tuple[str, str]]], minimum: tuple[str, ...]
) -> None:
    """The quick way is only a shortcut: for orders right and wrong, scattered and repeated, both agree."""
    names = [*minimum, "Note"]
    right = dict(zip(MINIMUM_COLUMNS, ROW.split(","), strict=True)) | {"Note": ""}
    records = [
        [(right | {"OrderId": f"A-{number}", column: value})[name] for name in names]
        for number, (column, value) in plan
    ]
    columns = {name: position for position, name in enumerate(names)}
    results = []
    for lines in (range, lambda first, end: list(range(first, end))):
        findings: list[Finding] = []
        with closing(Runs(one_line=minimum is not MINIMUM_COLUMNS)) as runs:
            rows = Rows(columns, len(columns), NOW, runs, findings)
            for start in range(0, len(records), 3):
                part = records[start : start + 3]
                rows.read(Block(lines(start, start + len(part)), part), ())
            results.append((findings, rows.count, runs.orders))
    assert results[0] == results[1]


@given(st.lists(st.text(st.characters(exclude_characters="\n"), max_size=70), min_size=1, max_size=3), st.data())
def test_what_is_right_at_once_is_right_one_by_one(values: list[str], data: st.DataObject) -> None:
    """The quick tests let nothing through that the rules would not."""
    tests = [(at_once, RULES[name]) for name, at_once in RIGHT_AT_ONCE.items()]
    tests += [(amounts, amount_rule(digits)) for digits in (0, 2, 3) if (amounts := amounts_at_once(digits))]
    tests += [(event_dates_at_once(NOW, with_media_id=False), event_date_rule(NOW, with_media_id=False))]
    near = st.from_regex(r"[0-9A-Z.@ ]{0,12}", fullmatch=True) | st.sampled_from(
        ["2026-11-20T18:00:22Z", "2026-11-20 18:00:22Z", "2026-11-20T18:00:22", "2026-08-26T11:59:59Z", "1.001", "1.01"]
    )
    values = values + data.draw(st.lists(near, max_size=2))
    for at_once, rule in tests:
        for some in (values, values[-1:]):
            if at_once(some):
                assert not any(map(rule, some))


# Bounded memory -------------------------------------------------------------------------------------------------

MEASURE = r"""
import io, itertools, resource
from datetime import UTC, datetime
from app.check.check import Check

class Stream(io.RawIOBase):
    def __init__(self, parts):
        self.parts, self.rest = iter(parts), b""
    def readable(self):
        return True
    def readinto(self, buffer):
        self.rest = self.rest or next(self.parts, b"")
        part, self.rest = self.rest[: len(buffer)], self.rest[len(buffer) :]
        buffer[: len(part)] = part
        return len(part)

def peak(parts):
    check = Check("a.csv", io.BufferedReader(Stream(parts)), now=datetime(2026, 11, 22, tzinfo=UTC))
    codes = {found.code for found in check.findings()}
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, check.rows, sorted(codes)

header = b"CampaignId,ActionTrackerId,EventDate,OrderId,ClickId,CustomerId,CurrencyCode,Amount,Category,Sku,Quantity\n"
def rows(count, amount):
    for number in range(count):
        yield b"1,2,2026-11-20T18:00:22Z,order-%d,click-%d,,EUR,%s,C,sku-%d,1\n" % (number, number, amount, number)

for parts in (
    rows(20_000, b"1.00"),
    rows(200_000, b"1.00"),
    rows(100_000, b"one"),
    itertools.chain([b"1,2,"], itertools.repeat(bytes(1 << 20).replace(b"\0", b"x"), 1024), [b"\n"]),
    itertools.repeat(b'"a\n",' * 10_000, 3000),
):
    print(*peak(itertools.chain([header], parts)), sep=";")
"""


def test_memory_does_not_grow_with_the_file() -> None:
    """Ten times the rows, a line of 1 GiB, a record that never ends: the peak stays within some megabytes."""
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", MEASURE], cwd=root, capture_output=True, text=True, check=True)
    results = [line.split(";") for line in done.stdout.splitlines()]
    peaks = [int(kilobytes) for kilobytes, _, _ in results]
    assert [(rows, codes) for _, rows, codes in results] == [
        ("20000", "['CHECK_TOO_MANY_ROWS']"),
        ("200000", "['CHECK_TOO_MANY_ROWS']"),
        ("100000", "['AMOUNT_NEGATIVE_OR_NOT_A_NUMBER', 'CHECK_TOO_MANY_ROWS']"),
        ("0", "['CHECK_LINE_TOO_LONG', 'CHECK_NO_ROWS']"),
        ("0", "['CHECK_NO_ROWS', 'CHECK_QUOTING']"),
    ]
    assert max(peaks) < peaks[0] + 12_000


def test_findings_come_while_the_file_is_read() -> None:
    """The first fault of a large file does not wait for its end."""
    content = io.BytesIO(file(*[row(Quantity="x")] * 5_000).encode())
    first = next(Check("orders.csv", content, now=NOW).findings())
    assert (first.code, first.line) == ("MALFORMED", 2)
    assert content.tell() < len(content.getvalue()) / 2

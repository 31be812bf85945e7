"""The check knows the layouts with a line for each order, and that of mobile app events, by their headers."""

import io
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.check.check import Check
from app.check.findings import Finding
from app.check.glance import looks_right
from app.impact.columns import CHAINED_COLUMNS, MINIMUM_COLUMNS, ORDER_COLUMNS

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
DATA = Path(__file__).parents[1] / "data"
ROW = "1000,4321,2026-11-20T18:00:22+00:00,A-1,abcDEF123,cust-00042,EUR,40.00,Mugs,MUG-1,2"
RIGHT = dict(zip(MINIMUM_COLUMNS, ROW.split(","), strict=True)) | {"EventCode": "SALE", "Name": "Cup"}
ONE_LINE = {"order": ORDER_COLUMNS, "chained": CHAINED_COLUMNS}


def file(columns: tuple[str, ...], *rows: dict[str, str]) -> str:
    """Return a file with these columns; each row says what is not as usual."""
    lines = [",".join(columns), *(",".join((RIGHT | cells)[name] for name in columns) for cells in rows)]
    return "".join(f"{line}\r\n" for line in lines)


def check(content: str | bytes, now: datetime = NOW) -> tuple[Check, list[Finding]]:
    """Check a file; one with findings does not look right at a glance."""
    content = content.encode() if isinstance(content, str) else content
    checked = Check("orders.csv", io.BytesIO(content), now=now)
    findings = list(checked.findings())
    assert not (findings and looks_right(content, now=now))
    return checked, findings


def found(content: str) -> set[tuple[str, int, str]]:
    """Return code, line and severity of everything found."""
    return {(one.code, one.line, one.severity) for one in check(content)[1]}


@pytest.mark.parametrize(
    ("name", "rows"), [("item-level", 2), ("order-level", 1), ("chained", 1), ("mobile", 2)], ids=str
)
def test_the_golden_files_are_right(name: str, rows: int) -> None:
    """Each layout passes, and at a glance too."""
    content = (DATA / f"{name}.csv").read_bytes().replace(b"\n", b"\r\n")
    the_day_after = datetime(2021, 11, 24, tzinfo=UTC)
    checked, findings = check(content, the_day_after)
    assert (findings, checked.rows, checked.orders) == ([], rows, 1)
    assert looks_right(content, now=the_day_after)


@pytest.mark.parametrize("level", ONE_LINE)
def test_a_second_line_of_an_order_is_told(level: str) -> None:
    """Where a line is a whole order, its second one would be refused, or counted twice: next to the first or not."""
    columns = ONE_LINE[level]
    again = [{}, {"Amount": "1.00"}]
    for second in again:
        assert found(file(columns, {}, second)) == {("OID_DUPLICATE", 3, "fault")}
        assert found(file(columns, {}, {"OrderId": "B"}, second)) == {("OID_DUPLICATE", 4, "fault")}
    [finding] = check(file(columns, {}, {}))[1]
    assert "line 2 already" in finding.detail
    many = [{"OrderId": f"A-{number}"} for number in range(600)]
    assert found(file(columns, *many)) == set()
    assert found(file(columns, *many, {"OrderId": "A-3"})) == {("OID_DUPLICATE", 602, "fault")}


WRONG = [
    ({"ActionTrackerId": "sale"}, "ACTIONTRACKERID_INVALID"),
    ({"EventDate": "2026-11-20"}, "INVALID_EVENT_DATE"),
    ({"OrderId": ""}, "OID_MISSING"),
    ({"Amount": "-1"}, "AMOUNT_NEGATIVE_OR_NOT_A_NUMBER"),
    ({"Amount": "1.005"}, "CHECK_AMOUNT_DECIMALS"),
    ({"CurrencyCode": "JPY"}, "CHECK_AMOUNT_DECIMALS"),
    ({"CurrencyCode": "euro"}, "INVALID_CURRENCY_CODE"),
    ({"CustomerId": "a@b.example"}, "CHECK_PERSONAL_DATA"),
    ({"ClickId": "a b"}, "MALFORMED"),
]


@pytest.mark.parametrize("level", ONE_LINE)
@pytest.mark.parametrize(("cells", "code"), WRONG)
def test_values_have_the_same_rules_in_every_layout(level: str, cells: dict[str, str], code: str) -> None:
    """Whatever stands at whichever place."""
    others = [{"OrderId": f"B-{number}"} for number in range(300)]
    assert found(file(ONE_LINE[level], *others, cells, {"OrderId": "C"})) == {(code, 302, "fault")}


def test_a_chained_action_is_nothing_without_its_customer() -> None:
    """CustomerId alone links it to its parent, by which it is credited, so that it needs no click id."""
    assert found(file(CHAINED_COLUMNS, {"CustomerId": ""})) == {("CHECK_CUSTOMER_MISSING", 2, "fault")}
    assert found(file(CHAINED_COLUMNS, {"ClickId": ""})) == set()
    assert found(file(ORDER_COLUMNS, {"ClickId": ""})) == {("ACTION_REF_NOT_FOUND", 2, "warning")}


def test_a_mobile_app_event_is_nothing_without_its_code() -> None:
    """A file with the column EventCode has one on each line."""
    columns = (*MINIMUM_COLUMNS, "EventCode")
    assert found(file(columns, {}, {"OrderId": "B"})) == set()
    assert found(file(columns, {}, {"OrderId": "B", "EventCode": ""})) == {("CHECK_EVENT_CODE_MISSING", 3, "fault")}
    assert found(file(columns, {"EventCode": "x" * 129})) == {("MALFORMED", 2, "fault")}


def test_what_belongs_to_an_item_needs_items() -> None:
    """A column of items in a file without any is told, and so is a layout that is only half there."""
    assert found(file((*ORDER_COLUMNS, "Name"), {})) == {("NO_ITEM", 1, "fault")}
    assert found(file((*ORDER_COLUMNS, "Sku"), {})) == {("CHECK_COLUMN_MISSING", 1, "fault")}


def test_columns_may_be_missing_or_stand_elsewhere_in_every_layout() -> None:
    """What an order-level file of another program looks like is told with the guide's order beside it."""
    assert found(file(ORDER_COLUMNS[:-1], {})) == {("CHECK_COLUMN_MISSING", 1, "fault")}
    assert found(file(CHAINED_COLUMNS[:-1], {})) == {("CHECK_COLUMN_MISSING", 1, "fault")}
    other = (*ORDER_COLUMNS[:2], *reversed(ORDER_COLUMNS[2:4]), *ORDER_COLUMNS[4:])
    assert found(file(other, {})) == {("CHECK_COLUMN_ORDER", 1, "warning")}
    other = (*CHAINED_COLUMNS[:-2], *reversed(CHAINED_COLUMNS[-2:]))
    assert found(file(other, {})) == {("CHECK_COLUMN_ORDER", 1, "warning")}


SNIPPETS = st.sampled_from(['"', ",", ",,", "\r\n", "\n", "0", "-", "A-1", "A-2", "JPY", " ", "@", ""]) | st.text(
    max_size=2
)


@given(
    st.sampled_from(sorted(ONE_LINE)),
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 40), SNIPPETS), min_size=1, max_size=3),
)
def test_a_file_that_looks_right_has_no_findings(level: str, changes: list[tuple[float, int, str]]) -> None:
    """However it was spoilt, the quick way lets nothing through that the thorough check would tell."""
    text = file(ONE_LINE[level], {}, {"OrderId": "A-2"}, {"OrderId": "A-3", "ClickId": "", "Amount": "0.5"})
    for place, cut, put in changes:
        at = int(place * len(text))
        text = text[:at] + put + text[at + cut :]
    check(text.encode(errors="surrogatepass"))

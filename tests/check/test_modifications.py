"""The check of modification files: what impact.com would refuse is found at its line, in every layout."""

import io
from datetime import UTC, datetime
from pathlib import Path

import pytest

from app.check.check import Check
from app.check.findings import Finding
from app.check.glance import looks_right
from app.impact.reasons import STANDARD_REASONS

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
GOLDEN = sorted((Path(__file__).parents[1] / "data" / "modifications").glob("*.csv"))
ORDER = "ActionTrackerID,Oid,Amount,Reason"
ITEM = "ActionTrackerID,Oid,SKU,Amount,Quantity,Category,Reason"
ACTION = "ActionID,SKU,Amount,Quantity,Category,Reason"
INDEXED = "ActionID,Sku1,Amount1,Quantity1,Category1,Reason1,Sku2,Amount2,Quantity2,Category2,Reason2"
MUG = "777,A-1,MUG-1,20.00,1,Mugs,ORDER_UPDATE"
BLANK = ",,CRD-9,0,0,Cards,ITEM_RETURNED"
OTHER = "777,A-2,MUG-1,20.00,1,Mugs,ORDER_UPDATE"


def check(*lines: str, name: str = "corrections.csv") -> tuple[Check, list[Finding]]:
    """Check a file of these lines, and return the counts and what was found."""
    content = "".join(f"{line}\r\n" for line in lines).encode()
    checked = Check(name, io.BytesIO(content), now=NOW)
    findings = list(checked.findings())
    assert not looks_right(content, now=NOW)  # that knows orders alone
    return checked, findings


def found(*lines: str) -> set[tuple[str, int, str | None, str]]:
    """Return code, line, column and severity of everything found."""
    told = [(one.code, one.line, one.column, one.severity) for one in check(*lines)[1]]
    assert len(told) == len(set(told)), "something is said twice"
    return set(told)


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_what_the_service_makes_is_right(path: Path) -> None:
    """Every layout, at both levels, whatever names the orders."""
    checked, findings = check(*path.read_text("utf-8").splitlines())
    assert findings == []
    assert checked.orders == 3
    assert len(GOLDEN) == 8


def test_the_samples_of_impacts_page_are_right() -> None:
    """A line for an order, and lines for its items with its name on the first alone."""
    assert found(ORDER, "777,A-1001,35.50,ORDER_UPDATE", "777,A-1002,0,ITEM_RETURNED") == set()
    checked, findings = check(ITEM, MUG, BLANK)
    assert (findings, checked.rows, checked.orders, checked.faults) == ([], 2, 1, 0)


@pytest.mark.parametrize("reason", STANDARD_REASONS)
def test_every_standard_reason_is_known(reason: str) -> None:
    """No more is said of it."""
    assert found(ORDER, f"777,A-1,1.00,{reason}") == set()


FAULTS: dict[str, tuple[list[str], tuple[str, int, str | None]]] = {
    "no name at all": (["Amount,Reason", "1,OTHER"], ("CHECK_COLUMN_MISSING", 1, "Oid")),
    "no tracker": (["Oid,Amount,Reason", "A-1,1,OTHER"], ("CHECK_COLUMN_MISSING", 1, "ActionTrackerID")),
    "no reasons": (["ActionID,Amount", "1.2.3,1"], ("CHECK_COLUMN_MISSING", 1, "Reason")),
    "no amounts": (["ActionID,Reason", "1.2.3,OTHER"], ("CHECK_COLUMN_MISSING", 1, "Amount")),
    "no SKUs": (["ActionID,Amount,Quantity,Reason", "1.2.3,1,1,OTHER"], ("CHECK_COLUMN_MISSING", 1, "SKU")),
    "a number left out": ([INDEXED.replace("2", "3"), "1.2.3,S,1,,,OTHER,,,,,"], ("CHECK_COLUMN_MISSING", 1, "Sku2")),
    "a number without its amount": (
        ["ActionID,Sku1,Reason1", "1.2.3,S,OTHER"],
        ("CHECK_COLUMN_MISSING", 1, "Amount1"),
    ),
    "numbers and none": (
        ["ActionID,Reason,Sku1,Amount1,Reason1", "1.2.3,OTHER,S,1,OTHER"],
        ("CHECK_COLUMN_UNKNOWN", 1, "Reason"),
    ),
    "a strange column": ([f"{ORDER},Colour", "777,A-1,1.00,OTHER,red"], ("CHECK_COLUMN_UNKNOWN", 1, "Colour")),
    "a status of an item": (
        ["ActionID,SKU,Amount,CustomerStatus,Reason", "1.2.3,S,1,New,OTHER"],
        ("CHECK_COLUMN_UNKNOWN", 1, "CustomerStatus"),
    ),
    "another case": (["actionId,Amount,Reason", "1.2.3,1,OTHER"], ("CHECK_COLUMN_CASE", 1, "actionId")),
    "a column twice": ([f"{ORDER},OrderId", "777,A-1,1,OTHER,A-1"], ("CHECK_COLUMN_TWICE", 1, "OrderId")),
    "a line without a name": ([ORDER, ",,1.00,OTHER"], ("OID_MISSING", 2, "Oid")),
    "a first item without a name": ([ITEM, BLANK], ("OID_MISSING", 2, "Oid")),
    "an indexed line without a name": ([INDEXED, ",S,1,,,OTHER,,,,,"], ("OID_MISSING", 2, "ActionID")),
    "a tracker alone": ([ITEM, MUG, BLANK.replace(",", "777,", 1)], ("OID_MISSING", 3, "Oid")),
    "an order without its tracker": ([ORDER, ",A-1,1.00,OTHER"], ("ACTIONTRACKERID_INVALID", 2, "ActionTrackerID")),
    "no action id": (["ActionID,Amount,Reason", "a b,1,OTHER"], ("MALFORMED", 2, "ActionID")),
    "an order id that is too long": ([ORDER, f"777,{'A' * 65},1.00,OTHER"], ("MALFORMED", 2, "Oid")),
    "an item without a SKU": ([ITEM, MUG.replace("MUG-1", "")], ("NO_ITEM", 2, "SKU")),
    "an indexed line without an item": ([INDEXED, "1.2.3" + "," * 10], ("NO_ITEM", 2, "Sku1")),
    "a difference": ([ORDER, "777,A-1,-1.00,OTHER"], ("AMOUNT_NEGATIVE_OR_NOT_A_NUMBER", 2, "Amount")),
    "a comma for a point": ([ORDER, '777,A-1,"1,00",OTHER'], ("AMOUNT_NEGATIVE_OR_NOT_A_NUMBER", 2, "Amount")),
    "too many decimals": (
        [f"{ORDER},currencyCode", "777,A-1,1.00,OTHER,JPY"],
        ("CHECK_AMOUNT_DECIMALS", 2, "Amount"),
    ),
    "a quantity alone": ([ITEM, MUG.replace("20.00", "")], ("CHECK_QUANTITY_ALONE", 2, "Amount")),
    "a quantity alone, numbered": (
        [INDEXED, "1.2.3,S,1,,,OTHER,T,,2,,OTHER"],
        ("CHECK_QUANTITY_ALONE", 2, "Amount2"),
    ),
    "nothing new": ([ITEM, "777,A-1,MUG-1,,,,OTHER"], ("NO_CHANGE", 2, "Amount")),
    "nothing new of an order": ([ORDER, "777,A-1,,OTHER"], ("NO_CHANGE", 2, "Amount")),
    "half an item": ([ITEM, MUG.replace(",1,", ",0.5,")], ("MALFORMED", 2, "Quantity")),
    "no reason": ([ITEM, MUG.replace("ORDER_UPDATE", "")], ("BAD_DISPOSITION", 2, "Reason")),
    "a reason in small letters": ([ITEM, MUG.replace("ORDER", "order")], ("BAD_DISPOSITION", 2, "Reason")),
    "a reason that cannot be one": ([ORDER, "777,A-1,1.00, back"], ("BAD_DISPOSITION", 2, "Reason")),
    "an order that goes on below": ([ITEM, MUG, OTHER, MUG.replace("MUG", "CUP")], ("OID_DUPLICATE", 4, "Oid")),
    "an order on two lines": ([ORDER, *["777,A-1,1.00,OTHER"] * 2], ("OID_DUPLICATE", 3, "Oid")),
    "an action on two lines": ([INDEXED, *["1.2.3,S,1,,,OTHER,,,,,"] * 2], ("OID_DUPLICATE", 3, "ActionID")),
    "a cell too many": ([ORDER, "777,A-1,1.00,OTHER,"], ("CHECK_CELL_COUNT", 2, None)),
    "no rows": ([ORDER], ("CHECK_NO_ROWS", 1, None)),
    "ten thousand and one": (
        [ITEM, *[f"777,A-{number},S,1,,,OTHER" for number in range(10_001)]],
        ("CHECK_TOO_MANY_ROWS", 10_002, None),
    ),
}


@pytest.mark.parametrize(("lines", "fault"), FAULTS.values(), ids=FAULTS)
def test_a_fault_is_found_at_its_line_and_column(lines: list[str], fault: tuple[str, int, str | None]) -> None:
    """And stops the file."""
    assert (*fault, "fault") in found(*lines)


WARNINGS: dict[str, tuple[list[str], tuple[str, int, str | None]]] = {
    "two names": ([f"ActionID,{ORDER}", "1.2.3,777,A-1,1,OTHER"], ("CHECK_NAMED_TWICE", 1, "ActionID")),
    "another name": ([ORDER.replace("Oid", "OrderId"), "777,A-1,1,OTHER"], ("CHECK_COLUMN_ALIAS", 1, "OrderId")),
    "a SKU twice": ([ITEM, MUG, BLANK.replace("CRD-9", "MUG-1")], ("CHECK_SKU_TWICE", 3, "SKU")),
    "a SKU twice, repeated names": ([ITEM, MUG, MUG], ("CHECK_SKU_TWICE", 3, "SKU")),
    "a SKU twice, numbered": ([INDEXED, "1.2.3,S,1,,,OTHER,S,2,,,OTHER"], ("CHECK_SKU_TWICE", 2, "Sku2")),
    "a long SKU": ([ITEM, MUG.replace("MUG-1", "M" * 41)], ("MALFORMED", 2, "SKU")),
    "a large amount": ([ORDER, "777,A-1,1000000.00,OTHER"], ("CHECK_AMOUNT_TOO_LARGE", 2, "Amount")),
    "a custom reason": ([ORDER, "777,A-1,1.00,Came back"], ("BAD_DISPOSITION", 2, "Reason")),
    "a reason that approves": ([ORDER, "777,A-1,1.00,APPROVED"], ("BAD_DISPOSITION", 2, "Reason")),
    "a blank line": ([ORDER, "", "777,A-1,1.00,OTHER"], ("CHECK_BLANK_LINE", 2, None)),
    "blanks around an order id": ([ORDER, "777, A-1,1.00,OTHER"], ("CHECK_BLANKS", 2, "Oid")),
}


@pytest.mark.parametrize(("lines", "warning"), WARNINGS.values(), ids=WARNINGS)
def test_what_may_be_meant_is_a_warning_alone(lines: list[str], warning: tuple[str, int, str | None]) -> None:
    """The documents do not say that it is refused."""
    assert found(*lines) == {(*warning, "warning")}


RIGHT: dict[str, list[str]] = {
    "a status alone": ["ActionID,CustomerStatus,Reason", "1.2.3,New,OTHER"],
    "an amount alone": [ITEM, "777,A-1,MUG-1,20.00,,,OTHER"],
    "a category alone": [ITEM, "777,A-1,MUG-1,,,Mugs,OTHER"],
    "an order's name on each of its lines": [ITEM, MUG, MUG.replace("MUG", "CUP"), OTHER],
    "an order id of two event types": [ORDER, "777,A-1,1.00,OTHER", "778,A-1,1.00,OTHER"],
    "an item fewer": [INDEXED, "1.2.3,S,1,,,OTHER,,,,,"],
    "an order's currency": [f"{ORDER},currencyCode", "777,A-1,100,OTHER,JPY"],
    "items of one SKU in two orders": [ACTION, "1.2.3,S,1,,,OTHER", "1.2.4,S,1,,,OTHER"],
}


@pytest.mark.parametrize("lines", RIGHT.values(), ids=RIGHT)
def test_what_is_right_is_left_alone(lines: list[str]) -> None:
    """Nothing is found that is not there."""
    assert found(*lines) == set()


def test_a_fault_names_the_order_of_its_line() -> None:
    """Also where its name stands some lines above."""
    [fault] = check(ITEM, OTHER, MUG, BLANK.replace(",0,0,", ",-1,0,"))[1]
    assert (fault.order_id, fault.line, fault.column) == ("A-1", 4, "Amount")


def test_an_order_with_a_reason_column_is_still_an_order() -> None:
    """A file of orders that has a column too many is judged as one."""
    codes = {one.code for one in check("CampaignId,EventDate,OrderId,Reason", "1,2026-11-20T18:00:22+00:00,A,x")[1]}
    assert {"CHECK_COLUMN_UNKNOWN", "ACTION_REF_NOT_FOUND"} <= codes

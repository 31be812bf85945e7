"""What `conversion-capture check` writes."""

import io
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from app.check.check import SHOWN_PER_CODE, report
from app.errors import Failure

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
HEADER = "CampaignId,ActionTrackerId,EventDate,OrderId,ClickId,CustomerId,CurrencyCode,Amount,Category,Sku,Quantity"
ROW = "1000,4321,2026-11-20T18:00:22+00:00,A-{},abcDEF123,,EUR,40.00,Mugs,MUG-1,{}"


def written(folder: Path, *rows: str, as_json: bool = False) -> tuple[bool, str]:
    """Return the verdict and the report of a file with these rows."""
    path = folder / "orders.csv"
    path.write_text("\r\n".join([HEADER, *rows, ""]), encoding="utf-8", newline="")
    out = io.StringIO()
    return report(path, now=NOW, as_json=as_json, out=out), out.getvalue()


def test_a_right_file_gets_one_sentence(tmp_path: Path) -> None:
    """Nothing to do is said in a line."""
    assert written(tmp_path, ROW.format(1, 1)) == (
        False,
        "orders.csv: no faults in 1 row of 1 order; it can be sent.\n",
    )


def test_a_fault_is_told_with_line_column_order_and_advice(tmp_path: Path) -> None:
    """A person can go to the place and correct it."""
    faulty, text = written(tmp_path, ROW.format(1, 1), ROW.format(2, "one"))
    assert faulty
    assert text == (
        "line 3, Quantity, order 'A-2': fault MALFORMED: 'one' is not a quantity; write a whole number of 1 or more.\n"
        "orders.csv: 1 fault in 2 rows of 2 orders; correct the file before you send it.\n"
    )


def test_warnings_alone_let_a_file_pass(tmp_path: Path) -> None:
    """They are counted, and the verdict is good."""
    faulty, text = written(tmp_path, ROW.format(1, 1), "")
    assert not faulty
    assert text.endswith("orders.csv: no faults, 1 warning in 1 row of 1 order; it can be sent.\n")


def test_many_findings_of_a_kind_are_summed_up(tmp_path: Path) -> None:
    """A file that is wrong throughout does not flood the terminal."""
    faulty, text = written(tmp_path, *[ROW.format(number, 0) for number in range(1_025)])
    assert faulty
    lines = text.splitlines()
    assert len(lines) == SHOWN_PER_CODE + 2
    assert lines[-2:] == [
        "and 1,005 more MALFORMED",
        "orders.csv: 1,025 faults in 1,025 rows of 1,025 orders; correct the file before you send it.",
    ]


@pytest.mark.parametrize("wrong", [0, 1, 30])
def test_the_json_report_is_one_document_with_every_finding(tmp_path: Path, wrong: int) -> None:
    """A program gets all of it, with the counts."""
    rows = [ROW.format(number, 0 if number < wrong else 1) for number in range(40)]
    faulty, text = written(tmp_path, *rows, as_json=True)
    document = json.loads(text)
    findings = document.pop("findings")
    assert document == {"file": "orders.csv", "rows": 40, "orders": 40, "faults": wrong, "warnings": 0}
    assert faulty is (wrong > 0)
    assert [finding["line"] for finding in findings] == list(range(2, wrong + 2))
    assert all(set(one) == {"code", "severity", "line", "column", "order_id", "detail"} for one in findings)


def test_a_report_cannot_steer_the_terminal(tmp_path: Path) -> None:
    """Escape sequences in a file are shown, not obeyed."""
    _, text = written(tmp_path, ROW.format("\x1b[2J", "\x1b]0;x\x07"))
    assert not any(character < " " and character != "\n" for character in text)


def test_a_file_that_cannot_be_read_is_a_failure_with_a_sentence(tmp_path: Path) -> None:
    """The command prints it and ends with status 1."""
    for path in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(Failure, match=r"cannot be read: .+\.$"):
            report(path, now=NOW, as_json=False, out=io.StringIO())

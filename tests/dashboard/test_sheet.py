"""A spreadsheet opens a file without running anything of it, and nobody takes it for the file itself."""

import csv
import io

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.dashboard.sheet import BOM, FIRST_LINE, harmless, sheet_name, sheet_of

FORMULAS = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")
CELLS = st.text(st.sampled_from("=+-@\t\r\n;,\" '＝＠aé\u202e0") | st.characters(codec="utf-8"), max_size=12)


def written(rows: list[list[str]]) -> bytes:
    """Return rows as a CSV file."""
    told = io.StringIO(newline="")
    csv.writer(told, lineterminator="\r\n").writerows(rows)
    return told.getvalue().encode()


def read(content: bytes, delimiter: str = ",") -> list[list[str]]:
    """Read a file as a spreadsheet does that separates by `delimiter`."""
    return list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), delimiter=delimiter))


@given(st.lists(st.lists(CELLS, min_size=1, max_size=4), min_size=1, max_size=4), st.sampled_from(",;\t"))
@example([['a;"=1+1"', ";=1", "=cmd|' /C calc'!A0"]], ";")
@example([["", "\n"]], ";")
@example([["", 'a;"']], ";")
def test_no_cell_begins_as_a_formula_however_the_spreadsheet_cuts_it(rows: list[list[str]], delimiter: str) -> None:
    """By commas, and by what spreadsheets of other countries separate cells with."""
    cells = [cell for row in read(sheet_of(written(rows)), delimiter) for cell in row]
    assert [cell for cell in cells if cell.lstrip(' "').startswith(FORMULAS)] == []


@given(st.lists(st.lists(CELLS, min_size=1, max_size=4), min_size=1, max_size=4))
def test_nothing_is_added_but_apostrophes(rows: list[list[str]]) -> None:
    """Every cell is there in its place, and reads as it was once the apostrophes are gone."""
    first, *shown = read(sheet_of(written(rows)))
    assert first == [FIRST_LINE]
    plain = [[cell.replace("'", "") for cell in row] for row in read(BOM.encode() + written(rows))]
    assert [[cell.replace("'", "") for cell in row] for row in shown] == plain


@pytest.mark.parametrize(
    "cell", ["", "A-1", "42.50", "2026-11-20T18:00:22+00:00", "a=b", "Garden, house", "x-y", "a; b"]
)
def test_what_is_no_formula_is_left_as_it_is(cell: str) -> None:
    """Ordinary values are not spoiled."""
    assert harmless(cell) == cell


def test_it_says_that_it_is_not_for_upload() -> None:
    """In its name and in its first line, which begins with the mark by which Excel knows UTF-8."""
    assert sheet_name("2026-11-20_ActionData_default_x.csv") == "NOT-FOR-UPLOAD_2026-11-20_ActionData_default_x.csv"
    assert sheet_of(b"A,B\r\n").startswith('\ufeff"NOT FOR UPLOAD'.encode())

"""A file is shown a hundred lines at a time, each under its own number."""

import pytest

from app.dashboard.lines import PAGE, lines_of


def content(rows: int) -> bytes:
    """Return a file of so many rows."""
    return "".join(
        f"{cell}\r\n" for cell in ["OrderId,Sku", *(f'A-{number},"a, b"' for number in range(rows))]
    ).encode()


@pytest.mark.parametrize("rows", [1, PAGE - 1, PAGE, PAGE + 1, 9_999])
def test_every_line_is_on_one_page_under_its_number(rows: int) -> None:
    """None is left out at the end of a page, and none is there twice; the header is line 1."""
    last = lines_of(content(rows), rows, 1).last
    pages = [lines_of(content(rows), rows, number) for number in range(1, last + 1)]
    shown = [(line.number, line.cells[0]) for page in pages for line in page.lines]
    assert shown == [(number + 2, f"A-{number}") for number in range(rows)]
    assert {len(page.lines) for page in pages[:-1]} <= {PAGE}
    assert {tuple(page.header) for page in pages} == {("OrderId", "Sku")}


@pytest.mark.parametrize(("asked", "shown"), [(-5, 1), (0, 1), (3, 3), (4, 3), (10**9, 3)])
def test_a_page_that_is_not_there_is_the_nearest_one(asked: int, shown: int) -> None:
    """A bookmark of a page is never an error."""
    assert lines_of(content(201), 201, asked).number == shown

"""A reason lands on the order and the line that it is about, whatever impact.com leaves open or leaves out."""

import csv
import io
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from app.submissions.join import COUNTED, NO_LINES, NOT_COUNTED, UNDECIDED, Joined, join
from app.submissions.sent import Sent
from app.submissions.submission import ErrorLine

HEADER = "CampaignId,OrderId,Amount,Sku"


def sent(*orders: tuple[str, list[str]], header: str = HEADER) -> Sent:
    """Return the file of orders with the SKUs of their lines; record 101 is the first order's."""
    out, firsts = io.StringIO(newline=""), {}
    writer = csv.writer(out, lineterminator="\r\n")
    line = 2
    for number, (order_id, skus) in enumerate(orders, 101):
        firsts[line] = number
        for sku in skus:
            writer.writerow(["1000", order_id, "1.00", sku])
            line += 1
    return Sent(f"{header}\r\n{out.getvalue()}".encode(), firsts, {})


FILE = sent(("A", ["x"]), ("B", ["x", "y"]), ("C", ["z"]))


def row(**facts: Any) -> ErrorLine:
    """Return a row of error details."""
    return ErrorLine(("CONTRACT_NOT_FOUND",), **facts)


def test_the_rows_tell_whether_lines_count_the_header() -> None:
    """Only one way of counting puts the order and SKU that a row names onto its line."""
    assert join([row(line=4, order_id="B", sku="y")], FILE) == ([Joined(102, 4)], COUNTED)
    assert join([row(line=3, order_id="B", sku="y")], FILE) == ([Joined(102, 4)], NOT_COUNTED)


def test_one_row_that_tells_decides_for_those_that_do_not() -> None:
    """A row with nothing but a line is joined once another row has shown how lines are counted."""
    rows = [row(line=1), row(line=4, order_id="C")]
    assert join(rows, FILE) == ([Joined(101, 2), Joined(103, 5)], NOT_COUNTED)


def test_the_first_and_the_last_line_tell_by_themselves() -> None:
    """Line 1 is no order if the header is counted, and the last line is none if it is not."""
    assert join([row(line=1)], FILE) == ([Joined(101, 2)], NOT_COUNTED)
    assert join([row(line=5)], FILE) == ([Joined(103, 5)], COUNTED)


def test_what_fits_both_ways_goes_by_the_names() -> None:
    """Order id and SKU name a line by themselves; a line alone between two orders names nobody."""
    same = sent(("A", ["x", "x2"]), ("B", ["y"]))
    assert join([row(line=2, order_id="A")], same) == ([Joined(101, 2)], UNDECIDED)
    assert join([row(line=3)], same) == ([Joined(None, None)], UNDECIDED)
    assert join([row(line=2)], same) == ([Joined(101, 2)], UNDECIDED)


def test_rows_without_lines_go_by_order_id_and_sku() -> None:
    """An unknown SKU is about the order, an unknown order about nobody, a SKU that is there once about its line."""
    rows = [row(order_id="B", sku="y"), row(order_id="B"), row(order_id="B", sku="?"), row(order_id="?"), row(sku="z")]
    joined, told = join([*rows, row(sku="x"), row()], FILE)
    assert joined == [
        *(Joined(102, 4), Joined(102, None), Joined(102, None), Joined(None, None), Joined(103, 5)),
        *(Joined(None, None), Joined(None, None)),
    ]
    assert told == NO_LINES


def test_a_row_that_contradicts_itself_goes_by_its_order_id() -> None:
    """Where a line holds another order than the row names, the name counts: never another order for it."""
    rows = [row(line=2, order_id="A"), row(line=5, order_id="C", sku="z"), row(line=2, order_id="C")]
    assert join(rows, FILE)[0] == [Joined(101, 2), Joined(103, 5), Joined(103, None)]


SKUS = st.lists(st.sampled_from("pqrs"), min_size=1, max_size=3, unique=True)
FILES = st.lists(SKUS, min_size=1, max_size=6).map(lambda all_: [(f"O-{n}", skus) for n, skus in enumerate(all_)])


@given(orders=FILES, counted=st.booleans(), data=st.data())
def test_no_reason_lands_on_another_order(orders: list[tuple[str, list[str]]], counted: bool, data: Any) -> None:
    """Header counted or not, shuffled, fields missing: what names its order lands there, the rest there or nowhere."""
    file = sent(*orders)
    parts = data.draw(st.lists(st.sampled_from(file.parts), min_size=1, max_size=8).flatmap(st.permutations))
    rows = []
    for part in parts:
        has_line, has_order, has_sku = (data.draw(st.booleans()) for _ in range(3))
        rows.append(
            row(
                line=part.line - (0 if counted else 1) if has_line else None,
                order_id=part.order_id if has_order else None,
                sku=part.sku if has_sku else None,
            )
        )
    joined, told = join(rows, file)
    for part, one, place in zip(parts, rows, joined, strict=True):
        owner = file.owner(part.line)
        assert place.owner == owner if one.order_id else place.owner in {owner, None}
        if one.order_id and one.sku:
            assert place.line == part.line
        if place.owner is not None and place.line is not None and told != UNDECIDED:
            assert place.line == part.line


def test_a_file_of_modifications_is_read_in_each_of_its_layouts() -> None:
    """An order named once for several lines, by its action, or with numbered columns is found by all that names it."""
    blank = Sent(b"ActionTrackerID,Oid,SKU,Amount\r\n1,A,x,0\r\n,,y,0\r\n1,B,x,0\r\n", {2: 7, 4: 8}, {})
    assert join([row(order_id="A", sku="y"), row(line=4, order_id="B")], blank)[0] == [Joined(7, 3), Joined(8, 4)]
    action = Sent(b"ActionID,Amount,Reason\r\n1.2.3,0,X\r\n", {2: 7}, {7: "A"})
    assert join([row(order_id="A"), row(order_id="1.2.3")], action)[0] == [Joined(7, None), Joined(7, None)]
    indexed = Sent(b"ActionTrackerID,Oid,Sku1,Amount1,Sku2,Amount2\r\n1,A,x,0,y,0\r\n", {2: 7}, {})
    assert join([row(order_id="A", sku="y")], indexed)[0] == [Joined(7, 2)]

"""A file of modifications says the final values, in the layout of the setting, and can be read back."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.batches.modification import Form, Line, Modification, form_of, read_back, render, room, values
from app.check.check import faults_of
from app.event_type import ModificationLayout
from app.impact.columns import Level
from app.impact.currency import DECIMALS, format_amount
from app.impact.modifications import INDEXED_VALUES
from tests.support import NOW, parse_rfc4180

GOLDEN = Path(__file__).parent.parent / "data" / "modifications"
LAYOUTS: list[ModificationLayout] = ["blank", "repeat", "indexed"]
FORMS = [Form(level, by_action) for level in Level for by_action in (False, True)]
TRACKER = 777

CHANGED = Modification(
    "A-1001",
    "1000.4636.158133",
    "USD",
    (Line(2000, "ORDER_UPDATE", "MUG-1", 1, "Mugs"), Line(0, "ITEM_RETURNED", "CRD-9", 0, "Cards")),
)
YEN = Modification("A-1002", "1000.4636.158134", "JPY", (Line(1500, "OTHER", 'SET, "19"', 2, "Home"),))
DINARS = Modification("A-1003", "1000.4636.158135", "KWD", (Line(5, "CONS_ERROR", "=1+1", 1, ""),))
ITEMS = (CHANGED, YEN, DINARS)
ORDERS = (
    Modification("A-1001", "1000.4636.158133", "USD", (Line(3550, "ORDER_UPDATE"),)),
    Modification("A-1002", "1000.4636.158134", "USD", (Line(0, "ITEM_RETURNED"),)),
    Modification("A, 3", "1000.4636.158135", "JPY", (Line(1500, "OTHER"),)),
)


def of(form: Form) -> tuple[Modification, ...]:
    """Return the orders of the golden files."""
    return ORDERS if form.level is Level.ORDER else ITEMS


def golden(form: Form, layout: ModificationLayout) -> Path:
    """Return where a form's golden file lies; a line of an order is the same in all layouts."""
    level = "order" if form.level is Level.ORDER else f"item-{layout}"
    return GOLDEN / f"{level}-{'action' if form.by_action else 'oid'}.csv"


@pytest.mark.parametrize("form", FORMS, ids=str)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_each_layout_is_what_is_written_down(form: Form, layout: ModificationLayout) -> None:
    """Byte for byte, with the line ends of RFC 4180, and nothing that the check refuses."""
    file = render("x.csv", of(form), form, layout, TRACKER)
    assert file.content == golden(form, layout).read_bytes().replace(b"\n", b"\r\n")
    assert faults_of("x.csv", file.content, now=NOW) == []
    lines = file.content.decode().split("\r\n")
    names = [one.action_id if form.by_action else one.order_id for one in of(form)]
    assert all(str(name).split(",")[0] in lines[line - 1] for name, line in zip(names, file.first_lines, strict=True))


# Reading back -----------------------------------------------------------------------------------------------------

TEXT = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=12)
AMOUNTS = st.integers(0, 10**11 - 1)


def told(form: Form, order: Modification) -> list[tuple[str, ...]]:
    """Return what an order's lines should say, column by column."""
    found: list[tuple[str, ...]] = []
    for line in order.lines:
        amount = format_amount(line.amount, order.currency) if line.amount else "0"
        item = (line.sku, amount, str(line.quantity), line.category, line.reason)
        found.append((amount, line.reason) if form.level is Level.ORDER else item)
    return found


@st.composite
def orders(draw: st.DrawFn, form: Form) -> list[Modification]:
    """Return orders with names of their own, each with lines that name their items once."""
    ids = draw(st.lists(TEXT.filter(str.strip), min_size=1, max_size=6, unique=True))
    made = []
    for number, order_id in enumerate(ids):
        skus = draw(st.lists(TEXT, min_size=1, max_size=5, unique=True)) if form.level is Level.ITEM else [""]
        lines = [
            Line(draw(AMOUNTS), draw(TEXT), sku, draw(st.integers(0, 99)), draw(st.just("") | TEXT)) for sku in skus
        ]
        currency = draw(st.sampled_from(sorted(DECIMALS)))
        made.append(Modification(order_id, f"1.2.{number}", currency, tuple(lines)))
    return made


def parsed(content: bytes, form: Form, layout: ModificationLayout) -> dict[str, list[tuple[str, ...]]]:
    """Return what a file says, read by the names of its columns; shares no code with the renderer."""
    header, *rows = parse_rfc4180(content)
    found: dict[str, list[tuple[str, ...]]] = {}
    name = ""
    for row in rows:
        cells = dict(zip(header, row, strict=True))
        here = cells["ActionID"] if form.by_action else cells["Oid"]
        if not form.by_action and here:
            assert cells["ActionTrackerID"] == str(TRACKER)
        if layout != "blank" or form.level is Level.ORDER:
            assert here, "every line names its order"
        if here and here != name:
            assert here not in found, "the lines of an order are together"
        name = here or name
        found.setdefault(name, []).extend(_lines(cells, form, layout))
    return found


def _lines(cells: dict[str, str], form: Form, layout: ModificationLayout) -> list[tuple[str, ...]]:
    if form.level is Level.ORDER:
        return [(cells["Amount"], cells["Reason"])]
    if layout != "indexed":
        return [tuple(cells[name] for name in ("SKU", "Amount", "Quantity", "Category", "Reason"))]
    numbers = range(1, 1 + sum(name.startswith("Sku") for name in cells))
    lines = [tuple(cells[f"{name}{number}"] for name in INDEXED_VALUES) for number in numbers]
    return [line for line in lines if any(line)]


@given(st.data(), st.sampled_from(FORMS), st.sampled_from(LAYOUTS))
def test_what_was_meant_is_what_is_read(data: st.DataObject, form: Form, layout: ModificationLayout) -> None:
    """Every order has exactly its final lines, in their order, whoever reads the file, by its rules or by ours."""
    meant = data.draw(orders(form))
    file = render("x.csv", meant, form, layout, TRACKER)
    by_name = {str(one.action_id) if form.by_action else one.order_id: told(form, one) for one in meant}
    assert parsed(file.content, form, layout) == by_name
    header, *rows = parse_rfc4180(file.content)
    assert form_of(header) == form
    ours = read_back(rows, form)
    assert {name: list(said.lines) for name, said in ours.items()} == by_name
    assert [said.row + 2 for said in ours.values()] == list(file.first_lines)
    assert file.rows == len(rows)
    assert [list(map(tuple, [values(line, one.currency, form.level) for line in one.lines])) for one in meant] == list(
        by_name.values()
    )


@pytest.mark.parametrize(
    "header",
    ["", "ActionID", "Oid,Amount,Reason", "ActionID,Amount,Reason,Note", "ActionID,Sku1,Amount1", "ActionID,Reason"],
)
def test_what_was_not_made_here_has_no_form(header: str) -> None:
    """A file that was cut or changed is not taken for another."""
    assert form_of(header.split(",")) is None


# How much goes into a file ------------------------------------------------------------------------------------------

ITEM = Form(Level.ITEM, by_action=False)


@pytest.mark.parametrize(
    ("sizes", "layout", "fitting"),
    [
        ([], "blank", 0),
        ([4, 4, 2], "blank", 3),
        ([4, 4, 3], "repeat", 2),
        ([10], "blank", 1),
        ([11], "blank", 0),
        ([1] * 12, "indexed", 10),
        ([1, 1, 5, 1], "indexed", 2),  # three lines of five items would have fifteen
        ([5, 5, 5], "indexed", 2),
        ([10, 1], "indexed", 1),
    ],
    ids=str,
)
def test_a_file_is_no_larger_than_its_rows(sizes: Sequence[int], layout: ModificationLayout, fitting: int) -> None:
    """An indexed file has no more cells than one with a line for each item, however long one of its orders is."""
    assert room(sizes, ITEM, layout, 10) == fitting

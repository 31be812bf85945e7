"""What looks right at a glance is right, and what an export makes looks right."""

import io
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from app.batches.batch import AgeLimit, render
from app.check.check import Check, faults_of
from app.check.glance import looks_right
from app.conversions.order import Item, Order
from app.event_type import EventType
from tests.support import NOW, order

COLUMNS = ("Note", "Name", "OrderTax")
ITEMS = (
    Item("SKU-1, red", 'Racks, 19"', 1, 1250, {"Name": "Œuvre 😀"}),
    Item("SKU-2", "Garden, house & tools", 12, 0),
    Item('SKU "3"', 'He said "hi", twice', 999_999, 10**11),
)


def made(*orders: Order, columns: tuple[str, ...] = COLUMNS) -> bytes:
    """Return the content of the file of these orders."""
    event_type = EventType(campaign_id=1000, action_tracker_id=4321, columns=columns)
    return render("x.csv", orders, event_type, AgeLimit(87, 397), NOW).content


ORDERS = [
    replace(order("A-1"), items=ITEMS, extra={"Note": "gift", "OrderTax": "1.50"}),
    order("Ä-2", items=1),
    order("A 3", items=4, click_id=None, promo_code="SPRING"),
    order("A-4", items=2, currency="EUR", customer_id="C-1"),
]


def test_what_an_export_makes_looks_right() -> None:
    """The quick way is taken for the files of an ordinary shop, commas, quotes, promo codes and umlauts included."""
    for orders in (ORDERS, ORDERS[:2], ORDERS[1:2]):
        assert looks_right(made(*orders), now=NOW)
    assert looks_right(made(order("yen", currency="JPY"), columns=()), now=NOW)
    assert faults_of("x.csv", made(*ORDERS), now=NOW) == []


def test_a_name_that_is_not_read_is_a_fault_whatever_is_in_the_file() -> None:
    """The quick way knows nothing of names."""
    assert [fault.code for fault in faults_of("x.txt", made(*ORDERS), now=NOW)] == ["RECORDS_ZERO"]


SNIPPETS = st.sampled_from(
    [
        '"',
        '""',
        ",",
        ",,",
        "\r",
        "\n",
        "\r\n",
        " ",
        "-",
        "0",
        "00",
        ".",
        "@",
        "x@y.z",
        "A-1",
        "JPY",
        "\x00",
        "\x85",
        "\u2003",
        "é",
    ]
) | st.text(max_size=3)


@given(
    changes=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 6), SNIPPETS), min_size=1, max_size=3),
    short=st.booleans(),
)
def test_a_file_that_looks_right_has_no_findings(changes: list[tuple[float, int, str]], *, short: bool) -> None:
    """However a file was spoilt, the quick way lets nothing through that the thorough check would tell."""
    text = made(*ORDERS[: 2 if short else 4]).decode()
    for place, cut, put in changes:
        at = int(place * len(text))
        text = text[:at] + put + text[at + cut :]
    content = text.encode(errors="surrogatepass")
    if looks_right(content, now=NOW):
        assert list(Check("x.csv", io.BytesIO(content), now=NOW).findings()) == []


@given(st.integers(0, 40), st.integers(0, 40), st.text(st.characters(exclude_categories=["C"]), max_size=70))
def test_lines_that_are_mixed_up_do_not_look_right(one: int, other: int, value: str) -> None:
    """Nor does it when lines stand elsewhere, twice, or with another text in a cell."""
    lines = made(*ORDERS).decode().split("\r\n")[:-1]
    one, other = one % len(lines), other % len(lines)
    cells = lines[one].split(",")
    cells[other % len(cells)] = value
    for changed in ([*lines, lines[one]], [*lines[:one], lines[other], *lines[one:]], [*lines[:one], ",".join(cells)]):
        content = "".join(f"{line}\r\n" for line in changed).encode()
        if looks_right(content, now=NOW):
            assert list(Check("x.csv", io.BytesIO(content), now=NOW).findings()) == []

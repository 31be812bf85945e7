"""What the sandbox makes of files of orders: each rule of impact.com's documents, line by line."""

import pytest

from tests.sandbox.world import CHAINED, ITEM, ORDER, TODAY, World, days_ago, item

TWO_PARTS = (item("A-1", "S1"), item("A-2", "S1"), item("A-1", "S2"))


@pytest.mark.parametrize(
    ("rows", "refused"),
    [
        pytest.param([item(), item(sku="CRD-9", amount="5.50")], [], id="an order of two items"),
        pytest.param(TWO_PARTS, [(4, "OID_DUPLICATE")], id="the lines of an order are apart"),
        pytest.param([item(), item("A-2"), item("A-2", "S2")], [], id="lines together"),
        pytest.param([item(order="")], [(2, "OID_MISSING")], id="no order id"),
        pytest.param([item(sku="")], [(2, "NO_ITEM")], id="no SKU"),
        pytest.param([item(currency="EURO")], [(2, "INVALID_CURRENCY_CODE")], id="no currency"),
        pytest.param([item(currency="eur")], [(2, "INVALID_CURRENCY_CODE")], id="a currency in lower case"),
        pytest.param([item(currency="")], [], id="the account's currency"),
        pytest.param([item(amount="-1.00")], [(2, "AMOUNT_NEGATIVE_OR_NOT_A_NUMBER")], id="a negative amount"),
        pytest.param([item(amount="4e1")], [(2, "AMOUNT_NEGATIVE_OR_NOT_A_NUMBER")], id="an exponent"),
        pytest.param([item(amount='"4,00"')], [(2, "AMOUNT_NEGATIVE_OR_NOT_A_NUMBER")], id="a decimal comma"),
        pytest.param([item(amount="1.001")], [(2, "AMOUNT_NEGATIVE_OR_NOT_A_NUMBER")], id="a tenth of a cent"),
        pytest.param([item(amount="")], [(2, "AMOUNT_NEGATIVE_OR_NOT_A_NUMBER")], id="no amount"),
        pytest.param([item(amount="0")], [], id="something free"),
        pytest.param([item(at="2026-11-26")], [(2, "INVALID_EVENT_DATE")], id="a day alone"),
        pytest.param([item(at="2026-11-26T10:00:00")], [(2, "INVALID_EVENT_DATE")], id="no offset"),
        pytest.param([item(at="2026-02-30T10:00:00Z")], [(2, "INVALID_EVENT_DATE")], id="no day of any year"),
        pytest.param([item(at=days_ago(-2))], [(2, "INVALID_EVENT_DATE")], id="the day after tomorrow"),
        pytest.param([item(at="NOW")], [], id="NOW"),
        pytest.param([item(at=days_ago(88))], [], id="88 days"),
        pytest.param([item(at=days_ago(89))], [(2, "INVALID_EVENT_DATE")], id="89 days"),
        pytest.param([item(click="", customer="")], [(2, "ACTION_REF_NOT_FOUND")], id="nobody to credit"),
        pytest.param([item(click="")], [(2, "ACTION_REF_NOT_FOUND")], id="a customer alone"),
        pytest.param([item(click="a b")], [(2, "MALFORMED")], id="a click id with a blank"),
        pytest.param([item(click="a" * 65)], [(2, "MALFORMED")], id="a click id that was made longer"),
        pytest.param([item(quantity="1.5")], [(2, "MALFORMED")], id="half an item"),
        pytest.param([item() + ",more"], [(2, "MALFORMED")], id="a cell too many"),
        pytest.param(['1000,"open'], [(2, "MALFORMED")], id="a quote that is never closed"),
        pytest.param([item(campaign="9")], [(2, "CAMPAIGN_NOT_FOUND")], id="another program"),
        pytest.param([item(tracker="9")], [(2, "ACTIONTRACKER_NOT_FOUND")], id="another event type"),
        pytest.param([item(tracker="5000")], [(2, "ACTIONTRACKER_CAMPAIGN_MISMATCH")], id="of another program"),
        pytest.param([item(), item(sku="S2", amount="x")], [(3, "AMOUNT_NEGATIVE_OR_NOT_A_NUMBER")], id="one bad item"),
    ],
)  # fmt: skip
def test_what_is_refused(rows: list[str], refused: list[tuple[int, str]]) -> None:
    """Each fault is found on its line, with impact.com's code; the rest is taken."""
    world = World(campaigns="1000,2000", trackers="4321=1000,5000=2000")
    assert world.send(ITEM, *rows) == refused


def test_an_order_is_kept_to_the_cent() -> None:
    """Items with one SKU are one, currencies have their own decimals."""
    world = World()
    assert world.send(ITEM, item(), item(sku="S2", amount="0.05"), item(sku="S2", amount="0.10")) == []
    assert world.send(ITEM, item("J", amount="500", currency="JPY"), item("K", amount="1.234", currency="KWD")) == []
    assert world.actions() == {
        "A-1": ("PENDING", "40.15", [("MUG-1", 2, "40.00"), ("S2", 4, "0.15")]),
        "J": ("PENDING", "500", [("MUG-1", 2, "500")]),
        "K": ("PENDING", "1.234", [("MUG-1", 2, "1.234")]),
    }


def test_an_order_id_is_taken_once_within_the_window() -> None:
    """The same file again changes nothing, and every line of it is CONV_DUPLICATE; after the window it is new."""
    world = World(dedup_days=30)
    rows = [item(), item(sku="S2")]
    assert world.send(ITEM, *rows) == []
    assert world.send(ITEM, *rows) == [(2, "CONV_DUPLICATE"), (3, "CONV_DUPLICATE")]
    assert world.send(ITEM, item(tracker="4400")) == []
    world.now = world.now.replace(year=2027, month=1)
    assert world.send(ITEM, *rows) == []
    assert len(world.state()["actions"]) == 3


@pytest.mark.parametrize(
    ("days", "media", "refused"),
    [(398, "2763", []), (399, "2763", [(2, "INVALID_EVENT_DATE")]), (89, "", [(2, "INVALID_EVENT_DATE")])],
)
def test_an_old_order_is_taken_with_its_media_id_alone(days: int, media: str, refused: list[tuple[int, str]]) -> None:
    """398 days with MediaId, 88 without."""
    assert World().send(f"{ITEM},MediaId", f"{item(at=days_ago(days))},{media}") == refused


def test_who_has_ordered_before_credits_an_event_of_another_type_alone() -> None:
    """A second order of the same event type is organic; a chain that was not set up links by the customer."""
    world = World()
    assert world.send(ITEM, item()) == []
    rows = [
        item("A-2", click=""),
        item("A-3", click="", tracker="4400"),
        item("A-4", click="", tracker="4400", customer="x"),
    ]
    assert world.send(ITEM, *rows) == [(2, "ACTION_REF_NOT_FOUND"), (4, "ACTION_REF_NOT_FOUND")]


@pytest.mark.parametrize(
    ("code", "codes", "refused"),
    [
        ("SAVE10", "", []),
        ("SAVE10", "SAVE10=77", []),
        ("OTHER", "SAVE10=77", [(2, "ACTION_REF_NOT_FOUND")]),
        ("", "", [(2, "ACTION_REF_NOT_FOUND")]),
    ],
)
def test_a_promo_code_credits_whom_it_belongs_to(code: str, codes: str, refused: list[tuple[int, str]]) -> None:
    """Codes that nobody was given credit nobody."""
    world = World(promo_codes=codes)
    assert world.send(f"{ITEM},PromoCode", f"{item(click='')},{code}") == refused
    if not refused and codes:
        assert world.state()["actions"][0]["media_partner_id"] == "77"


def test_a_line_may_be_a_whole_order() -> None:
    """Without item columns; the same order id twice is a duplicate, an amount may be missing."""
    row = f"1000,4321,{TODAY},O-1,click,cust,USD"
    world = World()
    assert world.send(ORDER, f"{row},12.50", f"{row},1.00", row.replace("O-1", "O-2") + ",") == [(3, "CONV_DUPLICATE")]
    assert world.actions() == {
        "O-1": ("PENDING", "12.50", [("", 0, "12.50")]),
        "O-2": ("PENDING", "0.00", [("", 0, "0.00")]),
    }


def test_a_chained_action_needs_its_parent() -> None:
    """The same customer, accepted before: also in an earlier line of the file."""
    parent, child = f"1000,801,c-1,T-1,{TODAY},0.00,EUR,click", f"1000,802,c-1,P-1,{TODAY},29.00,EUR,"
    world = World(chains="802=801")
    assert world.send(CHAINED, child, parent) == [(2, "ACTION_REF_NOT_FOUND")]
    assert world.send(CHAINED, child, child.replace("c-1", "c-2").replace("P-1", "P-2")) == [
        (3, "ACTION_REF_NOT_FOUND")
    ]
    assert world.send(CHAINED, f"{child}own-click".replace("P-1", "P-3").replace("c-1", "c-3")) == [
        (2, "ACTION_REF_NOT_FOUND")
    ]
    assert set(world.actions()) == {"T-1", "P-1"}


def test_an_event_of_an_app_has_a_code() -> None:
    """An empty EventCode is refused, another is kept with the action."""
    world = World()
    assert world.send(f"{ITEM},EventCode", f"{item()},SALE", f"{item('A-2')},") == [(3, "MALFORMED")]
    assert [one.said["EventCode"] for one in world.desk.ledger.actions.values()] == ["SALE"]


@pytest.mark.parametrize(
    ("columns", "values", "amount"),
    [("ItemPrice", "9.99", "19.98"), ("ItemPrice", "0.333", "0.67"), ("ItemSubtotal", "5.00", "5.00")],
)
def test_the_amount_may_be_said_in_other_ways(columns: str, values: str, amount: str) -> None:
    """A unit price or a subtotal stands for Amount; two of them are too many."""
    world = World()
    assert world.send(f"{ITEM},{columns}", f"{item(amount='')},{values}", f"{item('A-2')},{values}") == [
        (3, "MALFORMED")
    ]
    assert world.actions()["A-1"][1] == amount


def test_what_the_documents_leave_open_is_a_setting() -> None:
    """Whether Line counts the header, whether one bad item takes the order with it, which code an old order gets."""
    rows = [item(), item(sku="S2", amount="x")]
    bad = "AMOUNT_NEGATIVE_OR_NOT_A_NUMBER"
    assert World(lines_count_header=False).send(ITEM, *rows) == [(2, bad)]
    whole = World(item_errors="order")
    assert whole.send(ITEM, *rows) == [(2, bad), (3, bad)]
    assert whole.actions() == {}
    assert World(too_old_reason="TOO_OLD").send(ITEM, item(at=days_ago(100))) == [(2, "TOO_OLD")]
    assert World().send(ITEM.lower(), item()) == [(2, "MALFORMED")]
    assert World(header_case="any").send(ITEM.lower(), item()) == []


@pytest.mark.parametrize(
    ("content", "refused"),
    [
        (f"\ufeff{ITEM}\r\n{item()}\r\n".encode(), [(2, "CAMPAIGN_NOT_FOUND")]),
        (f"{ITEM}\r\n{item(category='Tassen ä')}\r\n".encode("latin-1"), [(2, "MALFORMED")]),
        (b"a,b\r\n1,2\r\n3,4\r\n", [(2, "MALFORMED"), (3, "MALFORMED")]),
        (b"", []),
        (f"{ITEM}\r\n".encode(), []),
    ],
)
def test_a_file_that_is_none_is_not_guessed_at(content: bytes, refused: list[tuple[int, str]]) -> None:
    """A BOM, another encoding, unknown columns: no order of it is taken."""
    world = World()
    assert world.send_bytes(content) == refused
    assert world.actions() == {}


def test_names_of_files_matter() -> None:
    """Another extension shows 0 records; receipts and results are ignored; the same name again is another file."""
    world = World()
    assert world.send(ITEM, item(), name="orders.txt") == []
    for name in ("receipt_orders.csv", "result_orders.csv", "orders.csv", "orders.csv"):
        world.send(ITEM, item(), name=name)
    told = world.state()
    assert [(one["name"], one["records"]) for one in told["files"]] == [
        ("orders.txt", 0),
        ("orders.csv", 1),
        ("orders.csv", 1),
    ]
    assert told["ignored_files"] == ["receipt_orders.csv", "result_orders.csv"]

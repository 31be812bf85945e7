"""What the sandbox makes of modifications and reversals: each rule of impact.com's documents, line by line."""

from datetime import timedelta

import pytest

from tests.sandbox.world import CHANGE, ITEM, NOW, ORDER, TODAY, World, item

ORDERED = (item(), item(sku="CRD-9", amount="5.50", quantity="1", category="Cards"))
BY_ORDER = "ActionTrackerID,Oid,Amount,Reason"


def world(**options: object) -> World:
    """Return one with an order of two items."""
    made = World(**options)
    assert made.send(ITEM, *ORDERED) == []
    return made


@pytest.mark.parametrize(
    ("rows", "refused", "left"),
    [
        pytest.param(["4321,A-1,MUG-1,20.00,1,Mugs,ORDER_UPDATE", ",,CRD-9,0,0,Cards,ITEM_RETURNED"], [],
                     ("PENDING", "20.00", [("MUG-1", 1, "20.00"), ("CRD-9", 0, "0.00")]), id="blank"),
        pytest.param(["4321,A-1,MUG-1,20.00,1,Mugs,ORDER_UPDATE", "4321,A-1,CRD-9,0,0,Cards,ITEM_RETURNED"], [],
                     ("PENDING", "20.00", [("MUG-1", 1, "20.00"), ("CRD-9", 0, "0.00")]), id="repeat"),
        pytest.param(["4321,A-1,MUG-1,0,0,,OTHER", ",,CRD-9,0,0,,OTHER"], [],
                     ("REVERSED", "0.00", [("MUG-1", 0, "0.00"), ("CRD-9", 0, "0.00")]), id="every item to nothing"),
        pytest.param(["4321,A-1,MUG-1,40.00,2,Mugs,OTHER"], [(2, "NO_CHANGE")], None, id="nothing new"),
        pytest.param(["4321,A-1,MUG-1,,,Cups,OTHER"], [],
                     ("PENDING", "45.50", [("MUG-1", 2, "40.00"), ("CRD-9", 1, "5.50")]), id="another category"),
        pytest.param(["4321,A-1,MUG-1,,1,,OTHER"], [(2, "MALFORMED")], None, id="a quantity without its amount"),
        pytest.param(["4321,A-1,NEW,1.00,1,,OTHER"], [(2, "MALFORMED")], None, id="an item that was not ordered"),
        pytest.param(["4321,A-1,MUG-1,-1,1,,OTHER"], [(2, "AMOUNT_NEGATIVE_OR_NOT_A_NUMBER")], None, id="negative"),
        pytest.param(["4321,A-1,MUG-1,1,1,,BROKEN"], [(2, "BAD_DISPOSITION")], None, id="an unknown reason"),
        pytest.param(["4321,A-1,MUG-1,1,1,,other"], [(2, "BAD_DISPOSITION")], None, id="a reason in lower case"),
        pytest.param(["4321,A-1,MUG-1,1,1,,REJECTED"], [(2, "BAD_DISPOSITION")], None, id="a reason of the API alone"),
        pytest.param(["4321,A-1,MUG-1,1,1,,APPROVED"], [(2, "BAD_DISPOSITION")], None, id="nothing approves"),
        pytest.param(["4321,B-1,MUG-1,1,1,,OTHER"], [(2, "ACTION_NOT_FOUND")], None, id="an unknown order"),
        pytest.param(["9,A-1,MUG-1,1,1,,OTHER"], [(2, "ACTION_NOT_FOUND")], None, id="another event type"),
        pytest.param([",,MUG-1,1,1,,OTHER"], [(2, "ACTION_NOT_FOUND")], None, id="no name at all"),
        pytest.param(["4321,A-1,MUG-1,1.00,1,,OTHER", ",,CRD-9,5.50,1,,OTHER"], [(3, "NO_CHANGE")],
                     ("PENDING", "6.50", [("MUG-1", 1, "1.00"), ("CRD-9", 1, "5.50")]), id="one of two"),
    ],
)  # fmt: skip
def test_items_are_changed_to_final_values(
    rows: list[str], refused: list[tuple[int, str]], left: tuple[str, str, list[tuple[str, int, str]]] | None
) -> None:
    """Each wish is done or refused on its line, and what is refused changes nothing."""
    made = world()
    before = made.actions()["A-1"]
    assert made.send(CHANGE, *rows) == refused
    assert made.actions()["A-1"] == (left or before)


def test_items_may_stand_in_numbered_columns() -> None:
    """The older layout: a line for each order, a reason for each item or one for all."""
    header = "ActionTrackerID,Oid,Sku1,Amount1,Quantity1,Category1,Reason1,Sku2,Amount2,Quantity2,Category2,Reason2"
    made = world()
    row = "4321,A-1,MUG-1,20.00,1,Mugs,ORDER_UPDATE,CRD-9,5.50,1,Cards,ITEM_RETURNED"
    assert made.send(header, row) == [(2, "NO_CHANGE")]
    assert made.actions()["A-1"][1] == "25.50"


@pytest.mark.parametrize(
    ("amount", "refused", "left"),
    [
        ("35.50", [], ("PENDING", "35.50", [("MUG-1", 2, "31.21"), ("CRD-9", 1, "4.29")])),
        ("0", [], ("REVERSED", "0.00", [("MUG-1", 0, "0.00"), ("CRD-9", 0, "0.00")])),
        ("45.50", [(2, "NO_CHANGE")], ("PENDING", "45.50", [("MUG-1", 2, "40.00"), ("CRD-9", 1, "5.50")])),
    ],
)
def test_a_whole_order_is_changed(
    amount: str, refused: list[tuple[int, str]], left: tuple[str, str, list[tuple[str, int, str]]]
) -> None:
    """To its final amount, which its items share; 0 reverses it."""
    made = world()
    assert made.send(BY_ORDER, f"4321,A-1,{amount},ITEM_RETURNED") == refused
    assert made.actions()["A-1"] == left


def test_an_action_is_named_by_its_id_or_is_the_newest_of_its_order() -> None:
    """An older action of an order id is reached by its own id alone."""
    made = world(dedup_days=1)
    made.now += timedelta(days=2)
    assert made.send(ITEM, item()) == []
    old, new = (one["id"] for one in made.state()["actions"])
    assert made.send(BY_ORDER, "4321,A-1,0,OTHER") == []
    assert made.send("ActionID,Amount,Reason", f"{old},1.00,OTHER") == []
    assert {one["id"]: one["amount"] for one in made.state()["actions"]} == {old: "1.00", new: "0.00"}


def test_what_is_closed_stays_as_it_is() -> None:
    """Reversed, locked and approved actions say which they are."""
    made = world(locks_after_days=30, approving_dispositions="Fine")
    assert made.send(ITEM, item("B"), item("C"), item("D")) == []
    assert made.send(BY_ORDER, "4321,B,0,OTHER", "4321,C,40.00,Fine") == []
    told = made.send(BY_ORDER, "4321,B,1,OTHER", "4321,C,0,OTHER", "4321,D,1,OTHER")
    assert told == [(2, "ALREADY_REVERSED"), (3, "ALREADY_APPROVED")]
    made.now = NOW + timedelta(days=30)
    assert made.send(BY_ORDER, "4321,D,2,OTHER", "4321,A-1,0,OTHER") == [(2, "ALREADY_LOCKED"), (3, "ALREADY_LOCKED")]
    assert {name: one[0] for name, one in made.actions().items()} == {
        "A-1": "APPROVED",
        "B": "REVERSED",
        "C": "APPROVED",
        "D": "APPROVED",
    }


def test_codes_of_one_s_own_are_reasons_too() -> None:
    """In their own case."""
    made = world(dispositions="Broken in transit")
    assert made.send(BY_ORDER, "4321,A-1,1,broken in transit", "4321,A-1,1,Broken in transit") == [
        (2, "BAD_DISPOSITION")
    ]


def test_an_action_is_modified_a_thousand_times_at_most() -> None:
    """The next one is refused; a modification of several items is one."""
    made = world()
    assert made.send(BY_ORDER, *(f"4321,A-1,{number}.00,OTHER" for number in range(1, 999))) == []
    assert made.send(CHANGE, "4321,A-1,MUG-1,10.00,2,,OTHER", ",,CRD-9,20.00,1,,OTHER") == []
    assert made.send(BY_ORDER, "4321,A-1,31.00,OTHER") == []
    assert made.send(BY_ORDER, "4321,A-1,0,OTHER") == [(2, "TOO_MANY_MODIFICATIONS")]
    assert made.actions()["A-1"][:2] == ("PENDING", "31.00")


@pytest.mark.parametrize(
    ("setting", "refused", "state"), [("no", [(2, "NO_CHANGE")], "PENDING"), ("yes", [], "REVERSED")]
)
def test_whether_nothing_can_be_reversed_is_a_setting(setting: str, refused: list[tuple[int, str]], state: str) -> None:
    """An action of amount 0 and a modification to 0."""
    made = World(zero_reversal=setting)
    assert made.send(ORDER, f"1000,4321,{TODAY},F-1,click,cust,USD,0") == []
    assert made.send(BY_ORDER, "4321,F-1,0,OTHER") == refused
    assert made.actions()["F-1"][0] == state


def test_every_change_is_in_the_log() -> None:
    """With what it changed of amount and payout."""
    made = world(payout_percent=10)
    made.send(CHANGE, "4321,A-1,MUG-1,20.00,1,Mugs,ORDER_UPDATE", ",,CRD-9,0,0,Cards,ITEM_RETURNED")
    log = [(one.sku, one.reason, one.quantity, one.delta_amount, one.delta_payout) for one in made.desk.ledger.updates]
    assert log == [("MUG-1", "ORDER_UPDATE", 1, -2000, -200), ("CRD-9", "ITEM_RETURNED", 0, -550, -55)]


def test_another_currency_is_refused() -> None:
    """The one of the action may be said."""
    header = "ActionTrackerID,Oid,Amount,currencyCode,Reason"
    assert world().send(header, "4321,A-1,1,USD,OTHER", "4321,A-1,1,EUR,OTHER") == [(2, "INVALID_CURRENCY_CODE")]


def test_lines_without_a_name_after_a_broken_one_are_nobody_s() -> None:
    """They are not taken for those of the order before."""
    made = world()
    assert made.send(ITEM, item("B")) == []
    rows = ["4321,B,MUG-1,1.00,1,,OTHER", "4321,A-1,MUG-1,1.00,1,,OTHER,more", ",,MUG-1,2.00,1,,OTHER"]
    assert made.send(CHANGE, *rows) == [(3, "MALFORMED"), (4, "ACTION_NOT_FOUND")]
    assert {name: one[1] for name, one in made.actions().items()} == {"A-1": "45.50", "B": "1.00"}

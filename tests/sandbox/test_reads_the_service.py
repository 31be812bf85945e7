"""The sandbox reads what the service writes: each layout of either kind of file, by the service's own columns."""

import pytest

from app.batches.modification import Form, Line, Modification, render
from app.event_type import ModificationLayout
from app.impact.columns import FILE_COLUMNS, Level
from tests.sandbox.world import ITEM, TODAY, World, item

VALUES = {
    "CampaignId": "1000",
    "ActionTrackerId": "4321",
    "EventDate": TODAY,
    "OrderId": "A-1",
    "ClickId": "abcDEF",
    "CustomerId": "cust-00042",
    "CurrencyCode": "EUR",
    "Amount": "40.00",
    "Category": "Mugs",
    "Sku": "MUG-1",
    "Quantity": "2",
}


@pytest.mark.parametrize("level", FILE_COLUMNS)
def test_orders_of_each_layout(level: str) -> None:
    """Every one is taken, with its amount."""
    columns = FILE_COLUMNS[level]
    world = World()
    assert world.send(",".join(columns), ",".join(VALUES[name] for name in columns)) == []
    assert world.actions()["A-1"][:2] == ("PENDING", "40.00")


@pytest.mark.parametrize("by_action", [False, True])
@pytest.mark.parametrize("layout", ["blank", "repeat", "indexed"])
def test_corrections_of_each_layout(layout: ModificationLayout, by_action: bool) -> None:
    """Two orders in one file, of which one loses an item."""
    world = World()
    assert world.send(ITEM, item(), item(sku="CRD-9", amount="5.50"), item("A-2")) == []
    ids = {one["order_id"]: one["id"] for one in world.state()["actions"]}
    lines = (Line(2000, "ORDER_UPDATE", "MUG-1", 1, "Mugs"), Line(0, "ITEM_RETURNED", "CRD-9", 0, "Cards"))
    orders = [
        Modification("A-1", ids["A-1"], "EUR", lines),
        Modification("A-2", ids["A-2"], "EUR", (Line(100, "OTHER", "MUG-1", 2, "Mugs"),)),
    ]
    file = render("m.csv", orders, Form(Level.ITEM, by_action), layout, 4321)
    assert world.send_bytes(file.content) == []
    assert {name: one[1] for name, one in world.actions().items()} == {"A-1": "20.00", "A-2": "1.00"}


def test_whole_orders() -> None:
    """A plain 0 reverses."""
    world = World()
    assert world.send(ITEM, item(), item("A-2")) == []
    orders = [Modification(name, None, "EUR", (Line(amount, "OTHER"),)) for name, amount in (("A-1", 0), ("A-2", 5))]
    file = render("m.csv", orders, Form(Level.ORDER, False), "blank", 4321)
    assert world.send_bytes(file.content) == []
    assert {name: one[:2] for name, one in world.actions().items()} == {
        "A-1": ("REVERSED", "0.00"),
        "A-2": ("PENDING", "0.05"),
    }

"""A call says what a file says, by the API's names."""

from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl

import orjson
import pytest

from app.batches.batch import AgeLimit
from app.batches.modification import Line, Modification
from app.conversions.order import Item
from app.delivery.fields import Request, conversion, correction
from app.event_type import EventType
from app.impact.api_fields import item_name
from app.impact.columns import Level
from tests.support import NOW, order

LIMIT = AgeLimit(87, 397)
IDS = {"campaign_id": 1000, "action_tracker_id": 4321}
ORDER = {"CampaignId": "1000", "ActionTrackerId": "4321", "EventDate": "2026-11-22T11:00:00+00:00", "OrderId": "A-1001"}
ITEMS = {
    "ItemSku1": "MUG-1",
    "ItemCategory1": "Mugs",
    "ItemQuantity1": "3",
    "ItemSubTotal1": "10.00",
    "ItemSku2": "CRD-9",
    "ItemCategory2": "Cards",
    "ItemQuantity2": "1",
    "ItemSubTotal2": "0.05",
}
SAMPLE = (
    "CampaignId=1000&EventTypeId=4000&EventDate=2024-08-01T23:55:24-08:00&OrderId=1234567890123&ClickId=SKhRQaSXw"
    "&CustomerId=BCZ2WVSH674563PDPYOTM3AXDQ&OrderPromoCode=10OFF-FORGE&CustomerStatus=NEW&CustomerPostCode=93107"
    "&CurrencyCode=USD&OrderDiscount=5&IpAddress=12.345.678.90&ItemSku1=12345&ItemName1=Anvil&ItemCategory1=Anvils"
    "&ItemQuantity1=2&ItemPrice1=10&ItemSku2=55555&ItemName2=Hammer&ItemCategory2=Hammers&ItemQuantity2=1&ItemPrice2=6.99"
)
"""The Payload of impact.com's own example of a submission."""


def said(level: str = "item", columns: tuple[str, ...] = (), event_type: Any = None, **changes: Any) -> dict[str, str]:
    """Return what a call says of an order."""
    items = (Item("MUG-1", "Mugs", 3, 1000), Item("CRD-9", "Cards", 1, 5))
    one = EventType.model_validate(IDS | {"level": level, "columns": columns} | (event_type or {}))
    sold = replace(
        order(**{name: value for name, value in changes.items() if name != "items"}), items=changes.get("items", items)
    )
    return conversion(sold, one, LIMIT, NOW).fields


def test_an_order_is_told_with_its_items() -> None:
    """Lines by their totals, which stay exact where no price would: three mugs for 10.00."""
    assert said() == ORDER | {"ClickId": "click-1", "CurrencyCode": "USD"} | ITEMS
    assert conversion(order(), EventType(**IDS), LIMIT, NOW).uri == "Conversions"  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("level", "changes", "expected"),
    [
        ("order", {}, {"OrderSubTotalPostDiscount": "10.05"}),
        ("chained", {"customer_id": "C-1"}, {"CustomerId": "C-1", "OrderSubTotalPostDiscount": "10.05"}),
        ("order", {"extra": {"OrderSubTotalPostDiscount": "9.00"}}, {"OrderSubTotalPostDiscount": "10.05"}),
        ("mobile", {"extra": {"EventCode": "SALE"}}, ITEMS | {"EventCode": "SALE", "PropertyId": "4321"}),
        ("mobile", {"extra": {"EventCode": "S", "PropertyId": "7"}}, ITEMS | {"EventCode": "S", "PropertyId": "7"}),
    ],
)
def test_every_level_has_its_fields(level: str, changes: dict[str, Any], expected: dict[str, str]) -> None:
    """Where an order is one line, its amount is one field, and there are no items."""
    assert said(level, **changes) == ORDER | {"ClickId": "click-1", "CurrencyCode": "USD"} | expected


@pytest.mark.parametrize(
    ("changes", "columns", "credit"),
    [
        ({"promo_code": "SAVE10"}, (), {"ClickId": "click-1"}),
        ({"promo_code": "SAVE10"}, ("PromoCode",), {"ClickId": "click-1", "OrderPromoCode": "SAVE10"}),
        ({"promo_code": "SAVE10", "click_id": None}, (), {"OrderPromoCode": "SAVE10"}),
        ({"media_id": "55", "click_id": None}, (), {"MediaId": "55"}),
        ({"media_id": "55"}, (), {"ClickId": "click-1"}),
        ({"media_id": "55"}, ("MediaPartnerId",), {"ClickId": "click-1", "MediaId": "55"}),
        ({"media_id": "55", "age": timedelta(days=100)}, (), {"ClickId": "click-1", "MediaId": "55"}),
    ],
)
def test_an_order_is_credited_as_by_a_file(
    changes: dict[str, Any], columns: tuple[str, ...], credit: dict[str, str]
) -> None:
    """Whether an order goes by a call or by the file that takes the rest decides nobody's commission."""
    told = said(columns=columns, **changes)
    assert {name: told[name] for name in ("ClickId", "OrderPromoCode", "MediaId") if name in told} == credit


def test_what_an_order_carries_besides_is_told() -> None:
    """Its customer status, and its parameters and its items' under the API's names; nothing is said twice or empty."""
    items = (Item("A", "", 1, 700, {"Name": "Anvil", "ItemBrand": "Acme", "ItemText_3": "x"}), Item("B", "C", 2, 0))
    told = said(items=items, currency="JPY", customer_status="NEW", extra={"Note": "ü", "Text3": "y"})
    assert told == ORDER | {
        "ClickId": "click-1",
        "CurrencyCode": "JPY",
        "CustomerStatus": "NEW",
        "Note": "ü",
        "Text3": "y",
        "ItemSku1": "A",
        "ItemQuantity1": "1",
        "ItemSubTotal1": "700",
        "ItemName1": "Anvil",
        "ItemBrand1": "Acme",
        "ItemText1_3": "x",
        "ItemSku2": "B",
        "ItemCategory2": "C",
        "ItemQuantity2": "2",
        "ItemSubTotal2": "0",
    }


def test_the_names_are_those_of_impact_com_s_example() -> None:
    """All that its sample conversion says can be said, but the price, which stands instead of the total."""
    extra = {"CustomerPostCode": "93107", "OrderDiscount": "5", "IpAddress": "12.34.56.78"}
    items = tuple(Item(sku, "Anvils", 1, 699, {"Name": "Anvil"}) for sku in ("12345", "55555"))
    sent: dict[str, Any] = {
        "customer_id": "C",
        "promo_code": "10OFF",
        "customer_status": "NEW",
        "extra": extra,
        "items": items,
    }
    ours = {*said(columns=("PromoCode",), **sent)}
    theirs = {
        name.replace("ItemPrice", "ItemSubTotal").replace("EventTypeId", "ActionTrackerId")
        for name, _ in parse_qsl(SAMPLE)
    }
    assert ours == theirs


@pytest.mark.parametrize(
    ("name", "api"),
    [
        ("Name", "ItemName2"),
        ("ItemSubCategory", "ItemSubCategory2"),
        ("ItemMoney_1", "ItemMoney2_1"),
        ("Sku", "ItemSku2"),
    ],
)
def test_items_are_numbered_as_the_api_has_it(name: str, api: str) -> None:
    """The number stands behind the name, before the number of a field of one's own."""
    assert item_name(name, 2) == api


def corrected(lines: tuple[Line, ...], level: Level, reason: str = "ORDER_UPDATE", **changes: Any) -> Request:
    """Return the call that corrects an order."""
    reverses = changes.pop("reverses", False)
    what = {"order_id": "A-1001", "action_id": None, "currency": "USD", "lines": lines} | changes
    event_type = EventType(**IDS)  # type: ignore[arg-type]
    return correction(Modification(**what), level, reason, event_type, reverses=reverses)


BY_ORDER = {"ActionTrackerId": "4321", "OrderId": "A-1001"}
REASON = {"Reason": "ORDER_UPDATE", "DispositionCode": "ORDER_UPDATE"}


def test_a_correction_says_what_is_left_of_each_item() -> None:
    """Absolute values, the first item without a number, the reason under both names; nothing relative."""
    lines = (Line(2000, "ORDER_UPDATE", "MUG-1", 1, "Mugs"), Line(0, "ITEM_RETURNED", "CRD-9", 0, ""))
    items = {"Sku": "MUG-1", "Amount": "20.00", "Quantity": "1", "Category": "Mugs"}
    items |= {"Sku2": "CRD-9", "Amount2": "0", "Quantity2": "0"}
    assert corrected(lines, Level.ITEM) == Request("PUT", "Actions", BY_ORDER | REASON | items)


def test_an_action_is_named_by_its_id_where_that_is_known() -> None:
    """An order id may name several actions; at the level of orders the amount is all there is to say."""
    one = corrected((Line(3550, "ORDER_UPDATE"),), Level.ORDER, action_id="1000.4636.158133")
    assert one.fields == {"ActionId": "1000.4636.158133", "Amount": "35.50"} | REASON


@pytest.mark.parametrize(
    ("reason", "code"),
    [("ITEM_RETURNED", "ITEM_RETURNED"), ("Broken", "Broken"), ("ORDER_UPDATE", "REJECTED")],
)
def test_a_whole_order_is_reversed_by_a_delete(reason: str, code: str) -> None:
    """Also one of nothing. Where DELETE has no such reason, it gets the default one."""
    one = corrected((Line(0, reason),), Level.ORDER, reason, reverses=True)
    assert one == Request("DELETE", "Actions", BY_ORDER | {"DispositionCode": code})


def test_fields_are_text() -> None:
    """So that a form and a JSON body say the same."""
    assert orjson.loads(orjson.dumps(said())) == said()

"""Whatever is sent to a sandbox, it goes on, and its sums are right."""

from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from app.sandbox.modifications import DELETE, PUT
from app.sandbox.money import spread, times
from tests.sandbox.world import CHANGE, ITEM, TODAY, World, item

CELLS = st.sampled_from(
    [
        "",
        "0",
        "1",
        "-1",
        "40.00",
        "9" * 5000,
        "1e5",
        "\u0661",
        "4321",
        "1000",
        "A-1",
        "MUG-1",
        "OTHER",
        TODAY,
        "EUR",
        '"',
        "x,y",
    ]
)
NUMBERED = "ActionID,Sku1,Amount1,Quantity1,Reason1,Sku2,Amount2,Quantity2,Reason2"


@given(
    st.sampled_from([ITEM, CHANGE, NUMBERED, "ActionTrackerID,Oid,Amount,Quantity,Reason"]),
    st.lists(st.lists(CELLS, max_size=12), max_size=6),
)
@settings(max_examples=150)
def test_no_file_stops_it(header: str, rows: list[list[str]]) -> None:
    """Each line is accepted or refused, and the next file is worked on as ever."""
    world = World()
    world.send(header, *map(",".join, rows))
    assert world.send(ITEM, item("A-after")) == []
    assert {file["status"] for file in world.state()["files"]} == {"Complete"}


@given(st.binary(max_size=200))
def test_no_bytes_stop_it(content: bytes) -> None:
    """Also what is no text."""
    world = World()
    world.send_bytes(f"{ITEM}\r\n".encode() + content)
    assert world.send(ITEM, item("A-after")) == []


NAMES = st.sampled_from(
    [
        *("CampaignId", "ActionTrackerId", "EventDate", "OrderId", "ClickId", "CurrencyCode", "Amount", "ItemSku1"),
        *(
            "ItemQuantity1",
            "ItemPrice1",
            "ItemSubTotal9999",
            "Sku",
            "Sku2",
            "Quantity",
            "Amount2",
            "Reason",
            "ActionId",
        ),
        *("ItemSubTotalDelta", "DispositionCode", "CustomerStatus", "MediaId"),
    ]
)


@given(
    st.sampled_from([("Conversion", "POST"), ("Modification", PUT), ("Reversal", DELETE)]),
    st.dictionaries(NAMES, CELLS),
)
def test_no_call_stops_it(kind: tuple[str, str], fields: dict[str, str]) -> None:
    """Each ends complete, with reasons or without."""
    world = World()
    assert world.send(ITEM, item()) == []
    assert world.desk.queue(*kind, fields, "").is_done


@given(st.integers(0, 10**12), st.lists(st.integers(0, 10**9), min_size=1, max_size=9).filter(any))
def test_shares_add_up(total: int, weights: list[int]) -> None:
    """To the last unit, and none is negative."""
    parts = spread(total, weights)
    assert sum(parts) == total
    assert min(parts) >= 0


@given(st.decimals(0, 10**6, places=3), st.integers(0, 999))
def test_a_unit_price_is_rounded_once(price: Decimal, quantity: int) -> None:
    """The line is rounded, half a cent up, not each unit."""
    units = times(str(price), quantity, "EUR")
    assert units is not None
    assert -Decimal("0.5") < price * quantity * 100 - units < Decimal("0.5") or (
        price * quantity * 100 - units
    ) == Decimal("-0.5")

"""A sandbox's desk with a clock that stands still, and files as a merchant would write them."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from app.sandbox.desk import Desk
from app.sandbox.options import Options
from app.sandbox.state import state

NOW = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)
ITEM = "CampaignId,ActionTrackerId,EventDate,OrderId,ClickId,CustomerId,CurrencyCode,Amount,Category,Sku,Quantity"
ORDER = "CampaignId,ActionTrackerId,EventDate,OrderId,ClickId,CustomerId,CurrencyCode,Amount"
CHAINED = "CampaignId,ActionTrackerId,CustomerId,OrderId,EventDate,Amount,CurrencyCode,ClickId"
CHANGE = "ActionTrackerID,Oid,SKU,Amount,Quantity,Category,Reason"


def days_ago(days: int) -> str:
    """Return a time as it stands in a file."""
    return (NOW - timedelta(days=days)).isoformat()


TODAY = days_ago(0)


class World:
    """A desk, and what became of the files that it got."""

    def __init__(self, **options: Any) -> None:
        self.now = NOW
        self.desk = Desk(Options(**options), lambda: self.now)

    def send(self, header: str, *rows: str, name: str = "orders.csv") -> list[tuple[int, str]]:
        """Leave a file, and return line and reason of each refusal."""
        return self.send_bytes("\r\n".join([header, *rows, ""]).encode(), name)

    def send_bytes(self, content: bytes, name: str = "orders.csv") -> list[tuple[int, str]]:
        """Leave a file as it is."""
        self.desk.receive(name, content, "test")
        return refusals(self.state()["files"][-1:])

    def state(self) -> dict[str, Any]:
        """Return what the sandbox knows."""
        return state(self.desk)

    def actions(self) -> dict[str, tuple[str, str, list[tuple[str, int, str]]]]:
        """Return state, amount and items of each action, by its order."""
        return {
            one["order_id"]: (
                one["state"],
                one["amount"],
                [(item["sku"], item["quantity"], item["amount"]) for item in one["items"]],
            )
            for one in self.state()["actions"]
        }


def refusals(files: Iterable[dict[str, Any]]) -> list[tuple[int, str]]:
    """Return line and reason of each refusal."""
    return [(one["Line"], one["Reason"]) for file in files for one in file["errors"]]


def item(order: str = "A-1", sku: str = "MUG-1", amount: str = "40.00", **changes: str) -> str:
    """Return a line of an item-level file."""
    values = {
        "campaign": "1000",
        "tracker": "4321",
        "at": TODAY,
        "order": order,
        "click": "abcDEF",
        "customer": "cust-00042",
        "currency": "EUR",
        "amount": amount,
        "category": "Mugs",
        "sku": sku,
        "quantity": "2",
    }
    return ",".join((values | changes).values())

"""Small things that tests say often."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from app import worker
from app.conversions.order import Item, Order
from app.service import Service

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
ORDER_KEY, EXPORT_KEY, READ_KEY = "order-key-of-a-test", "export-key-of-a-test", "read-key-of-a-test"
PUBLIC = {
    "/livez",
    "/readyz",
    "/readyz/orders",
    "/metrics",
    "/capture",
    "/handoff",
    "/capture.js",
    "/capture-{name}.js",
}
"""The paths that are answered without a key."""


def bearer(key: str) -> dict[str, str]:
    """Return the header that shows a key."""
    return {"Authorization": f"Bearer {key}"}


def body(order_id: str = "A-1001", **changes: Any) -> dict[str, Any]:
    """Return an order as a checkout sends it, two items of 56.00 USD in all; a value of `...` leaves a field out."""
    order = {
        "order_id": order_id,
        "event_date": (datetime.now(UTC) - timedelta(hours=1)).isoformat(timespec="seconds"),
        "currency": "USD",
        "click_id": "QiiWXOVnrQ3SQHl24jQjyxBGUkmzfJ3i1VHrWM0",
        "customer_id": "BCZ2WVSH674563PDPYOTM3AXDQ",
        "items": [
            {"sku": "A-198237465", "category": "Blacksmithing", "quantity": 1, "amount": "42.50"},
            {"sku": "A-91827645", "category": "Sporting Goods", "quantity": 1, "amount": "13.50"},
        ],
    }
    return {name: value for name, value in (order | changes).items() if value is not ...}


def order(order_id: str = "A-1001", *, items: int = 2, age: timedelta = timedelta(hours=1), **changes: Any) -> Order:
    """Return a valid order with `items` lines of 10.00 USD, `age` old at NOW."""
    facts: dict[str, Any] = {
        "event_type": "default",
        "event_date": NOW - age,
        "currency": "USD",
        "items": tuple(Item(f"SKU-{number}", "Tools", 1, 1000) for number in range(items)),
        "click_id": "click-1",
    }
    return Order(order_id=order_id, **(facts | changes))


def work(service: Service) -> None:
    """Let the worker do what there is to do."""
    while worker.work(service):
        pass


def parse_rfc4180(content: bytes) -> Iterator[list[str]]:
    """Yield the records of a CSV file by RFC 4180, strictly; shares no code with the writer."""
    row: list[str] = []
    text, cell, quoted, closed, position = content.decode("utf-8"), "", False, False, 0
    while position < len(text):
        character = text[position]
        if quoted:
            if character == '"' and text[position + 1 : position + 2] == '"':
                cell, position = cell + '"', position + 1
            elif character == '"':
                quoted, closed = False, True
            else:
                cell += character
        elif character == ",":
            row, cell, closed = [*row, cell], "", False
        elif text[position : position + 2] == "\r\n":
            yield [*row, cell]
            row, cell, closed, position = [], "", False, position + 1
        elif character == '"' and not cell and not closed:
            quoted = True
        elif closed or character in '"\r\n':
            raise ValueError(f"not RFC 4180 at character {position}")
        else:
            cell += character
        position += 1
    if quoted or row or cell:
        raise ValueError("the last record does not end")

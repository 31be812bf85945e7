"""The two calls that load is made of, byte for byte as they go out; `{id}` stands for what differs from call to call.

Every server that is compared gets the same bytes.
"""

import json
from datetime import datetime
from typing import Final

ID: Final = b"{id}"
ID_WIDTH: Final = 15
"""Every id has as many characters, so that a body is as long as its Content-Length says."""

BROWSER: Final = {
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Accept": "*/*",
    "Accept-Language": "de-DE,de;q=0.8,en-US;q=0.5,en;q=0.3",
    "Accept-Encoding": "gzip, deflate, br, zstd",
    "Referer": "https://www.shop.example/boots/winter",
    "Connection": "keep-alive",
    "Sec-Fetch-Dest": "empty",
    "Sec-Fetch-Mode": "cors",
    "Sec-Fetch-Site": "same-origin",
}
ITEMS: Final = (("A-198237465", "Blacksmithing", "42.50"), ("A-91827645", "Sporting Goods", "13.50"))


def landing(host: str) -> bytes:
    """Return the call that a page's script makes when a visitor lands; its click id is as long as impact.com's."""
    return _call("GET", "/capture?im_ref=QiiWXOVnrQ3SQHl24jQjyxBG{id}", {"Host": host, **BROWSER})


def order(host: str, key: str, now: datetime) -> bytes:
    """Return the call that a checkout makes: an order of three items."""
    items = [{"sku": sku, "category": category, "quantity": 1, "amount": amount} for sku, category, amount in ITEMS]
    items.append({"sku": "A-{id}", "category": "Garden, house & tools", "quantity": 2, "amount": "25.98"})
    body = {
        "order_id": "A-{id}",
        "event_date": now.isoformat(timespec="seconds"),
        "currency": "USD",
        "click_id": "QiiWXOVnrQ3SQHl24jQjyxBG{id}",
        "customer_id": "BCZ2WVSH674{id}",
        "items": items,
    }
    headers = {
        "Host": host,
        "User-Agent": "python-requests/2.32.3",
        "Accept": "*/*",
        "Accept-Encoding": "gzip, deflate",
        "Connection": "keep-alive",
        "Authorization": f"Bearer {key}",
        "Content-Type": "application/json",
    }
    return _call("POST", "/orders", headers, json.dumps(body).encode())


def _call(method: str, target: str, headers: dict[str, str], body: bytes = b"") -> bytes:
    if body:
        length = len(body.replace(ID, b"0" * ID_WIDTH))
        headers = {**headers, "Content-Length": str(length)}
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    return "\r\n".join(lines).encode("ascii") + body

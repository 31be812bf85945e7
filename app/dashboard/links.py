"""The addresses of pages. What finds a person, a click id or a customer id, is in none of them."""

from typing import Final
from urllib.parse import quote, urlencode

HOME: Final = "/dashboard"
_STEPS: Final = frozenset({".", ".."})
"""Order ids that a browser would take for steps up the path, encoded or not."""


def order_path(event_type: str, order_id: str, done: str | None = None) -> str:
    """Return the address of an order's page; `done` names what it says was done just now."""
    kind = f"{HOME}/orders/{quote(event_type, safe='')}"
    if order_id in _STEPS:
        return with_query(kind, order_id=order_id, done=done)
    return with_query(f"{kind}/{quote(order_id, safe='')}", done=done)


def batch_path(batch_id: str) -> str:
    """Return the address of a batch's page."""
    return f"{HOME}/batches/{quote(batch_id, safe='')}"


def batch_of(file_name: str) -> str:
    """Return the id of the batch that a file is named after."""
    return file_name.removesuffix(".csv").rpartition("_")[2]


def with_query(path: str, **query: object) -> str:
    """Return an address with those parts of a query that say something."""
    said = {name.rstrip("_"): str(value) for name, value in query.items() if value not in {None, ""}}
    return f"{path}?{urlencode(said)}" if said else path


LINKS: Final = {one.__name__: one for one in (order_path, batch_path, batch_of, with_query)}
"""By the names that templates know them by."""

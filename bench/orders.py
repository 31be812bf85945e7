"""Orders per second: the real service in its own process, several connections, each answer awaited."""

import http.client
import json
import multiprocessing
import threading
import time
from datetime import UTC, datetime
from multiprocessing.pool import Pool

from app.security import new_key
from bench.service import serving


def rounds(url: str, posts: int, connections: int, count: int) -> list[float]:
    """Return the orders per second of each round."""
    key, stored = new_key()
    with serving(url, CAPTURE_ORDER_KEYS=stored) as port, multiprocessing.get_context("spawn").Pool(1) as pool:
        return [_round(pool, port, key, number, posts, connections) for number in range(count)]


def _round(pool: Pool, port: int, key: str, number: int, posts: int, connections: int) -> float:
    seconds: float = pool.apply(_load, (port, key, number, posts, connections))
    return round(posts / seconds, 1)


def _load(port: int, key: str, number: int, posts: int, connections: int) -> float:
    """Post `posts` orders over `connections` connections and return the seconds it took. Raises if one is refused."""
    share, failures = posts // connections, []

    def post(worker: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        for order in range(share):
            connection.request("POST", "/orders", _body(f"{number}-{worker}-{order}"), headers)
            response = connection.getresponse()
            response.read()
            if response.status != 201:
                failures.append(response.status)

    threads = [threading.Thread(target=post, args=(worker,)) for worker in range(connections)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise RuntimeError(f"{len(failures)} orders were refused, for example with {failures[0]}")
    return time.perf_counter() - began


def _body(order_id: str) -> bytes:
    items = [{"sku": f"SKU-{item}", "category": "Tools", "quantity": 1, "amount": "12.50"} for item in range(3)]
    order = {
        "order_id": order_id,
        "event_date": datetime.now(UTC).isoformat(timespec="seconds"),
        "currency": "USD",
        "click_id": "QiiWXOVnrQ3SQHl24jQjyxBGUkmzfJ3i1VHrWM0",
        "customer_id": "BCZ2WVSH674563PDPYOTM3AXDQ",
        "items": items,
    }
    return json.dumps(order).encode()

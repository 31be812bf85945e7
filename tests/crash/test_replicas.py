"""Several replicas on one database: each may do anything, and together they do it once."""

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import cycle
from pathlib import Path

import httpx
import pytest

from tests.crash import shop as shops
from tests.crash.replicas import at_once, client, export_all, new_shop, replicas, shop_on_postgres
from tests.crash.shop import Shop
from tests.crash.test_serve import FIRST
from tests.servers import free_port, wait_until
from tests.support import EXPORT_KEY, ORDER_KEY, bearer

REPLICAS = {"postgres": 3, "sqlite": 2}
TRIGGERS, ORDERS = 100, 150


@pytest.fixture(params=REPLICAS)
def ports(request: pytest.FixtureRequest) -> list[int]:
    """Where the replicas listen: three of them on PostgreSQL, two on SQLite."""
    return [free_port() for _ in range(REPLICAS[request.param])]


@pytest.fixture
def shop(request: pytest.FixtureRequest, ports: list[int], tmp_path: Path) -> Iterator[Shop]:
    """A shop that has sold nothing yet, on the database that so many replicas share."""
    if len(ports) == REPLICAS["sqlite"]:
        yield new_shop(f"sqlite:///{tmp_path / 'shop.db'}", tmp_path, max_rows=10)
        return
    with shop_on_postgres(request.getfixturevalue("postgres"), tmp_path) as shop:
        yield shop


def trigger(port: int) -> httpx.Response:
    """Ask for an export, on a connection of its own."""
    with client(port) as connection:
        return connection.post("/exports", headers=bearer(EXPORT_KEY))


def test_a_hundred_triggers_at_once_send_every_order_once(shop: Shop, ports: list[int]) -> None:
    """They name one export, or a few in a row; every order is in one file, and every file was sent by one attempt."""
    orders = [shops.order(number, datetime.now(UTC)) for number in range(FIRST, FIRST + ORDERS)]
    with replicas(shop, ports, lease_seconds=15), client(ports[0]) as connection:
        for body in orders:
            assert connection.post("/orders", json=body, headers=bearer(ORDER_KEY)).status_code == 201
        shop.acknowledgements.add(orders)
        places = [port for port, _ in zip(cycle(ports), range(TRIGGERS), strict=False)]
        answers = at_once([lambda port=port: trigger(port) for port in places])  # type: ignore[misc]
        assert {answer.status_code for answer in answers} == {202}
        exports = sorted({int(answer.json()["id"]) for answer in answers})
        assert exports == list(range(1, len(exports) + 1)), "an export is no one's"
        assert len(exports) < TRIGGERS / 5
        wait_until(lambda: shop.facts().open_work == 0, "an export does not end")
        assert shop.faults(at_rest=True) == []
        assert set(shop.facts().attempts.values()) == {1}
        before = shop.facts().files
        export_all(connection)
    assert shop.facts().files == before

"""Replicas are restarted one by one, and the database dies again and again, while checkouts post orders."""

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.crash import shop as shops
from tests.crash.replicas import Balancer, Checkouts, client, export_all, is_ready, new_shop, replicas, shop_on_postgres
from tests.crash.shop import SECONDS, Shop
from tests.crash.test_serve import FIRST
from tests.servers import Postgres, free_port, wait_until
from tests.support import ORDER_KEY, bearer

SOAK = bool(os.environ.get("SOAK"))
RESTARTS = 10 if SOAK else 4
KILLS = 5 if SOAK else 3
BETWEEN = 100
"""Orders that are acknowledged between two disturbances."""


@pytest.fixture
def mortal() -> Iterator[Postgres]:
    """A PostgreSQL server that the test stops."""
    with Postgres() as server:
        yield server


def go_on(checkouts: Checkouts) -> None:
    """Return when more orders are acknowledged, or one has failed."""
    enough = len(checkouts.acknowledged) + BETWEEN
    wait_until(lambda: bool(checkouts.failed) or len(checkouts.acknowledged) >= enough, "no orders are taken")


@pytest.mark.long
def test_no_order_fails_while_replicas_are_restarted(postgres: Postgres, tmp_path: Path) -> None:
    """Eight checkouts post without end; every order is acknowledged at its first try, and goes into one file."""
    ports = [free_port(), free_port()]
    with shop_on_postgres(postgres, tmp_path) as shop:
        with ExitStack() as stack:
            stays = {port: stack.enter_context(ExitStack()) for port in ports}
            running = {port: stays[port].enter_context(replicas(shop, [port], lease_seconds=15))[0] for port in ports}
            with Balancer(ports) as balancer, Checkouts(balancer, shop.acknowledgements) as checkouts:
                for port in (ports * RESTARTS)[:RESTARTS]:
                    go_on(checkouts)
                    running[port].send_signal(signal.SIGTERM)
                    assert running[port].wait(SECONDS) == 0
                    go_on(checkouts)
                    stays[port].close()
                    running[port] = stays[port].enter_context(replicas(shop, [port], lease_seconds=15))[0]
                    wait_until(lambda: port in balancer.ready, "a replica that is back gets no orders")  # noqa: B023
                go_on(checkouts)
            assert checkouts.failed == []
            with client(ports[0]) as connection:
                export_all(connection)
            wait_until(lambda: shop.facts().open_work == 0, "an export does not end")
        assert shop.faults(at_rest=True, filled=False) == []


def test_a_replica_that_is_told_to_stop_serves_until_balancers_have_seen_it(tmp_path: Path) -> None:
    """It is unready at once, takes orders meanwhile, asks callers to go elsewhere, and does not wait if told again."""
    shop, port = new_shop(f"sqlite:///{tmp_path / 'shop.db'}", tmp_path), free_port()
    with replicas(shop, [port], drain_seconds=60) as [process], client(port) as connection:
        process.send_signal(signal.SIGTERM)
        wait_until(lambda: not is_ready(port), "it stays ready")
        answer = connection.post("/orders", json=shops.order(FIRST, datetime.now(UTC)), headers=bearer(ORDER_KEY))
        assert (answer.status_code, answer.headers["Connection"]) == (201, "close")
        process.send_signal(signal.SIGTERM)
        assert process.wait(SECONDS / 2) == 0


@pytest.mark.long
def test_what_was_acknowledged_survives_a_database_that_dies_again_and_again(mortal: Postgres, tmp_path: Path) -> None:
    """PostgreSQL is killed under load and comes back; shops repeat what was not acknowledged; each order goes once."""
    ports = [free_port(), free_port()]
    with shop_on_postgres(mortal, tmp_path) as shop:
        with replicas(shop, ports, lease_seconds=15), Balancer(ports) as balancer, client(ports[0]) as connection:
            with Checkouts(balancer, shop.acknowledgements, patient=True) as checkouts:
                for _ in range(KILLS):
                    go_on(checkouts)
                    mortal.kill()
                    mortal.start()
                go_on(checkouts)
            assert checkouts.failed == []
            export_all(connection)
            wait_until(lambda: shop.facts().open_work == 0, "an export does not end")
        assert shop.faults(at_rest=True, filled=False) == []
        assert_at_most_one_repeat_for_each_kill(shop)


def assert_at_most_one_repeat_for_each_kill(shop: Shop) -> None:
    """A file is sent again only because a kill made its outcome unknown."""
    attempts = shop.facts().attempts
    assert sum(attempts.values()) - len(attempts) <= KILLS * 2

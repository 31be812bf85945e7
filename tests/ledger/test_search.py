"""Orders are found by what people have in hand, and by what they have in common, on both databases."""

import random
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.batches.store import request_export
from app.conversions import terms
from app.conversions.order import Item, Order
from app.conversions.record import record
from app.conversions.terms import file_some
from app.database import Database
from app.ledger import search_store
from app.ledger.orders import OrderDetail, list_orders
from app.ledger.orders import find_order as show_order
from app.ledger.search import PAGE, Wanted, search
from app.ledger.state import OrderState
from app.service import Service
from tests.conftest import Clock
from tests.ledger.story import live
from tests.support import NOW, order, work
from tests.verdicts import judge

ELSEWHERE = "creators"


def found(service: Service, **wanted: Any) -> list[str]:
    """Return the ids of all orders that a search finds, step by step."""
    ids: list[str] = []
    after: int | None = None
    while True:
        with service.database.snapshot() as session:
            page = search(session, service.settings, Wanted(**wanted), after)
        assert len(page.items) <= PAGE
        ids += [one.order_id for one in page.items]
        if page.next is None:
            return ids
        assert after is None or int(page.next) < after
        after = int(page.next)


def keep(database: Database, orders: Iterable[Order], days_ago: int = 0) -> None:
    """Record orders."""
    record(database, list(orders), NOW - timedelta(days=days_ago))


def test_an_order_is_found_by_each_of_its_terms_to_the_letter(service: Service) -> None:
    """Order id of any event type, click id, customer id and SKU lead to it; what only resembles them does not."""
    mine = (Item("Sku-1", "Tools", 1, 100), Item("SKU-ä", "Tools", 1, 100))
    keep(service.database, [order("A-1", click_id="Click-1", customer_id="C-1", items=1)])
    keep(service.database, [order("A-1", event_type=ELSEWHERE, click_id="other")])
    keep(service.database, [Order("default", "a-1", NOW, "USD", mine, click_id="click-1", customer_id="A-1")])
    assert found(service, text="A-1") == ["a-1", "A-1", "A-1"]
    assert found(service, text="A-1", event_type=ELSEWHERE) == ["A-1"]
    assert found(service, text="Click-1") == found(service, text="C-1") == ["A-1"]
    assert found(service, text="click-1") == found(service, text="SKU-ä") == found(service, text="Sku-1") == ["a-1"]
    for text in ("A-", "a-1 ", "sku-1", "SKU-a", "%", "_-1", "", "\0", "\ud800", "x" * 5_000):
        assert found(service, text=text) == [], text


@pytest.fixture
def life(service: Service) -> Service:
    """A service with orders in many states: some sent and judged, some left out, some waiting."""
    keep(service.database, [order(f"sent-{number}") for number in range(3)], days_ago=2)
    keep(service.database, [order("old", age=timedelta(days=100)), order("held-1", click_id=None)], days_ago=2)
    service_export(service)
    judge(service.database, {"sent-0": ["NO_ITEM"], "sent-1": {"SKU-0": ["WRONG_CATEGORY"]}})
    keep(service.database, [order("gone")], days_ago=1)
    service_export(service)
    keep(service.database, [order("waits"), order("held-2", click_id=None)])
    return service


def service_export(service: Service) -> None:
    """Export and deliver what waits."""
    with service.database.transaction() as session:
        request_export(session, NOW)
    work(service)


EXPECTED: dict[OrderState, list[str]] = {
    OrderState.PENDING: ["waits"],
    OrderState.HELD: ["held-2", "held-1"],
    OrderState.EXPIRED: ["old"],
    OrderState.CANCELLED: [],
    OrderState.BATCHED: [],
    OrderState.DELIVERED: ["gone"],
    OrderState.UNKNOWN: [],
    OrderState.ACCEPTED: ["sent-2"],
    OrderState.PARTLY_ACCEPTED: ["sent-1"],
    OrderState.REJECTED: ["sent-0"],
}


def test_orders_are_found_by_state_reason_and_day(life: Service) -> None:
    """Each filter gives what it says, the newest first, and filters combine."""
    assert {state: found(life, state=state) for state in OrderState} == EXPECTED
    assert sorted(found(life)) == sorted(one for some in EXPECTED.values() for one in some)
    assert found(life, reason="NO_ITEM") == ["sent-0"]
    assert found(life, reason="WRONG_CATEGORY") == ["sent-1"]
    assert found(life, reason="no_attribution") == ["held-2", "held-1"]
    assert found(life, reason="no_attribution", state=OrderState.EXPIRED) == []
    days = {one: NOW.date() - timedelta(days=one) for one in range(4)}
    assert found(life, first=days[0]) == ["held-2", "waits"]
    assert found(life, first=days[1], last=days[1]) == ["gone"]
    assert found(life, last=days[3]) == found(life, first=date.max) == []
    assert found(life, reason="no_attribution", last=days[1]) == ["held-1"]
    assert found(life, text="SKU-0", state=OrderState.PENDING) == ["waits"]
    assert found(life, event_type=ELSEWHERE) == []


def test_a_step_is_bounded_and_says_how_to_go_on(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where few orders fit, a page may be empty, and the next one goes on behind it; none is lost or shown twice."""
    keep(service.database, [order(f"N-{number}", click_id=f"c-{number % 40}", items=1) for number in range(120)])
    everything = [f"N-{number}" for number in reversed(range(120))]
    assert found(service) == found(service, text="SKU-0") == everything
    monkeypatch.setattr(search_store, "LOOK", 7)
    assert found(service) == found(service, text="SKU-0") == found(service, state=OrderState.PENDING) == everything
    assert found(service, text="c-3") == ["N-83", "N-43", "N-3"]


@pytest.fixture
def clock() -> Clock:
    """The service's clock shows the real time, as its callers' clocks do."""
    return Clock(datetime.now(UTC))


def test_every_search_finds_what_looking_at_every_order_would(
    service: Service, client: TestClient, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By each text, state and reason, whatever became of orders, and however far they are filed by their terms."""
    file_some(service.database, clock.now)  # what was recorded before it begins is another matter
    live(service, client, clock, random.Random(5))
    monkeypatch.setattr(search_store, "LOOK", 9)
    monkeypatch.setattr(terms, "CHUNK", 10)
    everything = shown(service)
    assert len({one.state for one in everything}) >= 7
    for few in (2, 20):
        monkeypatch.setattr(search_store, "FEW", few)
        for state in OrderState:
            assert found(service, state=state) == [one.order_id for one in everything if one.state is state], state
        for reason in ("NO_ITEM", "GONE", "no_attribution", "nothing"):
            assert found(service, reason=reason) == [one.order_id for one in everything if reason in said_of(one)], (
                reason
            )
    for _ in range(3):
        for text in ("K-1", "C-3", "S-2", "N-7", "A-91827645", "late-7", "nobody"):
            assert found(service, text=text) == [one.order_id for one in everything if text in texts_of(one)], text
            for state in (OrderState.REJECTED, OrderState.PENDING):
                both = [one.order_id for one in everything if text in texts_of(one) and one.state is state]
                assert found(service, text=text, state=state) == both, (text, state)
        for _ in range(4):
            file_some(service.database, clock.now + timedelta(hours=1))


def shown(service: Service) -> list[OrderDetail]:
    """Return every order as it is shown, the newest first."""
    with service.database.snapshot() as session:
        page = list_orders(session, service.settings, None, 0)
        assert page.next is None
        return [show_order(session, service.settings, one.event_type, one.order_id) for one in page.items[::-1]]


def said_of(one: OrderDetail) -> set[str | None]:
    """Return the reasons of an order."""
    return {one.reason, *(each.code for each in one.reasons)}


def texts_of(one: OrderDetail) -> set[str | None]:
    """Return what an order is found by."""
    return {one.order_id, one.click_id, one.customer_id, *(item.sku for item in one.items)}

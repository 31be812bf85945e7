"""Orders that a rule gives to another event type are recorded once, whatever becomes of the rules."""

import json
import threading
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select

from app.conversions import moved_store
from app.conversions.moved_store import MOVED
from app.conversions.order import Order
from app.conversions.order_body import Rules, read_order
from app.conversions.record import Outcome, Result, record
from app.conversions.store import REVISION, UNSENT
from app.database import Database
from app.promo_code import PromoRule, PromoRules
from tests.support import NOW, body

NONE = PromoRules()
CREATORS = PromoRules(rules=(PromoRule(pattern="BEN*", media_id="2", event_type="creators"),))
OTHERS = PromoRules(rules=(PromoRule(code="BEN", media_id="3", event_type="signup"),))


def sent(rules: PromoRules, order_id: str = "A", **changes: Any) -> Order:
    """Return an order with a promo code as it is read under these rules."""
    date = (NOW - timedelta(hours=1)).isoformat()
    text = json.dumps(body(order_id, **{"event_date": date, "click_id": ..., "promo_code": "BEN"} | changes))
    known = dict.fromkeys(("default", "creators", "signup"))
    return read_order(text.encode(), Rules(currencies=known, max_items=10, promo_codes=rules), NOW)


def post(database: Database, *orders: Order) -> list[tuple[str, str]]:
    """Record orders and return what became of each, and under which event type."""
    return [(one.outcome, one.order.event_type) for one in record(database, orders, NOW)]


def revisions(database: Database) -> int:
    """Return how many revisions there are, each of which waits."""
    with database.snapshot() as session:
        count = session.connection().execute(select(func.count()).select_from(REVISION)).scalar_one()
        assert session.connection().execute(select(func.count()).select_from(UNSENT)).scalar_one() == count
    return int(count)


def test_an_order_goes_under_the_event_type_of_its_rule(database: Database) -> None:
    """With the partner of the rule; those without a rule, with a click or with an event type of their own do not."""
    stay = [sent(CREATORS, "B", promo_code="X"), sent(CREATORS, "C", click_id="c")]
    stay.append(sent(CREATORS, "D", event_type="signup"))
    assert post(database, sent(CREATORS), *stay) == [
        (Outcome.NEW, "creators"),
        (Outcome.NEW, "default"),
        (Outcome.NEW, "default"),
        (Outcome.NEW, "signup"),
    ]
    assert sent(CREATORS).media_id == "2"


@pytest.mark.parametrize("first", [NONE, CREATORS, OTHERS], ids=["none", "creators", "others"])
@pytest.mark.parametrize("then", [NONE, CREATORS, OTHERS], ids=["none", "creators", "others"])
def test_the_same_again_is_a_replay_whatever_the_rules_are_now(
    database: Database, first: PromoRules, then: PromoRules
) -> None:
    """A retry after the rules were changed makes no second order; nor does one with other content."""
    [(_, event_type)] = post(database, sent(first))
    for _ in range(2):
        assert post(database, sent(then)) == [(Outcome.REPLAYED, event_type)]
    assert post(database, sent(then, customer_id="other")) == [(Outcome.CONFLICT, event_type)]
    assert post(database, sent(then, click_id="late")) == [(Outcome.CONFLICT, event_type)]
    assert post(database, sent(then, promo_code="X")) == [(Outcome.CONFLICT, event_type)]
    assert revisions(database) == 1


def test_repeats_in_one_group_are_one_order(database: Database) -> None:
    """In the order in which they were given, among others."""
    group = [sent(CREATORS), sent(NONE, "B"), sent(CREATORS), sent(NONE), sent(CREATORS, customer_id="other")]
    assert post(database, *group) == [
        (Outcome.NEW, "creators"),
        (Outcome.NEW, "default"),
        (Outcome.REPLAYED, "creators"),
        (Outcome.REPLAYED, "creators"),
        (Outcome.CONFLICT, "creators"),
    ]
    assert revisions(database) == 2


def test_an_order_id_that_is_taken_there_stays_where_it_was_sent(database: Database) -> None:
    """Two event types may hold the same order id: neither order is refused, and neither takes the other's place."""
    named = sent(NONE, event_type="creators", customer_id="other")
    assert post(database, named) == [(Outcome.NEW, "creators")]
    assert post(database, sent(CREATORS)) == [(Outcome.NEW, "default")]
    assert post(database, sent(CREATORS), named) == [(Outcome.REPLAYED, "default"), (Outcome.REPLAYED, "creators")]


def test_a_crash_in_between_loses_nothing(database: Database) -> None:
    """The order id was taken and the process died: the same again is recorded, under the rules as they were."""
    with database.transaction() as session:
        moved_store.move(session, [sent(CREATORS)], NOW)
    assert post(database, sent(NONE)) == [(Outcome.NEW, "creators")]
    assert post(database, sent(OTHERS)) == [(Outcome.REPLAYED, "creators")]


def test_replicas_with_different_rules_record_it_once(database: Database) -> None:
    """While replicas are restarted one by one, an impatient checkout's retries reach old rules and new ones."""
    for number in range(5):
        orders = [sent(rules, f"A-{number}") for rules in (NONE, CREATORS, OTHERS) * 3]
        results: list[Result] = []
        start = threading.Barrier(len(orders))

        def send(order: Order, start: threading.Barrier = start, results: list[Result] = results) -> None:
            start.wait()
            results += record(database, [order], NOW)

        threads = [threading.Thread(target=send, args=(order,)) for order in orders]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert Counter(one.outcome for one in results) == {Outcome.NEW: 1, Outcome.REPLAYED: len(orders) - 1}
        assert len({one.conversion_id for one in results}) == 1
        assert revisions(database) == number + 1


def test_without_rules_nothing_is_noted(database: Database) -> None:
    """The small table is for moved orders alone."""
    post(database, sent(NONE), sent(CREATORS, "B", promo_code="X"))
    with database.snapshot() as session:
        assert session.connection().execute(select(MOVED)).all() == []

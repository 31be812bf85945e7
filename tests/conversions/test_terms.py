"""Orders are filed by what they can be found by, whole and once, whoever files them and whenever they come to light."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest
from sqlalchemy import func, insert, select, update

from app.conversions import terms
from app.conversions.order import Item, Order
from app.conversions.record import record
from app.conversions.store import CONVERSION, ITEM, REVISION, newest_of
from app.conversions.terms import SETTLED, file_some, find_by_term, forget_terms
from app.conversions.terms_store import ORDER_TERM, Term, filed, number_of
from app.database import Database
from tests.support import NOW, order

LATER = NOW + 2 * SETTLED


def file_all(database: Database, now: datetime = NOW) -> int:
    """File until nothing is left to do, and say in how many steps."""
    steps = 0
    while file_some(database, now):
        steps += 1
    return steps


def filed_as(database: Database, kind: Term, text: str) -> list[int]:
    """Return the revisions that are filed under a term."""
    with database.snapshot() as session:
        mine = select(ORDER_TERM.c.revision_id).where(ORDER_TERM.c.term == number_of(kind, text))
        return list(session.connection().execute(mine.order_by(ORDER_TERM.c.revision_id)).scalars())


def found(database: Database, kind: Term, text: str) -> set[str]:
    """Return the ids of the orders that have a term."""
    with database.snapshot() as session:
        return {newest_of(session, one).order.order_id for one in find_by_term(session, kind, text)}


def keep(database: Database, orders: Iterable[Order], now: datetime = NOW) -> None:
    """Record orders."""
    record(database, list(orders), now)


@pytest.fixture(autouse=True)
def _small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let there be many transactions of filing."""
    monkeypatch.setattr(terms, "CHUNK", 4)
    monkeypatch.setattr(terms, "WINDOW", 3)


def test_each_term_is_filed_once_and_leads_to_its_orders(database: Database) -> None:
    """Click id, customer id and every SKU are filed; a text of two kinds stays two; filing again adds nothing."""
    file_all(database)
    keep(database, [order(f"A-{number}", click_id="C", customer_id="SKU-0") for number in range(10)])
    assert found(database, Term.CLICK, "C") == {f"A-{number}" for number in range(10)}  # before it is filed, too
    assert file_all(database) >= 3
    assert len(filed_as(database, Term.CLICK, "C")) == len(filed_as(database, Term.SKU, "SKU-1")) == 10
    with database.snapshot() as session:
        assert session.connection().execute(select(func.count()).select_from(ORDER_TERM)).scalar_one() == 10 * 4
    assert file_all(database, LATER) == (0 if database.is_sqlite else 3)
    assert len(filed_as(database, Term.CUSTOMER, "SKU-0")) == 10
    assert (
        found(database, Term.SKU, "SKU-1")
        == found(database, Term.CUSTOMER, "SKU-0")
        == found(database, Term.CLICK, "C")
    )
    assert found(database, Term.CUSTOMER, "C") == found(database, Term.SKU, "") == set()


def test_an_old_history_is_filed_from_the_newest_on_and_found_meanwhile(database: Database) -> None:
    """What was recorded before there were terms holds up nothing new; whoever must find all of it does at any time."""
    for number in range(12):
        keep(database, [order(f"old-{number}", click_id="C")], NOW - timedelta(days=12 - number))
    keep(database, [order("new", click_id="C")])
    everything = {"new", *(f"old-{number}" for number in range(12))}
    lengths = []
    while True:
        assert found(database, Term.CLICK, "C") == everything
        lengths.append(len(filed_as(database, Term.CLICK, "C")))
        if not file_some(database, NOW):
            break
    assert lengths[:4] == [0, 0, 1, 5]
    assert filed_as(database, Term.CLICK, "C") == sorted(filed_as(database, Term.CLICK, "C"))
    assert lengths[-1] == 13
    with database.snapshot() as session:
        assert filed(session).begins == 0


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_an_order_that_was_committed_late_is_found_and_filed(database: Database) -> None:
    """On a server, an id may come to light after a higher one was filed: it is found at once, and filed in the end."""
    file_all(database)
    keep(database, [order("first")])
    with database.transaction() as session:
        session.connection().exec_driver_sql("SELECT nextval(pg_get_serial_sequence('revision', 'id'))")
    keep(database, [order("third")])
    file_all(database)
    [first, third] = filed_as(database, Term.CLICK, "click-1")
    with database.transaction() as session:
        connection = session.connection()
        key = {"event_type": "default", "order_id": "late", "recorded_at": NOW}
        conversion = connection.execute(insert(CONVERSION).returning(CONVERSION.c.id), [key]).scalar_one()
        like = dict(connection.execute(select(REVISION).where(REVISION.c.id == first)).one()._mapping)
        late = {"id": first + 1, "conversion_id": conversion, "click_id": "late"}
        connection.execute(insert(REVISION), [like | late])
        item = {"revision_id": first + 1, "position": 0, "sku": "S", "category": "", "quantity": 1, "amount": 1}
        connection.execute(insert(ITEM), [item])
    assert first + 2 == third
    assert found(database, Term.CLICK, "late") == {"late"}
    file_all(database)
    assert filed_as(database, Term.CLICK, "late") == []
    file_all(database, LATER)
    assert filed_as(database, Term.CLICK, "late") == [first + 1]


def test_orders_of_many_items_go_by_themselves(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """A transaction of filing is short however long orders are, and every one of their SKUs is filed."""
    monkeypatch.setattr(terms, "MOST_TERMS", 10)
    for kind in ("old", "new"):
        items = [3, 25, 3, 3, 25]
        days = timedelta(days=kind == "old")
        keep(database, [order(f"{kind}-{place}", items=number) for place, number in enumerate(items)], NOW - days)
    assert file_all(database) >= 8
    assert len(filed_as(database, Term.SKU, "SKU-2")) == 10
    assert len(filed_as(database, Term.SKU, "SKU-24")) == 4


def test_what_is_forgotten_is_filed_no_more(database: Database) -> None:
    """A person's ids are gone from the terms, and other orders and the SKUs of theirs are found as before."""
    file_all(database)
    keep(database, [order("theirs", click_id="C", customer_id="P"), order("other", click_id="D", customer_id="O")])
    file_all(database)
    [mine] = filed_as(database, Term.CUSTOMER, "P")
    with database.transaction() as session:
        forget_terms(session, [mine])
        gone = update(REVISION).where(REVISION.c.id == mine).values(click_id=None, customer_id=None)
        session.connection().execute(gone)
    file_all(database, LATER)
    assert filed_as(database, Term.CUSTOMER, "P") == filed_as(database, Term.CLICK, "C") == []
    assert found(database, Term.CUSTOMER, "P") == found(database, Term.CLICK, "C") == set()
    assert found(database, Term.CUSTOMER, "O") == {"other"}
    assert found(database, Term.SKU, "SKU-0") == {"theirs", "other"}


def test_two_texts_with_one_number_are_told_apart(database: Database) -> None:
    """What is found under a number is compared with the text itself."""
    file_all(database)
    keep(database, [order("A", click_id="C")])
    file_all(database)
    with database.transaction() as session:
        other = update(ORDER_TERM).where(ORDER_TERM.c.term == number_of(Term.CLICK, "C"))
        session.connection().execute(other.values(term=number_of(Term.CLICK, "D")))
    assert found(database, Term.CLICK, "D") == set()


def test_any_number_of_workers_may_file(database: Database) -> None:
    """Workers that file at once do not hinder one another, and miss nothing."""
    keep(database, [order(f"old-{number}", click_id="C") for number in range(20)], NOW - timedelta(days=1))
    keep(
        database,
        [Order("default", f"new-{number}", NOW, "USD", (Item("S", "", 1, 1),), click_id="C") for number in range(20)],
    )
    with ThreadPoolExecutor(3) as workers:
        assert sum(workers.map(lambda _: file_all(database), range(3))) >= 11
    assert len(filed_as(database, Term.CLICK, "C")) == 40

"""What orders can be found by: each click id, customer id and SKU of a revision, as a number that tells none of them.

A row under a number that looks random dirties a page of its own, so that a checkout would wait for the disk. Terms are
therefore filed by a worker, a little after their order.
"""

import hashlib
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, Final, NamedTuple

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Integer,
    Row,
    Select,
    bindparam,
    delete,
    func,
    select,
    update,
)
from sqlmodel import Field, Session, SQLModel

from app.conversions.store import ITEM, REVISION
from app.database import insert_new


class Term(StrEnum):
    """The kinds of terms."""

    CLICK = "click"
    CUSTOMER = "customer"
    SKU = "sku"


class OrderTerm(SQLModel, table=True):
    """A term of a revision. Two terms may share a number, so what is found is compared with what was asked for."""

    __tablename__ = "order_term"

    term: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    revision_id: int = Field(
        sa_column=Column(BigInteger, ForeignKey("revision.id"), primary_key=True, autoincrement=False)
    )


class TermsFiled(SQLModel, table=True):
    """How far filing has come: from `begins` up to `done` for good, up to `seen` all that could be seen then.

    On a server, who began earlier may commit a smaller id later: what is above `done` is looked at again. What is below
    `begins` was recorded before there were terms, and is filed from the newest to the oldest, down to 0.
    """

    __tablename__ = "terms_filed"

    id: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False))
    begins: int = Field(sa_type=BigInteger)
    seen: int = Field(sa_type=BigInteger)
    done: int = Field(sa_type=BigInteger)


LAST: Final = 2**63 - 1
"""No revision has a greater id."""
ORDER_TERM: Final = OrderTerm.__table__  # type: ignore[attr-defined]
TERMS_FILED: Final = TermsFiled.__table__  # type: ignore[attr-defined]


def number_of(kind: Term, text: str) -> int:
    """Return the number that a term is filed under: 64 bits of its SHA-256, signed as databases have them."""
    digest = hashlib.sha256(f"{kind}:{text}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


class Filed(NamedTuple):
    """How far filing has come, as TermsFiled tells it; before it has begun, nothing is filed."""

    begins: int = 0
    seen: int = 0
    done: int = 0


def filed(session: Session) -> Filed:
    """Return how far filing has come."""
    return find(session) or Filed()


def find(session: Session) -> Filed | None:
    """Return how far filing has come, None before it has begun."""
    row = session.connection().execute(_FILED).one_or_none()
    return None if row is None else Filed(*row)


def hold(session: Session) -> Filed | None:
    """Return the same, and let nobody else file or forget terms until the transaction ends."""
    row = session.connection().execute(_FILED.with_for_update()).one_or_none()
    return None if row is None else Filed(*row)


_FILED: Final[Select[Any]] = select(TERMS_FILED.c.begins, TERMS_FILED.c.seen, TERMS_FILED.c.done)


def begin(session: Session, at: Filed) -> None:
    """Say where filing begins, unless somebody else has."""
    session.connection().execute(insert_new(session, TERMS_FILED), [{"id": 1, **at._asdict()}])


def advance(session: Session, to: Filed) -> None:
    """Say how far filing has come."""
    session.connection().execute(update(TERMS_FILED).values(**to._asdict()))


def add(session: Session, terms: Mapping[int, set[int]]) -> None:
    """File revisions by the numbers of their terms, in the order of the key; what is filed already stays so."""
    rows = sorted((term, revision_id) for revision_id, numbers in terms.items() for term in numbers)
    if rows:
        values = [{"term": term, "revision_id": revision_id} for term, revision_id in rows]
        session.connection().execute(insert_new(session, ORDER_TERM), values)


def remove(session: Session, terms: Mapping[int, set[int]]) -> None:
    """Let revisions be filed under these numbers no more."""
    rows = [{"of": term, "id": revision_id} for revision_id, numbers in terms.items() for term in numbers]
    this = ORDER_TERM.c.term == bindparam("of"), ORDER_TERM.c.revision_id == bindparam("id")
    if rows:
        session.connection().execute(delete(ORDER_TERM).where(*this), rows)


def revisions(session: Session, first: int, last: int, most: int, *, downwards: bool = False) -> Sequence[Row[Any]]:
    """Return the id and the time of so many revisions from one end of a span on."""
    key = REVISION.c.id
    within = select(key, REVISION.c.recorded_at).where(key.between(first, last))
    return session.connection().execute(within.order_by(key.desc() if downwards else key).limit(most)).all()


def newest(session: Session) -> int:
    """Return the newest revision, 0 if there is none."""
    return session.connection().execute(select(func.max(REVISION.c.id))).scalar_one() or 0


def skus(
    session: Session, revision_ids: Sequence[int], most: int | None = None, *, downwards: bool = False
) -> Sequence[Row[Any]]:
    """Return the SKUs of the items of revisions, or the first so many from one end on."""
    items = select(ITEM.c.revision_id, ITEM.c.sku).where(ITEM.c.revision_id.in_(revision_ids))
    order = ITEM.c.revision_id, ITEM.c.position
    in_order = items.order_by(*(column.desc() if downwards else column for column in order))
    return session.connection().execute(in_order.limit(most)).all()


def people(session: Session, revision_ids: Sequence[int]) -> Sequence[Row[Any]]:
    """Return the click id and the customer id of revisions."""
    columns = REVISION.c.id, REVISION.c.click_id, REVISION.c.customer_id
    return session.connection().execute(select(*columns).where(REVISION.c.id.in_(revision_ids))).all()


def orders_with(
    session: Session, kind: Term, text: str, *, of: Sequence[int] | None = None, within: tuple[int, int] = (0, 0)
) -> set[int]:
    """Return the orders that have a term in one of these revisions, or in one within a span."""
    these = REVISION.c.id.between(*within) if of is None else REVISION.c.id.in_(of)
    if kind is Term.SKU:
        # They are counted, which is done revision by revision: an EXISTS might be made of all items there are.
        its = select(func.count()).where(ITEM.c.revision_id == REVISION.c.id, ITEM.c.sku == text)
        has_it = its.correlate(REVISION).scalar_subquery() > 0
    else:
        has_it = (REVISION.c.click_id if kind is Term.CLICK else REVISION.c.customer_id) == text
    return set(session.connection().execute(select(REVISION.c.conversion_id).where(these, has_it)).scalars())


def with_term(session: Session, term: int, span: tuple[int, int], most: int) -> list[int]:
    """Return the newest revisions that are filed under a number, of those from the first to the last of a span."""
    filed_so = ORDER_TERM.c.term == term, ORDER_TERM.c.revision_id.between(*span)
    newest = select(ORDER_TERM.c.revision_id).where(*filed_so).order_by(ORDER_TERM.c.revision_id.desc())
    return list(session.connection().execute(newest.limit(most)).scalars())

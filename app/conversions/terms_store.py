"""What orders can be found by: each click id, customer id and SKU of a revision, as a number that tells none of them.

A row under a number that looks random dirties a page of its own, so that a checkout would wait for the disk. Terms are
therefore filed by a worker, a little after their order.
"""

import hashlib
from enum import StrEnum
from typing import Final, NamedTuple

from sqlalchemy import BigInteger, Column, ForeignKey, Integer, select
from sqlmodel import Field, Session, SQLModel


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
    columns = TERMS_FILED.c.begins, TERMS_FILED.c.seen, TERMS_FILED.c.done
    row = session.connection().execute(select(*columns)).one_or_none()
    return Filed() if row is None else Filed(*row)


def with_term(session: Session, term: int, span: tuple[int, int], most: int) -> list[int]:
    """Return the newest revisions that are filed under a number, of those from the first to the last of a span."""
    filed_so = ORDER_TERM.c.term == term, ORDER_TERM.c.revision_id.between(*span)
    newest = select(ORDER_TERM.c.revision_id).where(*filed_so).order_by(ORDER_TERM.c.revision_id.desc())
    return list(session.connection().execute(newest.limit(most)).scalars())

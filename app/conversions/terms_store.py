"""What orders can be found by: each click id, customer id and SKU of a revision, as a number that tells none of them.

A row under a number that looks random dirties a page of its own, so that a checkout would wait for the disk. Terms are
therefore filed by a worker, a little after their order.
"""

import hashlib
from enum import StrEnum
from typing import Final

from sqlalchemy import BigInteger, Column, ForeignKey, Integer
from sqlmodel import Field, SQLModel


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
    """How far filing has come: up to `done` for good, up to `seen` all that could be seen then.

    On a server, who began earlier may commit a smaller id later: what is above `done` is looked at again.
    """

    __tablename__ = "terms_filed"

    id: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False))
    seen: int = Field(sa_type=BigInteger)
    done: int = Field(sa_type=BigInteger)


ORDER_TERM: Final = OrderTerm.__table__  # type: ignore[attr-defined]
TERMS_FILED: Final = TermsFiled.__table__  # type: ignore[attr-defined]


def number_of(kind: Term, text: str) -> int:
    """Return the number that a term is filed under: 64 bits of its SHA-256, signed as databases have them."""
    digest = hashlib.sha256(f"{kind}:{text}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)

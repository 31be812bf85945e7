"""The records of orders, and every statement on them.

A conversion is an order under its natural key; each acceptance, change or repair of it is a numbered revision with its
own items. An `unsent` row comes with each revision and goes in the transaction that puts the revision where it ends.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Row,
    Select,
    UniqueConstraint,
    delete,
    func,
    insert,
    select,
)
from sqlmodel import Field, Session, SQLModel

from app.conversions.chain import FORGOTTEN
from app.conversions.fingerprint import is_keyed
from app.conversions.order import Item, Order, OrderKey
from app.database import ROW_ID, UTCDateTime

LOOKUP_CHUNK: Final = 500


class Conversion(SQLModel, table=True):
    """An order. Its natural key guards against a second one, whoever asks, for ever."""

    __tablename__ = "conversion"
    __table_args__ = (UniqueConstraint("event_type", "order_id", name="one_conversion_per_order"),)

    id: int | None = Field(default=None, sa_column=Column(ROW_ID, primary_key=True))
    event_type: str
    order_id: str
    recorded_at: datetime = Field(sa_type=UTCDateTime)


class Revision(SQLModel, table=True):
    """What an order said at one time. `event_date` is the text with its offset, `event_at` the instant.

    The parent of a chained action is named by its natural key.
    """

    __tablename__ = "revision"
    __table_args__ = (
        UniqueConstraint("conversion_id", "number", name="one_revision_per_number"),
        Index("revisions_by_date", "event_at", "id"),
    )

    id: int | None = Field(default=None, sa_column=Column(ROW_ID, primary_key=True))
    conversion_id: int = Field(sa_column=Column(BigInteger, ForeignKey("conversion.id"), nullable=False))
    number: int
    recorded_at: datetime = Field(sa_type=UTCDateTime)
    event_date: str
    event_at: datetime = Field(sa_type=UTCDateTime)
    currency: str
    click_id: str | None
    promo_code: str | None
    media_id: str | None
    customer_id: str | None
    customer_status: str | None
    extra: str | None
    fingerprint: str
    parent_event_type: str | None
    parent_order_id: str | None


class ItemRow(SQLModel, table=True):
    """One line of a revision; `amount` in minor units, `position` from 0."""

    __tablename__ = "item"

    revision_id: int = Field(sa_column=Column(BigInteger, ForeignKey("revision.id"), primary_key=True))
    position: int = Field(primary_key=True)
    sku: str
    category: str
    quantity: int = Field(sa_type=BigInteger)
    amount: int = Field(sa_type=BigInteger)
    extra: str | None


class Unsent(SQLModel, table=True):
    """A revision that no export has dealt with yet. `hold_reason` says why it will not leave, if it will not.

    `lines` (its items), `event_at` and `currency` are what files are planned by, so that planning reads nothing else. A
    row without them was recorded by a version before 0006.
    """

    __tablename__ = "unsent"
    __table_args__ = (Index("unsent_in_order", "event_type", "revision_id"),)

    revision_id: int = Field(sa_column=Column(ROW_ID, ForeignKey("revision.id"), primary_key=True, autoincrement=False))
    event_type: str
    hold_reason: str | None
    lines: int | None = None
    event_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    currency: str | None = None


CONVERSION: Final = Conversion.__table__  # type: ignore[attr-defined]
REVISION: Final = Revision.__table__  # type: ignore[attr-defined]
ITEM: Final = ItemRow.__table__  # type: ignore[attr-defined]
UNSENT: Final = Unsent.__table__  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True)
class Recorded:
    """A revision as it stands in the database; what was personal in it may be `cleared`."""

    conversion_id: int
    revision_id: int
    number: int
    recorded_at: datetime
    order: Order
    cleared: bool = False


def find_keys(session: Session, keys: Sequence[OrderKey]) -> dict[OrderKey, int]:
    """Return the ids of those conversions that exist."""
    by_type: dict[str, list[str]] = {}
    for event_type, order_id in keys:
        by_type.setdefault(event_type, []).append(order_id)
    found: dict[OrderKey, int] = {}
    for event_type, order_ids in by_type.items():  # a pair IN pairs is no look-up for SQLite
        these = CONVERSION.c.event_type == event_type, CONVERSION.c.order_id.in_(order_ids)
        statement = select(CONVERSION.c.id, CONVERSION.c.order_id).where(*these)
        found |= {(event_type, row.order_id): row.id for row in session.connection().execute(statement)}
    return found


def newest_of(session: Session, conversion_id: int) -> Recorded:
    """Return an order's newest revision, which is the one that counts."""
    newest = select(func.max(REVISION.c.id)).where(REVISION.c.conversion_id == conversion_id)
    [recorded] = load(session, [session.connection().execute(newest).scalar_one()])
    return recorded


def skus_before(session: Session, conversion_id: int, revision_id: int) -> set[str]:
    """Return the SKUs that an order had in the revisions before one."""
    earlier = select(REVISION.c.id).where(REVISION.c.conversion_id == conversion_id, REVISION.c.id < revision_id)
    return set(session.connection().execute(select(ITEM.c.sku).where(ITEM.c.revision_id.in_(earlier))).scalars())


def newest_revisions(session: Session, conversion_ids: Sequence[int]) -> dict[int, int]:
    """Return the newest revision of each conversion."""
    newest = (
        select(REVISION.c.conversion_id, func.max(REVISION.c.id).label("id"))
        .where(REVISION.c.conversion_id.in_(conversion_ids))
        .group_by(REVISION.c.conversion_id)
    )
    return {row.conversion_id: row.id for row in session.connection().execute(newest)}


def customers(session: Session, keys: Sequence[OrderKey]) -> dict[OrderKey, str | None]:
    """Return the customer ids of those orders that are recorded, as their newest revisions have them.

    FORGOTTEN stands for one that was removed.
    """
    if not keys:
        return {}
    ids = find_keys(session, keys)
    newest = newest_revisions(session, list(ids.values()))
    statement = select(REVISION.c.conversion_id, REVISION.c.customer_id).where(REVISION.c.id.in_(newest.values()))
    found = {row.conversion_id: row.customer_id for row in session.connection().execute(statement)}
    nameless = [number for number, customer_id in found.items() if customer_id is None]
    said = fingerprints(session, nameless) if nameless else {}
    found |= {number: FORGOTTEN for number, some in said.items() if any(map(is_keyed, some))}
    return {key: found[number] for key, number in ids.items() if number in found}  # one that has moved says nothing


def fingerprints(session: Session, conversion_ids: Sequence[int]) -> dict[int, set[str]]:
    """Return the fingerprints of every body that was ever accepted for these conversions."""
    statement = select(REVISION.c.conversion_id, REVISION.c.fingerprint).where(
        REVISION.c.conversion_id.in_(conversion_ids)
    )
    found: dict[int, set[str]] = {}
    for row in session.connection().execute(statement):
        found.setdefault(row.conversion_id, set()).add(row.fingerprint)
    return found


def add_revisions(session: Session, orders: Mapping[int, Order], *, number: int, now: datetime) -> dict[int, int]:
    """Add one revision per conversion id, with its items and its `unsent` row; return revision ids."""
    connection = session.connection()
    rows = [_revision_row(conversion_id, number, order, now) for conversion_id, order in orders.items()]
    ids = insert(REVISION).returning(REVISION.c.id, REVISION.c.conversion_id, sort_by_parameter_order=True)
    added = connection.execute(ids, rows)
    revision_ids = {row.conversion_id: row.id for row in added}
    connection.execute(
        insert(ITEM),
        [
            _item_row(revision_ids[conversion_id], position, item)
            for conversion_id, order in orders.items()
            for position, item in enumerate(order.items)
        ],
    )
    connection.execute(
        insert(UNSENT),
        [
            {
                "revision_id": revision_ids[conversion_id],
                "event_type": order.event_type,
                "hold_reason": order.hold_reason,
                "lines": len(order.items),
                "event_at": order.event_date,
                "currency": order.currency,
            }
            for conversion_id, order in orders.items()
        ],
    )
    return revision_ids


def lock(session: Session, conversion_id: int) -> None:
    """Let nobody else change this order until the transaction ends. Where there is one writer, that is so already."""
    mine = select(CONVERSION.c.id).where(CONVERSION.c.id == conversion_id).with_for_update()
    session.connection().execute(mine)


def lock_all(session: Session, conversion_ids: Iterable[int]) -> None:
    """Do the same for some orders, in one order for everybody, lest two wait for each other."""
    ids = sorted(conversion_ids)
    for start in range(0, len(ids), LOOKUP_CHUNK):
        these = select(CONVERSION.c.id).where(CONVERSION.c.id.in_(ids[start : start + LOOKUP_CHUNK]))
        session.connection().execute(these.order_by(CONVERSION.c.id).with_for_update())


def lock_wait(session: Session, revision_id: int) -> None:
    """Let no export take this revision until the transaction ends; one that is about to is waited for."""
    mine = select(UNSENT.c.revision_id).where(UNSENT.c.revision_id == revision_id).with_for_update()
    session.connection().execute(mine)


def withdraw(session: Session, revision_id: int) -> bool:
    """End a revision's wait, since another takes its place or it is to stay; say whether it was waiting."""
    waits = delete(UNSENT).where(UNSENT.c.revision_id == revision_id)
    return session.connection().execute(waits).rowcount == 1


def load(session: Session, revision_ids: Sequence[int]) -> list[Recorded]:
    """Return the revisions with their items, by ascending id."""
    found: list[Recorded] = []
    for start in range(0, len(revision_ids), LOOKUP_CHUNK):
        found += _load(session, revision_ids[start : start + LOOKUP_CHUNK])
    return found


def _load(session: Session, revision_ids: Sequence[int]) -> list[Recorded]:
    connection = session.connection()
    items: dict[int, list[Item]] = {}
    lines = select(ITEM).where(ITEM.c.revision_id.in_(revision_ids)).order_by(ITEM.c.revision_id, ITEM.c.position)
    for row in connection.execute(lines):
        item = Item(row.sku, row.category, row.quantity, row.amount, _mapping(row.extra))
        items.setdefault(row.revision_id, []).append(item)
    revisions: Select[Any] = (
        select(REVISION, CONVERSION.c.event_type, CONVERSION.c.order_id)
        .join(CONVERSION, CONVERSION.c.id == REVISION.c.conversion_id)
        .where(REVISION.c.id.in_(revision_ids))
        .order_by(REVISION.c.id)
    )
    return [_recorded(row, items.get(row.id, ())) for row in connection.execute(revisions)]


def _recorded(row: Row[Any], items: Iterable[Item]) -> Recorded:
    order = Order(
        event_type=row.event_type,
        order_id=row.order_id,
        event_date=datetime.fromisoformat(row.event_date),
        currency=row.currency,
        items=tuple(items),
        click_id=row.click_id,
        promo_code=row.promo_code,
        media_id=row.media_id,
        customer_id=row.customer_id,
        customer_status=row.customer_status,
        extra=_mapping(row.extra),
        parent=None if row.parent_order_id is None else (row.parent_event_type, row.parent_order_id),
    )
    return Recorded(row.conversion_id, row.id, row.number, row.recorded_at, order, is_keyed(row.fingerprint))


def _revision_row(conversion_id: int, number: int, order: Order, now: datetime) -> dict[str, Any]:
    parent_event_type, parent_order_id = order.parent or (None, None)
    return {
        "conversion_id": conversion_id,
        "number": number,
        "recorded_at": now,
        "event_date": order.event_date.isoformat(),
        "event_at": order.event_date.astimezone(UTC),
        "currency": order.currency,
        "click_id": order.click_id,
        "promo_code": order.promo_code,
        "media_id": order.media_id,
        "customer_id": order.customer_id,
        "customer_status": order.customer_status,
        "extra": extra_text(order.extra),
        "fingerprint": order.fingerprint(),
        "parent_event_type": parent_event_type,
        "parent_order_id": parent_order_id,
    }


def _item_row(revision_id: int, position: int, item: Item) -> dict[str, Any]:
    return {
        "revision_id": revision_id,
        "position": position,
        "sku": item.sku,
        "category": item.category,
        "quantity": item.quantity,
        "amount": item.amount,
        "extra": extra_text(item.extra),
    }


def extra_text(extra: Mapping[str, str]) -> str | None:
    """Return the optional parameters as they are stored."""
    return json.dumps(dict(extra), ensure_ascii=False, sort_keys=True) if extra else None


def _mapping(text: str | None) -> dict[str, str]:
    loaded: dict[str, str] = json.loads(text) if text else {}
    return loaded

"""The actions as impact.com has them, and every statement on them."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Date,
    ForeignKey,
    Index,
    Row,
    Update,
    func,
    or_,
    select,
    update,
)
from sqlmodel import Field, Session, SQLModel

from app.actions.action import ActionFacts, UpdateFacts
from app.actions.window import Kind
from app.batches.store import BATCH
from app.conversions.corrections_store import ACTION
from app.conversions.moved_store import destinations
from app.conversions.store import find_keys
from app.database import ROW_ID, UTCDateTime, database_now, insert_new, upserted
from app.errors import LeaseLost

PAGE: Final = 500


class ReportedAction(SQLModel, table=True):
    """An action as impact.com told it last. Amounts are in minor units of `currency`; texts are kept as they came.

    `conversion_id` is our order, where there is one.
    """

    __tablename__ = "reported_action"
    __table_args__ = (
        Index("actions_of_conversion", "conversion_id"),
        Index("actions_by_date", "event_at", "id"),
        Index("actions_by_order", "action_tracker_id", "order_id"),
    )

    id: int | None = Field(default=None, sa_column=Column(ROW_ID, primary_key=True))
    action_id: str = Field(unique=True)
    conversion_id: int | None = Field(default=None, sa_column=Column(BigInteger, ForeignKey("conversion.id")))
    campaign_id: str
    action_tracker_id: str
    order_id: str
    state: str
    currency: str | None
    amount: int | None = Field(default=None, sa_type=BigInteger)
    payout: int | None = Field(default=None, sa_type=BigInteger)
    event_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    created_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    locks_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    cleared_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    read_at: datetime = Field(sa_type=UTCDateTime)


class ActionsRead(SQLModel, table=True):
    """How far a kind of reading of a program's actions has come, and when the next look is due.

    `read_up_to` grows when a whole window has been read; what an earlier claimant still tries to record is refused by
    `token`.
    """

    __tablename__ = "actions_read"

    campaign_id: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    kind: str = Field(primary_key=True)
    read_up_to: datetime | None = Field(default=None, sa_type=UTCDateTime)
    due_at: datetime = Field(sa_type=UTCDateTime)
    token: int = 0
    leased_until: datetime | None = Field(default=None, sa_type=UTCDateTime)


class Compared(SQLModel, table=True):
    """What the worker's own comparison found on a day (UTC): orders from `first` to `last` that impact.com lacks.

    `doubled` are those that it has several times.
    """

    __tablename__ = "compared"

    day: date = Field(primary_key=True, sa_type=Date)
    first: date = Field(sa_type=Date)
    last: date = Field(sa_type=Date)
    missing: int = Field(sa_type=BigInteger)
    doubled: int = Field(sa_type=BigInteger)


REPORTED_ACTION: Final = ReportedAction.__table__  # type: ignore[attr-defined]
ACTIONS_READ: Final = ActionsRead.__table__  # type: ignore[attr-defined]
COMPARED: Final = Compared.__table__  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True)
class Claim:
    """A worker's right to read a program's actions until its lease ends."""

    campaign_id: int
    kind: Kind
    read_up_to: datetime | None
    token: int


# Reading ----------------------------------------------------------------------------------------------------------


def plan(session: Session, campaign_ids: Iterable[int], now: datetime) -> None:
    """Let these programs be read from now on; those that are stay as they are."""
    rows = [
        {"campaign_id": campaign_id, "kind": kind.value, "due_at": now, "token": 0}
        for campaign_id in campaign_ids
        for kind in Kind
    ]
    session.connection().execute(insert_new(session, ACTIONS_READ), rows)


def claim(session: Session, campaign_ids: Collection[int], now: datetime, lease: timedelta) -> Claim | None:
    """Take a reading that is due and that nobody is at. Leases go by the database's clock."""
    connection, clock = session.connection(), database_now(session)
    due = (
        select(ACTIONS_READ)
        .where(*_due(campaign_ids, now, clock))
        .order_by(ACTIONS_READ.c.due_at, ACTIONS_READ.c.campaign_id, ACTIONS_READ.c.kind.desc())
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    row = connection.execute(due).one_or_none()
    if row is None:
        return None
    claimed = Claim(row.campaign_id, Kind(row.kind), row.read_up_to, row.token + 1)
    before = Claim(row.campaign_id, Kind(row.kind), row.read_up_to, row.token)
    mine = _ours(before).values(token=claimed.token, leased_until=clock + lease)
    return claimed if connection.execute(mine).rowcount == 1 else None


def anything_to_do(session: Session, campaign_ids: Collection[int], now: datetime) -> bool:
    """Say whether `plan` or `claim` would do anything."""
    connection, clock = session.connection(), database_now(session)
    planned = select(func.count()).where(ACTIONS_READ.c.campaign_id.in_(campaign_ids))
    due = select(ACTIONS_READ.c.token).where(*_due(campaign_ids, now, clock)).limit(1)
    all_are = connection.execute(planned).scalar_one() == len(campaign_ids) * len(Kind)
    return not all_are or connection.execute(due).first() is not None


def _due(campaign_ids: Collection[int], now: datetime, clock: datetime) -> tuple[ColumnElement[bool], ...]:
    free = or_(ACTIONS_READ.c.leased_until.is_(None), ACTIONS_READ.c.leased_until <= clock)
    return ACTIONS_READ.c.campaign_id.in_(campaign_ids), ACTIONS_READ.c.due_at <= now, free


def renew(session: Session, claimed: Claim, lease: timedelta) -> None:
    """Lengthen a claim. Raises LeaseLost."""
    _change(session, claimed, leased_until=database_now(session) + lease)


def advance(session: Session, claimed: Claim, read_up_to: datetime) -> None:
    """Note that everything up to a time has been read; it never goes back. Raises LeaseLost."""
    if claimed.read_up_to is None or read_up_to > claimed.read_up_to:
        _change(session, claimed, read_up_to=read_up_to)


def release(session: Session, claimed: Claim, due_at: datetime) -> None:
    """End a claim, and say when the next look is due. Raises LeaseLost."""
    _change(session, claimed, due_at=due_at, leased_until=None)


def _change(session: Session, claimed: Claim, **values: Any) -> None:
    if session.connection().execute(_ours(claimed).values(**values)).rowcount != 1:
        raise LeaseLost(f"Another worker reads the actions of program {claimed.campaign_id}.")


def _ours(claimed: Claim) -> Update:
    row = ACTIONS_READ.c.campaign_id == claimed.campaign_id, ACTIONS_READ.c.kind == claimed.kind.value
    return update(ACTIONS_READ).where(*row, ACTIONS_READ.c.token == claimed.token)


def read_up_to(session: Session, campaign_ids: Collection[int]) -> datetime | None:
    """Return up to when the actions of all these programs are known, None if that of some are not."""
    mine = ACTIONS_READ.c.campaign_id.in_(campaign_ids), ACTIONS_READ.c.kind == Kind.UPDATED.value
    known = session.connection().execute(select(ACTIONS_READ.c.read_up_to).where(*mine)).scalars().all()
    times = [one for one in known if one is not None]
    return min(times) if campaign_ids and len(times) == len(campaign_ids) else None


def oldest_batch(session: Session) -> datetime | None:
    """Return when the first batch was made: no action of ours is older."""
    first = select(BATCH.c.created_at).order_by(BATCH.c.id).limit(1)
    made: datetime | None = session.connection().execute(first).scalar_one_or_none()
    return made


def last_comparison(session: Session) -> Row[Any] | None:
    """Return the newest comparison that a worker has made by itself."""
    return session.connection().execute(select(COMPARED).order_by(COMPARED.c.day.desc()).limit(1)).one_or_none()


def note_comparison(session: Session, **row: Any) -> None:
    """Keep a comparison, unless another worker has made that day's."""
    session.connection().execute(insert_new(session, COMPARED), [row])


# Actions ----------------------------------------------------------------------------------------------------------


def keep(
    session: Session, actions: Sequence[ActionFacts], trackers: Mapping[str, Sequence[str]], read_at: datetime
) -> None:
    """Keep what impact.com says of actions, each with the order that it is of, in place of what it said before.

    `trackers`: the event types of each action tracker. An order whose action had no name yet gets the newest one's.
    """
    newest_last = sorted({one.action_id: one for one in actions}.values(), key=_age)
    for start in range(0, len(newest_last), PAGE):
        some = newest_last[start : start + PAGE]
        orders = orders_of(session, [(one.action_tracker_id, one.order_id) for one in some], trackers)
        rows = [
            one._asdict() | {"conversion_id": orders.get((one.action_tracker_id, one.order_id)), "read_at": read_at}
            for one in some
        ]
        session.connection().execute(upserted(session, REPORTED_ACTION, ("action_id",)), rows)
        _name_orders(session, {row["conversion_id"] for row in rows if row["conversion_id"] is not None})


def _age(one: Any) -> tuple[bool, Any, str]:
    """Return what actions are ordered by: when they were made."""
    made = one.created_at or one.event_at
    return made is not None, made or 0, one.action_id


def _name_orders(session: Session, conversion_ids: Collection[int]) -> None:
    """Note the name of its newest action for each of these orders of which none is known."""
    connection = session.connection()
    known = set(
        connection.execute(select(ACTION.c.conversion_id).where(ACTION.c.conversion_id.in_(conversion_ids))).scalars()
    )
    unnamed = sorted(set(conversion_ids) - known)
    if not unnamed:
        return
    found = actions_of(session, unnamed)
    rows = [{"conversion_id": one, "action_id": newest(found[one]).action_id} for one in unnamed if one in found]
    taken = select(ACTION.c.action_id).where(ACTION.c.action_id.in_([row["action_id"] for row in rows]))
    others = set(connection.execute(taken).scalars())  # a shop has said that it is the name of another order
    if rows := [row for row in rows if row["action_id"] not in others]:
        connection.execute(insert_new(session, ACTION), rows)


def note_updates(session: Session, updates: Iterable[UpdateFacts]) -> None:
    """Note how actions stand by the log, where that is newer than what was read of them."""
    newest_of: dict[str, UpdateFacts] = {}
    for one in updates:
        if one.action_id not in newest_of or newest_of[one.action_id].updated_at <= one.updated_at:
            newest_of[one.action_id] = one
    for one in newest_of.values():
        older = REPORTED_ACTION.c.action_id == one.action_id, REPORTED_ACTION.c.read_at < one.updated_at
        values: dict[str, Any] = {"state": one.state, "read_at": one.updated_at}
        if one.locks_at is not None:
            values["locks_at"] = one.locks_at
        session.connection().execute(update(REPORTED_ACTION).where(*older).values(**values))


Key = tuple[str, str]
"""Action tracker and order id, as impact.com spells them."""


def orders_of(session: Session, keys: Iterable[Key], trackers: Mapping[str, Sequence[str]]) -> dict[Key, int]:
    """Return our orders of these action trackers and order ids, byte for byte, of those that are recorded."""
    asked = {(event_type, order_id): tracker for tracker, order_id in keys for event_type in trackers.get(tracker, ())}
    found = find_keys(session, list(asked))
    gone = destinations(session, list(found.values()))
    return {(asked[key], key[1]): number for key, number in found.items() if number not in gone}


def actions_of(session: Session, conversion_ids: Collection[int]) -> dict[int, list[Row[Any]]]:
    """Return the actions of orders, by order."""
    theirs = select(REPORTED_ACTION).where(REPORTED_ACTION.c.conversion_id.in_(conversion_ids))
    found: dict[int, list[Row[Any]]] = {}
    for row in session.connection().execute(theirs):
        found.setdefault(row.conversion_id, []).append(row)
    return found


def newest(actions: Sequence[Row[Any]]) -> Row[Any]:
    """Return the action of an order that was made last."""
    return max(actions, key=_age)

"""The clicks that were captured: one row per click id, and nothing in it that tells who the visitor was.

A row under a random id dirties a page of an index of its own, so that a crowd would wait for the disk, the longer the
more clicks there are. A crowd is therefore appended to `new_click`, where rows lie together, and filed in `click` when
there is time.
"""

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, date, datetime
from itertools import groupby
from typing import Any, Final, NamedTuple

import orjson
from sqlalchemy import BigInteger, Column, Date, Select, cast, delete, func, select, update
from sqlmodel import Field, Session, SQLModel

from app.clicks.click import GRANTED, MAX_LANDING_URL, MAX_ORIGIN, ClickId
from app.clicks.visitor import MAX_FAMILY
from app.database import ROW_ID, WRITER_SLOT, UTCDateTime, add_to, insert_new, insert_new_from
from app.many_rows import insert_rows

TOGETHER: Final = 500


class Click(SQLModel, table=True):
    """A click id as it arrived, when, where, and which way it came in (`source`: get, post, redirect).

    `consent` is what was known of the visitor's (granted, implied); a click of a version before 0016 has none.
    """

    __tablename__ = "click"

    click_id: str = Field(primary_key=True, max_length=64)
    captured_at: datetime = Field(sa_type=UTCDateTime, index=True)
    landing_url: str | None = Field(default=None, max_length=MAX_LANDING_URL)
    referrer_origin: str | None = Field(default=None, max_length=MAX_ORIGIN)
    user_agent_family: str | None = Field(default=None, max_length=MAX_FAMILY)
    source: str = Field(max_length=16)
    consent: str | None = Field(default=None, max_length=16)


class ClickInCrowd(SQLModel, table=True):
    """A click as it came in, not yet filed; the same id may be here more than once, and filed already."""

    __tablename__ = "new_click"

    id: int | None = Field(default=None, sa_column=Column(ROW_ID, primary_key=True))
    click_id: str = Field(max_length=64)
    captured_at: datetime = Field(sa_type=UTCDateTime)
    landing_url: str | None = Field(default=None, max_length=MAX_LANDING_URL)
    referrer_origin: str | None = Field(default=None, max_length=MAX_ORIGIN)
    user_agent_family: str | None = Field(default=None, max_length=MAX_FAMILY)
    source: str = Field(max_length=16)
    consent: str | None = Field(default=None, max_length=16)


class NewClick(NamedTuple):
    """A click that is to be recorded; the fields of Click."""

    click_id: str
    captured_at: datetime
    landing_url: str | None = None
    referrer_origin: str | None = None
    user_agent_family: str | None = None
    source: str = "get"
    consent: str | None = None


class Note(NamedTuple):
    """What a landing asks to be written down: a click to keep, or clicks to forget."""

    record: NewClick | None = None
    forget: frozenset[ClickId] = frozenset()


class SpoolSegment(SQLModel, table=True):
    """How many bytes of a segment of a spool are in the database; the row goes when the segment has been emptied."""

    __tablename__ = "spool_segment"

    name: str = Field(primary_key=True, max_length=64)
    replayed: int = Field(sa_type=BigInteger)


class DailyClicks(SQLModel, table=True):
    """How many clicks one writer recorded that were captured on one day (UTC); forgetting and age take none away."""

    __tablename__ = "daily_clicks"

    day: date = Field(primary_key=True, sa_type=Date)
    slot: int = Field(primary_key=True)
    clicks: int = Field(sa_type=BigInteger)


CLICK: Final = Click.__table__  # type: ignore[attr-defined]
DAILY: Final = DailyClicks.__table__  # type: ignore[attr-defined]
NEW_CLICK: Final = ClickInCrowd.__table__  # type: ignore[attr-defined]
SEGMENT: Final = SpoolSegment.__table__  # type: ignore[attr-defined]


def add_new(session: Session, clicks: Collection[NewClick]) -> Counter[date]:
    """Insert the clicks whose ids have no row yet, and count them by day.

    A row that is there stays as it was, but for a consent that was given since.
    """
    new: Counter[date] = Counter()
    insert_counted = insert_new(session, CLICK).execution_options(preserve_rowcount=True)
    # Always in one order, so that two transactions with the same clicks cannot wait for each other.
    for day, run in groupby(sorted(clicks, key=lambda one: (_day(one), one.click_id)), key=_day):
        new[day] += session.connection().execute(insert_counted, [one._asdict() for one in run]).rowcount
    if new.total() < len(clicks):
        grant(session, {one.click_id for one in clicks if one.consent == GRANTED})
    return new


def grant(session: Session, click_ids: Collection[str]) -> None:
    """Note of these clicks that consent was given, as far as they have rows that do not say so."""
    if not click_ids:
        return
    silent = CLICK.c.click_id.in_(sorted(click_ids)), CLICK.c.consent.is_distinct_from(GRANTED)
    session.connection().execute(update(CLICK).where(*silent).values(consent=GRANTED))


def granted(session: Session, click_ids: Collection[str]) -> set[str]:
    """Return those of the clicks to whose keeping the visitor is known to have consented."""
    asked = select(CLICK.c.click_id).where(CLICK.c.click_id.in_(sorted(click_ids)), CLICK.c.consent == GRANTED)
    return set(session.connection().execute(asked).scalars())


def _day(click: NewClick) -> date:
    return click.captured_at.astimezone(UTC).date()


def count(session: Session, clicks: Mapping[date, int]) -> None:
    """Add to the days' numbers of clicks, in the transaction that records the clicks and as its last word."""
    rows = [{"day": day, "slot": WRITER_SLOT, "clicks": number} for day, number in sorted(clicks.items()) if number]
    add_to(session, DAILY, rows)


def counted(session: Session, first: date, last: date) -> dict[date, int]:
    """Return how many clicks were captured on each of some days; a day without any is left out."""
    number = cast(func.sum(DAILY.c.clicks), BigInteger).label("clicks")
    asked = select(DAILY.c.day, number).where(DAILY.c.day.between(first, last)).group_by(DAILY.c.day)
    return {row.day: row.clicks for row in session.connection().execute(asked)}


def delete_by_ids(session: Session, click_ids: Collection[ClickId]) -> None:
    """Delete the rows of these clicks, as far as there are any."""
    ids = sorted(click_ids)
    for start in range(0, len(ids), TOGETHER):
        # Where another process files one of them just now, the first statement waits for it, and the second sees it.
        for table in (NEW_CLICK, CLICK):
            session.connection().execute(delete(table).where(table.c.click_id.in_(ids[start : start + TOGETHER])))


# A crowd ----------------------------------------------------------------------------------------------------------

_APPENDED: Final = f"new_click ({', '.join(NewClick._fields)})"
_ON_POSTGRESQL: Final = (
    f"INSERT INTO {_APPENDED} SELECT one ->> 0, (one ->> 1)::timestamp AT TIME ZONE 'UTC',"  # noqa: S608
    + ", ".join(f" one ->> {position}" for position in range(2, len(NewClick._fields)))
    + " FROM json_array_elements(%s::json) AS one"
)


def append(cursor: Any, dialect: str, clicks: Sequence[NewClick]) -> None:
    """Append clicks to those that are to be filed, by few statements. Raises ValueError for a time without offset."""
    times = {moment: _stored_time(moment) for moment in {click.captured_at for click in clicks}}
    rows = [(click.click_id, times[click.captured_at], *click[2:]) for click in clicks]
    if dialect == "sqlite":
        insert_rows(cursor, _APPENDED, rows)
    else:
        cursor.execute(_ON_POSTGRESQL, (orjson.dumps(rows).decode(),))


def _stored_time(moment: datetime) -> str:
    """Return a time as both databases take it: SQLite has the naive UTC text that its driver would write."""
    if moment.tzinfo is None:
        raise ValueError("a time without an offset cannot be stored")
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds")


def is_unfiled(session: Session) -> bool:
    """Say whether there are clicks that are not filed yet."""
    return session.connection().execute(select(NEW_CLICK.c.id).limit(1)).first() is not None


def file_some(session: Session, number: int) -> bool:
    """File the oldest clicks that are not filed yet, so many at most; say whether there were any.

    Of several with one id the first counts. Clicks that another process files just now are left to it.
    """
    asked: Select[Any] = select(NEW_CLICK.c.id, NEW_CLICK.c.click_id, NEW_CLICK.c.consent)
    oldest = asked.order_by(NEW_CLICK.c.id).limit(number).with_for_update(skip_locked=True)
    rows = session.connection().execute(oldest).all()
    if not rows:
        return False
    chosen = NEW_CLICK.c.id.in_([row.id for row in rows])
    columns = [NEW_CLICK.c[name] for name in NewClick._fields]
    found = select(*columns).where(chosen).order_by(NEW_CLICK.c.click_id, NEW_CLICK.c.id)
    filed = insert_new_from(session, CLICK, NewClick._fields, found).returning(CLICK.c.captured_at)
    new = Counter(moment.date() for moment in session.connection().execute(filed).scalars())
    if new.total() < len(rows):
        grant(session, {row.click_id for row in rows if row.consent == GRANTED})
    session.connection().execute(delete(NEW_CLICK).where(chosen))
    count(session, new)
    return True


def delete_old(session: Session, before: datetime, limit: int) -> int:
    """Delete some of the clicks that were captured before a time, the oldest first, and return how many."""
    old = select(CLICK.c.click_id).where(CLICK.c.captured_at < before).order_by(CLICK.c.captured_at).limit(limit)
    chosen = session.connection().execute(old.with_for_update(skip_locked=True)).scalars().all()
    return session.connection().execute(delete(CLICK).where(CLICK.c.click_id.in_(chosen))).rowcount


def write(session: Session, note: Note) -> None:
    """Do what a note asks for. Doing it twice changes nothing."""
    write_all(session, [note])


def write_all(session: Session, notes: Sequence[Note]) -> None:
    """Do what the notes ask for, in their order; neighbours of one kind go together."""
    new: Counter[date] = Counter()
    for records, run in groupby(notes, key=lambda note: note.record is not None):
        if records:
            new += add_new(session, [note.record for note in run if note.record is not None])
        else:
            delete_by_ids(session, {click_id for note in run for click_id in note.forget})
    count(session, new)


def note_to_json(note: Note) -> bytes:
    """Return the note as one line of JSON.

    A version before 0016 refuses a record with a field that it does not know, and passes over what stands beside it.
    """
    record = note.record and note.record._asdict() | {"captured_at": note.record.captured_at.isoformat()}
    consent = record and {"consent": record.pop("consent")}
    told = {"record": record, "forget": sorted(note.forget)} | (consent or {})
    return json.dumps(told, separators=(",", ":")).encode("ascii")


def note_from_json(text: bytes) -> Note:
    """Return the note that `note_to_json` wrote. Raises ValueError for anything else."""
    try:
        read = json.loads(text)
        record, forget = read["record"], frozenset(ClickId(str(one)) for one in read["forget"])
        return Note(None if record is None else _record(record, read.get("consent")), forget)
    except (KeyError, TypeError, ValueError) as exc:
        raise ValueError("this is not a note") from exc


def _record(read: dict[str, Any], consent: Any) -> NewClick:
    record = NewClick(**read | {"captured_at": datetime.fromisoformat(read["captured_at"])}, consent=consent)
    texts = (record.click_id, record.source, *(one for one in (*record[2:5], record.consent) if one is not None))
    if not all(isinstance(text, str) for text in texts):
        raise ValueError("this is not a click")
    return record


def claim_segment(session: Session, name: str) -> int:
    """Return how many bytes of a segment are in the database; whoever asks too waits for this transaction."""
    session.connection().execute(insert_new(session, SEGMENT), {"name": name, "replayed": 0})
    asked = select(SEGMENT.c.replayed).where(SEGMENT.c.name == name).with_for_update()
    return int(session.connection().execute(asked).scalar_one())


def reach_in_segment(session: Session, name: str, replayed: int) -> None:
    """Note how many bytes of a segment are in the database."""
    session.connection().execute(update(SEGMENT).where(SEGMENT.c.name == name).values(replayed=replayed))


def forget_segment(session: Session, name: str) -> None:
    """Forget a segment that is empty."""
    session.connection().execute(delete(SEGMENT).where(SEGMENT.c.name == name))

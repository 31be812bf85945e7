"""The clicks that were captured: one row per click id, and nothing in it that tells who the visitor was."""

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import groupby
from typing import Final

from sqlalchemy import BigInteger, Date, cast, delete, func, select, update
from sqlmodel import Field, Session, SQLModel

from app.clicks.click import MAX_LANDING_URL, MAX_ORIGIN, ClickId
from app.clicks.visitor import MAX_FAMILY
from app.database import WRITER_SLOT, UTCDateTime, add_to, insert_new


class Click(SQLModel, table=True):
    """A click id as it arrived, when, where, and which way it came in (`source`: get, post, redirect)."""

    __tablename__ = "click"

    click_id: str = Field(primary_key=True, max_length=64)
    captured_at: datetime = Field(sa_type=UTCDateTime, index=True)
    landing_url: str | None = Field(default=None, max_length=MAX_LANDING_URL)
    referrer_origin: str | None = Field(default=None, max_length=MAX_ORIGIN)
    user_agent_family: str | None = Field(default=None, max_length=MAX_FAMILY)
    source: str = Field(max_length=16)


@dataclass(frozen=True, slots=True)
class Note:
    """What a landing asks to be written down: a click to keep, or clicks to forget."""

    record: Click | None = None
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
SEGMENT: Final = SpoolSegment.__table__  # type: ignore[attr-defined]


def add_new(session: Session, clicks: Collection[Click]) -> Counter[date]:
    """Insert the clicks whose ids have no row yet, and count them by day; a row that is there stays as it was."""
    new: Counter[date] = Counter()
    insert_counted = insert_new(session, CLICK).execution_options(preserve_rowcount=True)
    # Always in one order, so that two transactions with the same clicks cannot wait for each other.
    for day, run in groupby(sorted(clicks, key=lambda one: (_day(one), one.click_id)), key=_day):
        new[day] += session.connection().execute(insert_counted, [one.model_dump() for one in run]).rowcount
    return new


def _day(click: Click) -> date:
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
    session.connection().execute(delete(CLICK).where(CLICK.c.click_id.in_(sorted(click_ids))))


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
    """Return the note as one line of JSON."""
    record = None if note.record is None else note.record.model_dump(mode="json")
    return json.dumps({"record": record, "forget": sorted(note.forget)}, separators=(",", ":")).encode("ascii")


def note_from_json(text: bytes) -> Note:
    """Return the note that `note_to_json` wrote. Raises ValueError for anything else."""
    try:
        read = json.loads(text)
        record, forget = read["record"], frozenset(ClickId(str(one)) for one in read["forget"])
        return Note(None if record is None else Click.model_validate(record), forget)
    except (KeyError, TypeError, ValueError) as exc:
        raise ValueError("this is not a note") from exc


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

"""Who is signed in to the dashboard, and every statement on it."""

from collections.abc import Collection
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Index, Row, delete, insert, select
from sqlmodel import Field, Session, SQLModel

from app.database import UTCDateTime


class BrowserSession(SQLModel, table=True):
    """A browser that showed a key. Neither the key nor the cookie's token is kept, only their SHA-256, in hex.

    `key_hashes` are those of the keys that it has shown, comma-separated: what they may do is looked up at each call,
    so that a key that is taken out of the settings opens nothing any more.
    """

    __tablename__ = "browser_session"
    __table_args__ = (Index("sessions_by_end", "ends_at"),)

    token_hash: str = Field(primary_key=True, max_length=64)
    key_hashes: str
    began_at: datetime = Field(sa_type=UTCDateTime)
    ends_at: datetime = Field(sa_type=UTCDateTime)


SESSION: Final = BrowserSession.__table__  # type: ignore[attr-defined]


def find(session: Session, token_hash: str) -> Row[Any] | None:
    """Return a browser session, whether it has ended or not."""
    return session.connection().execute(select(SESSION).where(SESSION.c.token_hash == token_hash)).one_or_none()


def begin(
    session: Session, token_hash: str, key_hashes: Collection[str], began_at: datetime, ends_at: datetime
) -> None:
    """Put a browser session on record."""
    row = {"token_hash": token_hash, "key_hashes": ",".join(sorted(key_hashes))}
    session.connection().execute(insert(SESSION).values(row | {"began_at": began_at, "ends_at": ends_at}))


def end(session: Session, token_hash: str) -> None:
    """Delete a browser session, if it is there."""
    session.connection().execute(delete(SESSION).where(SESSION.c.token_hash == token_hash))


def delete_ended(session: Session, before: datetime, limit: int) -> int:
    """Delete some of the browser sessions that had ended before a time, the oldest first, and return how many."""
    old = select(SESSION.c.token_hash).where(SESSION.c.ends_at < before).order_by(SESSION.c.ends_at).limit(limit)
    chosen = session.connection().execute(old.with_for_update(skip_locked=True)).scalars().all()
    return session.connection().execute(delete(SESSION).where(SESSION.c.token_hash.in_(chosen))).rowcount

"""Every snippet that pages may have pinned: released once, it is served for ever, whatever version or setting comes."""

from datetime import datetime
from typing import Final

from sqlalchemy import Text, select
from sqlmodel import Field, Session, SQLModel

from app.clicks.snippet import NAME_LENGTH, Snippet
from app.database import UTCDateTime, insert_new


class ReleasedSnippet(SQLModel, table=True):
    """A snippet by the hash in its address."""

    __tablename__ = "snippet"

    name: str = Field(primary_key=True, max_length=NAME_LENGTH)
    content: str = Field(sa_type=Text)
    released_at: datetime = Field(sa_type=UTCDateTime)


RELEASED: Final = ReleasedSnippet.__table__  # type: ignore[attr-defined]


def add_snippet(session: Session, snippet: Snippet, now: datetime) -> None:
    """Keep a snippet; one that is there stays as it was."""
    row = {"name": snippet.name, "content": snippet.content.decode(), "released_at": now}
    session.connection().execute(insert_new(session, RELEASED), row)


def find_snippet(session: Session, name: str) -> Snippet | None:
    """Return a released snippet."""
    content = session.connection().execute(select(RELEASED.c.content).where(RELEASED.c.name == name)).scalar()
    return None if content is None else Snippet(content.encode())

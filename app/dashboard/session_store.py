"""Who is signed in to the dashboard."""

from datetime import datetime
from typing import Final

from sqlalchemy import Index
from sqlmodel import Field, SQLModel

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

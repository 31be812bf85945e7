"""How far personal data are removed, and the sign by which a wrong CAPTURE_FINGERPRINT_KEY is noticed."""

from typing import Final

from sqlalchemy import BigInteger, Column, Integer, delete, select
from sqlmodel import Field, Session, SQLModel

from app.database import insert_new, upserted

ONLY: Final = 1


class FingerprintKey(SQLModel, table=True):
    """What the key makes of a fixed word: with another key, a repeat would be taken for another order."""

    __tablename__ = "fingerprint_key"

    id: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False))
    sign: str = Field(max_length=64)


class Cleared(SQLModel, table=True):
    """Up to which revision retention has removed personal fields."""

    __tablename__ = "cleared"

    id: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False))
    up_to: int = Field(sa_type=BigInteger)


class Traces(SQLModel, table=True):
    """A row says that something was erased, and its bytes may still lie in the database's file and its log."""

    __tablename__ = "traces"

    id: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False))


FINGERPRINT_KEY: Final = FingerprintKey.__table__  # type: ignore[attr-defined]
CLEARED: Final = Cleared.__table__  # type: ignore[attr-defined]
TRACES: Final = Traces.__table__  # type: ignore[attr-defined]


def sign_in_use(session: Session) -> str | None:
    """Return the sign of the key that fingerprints are under, if there are any."""
    sign: str | None = session.connection().execute(select(FINGERPRINT_KEY.c.sign)).scalar_one_or_none()
    return sign


def note_sign(session: Session, sign: str) -> str:
    """Note the sign of the key that is used from now on, unless one is noted; return the one that counts."""
    session.connection().execute(insert_new(session, FINGERPRINT_KEY), [{"id": ONLY, "sign": sign}])
    return sign_in_use(session) or sign


def cleared_up_to(session: Session) -> int:
    """Return the revision up to which personal fields are removed."""
    return session.connection().execute(select(CLEARED.c.up_to)).scalar_one_or_none() or 0


def note_cleared(session: Session, up_to: int) -> None:
    """Note it."""
    session.connection().execute(upserted(session, CLEARED, ["id"]), [{"id": ONLY, "up_to": up_to}])


def note_traces(session: Session) -> None:
    """Note that the database is to be written anew; in the transaction that erases something."""
    session.connection().execute(insert_new(session, TRACES), [{"id": ONLY}])


def has_traces(session: Session) -> bool:
    """Say whether it is."""
    return session.connection().execute(select(TRACES.c.id)).first() is not None


def forget_traces(session: Session) -> None:
    """Note that it was."""
    session.connection().execute(delete(TRACES))

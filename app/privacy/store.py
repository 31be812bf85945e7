"""How far personal data are removed, and the sign by which a wrong CAPTURE_FINGERPRINT_KEY is noticed."""

from typing import Final

from sqlalchemy import BigInteger, Column, Integer
from sqlmodel import Field, SQLModel


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


FINGERPRINT_KEY: Final = FingerprintKey.__table__  # type: ignore[attr-defined]
CLEARED: Final = Cleared.__table__  # type: ignore[attr-defined]

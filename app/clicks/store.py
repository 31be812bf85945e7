"""The clicks that were captured: one row per click id, and nothing in it that tells who the visitor was."""

from collections.abc import Collection
from datetime import datetime
from typing import Final

from sqlalchemy import delete
from sqlmodel import Field, Session, SQLModel

from app.clicks.click import MAX_LANDING_URL, MAX_ORIGIN, ClickId
from app.clicks.visitor import MAX_FAMILY
from app.database import UTCDateTime, insert_new


class Click(SQLModel, table=True):
    """A click id as it arrived, when, where, and which way it came in (`source`: get, post, redirect)."""

    __tablename__ = "click"

    click_id: str = Field(primary_key=True, max_length=64)
    captured_at: datetime = Field(sa_type=UTCDateTime)
    landing_url: str | None = Field(default=None, max_length=MAX_LANDING_URL)
    referrer_origin: str | None = Field(default=None, max_length=MAX_ORIGIN)
    user_agent_family: str | None = Field(default=None, max_length=MAX_FAMILY)
    source: str = Field(max_length=16)


CLICK: Final = Click.__table__  # type: ignore[attr-defined]


def add_new(session: Session, clicks: Collection[Click]) -> None:
    """Insert the clicks whose ids have no row yet; a row that is there stays as it was."""
    if not clicks:
        return
    # Always in one order, so that two transactions with the same clicks cannot wait for each other.
    session.connection().execute(
        insert_new(session, CLICK), [one.model_dump() for one in sorted(clicks, key=lambda one: one.click_id)]
    )


def delete_by_ids(session: Session, click_ids: Collection[ClickId]) -> None:
    """Delete the rows of these clicks, as far as there are any."""
    session.connection().execute(delete(CLICK).where(CLICK.c.click_id.in_(sorted(click_ids))))

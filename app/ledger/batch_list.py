"""Batches as a person looks through them: the newest first."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlmodel import Session

from app.batches import store
from app.ledger.exports import BatchView, batch_views

PAGE: Final = 50
NEWEST: Final = 2**63 - 1
"""What no batch's number reaches."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A batch, when it was made, and whether its content is gone."""

    batch: BatchView
    created_at: datetime
    is_removed: bool


@dataclass(frozen=True, slots=True)
class Newest:
    """A page of batches; `next` is what to give as `before` for the next one."""

    items: list[Listed]
    next: int | None


def newest_batches(session: Session, before: int = NEWEST) -> Newest:
    """Return a page of batches, the newest first."""
    rows = store.newest_batches(session, before, PAGE + 1)
    shown = rows[:PAGE]
    views = batch_views(session, shown)
    items = [Listed(view, row.created_at, row.removed_at is not None) for view, row in zip(views, shown, strict=True)]
    return Newest(items, shown[-1].id if len(rows) > PAGE else None)

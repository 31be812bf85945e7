"""What a person decides about a delivery: once more, or that it has arrived."""

from datetime import datetime

from sqlmodel import Session

from app.batches import store as batches
from app.config import Settings
from app.delivery import store
from app.delivery.attempt import IMPACT
from app.errors import Conflict


def redeliver(session: Session, settings: Settings, batch: int, event_type: str) -> None:
    """Let a batch be sent again, the same bytes under the same name, by its channel even if that was stopped.

    Raises Conflict if it would undo later corrections.
    """
    batches.pause_export(session)  # lest a later correction leaves beside it
    if (later := store.corrected_since(session, batch)) is not None:
        raise Conflict(
            f"Orders of this file were corrected again since, by {later}: this one would put their old values back. If"
            " lines of it are missing at impact.com, take its file from here, keep those lines, and upload it by hand.",
            code="CORRECTED_SINCE",
        )
    store.requeue(session, batch)
    store.try_channel_again(session, settings.channel_of(event_type))


def redeliver_all(session: Session, settings: Settings) -> list[str]:
    """Do so with every batch that waits for a person, and let every channel try again; return the batches' ids.

    Those that would undo later corrections are left as they are.
    """
    batches.pause_export(session)
    waiting = [row for row in store.waiting_for_a_person(session) if store.corrected_since(session, row.batch) is None]
    for row in waiting:
        redeliver(session, settings, row.batch, row.event_type)
    for channel in (*settings.channels_in_use, IMPACT):
        store.try_channel_again(session, channel)
    return [row.batch_id for row in waiting]


def confirm(session: Session, batch: int, now: datetime) -> None:
    """Record that a batch has arrived, as a person saw at impact.com. Raises Conflict if it had already."""
    if not store.confirm(session, batch, now):
        raise Conflict("This batch has been delivered already; there is nothing to confirm.", code="ALREADY_DELIVERED")

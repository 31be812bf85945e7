"""What a person decides about a delivery: once more, or that it has arrived."""

from datetime import datetime

from sqlmodel import Session

from app.batches import store as batches
from app.batches.batch import BatchKind
from app.config import Settings
from app.delivery import calls_store as calls
from app.delivery import store
from app.delivery.attempt import IMPACT
from app.delivery.deliver import way_of
from app.errors import Conflict
from app.event_type import HTTP_API


def redeliver(session: Session, settings: Settings, batch: int, event_type: str) -> None:
    """Let a batch be sent again, the same bytes under the same name, by its channel even if that was stopped.

    Raises ContentRemoved, and Conflict if it would undo later corrections or its orders were changed to be sent anew.
    """
    batches.pause_export(session)  # lest a later correction leaves beside it
    batches.lock_batch(session, batch)  # lest an order of it is changed beside it
    batches.require_content(session, batch)
    if (order_id := store.changed_since(session, batch)) is not None:
        raise Conflict(
            f"Orders of this file were changed since, to be sent anew, such as {order_id}: sent again as they were,"
            " they might be taken twice. Export, or POST /batches/{id}/corrections, sends them as they are now.",
            code="CHANGED_SINCE",
        )
    if (later := store.corrected_since(session, batch)) is not None:
        raise Conflict(
            f"Orders of this file were corrected again since, by {later}: this one would put their old values back. If"
            " lines of it are missing at impact.com, take its file from here, keep those lines, and upload it by hand.",
            code="CORRECTED_SINCE",
        )
    channel = store.file_of(session, batch).channel
    if channel == HTTP_API:
        _let_calls_be_made(session, batch)
    store.requeue(session, batch)
    store.try_channel_again(session, way_of(settings, channel, event_type))


def _let_calls_be_made(session: Session, batch: int) -> None:
    """Let those calls of a batch be made that were not answered. Raises Conflict if all were."""
    if not calls.left(session, batch, BatchKind(store.file_of(session, batch).kind))[0]:
        raise Conflict(
            "impact.com has answered every call of this batch, so that nothing of it is sent again; GET"
            " /orders/{order_id} tells what it made of an order.",
            code="ALREADY_DELIVERED",
        )
    calls.make_again(session, batch)


def redeliver_all(session: Session, settings: Settings) -> list[str]:
    """Do so with every batch that waits for a person, and let every channel try again; return the batches' ids.

    Those that would undo later corrections, whose orders are sent anew, or that have no content any more, are left as
    they are.
    """
    batches.pause_export(session)
    waiting = [row for row in store.waiting_for_a_person(session) if _is_current(session, row.batch)]
    for row in waiting:
        redeliver(session, settings, row.batch, row.event_type)
    for channel in {*settings.channels_in_use, HTTP_API, IMPACT}:
        store.try_channel_again(session, channel)
    return [row.batch_id for row in waiting]


def _is_current(session: Session, batch: int) -> bool:
    if store.file_of(session, batch).removed_at is not None:
        return False
    return store.corrected_since(session, batch) is None and store.changed_since(session, batch) is None


def confirm(session: Session, batch: int, now: datetime) -> None:
    """Record that a batch has arrived, as a person saw at impact.com.

    Raises Conflict if it had already, or if some of it has never left.
    """
    row = store.file_of(session, batch)
    if row.channel == HTTP_API:
        _require_called(session, batch, kind := BatchKind(row.kind))
        calls.has_arrived(session, batch, kind, now)
    if not store.confirm(session, batch, now):
        raise Conflict("This batch has been delivered already; there is nothing to confirm.", code="ALREADY_DELIVERED")


def _require_called(session: Session, batch: int, kind: BatchKind) -> None:
    left, unknown = calls.left(session, batch, kind)
    if left > unknown:
        raise Conflict(
            f"{left - unknown} orders of this batch have never been sent, so that it cannot have arrived: redeliver it;"
            " what has been answered is not sent again.",
            code="NOT_SENT",
        )

"""One batch through the configured channel: recorded before it begins, and again when it has ended."""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from app.batches import store as batches
from app.batches.batch import BatchFile
from app.config import Settings
from app.database import Database, database_now
from app.delivery import store
from app.delivery.attempt import next_try
from app.delivery.channels import Channel
from app.delivery.store import Claim
from app.errors import ChannelRefused, DeliveryError

logger = logging.getLogger(__name__)


def claim(database: Database, settings: Settings, now: datetime) -> Claim | None:
    """Take a batch that is due, and record the attempt before anything leaves."""
    with database.transaction() as session:
        claimed = store.claim_batch(session, timedelta(seconds=settings.lease_seconds))
        if claimed is None:
            return None
        logger.debug("delivery.claimed", extra={"batch": claimed.batch})
        store.start(session, claimed, settings.channel, now)
    logger.debug("delivery.started", extra={"batch": claimed.batch, "attempt": claimed.number})
    return claimed


def deliver(database: Database, channel: Channel, claimed: Claim, clock: Callable[[], datetime]) -> None:
    """Hand a claimed batch to the channel, with no transaction open, and record how it went. Raises LeaseLost."""
    try:
        channel.send(_file(database, claimed))
    except DeliveryError as error:
        logger.warning("delivery.failed", extra={"batch": claimed.batch, "detail": str(error)})
        with database.transaction() as session:
            due_at = next_try(claimed.number, database_now(session))
            store.finish_failed(session, claimed, clock(), str(error), due_at)
        return
    logger.debug("delivery.sent", extra={"batch": claimed.batch})
    with database.transaction() as session:
        store.finish_delivered(session, claimed, clock())
    logger.info("delivery.done", extra={"batch": claimed.batch})


def _file(database: Database, claimed: Claim) -> BatchFile:
    """Return the batch's file. Raises ChannelRefused if its bytes are not the ones that were rendered."""
    with database.snapshot() as session:
        row = store.file_of(session, claimed.batch)
        file = BatchFile(row.filename, batches.content_of(session, claimed.batch), row.rows, ())
    if file.sha256 != row.sha256:
        raise ChannelRefused(f"The stored content of {file.name} is not what was rendered; restore the database.")
    return file

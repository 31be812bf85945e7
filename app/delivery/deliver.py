"""One batch through its channel: recorded before it begins, and again when it has ended."""

import logging
import random
import threading
import traceback
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from sqlalchemy import ColumnElement, and_, func, or_
from sqlmodel import Session

from app.batches import store as batches
from app.batches.batch import sha256
from app.batches.store import BATCH
from app.config import Settings
from app.database import Database
from app.delivery import store
from app.delivery.attempt import ARRIVED, HELD_FOR_A_PERSON, Outcome, after
from app.delivery.channels import Channel
from app.delivery.heartbeat import Heartbeat
from app.delivery.journal import Journal
from app.delivery.parcel import Parcel, Progress
from app.delivery.store import Claim
from app.errors import ChannelRefused, DeliveryError, LeaseLost, OutcomeUnknown, Unavailable
from app.event_type import HTTP_API
from app.metrics import count_attempt

logger = logging.getLogger(__name__)

LookUp = Callable[[int], bool]
"""Says whether impact.com has a batch's file; where that cannot be found out, it has not."""


def nobody_knows(_batch: int) -> bool:
    """Answer where there is no account to ask by."""
    return False


def claim(database: Database, settings: Settings, now: datetime, *, by_calls: bool | None = None) -> Claim | None:
    """Take a batch that is due, and record the attempt before anything leaves.

    `by_calls` says whether it is to be one that leaves by calls, or one that does not; None takes the first.
    """
    with database.transaction() as session:
        allowed = may_leave(session, settings)
        if by_calls is not None:
            is_of_calls = func.coalesce(BATCH.c.channel, "") == HTTP_API
            allowed = and_(allowed, is_of_calls if by_calls else ~is_of_calls)
        row = store.claim_batch(session, timedelta(seconds=settings.lease_seconds), allowed)
        if row is None:
            return None
        logger.debug("delivery.claimed", extra={"batch": row.batch})
        claimed = store.start(session, row, way_of(settings, row.channel, row.event_type), now)
    logger.debug("delivery.started", extra={"batch": claimed.batch, "attempt": claimed.number})
    return claimed


def way_of(settings: Settings, settled: str | None, event_type: str) -> str:
    """Return by which channel a batch leaves. By calls only what was made for that; a file by another if need be."""
    if settled == HTTP_API or settled in settings.channels_in_use:
        return settled
    return settings.channel_of_files(event_type)


def may_leave(session: Session, settings: Settings) -> ColumnElement[bool]:
    """Say which batches may go: those whose channel is not stopped, by calls only with an account to call for."""
    stopped = {*store.stopped_channels(session)}
    files = {*settings.channels_in_use} - {HTTP_API}
    by_calls = BATCH.c.channel == HTTP_API
    settled = or_(by_calls, BATCH.c.channel.in_(files))
    allowed = or_(
        BATCH.c.channel.in_(files - stopped),
        and_(or_(BATCH.c.channel.is_(None), ~settled), _may_leave_by_settings(settings, stopped)),
    )
    return or_(allowed, by_calls) if settings.has_api and HTTP_API not in stopped else allowed


def _may_leave_by_settings(settings: Settings, stopped: set[str]) -> ColumnElement[bool]:
    """Say of which event types files may go. Unknown ones use the default."""
    barred = {key for key in settings.event_type_keys if settings.channel_of_files(key) in stopped}
    default = settings.http_api_overflow if settings.channel == HTTP_API else settings.channel
    allowed: ColumnElement[bool] = (
        BATCH.c.event_type.in_({*settings.event_type_keys} - barred)
        if default in stopped
        else BATCH.c.event_type.not_in(barred)
    )
    return allowed


def deliver(
    database: Database,
    journal: Journal,
    channel: Channel,
    settings: Settings,
    claimed: Claim,
    clock: Callable[[], datetime],
    stopping: threading.Event,
    look_up: LookUp = nobody_knows,
) -> None:
    """Hand a claimed batch to the channel, with no transaction open, and record how it went. Raises LeaseLost."""
    attempt = partial(_attempt, database, journal, channel, settings, claimed, look_up=look_up)
    under_lease(database, settings, claimed, clock, stopping, attempt)


def under_lease(
    database: Database,
    settings: Settings,
    claimed: Claim,
    clock: Callable[[], datetime],
    stopping: threading.Event,
    attempt: Callable[[Progress], Outcome],
) -> None:
    """Make an attempt while the lease is kept, and record what it came to. Raises LeaseLost."""
    named = {"batch": claimed.batch, "batch_id": claimed.batch_id}
    facts = named | {"channel": claimed.channel, "attempt": claimed.number}
    with Heartbeat(database, claimed, timedelta(seconds=settings.lease_seconds), stopping) as heartbeat:
        outcome = attempt(heartbeat.progress)
    logger.debug("delivery.sent", extra=facts)
    with database.transaction() as session:
        store.finish(session, claimed, outcome, heartbeat.sent_bytes, clock())
        logger.debug("delivery.recorded", extra=facts)
    count_attempt(claimed.channel, outcome.status.value)
    if outcome is ARRIVED:
        logger.info("delivery.done", extra=facts)
    else:
        logger.warning("delivery.failed", extra=facts | {"code": outcome.code, "detail": outcome.detail})


def _attempt(
    database: Database,
    journal: Journal,
    channel: Channel,
    settings: Settings,
    claimed: Claim,
    progress: Progress,
    look_up: LookUp,
) -> Outcome:
    """Try once, and say what it came to. Raises what `progress` raises, and Unavailable."""
    if claimed.tries > settings.delivery_tries:  # whoever tried ended each time before that could be recorded
        return HELD_FOR_A_PERSON
    try:
        return _hand_over(parcel_of(database, claimed), journal, channel, settings, claimed, progress, look_up)
    except DeliveryError as error:
        failure = error
    except (LeaseLost, Unavailable):
        raise
    except Exception as error:  # noqa: BLE001 (a channel's fault is no reason to try for ever; the log names the place)
        failure = unexpected(error, claimed)
    return after(failure, claimed.tries, settings.delivery_tries, random.random())  # noqa: S311 (a wait is no secret)


def _hand_over(
    parcel: Parcel,
    journal: Journal,
    channel: Channel,
    settings: Settings,
    claimed: Claim,
    progress: Progress,
    look_up: LookUp,
) -> Outcome:
    """Keep the file, ask if it may be there already, and send it."""
    journal.keep(parcel)  # with the attempt on record, and no byte under way
    there = channel.ask(parcel) if claimed.doubtful else False
    if there is None and look_up(claimed.batch):
        there = True
    if there is None and settings.unknown_outcome == "hold":
        return HELD_FOR_A_PERSON
    if not there:
        channel.send(parcel, progress)
    return ARRIVED


def unexpected(error: Exception, claimed: Claim) -> DeliveryError:
    """Log what no channel should raise, without its text, which may hold a secret; nobody knows how far it got."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    facts = {"batch": claimed.batch, "channel": claimed.channel, "error": type(error).__name__}
    logger.error("delivery.unexpected", extra=facts | {"place": f"{Path(place.filename).name}:{place.lineno}"})
    return OutcomeUnknown(f"The channel {claimed.channel} failed unexpectedly ({type(error).__name__}); see the log.")


def parcel_of(database: Database, claimed: Claim) -> Parcel:
    """Return the batch's file. Raises ChannelRefused if its bytes are not the ones that were rendered."""
    with database.snapshot() as session:
        row = store.file_of(session, claimed.batch)
        content = batches.content_of(session, claimed.batch)
    if sha256(content) != row.sha256:
        raise ChannelRefused(f"The stored content of {row.filename} is not what was rendered; restore the database.")
    return Parcel(row.filename, content, row.event_type)

"""An export from its claim to its end: the files of orders, then those of corrections that may leave."""

import logging
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

from app.batches import amend, build, modifications_store, store
from app.batches.commit import Clock, Planned, Room
from app.batches.store import Claim
from app.config import Settings
from app.database import Database
from app.errors import Failure, LeaseLost, Unavailable

logger = logging.getLogger(__name__)


def claim(database: Database, settings: Settings) -> Claim | None:
    """Take the open export, if it is free."""
    with database.transaction() as session:
        claimed = store.claim_export(session, timedelta(seconds=settings.lease_seconds))
    if claimed:
        logger.debug("export.claimed", extra={"export": claimed.export_id})
    return claimed


def run(
    database: Database,
    settings: Settings,
    claimed: Claim,
    clock: Clock,
    stopping: Callable[[], bool] = bool,
    room: Room = int,
) -> None:
    """Build every file of an export that is ours, and end it. Stops between files when `stopping` says so.

    Raises LeaseLost if another worker has taken over, Unavailable if the database is away: both leave the export open,
    and whoever takes it up goes on after the last file. Any other failure ends it, so that the next one can begin.
    """
    try:
        for plan in _committed(database, settings, claimed, clock, room):
            if stopping():
                _release(database, claimed)
                logger.info("export.interrupted", extra={"export": claimed.export_id, "last": plan.last})
                return
    except (LeaseLost, Unavailable):
        raise
    except Exception as error:
        reason = str(error) if isinstance(error, Failure) else "An unexpected error; see the service's log."
        _end(database, claimed, clock(), "failed", reason)
        raise
    logger.debug("export.ending", extra={"export": claimed.export_id})
    _end(database, claimed, clock(), "done", None)
    logger.info("export.done", extra={"export": claimed.export_id})


def _committed(database: Database, settings: Settings, claimed: Claim, clock: Clock, room: Room) -> Iterator[Planned]:
    """Yield file after file, each in the database."""

    def of_orders(plan: build.Plan) -> bool:
        return build.commit(database, settings, claimed, plan, clock())

    def of_corrections(plan: amend.Plan) -> bool:
        return amend.commit(database, settings, claimed, plan, clock())

    yield from build.plans(database, settings, clock, of_orders, room)
    yield from amend.plans(database, settings, clock, of_corrections, room)


def _release(database: Database, claimed: Claim) -> None:
    """Let another worker go on at once."""
    with database.transaction() as session:
        store.advance_export(session, claimed, leased_until=None)


def _end(database: Database, claimed: Claim, now: datetime, state: str, failure: str | None) -> None:
    with database.transaction() as session:
        waiting, held = modifications_store.unsent(session)
        counts = {"corrections_waiting": waiting, "corrections_held": held}
        ended = {"state": state, "slot": None, "ended_at": now, "failure": failure, "leased_until": None}
        store.advance_export(session, claimed, **ended, **counts)

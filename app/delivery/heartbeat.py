"""A delivery's lease, renewed while the file is under way, however long the channel takes."""

import logging
import threading
import time
from datetime import timedelta
from typing import Final, Self

from app.database import Database
from app.delivery import store
from app.delivery.store import Claim
from app.errors import ChannelUnavailable, LeaseLost, Unavailable

logger = logging.getLogger(__name__)

BEATS: Final = 3
"""Renewals in the time of one lease, so that one that fails loses nothing."""
SHORTEST_SECONDS: Final = 0.1
GRACE_SECONDS: Final = 10.0
"""How long a delivery may go on after the process was told to stop: longer than a file of impact.com's size takes."""


class Heartbeat:
    """Renews a claim from a thread of its own, and tells the sender through `progress` when it has lost it."""

    def __init__(self, database: Database, claim: Claim, lease: timedelta, stopping: threading.Event) -> None:
        self.sent_bytes = 0
        self._database, self._claim, self._lease = database, claim, lease
        self._stopping, self._told_at = stopping, 0.0
        self._lost, self._ended = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def progress(self, handed_over: int) -> None:
        """Note how many bytes were handed over. Raises LeaseLost or ChannelUnavailable where the channel is to stop."""
        self.sent_bytes = handed_over
        if self._lost.is_set():
            raise LeaseLost("Another worker has taken this delivery over.")
        if self._stopping.is_set():
            self._told_at = self._told_at or time.monotonic()
            if time.monotonic() - self._told_at > GRACE_SECONDS:
                raise ChannelUnavailable("The worker was told to stop in the middle of it; it begins again.")

    def _beat(self) -> None:
        seconds = self._lease.total_seconds()
        renewed = time.monotonic()
        while not self._ended.wait(max(seconds / BEATS, SHORTEST_SECONDS)):
            began = time.monotonic()
            try:
                if not self._renew():
                    self._lost.set()
                    return
                renewed = began
            except Unavailable:
                logger.warning("delivery.lease_not_renewed", extra={"batch": self._claim.batch})
                if time.monotonic() - renewed > seconds:  # another worker may have begun
                    self._lost.set()
                    return

    def _renew(self) -> bool:
        with self._database.transaction() as session:
            return store.renew(session, self._claim, self._lease, self.sent_bytes)

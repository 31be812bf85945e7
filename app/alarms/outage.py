"""The one alarm that no table can hold while it lasts: the database is away."""

from datetime import datetime, timedelta
from typing import Final

from app import metrics
from app.alarms import store
from app.alarms.alarm import Kind
from app.alarms.notify import post_raised, say_cleared, say_raised
from app.alarms.rules import database_away
from app.config import Settings
from app.database import Database

SETTLE: Final = timedelta(minutes=1)
"""How long trouble of a host has to last before it is an alarm: a restart of the database is none."""


class Outage:
    """Since when a process cannot use the database, and whom it has told."""

    def __init__(self, database: Database, settings: Settings, host: str) -> None:
        self._database, self._url, self._alarm = database, settings.alarm_url, database_away(host)
        self._since: datetime | None = None
        self._is_told = self._is_posted = False

    def go_on(self, now: datetime) -> None:
        """Note that the database is away; say so once when that has lasted, and post it until somebody takes it."""
        self._since = self._since or now
        if now - self._since < SETTLE:
            return
        if not self._is_told:
            say_raised(self._alarm)
            metrics.show_alarms({Kind.DATABASE_AWAY: 1})
            self._is_told = True
        if self._url and not self._is_posted:
            self._is_posted = post_raised(self._url, self._alarm, self._since)

    def end(self, now: datetime) -> None:
        """Note that the database is there; put an outage that was told on record, as one that is over."""
        if self._since and self._is_told:
            with self._database.transaction() as session:
                store.record_past(session, self._alarm, self._since, now, owed=self._url is not None)
            say_cleared(*self._alarm.key, self._alarm.detail)
        self._since, self._is_told, self._is_posted = None, False, False

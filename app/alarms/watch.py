"""Looks after alarms: finds what holds now, raises what is new and clears what is over, each once over all replicas."""

import math
import shutil
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from sqlmodel import Session

from app import metrics
from app.alarms import facts, rules, store
from app.alarms.alarm import Alarm, Changes, Key, Kind, changes
from app.alarms.notify import say_cleared, say_raised
from app.alarms.outage import SETTLE, Outage
from app.batches.build import age_limit
from app.config import Settings
from app.database import Database
from app.errors import Unavailable
from app.impact.outcomes import reason
from app.ledger.deadlines_store import expiring


@dataclass(frozen=True, slots=True)
class View:
    """What a look has before it: one state of the database, the settings, the time and this host's name."""

    session: Session
    settings: Settings
    now: datetime
    host: str


def _orders_unsent(view: View) -> list[Alarm]:
    return rules.orders_unsent(facts.oldest_unsent(view.session), view.settings.alarm_unsent_hours, view.now)


def _orders_expiring(view: View) -> list[Alarm]:
    upto = view.now + rules.EXPIRY_WARNING
    return rules.orders_expiring(*expiring(view.session, age_limit(view.settings), upto))


def _orders_expired(view: View) -> list[Alarm]:
    exports = facts.exports_that_expired_orders(view.session, view.now - rules.EXPIRED_TOLD_FOR)
    return [rules.orders_expired(row.id, row.expired) for row in exports]


def _corrections_unsent(view: View) -> list[Alarm]:
    return rules.corrections_unsent(facts.oldest_correction(view.session), view.settings.alarm_unsent_hours, view.now)


def _corrections_held(view: View) -> list[Alarm]:
    leave_by_calls = timedelta(hours=view.settings.alarm_unsent_hours) if view.settings.has_api else timedelta()
    since, zero_before = view.now - rules.HELD_TOLD_FOR, view.now - leave_by_calls
    return rules.corrections_held(facts.held_corrections(view.session, since, zero_before))


def _actions_differ(view: View) -> list[Alarm]:
    return rules.actions_differ(facts.last_comparison(view.session))


def _no_export(view: View) -> list[Alarm]:
    return rules.no_export(facts.last_export(view.session), view.settings.alarm_export_hours, view.now)


def _export_failed(view: View) -> list[Alarm]:
    row = facts.failed_export(view.session)
    return [] if row is None else [rules.export_failed(row.id, row.failure)]


def _deliveries_stuck(view: View) -> list[Alarm]:
    return [rules.delivery_stuck(*one) for one in facts.stuck_batches(view.session)]


def _channels_stopped(view: View) -> list[Alarm]:
    return [rules.channel_stopped(row.channel, row.code, row.detail) for row in facts.stopped_channels(view.session)]


def _results_missing(view: View) -> list[Alarm]:
    if not view.settings.has_api:
        return []
    found = facts.results_missing(view.session, view.now - rules.RESULT_AFTER, view.now - rules.RESULT_AFTER_A_PULL)
    return [
        rules.result_missing(row.batch_id, row.filename, row.ended_at, is_pulled=row.channel == "folder")
        for row in found
    ]


def _results_doubtful(view: View) -> list[Alarm]:
    found = facts.results_doubtful(view.session, view.now - rules.GIVEN_UP_TOLD_UNTIL)
    return [rules.result_doubtful(*one) for one in found]


def _orders_rejected(view: View) -> list[Alarm]:
    number, codes = facts.rejected(view.session, view.now - rules.REJECTED_TOLD_FOR)
    known = [reason(code) for code in codes]
    return rules.orders_rejected(number, [(one.code, one.meaning, one.what_to_do) for one in known])


IN_DATABASE: Final[tuple[Callable[[View], list[Alarm]], ...]] = (
    _orders_unsent,
    _orders_expiring,
    _orders_expired,
    _corrections_unsent,
    _corrections_held,
    _actions_differ,
    _no_export,
    _export_failed,
    _deliveries_stuck,
    _channels_stopped,
    _results_missing,
    _results_doubtful,
    _orders_rejected,
)
"""What is asked at every look; each returns the alarms that hold now."""


def on_host(settings: Settings, places: Mapping[str, Path], host: str) -> list[Alarm]:
    """Return what holds on this host, whatever the database says; `places` are folders by the setting that names them.

    A folder that cannot be read is no alarm here: whoever works in it says so.
    """
    found = [rules.spool_in_use(host)] if _holds_clicks(settings.spool_path) else []
    full = [name for name, path in places.items() if _room(path) < settings.alarm_disk_bytes]
    return found + ([rules.disk_nearly_full(host, full, settings.alarm_disk_bytes)] if full else [])


def _holds_clicks(spool: Path) -> bool:
    """Say whether any process of this host, also one that is no more, has left clicks in the spool."""
    size = 0
    with suppress(OSError):
        for segment in spool.glob("*.spool"):
            with suppress(FileNotFoundError):  # replayed just now
                size += segment.stat().st_size
    return size > 0


def _room(path: Path) -> float:
    """Return the room on the disk where a folder is, or will be made."""
    try:
        there = next(one for one in (path.absolute(), *path.absolute().parents) if one.exists())
        return shutil.disk_usage(there).free
    except OSError:
        return math.inf


class Watch:
    """What one process sees. It remembers since when its host has been in trouble, for trouble that passes.

    `here` returns what holds on this host. `check` raises a Failure while the database is away or its schema is not the
    one that is worked with.
    """

    def __init__(
        self,
        database: Database,
        settings: Settings,
        host: str,
        here: Callable[[], list[Alarm]],
        check: Callable[[], None],
    ) -> None:
        self._database, self._settings, self._host = database, settings, host
        self._here, self._check = here, check
        self._first_seen: dict[Key, datetime] = {}
        self._outage = Outage(database, settings, host)
        metrics.show_alarms(dict.fromkeys(Kind, 0))

    def look(self, now: datetime) -> None:
        """Look once. Raises what `check` does, and Unavailable, which is an alarm of its own if it lasts."""
        try:
            self._check()
            found = self._settle(self._here(), now)
            self._outage.end(now)
        except Unavailable:
            self._outage.go_on(now)
            raise
        count = Counter(alarm.kind for alarm in found)
        metrics.show_alarms({kind: count[kind] for kind in Kind})

    def _settle(self, local: list[Alarm], now: datetime) -> list[Alarm]:
        """Bring the records in line with what holds, and return that."""
        self._first_seen = {one.key: self._first_seen.get(one.key, now) for one in local}
        with self._database.snapshot() as session:
            view = View(session, self._settings, now, self._host)
            held = store.holding(session)
            known = {one.key for one in held}
            here = [one for one in local if one.key in known or now - self._first_seen[one.key] >= SETTLE]
            found = [*here, *(alarm for ask in IN_DATABASE for alarm in ask(view))]
        record(self._database, self._settings, changes(held, {one.key: one for one in found}, self._host, now), now)
        return found


def record(database: Database, settings: Settings, change: Changes, now: datetime) -> None:
    """Write changes down, if there are any, and tell those that were ours to make."""
    if not (change.new or change.over or change.again):
        return
    owed = settings.alarm_url is not None
    with database.transaction() as session:
        raised = [one for one in change.new if store.raise_alarm(session, one, now, owed=owed)]
        cleared = [one for one in change.over if store.clear(session, one.id, now, owed=owed)]
        for one, alarm in change.again:
            store.see_again(session, one.id, alarm, now)
    for alarm in raised:
        say_raised(alarm)
    for one in cleared:
        say_cleared(one.kind, one.subject, one.detail)

"""The watcher: looks for alarms in every process, also in one that does no other work.

A thread looks and another posts, so that a receiver of alarms that hangs hides nothing.
"""

import logging
import socket
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

from sqlalchemy.engine import make_url

from app.alarms.alarm import Alarm
from app.alarms.notify import post_owed
from app.alarms.rules import database_is_older, journal_unusable
from app.alarms.watch import Watch, on_host
from app.delivery.channels.folder import FolderChannel
from app.delivery.hold import why
from app.errors import ChannelUnavailable, Unavailable
from app.service import Service

logger = logging.getLogger(__name__)

WATCH_EVERY_SECONDS: Final = 10.0
POST_EVERY_SECONDS: Final = 2.0
REST_SHARE: Final = 20
"""What watches rests so many times as long as it took, so that it costs little however much there is to see."""


def watchers(service: Service) -> list[threading.Thread]:
    """Return the threads that look after alarms, and post them if that is asked for."""
    settings, database, host = service.settings, service.database, socket.gethostname()
    watch = Watch(database, settings, host, lambda: alarms_here(service, host), service.require_usable)
    steps = [(WATCH_EVERY_SECONDS, lambda: watch.look(service.clock()))]
    if settings.alarm_url:
        steps.append((POST_EVERY_SECONDS, partial(post_owed, database, settings.alarm_url)))
    return [threading.Thread(target=_watch, args=(service, *step), name="watch", daemon=True) for step in steps]


def _watch(service: Service, seconds: float, step: Callable[[], None]) -> None:
    """Take a step every so many seconds until the service is told to stop."""
    rest = seconds
    while not service.stopping.wait(rest):
        began, rest = time.monotonic(), seconds
        try:
            step()
            rest = max(seconds, REST_SHARE * (time.monotonic() - began))
        except Unavailable as away:  # which the watch itself raises an alarm for
            logger.debug("watch.database_away", extra={"detail": str(away)})
        except Exception:
            logger.exception("watch.failed")


def alarms_here(service: Service, host: str) -> list[Alarm]:
    """Return what holds on this host: that everything is held, that clicks wait, that a disk is nearly full."""
    found = on_host(service.settings, _places(service), host)
    try:
        reason = why(service.hold.lost(service.database))
    except ChannelUnavailable as error:
        return [*found, journal_unusable(host, str(error))]
    return [*found, database_is_older(host, reason)] if reason else found


def _places(service: Service) -> dict[str, Path]:
    """Return the folders that this host needs room in, by the setting that names them."""
    places = {"CAPTURE_SPOOL_PATH": service.settings.spool_path, "CAPTURE_JOURNAL_PATH": service.settings.journal_path}
    if service.database.is_sqlite:
        places["CAPTURE_DATABASE_URL"] = Path(make_url(service.database.url).database or ".").parent
    if isinstance(folder := service.channels.get("folder"), FolderChannel):
        places["CAPTURE_FOLDER_PATH"] = folder.path
    return places

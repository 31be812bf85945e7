"""The service put together from its settings: what `serve`, `worker` and the commands share."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import cast

from app.config import Settings, load
from app.database import Database
from app.delivery.api import Api
from app.delivery.channels import CHANNELS, Channels
from app.delivery.hold import Hold
from app.delivery.journal import Journal
from app.errors import Unavailable
from app.impact.client import Account, Client
from app.migrations import look, migrate, require_usable

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """Return the time of day."""
    return datetime.now(UTC)


class Bell:
    """Tells all threads of this process's worker that there is work; none misses a ring, however busy it was."""

    def __init__(self) -> None:
        self.rings = 0
        self._condition = threading.Condition()

    def ring(self) -> None:
        """Wake everyone who waits, and everyone who is about to."""
        with self._condition:
            self.rings += 1
            self._condition.notify_all()

    def wait(self, heard: int, seconds: float) -> int:
        """Wait until the bell has rung more than `heard` times, or so long; return how often it has."""
        with self._condition:
            self._condition.wait_for(lambda: self.rings > heard, seconds)
            return self.rings


@dataclass(slots=True)
class Service:
    """Settings and what is made of them.

    `bell` tells this process's worker that there is work, `stopping` everyone that the process was told to end;
    `hold` keeps everything back while the database is older than what has left. `api` is impact.com's, where an account
    is set up.
    """

    settings: Settings
    database: Database
    channels: Channels
    clock: Clock = utc_now
    bell: Bell = field(default_factory=Bell)
    stopping: threading.Event = field(default_factory=threading.Event)
    schema_is_checked: bool = False
    api: Api | None = None
    hold: Hold = field(init=False)
    _preparing: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.hold = Hold(Journal(self.settings.journal_path))

    def prepare(self) -> None:
        """Migrate an embedded database; check the schema of a shared one. Raises Misconfigured, Unavailable."""
        with self._preparing:  # Alembic migrates in one thread at a time
            if self.database.is_sqlite:
                migrate(self.database)
            require_usable(look(self.database))
        self.schema_is_checked = True

    def require_usable(self) -> None:
        """Do the same if the database is not as it should be just now. Raises Misconfigured, Unavailable."""
        if not look(self.database).is_usable:
            self.prepare()

    def prepare_if_possible(self) -> None:
        """Do the same, but start also while the database is away; it is checked again before it is worked on."""
        try:
            self.prepare()
        except Unavailable:
            self.schema_is_checked = False


def assemble() -> Service:
    """Return the service that the environment describes. Raises Misconfigured."""
    settings, *own = load(Settings, *(settings for settings, _ in CHANNELS.values()))
    settings = cast("Settings", settings)
    settings_of = dict(zip(CHANNELS, own, strict=True))
    by_files = [name for name in settings.channels_in_use if name in CHANNELS]
    channels: Channels = {name: CHANNELS[name][1](settings_of[name], settings) for name in by_files}
    database = Database(settings.database_url.get_secret_value())
    api = Api(Client(_account(settings)), database, settings, utc_now) if settings.has_api else None
    return Service(settings, database, channels, api=api)


def _account(settings: Settings) -> Account:
    """Return whose API is called, and how."""
    return Account(
        settings.impact_api_url,
        settings.impact_account_sid,
        settings.impact_auth_token.get_secret_value(),
        settings.impact_version,
        settings.impact_body,
        settings.impact_seconds,
        settings.allow_private_hosts,
    )

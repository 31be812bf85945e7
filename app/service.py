"""The service put together from its settings: what `serve`, `worker` and the commands share."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import cast

from app.config import Settings, load
from app.database import Database
from app.delivery.channels import CHANNELS, Channel
from app.errors import Unavailable
from app.migrations import Schema, look, migrate, require_current

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """Return the time of day."""
    return datetime.now(UTC)


@dataclass(slots=True)
class Service:
    """Settings and what is made of them.

    `wake` tells this process's worker that there is work, `stopping` everyone that the process was told to end.
    """

    settings: Settings
    database: Database
    channel: Channel
    clock: Clock = utc_now
    wake: threading.Event = field(default_factory=threading.Event)
    stopping: threading.Event = field(default_factory=threading.Event)
    schema_is_checked: bool = False
    _preparing: threading.Lock = field(default_factory=threading.Lock)

    def prepare(self) -> None:
        """Migrate an embedded database; check the schema of a shared one. Raises Misconfigured, Unavailable."""
        with self._preparing:  # Alembic migrates in one thread at a time
            if self.database.is_sqlite:
                migrate(self.database)
            require_current(look(self.database))
        self.schema_is_checked = True

    def require_usable(self) -> None:
        """Do the same if the database is not as it should be just now. Raises Misconfigured, Unavailable."""
        if look(self.database) is not Schema.CURRENT:
            self.prepare()

    def prepare_if_possible(self) -> None:
        """Do the same, but start also while the database is away; it is checked again before it is worked on."""
        try:
            self.prepare()
        except Unavailable:
            self.schema_is_checked = False


def assemble() -> Service:
    """Return the service that the environment describes. Raises Misconfigured."""
    settings, *channels = load(Settings, *(settings for settings, _ in CHANNELS.values()))
    settings = cast("Settings", settings)
    _, channel = CHANNELS[settings.channel]
    own = channels[list(CHANNELS).index(settings.channel)]
    return Service(settings, Database(settings.database_url.get_secret_value()), channel(own))

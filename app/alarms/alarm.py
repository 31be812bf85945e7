"""What an alarm is, and how what is on record follows from what holds now."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

RENEW_AFTER: Final = timedelta(minutes=5)
"""How often whoever sees that an alarm still holds says so."""
UNHEARD_AFTER: Final = timedelta(minutes=15)
"""An alarm that nobody has seen for so long is over: its host is gone, or the version that knew its kind."""


class Severity(StrEnum):
    """`error`: orders are not reported, or may not be, until somebody has seen to it. `warning`: they will be."""

    ERROR = "error"
    WARNING = "warning"


class Kind(StrEnum):
    """What an alarm is about; the value is its name everywhere."""

    ORDERS_UNSENT = "orders_unsent"
    ORDERS_EXPIRING = "orders_expiring"
    ORDERS_EXPIRED = "orders_expired"
    CORRECTIONS_UNSENT = "corrections_unsent"
    CORRECTIONS_HELD = "corrections_held"
    ACTIONS_DIFFER = "actions_differ"
    NO_EXPORT = "no_export"
    EXPORT_FAILED = "export_failed"
    DELIVERY_FAILED = "delivery_failed"
    DELIVERY_UNKNOWN = "delivery_unknown"
    CREDENTIALS_REFUSED = "credentials_refused"
    RECEIVER_NOT_TRUSTED = "receiver_not_trusted"
    RESULT_MISSING = "result_missing"
    RESULT_DOUBTFUL = "result_doubtful"
    ORDERS_REJECTED = "orders_rejected"
    DATABASE_AWAY = "database_away"
    DATABASE_IS_OLDER = "database_is_older"
    JOURNAL_UNUSABLE = "journal_unusable"
    SPOOL_IN_USE = "spool_in_use"
    DISK_NEARLY_FULL = "disk_nearly_full"


WARNINGS: Final = frozenset(
    {
        *(Kind.ORDERS_UNSENT, Kind.ORDERS_EXPIRING, Kind.CORRECTIONS_UNSENT),
        *(Kind.SPOOL_IN_USE, Kind.DISK_NEARLY_FULL),
    }
)
"""The kinds of which nothing is lost yet; all others are errors."""
OF_A_HOST: Final = frozenset(
    {
        *(Kind.DATABASE_AWAY, Kind.DATABASE_IS_OLDER, Kind.JOURNAL_UNUSABLE),
        *(Kind.SPOOL_IN_USE, Kind.DISK_NEARLY_FULL),
    }
)
"""The kinds that each host sees for itself; their subject is its name."""

Key = tuple[str, str]
"""Kind and subject: what an alarm is known by while it holds."""


@dataclass(frozen=True, slots=True)
class Alarm:
    """Something that holds now. `subject` is the batch, channel, export or host it is about, if there are several."""

    kind: Kind
    subject: str
    detail: str

    @property
    def key(self) -> Key:
        """What it is known by."""
        return self.kind.value, self.subject

    @property
    def severity(self) -> Severity:
        """How much it matters."""
        return Severity.WARNING if self.kind in WARNINGS else Severity.ERROR


@dataclass(frozen=True, slots=True)
class Held:
    """An alarm as it is on record. `kind` is text, since a newer version may have raised it."""

    id: int
    kind: str
    subject: str
    since: datetime
    detail: str
    severity: str
    seen_at: datetime

    @property
    def key(self) -> Key:
        """What it is known by."""
        return self.kind, self.subject


@dataclass(frozen=True, slots=True)
class Changes:
    """What is to be written down: alarms to raise, those that are over, and those that are seen again or reworded."""

    new: Sequence[Alarm]
    over: Sequence[Held]
    again: Sequence[tuple[Held, Alarm]]


def changes(held: Iterable[Held], found: Mapping[Key, Alarm], host: str, now: datetime) -> Changes:
    """Compare what is on record with what this `host` has found."""
    on_record = {one.key: one for one in held}
    return Changes(
        new=[alarm for key, alarm in found.items() if key not in on_record],
        over=[one for key, one in on_record.items() if key not in found and _is_over(one, host, now)],
        again=[
            (one, found[key])
            for key, one in on_record.items()
            if key in found and (found[key].detail != one.detail or now - one.seen_at >= RENEW_AFTER)
        ],
    )


def _is_over(one: Held, host: str, now: datetime) -> bool:
    """Say whether an alarm that was not found is over: it is ours to judge, or nobody has seen it for long."""
    ours = one.kind in set(Kind) and (one.kind not in OF_A_HOST or one.subject == host)
    return ours or now - one.seen_at >= UNHEARD_AFTER

"""What a person is to do today: each alarm in words for whoever sits before a browser, the most severe first."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from app.alarms.alarm import Held, Kind, Severity
from app.dashboard.words import spoken

ORDERS: Final = "/dashboard/orders"
BATCHES: Final = "/dashboard/batches"
SUBMISSIONS: Final = "/dashboard/submissions"
HELD_ORDERS: Final = f"{SUBMISSIONS}/held"
OPERATOR: Final = "Tell whoever runs the service; the whole sentence is for them."


@dataclass(frozen=True, slots=True)
class Task:
    """Something to do. `where` is the page on which it is done, as path and name, if there is one."""

    severity: str
    what: str
    do: str
    where: tuple[str, str] | None = None
    since: datetime | None = None
    detail: str = ""


_BATCH: Final = f"{BATCHES}/{{subject}}"
_WORDS: Final[dict[str, tuple[str, str, tuple[str, str] | None]]] = {
    Kind.ORDERS_UNSENT: (
        "Orders have waited too long to be delivered",
        "See which batches are not delivered and why; if there is no new batch, the daily export does not run.",
        (BATCHES, "Batches"),
    ),
    Kind.ORDERS_EXPIRING: (
        "Orders are about to become too old for impact.com",
        "See that the newest batches are delivered; run an export if these orders are in none.",
        (BATCHES, "Batches"),
    ),
    Kind.ORDERS_EXPIRED: (
        "Orders have become too old for impact.com",
        "Give those that belong to a partner's media id that id; ask your contact at impact.com about the others.",
        (f"{ORDERS}?state=expired", "Expired orders"),
    ),
    Kind.CORRECTIONS_UNSENT: (
        "Refunds or changes have waited too long to be delivered",
        "See which batches are not delivered: a correction leaves after its order.",
        (BATCHES, "Batches"),
    ),
    Kind.CORRECTIONS_HELD: (
        "Refunds or changes are held",
        "The whole sentence names them, and says what each waits for; its order's page has the rest.",
        (ORDERS, "Find an order"),
    ),
    Kind.ACTIONS_DIFFER: (
        "Orders that were delivered are missing at impact.com, or there twice",
        "Compare the days by `conversion-capture reconcile`, which names them.",
        None,
    ),
    Kind.NO_EXPORT: (
        "No export ran lately",
        "Run one now, and see that the daily one is set up again.",
        (BATCHES, "Batches"),
    ),
    Kind.EXPORT_FAILED: (
        "The last export failed",
        "Nothing is lost. When its cause is gone, run it again.",
        (BATCHES, "Batches"),
    ),
    Kind.DELIVERY_FAILED: (
        "A batch was not delivered",
        "See why; when that is corrected, send it again.",
        (_BATCH, "The batch"),
    ),
    Kind.DELIVERY_UNKNOWN: (
        "It is not known whether a batch arrived",
        "Look in impact.com under File Submissions: if it is there, confirm it; if not, send it again.",
        (_BATCH, "The batch"),
    ),
    Kind.CREDENTIALS_REFUSED: ("A login is refused, and nothing leaves by it", OPERATOR, None),
    Kind.RECEIVER_NOT_TRUSTED: (
        "The receiver of the files could not prove who it is, and nothing is sent to it",
        OPERATOR,
        None,
    ),
    Kind.RESULT_MISSING: (
        "impact.com has told nothing of a batch that was delivered",
        "Look in impact.com under File Submissions; if the file is not there, send it again.",
        (_BATCH, "The batch"),
    ),
    Kind.RESULT_DOUBTFUL: (
        "What impact.com tells of a batch does not add up",
        "Compare it with impact.com's File Submissions.",
        (_BATCH, "The batch"),
    ),
    Kind.ORDERS_REJECTED: (
        "impact.com has refused orders or corrections",
        "See the reasons, the most frequent first, with what to do about each.",
        (SUBMISSIONS, "Submissions"),
    ),
    Kind.DATABASE_AWAY: ("A host of the service cannot use the database", OPERATOR, None),
    Kind.DATABASE_IS_OLDER: ("The database is older than what has left, and nothing is sent", OPERATOR, None),
    Kind.JOURNAL_UNUSABLE: ("A host cannot use its journal, and sends nothing", OPERATOR, None),
    Kind.SPOOL_IN_USE: ("Clicks wait on a host and do not get into the database", OPERATOR, None),
    Kind.DISK_NEARLY_FULL: ("A disk is nearly full", OPERATOR, None),
}
"""Of each kind: what it means, what to do, and where; a kind of a newer version has its own sentence alone."""


def of_alarm(alarm: Held) -> Task:
    """Return what to do about an alarm that holds."""
    what, do, where = _WORDS.get(alarm.kind, (spoken(alarm.kind).capitalize(), "The whole sentence says it.", None))
    place = (where[0].format(subject=alarm.subject), where[1]) if where else None
    return Task(alarm.severity, what, do, place, alarm.since, alarm.detail)


def of_held_orders(number: str, first_end: datetime | None) -> Task:
    """Return what to do about orders that wait for a person; `first_end` is when the first becomes too old, if soon."""
    what = f"Held orders: {number}" + (", and some become too old soon" if first_end else "")
    do = "Say whom each is credited to, by click id, promo code or media id, and it leaves with the next export."
    ends = f"The first becomes too old for impact.com on {first_end:%Y-%m-%d at %H:%M}." if first_end else ""
    return Task(Severity.WARNING, what, do, (HELD_ORDERS, "Held orders"), None, ends)


def of_deadline(what: str, do: str, first_end: datetime | None) -> Task:
    """Return what to do before something ends."""
    ends = f"The first ends on {first_end:%Y-%m-%d at %H:%M}." if first_end else ""
    return Task(Severity.WARNING, what, do, (BATCHES, "Batches"), None, ends)


def most_severe_first(tasks: Iterable[Task]) -> Sequence[Task]:
    """Return tasks in the order in which they should be seen to: errors, then those that have held the longest."""
    return sorted(
        tasks,
        key=lambda task: (task.severity != Severity.ERROR, task.since is None, task.since and task.since.timestamp()),
    )

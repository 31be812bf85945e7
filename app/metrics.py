"""Numbers for Prometheus. Their labels come from short fixed lists: none names a visitor, a click, a host or a path.

Where PROMETHEUS_MULTIPROC_DIR names a folder, all processes of this host keep their numbers there, and each of them
answers for all: prometheus-client's own way, chosen when this module is imported.
"""

import asyncio
import os
from collections import Counter as Counts
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, get_args

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Metric,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from app.event_type import HTTP_API, FileChannelName
from app.impact.outcomes import known_reasons

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST
LANDINGS: Final = (
    *("captured", "repeated", "older", "expired", "stale", "withdrawn", "withheld", "no_visit", "none"),
    *("refused", "limited", "invalid"),
)
FATES: Final = ("stored", "spooled", "replayed", "refused", "lost")
ORDERS: Final = {
    200: "replayed",
    201: "new",
    400: "invalid",
    409: "conflict",
    413: "invalid",
    422: "invalid",
    503: "unavailable",
}
"""What became of an order, by the status that says so."""
ATTEMPTS: Final = ("delivered", "failed", "unknown")
OTHER: Final = "other"
HAND_OVER_SECONDS: Final = 2.0


def _folder() -> str:
    """Return the folder that processes share their numbers in, made if need be; empty if there is none."""
    name = os.environ.get("PROMETHEUS_MULTIPROC_DIR", "")
    with suppress(OSError):
        if name:
            Path(name).mkdir(parents=True, exist_ok=True)
    if name and not (Path(name).is_dir() and os.access(name, os.W_OK | os.X_OK)):
        raise SystemExit(
            f"conversion-capture: PROMETHEUS_MULTIPROC_DIR={name} is no folder that can be written to; name another,"
            " or unset it."
        )
    return name


FOLDER: Final = _folder()

disable_created_metrics()  # type: ignore[no-untyped-call] # a time of creation beside every counter, which nobody asks for
_registry: Final = CollectorRegistry()
if not FOLDER:  # of many processes it would tell one, now this and now that
    ProcessCollector(registry=_registry)
_requests = Counter("capture_requests", "HTTP requests answered.", ("route", "status"), registry=_registry)
_landings = Counter("capture_landings", "What became of calls of /capture.", ("outcome",), registry=_registry)
_notes = Counter(
    "capture_notes",
    "Clicks to record or to forget: stored at once, spooled while the database was away, replayed from the spool,"
    " refused by the database for their content, lost since neither could take them.",
    ("fate",),
    registry=_registry,
)
_orders = Counter(
    "capture_orders",
    "Orders that were posted: new, replayed (the same again), conflict (other content), invalid, unavailable (come"
    " back later), failed.",
    ("outcome",),
    registry=_registry,
)
_attempts = Counter(
    "capture_delivery_attempts",
    "Attempts to hand a batch over: delivered, failed, unknown (it may have arrived).",
    ("channel", "outcome"),
    registry=_registry,
)
_reasons = Counter(
    "capture_rejections",
    "Reasons that impact.com's API gave for what it did not take: its codes, and other for those on none of its lists.",
    ("reason",),
    registry=_registry,
)
_waiting = Gauge(
    "capture_spool_notes",
    "Notes that wait in the spool, as far as this process holds them.",
    registry=_registry,
    multiprocess_mode="livesum",
)
_bytes = Gauge(
    "capture_spool_bytes",
    "Bytes of the spool, of all processes.",
    registry=_registry,
    multiprocess_mode="livemostrecent",
)
_limit = Gauge(
    "capture_spool_limit_bytes", "Bytes that the spool may have.", registry=_registry, multiprocess_mode="livemax"
)
_alarms = Gauge(
    "capture_alarms",
    "Alarms that hold, as this process last saw them.",
    ("kind",),
    registry=_registry,
    multiprocess_mode="livemostrecent",
)
_calls = Counter(
    "capture_api_calls",
    "Calls of impact.com's API that left this process: taken, refused (the call), denied (the account or the host),"
    " unavailable, unknown.",
    ("method", "outcome"),
    registry=_registry,
)
for _fate in FATES:  # so that a rate can be told from the first one on, of these and of those below
    _notes.labels(_fate)
for _outcome in LANDINGS:
    _landings.labels(_outcome)
for _outcome in (*ORDERS.values(), "failed"):
    _orders.labels(_outcome)
for _channel in (*get_args(FileChannelName), HTTP_API):
    for _outcome in ATTEMPTS:
        _attempts.labels(_channel, _outcome)
for _code in (*known_reasons(), OTHER):
    _reasons.labels(_code)


_uncounted_requests: Final[dict[tuple[str, int], int]] = defaultdict(int)
_uncounted_landings: Final[dict[str, int]] = defaultdict(int)
_uncounted_orders: Final[dict[int, int]] = defaultdict(int)
# Counted by the event loop's thread alone, and handed to the library when somebody asks, since that takes its time.


def count_request(route: str, status: int) -> None:
    """Count a request by its route's template; `route` is empty where none matched."""
    _uncounted_requests[route, status] += 1


def count_landing(outcome: str) -> None:
    """Count a call of /capture; `outcome` is one of a few fixed words."""
    _uncounted_landings[outcome] += 1


def count_order(status: int) -> None:
    """Count an order by the status that answers it, on the event loop."""
    _uncounted_orders[status] += 1


def hand_over() -> None:
    """Give the library what was counted since; on the event loop."""
    while _uncounted_requests:
        (route, status), number = _uncounted_requests.popitem()
        _requests.labels(route, str(status)).inc(number)
    while _uncounted_landings:
        outcome, number = _uncounted_landings.popitem()
        _landings.labels(outcome).inc(number)
    while _uncounted_orders:
        status, number = _uncounted_orders.popitem()
        _orders.labels(ORDERS.get(status, "failed")).inc(number)


async def hand_over_now_and_then() -> None:
    """Keep the numbers of this process where others answer for it too; without such a folder there is nothing to do."""
    while FOLDER:
        hand_over()
        await asyncio.sleep(HAND_OVER_SECONDS)


def count_orders(statuses: Iterable[int]) -> None:
    """Count many orders by their statuses, on whatever thread."""
    for status, number in Counts(statuses).items():
        _orders.labels(ORDERS.get(status, "failed")).inc(number)


def count_attempt(channel: str, outcome: str) -> None:
    """Count an attempt at a delivery; both words are of short fixed lists."""
    _attempts.labels(channel, outcome).inc()


def count_reasons(codes: Iterable[str]) -> None:
    """Count reasons of impact.com's; those that none of its lists has are one."""
    known = known_reasons()
    for code, number in Counts(code if code in known else OTHER for code in codes).items():
        _reasons.labels(code).inc(number)


def count_notes(fate: str, number: int = 1) -> None:
    """Count what became of notes; `fate` is one of FATES."""
    _notes.labels(fate).inc(number)


def count_call(method: str, outcome: str) -> None:
    """Count a call of impact.com's API; both words are of short fixed lists."""
    _calls.labels(method, outcome).inc()


def show_alarms(numbers: Mapping[str, int]) -> None:
    """Tell how many alarms of each kind hold; kinds are a short fixed list."""
    for kind, number in numbers.items():
        _alarms.labels(str(kind)).set(number)


def show_spool(notes: int, size: int, limit: int) -> None:
    """Tell how the spool stands."""
    _waiting.set(notes)
    _bytes.set(size)
    _limit.set(limit)


class _Together:
    """What processes count, and what was read for this answer."""

    def __init__(self, counted: CollectorRegistry, read: Sequence[Metric]) -> None:
        self._counted, self._read = counted, read

    def collect(self) -> Iterator[Metric]:
        """Yield all of it."""
        yield from self._counted.collect()
        yield from self._read


def exposition(read: Sequence[Metric]) -> bytes:
    """Return all numbers in Prometheus' text format: those that are counted, and those that were `read` just now."""
    hand_over()
    return generate_latest(_Together(_of_all_processes() if FOLDER else _registry, read))


def _of_all_processes() -> CollectorRegistry:
    """Return what the processes of this host have left in the folder; what only the living can tell goes with them."""
    for pid in {_pid(path) for path in Path(FOLDER).glob("gauge_live*_*.db")}:
        if not _lives(pid):
            mark_process_dead(pid, FOLDER)  # type: ignore[no-untyped-call]
    registry = CollectorRegistry()
    MultiProcessCollector(registry, FOLDER)  # type: ignore[no-untyped-call]
    return registry


def _pid(path: Path) -> int:
    return int(path.stem.rpartition("_")[2])


def _lives(pid: int) -> bool:
    with suppress(PermissionError):  # it lives, and is another account's
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
    return True

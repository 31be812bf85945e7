"""Numbers for Prometheus. Their labels come from short fixed lists: none names a visitor, a click, a host or a path."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST
FATES: Final = ("stored", "spooled", "replayed", "refused", "lost")

disable_created_metrics()  # type: ignore[no-untyped-call] # a time of creation beside every counter, which nobody asks for
_registry: Final = CollectorRegistry()
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
_waiting = Gauge(
    "capture_spool_notes", "Notes that wait in the spool, as far as this process holds them.", registry=_registry
)
_bytes = Gauge("capture_spool_bytes", "Bytes of the spool, of all processes.", registry=_registry)
_limit = Gauge("capture_spool_limit_bytes", "Bytes that the spool may have.", registry=_registry)
_alarms = Gauge("capture_alarms", "Alarms that hold, as this process last saw them.", ("kind",), registry=_registry)
_deadlines = Gauge(
    "capture_deadlines",
    "What comes to its end within CAPTURE_DEADLINE_DAYS: orders that will be too old, on their way or held, corrections"
    " whose actions lock, and actions with nearly as many modifications as impact.com takes.",
    ("kind",),
    registry=_registry,
)
_calls = Counter(
    "capture_api_calls",
    "Calls of impact.com's API that left this process: taken, refused (the call), denied (the account or the host),"
    " unavailable, unknown.",
    ("method", "outcome"),
    registry=_registry,
)
_held = Gauge(
    "capture_exports_held",
    "1 while nothing is batched or delivered, since the database knows less than what has left; else 0.",
    registry=_registry,
)
for _fate in FATES:  # so that a rate can be told from the first loss on
    _notes.labels(_fate)


_uncounted_requests: Final[dict[tuple[str, int], int]] = defaultdict(int)
_uncounted_landings: Final[dict[str, int]] = defaultdict(int)
# Counted by the event loop's thread alone, and handed to the library when somebody asks, since that takes its time.


def count_request(route: str, status: int) -> None:
    """Count a request by its route's template; `route` is empty where none matched."""
    _uncounted_requests[route, status] += 1


def count_landing(outcome: str) -> None:
    """Count a call of /capture; `outcome` is one of a few fixed words."""
    _uncounted_landings[outcome] += 1


def _hand_over() -> None:
    while _uncounted_requests:
        (route, status), number = _uncounted_requests.popitem()
        _requests.labels(route, str(status)).inc(number)
    while _uncounted_landings:
        outcome, number = _uncounted_landings.popitem()
        _landings.labels(outcome).inc(number)


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


def show_deadlines(numbers: Mapping[str, int]) -> None:
    """Tell how much of each kind comes to its end soon; kinds are a short fixed list."""
    for kind, number in numbers.items():
        _deadlines.labels(kind).set(number)


def exposition(*, notes: int, size: int, limit: int, held: bool) -> bytes:
    """Return all numbers in Prometheus' text format, with the states of the spool and of exports as they are given."""
    _hand_over()
    _waiting.set(notes)
    _bytes.set(size)
    _limit.set(limit)
    _held.set(held)
    return generate_latest(_registry)

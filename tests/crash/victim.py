"""A worker process that is stopped in the middle of something: by SIGKILL or SIGSTOP, at the n-th time of a named step.

python -m tests.crash.victim SIGKILL file.written 2     dies there
python -m tests.crash.victim SIGSTOP file.written 1     stands still there until it gets SIGCONT
python -m tests.crash.victim                            works undisturbed

The steps are the events that the exporter, the deliverer and the channels log. It takes its settings from the
environment as the worker does, says `ready`, waits for a line on its standard input, and ends when there is no work
left.
"""

import logging
import os
import pkgutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from multiprocessing.synchronize import Event
from typing import Final, Self

from app import worker
from app.delivery import channels
from app.errors import LeaseLost, Unavailable
from app.service import Service, assemble
from tests.crash.flaws import FLAWS

CHANNELS: Final = tuple(f"{channels.__name__}.{one.name}" for one in pkgutil.iter_modules(channels.__path__))
LOGGERS: Final = ("app.batches.amend", "app.batches.build", "app.batches.exporter", "app.delivery.deliver", *CHANNELS)
ONCE: Final = ("export.claimed", "export.ending", "export.done")
BEFORE: Final = (
    "export.selecting",
    "export.selected",
    "batch.rendered",
    "batch.checked",
    "batch.taken",
    "batch.added",
    "batch.committing",
    "batch.committed",
    "delivery.claimed",
    "delivery.started",
)
AFTER: Final = ("delivery.sent", "delivery.recorded", "delivery.done")
SESSION: Final = ("channel.connecting", "channel.connected", "channel.logged_in")
HANDED_OVER: Final = ("file.opened", "file.progress", "file.written")
OF_CHANNEL: Final = {
    "folder": (*HANDED_OVER, "file.synced", "file.renamed", "folder.synced"),
    "sftp": (*SESSION, *HANDED_OVER, "file.closed", "file.checked"),
    "renaming": (*SESSION, *HANDED_OVER, "file.closed", "file.checked", "file.renamed"),
    "ftps": (*SESSION, *HANDED_OVER, "file.closed", "file.checked"),
    "email": (*SESSION, *HANDED_OVER, "file.closed"),
}
PER_FILE: Final = (*BEFORE, *OF_CHANNEL["folder"], *AFTER)
"""The steps of an export, and those of each of its files: on any way out, and between these those of one way."""
PATIENCE = 60.0  # seconds; for machines that are busy with something else
REFUSED = 3  # exit status of a worker whose work another had taken over


class Steps(logging.Handler):
    """Counts the steps as they come, and may send a signal to its own process at one of them."""

    def __init__(self, number: signal.Signals | None = None, step: str = "", nth: int = 1) -> None:
        super().__init__()
        self.signal, self.step, self.nth = number, step, nth
        self.seen: Counter[str] = Counter()

    def emit(self, record: logging.LogRecord) -> None:
        event = record.getMessage()
        self.seen[event] += 1
        if self.signal and event == self.step and self.seen[event] == self.nth:
            os.kill(os.getpid(), self.signal)

    def __enter__(self) -> Self:
        for name in LOGGERS:
            logging.getLogger(name).addHandler(self)
            logging.getLogger(name).setLevel(logging.DEBUG)
        return self

    def __exit__(self, *_: object) -> None:
        for name in LOGGERS:
            logging.getLogger(name).removeHandler(self)
            logging.getLogger(name).setLevel(logging.NOTSET)


def has_work(service: Service) -> bool:
    """Say whether an export is open or a batch waits, whoever works on it."""
    query = "SELECT (SELECT count(*) FROM export WHERE slot = 1) + (SELECT count(*) FROM undelivered)"
    with service.database.snapshot() as session:
        return bool(session.connection().exec_driver_sql(query).scalar_one())


def finish(service: Service) -> int:
    """Work until there is no work left, also through the leases of the dead; return how often work was refused."""
    refused, end = 0, time.monotonic() + PATIENCE
    while has_work(service):
        try:
            if worker.work(service):
                continue
        except LeaseLost:
            refused += 1
            continue
        except Unavailable:
            pass  # another process holds SQLite's only write lock
        if time.monotonic() > end:
            raise TimeoutError("there is work left that nobody can take")
        time.sleep(0.02)
    return refused


def disturbed(
    settings: Mapping[str, str], arguments: Sequence[str], ready: Event | None = None, flaw: str | None = None
) -> None:
    """Be the whole life of a worker process with these settings, disturbed as the arguments say.

    It tells when it begins to work, and works with a flaw where the judge is to be judged.
    """
    os.environ.update(settings)
    service = assemble()
    service.prepare()
    if flaw:
        FLAWS[flaw]()
    if ready:
        ready.set()
    with _steps(arguments):
        refused = finish(service)
    sys.exit(REFUSED if refused else 0)


def _steps(arguments: Sequence[str]) -> Steps:
    return Steps(signal.Signals[arguments[0]], arguments[1], int(arguments[2])) if arguments else Steps()


def main(arguments: Sequence[str]) -> int:
    """Do the same in a process of one's own, from the environment; begin when told to."""
    service = assemble()
    service.prepare()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    with _steps(arguments):
        refused = finish(service)
    service.database.close()
    return REFUSED if refused else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

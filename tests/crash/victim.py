"""A worker process that is stopped in the middle of something: by SIGKILL or SIGSTOP, at the n-th time of a named step.

python -m tests.crash.victim SIGKILL file.written 2     dies there
python -m tests.crash.victim SIGSTOP file.written 1     stands still there until it gets SIGCONT
python -m tests.crash.victim                            works undisturbed

The steps are the events that the exporter and the deliverer log. It takes its settings from the environment as the
worker does, says `ready`, waits for a line on its standard input, and ends when there is no work left.
"""

import logging
import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final, Self

from app import worker
from app.errors import LeaseLost, Unavailable
from app.service import Service, assemble

LOGGERS = ("app.batches.build", "app.delivery.deliver", "app.delivery.channels.folder")
ONCE: Final = ("export.claimed", "export.ending", "export.done")
PER_FILE: Final = (
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
    "file.opened",
    "file.written",
    "file.synced",
    "file.renamed",
    "folder.synced",
    "delivery.sent",
    "delivery.done",
)
"""The steps of an export, and those of each of its files."""
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
            if worker.work(service, threading.Event()):
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


def disturbed(settings: Mapping[str, str], arguments: Sequence[str]) -> None:
    """Be the whole life of a worker process with these settings, disturbed as the arguments say."""
    os.environ.update(settings)
    service = assemble()
    service.prepare()
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

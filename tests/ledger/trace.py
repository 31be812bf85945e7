"""The steps that a worker takes, and its end at one of them."""

import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from tests.crash.victim import LOGGERS


class Crash(BaseException):
    """The end of a worker in the middle of a step; nothing catches it."""


class Trace(logging.Filter):
    """Notes the steps that a worker takes, and may end it at one of them."""

    def __init__(self, crash: tuple[str, int] | None) -> None:
        super().__init__()
        self.crash = crash
        self.seen: Counter[str] = Counter()
        self.steps: list[tuple[str, int, str | None]] = []

    def filter(self, record: logging.LogRecord) -> bool:
        step = record.getMessage()
        self.seen[step] += 1
        self.steps.append((step, getattr(record, "batch", 0), getattr(record, "code", None)))
        if self.crash == (step, self.seen[step]):
            raise Crash
        return False

    @contextmanager
    def listening(self) -> Iterator[None]:
        loggers = [logging.getLogger(name) for name in LOGGERS]
        for logger in loggers:
            logger.addFilter(self)
            logger.setLevel(logging.DEBUG)
        try:
            yield
        finally:
            for logger in loggers:
                logger.removeFilter(self)
                logger.setLevel(logging.NOTSET)

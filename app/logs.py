"""Logs: one JSON object per line on stderr. What is said of a person or a secret never comes this far."""

import asyncio
import logging
import re
import sys
import time
from collections.abc import MutableMapping
from contextlib import nullcontext, suppress
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final, TextIO

import orjson
import structlog

_request_id: Final = ContextVar("request_id", default="")
_order_id: Final = ContextVar("order_id", default="")
_QUOTED_VALUES: Final = re.compile(r"^(?:DETAIL|CONTEXT|HINT|LINE [0-9]+):.*\n?(?: *\^\n?)?", re.MULTILINE)
"""What PostgreSQL says behind its sentence: there it quotes rows, and those hold ids of people."""


_ADDRESS: Final = re.compile(r"[^\s@\"'<>(),;]+@[^\s@\"'<>(),;]+\.[^\s@\"'<>(),;.]+")


def begin_request(request_id: str) -> None:
    """Let every line that is written for this request from here on have its id."""
    _request_id.set(request_id)
    _order_id.set("")


def name_order(order_id: str) -> None:
    """Let them name the order too; an id that may be somebody's e-mail address is not written."""
    _order_id.set("" if "@" in order_id else order_id)


def _name_request(_logger: object, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Say of which request and order a line is."""
    for name, value in (("request_id", _request_id.get()), ("order_id", _order_id.get())):
        if value:
            line.setdefault(name, value)
    return line


def _without_people(_logger: object, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Drop what a database's error quotes, and e-mail addresses: a shop may have taken one for an order's id."""
    if "exception" in line:
        line["exception"] = _QUOTED_VALUES.sub("", line["exception"])
    for name, value in line.items():
        if isinstance(value, str) and "@" in value:
            line[name] = _ADDRESS.sub("(e-mail)", value)
    return line


_SHARED: Final[list[Any]] = [
    structlog.stdlib.add_log_level,
    structlog.stdlib.ExtraAdder(),
    _name_request,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.stdlib.add_logger_name,
]


def _without_colors(_logger: object, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Drop uvicorn's second copy of its message, which is meant for terminals."""
    line.pop("color_message", None)
    return line


class _Lines(logging.StreamHandler[TextIO]):
    """Writes records one by one, and lines of requests, which come by the thousand, as many at a time as there are."""

    def __init__(self) -> None:
        super().__init__(sys.stderr)
        self._lines: list[str] = []

    def add(self, line: str) -> None:
        """Write a finished line soon: when the event loop has done what it has to do just now."""
        self._lines.append(line)
        if len(self._lines) == 1:
            asyncio.get_running_loop().call_soon(self._write)

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record behind the lines that came before it."""
        self._write()
        super().emit(record)

    def _write(self) -> None:
        lines, self._lines = self._lines, []
        if lines:
            with self.lock or nullcontext(), suppress(OSError):  # nobody reads the log any more
                self.stream.write("".join(lines))
                self.stream.flush()


_requests: Final = logging.getLogger("app.web")
_lines: _Lines | None = None


def log_request(request_id: str, method: str, route: str, status: int, milliseconds: float) -> None:
    """Write the line of a request; but for the order's id none of its parts can hold a quotation mark."""
    if _lines is None:
        facts = {"request_id": request_id, "method": method, "route": route, "status": status, "ms": milliseconds}
        _requests.info("request", extra=facts)
    elif _requests.isEnabledFor(logging.INFO):
        now = time.time()
        second = int(now)
        order_id = _order_id.get()
        order = f', "order_id": {orjson.dumps(order_id).decode()}' if order_id else ""
        _lines.add(
            f'{{"event": "request", "level": "info", "request_id": "{request_id}", "method": "{method}", "route":'
            f' "{route}", "status": {status}, "ms": {milliseconds}{order},'
            f' "timestamp": "{_second(second)}.{int((now - second) * 1_000_000):06}Z", "logger": "app.web"}}\n'
        )


@lru_cache(maxsize=2)
def _second(epoch: int) -> str:
    return datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def configure(level: int = logging.INFO) -> None:
    """Send every logger's lines, the libraries' too, to stderr as JSON."""
    global _lines  # noqa: PLW0603 (as logging itself is)
    _lines = handler = _Lines()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=_SHARED,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _without_colors,
                structlog.processors.format_exc_info,
                _without_people,
                structlog.processors.JSONRenderer(ensure_ascii=False),
            ],
        )
    )
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger("app").setLevel(level)
    logging.getLogger("uvicorn").setLevel(logging.INFO)

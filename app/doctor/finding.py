"""What the doctor finds."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from app.service import Service


class Status(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"
    FAILURE = "failure"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found, and what to do about it."""

    name: str
    status: Status
    detail: str
    repair: str = ""


Look = Callable[[Service], Iterator[Finding]]
"""Looks at one thing and changes nothing; no receiver of files is connected to, impact.com's API is asked once."""

"""What the doctor finds, and what he is asked to look at."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

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


@dataclass(frozen=True, slots=True)
class Asked:
    """Whether anything is connected to, the shop's pages, and where browsers reach the service: addresses as given."""

    network: bool = True
    storefronts: tuple[str, ...] = ()
    tracking: str = ""


EVERYTHING_HERE: Final = Asked()
"""No page is named, and the rest is looked at."""

Look = Callable[[Service], Iterator[Finding]]
"""Looks at one thing and changes nothing."""

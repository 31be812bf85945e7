"""What impact.com can make of an order, a correction or a file."""

from enum import StrEnum
from typing import Final

COMPLETE: Final = "Complete"
"""The status in which impact.com is through with something. It may have taken it or not: the errors tell."""


class Verdict(StrEnum):
    """What impact.com has decided about an order or a correction."""

    ACCEPTED = "accepted"
    PARTLY_ACCEPTED = "partly_accepted"
    REJECTED = "rejected"


class FileVerdict(StrEnum):
    """What impact.com has decided about a batch as a whole."""

    ACCEPTED = "accepted"
    PARTLY_REJECTED = "partly_rejected"
    REJECTED = "rejected"

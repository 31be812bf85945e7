"""What impact.com can make of an order, a correction or a file, and what it shows of that, read with care.

Facts: the submissions document of its API (v14). Numbers may come as texts, and several reasons stand in one text with
blanks between them.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

COMPLETE: Final = "Complete"
"""The status in which impact.com is through with something. It may have taken it or not: the errors tell."""
NOT_FOUND: Final = "Not Found"
"""Our own status of what impact.com has queued and does not show, or not any more."""
VALIDATION: Final = "Validation"
RECORDS_ZERO: Final = "RECORDS_ZERO"
"""The reason of impact.com's list for a file of which it counts no record."""
LONGEST_TEXT: Final = 500
_MOST: Final = 2**31
_SEPARATORS: Final = re.compile(r"[\s,;|]+")
_CODE: Final = re.compile(r"[A-Z][A-Z0-9_]{2,63}")


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


class Source(StrEnum):
    """From where something is known: impact.com's list of files, the calls of a batch, or a report that was read."""

    API = "api"
    CALLS = "calls"
    FILE = "file"


@dataclass(frozen=True, slots=True)
class Told:
    """A submission as impact.com shows it."""

    status: str
    impact_id: str | None = None
    type: str | None = None
    submission_date: datetime | None = None
    completion_date: datetime | None = None
    error_type: str | None = None
    error_reason: str | None = None
    file_name: str | None = None
    total_records: int | None = None
    total_errors: int | None = None
    uri: str | None = None
    errors_uri: str | None = None

    @property
    def is_complete(self) -> bool:
        """Whether impact.com is through with it."""
        return self.status.casefold() == COMPLETE.casefold()


@dataclass(frozen=True, slots=True)
class ErrorLine:
    """A line of a list of errors: what it names, as far as it does, and the reasons."""

    reasons: tuple[str, ...]
    line: int | None = None
    order_id: str | None = None
    sku: str | None = None
    category: str | None = None
    error_type: str | None = None


def read_submission(row: Mapping[str, Any]) -> Told:
    """Return what a row says. What is none of its kind is left out; a status that nobody knows is kept."""
    return Told(
        status=text(row.get("Status")) or "",
        impact_id=text(row.get("BatchId")),
        type=text(row.get("Type")),
        submission_date=time(row.get("SubmissionDate")),
        completion_date=time(row.get("CompletionDate")),
        error_type=text(row.get("ErrorType")),
        error_reason=text(row.get("ErrorReason")),
        file_name=text(row.get("FileName")),
        total_records=number(row.get("TotalRecords")),
        total_errors=number(row.get("TotalErrors")),
        uri=text(row.get("Uri")),
        errors_uri=text(row.get("ErrorsUri")),
    )


def read_error(row: Mapping[str, Any]) -> ErrorLine:
    """Return what a row of ErrorDetails says. One without a reason still is an error."""
    kind = text(row.get("Status"))
    return ErrorLine(
        reasons=reasons_in(text(row.get("Reason"))) or (kind or VALIDATION,),
        line=number(row.get("Line")),
        order_id=text(row.get("OrderId")) or text(row.get("Oid")),
        sku=text(row.get("Sku")),
        category=text(row.get("Category")),
        error_type=kind,
    )


def reasons_in(told: str | None) -> tuple[str, ...]:
    """Return the codes of a text, each once; a sentence that is no list of codes is one reason, kept as it is."""
    if not told:
        return ()
    parts = [part for part in _SEPARATORS.split(told) if part]
    return tuple(dict.fromkeys(parts)) if all(_CODE.fullmatch(part) for part in parts) else (told,)


def text(value: Any) -> str | None:
    """Return a text or a number as text, without what no text of impact.com's needs; None if there is nothing."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    return "".join(one if one.isprintable() else " " for one in str(value)[:LONGEST_TEXT]).strip() or None


def number(value: Any) -> int | None:
    """Return a count that may have come as a text."""
    told = text(value)
    if told is None or not told.isascii() or not told.isdigit() or len(told) >= len(str(_MOST)):
        return None
    return int(told)


def time(value: Any) -> datetime | None:
    """Return a time, without an offset as if in UTC; None if it is none."""
    try:
        moment = datetime.fromisoformat(text(value) or "")
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None

"""What was sent to the sandbox, and what it has made of it: files, and calls of the API."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

KEPT: Final = timedelta(days=90)


@dataclass(kw_only=True)
class Submission:
    """Queued, then in progress, and complete when its time has come."""

    id: str
    kind: str
    submitted_at: datetime
    ready_at: datetime
    is_done: bool = False

    def status(self, now: datetime) -> str:
        """Return how far it is."""
        if self.is_done:
            return "Complete"
        return "Queued" if now - self.submitted_at < (self.ready_at - self.submitted_at) / 2 else "In Progress"


@dataclass(kw_only=True)
class ApiSubmission(Submission):
    """One call of the API; `place` is the method and what it is about."""

    place: str
    fields: Mapping[str, str]
    payload: str
    action_id: str = ""
    reasons: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Refusal:
    """Why a line of a file was refused."""

    line: int
    order_id: str
    sku: str
    category: str
    campaign_id: str
    tracker_id: str
    partner_id: str
    kind: str
    reason: str


@dataclass(kw_only=True)
class FileSubmission(Submission):
    """One file."""

    name: str
    content: bytes
    source: str
    records: int = 0
    refusals: list[Refusal] = field(default_factory=list)

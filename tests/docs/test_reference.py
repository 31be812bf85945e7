"""The reference has everything that there is, and says of it what the code says."""

import re
from collections.abc import Iterable
from typing import Final

import pytest

from app.alarms.alarm import Kind
from app.delivery.attempt import AttemptStatus, BatchState
from app.delivery.calls_store import CallState
from app.ledger.state import CorrectionState, OrderState
from app.submissions.submission import FileVerdict, Verdict
from handbook.__main__ import PAGES, REFERENCE
from handbook.settings import fields, meanings
from tests.docs.samples import ROOT

ONLY_INSIDE: Final = {
    *("FILE_UNREADABLE", "FILE_UNWRITABLE", "RESULT_KNOWN", "VALUE_REFUSED"),
    *("MISCONFIGURED", "LEASE_LOST", "KEPT_FILE_DAMAGED"),
}
"""Codes of what a command or a worker meets: it says the sentence, and no call has them."""
APART: Final = {"sandbox", "check"}
"""Rooms whose codes are impact.com's, which `reasons.md` explains."""


def page(name: str) -> str:
    """Return a page of the reference."""
    return (REFERENCE / name).read_text("utf-8")


def missing(name: str, words: Iterable[str]) -> list[str]:
    """Return the words that a page does not have."""
    text = page(name)
    return [word for word in words if f"`{word}`" not in text]


@pytest.mark.parametrize("name", PAGES)
def test_what_is_written_from_the_code_is_current(name: str) -> None:
    """`make reference` would change nothing."""
    assert PAGES[name](page(name)) == page(name), "run `make reference`"


def test_every_setting_has_its_meaning() -> None:
    """Each setting and each key of an event type once, and a sentence about it."""
    said = meanings(page("settings.md"))
    assert set(said) == set(fields())
    assert [name for name, text in said.items() if len(text) < 8] == []
    assert [name for name in said if page("settings.md").count(f"\n| `{name}` |") != 1] == []


def test_every_state_is_explained() -> None:
    """Of orders, corrections, exports, batches, attempts, calls, and what impact.com decides."""
    kinds = (OrderState, CorrectionState, BatchState, AttemptStatus, CallState, Verdict, FileVerdict)
    words = {str(one) for kind in kinds for one in kind} | {"queued", "running", "done", "failed"}
    assert missing("states.md", words) == []


def test_every_alarm_is_explained() -> None:
    """Whoever gets one finds it."""
    assert missing("alarms.md", map(str, Kind)) == []


def test_every_code_is_explained() -> None:
    """A code that the service answers with stands on the page of error codes."""
    sources = [path.read_text("utf-8") for path in (ROOT / "app").rglob("*.py") if path.parts[-2] not in APART]
    named = r'(?:\bcode=|\bFault\(\s*|\b_refuse\(\s*|^    code = )"([A-Z_]+)"'
    said = {code for text in sources for code in re.findall(named, text, re.MULTILINE)}
    assert missing("error-codes.md", said - ONLY_INSIDE) == []
    assert len(said) > 70

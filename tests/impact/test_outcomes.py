"""What impact.com's answers mean: every code of its lists, and whatever else it may say."""

import csv
import io
import re
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.impact.outcomes import HOW, LISTS, NextStep, known_reasons, reason, step_of

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "reasons.md"
FIX, LATER, NEVER, ASK = (
    NextStep.FIX_AND_RESEND,
    NextStep.RESEND_LATER,
    NextStep.DO_NOT_RESEND,
    NextStep.ASK_PARTNER_MANAGER,
)
STEPS = {
    "ACTION_REF_NOT_FOUND": FIX,
    "ACTIONTERMS_NOT_FOUND": ASK,
    "ACTIONTRACKER_CAMPAIGN_MISMATCH": FIX,
    "ACTIONTRACKER_NOT_ACTIVE": ASK,
    "ACTIONTRACKER_NOT_FOUND": FIX,
    "AMOUNT_NEGATIVE_OR_NOT_A_NUMBER": FIX,
    "BLACKLISTED_SOURCE_IP": ASK,
    "BLOCKED_BY_PROMOCODE": ASK,
    "CALL_DUPLICATE": NEVER,
    "CALL_DURATION_TOO_SHORT": NEVER,
    "CALL_FOR_CALL_PER_CONV_AT": NEVER,
    "CALL_INCOMPLETE": NEVER,
    "CALL_OUTSIDE_DAILY_RANGE": NEVER,
    "CAMPAIGN_ACCOUNT_MISMATCH": FIX,
    "CAMPAIGN_NOT_FOUND": FIX,
    "CONTRACT_NOT_FOUND": ASK,
    "CONV_DUPLICATE": NEVER,
    "CONV_MALFORMED": FIX,
    "CREDITING_RULE_MISMATCH": NEVER,
    "INVALID_CURRENCY_CODE": FIX,
    "INVALID_EXCHANGE_RATE": FIX,
    "INVALID_EVENT_DATE": FIX,
    "MALFORMED": FIX,
    "MARGIN_NOT_A_NUMBER": FIX,
    "MAX_RECURRENCES_REACHED": NEVER,
    "NO_ITEM": FIX,
    "NO_VALID_ACTION_REF": NEVER,
    "OID_MISSING": FIX,
    "ORDERSUBTOTAL_NOT_A_NUMBER": FIX,
    "OTHER_REF_PRIORITIZED": NEVER,
    "OUTSIDE_ASSOCIATION_WINDOW": NEVER,
    "PARTNER_NOT_ACTIVE": ASK,
    "REBATE_NOT_A_NUMBER": FIX,
    "REFTYPE_NOT_ACCEPTED": NEVER,
    "RESTRICTED_PROMOCODE": ASK,
    "UNCLAIMED": NEVER,
    "RECORDS_ZERO": FIX,
    "OID_DUPLICATE": FIX,
    "NO_CHANGE": NEVER,
    "BAD_DISPOSITION": FIX,
    "ALREADY_LOCKED": NEVER,
    "ACTIONTRACKERID_INVALID": FIX,
    "ACTION_NOT_FOUND": LATER,
    "ALREADY_REVERSED": NEVER,
    "ALREADY_APPROVED": NEVER,
}
"""What is to be done about each code, as impact.com's pages and the notes to them have it."""


def listed() -> Iterator[dict[str, str]]:
    """Yield the rows of impact.com's two lists."""
    for name in LISTS:
        text = files("app.impact").joinpath(name).read_text("utf-8")
        yield from csv.DictReader(io.StringIO(text, newline=""))


def test_each_code_of_the_lists_has_its_next_step() -> None:
    """No code is missing here or there, and none was given another step by a slip."""
    assert {row["code"]: NextStep(row["next_step"]) for row in listed()} == STEPS
    assert {code: one.next_step for code, one in known_reasons().items()} == STEPS


@pytest.mark.parametrize("code", sorted(STEPS))
def test_a_code_is_told_in_plain_words(code: str) -> None:
    """Whoever reads of it learns what it means and what to do, as the list has it."""
    [row] = [row for row in listed() if row["code"] == code]
    told = reason(code)
    assert (told.meaning, told.what_to_do, told.is_known) == (row["meaning"], row["what_to_do"], True)
    assert told.sentence == f"{code}: {row['meaning']}. {row['what_to_do']}."
    assert told.type in {None, "Validation", "Contract Error"}
    assert HOW[told.next_step].endswith(".")


@given(st.text(max_size=80).filter(lambda code: code not in STEPS))
def test_a_code_that_nobody_knows_is_kept_and_asked_about(code: str) -> None:
    """impact.com may add codes: such a one is shown as it came, and nothing is sent again because of it."""
    told = reason(code)
    assert (told.code, told.is_known, told.next_step) == (code, False, ASK)
    assert told.sentence.startswith(f"{code}: ")
    assert step_of([code, "CONV_DUPLICATE"]) is ASK


@given(st.lists(st.sampled_from(sorted(STEPS)), max_size=4))
def test_several_reasons_are_final_only_together(codes: list[str]) -> None:
    """An order of which one reason can be mended is not given up for another one."""
    step, steps = step_of(codes), {STEPS[code] for code in codes}
    assert (step is NEVER) == (steps == {NEVER})
    assert (step is None) == (not codes)
    assert step in {None, *steps}
    assert ASK not in steps or step is ASK


def test_the_page_says_what_the_service_knows() -> None:
    """docs/reference/reasons.md has each code once, with its meaning, its next step and what to do."""
    rows = re.findall(r"^\| `([A-Z_]+)` \| (.+) \| `([a-z_]+)` \| (.+) \|$", PAGE.read_text("utf-8"), re.MULTILINE)
    expected = [(code, one.meaning, one.next_step.value, one.what_to_do) for code, one in known_reasons().items()]
    assert sorted(rows) == sorted(expected)

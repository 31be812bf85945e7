"""Which reasons a correction may have."""

import csv
from pathlib import Path

import pytest

from app import impact
from app.event_type import EventType
from app.impact.reasons import STANDARD_REASONS, known_reasons


def test_the_standard_codes_of_a_file_are_known() -> None:
    """All that a file may give, and none that only impact.com's API takes."""
    assert len(STANDARD_REASONS) == 13
    assert not {"APPROVED", "REJECTED", "CONS_INFO_INVALID", "MP_RETURNED", "RESET"} & set(known_reasons())


def test_the_standard_codes_are_those_of_impact_com_s_list() -> None:
    """What works on a condition, or only in a call, is left out."""
    text = (Path(str(impact.__file__)).parent / "reason_codes.csv").read_text("utf-8")
    rows = csv.DictReader(text.splitlines())
    listed = {row["code"] for row in rows if "file reason" in row["usable_in"].split("; ")}
    assert set(STANDARD_REASONS) == listed


def test_an_event_type_adds_its_own() -> None:
    """In their own case, after the standard ones, and none twice."""
    event_type = EventType(campaign_id=1, action_tracker_id=2, reasons=("Broken", "OTHER", "APPROVED"))
    assert event_type.known_reasons == (*STANDARD_REASONS, "Broken", "APPROVED")


@pytest.mark.parametrize("codes", [[""], [" A"], ["A", "A"], ["A\n"], ["Ä"], ["A" * 65]])
def test_a_code_that_cannot_be_one_stops_the_start(codes: list[str]) -> None:
    """A typing error is told, not sent."""
    with pytest.raises(ValueError, match="code"):
        EventType.model_validate({"campaign_id": 1, "action_tracker_id": 2, "reasons": codes})

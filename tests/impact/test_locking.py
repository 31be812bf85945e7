"""When an action locks, by a rule that a person can read."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from app.event_type import EventType
from app.impact.locking import parse_locking_rule

WEST = timezone(timedelta(hours=-8))


@pytest.mark.parametrize(
    ("rule", "event", "locks"),
    [
        ("27 days", datetime(2026, 11, 20, 18, 0, 22, tzinfo=UTC), datetime(2026, 12, 17, 18, 0, 22, tzinfo=UTC)),
        ("1 day", datetime(2026, 12, 31, 23, tzinfo=UTC), datetime(2027, 1, 1, 23, tzinfo=UTC)),
        ("1 month and 15 days", datetime(2026, 11, 1, tzinfo=UTC), datetime(2027, 1, 16, tzinfo=UTC)),
        ("1 month and 15 days", datetime(2026, 11, 30, 23, 59, tzinfo=UTC), datetime(2027, 1, 16, tzinfo=UTC)),
        ("1 month and 15 days", datetime(2026, 11, 30, 20, tzinfo=WEST), datetime(2027, 2, 16, tzinfo=UTC)),
        ("2 months", datetime(2026, 10, 5, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)),
        ("2 months after the end of the month", datetime(2026, 10, 5, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)),
        ("0 months and 1 day", datetime(2026, 2, 28, tzinfo=UTC), datetime(2026, 3, 2, tzinfo=UTC)),
        ("15 days after the end of the month", datetime(2026, 12, 5, tzinfo=UTC), datetime(2027, 1, 16, tzinfo=UTC)),
        ("12 months", datetime(2026, 12, 5, tzinfo=UTC), datetime(2028, 1, 1, tzinfo=UTC)),
    ],
)
def test_an_action_locks_when_the_rule_says(rule: str, event: datetime, locks: datetime) -> None:
    """Days count from the event, months from the end of its month in UTC, whatever offset it was written with."""
    assert parse_locking_rule(rule).locks_at(event) == locks


@pytest.mark.parametrize(
    "rule",
    [
        *("", "soon", "28 days", "0 days", "0 months", "-1 days", "1.5 months", "37 months", "1 month and 32 days"),
        *("1 month 15 days", "1 month and ", " and 1 day", " after the end of the month", "1 days after", "٣ days"),
    ],
)
def test_what_is_no_rule_stops_the_start(rule: str) -> None:
    """With a sentence that shows how it is written."""
    with pytest.raises(ValueError, match="locking period"):
        EventType.model_validate({"campaign_id": 1, "action_tracker_id": 2, "locks_after": rule})


@pytest.mark.parametrize("rule", [27, True, ["27 days"], {"days": 3}])
def test_a_rule_is_text(rule: object) -> None:
    """A number alone says neither days nor months."""
    with pytest.raises(ValueError, match="locking period"):
        EventType.model_validate({"campaign_id": 1, "action_tracker_id": 2, "locks_after": rule})


def test_without_a_rule_nothing_is_locked() -> None:
    """Not here: impact.com may refuse all the same."""
    event_type = EventType(campaign_id=1, action_tracker_id=2)
    assert event_type.locks_at(datetime(2000, 1, 1, tzinfo=UTC)) is None

"""When impact.com locks an action: after that nothing of it can be changed any more.

Facts: impact.com's page on locking and payment scheduling. A period of days alone has at most 27; longer ones are
months and days after the end of the month in which the event happened. Months are those of UTC here.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

MAX_DAYS: Final = 27
"""Of a period that is days alone."""
MAX_DAYS_OF_MONTH: Final = 31
MAX_MONTHS: Final = 36

_PERIOD: Final = re.compile(
    r"(?:(?P<months>[0-9]{1,3}) months?)?(?: and )?(?:(?P<days>[0-9]{1,3}) days?)?"
    r"(?P<of_month> after the end of the month)?"
)


@dataclass(frozen=True, slots=True)
class LockingRule:
    """So many months and days after the event, or after the end of its month (`of_month`)."""

    months: int
    days: int
    of_month: bool

    def locks_at(self, event_at: datetime) -> datetime:
        """Return the instant from which an action is locked, in UTC."""
        event_at = event_at.astimezone(UTC)
        if not self.of_month:
            return event_at + timedelta(days=self.days)
        months = event_at.year * 12 + event_at.month + self.months  # counted from 0: the month after, and so many more
        return datetime(months // 12, months % 12 + 1, 1, tzinfo=UTC) + timedelta(days=self.days)


def parse_locking_rule(text: str) -> LockingRule:
    """Return the rule that a text such as `27 days` or `1 month and 15 days` states. Raises ValueError."""
    match = _PERIOD.fullmatch(text)
    months, days = (match and match["months"]), (match and match["days"])
    is_joined = bool(months and days) == (" and " in text)
    of_month = bool(months or (match and match["of_month"]))
    if not match or not (months or days) or not is_joined:
        raise ValueError(
            f"{text!r} is no locking period; write `27 days` (after the event), or `1 month and 15 days`, `2 months` or"
            " `15 days after the end of the month` (all three after the end of the event's month in UTC)"
        )
    rule = LockingRule(int(months or 0), int(days or 0), of_month)
    most_days = MAX_DAYS_OF_MONTH if of_month else MAX_DAYS
    if not rule.months + rule.days or rule.days > most_days or rule.months > MAX_MONTHS:
        raise ValueError(
            f"{text!r}: a locking period has 1 to {MAX_DAYS} days, or at most {MAX_MONTHS} months and"
            f" {MAX_DAYS_OF_MONTH} days after the end of the month"
        )
    return rule

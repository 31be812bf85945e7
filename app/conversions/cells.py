"""What the cells of a shop's own CSV say: numbers and times as they are written there, as the text of a body."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo

from app.conversions.mapping import NUMBERS, Mapping
from app.impact.columns import EXTRA, Kind

Convert = Callable[[str], str]

_NO_NUMBER: Final = "AMOUNT_NEGATIVE_OR_NOT_A_NUMBER"
_MEMORY: Final = 10_000


class Unclear(ValueError):
    """A cell that does not say what its column should."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


def converter(field: str, mapping: Mapping | None) -> Convert | None:
    """Return what makes a cell of this field's column the text of a body, None if it is that already."""
    kind = EXTRA[field].kind if field in EXTRA else None
    if field in NUMBERS or kind in {Kind.DECIMAL, Kind.INTEGER}:
        return _number_reader(mapping, whole=field == "quantity")
    if mapping and (mapping.date_format or mapping.time_zone) and (field == "event_date" or kind is Kind.DATETIME):
        return _remembered(_date_reader(mapping))
    return None


def _number_reader(mapping: Mapping | None, *, whole: bool) -> Convert | None:
    point, thousands = (mapping.decimal_mark, mapping.thousands_mark) if mapping else (".", "")
    if (point, thousands, whole) == (".", "", False):
        return None
    grouped = re.compile(rf"[0-9]{{1,3}}({re.escape(thousands)}[0-9]{{3}})*") if thousands else None

    def read(cell: str) -> str:
        before, mark, behind = cell.strip().partition(point)
        if grouped and thousands in before:
            if not grouped.fullmatch(before):
                raise Unclear(
                    _NO_NUMBER, f"{thousands!r} stands between groups of three digits, {point!r} before decimals."
                )
            before = before.replace(thousands, "")
        if "." in before or "." in behind:
            raise Unclear(_NO_NUMBER, f"This has a point, and decimals stand behind {point!r}.")
        return before if whole and not behind.strip("0") else f"{before}{mark and '.'}{behind}"

    return _remembered(read)


def _date_reader(mapping: Mapping) -> Convert:
    zone = ZoneInfo(mapping.time_zone) if mapping.time_zone else None
    form = mapping.date_format
    wanted = f"This must be a time written {f'as {form}' if form else 'in ISO 8601'}."

    def read(cell: str) -> str:
        try:
            moment = datetime.strptime(cell.strip(), form) if form else datetime.fromisoformat(cell.strip())  # noqa: DTZ007 (below)
            there = moment.replace(tzinfo=zone) if moment.tzinfo is None else moment
            exists = there.astimezone(UTC).astimezone(there.tzinfo).replace(tzinfo=None) == moment.replace(tzinfo=None)
        except (ValueError, OverflowError):  # in UTC the first and the last day may lie beyond those that there are
            raise Unclear("INVALID_EVENT_DATE", wanted) from None
        if there.tzinfo is None:
            raise Unclear("INVALID_EVENT_DATE", "This has no offset; name the mapping's time_zone.")
        if not exists:
            raise Unclear("INVALID_EVENT_DATE", f"There is no such time in {mapping.time_zone}: clocks go forward.")
        return there.isoformat()

    return read


def _remembered(read: Convert) -> Convert:
    """Return a reader that remembers what it read: the lines of an order, and of a shop, are much alike."""
    known: dict[str, str] = {}

    def look(cell: str) -> str:
        text = known.get(cell)
        if text is None:
            if len(known) >= _MEMORY:
                known.clear()
            text = known[cell] = read(cell)
        return text

    return look

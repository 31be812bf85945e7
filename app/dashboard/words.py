"""How numbers, times and text from outside are written on a page."""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from typing import Any, Final

from markupsafe import Markup, escape

NOTHING: Final = "\N{EN DASH}"
THIN_SPACE: Final = "\N{NARROW NO-BREAK SPACE}"
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?[+-]\d\d:\d\d")
_BY_CALL: Final = re.compile(r"by PUT /orders/\S+/attribution")
_CORRECTED_BY_CALL: Final = re.compile(r"by POST /batches/\S+/corrections\b")
_CODE: Final = re.compile(r"`([^`]+)`")


def number(value: int | None) -> str:
    """Write a whole number with its thousands apart."""
    return NOTHING if value is None else f"{value:,}".replace(",", THIN_SPACE)


def money(amount: str) -> str:
    """Write an exact amount, given as text, with its thousands apart."""
    whole, point, rest = amount.partition(".")
    sign = whole[: whole.startswith("-")]
    return sign + number(int(whole.removeprefix("-"))) + point + rest


def share(part: int, whole: int) -> str:
    """Write a part in percent. Only all of it is 100 % and only nothing is 0 %: one order of thousands is not lost."""
    if whole == 0:
        return NOTHING
    permille = min(max((2000 * part + whole) // (2 * whole), 1 if part else 0), 1000 if part == whole else 999)
    return f"{permille // 10}.{permille % 10}{THIN_SPACE}%"


def moment(value: datetime | None) -> str:
    """Write a point in time to the minute, in UTC, so that a machine can read it too."""
    if value is None:
        return NOTHING
    utc = value.astimezone(UTC)
    return Markup('<time datetime="{}">{}</time>').format(
        utc.isoformat(timespec="seconds"), utc.strftime("%Y-%m-%d %H:%M")
    )


def as_time(text: str) -> datetime:
    """Return the point in time that is written in a text with its offset."""
    return datetime.fromisoformat(text)


def readable(text: str) -> str:
    """Write the points in time within a sentence as they are written elsewhere on a page."""
    return _TIME.sub(lambda found: f"{as_time(found[0]).astimezone(UTC):%Y-%m-%d %H:%M}", text)


def by_form(text: str, where: str = "on this page") -> str:
    """Point to the forms that say whom an order is credited to and correct a batch, in place of calls that do so."""
    return _CORRECTED_BY_CALL.sub("with the corrections of its batch", _BY_CALL.sub(where, text))


def day(value: date) -> str:
    """Write a day with its weekday, by which people know it."""
    return Markup('<time datetime="{}">{}</time>').format(value.isoformat(), value.strftime("%a %Y-%m-%d"))


def said(value: object) -> str:
    """Write text that came from outside apart from its surroundings, whatever direction its characters have."""
    return NOTHING if value is None else Markup("<bdi>{}</bdi>").format(str(value))


def coded(text: str) -> str:
    """Write one of our own sentences, in which commands and settings stand between backticks."""
    return Markup(_CODE.sub(r"<code>\1</code>", str(escape(text))))  # noqa: S704 (it is escaped before)


def spoken(name: str) -> str:
    """Write one of our names, such as a state, as words."""
    return name.replace("_", " ")


_TONES: Final = {
    **dict.fromkeys(("accepted", "delivered", "done", "released"), "good"),
    **dict.fromkeys(("pending", "batched", "rendered", "sending", "queued", "running", "started"), "under-way"),
    **dict.fromkeys(("held", "unknown", "partly_accepted", "partly_rejected", "warning"), "warning"),
    **dict.fromkeys(("rejected", "expired", "failed", "error"), "bad"),
}


def tone(state: str) -> str:
    """Return the class by which a state is coloured; its word stands beside the colour everywhere."""
    return _TONES.get(state, "neutral")


FILTERS: Final[Mapping[str, Callable[..., Any]]] = {
    one.__name__: one
    for one in (number, money, share, moment, as_time, readable, by_form, day, said, coded, spoken, tone)
}
"""By the names that templates know them by."""

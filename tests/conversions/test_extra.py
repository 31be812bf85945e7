"""Optional parameters are checked against impact.com's catalogue: name, level, type, length."""

import time
from decimal import Decimal
from typing import Any

import pytest

from app.conversions.extra import parse_time, read_extra
from app.impact.columns import DISCOUNTS, EXTRA, OWN_FIELD, Kind, Level
from tests.support import NOW

GOOD: dict[Kind, Any] = {
    Kind.TEXT: "x",
    Kind.INTEGER: 17,
    Kind.DECIMAL: Decimal("-1.50"),
    Kind.BOOLEAN: True,
    Kind.DATETIME: "2026-11-20T18:00:22+01:00",
    Kind.EMAIL_HASH: "a" * 64,
}
BAD: dict[Kind, list[Any]] = {
    Kind.TEXT: [17, True, None, "", ["x"], {}],
    Kind.INTEGER: ["x", Decimal("1.5"), True, "1.0", None, 10**18, "1" * 19],
    Kind.DECIMAL: ["1,5", "1e3", "NaN", True, None, 10**12, "1.", ".5", Decimal("1e-11")],
    Kind.BOOLEAN: ["yes", 1, 0, None, "TRUE"],
    Kind.DATETIME: ["2026-11-20", "2026-11-20T18:00:22", 17, None, "now"],
    Kind.EMAIL_HASH: ["someone@shop.example", "a" * 63, "g" * 64, 17],
}


def codes(name: str, value: Any, level: Level, *, net: bool = False) -> list[tuple[str, str]]:
    """Return the faults of one parameter."""
    return [(one.code, one.pointer) for one in read_extra({name: value}, level, net_amounts=net)[1]]


@pytest.mark.parametrize("name", EXTRA)
def test_every_parameter_of_the_catalogue_is_accepted_where_it_belongs(name: str) -> None:
    """Right value, right level; on the other level it is refused."""
    parameter = EXTRA[name]
    other = Level.ITEM if parameter.level is Level.ORDER else Level.ORDER
    assert codes(name, GOOD[parameter.kind], parameter.level) == []
    assert codes(name, GOOD[parameter.kind], other) == [("UNKNOWN_PARAMETER", f"/{name}")]
    for bad in BAD[parameter.kind]:
        assert codes(name, bad, parameter.level) == [("MALFORMED", f"/{name}")], bad


@pytest.mark.parametrize("name", [name for name, one in EXTRA.items() if one.kind is Kind.TEXT])
def test_texts_have_the_length_that_impact_has_room_for(name: str) -> None:
    """Characters, not bytes; nothing is cut off silently."""
    most = EXTRA[name].max_length
    assert codes(name, "ü" * most, EXTRA[name].level) == []
    assert codes(name, "ü" * (most + 1), EXTRA[name].level) == [("MALFORMED", f"/{name}")]


@pytest.mark.parametrize("name", [*OWN_FIELD, "note", "Nonsense", "Text51", ""])
def test_what_has_a_field_of_its_own_or_is_unknown_is_refused(name: str) -> None:
    """The sentence names the field to use."""
    [fault] = read_extra({name: "x"}, Level.ORDER, net_amounts=False)[1]
    assert fault.code == "UNKNOWN_PARAMETER"
    assert OWN_FIELD.get(name, "names are case-sensitive") in fault.detail


@pytest.mark.parametrize("name", sorted(DISCOUNTS))
def test_a_discount_is_not_taken_off_twice(name: str) -> None:
    """impact.com subtracts it: with amounts that are net already it must not come."""
    assert codes(name, "1.00", EXTRA[name].level) == []
    assert codes(name, "1.00", EXTRA[name].level, net=True) == [("DISCOUNT_TWICE", f"/{name}")]


def test_numbers_become_plain_text() -> None:
    """As a file shows them: no exponent, every digit."""
    values = {"OrderTax": Decimal("1.50"), "Numeric1": Decimal("1e3"), "Money1": 7, "Text1": "00,1"}
    texts, faults = read_extra(values, Level.ORDER, net_amounts=False)
    assert (texts, faults) == ({"OrderTax": "1.50", "Numeric1": "1000", "Money1": "7", "Text1": "00,1"}, [])


def test_all_faults_are_listed_and_quickly() -> None:
    """A thousand wrong names are a thousand faults."""
    began = time.process_time()
    assert len(read_extra({f"x{number}": 1 for number in range(1_000)}, Level.ORDER, net_amounts=False)[1]) == 1_000
    assert time.process_time() - began < 5


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-22T12:00Z",
        "2026-11-22T12:00:00Z",
        "2026-11-22T13:00:00+01:00",
        "2026-11-22T12:00:00.0+00:00",
        "2026-11-22T06:30:00,000000-05:30",
    ],
)
def test_a_time_has_its_offset(text: str) -> None:
    """ISO 8601 in its common writings names one instant."""
    assert parse_time(text) == NOW


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-11-22",
        "2026-11-22T12:00:00",
        "2026-11-22 12:00:00Z",
        "2026-11-22T24:00:00Z",
        "2026-02-29T12:00:00Z",
        "2026-11-22T12:00:60Z",
        "2026-11-22T12:00:00+24:00",
        "2026-11-22T12:00:00+0100",
        "20261122T120000Z",
        "2026-W47-7T12:00:00Z",
        "٢٠٢٦-11-22T12:00:00Z",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00",
        "2026-11-22T12:00:00Z\n",
        None,
        0,
    ],
)
def test_anything_else_is_no_time(text: object) -> None:
    """Nothing is guessed: no local time, no day, nothing beyond the calendar."""
    assert parse_time(text) is None


def test_a_leap_day_exists_in_its_year() -> None:
    """29 February 2028 is a day."""
    assert parse_time("2028-02-29T23:59:59+14:00") is not None

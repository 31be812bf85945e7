"""The catalogue of columns says what impact.com says."""

import csv
from pathlib import Path

from app.impact.columns import (
    DISCOUNTS,
    EXTRA,
    FIELD_OF,
    ITEM_COLUMNS,
    MINIMUM_COLUMNS,
    OPTIONAL_COLUMNS,
    OWN_FIELD,
    Level,
)

GOLDEN = Path(__file__).parent.parent / "data" / "item-level.csv"


def test_the_minimum_columns_are_those_of_impact_s_example() -> None:
    """The header of a plain file is the one that impact.com shows."""
    with GOLDEN.open(newline="", encoding="utf-8") as example:
        assert next(csv.reader(example)) == list(MINIMUM_COLUMNS)
    assert set(ITEM_COLUMNS) < set(MINIMUM_COLUMNS)


def test_a_value_has_one_way_into_an_order() -> None:
    """A name is either a field of the order or goes into extra, so that the two cannot contradict each other."""
    assert not set(EXTRA) & set(OWN_FIELD)
    assert set(FIELD_OF) <= set(OWN_FIELD)
    assert set(FIELD_OF) <= set(OPTIONAL_COLUMNS)
    assert not set(OPTIONAL_COLUMNS) & set(MINIMUM_COLUMNS)


def test_every_optional_column_has_a_source() -> None:
    """No column can be configured that would always be empty."""
    assert set(OPTIONAL_COLUMNS) == set(FIELD_OF) | {name for name, one in EXTRA.items() if one.csv}


def test_the_catalogue_has_the_families_whole() -> None:
    """Text1 to Text50, Numeric1 to Numeric10, Money1 to Money3, Date1 to Date10, and the same for items."""
    for family, last in (("Text", 50), ("Numeric", 10), ("Money", 3), ("Date", 10)):
        assert {f"{family}{number}" for number in range(1, last + 1)} <= set(EXTRA)
        assert f"{family}{last + 1}" not in EXTRA
        assert f"{family}0" not in EXTRA
        assert all(EXTRA[f"Item{family}_{number}"].level is Level.ITEM for number in range(1, last + 1))
    assert set(EXTRA) >= DISCOUNTS

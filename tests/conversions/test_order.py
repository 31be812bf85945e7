"""What an order is, and what makes two bodies the same order."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.conversions.order import Attribution, Item, Order, is_order_id, merge
from tests.support import NOW, order

ITEMS = st.builds(
    Item, st.sampled_from("ABCDE"), st.sampled_from(["Tools", "Toys"]), st.integers(1, 9), st.integers(0, 10**6)
)


@given(st.lists(ITEMS, min_size=1, max_size=12))
def test_merging_loses_nothing(items: list[Item]) -> None:
    """One line per SKU, in the order of their first lines; quantities and amounts add up to the same."""
    merged = merge(items)
    assert [one.sku for one in merged] == list(dict.fromkeys(one.sku for one in items))
    assert sum(one.amount for one in merged) == sum(one.amount for one in items)
    assert sum(one.quantity for one in merged) == sum(one.quantity for one in items)
    assert merge(merged) == merged


FULL = order(
    "A",
    promo_code="P",
    media_id="7",
    customer_id="c",
    customer_status="New",
    extra={"OrderTax": "1.50", "Date1": "2026-01-01T00:00:00+01:00", "Note": "1.50"},
)
OTHERS: dict[str, Any] = {
    "event_type": "signup",
    "order_id": "a",
    "event_date": NOW,
    "currency": "EUR",
    "items": (*FULL.items, Item("more", "Tools", 1, 0)),
    "click_id": None,
    "promo_code": "p",
    "media_id": "8",
    "customer_id": None,
    "customer_status": "new",
    "extra": {**FULL.extra, "Note": "1.5"},
    "parent": ("trial", "T-1"),
}


def test_every_field_makes_another_order() -> None:
    """No change of an order can pass as its repetition: not of any field."""
    assert set(OTHERS) == {field.name for field in fields(Order) if field.compare}
    for name, value in OTHERS.items():
        assert replace(FULL, **{name: value}).fingerprint() != FULL.fingerprint(), name


def fingerprint_of_0_1(one: Order) -> str:
    """Return the fingerprint as the first version wrote it into databases."""
    names = ("event_type", "order_id", "currency", "click_id", "promo_code", "media_id", "customer_id")
    meaning = {name: getattr(one, name) for name in (*names, "customer_status")} | {
        "event_date": one.event_date.astimezone(UTC).isoformat(),
        "extra": meant(one.extra),
        "items": sorted([item.sku, item.category, item.quantity, item.amount, meant(item.extra)] for item in one.items),
    }
    text = json.dumps(meaning, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def meant(extra: Mapping[str, str]) -> dict[str, str]:
    """Return the values of `extra` as they were compared: numbers without noughts, instants in UTC."""
    return {
        name: format(Decimal(text).normalize(), "f") if name.startswith("Order") and Decimal(text) else text
        for name, text in extra.items()
    }


TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
EXTRA = st.dictionaries(st.sampled_from(["Note", "Text1", "Name"]), TEXT) | st.fixed_dictionaries(
    {"OrderTax": st.decimals(1, 10**6, places=3).map(str), "Note": TEXT}
)
ORDERS = st.builds(
    Order,
    event_type=TEXT,
    order_id=TEXT,
    event_date=st.datetimes(
        datetime(1000, 1, 2),  # noqa: DTZ001 (Hypothesis gives it the zone)
        datetime(9999, 12, 30),  # noqa: DTZ001
        timezones=st.integers(-840, 840).map(lambda minutes: timezone(timedelta(minutes=minutes))),
    ),
    currency=st.sampled_from(["USD", "JPY"]),
    items=st.lists(
        st.builds(Item, TEXT, TEXT, st.integers(1, 2**31 - 1), st.integers(0, 10**16 - 1), EXTRA),
        unique_by=lambda item: item.sku,
    ).map(tuple),
    click_id=st.none() | TEXT,
    promo_code=st.none() | TEXT,
    media_id=st.none() | TEXT,
    customer_id=st.none() | TEXT,
    customer_status=st.none() | TEXT,
    extra=EXTRA,
)


@given(ORDERS)
def test_fingerprints_in_existing_databases_stay_valid(one: Order) -> None:
    """An order that was recorded by the first version is still the same order when it is sent again."""
    assert one.fingerprint() == fingerprint_of_0_1(one)


def test_fields_are_not_mixed_up() -> None:
    """The same text in another field is another order."""
    one, other = replace(FULL, click_id=None, promo_code="x"), replace(FULL, click_id="x", promo_code=None)
    assert one.fingerprint() != other.fingerprint()


def test_writing_does_not_matter() -> None:
    """The order of items, the offset of the same instant, noughts at the end of numbers."""
    rewritten = replace(
        FULL,
        items=FULL.items[::-1],
        event_date=FULL.event_date.astimezone(timezone(timedelta(hours=-5))),
        extra={"Note": "1.50", "Date1": "2025-12-31T23:00:00Z", "OrderTax": "1.5"},
    )
    assert rewritten.fingerprint() == FULL.fingerprint()


@pytest.mark.parametrize(
    ("ids", "by"),
    [
        ({"click_id": "c", "promo_code": "p", "media_id": "7"}, Attribution.CLICK),
        ({"click_id": None, "promo_code": "p", "media_id": "7"}, Attribution.PROMO_CODE),
        ({"click_id": None, "media_id": "7"}, Attribution.MEDIA),
        ({"click_id": None}, None),
    ],
)
def test_click_comes_before_promo_code_before_partner(ids: dict[str, Any], by: Attribution | None) -> None:
    """Nobody is guessed: without any of them the order is held."""
    sold = order(**ids)
    assert sold.attribution is by
    assert sold.hold_reason == (None if by else "no_attribution")


@pytest.mark.parametrize("value", ["A", "a b", "x" * 64, "#/%?&", "ü😀日本", "=1+1"])
def test_what_an_order_id_can_be(value: str) -> None:
    """1 to 64 printable characters."""
    assert is_order_id(value)


@pytest.mark.parametrize(
    "value", ["", "x" * 65, " a", "a ", "\u00a0a", "a\u200bb", "a\nb", "\x00", "\ud800", "a\u2028"]
)
def test_what_an_order_id_cannot_be(value: str) -> None:
    """Nothing invisible, and no blank at either end: two ids that look the same are the same."""
    assert not is_order_id(value)

"""The rules of corrections: tables of what is asked and what is left, and money that is exact in every currency."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from app.conversions.correction import Corrected, Newer, Standing, correct
from app.conversions.share import price_of, spread
from app.conversions.wish import ItemWish, Kind, Line, Lines, Wish
from app.errors import Conflict, InvalidInput
from app.impact.currency import DECIMALS

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
ORDER: Lines = (Line("A", "Tools", 3, 1000), Line("B", "Tools", 1, 500), Line("C", "Gifts", 1, 0))


def wish(kind: Kind, *items: ItemWish, amount: str | None = None, reason: str = "OTHER") -> Wish:
    """Return what is asked for."""
    return Wish(kind, reason, items, None if amount is None else Decimal(amount))


def item(sku: str, amount: str | None = None, quantity: int | None = None, category: str | None = None) -> ItemWish:
    """Return what is asked for of a line."""
    return ItemWish(sku, None if amount is None else Decimal(amount), quantity, category)


def left(corrected: Corrected) -> list[tuple[int, int]]:
    """Return quantity and amount of the lines."""
    return [(line.quantity, line.amount) for line in corrected.lines]


MODIFY, REVERSE, REFUND = Kind
UNCHANGED = [(3, 1000), (1, 500), (1, 0)]


@pytest.mark.parametrize(
    ("asked", "lines"),
    [
        (wish(MODIFY, item("A", "7.00")), [(3, 700), (1, 500), (1, 0)]),
        (wish(MODIFY, item("A", "7.00", 2)), [(2, 700), (1, 500), (1, 0)]),
        (wish(MODIFY, item("A", "20")), [(3, 2000), (1, 500), (1, 0)]),
        (wish(MODIFY, item("A", "0.00")), [(0, 0), (1, 500), (1, 0)]),
        (wish(MODIFY, item("A", "0.00", 2)), [(0, 0), (1, 500), (1, 0)]),
        (wish(MODIFY, item("C", "0", 2)), [(3, 1000), (1, 500), (2, 0)]),
        (wish(MODIFY, item("C", "0", 0)), [(3, 1000), (1, 500), (0, 0)]),
        (wish(MODIFY, item("A", category="Toys")), UNCHANGED),
        (wish(MODIFY, amount="7.50"), [(3, 500), (1, 250), (1, 0)]),
        (wish(MODIFY, amount="10.01"), [(3, 668), (1, 333), (1, 0)]),
        (wish(MODIFY, amount="0.01"), [(3, 1), (0, 0), (1, 0)]),
        (wish(MODIFY, amount="0"), [(0, 0), (0, 0), (0, 0)]),
        (wish(REVERSE, item("A")), [(0, 0), (1, 500), (1, 0)]),
        (wish(REVERSE, item("C")), [(3, 1000), (1, 500), (0, 0)]),
        (wish(REVERSE, item("A"), item("B")), [(0, 0), (0, 0), (0, 0)]),
        (wish(REVERSE), [(0, 0), (0, 0), (0, 0)]),
        (wish(REFUND, item("A", quantity=1)), [(2, 667), (1, 500), (1, 0)]),
        (wish(REFUND, item("A", quantity=2)), [(1, 334), (1, 500), (1, 0)]),
        (wish(REFUND, item("A", quantity=3)), [(0, 0), (1, 500), (1, 0)]),
        (wish(REFUND, item("A", "1.00")), [(3, 900), (1, 500), (1, 0)]),
        (wish(REFUND, item("A", "1.00", 1)), [(2, 900), (1, 500), (1, 0)]),
        (wish(REFUND, item("A", "10.00")), [(0, 0), (1, 500), (1, 0)]),
        (wish(REFUND, item("A", "10.00", 1)), [(0, 0), (1, 500), (1, 0)]),
        (wish(REFUND, item("A", "0", 1)), [(2, 1000), (1, 500), (1, 0)]),
        (wish(REFUND, item("C", quantity=1)), [(3, 1000), (1, 500), (0, 0)]),
        (wish(REFUND, amount="3.00"), [(3, 800), (1, 400), (1, 0)]),
        (wish(REFUND, amount="0.01"), [(3, 999), (1, 500), (1, 0)]),
        (wish(REFUND, amount="15.00"), [(0, 0), (0, 0), (0, 0)]),
    ],
)
@pytest.mark.parametrize("told", [None, ORDER], ids=["unsent", "sent"])
def test_what_is_left(asked: Wish, lines: list[tuple[int, int]], told: Lines | None) -> None:
    """Values are final; what is not spoken of stays; the order is reversed when nothing is left, and only then."""
    corrected = correct(Standing("USD", ORDER, told), asked, NOW)
    assert left(corrected) == lines
    assert corrected.reverses == (not any(quantity for quantity, _ in lines))
    reasons = [
        None if told is None or line == known else "OTHER" for line, known in zip(corrected.lines, ORDER, strict=True)
    ]
    assert [line.reason for line in corrected.lines] == reasons


@pytest.mark.parametrize(
    ("standing", "asked", "code"),
    [
        (Standing("USD", ORDER), wish(MODIFY, item("A", "10.0", 3)), "NO_CHANGE"),
        (Standing("USD", ORDER), wish(MODIFY, amount="15"), "NO_CHANGE"),
        (Standing("USD", ORDER), wish(REFUND, amount="0"), "NO_CHANGE"),
        (Standing("USD", ORDER), wish(REFUND, amount="15.01"), "REFUND_EXCEEDS_ORDER"),
        (Standing("USD", ORDER), wish(REFUND, item("A", quantity=4)), "REFUND_EXCEEDS_ORDER"),
        (Standing("USD", ORDER), wish(REFUND, item("C", "0.01")), "REFUND_EXCEEDS_ORDER"),
        (Standing("USD", ORDER, is_reversed=True), wish(MODIFY, amount="1"), "ALREADY_REVERSED"),
        (Standing("USD", ORDER[1:], gone=frozenset("A")), wish(REVERSE, item("A")), "ALREADY_REVERSED"),
        (Standing("USD", ORDER[1:], gone=frozenset("A")), wish(MODIFY, item("A", "1")), "ALREADY_REVERSED"),
        (Standing("USD", (ORDER[0].reversed(), ORDER[1])), wish(REVERSE, item("A")), "ALREADY_REVERSED"),
        (Standing("USD", (ORDER[0].reversed(), ORDER[1])), wish(MODIFY, item("A", "1")), "ALREADY_REVERSED"),
        (Standing("USD", (ORDER[0].reversed(), ORDER[1])), wish(REFUND, item("A", "0")), "ALREADY_REVERSED"),
        (Standing("USD", ORDER, ORDER, locks_at=NOW), wish(REVERSE), "ALREADY_LOCKED"),
        (Standing("USD", ORDER, ORDER, sent=1_000), wish(REVERSE), "TOO_MANY_MODIFICATIONS"),
        (Standing("USD", ORDER, ORDER, newer=[Newer(MODIFY, frozenset("A"))]), wish(REVERSE), "NO_CHANGE"),
        (Standing("USD", ORDER, ORDER, newer=[Newer(MODIFY, frozenset("A"))]), wish(REVERSE, item("A")), "NO_CHANGE"),
        (
            Standing("USD", ORDER, ORDER, newer=[Newer(REFUND, frozenset("A"))]),
            wish(MODIFY, item("A", "1")),
            "NO_CHANGE",
        ),
    ],
)
def test_what_contradicts_the_record_is_refused(standing: Standing, asked: Wish, code: str) -> None:
    """With the code by which impact.com would refuse it, where it has one."""
    with pytest.raises(Conflict) as refused:
        correct(standing, asked, NOW)
    assert refused.value.code == code


def test_every_fault_of_the_items_is_told() -> None:
    """Each with its place, whatever the currency's decimals are."""
    with pytest.raises(InvalidInput) as refused:
        correct(Standing("JPY", ORDER), wish(MODIFY, item("A", "1.5"), item("X", "1"), item("B", "1.50")), NOW)
    faults = [(fault.code, fault.pointer) for fault in refused.value.faults]
    assert faults == [
        ("AMOUNT_DECIMALS", "/items/0/amount"),
        ("SKU_NOT_FOUND", "/items/1/sku"),
        ("AMOUNT_DECIMALS", "/items/2/amount"),
    ]


def test_locks_and_limits_hold_only_what_impact_com_has() -> None:
    """An order that has not left can change: nothing of it is locked there or was modified there."""
    standing = Standing("USD", ORDER, None, sent=1_000, locks_at=NOW - timedelta(days=1))
    assert correct(standing, wish(REVERSE), NOW).reverses
    later = NOW + timedelta(seconds=1)
    assert correct(replace(standing, told=ORDER, sent=0, locks_at=later), wish(REVERSE), NOW).reverses


def test_a_line_keeps_the_reason_that_waits() -> None:
    """What an earlier correction changed is still to be told, for its own reason; what is as it was told is not."""
    waiting = (
        replace(ORDER[0], amount=900, reason="ITEM_RETURNED"),
        replace(ORDER[1], amount=400, reason="OTHER"),
        ORDER[2],
    )
    corrected = correct(Standing("USD", waiting, ORDER), wish(MODIFY, item("B", "5.00"), reason="ORDER_UPDATE"), NOW)
    assert [line.reason for line in corrected.lines] == ["ITEM_RETURNED", None, None]


def test_a_part_that_comes_late_does_not_keep_the_rest_back() -> None:
    """The lines that nobody spoke of later are corrected, and the answer names the others."""
    standing = Standing("USD", ORDER, ORDER, newer=[Newer(MODIFY, frozenset("A"))])
    corrected = correct(standing, wish(REVERSE, item("A"), item("B")), NOW)
    assert (left(corrected)[:2], corrected.skus) == ([(3, 1000), (0, 0)], ("B",))
    assert corrected.warnings[0].startswith("A:")


def test_only_an_order_of_nothing_is_held() -> None:
    """What cannot be reversed by a file: amount 0 is what impact.com has already."""
    free = (Line("C", "Gifts", 2, 0),)
    assert correct(Standing("USD", free, free), wish(REVERSE), NOW).hold_reason == "zero_amount"
    assert correct(Standing("USD", free), wish(REVERSE), NOW).hold_reason is None
    assert correct(Standing("USD", free, free), wish(MODIFY, item("C", "1")), NOW).hold_reason is None
    assert correct(Standing("USD", ORDER, ORDER), wish(REVERSE), NOW).hold_reason is None


# Money ----------------------------------------------------------------------------------------------------------

AMOUNTS = st.integers(0, 10**16 - 1)
CURRENCIES = st.sampled_from(sorted(DECIMALS))


@given(AMOUNTS, st.lists(AMOUNTS, min_size=1, max_size=20))
def test_shares_add_up_and_are_in_proportion(total: int, weights: list[int]) -> None:
    """To the minor unit; no share is further than one unit from its exact part, and the largest gets what is left."""
    shares = spread(total, weights)
    assert sum(shares) == total
    if whole := sum(weights):
        assert all(share * whole - total * weight + whole >= 0 for share, weight in zip(shares, weights, strict=True))
        assert all(abs(share * whole - total * weight) < whole for share, weight in zip(shares, weights, strict=True))
        assert all(not share for share, weight in zip(shares, weights, strict=True) if not weight)


@given(st.lists(AMOUNTS, min_size=1, max_size=20), st.data())
def test_no_line_gives_back_more_than_it_has(amounts: list[int], data: Any) -> None:
    """Whatever part of what remains is given back."""
    back = data.draw(st.integers(0, sum(amounts)))
    assert all(share <= amount for share, amount in zip(spread(back, amounts), amounts, strict=True))


@given(AMOUNTS, st.integers(1, 1_000), st.data())
def test_pieces_cost_the_same_in_whatever_steps_they_come_back(amount: int, quantity: int, data: Any) -> None:
    """One by one or together: after so many pieces the same amount is left, and with the last one nothing is."""
    steps = data.draw(st.lists(st.integers(1, quantity), max_size=10))
    assume(sum(steps) <= quantity)
    left_amount, left_quantity = amount, quantity
    for units in steps:
        back = price_of(units, left_amount, left_quantity)
        assert 0 <= back <= left_amount
        left_amount, left_quantity = left_amount - back, left_quantity - units
        if not left_quantity:
            break
    at_once = price_of(quantity - left_quantity, amount, quantity)
    assert left_amount == amount - at_once
    assert left_quantity or left_amount == 0


def text_of(minor_units: int, currency: str) -> Decimal:
    """Return an amount as a shop writes it."""
    return Decimal(minor_units).scaleb(-DECIMALS[currency])


LINES = st.lists(st.tuples(st.integers(1, 50), AMOUNTS), min_size=1, max_size=5).map(
    lambda made: tuple(Line(str(place), "Tools", *one) for place, one in enumerate(made))
)


@st.composite
def parts(draw: Any, lines: Lines) -> list[tuple[str, int]]:
    """Return amounts to give back, by SKU, that no line is too small for."""
    found: list[tuple[str, int]] = []
    for line in lines:
        rest = line.amount
        for _ in range(draw(st.integers(0, 4))):
            if rest:
                found.append((line.sku, draw(st.integers(1, rest))))
                rest -= found[-1][1]
    return found


def give_back(currency: str, lines: Lines, refunds: Sequence[tuple[str, int]]) -> Lines:
    """Give amounts back one after the other, as long as something is left."""
    for sku, amount in refunds:
        one = Wish(REFUND, "OTHER", (ItemWish(sku, text_of(amount, currency)),))
        before = sum(line.amount for line in lines)
        lines = correct(Standing(currency, lines), one, NOW).lines
        assert before - sum(line.amount for line in lines) == amount
        assert all(line.amount >= 0 for line in lines)
    return lines


@given(CURRENCIES, LINES, st.data())
def test_refunds_are_exact_in_whatever_order_they_come(currency: str, lines: Lines, data: Any) -> None:
    """In every currency: each takes away what it says, to the minor unit, and the order of them does not matter."""
    refunds = data.draw(parts(lines))
    assume(sum(line.amount for line in lines) > sum(amount for _, amount in refunds))
    shuffled = data.draw(st.permutations(refunds))
    assert give_back(currency, lines, refunds) == give_back(currency, lines, shuffled)


@given(CURRENCIES, LINES, st.data())
def test_refunds_of_the_order_are_exact(currency: str, lines: Lines, data: Any) -> None:
    """Many partial ones, and the last takes the rest: then the order is reversed, and not before."""
    standing = Standing(currency, lines)
    while rest := sum(line.amount for line in standing.lines):
        back = data.draw(st.integers(1, rest))
        corrected = correct(standing, Wish(REFUND, "OTHER", amount=text_of(back, currency)), NOW)
        assert sum(line.amount for line in corrected.lines) == rest - back
        assert all(now.amount <= was.amount for now, was in zip(corrected.lines, standing.lines, strict=True))
        assert corrected.reverses == (back == rest)
        standing = replace(standing, lines=corrected.lines)
        if data.draw(st.booleans()):
            break

"""Money is exact, with the decimals that ISO 4217 gives each currency."""

import random
import re
import time
from decimal import Decimal, localcontext
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.impact.currency import AMOUNT_LIMIT, DECIMALS, format_amount, minor_units_of, to_minor_units

KNOWN = Path(__file__).parent.parent / "data" / "currencies.csv"
CURRENCIES = st.sampled_from(sorted(DECIMALS))


def test_the_common_currencies_have_their_decimals() -> None:
    """Yen have none, dollars two, Kuwaiti dinars three, Uruguay's unit of account four."""
    assert [DECIMALS[code] for code in ("JPY", "USD", "EUR", "KWD", "UYW")] == [0, 2, 2, 3, 4]


@pytest.mark.parametrize("code", ["XXX", "XTS", "XAU", "usd", "", "DEM", "BTC"])
def test_what_is_no_currency_to_pay_in_is_none(code: str) -> None:
    """Gold, test codes, small letters, and money that is gone are not taken for currencies."""
    assert code not in DECIMALS


def test_a_new_version_of_the_library_loses_no_currency() -> None:
    """Amounts are kept in the smallest unit: with other decimals, what is recorded would mean another amount."""
    recorded = dict(line.split(",") for line in KNOWN.read_text("utf-8").splitlines()[1:])
    assert {code: str(DECIMALS.get(code)) for code in recorded} == recorded


@given(CURRENCIES, st.integers(0, 10**12 - 1), st.data())
def test_an_amount_comes_out_as_it_came_in(currency: str, whole: int, data: st.DataObject) -> None:
    """In every currency the text in the file is the same number, with exactly the currency's decimals."""
    decimals = DECIMALS[currency]
    given_decimals = data.draw(st.integers(0, decimals))
    fraction = data.draw(st.integers(0, 10**given_decimals - 1))
    amount = Decimal(f"{whole}.{fraction:0{given_decimals}d}") if given_decimals else Decimal(whole)
    text = format_amount(to_minor_units(amount, currency), currency)
    assert Decimal(text) == amount
    assert len(text.partition(".")[2]) == decimals


@pytest.mark.parametrize("currency", sorted(DECIMALS))
def test_more_decimals_than_the_currency_has_are_refused(currency: str) -> None:
    """Nothing is rounded: 10.50 yen are a mistake in the shop, and so are 10.0 yen."""
    for places in range(6):
        amount = Decimal(f"1.{'0' * places}") if places else Decimal(1)
        if places <= DECIMALS[currency]:
            assert to_minor_units(amount, currency) == 10 ** DECIMALS[currency]
        else:
            with pytest.raises(ValueError, match=f"{currency} has {DECIMALS[currency]} decimals"):
                to_minor_units(amount, currency)


def test_exponents_are_only_another_way_of_writing() -> None:
    """`1e3` is a thousand."""
    assert to_minor_units(Decimal("1e3"), "USD") == 100_000
    assert to_minor_units(Decimal("4.25e1"), "USD") == 4_250
    assert to_minor_units(Decimal("1250E-2"), "USD") == 1_250


def test_the_caller_s_decimal_context_does_not_matter() -> None:
    """Whatever precision a library has set for this thread, no digit is lost."""
    with localcontext(prec=3):
        assert to_minor_units(Decimal("123456789012.34"), "USD") == 12_345_678_901_234


@pytest.mark.parametrize(("minor", "text"), [(0, "0.00"), (5, "0.05"), (50, "0.50"), (1350, "13.50"), (-5, "-0.05")])
def test_small_amounts_keep_their_noughts(minor: int, text: str) -> None:
    """Five cents are 0.05."""
    assert format_amount(minor, "USD") == text
    assert format_amount(abs(minor), "JPY") == str(abs(minor))


def test_a_hundred_thousand_amounts_add_up_exactly() -> None:
    """The sum over a year's orders is right to the cent."""
    chance, began = random.Random(4217), time.process_time()
    amounts = [Decimal(chance.randrange(int(AMOUNT_LIMIT) * 100)).scaleb(-2) for _ in range(100_000)]
    units = [to_minor_units(amount, "EUR") for amount in amounts]
    with localcontext(prec=40):
        assert Decimal(format_amount(sum(units), "EUR")) == sum(amounts)
        assert sum(Decimal(format_amount(one, "EUR")) for one in units) == sum(amounts)
    assert time.process_time() - began < 30


@given(
    st.from_regex(r"[0-9]{1,14}(\.[0-9]{0,5})?", fullmatch=True) | st.text("0123456789.+-eE _\u0662\u00b2", max_size=8),
    st.sampled_from(["USD", "JPY", "TND", "CLF"]),
)
def test_the_quick_way_to_minor_units_says_what_the_exact_one_says(text: str, currency: str) -> None:
    """It may leave a number to the other, but never says anything else; what is no plain number it leaves."""
    units = minor_units_of(text, currency)
    plain = re.fullmatch(r"[0-9]{1,12}(\.[0-9]+)?", text) is not None
    try:
        exact = to_minor_units(Decimal(text), currency) if plain else None
    except ValueError:
        exact = None
    assert units == exact

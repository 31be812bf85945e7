"""Money as impact.com reads it: ISO 4217 codes, and amounts as whole numbers of the smallest unit.

An amount is kept as an integer of minor units (cents, yen, fils): exact on every database, where SQLite's NUMERIC would
go through binary floating point.
"""

from decimal import Context, Decimal
from typing import Final

from iso4217 import Currency

DECIMALS: Final[dict[str, int]] = {
    currency.code: currency.exponent for currency in Currency if currency.exponent is not None
}
"""ISO 4217 code to its number of decimals; codes without one (metals, XXX, XTS) are no money to be paid in."""

AMOUNT_LIMIT: Final = Decimal(10) ** 12
"""Amounts are below this (contract)."""

_WHOLE_DIGITS: Final = AMOUNT_LIMIT.adjusted()
_EXACT: Final = Context(prec=28)  # an amount has at most 16 digits in front of the point and behind it


def to_minor_units(amount: Decimal, currency: str) -> int:
    """Return a finite `amount` below AMOUNT_LIMIT in minor units. Raises ValueError if it has too many decimals.

    `10.00` yen are refused too: a shop that sends decimals of a currency that has none multiplies somewhere.
    """
    decimals, exponent = DECIMALS[currency], amount.as_tuple().exponent
    if not isinstance(exponent, int) or -exponent > decimals:
        raise ValueError(f"{currency} has {decimals} decimals")
    return int(amount.scaleb(decimals, _EXACT))


def minor_units_of(text: str, currency: str) -> int | None:
    """Return what a decimal number below AMOUNT_LIMIT comes to in minor units, or None where that is not certain.

    It is the same as by way of Decimal, in a fifth of the time.
    """
    decimals = DECIMALS[currency]
    whole, point, fraction = text.partition(".")
    if len(whole) > _WHOLE_DIGITS or len(fraction) > decimals or (point and not fraction):
        return None
    digits = whole + fraction.ljust(decimals, "0")
    return int(digits) if whole and digits.isascii() and digits.isdigit() else None


def format_amount(minor_units: int, currency: str) -> str:
    """Return the decimal text with exactly the currency's decimals: 1350 USD is `13.50`, 1350 JPY is `1350`."""
    decimals = DECIMALS[currency]
    if not decimals:
        return str(minor_units)
    sign = "-" if minor_units < 0 else ""
    digits = str(abs(minor_units)).rjust(decimals + 1, "0")
    return f"{sign}{digits[:-decimals]}.{digits[-decimals:]}"

"""Amounts in minor units, read and written without the service's own arithmetic."""

import re
from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Decimal
from typing import Final

from iso4217 import Currency

EXPONENTS: Final[dict[str, int]] = {one.code: one.exponent for one in Currency if one.exponent is not None}
"""The currencies that there are, with their number of decimals."""

_PLAIN: Final = re.compile(r"[0-9]{1,15}(\.[0-9]{1,6})?", re.ASCII)


def decimal_of(text: str) -> Decimal | None:
    """Return a number that is plainly written and not negative, else None."""
    return Decimal(text) if _PLAIN.fullmatch(text) else None


def minor_units(text: str, currency: str) -> int | None:
    """Return an amount in minor units; None if it is negative, no number, or finer than the currency."""
    number = decimal_of(text)
    if number is None:
        return None
    units = number * 10 ** EXPONENTS[currency]
    return int(units) if units == units.to_integral_value() else None


def times(price: str, quantity: int, currency: str) -> int | None:
    """Return the amount of a line from its unit price, which may be finer than the currency, in minor units."""
    number = decimal_of(price)
    if number is None:
        return None
    return int((number * quantity * 10 ** EXPONENTS[currency]).to_integral_value(ROUND_HALF_UP))


def as_decimal(units: int, currency: str) -> Decimal:
    """Return minor units as an amount with the currency's decimals."""
    return Decimal(units).scaleb(-EXPONENTS[currency])


def percentage(units: int, percent: int) -> int:
    """Return so many hundredths of an amount, half a unit rounded up."""
    return (units * percent + 50) // 100


def spread(total: int, weights: Sequence[int]) -> list[int]:
    """Divide a total in proportion to weights that are not all 0; what is left over goes to the largest."""
    whole = sum(weights)
    parts = [total * weight // whole for weight in weights]
    parts[max(range(len(parts)), key=lambda index: weights[index])] += total - sum(parts)
    return parts

"""How a sum is shared out in minor units: exactly, to the last one."""

from collections.abc import Sequence


def spread(total: int, weights: Sequence[int]) -> list[int]:
    """Share `total` out in proportion to weights; what is left over goes, unit by unit, to the largest of them.

    With every weight 0 there is no proportion: the first gets all of it.
    """
    whole = sum(weights)
    if not whole:
        return [total, *(0 for _ in weights[1:])]
    shares = [total * weight // whole for weight in weights]
    largest = sorted(range(len(weights)), key=lambda place: -weights[place])
    for place in largest[: total - sum(shares)]:
        shares[place] += 1
    return shares


def price_of(units: int, amount: int, quantity: int) -> int:
    """Return what `units` of a line of `quantity` pieces cost, the cheapest ones; the last one takes the rest.

    Every piece has its own price, so that it does not matter in which steps pieces are given back.
    """
    price, dearer = divmod(amount, quantity)
    return units * price + max(0, units - (quantity - dearer))

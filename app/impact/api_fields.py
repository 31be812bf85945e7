"""The names that impact.com's API has for what a conversion, a correction and a reversal say.

Facts: the API's OpenAPI documents on conversions and actions (v14). Items are numbered from 1 in a conversion
(`ItemSku1`, `ItemSku2`); in a modification the first one has no number (`Sku`, `Sku2`). A line's amount is said by
`ItemSubTotal` or by `ItemPrice`, never by both: the total is exact also where it cannot be divided by the quantity.
"""

from typing import Final

CONVERSIONS: Final = "Conversions"
ACTIONS: Final = "Actions"
ORDER_AMOUNT: Final = "OrderSubTotalPostDiscount"
"""The amount of an order without items: the only one of an order that the API's document has; not beside items."""
ORDER_AMOUNTS: Final = frozenset({ORDER_AMOUNT, "OrderSubTotalPreDiscount"})
APP: Final = "PropertyId"
"""The System App ID of a mobile app, which in a file stands under ActionTrackerId."""
NOT_BY_DELETE: Final = frozenset({"ORDER_UPDATE", "PARTNER_NOT_ACTIVE"})
"""Reasons that a file may give and a DELETE may not."""
REJECTED: Final = "REJECTED"
"""What a DELETE gives instead: the default where a program has no codes of its own."""


def item_name(name: str, number: int) -> str:
    """Return the API's name for a parameter of item `number`, from the name that a file or an order has for it."""
    full = name if name.startswith("Item") else f"Item{name}"
    before, underscore, index = full.partition("_")
    return f"{before}{number}{underscore}{index}"


def numbered(name: str, number: int) -> str:
    """Return the name of a parameter of item `number` in a modification."""
    return name if number == 1 else f"{name}{number}"


def deletion_reason(reason: str) -> str:
    """Return the disposition code with which a DELETE reverses."""
    return REJECTED if reason in NOT_BY_DELETE else reason

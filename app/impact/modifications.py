"""The columns of a file of modifications and reversals.

Facts: impact.com's page on their parameters and reason codes, and its older edition. Neither shows a template of a file
with items: that a line is an item, and the order of the columns, is what their sentences say; numbered columns are the
older edition's.
"""

from typing import Final

BY_ORDER: Final = ("ActionTrackerID", "Oid")
BY_ACTION: Final = ("ActionID",)
"""What names an order: one of the two in a file."""
ORDER_VALUES: Final = ("Amount", "Reason")
ITEM_VALUES: Final = ("SKU", "Amount", "Quantity", "Category", "Reason")
INDEXED_VALUES: Final = ("Sku", "Amount", "Quantity", "Category", "Reason")
"""Numbered from 1. The older edition numbers all but the reason. The newer one wants one for each item, and they may
differ within an order, so that it is numbered too."""
OPTIONAL_VALUES: Final = ("currencyCode", "CustomerStatus")
"""What a line of an order may have besides."""
MOST_INDEXED: Final = 1_000
"""Items in one line with numbered columns: so long a header can still be read."""
SKU_LENGTH: Final = 40
"""The older edition has so many characters."""
AMOUNT_DIGITS: Final = 6
"""The older edition has DECIMAL(8,2), so many digits before the point."""
ACTION_ID_LENGTH: Final = 64

"""Why an action is changed: impact.com's standard disposition codes, as a file may give them.

Facts: impact.com's page on batch modifications and reversals. Codes that only its API takes (REJECTED,
CONS_INFO_INVALID, MP_RETURNED) are no reasons in a file, and APPROVED is one only where an event type has it as a
custom code that approves.
"""

from collections.abc import Iterable
from typing import Final

STANDARD_REASONS: Final = {
    "CONS_FRAUD": "Fraud by the consumer",
    "CONS_ERROR": "Error made by the consumer",
    "ITEM_RETURNED": "Item came back",
    "ORDER_ERROR": "Error in the order",
    "ORDER_UPDATE": "Order changed",
    "PUB_ACT_DISPUTE": "Partner activity disputed",
    "ADV_ACT_DISPUTE": "Brand activity disputed",
    "NOT_COMPLIANCE_TERMS": "Breaks the agreed terms",
    "ITEM_OUT_OF_STOCK": "Item not in stock",
    "TEST_ACTION": "Test order",
    "PARTNER_NOT_ACTIVE": "Partner account switched off",
    "CREDITED_DIFFERENT_MP": "Credit belongs to another partner",
    "OTHER": "Any other reason",
}

MAX_CORRECTIONS: Final = 1_000
"""So often an action can be modified."""
LONGEST_REASON: Final = 64


def known_reasons(custom: Iterable[str] = ()) -> tuple[str, ...]:
    """Return the codes that a file of an event type with these custom codes may give, the standard ones first."""
    return tuple(dict.fromkeys((*STANDARD_REASONS, *custom)))

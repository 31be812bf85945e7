"""What is personal: what can say who somebody is, or lead to what else is known of them.

Of an order these are its click id, its customer id, and every optional parameter but those that are known to be about
the sale, the shop or the app: what a program's own fields hold, only the shop knows. What was sold, when and for how
much stays, under the shop's own order id, since refunds, reconciliation and impact.com's answers go by it.
"""

import json
import re
from collections.abc import Collection, Mapping
from typing import Final

REMOVED: Final = "[removed]"

_SALE: Final = (
    "OrderSubtotal OrderSubTotalPreDiscount OrderSubTotalPostDiscount OrderDiscount OrderDiscountRate OrderShipping"
    " OrderTax OrderMargin OrderRebate OrderPromoCodeDesc PaymentType GiftPurchase DispositionCode"
    " ItemSubCategory Name ItemName ItemMpn ItemBrand ItemPromoCode ItemDeliveryType ItemDiscount ItemDiscountRate"
    " ItemTotalDiscount Money1 Money2 Money3 ItemMoney_1 ItemMoney_2 ItemMoney_3"
)
_SHOP_AND_APP: Final = "LocationId LocationName LocationType EventCode AppPackage AppName AppVer PropertyId"
_OF_MANY: Final = "CustomerCountry CountryCode TrackingConsent"
"""True of so many people that they tell none of them."""
_COLUMNS: Final = (
    "CampaignId ActionTrackerId EventDate OrderId CurrencyCode Amount Category Sku Quantity"
    " PromoCode OrderPromoCode MediaId MediaPartnerId CustomerStatus"
)
STAYS: Final = frozenset(f"{_SALE} {_SHOP_AND_APP} {_OF_MANY} {_COLUMNS}".split())


def is_personal(name: str) -> bool:
    """Say whether what is under one of impact.com's names is personal; a name that is not known here is."""
    return name not in STAYS


def without_personal(extra: str | None) -> str | None:
    """Return the optional parameters of an order or item as they are stored, without those that are personal."""
    if extra is None:
        return None
    stays = {name: value for name, value in _read(extra).items() if not is_personal(name)}
    return json.dumps(stays, ensure_ascii=False, sort_keys=True) if stays else None


def personal_values(extra: str | None) -> set[str]:
    """Return the values of those that are personal."""
    return {value for name, value in _read(extra).items() if is_personal(name)}


def without_values(text: str, values: Collection[str]) -> str:
    """Return a text in which values stand no more, where they stood by themselves and not within a longer word."""
    found = [re.escape(value) for value in sorted(values, key=len, reverse=True) if value and value in text]
    return re.sub(rf"(?<![\w-])(?:{'|'.join(found)})(?![\w-])", REMOVED, text) if found else text


def _read(extra: str | None) -> Mapping[str, str]:
    read: dict[str, str] = json.loads(extra) if extra else {}
    return read

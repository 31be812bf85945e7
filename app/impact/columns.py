"""The catalogue of conversion parameters: impact.com's names, and what their values must look like.

Sources: impact.com's FTP and e-mail conversion guide (the minimum columns and their order), its conversion reference
and the v14 conversions API description (everything else). Where the CSV spelling of a parameter was found in none of
them, `csv` is False: an order may carry it, a file does not.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

MINIMUM_COLUMNS: Final = (
    "CampaignId",
    "ActionTrackerId",
    "EventDate",
    "OrderId",
    "ClickId",
    "CustomerId",
    "CurrencyCode",
    "Amount",
    "Category",
    "Sku",
    "Quantity",
)
"""The item-level file, complete and in this order; further columns stand to the right."""

ITEM_COLUMNS: Final = ("Amount", "Category", "Sku", "Quantity")
"""Of those, what may differ between the lines of one order."""

ORDER_COLUMNS: Final = MINIMUM_COLUMNS[:-3]
"""The order-level file: the same without the columns that name an item. impact.com's template of it was not found."""

CHAINED_COLUMNS: Final = (
    "CampaignId",
    "ActionTrackerId",
    "CustomerId",
    "OrderId",
    "EventDate",
    "Amount",
    "CurrencyCode",
    "ClickId",
)
"""The file of chained actions, parents and children alike, by impact.com's page about them."""

FILE_COLUMNS: Final = {
    "item": MINIMUM_COLUMNS,
    "order": ORDER_COLUMNS,
    "chained": CHAINED_COLUMNS,
    "mobile": MINIMUM_COLUMNS,
}
"""The columns that a file of each level must have, in their order; a mobile one has `EVENT_CODE` at their right."""

ONE_LINE_LEVELS: Final = frozenset({"order", "chained"})
"""The levels at which an order is one line, with the sum of its items; at the others each item is one."""

EVENT_CODE: Final = "EventCode"
"""Names the event within a mobile app, whose System App ID stands under ActionTrackerId."""
EVENT_CODE_LENGTH: Final = 128
CUSTOMER_EMAIL: Final = "CustomerEmail"
"""A hash of the customer's address, never the address."""
TRACKING_CONSENT: Final = "TrackingConsent"
"""Whether the visitor consented to tracking."""


class Kind(StrEnum):
    """What a parameter's value is."""

    TEXT = "text"
    INTEGER = "integer"
    DECIMAL = "decimal"
    BOOLEAN = "boolean"
    DATETIME = "datetime"
    EMAIL_HASH = "email hash"


class Level(StrEnum):
    """Where a parameter belongs: said once for the order, or for each of its items."""

    ORDER = "order"
    ITEM = "item"


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a conversion. `max_length` is in characters; `csv`: a file may have it as a column."""

    name: str
    kind: Kind = Kind.TEXT
    max_length: int = 255
    level: Level = Level.ORDER
    csv: bool = True


def _order(names: str, kind: Kind = Kind.TEXT, max_length: int = 255, *, csv: bool = True) -> list[Parameter]:
    return [Parameter(name, kind, max_length, Level.ORDER, csv) for name in names.split()]


def _item(names: str, kind: Kind = Kind.TEXT, max_length: int = 255, *, csv: bool = True) -> list[Parameter]:
    return [Parameter(name, kind, max_length, Level.ITEM, csv) for name in names.split()]


def _numbered(prefix: str, last: int) -> str:
    return " ".join(f"{prefix}{number}" for number in range(1, last + 1))


_EXTRA = (
    # About the sale
    _order("OrderSubtotal OrderDiscount OrderShipping OrderTax", Kind.DECIMAL)
    + _order(
        "OrderSubTotalPreDiscount OrderSubTotalPostDiscount OrderDiscountRate OrderMargin",
        Kind.DECIMAL,
        csv=False,
    )
    + _order("OrderRebate", Kind.DECIMAL, csv=False)
    + _order("OrderPromoCodeDesc LocationId LocationName LocationType", csv=False)
    + _order("PaymentType", max_length=32)
    + _order("GiftPurchase", Kind.BOOLEAN, csv=False)
    # Described for the API alone; a program whose files may say it too names it among its columns.
    + _order(TRACKING_CONSENT, Kind.BOOLEAN)
    + _order("Note SubId1 SubId2 SubId3 SharedId")
    + _order("DispositionCode", max_length=64)
    # About the customer
    + _order("CustomProfileId", max_length=70)
    + _order("CustomClickId", csv=False)
    + _order(CUSTOMER_EMAIL, Kind.EMAIL_HASH, 64)
    + _order("CustomerCity CustomerPostCode CustomerRegion CustomerCountry IpAddress PhoneNumber CallerId")
    + _order("CountryCode", max_length=2)
    + _order("UserAgent UniqueUrl", max_length=2000)
    + _order("PageUrl ReferringUrl", max_length=2000, csv=False)
    + _order("Latitude Longitude", Kind.DECIMAL, csv=False)
    # A program's own fields
    + _order(_numbered("Text", 50), max_length=64)
    + _order(_numbered("Numeric", 10) + " " + _numbered("Money", 3), Kind.DECIMAL)
    + _order(_numbered("Date", 10), Kind.DATETIME)
    # Mobile apps
    + _order(EVENT_CODE, max_length=EVENT_CODE_LENGTH)
    + _order("AppleIfa AppleIfv GoogAId AndroidId AppPackage AppVer DeviceMfr DeviceModel")
    + _order("PropertyId", Kind.INTEGER, csv=False)
    + _order(
        "AppInstallRef AppName DeviceOs DeviceOsVer DeviceLocale DeviceCarrier",
        csv=False,
    )
    # An item's own; an API name such as ItemBrand[i] is given on its item, without the index
    + _item("ItemSubCategory Name")
    + _item("ItemMpn", max_length=64)
    + _item("ItemName ItemBrand ItemPromoCode ItemDeliveryType", csv=False)
    + _item("ItemDiscount ItemDiscountRate ItemTotalDiscount", Kind.DECIMAL, csv=False)
    + _item(_numbered("ItemText_", 50), max_length=64, csv=False)
    + _item(
        _numbered("ItemNumeric_", 10) + " " + _numbered("ItemMoney_", 3),
        Kind.DECIMAL,
        csv=False,
    )
    + _item(_numbered("ItemDate_", 10), Kind.DATETIME, csv=False)
)

EXTRA: Final[dict[str, Parameter]] = {parameter.name: parameter for parameter in _EXTRA}
"""What an order or an item may carry in `extra`."""

_FIELDS = (
    _order("PromoCode OrderPromoCode")
    + _order("MediaId MediaPartnerId", Kind.INTEGER, 19)
    + _order("CustomerStatus", max_length=40)
)

OPTIONAL_COLUMNS: Final[dict[str, Parameter]] = {
    parameter.name: parameter for parameter in (*_FIELDS, *_EXTRA) if parameter.csv
}
"""What may stand to the right of the minimum columns."""

FIELD_OF: Final[dict[str, str]] = {
    "PromoCode": "promo_code",
    "OrderPromoCode": "promo_code",
    "MediaId": "media_id",
    "MediaPartnerId": "media_id",
    "CustomerStatus": "customer_status",
}
"""Optional columns whose value is a field of the order of its own, not a part of `extra`."""

OWN_FIELD: Final[dict[str, str]] = FIELD_OF | {
    "CampaignId": "event_type",
    "ActionTrackerId": "event_type",
    "EventTypeId": "event_type",
    "EventTypeCode": "event_type",
    "EventDate": "event_date",
    "OrderId": "order_id",
    "Oid": "order_id",
    "ClickId": "click_id",
    "CustomerId": "customer_id",
    "CurrencyCode": "currency",
    "Currency": "currency",
    "Amount": "amount",
    "ItemPrice": "amount",
    "ItemSubtotal": "amount",
    "ItemSubTotal": "amount",
    "Category": "category",
    "ItemCategory": "category",
    "Sku": "sku",
    "ItemSku": "sku",
    "Quantity": "quantity",
    "ItemQuantity": "quantity",
}
"""impact.com names that are refused in `extra`, because the order has a field for them."""

DISCOUNTS: Final = frozenset(
    {
        "OrderDiscount",
        "OrderDiscountRate",
        "ItemDiscount",
        "ItemDiscountRate",
        "ItemTotalDiscount",
    }
)
"""What impact.com subtracts from the amounts itself, so it must not meet amounts that are already net."""

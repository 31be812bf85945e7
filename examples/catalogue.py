"""What the marketplace of the example sells, where and for which money. Names are as awkward as real ones are."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

DECIMALS: Final = {
    "USD": 2,
    "EUR": 2,
    "GBP": 2,
    "JPY": 0,
    "KWD": 3,
    "CHF": 2,
    "SEK": 2,
    "CAD": 2,
    "AUD": 2,
    "PLN": 2,
    "INR": 2,
}
"""The currencies of the marketplace and how many decimals ISO 4217 gives them; kept here so that the demo checks the
service against a list of its own."""

RATES: Final = {
    "USD": Decimal(1),
    "EUR": Decimal("0.92"),
    "GBP": Decimal("0.79"),
    "JPY": Decimal("151.3"),
    "KWD": Decimal("0.307"),
    "CHF": Decimal("0.88"),
    "SEK": Decimal("10.45"),
    "CAD": Decimal("1.37"),
    "AUD": Decimal("1.52"),
    "PLN": Decimal("3.96"),
    "INR": Decimal("83.4"),
}
"""Units for one US dollar, about."""

OFFSETS: Final = {
    "USD": ("-08:00", "-07:00", "-05:00", "-04:00", "Z"),
    "EUR": ("+01:00", "+02:00", "+00:00"),
    "GBP": ("+00:00", "+01:00", "Z"),
    "JPY": ("+09:00",),
    "KWD": ("+03:00",),
    "CHF": ("+01:00", "+02:00"),
    "SEK": ("+01:00", "+02:00"),
    "CAD": ("-03:30", "-05:00", "-08:00"),
    "AUD": ("+10:00", "+10:30", "+08:00"),
    "PLN": ("+01:00", "+02:00"),
    "INR": ("+05:30",),
}
"""The offsets that a currency's customers write their times with; `Z` comes with milliseconds, as browsers do it."""

SHARES: Final = ("USD",) * 8 + ("EUR",) * 8 + ("GBP",) * 4 + ("JPY", "JPY", *tuple(DECIMALS)[4:])
"""One entry for each part of the orders that a currency has."""


@dataclass(frozen=True, slots=True)
class Product:
    """Something to buy; `price` in US dollars."""

    sku: str
    category: str
    price: Decimal
    name: str


def _products(department: str, *lines: tuple[str, str, str, str]) -> dict[str, tuple[Product, ...]]:
    return {department: tuple(Product(sku, category, Decimal(price), name) for sku, category, price, name in lines)}


DEPARTMENTS: Final = (
    _products(
        "outdoor",
        ("A-198237465", "Camping, Tents & Tarps", "189.00", 'Dome tent "Bärenhöhle", 2-3 persons'),
        ("A-91827645", "Sporting Goods", "13.50", "Drinking bottle, 0.7 l"),
        ("OUT-ROPE-9.8/60", "Climbing, Ropes", "149.95", "Dynamic rope 9.8 mm, 60 m"),
        ("OUT-🏕️-START", "🏕️ Starter kits", "79.90", "First night out: mat, lamp, cooker"),
        ("SKI-WACHS-GRÜN", "Wintersport / Zubehör", "11.20", "Steigwachs grün, -10 °C"),
        ('BOOT-42,5-"WIDE"', 'Footwear, "wide" fit', "129.00", "Hiking boot, wide, 42.5"),
        ("SLING-120", "Climbing, Slings", "8.90", "Sling 120 cm"),
    )
    | _products(
        "tools",
        ('SAW-12"-JP', 'Saws, 12" and up', "34.80", "Ryoba saw"),
        ("0007-4410", "Blacksmithing", "42.50", "Cross-peen hammer 1.2 kg"),
        ("=4711-B", "=Clearance", "3.99", "Pencil, carpenter's, box of 3"),
        ("BIT,SET,25", 'Bits; "impact" rated, 25 pieces', "19.99", "Bit set"),
        ("+SCHRAUBE-4x40", "Schrauben & Dübel", "6.49", "Senkkopfschraube 4x40, 200 Stück"),
        ("@VISE-100", "@Workbench", "64.00", "Bench vise 100 mm"),
        ("-10C-GLUE", "-10 °C and colder", "12.75", "Winter glue"),
    )
    | _products(
        "books",
        ("9783161484100", "Bücher, antiquarisch", "24.00", "Handbuch der Bienenkunde"),
        ("9780306406157", 'Books, "Field guides"', "17.95", "Mosses & lichens"),
        ("9784101092058", "本・文庫", "6.80", "短編集"),
        ("BK-0019/2", "Œuvres complètes, vol. 2", "38.00", "L'été à Étretat"),
        ("ZINE-#7", "Zines; small press", "5.00", "Zine #7 'Nightshift'"),
        ("9788324631766", "Książki / Podróże", "14.30", "Przewodnik po Tatrach"),
    )
    | _products(
        "coffee",
        ("COF-ETH-250", "Coffee & Röstkaffee", "9.90", "Yirgacheffe, 250 g"),
        ("COF-☕-ABO", "☕ Subscriptions, monthly", "27.00", "Three roasts a month"),
        ("KAFFE-MØRK-500", "Kaffe, mørk", "15.40", "Mørk ristet, 500 g"),
        ("قهوة-عربية", "قهوة", "18.25", "Arabic coffee with cardamom, 450 g"),
        ("FILTER-V60-02", 'Filters, "02"', "4.75", "Paper filters, 100"),
        ("GRIND-C40", "Grinders, hand", "219.00", "Hand grinder"),
    )
)

PROMO_CODES: Final = ("HERBST10", "COFFEE-15%", "ÉTÉ20", "WELCOME, FRIEND", "TRAIL25", "kaffee_5")
MEDIA_IDS: Final = (10078, 1234567, 2099114, 99)
NOTES: Final = ('Gift: "Alles Gute, Jürgen" 🎁', "leave at the neighbour's", "=no bell", "ring twice, 2. Stock")

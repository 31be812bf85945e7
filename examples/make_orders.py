"""Makes `orders.jsonl`: what a small marketplace's checkouts send, repeats and faults included.

    python -m examples.make_orders

Each line is the body of one `POST /orders`, in the order in which they are sent; the file is the same at every run. All
its orders were placed before REFERENCE_DAY began in UTC. Who plays the file moves the dates by so many days that this
day becomes today, and leaves offsets and times of day: nothing then lies in the future, at whatever hour that is.
"""

import json
import random
import string
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, TypeVar

from examples.catalogue import (
    DECIMALS,
    DEPARTMENTS,
    MEDIA_IDS,
    NOTES,
    OFFSETS,
    PROMO_CODES,
    RATES,
    SHARES,
    Product,
)

ORDERS: Final = Path(__file__).with_name("orders.jsonl")
REFERENCE_DAY: Final = date(2026, 11, 20)
SEED: Final = 20261120

CLICKED, PROMO_ONLY, MEDIA_ONLY, MEDIA_OLD, UNATTRIBUTED, TOO_OLD, TOO_OLD_FOR_MEDIA = 540, 38, 24, 12, 31, 14, 5
"""How many orders of each kind there are, before repeats and faults."""
LARGE_ORDER: Final = 300
"""How many items the school library's order has."""

Order = dict[str, Any]
T = TypeVar("T")

ALPHANUMERIC: Final = string.ascii_letters + string.digits
BASE32: Final = string.ascii_uppercase + "234567"


# Chance: only random() is drawn from, and its numbers are the same in every version of Python --------------------


def pick(rng: random.Random, choices: Sequence[T]) -> T:
    """Return one of `choices`."""
    return choices[int(rng.random() * len(choices))]


def chance(rng: random.Random, share: float) -> bool:
    """Say yes in that share of all cases."""
    return rng.random() < share


def letters(rng: random.Random, alphabet: str, length: int) -> str:
    """Return `length` letters of `alphabet`."""
    return "".join(pick(rng, alphabet) for _ in range(length))


# Parts of an order ----------------------------------------------------------------------------------------------


def click_id(rng: random.Random) -> str:
    """Return an id in one of the shapes that click ids have: opaque, and full of what URLs and cookies stumble over."""
    shapes: tuple[Callable[[], str], ...] = (
        lambda: letters(rng, ALPHANUMERIC, 39),
        lambda: letters(rng, ALPHANUMERIC, 36),
        lambda: letters(rng, ALPHANUMERIC + "-_", 34),
        lambda: f"{letters(rng, ALPHANUMERIC, 11)}:{letters(rng, ALPHANUMERIC, 14)}%3A{letters(rng, ALPHANUMERIC, 8)}",
        lambda: f"{letters(rng, ALPHANUMERIC + '+/', 42)}+/==",
        lambda: f"{letters(rng, ALPHANUMERIC, 9)}~{letters(rng, ALPHANUMERIC, 12)}.{letters(rng, string.digits, 10)}",
        lambda: letters(rng, ALPHANUMERIC + ":%+/=~._-", 64),
    )
    return pick(rng, shapes[:3] * 4 + shapes)()


def customer_id(rng: random.Random) -> str:
    """Return an id that says nothing about a person."""
    shapes: tuple[Callable[[], str], ...] = (
        lambda: letters(rng, BASE32, 26),
        lambda: f"cust-{letters(rng, string.digits, 7)}",
        lambda: "-".join(letters(rng, "0123456789abcdef", length) for length in (8, 4, 4, 4, 12)),
    )
    return pick(rng, shapes)()


def event_date(rng: random.Random, currency: str, days: tuple[int, int]) -> str:
    """Return a local time with its offset, so many days before the reference day; recent days are busier."""
    low, high = days
    age = low + rng.random() * rng.random() * (high - low)
    moment = datetime.combine(REFERENCE_DAY, time(), UTC) - timedelta(seconds=int(age * 86_400) + 1)
    offset = pick(rng, OFFSETS[currency])
    if offset == "Z":
        return f"{moment:%Y-%m-%dT%H:%M:%S}.{letters(rng, string.digits, 3)}Z"
    hours, minutes = offset.split(":")
    zone = timezone(timedelta(hours=int(hours), minutes=int(f"{hours[0]}{minutes}")))
    return f"{moment.astimezone(zone):%Y-%m-%dT%H:%M:%S}{offset}"


def amount(price: Decimal, quantity: int, currency: str) -> Decimal:
    """Return the line's total, with the decimals that the currency has."""
    unit = (price * RATES[currency]).quantize(Decimal(1).scaleb(-DECIMALS[currency]))
    return unit * quantity


def item(rng: random.Random, product: Product, currency: str) -> Order:
    """Return one line of an order, now and then with a detail that impact.com can take."""
    quantity = pick(rng, (1, 1, 1, 1, 1, 2, 2, 3, 6))
    line: Order = {
        "sku": product.sku,
        "category": product.category,
        "quantity": quantity,
        "amount": str(amount(product.price, quantity, currency)),
    }
    if product.name and chance(rng, 0.05):
        line["extra"] = {"Name": product.name}
    return line


def items(rng: random.Random, currency: str) -> list[Order]:
    """Return what is in one basket: products of one department, each once."""
    products = sorted(pick(rng, tuple(DEPARTMENTS.values())), key=lambda _: rng.random())
    return [item(rng, product, currency) for product in products[: pick(rng, (1, 1, 1, 2, 2, 3, 4))]]


def extra(rng: random.Random, currency: str) -> dict[str, str]:
    """Return parameters of impact.com beside the order's own fields."""
    known = {
        "PaymentType": pick(rng, ("card", "invoice", "PayPal", "Überweisung")),
        "OrderShipping": str(amount(Decimal("4.90"), 1, currency)),
        "CustomerCountry": pick(rng, ("DE", "US", "JP", "SE")),
        "Note": pick(rng, NOTES),
    }
    return {name: value for name, value in known.items() if chance(rng, 0.6)}


def order(rng: random.Random, days: tuple[int, int], **attribution: str | int) -> Order:
    """Return one order; its number comes when all are in line."""
    currency = pick(rng, SHARES)
    body: Order = {"order_id": "", "event_date": event_date(rng, currency, days), "currency": currency, **attribution}
    body["customer_id"] = customer_id(rng)
    if chance(rng, 0.3):
        body["customer_status"] = pick(rng, ("NEW", "EXISTING"))
    body["items"] = items(rng, currency)
    if chance(rng, 0.15) and (more := extra(rng, currency)):
        body["extra"] = more
    return body


# Kinds of orders ------------------------------------------------------------------------------------------------


def clicked_orders(rng: random.Random) -> list[Order]:
    """Return the usual ones: some visitors order twice by one click or use a code too, some backends send numbers."""
    orders: list[Order] = []
    for _ in range(CLICKED):
        click = pick(rng, orders)["click_id"] if orders and chance(rng, 0.06) else click_id(rng)
        codes = {"promo_code": pick(rng, PROMO_CODES)} if chance(rng, 0.07) else {}
        orders.append(order(rng, (0, 80), click_id=click, **codes))
    for body in orders[::60]:
        body["items"].append(body["items"][0] | {"category": "Added at the till"})  # the same SKU twice
    for body in orders[5::12]:
        body["items"] = [with_number(line) for line in body["items"]]
    return orders


def other_orders(rng: random.Random) -> list[Order]:
    """Return those without a click, and those that come late."""
    orders = [order(rng, (0, 80), promo_code=pick(rng, PROMO_CODES)) for _ in range(PROMO_ONLY)]
    orders += [order(rng, (0, 80), media_id=pick(rng, MEDIA_IDS)) for _ in range(MEDIA_ONLY)]
    orders += [order(rng, (95, 380), media_id=pick(rng, MEDIA_IDS)) for _ in range(MEDIA_OLD)]
    orders += [order(rng, (0, 80)) for _ in range(UNATTRIBUTED)]
    orders += [order(rng, (90, 300), click_id=click_id(rng)) for _ in range(TOO_OLD - 3)]
    orders += [order(rng, (90, 300), promo_code=pick(rng, PROMO_CODES)) for _ in range(3)]
    orders += [order(rng, (400, 600), media_id=pick(rng, MEDIA_IDS)) for _ in range(TOO_OLD_FOR_MEDIA)]
    return orders


def large_order(rng: random.Random) -> Order:
    """Return what a school library buys in one go."""
    body = order(rng, (12, 13), click_id=click_id(rng))
    books = [
        Product(f"BK-{number:04}", f"Schulbücher, Klasse {number % 13 + 1}", Decimal(600 + 37 * number) / 100, "")
        for number in range(1, LARGE_ORDER + 1)
    ]
    date_there = event_date(rng, "EUR", (12, 13))
    return body | {"event_date": date_there, "currency": "EUR", "items": [item(rng, book, "EUR") for book in books]}


def number_them(orders: Iterable[Order]) -> None:
    """Give every order its number; the four shop systems have a habit each."""
    habits = ("{:08}", "#{}", "BK/{}/Ö", "W-2026-{:05}")
    for count, body in enumerate(orders):
        body["order_id"] = habits[count % len(habits)].format(1928374 + count)


# What checkouts do beside sending each order once ----------------------------------------------------------------


def with_number(line: Order) -> Order:
    """Return the line with its amount as a JSON number, `42.50` as 42.5."""
    exact = Decimal(line["amount"])
    return line | {"amount": int(exact) if exact == int(exact) else float(exact)}  # json writes the shortest such text


def rewritten(rng: random.Random, body: Order) -> Order:
    """Return an order that means the same: keys in another order, some amounts in another form."""
    lines = [with_number(line) if chance(rng, 0.5) else line for line in body["items"]]
    mixed = body | {"items": [dict(reversed(line.items())) for line in lines]}
    return dict(sorted(mixed.items(), key=lambda _: rng.random()))


def with_repeats(rng: random.Random, orders: Sequence[Order]) -> list[Order]:
    """Return the orders and, a few lines or many later, those that an impatient checkout sends again."""
    lines = list(orders)
    for count, body in enumerate(orders[7:-3:25]):
        again = body if count % 3 == 0 else rewritten(rng, body)
        place = lines.index(body) + pick(rng, (1, 1, 1, 2, 3, 150))
        lines[place:place] = [again] * pick(rng, (1, 1, 2))
    return lines


def changed(orders: Sequence[Order]) -> list[Order]:
    """Return three known orders with other content, which no checkout should send as a new order."""
    cheaper, longer, other = (json.loads(json.dumps(body)) for body in orders)
    cheaper["items"][0]["amount"] = "1"
    longer["items"].append({"sku": "GIFT-WRAP", "category": "Services", "quantity": 1, "amount": "2"})
    other["click_id"] = f"another{other['click_id'][:50]}"
    return [cheaper, longer, other]


def faulty_orders(rng: random.Random) -> list[Order]:
    """Return orders that a backend with an error sends: none of them may come through."""
    orders = [order(rng, (1, 70), click_id=click_id(rng)) for _ in range(9)]
    cents, half_yen, local, local_too, mail, name, negative, currency, several = orders
    cents |= {"currency": "JPY", "items": [line | {"amount": "1980.00"} for line in cents["items"]]}
    half_yen |= {"currency": "JPY", "items": [line | {"amount": 1980.5} for line in half_yen["items"]]}
    local["event_date"] = local["event_date"][:19]
    local_too["event_date"] = local_too["event_date"][:19].replace("T", " ")
    mail["customer_id"] = "anna.muster@mail.example"
    name["customer_id"] = "Anna Muster <anna@mail.example>"
    negative["items"][0]["amount"] = "-12.00"
    currency["currency"] = "EURO"
    several |= {"currency": "USD", "event_date": "2026-11-03T09:30:00", "customer_id": "bo@mail.example"}
    several["items"][0]["amount"] = "19.999"
    for count, body in enumerate(orders):
        body["order_id"] = f"ERP-{count + 1:03}"
    return orders


def repaired(body: Order) -> Order:
    """Return the first faulty order as the backend sends it after its repair."""
    return body | {"items": [line | {"amount": "1980"} for line in body["items"]]}


def make_orders() -> list[Order]:
    """Return every line of the file."""
    rng = random.Random(SEED)
    orders = [*clicked_orders(rng), *other_orders(rng), large_order(rng)]
    orders.sort(key=lambda body: datetime.fromisoformat(body["event_date"]))
    number_them(orders)
    lines = with_repeats(rng, orders)
    clicked = [body for body in orders if "click_id" in body]
    for body, contradiction in zip(clicked[60:360:100], changed(clicked[60:360:100]), strict=True):
        lines.insert(lines.index(body) + 8, contradiction)
    faulty = faulty_orders(rng)
    for count, body in enumerate(faulty):
        lines.insert(90 + 55 * count, body)
    return [*lines, repaired(faulty[0])]


def render(orders: Iterable[Order]) -> str:
    """Return the file's text: one JSON object per line."""
    return "".join(json.dumps(body, ensure_ascii=False) + "\n" for body in orders)


def main() -> None:
    """Write the file anew."""
    ORDERS.write_text(render(make_orders()), encoding="utf-8", newline="\n")
    print(f"wrote {ORDERS.name}")


if __name__ == "__main__":
    main()

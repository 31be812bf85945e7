"""A shop that has run for a month: a believable set of clicks, orders, batches, results, and things to see to."""

import random
from datetime import UTC, datetime, time, timedelta

from freezegun import freeze_time

from app.alarms.watch import Watch
from app.clicks.store import NewClick, add_new, count
from app.conversions.order import Item, Order
from app.conversions.record import record
from app.database import Database
from app.ledger.export_routes import request_export
from app.ledger.standings import count_one
from app.service import Service
from tests.support import work
from tests.verdicts import judge

DAYS = 30
GOODS = (
    ("BOOT-42", "Hiking boots", 12_900),
    ("TENT-2P", "Tents", 24_950),
    ("SOCK-M", "Socks", 1_490),
    ("STOVE-1", "Cooking", 5_900),
    ("LAMP-USB", "Lamps", 3_450),
    ("PACK-55", "Backpacks", 18_900),
)
REFUSED = {"S-1011": ["CONTRACT_NOT_FOUND"], "S-1042": ["ACTIONTRACKER_NOT_FOUND"], "S-1077": ["CONTRACT_NOT_FOUND"]}


def fill(service: Service, *, days: int = DAYS, now: datetime | None = None) -> list[Order]:
    """Let the days up to `now` go by: orders come, each night's export takes them along, impact.com decides."""
    now = now or datetime.now(UTC)
    chance, placed = random.Random(8), iter(range(1_000, 100_000))
    orders: list[Order] = []
    for ago in reversed(range(days)):
        morning = datetime.combine(now.date() - timedelta(days=ago), time(0), UTC)
        with freeze_time(morning + timedelta(hours=2)):
            if orders and ago != 0:
                _export(service)
                judge(service.database, REFUSED)
            elif orders:  # last night's batch has arrived, and impact.com has not told of it yet
                _export(service)
        until = min(timedelta(hours=23), now - morning)
        for hour in range(0, int(until.total_seconds() // 3600) + 1, 3):
            at = min(morning + timedelta(hours=hour), now)
            some = [_order(f"S-{next(placed)}", at, chance) for _ in range(_busy(chance, at))]
            record(service.database, some, at)
            orders += some
        _clicks(service.database, morning, chance.randrange(180, 420))
    Watch(service.database, service.settings, "shop-1", list, service.require_usable).look(now)
    while count_one(service.database, lambda: now, lambda _seconds: False):
        pass
    return orders


def _export(service: Service) -> None:
    request_export(service.database)
    work(service)


def _busy(chance: random.Random, at: datetime) -> int:
    """Return how many orders come in three hours: more in the evening and at weekends."""
    return chance.randrange(2, 5) + (4 if at.hour >= 15 else 0) + (3 if at.weekday() >= 5 else 0)


def _order(order_id: str, at: datetime, chance: random.Random) -> Order:
    bought = chance.sample(GOODS, chance.randrange(1, 4))
    click_id = "".join(chance.choices("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", k=34))
    is_by_click, is_held = chance.random() < 0.78, chance.random() < 0.02
    return Order(
        event_type="default",
        order_id=order_id,
        event_date=at - timedelta(minutes=1),
        currency="EUR" if chance.random() < 0.25 else "USD",
        items=tuple(Item(sku, category, 1, amount) for sku, category, amount in bought),
        click_id=click_id if is_by_click and not is_held else None,
        promo_code=None if is_by_click or is_held else "TRAIL10",
        customer_id=f"C-{chance.randrange(10_000, 99_999)}",
    )


def _clicks(database: Database, morning: datetime, number: int) -> None:
    new = [NewClick(click_id=f"{morning:%m%d}-{one}", captured_at=morning, source="get") for one in range(number)]
    with database.transaction() as session:
        count(session, add_new(session, new))

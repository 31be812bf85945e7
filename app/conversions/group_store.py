"""Recording new orders, a group at a time, with as few statements as the database allows.

On PostgreSQL everything is one statement: the group is a JSON text, which the server takes apart itself. On SQLite it
is a few statements per table, each a single step in which other threads of this process can run.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, Final

import orjson

from app.conversions.order import PARENT_NOT_DELIVERED, Item, Order
from app.conversions.store import extra_text
from app.conversions.totals_store import BILLION
from app.database import WRITER_SLOT, time_text
from app.many_rows import insert_rows


def add_new(cursor: Any, orders: Sequence[Order], now: datetime, *, is_sqlite: bool) -> dict[int, int]:
    """Add those orders whose key is free, each as a conversion with a first revision, its items and its `unsent` row.

    No two of them may have the same key; `cursor` is of `Database.group`. Returns the new conversions' ids by the
    places of their orders in the group. Waits for a rival's commit.
    """
    if is_sqlite:
        return _add_on_sqlite(cursor, orders, _time(now))
    rows = orjson.dumps([_row(order) for order in orders]).decode()
    values = {"rows": rows, "now": time_text(now), "slot": WRITER_SLOT}
    return dict(cursor.execute(_ON_POSTGRESQL, values).fetchall())


def _row(order: Order) -> dict[str, Any]:
    billions, rest = divmod(order.amount, BILLION)
    return {
        "event_type": order.event_type,
        "order_id": order.order_id,
        "event_date": order.event_date.isoformat(),
        "event_at": time_text(order.event_date),
        "currency": order.currency,
        "click_id": order.click_id,
        "promo_code": order.promo_code,
        "media_id": order.media_id,
        "customer_id": order.customer_id,
        "customer_status": order.customer_status,
        "extra": extra_text(order.extra),
        "fingerprint": order.fingerprint(),
        "hold_reason": order.hold_reason,
        "billions": billions,
        "rest": rest,
        "items": [_line(item) for item in order.items],
    } | _parent(order)


def _parent(order: Order) -> dict[str, str]:
    """Return the columns that few orders have; the others have no text for them to be read from."""
    return (
        {} if order.parent is None else dict(zip(("parent_event_type", "parent_order_id"), order.parent, strict=True))
    )


def _line(item: Item) -> list[Any]:
    return [item.sku, item.category, item.quantity, item.amount, extra_text(item.extra)]


# PostgreSQL: whatever one statement does happens at once, and no part of it sees what another one does, so that the
# ids are handed on by RETURNING. Keys are claimed in one order for everybody, lest two groups wait for each other.

_ON_POSTGRESQL: Final = """
WITH sent AS MATERIALIZED (
    SELECT * FROM ROWS FROM (
        json_to_recordset(%(rows)s::json) AS (
            event_type text, order_id text, event_date text, event_at timestamptz, currency text, click_id text,
            promo_code text, media_id text, customer_id text, customer_status text, extra text, fingerprint text,
            hold_reason text, billions bigint, rest bigint, items json, parent_event_type text, parent_order_id text
        )
    ) WITH ORDINALITY AS sent (
        event_type, order_id, event_date, event_at, currency, click_id, promo_code, media_id, customer_id,
        customer_status, extra, fingerprint, hold_reason, billions, rest, items, parent_event_type, parent_order_id,
        place
    )
), made AS (
    INSERT INTO conversion (event_type, order_id, recorded_at)
    SELECT event_type, order_id, %(now)s::timestamptz FROM sent
    ORDER BY event_type COLLATE "C", order_id COLLATE "C"
    ON CONFLICT DO NOTHING
    RETURNING id AS conversion_id, event_type, order_id
), added AS MATERIALIZED (
    SELECT * FROM sent JOIN made USING (event_type, order_id)
), revised AS (
    INSERT INTO revision (
        conversion_id, number, recorded_at, event_date, event_at, currency, click_id, promo_code, media_id, customer_id,
        customer_status, extra, fingerprint, parent_event_type, parent_order_id
    )
    SELECT
        conversion_id, 1, %(now)s::timestamptz, event_date, event_at, currency, click_id, promo_code, media_id,
        customer_id, customer_status, extra, fingerprint, parent_event_type, parent_order_id
    FROM added ORDER BY place
    RETURNING id AS revision_id, conversion_id
), itemised AS (
    INSERT INTO item (revision_id, position, sku, category, quantity, amount, extra)
    SELECT
        revision_id, line.place - 1, value->>0, value->>1, (value->>2)::bigint, (value->>3)::bigint, value->>4
    FROM added JOIN revised USING (conversion_id), json_array_elements(items) WITH ORDINALITY AS line (value, place)
), waiting AS (
    INSERT INTO unsent (revision_id, event_type, hold_reason, lines, event_at, currency)
    SELECT revision_id, event_type, hold_reason, json_array_length(items), event_at, currency
    FROM added JOIN revised USING (conversion_id)
), counted AS (
    INSERT INTO daily_total AS total
        (day, event_type, currency, slot, orders, with_click_id, held, billions, rest)
    SELECT
        (%(now)s::timestamptz AT TIME ZONE 'UTC')::date, event_type, currency, %(slot)s, count(*), count(click_id),
        count(nullif(hold_reason, 'parent_not_delivered')), sum(billions), sum(rest)
    FROM added GROUP BY event_type, currency ORDER BY event_type COLLATE "C", currency COLLATE "C"
    ON CONFLICT (day, event_type, currency, slot) DO UPDATE SET
        orders = total.orders + excluded.orders, with_click_id = total.with_click_id + excluded.with_click_id,
        held = total.held + excluded.held, billions = total.billions + excluded.billions,
        rest = total.rest + excluded.rest
)
SELECT place - 1, conversion_id FROM added
"""


# SQLite: nobody else writes meanwhile, so that the ids are known beforehand: the first free one plus the order's place.

_FREE_IDS: Final = (
    "SELECT (SELECT coalesce(max(id), 0) + 1 FROM conversion), (SELECT coalesce(max(id), 0) + 1 FROM revision)"
)
_CONVERSIONS: Final = "conversion (id, event_type, order_id, recorded_at)"
_REVISIONS: Final = """revision (
    id, conversion_id, number, recorded_at, event_date, event_at, currency, click_id, promo_code, media_id, customer_id,
    customer_status, extra, fingerprint, parent_event_type, parent_order_id
)"""
_ITEMS: Final = "item (revision_id, position, sku, category, quantity, amount, extra)"
_WAITS: Final = "unsent (revision_id, event_type, hold_reason, lines, event_at, currency)"
_TOTALS: Final = "daily_total (day, event_type, currency, slot, orders, with_click_id, held, billions, rest)"
_ADDED_UP: Final = """ON CONFLICT (day, event_type, currency, slot) DO UPDATE SET
    orders = orders + excluded.orders, with_click_id = with_click_id + excluded.with_click_id,
    held = held + excluded.held, billions = billions + excluded.billions, rest = rest + excluded.rest
"""


def _add_on_sqlite(cursor: Any, orders: Sequence[Order], now: str) -> dict[int, int]:
    first, first_revision = cursor.execute(_FREE_IDS).fetchone()
    keys = [(first + place, order.event_type, order.order_id, now) for place, order in enumerate(orders)]
    places: Sequence[int] = range(len(orders))
    if insert_rows(cursor, _CONVERSIONS, keys, "ON CONFLICT DO NOTHING") < len(orders):
        places = [made - first for (made,) in cursor.execute("SELECT id FROM conversion WHERE id >= ?", (first,))]
    if places:
        new = [(first + one, first_revision + one, orders[one], _time(orders[one].event_date)) for one in places]
        revisions = [(number, made, 1, now, *_revision(order, at)) for made, number, order, at in new]
        insert_rows(cursor, _REVISIONS, revisions)
        insert_rows(cursor, _ITEMS, [(number, *item) for _, number, order, _ in new for item in _items(order)])
        insert_rows(cursor, _WAITS, [(number, *_unsent(order, at)) for _, number, order, at in new])
        insert_rows(cursor, _TOTALS, _totals([order for _, _, order, _ in new], now), _ADDED_UP)
    return {place: first + place for place in places}


def _revision(order: Order, at: str) -> tuple[Any, ...]:
    return (
        order.event_date.isoformat(),
        at,
        order.currency,
        order.click_id,
        order.promo_code,
        order.media_id,
        order.customer_id,
        order.customer_status,
        extra_text(order.extra),
        order.fingerprint(),
        *(order.parent or (None, None)),
    )


def _unsent(order: Order, at: str) -> tuple[Any, ...]:
    return order.event_type, order.hold_reason, len(order.items), at, order.currency


def _items(order: Order) -> Iterator[tuple[Any, ...]]:
    return ((position, *_line(item)) for position, item in enumerate(order.items))


def _totals(orders: Iterable[Order], now: str) -> list[tuple[Any, ...]]:
    alike = defaultdict(list)
    for order in orders:
        alike[order.event_type, order.currency].append(order)
    return [(now[:10], *key, WRITER_SLOT, *_total(some)) for key, some in alike.items()]


def _total(orders: Sequence[Order]) -> tuple[int, ...]:
    with_click_id = sum(order.click_id is not None for order in orders)
    held = sum(order.hold_reason not in {None, PARENT_NOT_DELIVERED} for order in orders)
    return len(orders), with_click_id, held, *divmod(sum(order.amount for order in orders), BILLION)


def _time(moment: datetime) -> str:
    """Return a time as SQLite has it, which knows no offsets."""
    return time_text(moment)[:26]

"""Recording new orders, a group at a time, with as few statements as the database allows.

The group goes to the database as one JSON text, which it takes apart itself. On PostgreSQL everything is one statement.
On SQLite it is a statement per table, each a single step in which other threads of this process can run.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import orjson

from app.conversions.order import Item, Order
from app.conversions.store import extra_text
from app.conversions.totals_store import BILLION
from app.database import WRITER_SLOT, time_text


def add_new(cursor: Any, orders: Sequence[Order], now: datetime, *, is_sqlite: bool) -> dict[int, int]:
    """Add those orders whose key is free, each as a conversion with a first revision, its items and its `unsent` row.

    No two of them may have the same key; `cursor` is of `Database.group`. Returns the new conversions' ids by the
    places of their orders in the group. Waits for a rival's commit.
    """
    rows = orjson.dumps([_row(order) for order in orders]).decode()
    if is_sqlite:
        return _add_on_sqlite(cursor, rows, len(orders), time_text(now))
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
_CONVERSIONS: Final = """
INSERT INTO conversion (id, event_type, order_id, recorded_at)
SELECT ?2 + key, value->>'event_type', value->>'order_id', substr(?3, 1, 26) FROM json_each(?1)
WHERE true -- else the parser takes ON CONFLICT for a join's
ON CONFLICT DO NOTHING
"""
_REVISIONS: Final = """
INSERT INTO revision (
    id, conversion_id, number, recorded_at, event_date, event_at, currency, click_id, promo_code, media_id, customer_id,
    customer_status, extra, fingerprint, parent_event_type, parent_order_id
)
SELECT
    ?3 + key, conversion.id, 1, substr(?4, 1, 26), value->>'event_date', substr(value->>'event_at', 1, 26),
    value->>'currency', value->>'click_id', value->>'promo_code', value->>'media_id', value->>'customer_id',
    value->>'customer_status', value->>'extra', value->>'fingerprint', value->>'parent_event_type',
    value->>'parent_order_id'
FROM json_each(?1) CROSS JOIN conversion ON conversion.id = ?2 + key
"""
_ITEMS: Final = """
INSERT INTO item (revision_id, position, sku, category, quantity, amount, extra)
SELECT
    ?3 + sent.key, line.key, line.value->>0, line.value->>1, line.value->>2, line.value->>3, line.value->>4
FROM json_each(?1) AS sent
CROSS JOIN conversion ON conversion.id = ?2 + sent.key
CROSS JOIN json_each(sent.value, '$.items') AS line
"""
_WAITS: Final = """
INSERT INTO unsent (revision_id, event_type, hold_reason, lines, event_at, currency)
SELECT
    ?3 + key, value->>'event_type', value->>'hold_reason', json_array_length(value, '$.items'),
    substr(value->>'event_at', 1, 26), value->>'currency'
FROM json_each(?1) CROSS JOIN conversion ON conversion.id = ?2 + key
"""
_COUNT: Final = """
INSERT INTO daily_total (day, event_type, currency, slot, orders, with_click_id, held, billions, rest)
SELECT
    substr(?3, 1, 10), value->>'event_type', value->>'currency', ?4, count(*), count(value->>'click_id'),
    count(nullif(value->>'hold_reason', 'parent_not_delivered')), sum(value->>'billions'), sum(value->>'rest')
FROM json_each(?1) CROSS JOIN conversion ON conversion.id = ?2 + key
GROUP BY 2, 3
ON CONFLICT (day, event_type, currency, slot) DO UPDATE SET
    orders = orders + excluded.orders, with_click_id = with_click_id + excluded.with_click_id,
    held = held + excluded.held, billions = billions + excluded.billions, rest = rest + excluded.rest
"""


def _add_on_sqlite(cursor: Any, rows: str, number: int, now: str) -> dict[int, int]:
    first, first_revision = cursor.execute(_FREE_IDS).fetchone()
    added = cursor.execute(_CONVERSIONS, (rows, first, now)).rowcount
    if added:
        cursor.execute(_REVISIONS, (rows, first, first_revision, now))
        cursor.execute(_ITEMS, (rows, first, first_revision))
        cursor.execute(_WAITS, (rows, first, first_revision))
        cursor.execute(_COUNT, (rows, first, now, WRITER_SLOT))
    if added == number:
        return {place: first + place for place in range(number)}
    return {one - first: one for (one,) in cursor.execute("SELECT id FROM conversion WHERE id >= ?", (first,))}

"""Databases full of orders, made by set-based SQL in seconds: the tables as the service would have left them.

The same statements fill both databases, a few expressions aside.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import psycopg

from app.conversions.terms_store import Term, number_of
from bench.place import is_sqlite, path_of

ITEMS_PER_ORDER: Final = 3
ROWS_PER_BATCH: Final = 9_999
MOST_DAYS_SHOWN: Final = 30

POSTGRESQL: Final = {
    "numbers": "n(id) AS (SELECT generate_series({first}, {last}))",
    "day_text": "to_char({day} + (id % 86400) * interval '1 second', 'YYYY-MM-DD\"T\"HH24:MI:SS+00:00')",
    "day": "({day} + (id % 86400) * interval '1 second')",
    "time": "timestamptz '{time:%Y-%m-%d %H:%M:%S}+00'",
    "date": "(date '{time:%Y-%m-%d}' - id::int + 1)",
    "random": "hashint8extended(id, (random() * 1e9)::bigint)",
}
SQLITE: Final = {
    "numbers": "n(id) AS (SELECT {first} UNION ALL SELECT id + 1 FROM n WHERE id < {last})",
    "day_text": "strftime('%Y-%m-%dT%H:%M:%S+00:00', {day}, (id % 86400) || ' seconds')",
    "day": "strftime('%Y-%m-%d %H:%M:%S.000000', {day}, (id % 86400) || ' seconds')",
    "time": "'{time:%Y-%m-%d %H:%M:%S}.000000'",
    "date": "date('{time:%Y-%m-%d}', '-' || (id - 1) || ' days')",
    "random": "random()",
}

WITH: Final = "WITH RECURSIVE {numbers}, b(id) AS (SELECT id FROM n WHERE id <= {batches})"
CONVERSIONS: Final = """
    INSERT INTO conversion (id, event_type, order_id, recorded_at)
    SELECT id, 'default', 'A-' || {padded}, {now} FROM n
"""
REVISIONS: Final = """
    INSERT INTO revision (id, conversion_id, number, recorded_at, event_date, event_at, currency, click_id, promo_code,
        media_id, customer_id, customer_status, extra, fingerprint)
    SELECT id, id, 1, {now}, {day_text}, {day}, 'USD', 'QiiWXOVnrQ3SQHl24jQjyxBG' || {padded}, NULL,
        NULL, 'BCZ2WVSH674' || {padded}, NULL, NULL, 'filled'
    FROM n
"""
ITEMS: Final = """
    INSERT INTO item (revision_id, position, sku, category, quantity, amount, extra)
    SELECT id, position, 'A-' || (position + id % 1000),
        CASE id % 3 WHEN 0 THEN 'Garden, house & tools' WHEN 1 THEN 'Blacksmithing' ELSE 'Saws, 12" and up' END,
        1 + id % 3, 1250 + (7 * id + position) % 9000, NULL
    FROM n JOIN (SELECT 0 AS position UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3) AS p
        ON position < {lines}
    ORDER BY id, position
"""
UNSENT: Final = """
    INSERT INTO unsent (revision_id, event_type, hold_reason, lines, event_at, currency)
    SELECT id, 'default', NULL, {lines}, {day}, 'USD' FROM n
"""
EXPORT: Final = """
    INSERT INTO export (id, state, requested_at, ended_at, exported, held, expired, token)
    VALUES (1, 'done', {now}, {now}, {last}, 0, 0, 1)
"""
BATCHES: Final = """
    INSERT INTO batch (id, batch_id, export_id, kind, event_type, filename, created_at, rows, orders, sha256)
    SELECT id, '0000000' || {padded}, 1, 'conversions', 'default',
        '2026-01-01_ActionData_default_0000000' || {padded} || '.csv', {now}, 9999, 9999, '' FROM b
"""
CONTENTS: Final = "INSERT INTO batch_content (batch, content) SELECT id, '' FROM b"
ATTEMPTS: Final = """
    INSERT INTO attempt (batch, number, channel, started_at, ended_at, status)
    SELECT id, 1, 'folder', {now}, {now}, 'delivered' FROM b
"""
LINES: Final = """
    INSERT INTO batch_line (revision_id, batch, first_line)
    SELECT id, 1 + (id - 1) / 9999, 2 + (id - 1) % 9999 FROM n
"""
CLICKS: Final = """
    INSERT INTO click (click_id, captured_at, landing_url, referrer_origin, user_agent_family, source)
    SELECT 'Old' || {padded}, {now}, 'https://www.shop.example/boots', NULL, 'Firefox', 'get' FROM n
"""
SOUGHT: Final = 777
"""The order that is looked for by its click id; of the others it is enough that they are filed."""
TERMS: Final = """
    INSERT INTO order_term (term, revision_id)
    SELECT term, id FROM (
        SELECT CASE id WHEN {sought} THEN {click} ELSE {random} END AS term, id FROM n
        UNION ALL SELECT {random}, id FROM n UNION ALL SELECT {random}, id FROM n
    ) AS terms ORDER BY term
"""
FILED: Final = "INSERT INTO terms_filed (id, begins, seen, done) VALUES (1, 0, {last}, {last})"
STANDINGS: Final = """
    INSERT INTO day_standing (day, event_type, currency, state, orders, with_click_id, billions, rest)
    SELECT {date}, 'default', 'USD', state, 10, 10, 0, 10000
    FROM n CROSS JOIN (SELECT 'accepted' AS state UNION ALL SELECT 'rejected' UNION ALL SELECT 'held') AS states
    WHERE id <= {days}
"""
DAYS_COUNTED: Final = """
    INSERT INTO day_counted (day, counted_at, due_at, token) SELECT {date}, {now}, {now}, 1 FROM n WHERE id <= {days}
"""
ORDERS: Final = (CONVERSIONS, REVISIONS, ITEMS)
DELIVERED: Final = (EXPORT, BATCHES, CONTENTS, ATTEMPTS, LINES, CLICKS)
SEEN: Final = (TERMS, FILED, STANDINGS, DAYS_COUNTED)
COUNTED: Final = ("conversion", "revision", "export", "batch")
"""PostgreSQL counts on from the ids that were filled in."""


def waiting(url: str, items: int, first: int = 1) -> int:
    """Add orders that wait for an export, of two to four lines and `items` lines together; return how many orders."""
    orders = items // ITEMS_PER_ORDER
    _fill(url, [*ORDERS, UNSENT], first, first + orders - 1, lines="2 + id % 3")
    return orders


def delivered(url: str, orders: int) -> None:
    """Fill an empty database with orders of one line that were delivered long ago, and as many clicks.

    They are filed by their terms, and there are a thousand orders for each day that was counted.
    """
    _fill(url, [*ORDERS, *DELIVERED, *SEEN], 1, orders, lines="1")


def order_id(number: int) -> str:
    """Return the id of an order."""
    return f"A-{number:09}"


def click_id(number: int) -> str:
    """Return its click id."""
    return f"QiiWXOVnrQ3SQHl24jQjyxBG{number:09}"


def _fill(url: str, statements: Sequence[str], first: int, last: int, lines: str) -> None:
    """Run the statements for the orders `first` to `last`.

    Autovacuum would tidy a PostgreSQL that was filled in the middle of what is measured; so it is done here.
    """
    words = _words(SQLITE if is_sqlite(url) else POSTGRESQL, first, last, lines)
    complete = [_complete(statement, words) for statement in statements]
    if is_sqlite(url):
        with sqlite3.connect(path_of(url), isolation_level=None) as database:
            database.executescript(";".join(["PRAGMA synchronous=OFF", "BEGIN", *complete, "COMMIT"]))
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        database.close()
        return
    with psycopg.connect(url, autocommit=True) as server:
        server.execute("SET session_replication_role = replica")  # no foreign key is looked up: the rows fit
        for statement in complete:
            server.execute(statement.encode())
        for table in COUNTED:
            counter = f"pg_get_serial_sequence('{table}', 'id')"
            server.execute(f"SELECT setval({counter}, greatest(1, (SELECT max(id) FROM {table})))".encode())  # noqa: S608
        if first == 1:
            server.execute("VACUUM (ANALYZE)")
        server.execute("CHECKPOINT")


def _complete(statement: str, words: Mapping[str, Any]) -> str:
    return f"{WITH} {statement}".format(**words)


def _words(dialect: Mapping[str, str], first: int, last: int, lines: str) -> dict[str, Any]:
    now = datetime.now(UTC)
    time = dialect["time"].format(time=now)
    midnight = now.replace(hour=0, minute=0, second=0) - timedelta(days=2)
    day = dialect["time"].format(time=midnight)
    bounds = {"first": first, "last": last, "batches": 1 + (last - 1) // ROWS_PER_BATCH}
    return {
        "numbers": dialect["numbers"].format(**bounds),
        "padded": "substr(CAST(1000000000 + id AS text), 2)",
        "day_text": dialect["day_text"].format(day=day),
        "day": dialect["day"].format(day=day),
        "now": time,
        "date": dialect["date"].format(time=now),
        "days": max(MOST_DAYS_SHOWN, last // 1_000),
        "random": dialect["random"],
        "sought": SOUGHT,
        "click": number_of(Term.CLICK, click_id(SOUGHT)),
        "lines": lines,
        **bounds,
    }

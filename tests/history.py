"""Years of history, made by a few statements: every table of what happened has at least ROWS rows."""

from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy import Connection

from app.conversions.terms_store import Term, number_of
from app.database import Database

ROWS: Final = 20_000
ORDERS: Final = 10 * ROWS
"""Nine of ten are in batches of ten, of which each has an export and an attempt of its own; the tenth was left out."""
CANCELLED: Final = ROWS
"""So many orders more were reversed before they had left."""

DIALECTS: Final = {
    "sqlite": {
        "at": "strftime('%Y-%m-%d %H:%M:%f000', '{first}', '+' || (30 * n) || ' seconds')",
        "day": "date('{first}', '-' || (n / 4) || ' days')",
        "before": "date('{first}', '-' || (n - 1) || ' days')",
        "bytes": "x'41'",
        "false": "0",
    },
    "postgresql": {
        "at": "timestamptz '{first}+00' + n * interval '30 seconds'",
        "day": "(date '{first}' - n / 4)",
        "before": "(date '{first}' - n + 1)",
        "bytes": r"'\x41'::bytea",
        "false": "false",
    },
}
STATE: Final = (
    "CASE n - n / 4 * 4 WHEN 0 THEN 'held' WHEN 1 THEN 'accepted' WHEN 2 THEN 'rejected' ELSE 'delivered' END"
)
NUMBERS: Final = "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {count})"
TABLES: Final = (
    ("conversion", ORDERS + CANCELLED, "(id, event_type, order_id, recorded_at)", "n, 'default', 'H-' || n, {at}"),
    (
        "revision",
        ORDERS + CANCELLED,
        "(id, conversion_id, number, recorded_at, event_date, event_at, currency, click_id, customer_id, fingerprint)",
        "n, n, 1, {at}, '2026-01-01T00:00:00+00:00', {at}, 'USD', 'history-' || n, 'history', 'f-' || n",
    ),
    (
        "item",
        ORDERS + CANCELLED,
        "(revision_id, position, sku, category, quantity, amount)",
        "n, 0, 'SKU', 'Tools', 1, 1000",
    ),
    ("click", ORDERS, "(click_id, captured_at, source)", "'history-' || n, {at}, 'get'"),
    (
        "export",
        ROWS,
        "(id, state, requested_at, ended_at, exported, held, expired, token)",
        "n, 'done', {at}, {at}, 9, 1, CASE WHEN n < 100 THEN 1 ELSE 0 END, 1",
    ),
    (
        "batch",
        ROWS,
        '(id, batch_id, export_id, kind, event_type, filename, created_at, "rows", orders, sha256)',
        "n, 'b-' || n, n, 'conversions', 'default', {file}, {at}, 9, 9, 'none'",
    ),
    ("batch_content", ROWS, "(batch, content)", "n, {bytes}"),
    (
        "attempt",
        ROWS,
        "(batch, number, channel, started_at, ended_at, status)",
        "n, 1, 'folder', {at}, {at}, 'delivered'",
    ),
    ("batch_line", ORDERS, "(revision_id, batch, first_line)", "n, (n + 9) / 10, 2 + n - n / 10 * 10"),
    (
        "left_out",
        ROWS,
        "(revision_id, export_id, state, reason, detail, expires_at)",
        "10 * n, n, 'held', 'no_attribution', '', {at}",
    ),
    (
        "correction",
        ROWS,
        "(id, conversion_id, number, kind, reason, reverses, recorded_at, request, answer)",
        "n, 10 * n - 1, 1, 'refund', 'OTHER', false, {at}, '', '{{}}'",
    ),
    (
        "correction_item",
        ROWS,
        "(correction_id, position, sku, category, quantity, amount, reason)",
        "n, 0, 'SKU', 'Tools', 1, 900, 'OTHER'",
    ),
    (
        "call",
        ROWS,
        "(id, batch, revision_id, type, state, tries, was_unknown, started_at, ended_at)",
        "n, n, 10 * n - 9, 'Conversion', 'queued', 1, {false}, {at}, {at}",
    ),
    ("correction_line", ROWS, "(correction_id, batch, first_line)", "n, n, 2"),
    ("action", ROWS, "(conversion_id, action_id)", "10 * n - 1, '1000.4636.' || n"),
    (
        "reported_action",
        ROWS,
        "(action_id, conversion_id, campaign_id, action_tracker_id, order_id, state, event_at, read_at)",
        "'1000.4321.' || n, n, '1000', '4321', 'H-' || n, 'PENDING', {at}, {at}",
    ),
    ("cancelled", CANCELLED, "(revision_id, correction_id)", f"{ORDERS} + n, n"),
    ("moved", ROWS, "(conversion_id, event_type)", "100000 + n, 'elsewhere'"),
    (
        "submission",
        ROWS,
        "(id, batch, type, status, submission_date, file_name, impact_id, source, recorded_at)",
        "n, n, 'Conversion', 'Complete', {at}, {file}, 'F-' || n, 'api', {at}",
    ),
    (
        "submission_error",
        ROWS,
        "(submission_id, revision_id, line, order_id, reason, rejects)",
        "n, 10 * n - 3, 8, 'H-' || (10 * n - 3), 'NO_ITEM', true",
    ),
    (
        "result",
        ROWS,
        "(batch, verdict, accepted, rejected, source, recorded_at)",
        "n, 'partly_rejected', 8, 1, 'api', {at}",
    ),
    ("judged_order", ROWS, "(revision_id, submission_id, verdict)", "10 * n - 3, n, 'rejected'"),
    ("judged_correction", ROWS, "(correction_id, submission_id, verdict)", "n, n, 'partly_accepted'"),
    ("daily_clicks", ROWS, "(day, slot, clicks)", "{day}, n - n / 4 * 4, 10"),
    (
        "daily_total",
        ROWS,
        "(day, event_type, currency, slot, orders, with_click_id, held, billions, rest)",
        "{day}, 'default', 'USD', n - n / 4 * 4, 10, 10, 0, 0, 10000",
    ),
    ("order_term", ORDERS, "(term, revision_id)", "{customer}, n"),
    ("terms_filed", 1, "(id, begins, seen, done)", "1, {some}, {all}, {all}"),
    ("day_counted", ROWS // 4 + 1, "(day, counted_at, due_at, token)", "{before}, {at}, {at}, 1"),
    (
        "day_standing",
        ROWS,
        "(day, event_type, currency, state, orders, with_click_id, billions, rest)",
        "{day}, 'default', 'USD', {state}, 10, 10, 0, 10000",
    ),
    (
        "alarm",
        ROWS,
        "(kind, subject, severity, detail, since, seen_at, cleared_at, post_at)",
        "'delivery_failed', 'b-' || n, 'error', '', {at}, {at}, {at}, {at}",
    ),
)


def add_history(database: Database, now: datetime) -> None:
    """Fill a fresh database with what happened in the days before `now`, all of it done with."""
    kind = "sqlite" if database.is_sqlite else "postgresql"
    first = (now - timedelta(seconds=30 * (ORDERS + CANCELLED), days=1)).astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
    words = {name: text.format(first=first) for name, text in DIALECTS[kind].items()}
    words |= {"customer": str(number_of(Term.CUSTOMER, "history")), "some": str(ROWS), "all": str(ORDERS + CANCELLED)}
    words |= {"state": STATE, "file": "'2026-01-01_ActionData_default_' || n || '.csv'"}
    with database.engine.connect() as connection:
        _begin_quickly(connection, kind)
        for table, count, columns, values in TABLES:
            numbers = NUMBERS.format(count=count)
            connection.exec_driver_sql(
                f"INSERT INTO {table} {columns} {numbers} SELECT {values.format(**words)} FROM numbers"  # noqa: S608
                + (" WHERE n / 10 * 10 <> n" if table == "batch_line" else "")
            )
        if kind == "postgresql":
            for table, *_ in TABLES:  # plans go by the statistics below, whenever the server would take new ones
                connection.exec_driver_sql(f"ALTER TABLE {table} SET (autovacuum_enabled = off)")
            for table in ("conversion", "revision", "correction", "export", "batch", "call", "submission"):
                last = f"(SELECT max(id) FROM {table})"  # noqa: S608
                connection.exec_driver_sql(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), {last})")
        connection.exec_driver_sql("COMMIT")
    if kind == "postgresql":
        with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("ANALYZE")


def _begin_quickly(connection: Connection, kind: str) -> None:
    """Begin without looking up what rows point to, since they are made to fit."""
    if kind == "sqlite":
        connection.exec_driver_sql("PRAGMA foreign_keys = OFF")
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    else:
        connection.exec_driver_sql("SET LOCAL session_replication_role = replica")

"""Orders that a checkout backend sends as CSV, in impact.com's layouts, answered when they are durable."""

from collections.abc import Sequence
from datetime import datetime
from http import HTTPStatus
from io import BytesIO
from typing import Any

from app.config import DEFAULT_EVENT_TYPE, Settings
from app.conversions.order_file import Entry, Reading
from app.conversions.record import record
from app.database import Database
from app.errors import TooLarge, Unavailable, problem
from app.ledger.import_source import look_at_csv
from app.ledger.intake import MOST_LINES, answer_to, event_types, refused, rules, told


def accept_table(database: Database, settings: Settings, body: bytes, now: datetime) -> bytes:
    """Record the orders of a CSV file and return NDJSON, one answer an order, with the line at which it begins.

    Raises InvalidFile, TooLarge above 10,000 lines, and Unavailable if the database is away from the beginning.
    """
    lines = body.count(b"\n")
    if lines > MOST_LINES + 1:
        raise TooLarge(f"There are {lines} lines, and at most {MOST_LINES} go at a time; send them in parts.")
    reading = Reading(rules(settings), now, DEFAULT_EVENT_TYPE)
    source = look_at_csv(BytesIO(body), len(body), None, event_types(settings), reading)
    chunks = source.orders(BytesIO(body), source.offset, source.line)
    return told([answer for chunk in chunks for answer in _answers(database, settings, chunk.entries, now)])


def _answers(database: Database, settings: Settings, entries: Sequence[Entry], now: datetime) -> list[dict[str, Any]]:
    orders = [entry.order for entry in entries if entry.order is not None]
    try:
        results = record(database, orders, now, settings.fingerprint_key)
        answers = iter([answer_to(result) for result in results])
    except Unavailable as away:
        answers = iter([refused(order.order_id, away) for order in orders])
    return [
        {"line": entry.block.line_of(entry.first), **(_refusal(entry) if entry.order is None else next(answers))}
        for entry in entries
    ]


def _refusal(entry: Entry) -> dict[str, Any]:
    status = HTTPStatus.UNPROCESSABLE_ENTITY
    return {"order_id": entry.order_id, "status": int(status), "problem": problem(status, entry.code, entry.reason)}

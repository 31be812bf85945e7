"""What a checkout backend sends: one order or many, answered when they are durable. Knows nothing of routing."""

import json
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote

from fastapi.concurrency import run_in_threadpool

from app.batches.build import age_limit
from app.config import DEFAULT_EVENT_TYPE, Settings
from app.conversions.order import Order
from app.conversions.order_body import Rules, read_order
from app.conversions.record import Outcome, Result, record
from app.database import Database
from app.errors import Conflict, Failure, Fault, InvalidInput, TooLarge, Unavailable
from app.ledger.orders import show_new, show_one
from app.logs import name_order
from app.metrics import count_order, count_orders

Record = Callable[[Order, datetime], Awaitable[Result]]
"""Makes an order durable and says what became of it."""

MOST_LINES: Final = 10_000
GROUP: Final = 500


@dataclass(frozen=True, slots=True)
class Accepted:
    """How an order is answered that is recorded: as a new one, or as one that was recorded before."""

    status: HTTPStatus
    headers: list[tuple[bytes, bytes]]
    content: bytes


class Intake:
    """Takes orders one by one, for a service with these settings; `record` is a Recorder's."""

    def __init__(self, settings: Settings, database: Database, record: Record) -> None:
        self._settings, self._database, self._record = settings, database, record
        self._rules, self._limit = rules(settings), age_limit(settings)
        self._types = {key: settings.event_type(key) for key in settings.event_type_keys}

    async def accept(self, body: bytes, now: datetime) -> Accepted:
        """Record the order that `body` describes, and count it. Raises InvalidInput, Conflict or Unavailable."""
        try:
            accepted = await self._accept(body, now)
        except Failure as failure:
            count_order(failure.status)
            raise
        count_order(accepted.status)
        return accepted

    async def _accept(self, body: bytes, now: datetime) -> Accepted:
        result = await self._record(read_order(body, self._rules, now), now)
        order = result.order
        name_order(order.order_id)
        match result.outcome:
            case Outcome.NEW:
                headers = [(b"location", location(order.event_type, order.order_id).encode())]
                event_type = self._types.get(order.event_type)
                locks_at = event_type.locks_at(order.event_date) if event_type else None
                return Accepted(HTTPStatus.CREATED, headers, show_new(order, self._limit, result.at, locks_at))
            case Outcome.REPLAYED:
                content = await run_in_threadpool(self._show, result.conversion_id)
                return Accepted(HTTPStatus.OK, [(b"idempotent-replayed", b"true")], content)
            case Outcome.CONFLICT:
                raise conflict(order)
            case Outcome.REFUSED:
                raise InvalidInput(result.faults)

    def _show(self, conversion_id: int) -> bytes:
        with self._database.snapshot() as session:
            return show_one(session, self._settings, conversion_id).model_dump_json().encode()


def read_replacement(body: bytes, order_id: str, settings: Settings, now: datetime) -> Order:
    """Return the order that takes another's place. Raises InvalidInput, also if it has another id."""
    order = read_order(body, rules(settings), now)
    if order.order_id != order_id:
        raise InvalidInput([Fault("ORDER_ID_MISMATCH", "This must be the order id of the path.", "/order_id")])
    return order


def rules(settings: Settings) -> Rules:
    """Return what the settings say of valid orders."""
    types = {key: one for key in settings.event_type_keys if (one := settings.event_type(key))}
    return Rules(
        currencies={key: one.currency for key, one in types.items()},
        max_items=settings.max_rows,
        sku_max_length=settings.sku_max_length,
        net_amounts=settings.amount_basis == "after_discounts",
        event_types=types,
        promo_codes=settings.promo_codes if settings.promo_codes.rules else None,
    )


def event_types(settings: Settings) -> dict[str, tuple[int, int]]:
    """Return each event type's campaign and action tracker, by which files name it."""
    types = {key: settings.event_type(key) for key in settings.event_type_keys}
    return {key: (one.campaign_id, one.action_tracker_id) for key, one in types.items() if one}


def location(event_type: str, order_id: str) -> str:
    """Return the path of an order."""
    path = f"/orders/{quote(order_id, safe='')}"
    return path if event_type == DEFAULT_EVENT_TYPE else f"{path}?event_type={event_type}"


def conflict(order: Order) -> Conflict:
    """Return the refusal of an order that is recorded with other content."""
    path = f"/orders/{quote(order.order_id, safe='')}"
    return Conflict(
        f"This order is recorded with other content, which stays as it is. Before it has left, PUT {path} replaces it;"
        f" after that a change is a modification: POST {path}/modifications.",
        code="ORDER_EXISTS",
    )


def accept_many(database: Database, settings: Settings, body: bytes, now: datetime) -> bytes:
    """Record NDJSON, one order a line, and return NDJSON, one answer a line, in the same order.

    A bad line stops no other. Lines answered 503 may be sent again, as may all others, recorded or not. Raises TooLarge
    above 10,000 lines, and Unavailable if the database is away from the beginning.
    """
    lines = body.removesuffix(b"\n").split(b"\n") if body else []
    if len(lines) > MOST_LINES:
        raise TooLarge(f"There are {len(lines)} lines, and at most {MOST_LINES} go at a time; send them in parts.")
    answers = [answer for group in _groups(lines) for answer in _accept_group(database, settings, group, now)]
    return told(answers)


def told(answers: Sequence[dict[str, Any]]) -> bytes:
    """Return answers as NDJSON, and count them. Raises Unavailable if the database was away for all of them."""
    if answers and all(answer["status"] == HTTPStatus.SERVICE_UNAVAILABLE for answer in answers):
        raise Unavailable("The database cannot be used now; repeat the call in a few seconds.")
    count_orders(answer["status"] for answer in answers)
    return b"".join(json.dumps(answer, ensure_ascii=False).encode() + b"\n" for answer in answers)


def _groups(lines: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    return (lines[start : start + GROUP] for start in range(0, len(lines), GROUP))


def _accept_group(
    database: Database, settings: Settings, lines: Sequence[bytes], now: datetime
) -> list[dict[str, Any]]:
    known = rules(settings)
    read = [_read(line, known, now) for line in lines]
    orders = [one for one in read if isinstance(one, Order)]
    try:
        results = iter(record(database, orders, now, settings.fingerprint_key))
    except Unavailable as away:
        return [refused(one.order_id if isinstance(one, Order) else None, away) for one in read]
    return [
        answer_to(next(results)) if isinstance(one, Order) else refused(_order_id(line), one)
        for one, line in zip(read, lines, strict=True)
    ]


def _read(line: bytes, known: Rules, now: datetime) -> Order | InvalidInput:
    try:
        return read_order(line, known, now)
    except InvalidInput as invalid:
        return invalid


def answer_to(result: Result) -> dict[str, Any]:
    """Return the line that answers an order of many."""
    if result.outcome is Outcome.CONFLICT:
        return refused(result.order.order_id, conflict(result.order))
    if result.outcome is Outcome.REFUSED:
        return refused(result.order.order_id, InvalidInput(result.faults))
    status = HTTPStatus.CREATED if result.outcome is Outcome.NEW else HTTPStatus.OK
    return {"order_id": result.order.order_id, "status": int(status)}


def refused(order_id: str | None, failure: Failure) -> dict[str, Any]:
    """Return the line that answers an order which was not taken."""
    return {"order_id": order_id, "status": int(failure.status), "problem": failure.problem()}


def _order_id(line: bytes) -> str | None:
    """Return the order id of a line that is not valid, if it can be told at all."""
    try:
        order_id = json.loads(line)["order_id"]
    except (ValueError, KeyError, TypeError, IndexError, RecursionError):
        return None
    return order_id if isinstance(order_id, str) and order_id.isprintable() else None

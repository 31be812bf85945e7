"""A batch that leaves by calls of impact.com's API: one call for each order or correction, recorded before it is made.

A call that fails keeps none of the others back; after a few in a row, the rest waits. What is not known of a call is
known to be not known: it is on record as begun before its first byte leaves.
"""

import csv
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

from sqlmodel import Session

from app.batches import modifications_store
from app.batches.batch import BatchKind
from app.batches.build import age_limit, load_as_told
from app.batches.modification import form_of
from app.config import Settings
from app.database import Database
from app.delivery import calls_store as calls
from app.delivery import store
from app.delivery.api import Api
from app.delivery.attempt import ARRIVED, HELD_FOR_A_PERSON, AttemptStatus, Outcome, after
from app.delivery.calls_store import CallState, ToMake
from app.delivery.deliver import parcel_of, under_lease, unexpected
from app.delivery.fields import Request, conversion, correction
from app.delivery.journal import Journal
from app.delivery.parcel import Progress
from app.delivery.store import Claim
from app.errors import (
    ApiRefused,
    ApiUnavailable,
    BudgetSpent,
    ChannelRefused,
    ChannelUnavailable,
    DeliveryError,
    LeaseLost,
    OutcomeUnknown,
    Unavailable,
)
from app.event_type import EventType
from app.impact.columns import Level
from app.impact.outcomes import known_reasons

MOST_TROUBLES: Final = 3
"""So many calls in a row may fail before the API is taken to be away."""
OF_THE_CALL: Final = frozenset({200, 201, 400, 402, 409, 413, 414, 422})
"""Answers that refuse one call for what it says. Others may be about the address or the account: they refuse none."""
TYPES: Final = {"POST": "Conversion", "PUT": "Modification", "DELETE": "Reversal"}
"""impact.com's words for what is asked for."""


@dataclass(frozen=True, slots=True)
class Work:
    """A claimed batch, and what its calls are made with."""

    database: Database
    api: Api
    settings: Settings
    claimed: Claim
    clock: Callable[[], datetime]
    kind: BatchKind
    event_type: EventType
    level: Level


def deliver(
    database: Database,
    journal: Journal,
    api: Api,
    settings: Settings,
    claimed: Claim,
    clock: Callable[[], datetime],
    stopping: threading.Event,
) -> None:
    """Make the calls of a claimed batch, and record what they came to. Raises LeaseLost."""
    attempt = partial(_attempt, database, journal, api, settings, claimed, clock, stopping)
    under_lease(database, settings, replace(claimed, doubtful=False), clock, stopping, attempt)


def _attempt(
    database: Database,
    journal: Journal,
    api: Api,
    settings: Settings,
    claimed: Claim,
    clock: Callable[[], datetime],
    stopping: threading.Event,
    progress: Progress,
) -> Outcome:
    """Make the calls that are to be made, and say what it came to. Raises what `progress` raises, and Unavailable."""
    if claimed.tries > settings.delivery_tries:  # whoever tried ended each time before that could be recorded
        return HELD_FOR_A_PERSON
    try:
        parcel = parcel_of(database, claimed)
        journal.keep(parcel)
        work, todo = _prepare(database, api, settings, claimed, clock, parcel.content)
    except DeliveryError as error:
        return after(error, claimed.tries, settings.delivery_tries, _chance())
    made, trouble = _make(work, todo, progress, stopping)
    with database.snapshot() as session:
        left, unknown = calls.left(session, claimed.batch, work.kind)
    return _outcome(work, made, trouble, left, unknown)


def _prepare(
    database: Database, api: Api, settings: Settings, claimed: Claim, clock: Callable[[], datetime], content: bytes
) -> tuple[Work, list[ToMake]]:
    """Return what is to be done. Raises ChannelRefused if nobody knows what the calls would have to say."""
    event_type = settings.event_type(claimed.event_type)
    if event_type is None:
        raise ChannelRefused(
            f"The event type {claimed.event_type} is not set up any more, so that its orders cannot be told to"
            " impact.com; put it back into CAPTURE_EVENT_TYPES."
        )
    header = next(csv.reader([content.partition(b"\r\n")[0].decode()]), [])
    form = form_of(header)
    kind, level = (BatchKind.MODIFICATIONS, form.level) if form else (BatchKind.CONVERSIONS, Level.ORDER)
    with database.transaction() as session:
        calls.forget_started(session, claimed.batch, clock())
        again = settings.unknown_outcome == "resend"
        todo = calls.to_make(session, claimed.batch, kind, unknown_too=again)
    return Work(database, api, settings, claimed, clock, kind, event_type, level), todo


def _make(
    work: Work, todo: list[ToMake], progress: Progress, stopping: threading.Event
) -> tuple[int, DeliveryError | None]:
    """Make one call after the other; return how many were queued or refused, and the last trouble there was.

    Ends early where none can be made now, or after a few troubles in a row.
    """
    made, in_a_row = 0, 0
    trouble: DeliveryError | None = None
    for one in todo:
        progress(0)
        if stopping.is_set():
            return made, ChannelUnavailable("The worker was told to stop; the calls that are left follow.")
        failure = _call(work, one)
        made, in_a_row = (made + 1, 0) if failure is None else (made, in_a_row + 1)
        trouble = failure or trouble
        passes = isinstance(failure, OutcomeUnknown | ApiUnavailable) and not isinstance(failure, BudgetSpent)
        if failure and (not passes or in_a_row >= MOST_TROUBLES):
            return made, failure
    return made, trouble


def _outcome(work: Work, made: int, trouble: DeliveryError | None, left: int, unknown: int) -> Outcome:
    """Say what an attempt came to whose calls ended so."""
    if not left:
        return ARRIVED
    holds = work.settings.unknown_outcome == "hold"
    if trouble is None or (holds and unknown == left):
        return HELD_UNKNOWN
    restarts = made > 0 or isinstance(trouble, BudgetSpent)
    tries, limit = (1, 2) if restarts else (work.claimed.tries, work.settings.delivery_tries)
    outcome = after(trouble, tries, limit, _chance())
    wait = trouble.wait if isinstance(trouble, ApiUnavailable) and trouble.wait and outcome.wait else outcome.wait
    status = AttemptStatus.UNKNOWN if unknown else AttemptStatus.FAILED
    detail = f"{left} calls are left, of {unknown} it is not known whether they arrived: {trouble}"
    return replace(outcome, status=status, wait=wait, detail=detail, restarts=restarts)


HELD_UNKNOWN: Final = Outcome(
    AttemptStatus.UNKNOWN,
    OutcomeUnknown.code,
    "It is not known whether some calls arrived; look for their orders at impact.com, then redeliver the batch or"
    " confirm it.",
)


def _chance() -> float:
    return random.random()  # noqa: S311 (a wait is no secret)


# One call -------------------------------------------------------------------------------------------------------


def _call(work: Work, one: ToMake) -> DeliveryError | None:
    """Make one call, on record before and after; return why it is to be made again, or None. Raises LeaseLost."""
    with work.database.transaction() as session:
        lease = timedelta(seconds=work.settings.lease_seconds)
        if not store.renew(session, work.claimed, lease, 0):
            raise LeaseLost("Another worker has taken this delivery over.")
        now = work.clock()
        try:
            request = _request(session, work, one, now)
        except (KeyError, ValueError) as error:  # such as a currency that ISO 4217 has dropped: the others go on
            return unexpected(error, work.claimed)
        call = calls.begin(session, work.claimed.batch, one, TYPES[request.method], now)
    if call is None:
        return None
    failure: DeliveryError | None = None
    uri = None
    try:
        uri = work.api.submit(request.method, request.uri, request.fields)
    except DeliveryError as error:
        failure = error
    except Unavailable:
        raise
    except Exception as error:  # noqa: BLE001 (nobody knows how far it got; the log names the place)
        failure = unexpected(error, work.claimed)
    values, due_in, again = _ended(work, failure, uri)
    with work.database.transaction() as session:
        calls.end(session, call, one.tries + 1, values | {"ended_at": work.clock()}, due_in=due_in)
    return again


def _request(session: Session, work: Work, one: ToMake, now: datetime) -> Request:
    """Return what a call says."""
    if one.kind is BatchKind.CONVERSIONS:
        [recorded] = load_as_told(session, work.event_type, [one.subject])
        return conversion(recorded.order, work.event_type, age_limit(work.settings), now)
    said = modifications_store.load(session, [one.subject], work.level)[one.subject]
    row = calls.correction(session, one.subject)
    return correction(said, work.level, row.reason, work.event_type, reverses=row.reverses)


def _ended(
    work: Work, failure: DeliveryError | None, uri: str | None
) -> tuple[dict[str, Any], timedelta | None, DeliveryError | None]:
    """Return what is recorded of a call, when to ask what became of it, and why it is to be made again, if it is."""
    if failure is None:
        queued = {"state": CallState.QUEUED.value, "uri": uri, "http_status": None, "code": None, "detail": None}
        return queued, timedelta(seconds=work.settings.api_poll_seconds), None
    http_status = failure.http_status if isinstance(failure, ApiRefused) else None
    told: dict[str, Any] = {"http_status": http_status, "code": failure.code, "detail": str(failure)}
    if isinstance(failure, OutcomeUnknown):
        return told | {"state": CallState.UNKNOWN.value, "was_unknown": True}, None, failure
    if isinstance(failure, ApiRefused) and is_of_the_call(failure):
        told |= {"code": _codes(failure), "detail": "; ".join(failure.reasons) or str(failure)}
        return told | {"state": CallState.REFUSED.value}, timedelta(), None
    if isinstance(failure, ApiUnavailable) and failure.doubtful:  # made again at once; a duplicate may be our own then
        told |= {"was_unknown": True}
    again = ApiUnavailable(str(failure)) if isinstance(failure, ApiRefused) else failure
    return told | {"state": CallState.FAILED.value}, None, again


def is_of_the_call(refused: ApiRefused) -> bool:
    """Say whether a refusal is about what one call said, so that the same call would be refused for ever."""
    return refused.http_status in OF_THE_CALL or any(one in known_reasons() for one in refused.reasons)


def _codes(refused: ApiRefused) -> str:
    known = [one for one in refused.reasons if one in known_reasons()]
    return " ".join(known) or f"HTTP_{refused.http_status}"

"""Asks impact.com what became of what was sent: of each call, and of all files that are due by one listing.

Nothing is open in the database while it is asked. Who asks has moved the next look on before, so that no other replica
asks the same; what was taken over meanwhile is left to whoever took it.
"""

import logging
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Row, Table

from app.batches.store import UNCONFIRMED
from app.config import Settings
from app.database import Database, retried
from app.delivery import store as deliveries
from app.delivery.api import Api
from app.delivery.attempt import IMPACT
from app.delivery.calls_store import UNANSWERED, CallState
from app.delivery.file_submissions import LIST, listed
from app.errors import ApiRefused, ApiUnavailable, BudgetSpent, CredentialsRefused, DeliveryError
from app.event_type import HTTP_API
from app.metrics import count_reasons
from app.submissions import follow_store, record_store
from app.submissions.record import Trouble, arrived, record_call, record_file, settle_calls, settle_file
from app.submissions.refusal import codes_of
from app.submissions.schedule import KEPT, LEASE, is_over, pause, wait
from app.submissions.submission import (
    COMPLETE,
    NOT_FOUND,
    VALIDATION,
    ErrorLine,
    Source,
    Told,
    read_error,
    read_submission,
    reasons_in,
)

logger = logging.getLogger(__name__)

ERROR_ROWS: Final = ("ErrorDetail", "ErrorDetails")
MOST_FAILURES: Final = 3
"""When the errors of so many files in one listing cannot be read, the API is taken to be away."""


class Follower:
    """Looks after everything of one process, and rests while impact.com's API cannot be used."""

    def __init__(self, database: Database, api: Api, settings: Settings) -> None:
        self._database, self._api, self._settings = database, api, settings
        self._rests_until: datetime | None = None
        self._failures = 0
        self._has_begun = self._is_trusted = False

    def step(self, now: datetime) -> bool:
        """Ask for what is due, and say whether there was anything. What fails is asked again later."""
        if self._rests_until is not None and now < self._rests_until:
            return False
        if not self._has_begun:  # a setting may have changed
            with self._database.transaction() as session:
                deliveries.try_channel_again(session, IMPACT)
            self._has_begun = True
        try:
            worked = self._work(now)
        except ApiUnavailable as away:
            self._rest(now, away, away.wait)
            return False
        except ApiRefused as refused:  # the list of files, as a whole
            self._rest(now, refused, None)
            return False
        except CredentialsRefused as denied:
            with self._database.transaction() as session:
                deliveries.note_denial(session, IMPACT, denied)
            self._is_trusted = False
            self._rest(now, denied, None)
            return False
        self._failures, self._rests_until = 0, None
        return worked

    def _rest(self, now: datetime, error: DeliveryError, told: timedelta | None) -> None:
        self._failures += 1
        self._rests_until = now + pause(self._failures, told)
        facts = {"code": error.code, "detail": str(error), "until": self._rests_until.isoformat(timespec="seconds")}
        logger.warning("submission.not_asked", extra=facts)

    def _work(self, now: datetime) -> bool:
        with self._database.snapshot() as session:
            if IMPACT in deliveries.stopped_channels(session):
                return False
        with self._database.transaction() as session:
            call = follow_store.claim_call(session, LEASE)
            due = [] if call is not None else follow_store.claim_batches(session, LEASE)
        if call is not None:
            self._follow_call(call, now)
        elif due:
            self._follow_batches(due, now)
        return call is not None or bool(due)

    def _ask(self, ask: Callable[[], Any]) -> Any:
        """Ask impact.com something; the first answer shows that it takes our token."""
        answer = ask()
        if not self._is_trusted:
            with self._database.transaction() as session:
                deliveries.forget_trouble(session, IMPACT)
            self._is_trusted = True
        return answer

    # Calls ------------------------------------------------------------------------------------------------------

    def _follow_call(self, call: Row[Any], now: datetime) -> None:
        told = _refused(call) if call.state == CallState.REFUSED else self._ask_for_call(call, now)
        looks, first = call.looks + 1, self._settings.api_poll_seconds
        self._record_call(call, told, now)
        if told is None or not told.is_complete:
            self._put_off(UNANSWERED, call.id, call.token, looks, wait(looks, first))

    def _ask_for_call(self, call: Row[Any], now: datetime) -> Told | None:
        """Return what impact.com shows of a call; None if that is nothing to tell yet. After 90 days it forgets."""
        try:
            told = None if call.uri is None else read_submission(self._ask(lambda: self._api.get(call.uri)))
        except ApiRefused as refused:
            facts = {"call": call.id, "http_status": refused.http_status, "looks": call.looks + 1}
            logger.warning("submission.not_found", extra=facts)
            told = None
        if told is not None and told.status:
            return told
        return Told(NOT_FOUND, uri=call.uri) if call.looks or is_over(call.started_at, now) else None

    @retried
    def _record_call(self, call: Row[Any], told: Told | None, now: datetime) -> None:
        with self._database.transaction() as session:
            record_store.lock(session, call.batch)
            if not follow_store.holds(session, UNANSWERED, call.id, call.token):
                return
            if told is not None:
                record_call(session, call, told, now)
            if is_over(call.started_at, now) and not (told and told.is_complete):
                logger.error("submission.given_up", extra={"call": call.id})
                follow_store.answered(session, call.id)
        if told is not None and told.is_complete:
            count_reasons(reasons_in(told.error_reason) or filter(None, [told.error_type]))

    # Batches ----------------------------------------------------------------------------------------------------

    def _follow_batches(self, due: Sequence[Row[Any]], now: datetime) -> None:
        files = []
        for row in due:
            if is_over(row.since, now) and (row.looks or row.trouble):
                self._give_up(row)
            elif self._is_new(row, now):
                self._put_off(UNCONFIRMED, row.batch, row.token, 0, row.since + self._first - now)
            elif row.channel == HTTP_API:
                self._settle_calls(row, now)
            else:
                files.append(row)
        if files:
            self._follow_files(files, now)

    @property
    def _first(self) -> timedelta:
        return timedelta(seconds=self._settings.file_poll_seconds)

    def _is_new(self, row: Row[Any], now: datetime) -> bool:
        return bool(row.looks == 0 and now < row.since + self._first)

    def _follow_files(self, files: Sequence[Row[Any]], now: datetime) -> None:
        """Look for files in one listing, and record what it shows of each."""
        names = {row.filename for row in files}
        shown: defaultdict[str, list[Told]] = defaultdict(list)
        since = max(min(row.created_at for row in files), now - KEPT)  # before a restore one may have left long ago
        for row in self._ask(lambda: list(listed(self._api, since, now))):
            told = read_submission(row)
            if told.file_name in names and told.file_name is not None:
                shown[told.file_name].append(told)
        failures = 0
        for file in files:
            try:
                found = [(told, self._errors(told)) for told in shown[file.filename]]
            except BudgetSpent:
                raise
            except ApiUnavailable as away:  # the errors of one file that cannot be read keep no other back
                logger.warning("submission.errors_not_read", extra={"batch": file.batch, "detail": str(away)})
                later = wait(file.looks + 1, self._settings.file_poll_seconds)
                self._put_off(UNCONFIRMED, file.batch, file.token, file.looks + 1, later)
                failures += 1
                if failures >= MOST_FAILURES:
                    raise
            else:
                self._record_file(file, found, now)

    def _errors(self, told: Told) -> list[ErrorLine]:
        """Return the errors of a file, by the address that impact.com names, else by the one that it documents.

        Raises ApiUnavailable if it neither counts nor lists them.
        """
        is_answered = False
        if not told.is_complete or told.total_errors == 0:
            return []
        documented = None if told.impact_id is None else f"{LIST}/{told.impact_id}/ErrorDetails"
        for uri in filter(None, (told.errors_uri, documented)):
            try:
                pages: list[list[Mapping[str, Any]]] = list(self._api.pages(uri, {}, *ERROR_ROWS))
            except ApiRefused as refused:
                logger.warning("submission.no_errors_there", extra={"http_status": refused.http_status})
                continue
            is_answered = True
            if rows := [read_error(row) for page in pages for row in page]:
                return rows
        if told.total_errors is None and not is_answered:
            raise ApiUnavailable("impact.com neither counts nor lists the errors of a file.")
        return []

    @retried
    def _record_file(self, file: Row[Any], found: Sequence[tuple[Told, list[ErrorLine]]], now: datetime) -> None:
        """Record what was found of a file; what is not complete, or nothing new, is looked at again."""
        looks = file.looks + 1
        with self._database.transaction() as session:
            batch = record_store.lock(session, file.batch)
            if not follow_store.holds(session, UNCONFIRMED, file.batch, file.token):
                return
            if follow_store.is_leaving(session, batch.id):  # what comes of that belongs to the result
                follow_store.put_off(session, UNCONFIRMED, file.batch, file.token, file.looks, LEASE)
                return
            before = record_store.submissions_of(session, batch.id)
            known = {row.impact_id for row in before if record_store.is_complete(row)}
            news = [(told, errors) for told, errors in found if told.impact_id is None or told.impact_id not in known]
            for told, errors in found:
                arrived(session, batch, told, now)
                record_file(session, batch, told, errors, Source.API, now)
            if news or record_store.result_of(session, batch.id) is None:
                settle_file(session, batch, Source.API, now)
            later = wait(looks, self._settings.file_poll_seconds)
            follow_store.put_off(session, UNCONFIRMED, file.batch, file.token, looks, later)
        for told, errors in news:
            if told.is_complete:
                count_reasons([reason for row in errors for reason in row.reasons] or reasons_in(told.error_reason))

    def _settle_calls(self, row: Row[Any], now: datetime) -> None:
        """Make sure that a batch of calls gets its result once they are all judged."""
        with self._database.transaction() as session:
            settle_calls(session, record_store.lock(session, row.batch), now)
        later = wait(row.looks + 1, self._settings.file_poll_seconds)
        self._put_off(UNCONFIRMED, row.batch, row.token, row.looks + 1, later)

    def _give_up(self, row: Row[Any]) -> None:
        with self._database.transaction() as session:
            if record_store.result_of(session, row.batch) is not None:  # it was sent again, and nothing came of that
                follow_store.confirmed(session, row.batch)
                return
            follow_store.give_up(session, row.batch, Trouble.GIVEN_UP.value)
        logger.error("submission.given_up", extra={"batch": row.batch, "file": row.filename})

    def _put_off(self, table: Table, key: int, token: int, looks: int, later: timedelta) -> None:
        with self._database.transaction() as session:
            follow_store.put_off(session, table, key, token, looks, later)


def _refused(call: Row[Any]) -> Told:
    """Return the submission that a refused call would have become."""
    reasons = " ".join(codes_of(call.code, call.detail, call.http_status))
    return Told(COMPLETE, completion_date=call.ended_at, error_type=VALIDATION, error_reason=reasons, uri=call.uri)

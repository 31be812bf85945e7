"""Tells the operator: in the log, and at CAPTURE_ALARM_URL, at least once, by whichever process comes first."""

import logging
from datetime import datetime
from typing import Any, Final

import httpx
from pydantic import SecretStr
from sqlalchemy import Row

from app import __version__
from app.alarms import store
from app.alarms.alarm import Alarm, Severity
from app.database import Database

logger = logging.getLogger(__name__)
for _name in ("httpx", "httpcore"):  # they write whole URLs and answers, and this URL may hold a token
    logging.getLogger(_name).setLevel(logging.WARNING)

POST_SECONDS: Final = 5.0
"""How long a connection, a write or the beginning of the answer may take."""


def say_raised(alarm: Alarm) -> None:
    """Write into the log what holds from now on."""
    level = logging.ERROR if alarm.severity is Severity.ERROR else logging.WARNING
    logger.log(level, "alarm.raised", extra={"kind": alarm.kind, "subject": alarm.subject, "detail": alarm.detail})


def say_cleared(kind: str, subject: str, detail: str) -> None:
    """Write into the log what is over."""
    logger.info("alarm.cleared", extra={"kind": kind, "subject": subject, "detail": detail})


def post_owed(database: Database, url: SecretStr) -> None:
    """Post what has not been posted, in the order of raising, until there is no more or one cannot be posted now."""
    while (row := _claim(database)) is not None:
        if not post(url, _message(row)):
            return  # tried again in a minute, by whoever comes first
        with database.transaction() as session:
            store.posted(session, row)


def post_raised(url: SecretStr, alarm: Alarm, since: datetime) -> bool:
    """Post an alarm that is on no record, since the database is away; say whether it was taken."""
    about = {"id": None, "kind": alarm.kind.value, "subject": alarm.subject, "severity": alarm.severity.value}
    return post(url, about | {"state": store.RAISED, "since": since, "cleared_at": None, "detail": alarm.detail})


def post(url: SecretStr, message: dict[str, Any]) -> bool:
    """Post a message as JSON and say whether it was taken. Redirects are not followed, and no answer is read."""
    times = {name: value and value.isoformat() for name, value in message.items() if name in {"since", "cleared_at"}}
    body = message | times | {"service": "conversion-capture", "version": __version__}
    try:
        with httpx.stream("POST", url.get_secret_value(), json=body, timeout=POST_SECONDS) as answer:
            trouble = "" if answer.is_success else f"HTTP {answer.status_code}"
    except Exception as error:  # noqa: BLE001 (whatever it is, its text may hold the URL, so its name has to do)
        trouble = type(error).__name__
    if trouble:
        facts = {name: message[name] for name in ("kind", "subject", "state")}
        logger.warning("alarm.not_posted", extra=facts | {"reason": trouble})
    return not trouble


def _claim(database: Database) -> Row[Any] | None:
    with database.snapshot() as session:
        row = store.next_owed(session)
    if row is None:
        return None
    with database.transaction() as session:
        return row if store.claim_post(session, row) else None


def _message(row: Row[Any]) -> dict[str, Any]:
    names = ("id", "kind", "subject", "severity", "since", "cleared_at", "detail")
    return {name: getattr(row, name) for name in names} | {"id": str(row.id), "state": row.owed}

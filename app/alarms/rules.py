"""When each alarm holds, and the sentence that says what to do.

The sentences name points in time and limits rather than ages and amounts, so that they stay the same while they hold.
"""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Final, Protocol

from app.alarms.alarm import Alarm, Kind
from app.delivery.attempt import IMPACT
from app.event_type import HTTP_API

EXPIRY_WARNING: Final = timedelta(days=7)
"""Before the age limit; with impact.com's 88 days and a margin of one it begins on day 80."""
EXPIRED_TOLD_FOR: Final = timedelta(days=7)
HELD_TOLD_FOR: Final = timedelta(days=7)
"""What a person does at impact.com itself is not known here, so that it is told for so long alone."""
REJECTED_TOLD_FOR: Final = timedelta(days=7)
RESULT_AFTER: Final = timedelta(hours=24)
RESULT_AFTER_A_PULL: Final = timedelta(hours=48)
"""impact.com fetches once a day, so that a file may lie in the folder for a day before."""
GIVEN_UP_TOLD_UNTIL: Final = timedelta(days=97)
"""A week after impact.com has forgotten what became of a file."""
MOST_NAMED: Final = 3
MOST_COUNTED: Final = 1_000
MOST_REJECTED: Final = 300
RESUME: Final = "`conversion-capture export --redeliver stuck`"


class Comparison(Protocol):
    """A comparison that a worker has made: of orders from `first` to `last`."""

    first: date
    last: date
    missing: int
    doubled: int


def orders_unsent(oldest: datetime | None, hours: int, now: datetime) -> list[Alarm]:
    """Say so if the `oldest` order that has not been delivered was recorded more than so many hours ago."""
    if oldest is None or now - oldest <= timedelta(hours=hours):
        return []
    detail = (
        f"The oldest order that has not been delivered was recorded at {_at(oldest)}, more than {hours} hours ago"
        " (CAPTURE_ALARM_UNSENT_HOURS): see that `conversion-capture export` runs each day, that a worker runs, and in"
        " GET /batches what is not delivered and why."
    )
    return [Alarm(Kind.ORDERS_UNSENT, "", detail)]


def orders_expiring(number: int, first: datetime | None) -> list[Alarm]:
    """Say so if orders that have not been delivered are about to become too old, the `first` of them then."""
    if not number or first is None:
        return []
    detail = (
        f"Orders that become too old for impact.com before they are delivered: {number}, the first at {_at(first)};"
        " run `conversion-capture export`, and see in GET /batches that what it made is delivered before."
    )
    return [Alarm(Kind.ORDERS_EXPIRING, "", detail)]


def orders_expired(export_id: int, number: int) -> Alarm:
    """Say that an export left out orders that had become too old."""
    detail = (
        f"Orders that were too old for impact.com when export {export_id} ran, and are not sent: {number}; list them"
        " with GET /orders?state=expired. With its partner's media_id an order may still leave: PUT"
        " /orders/{order_id}/attribution; for others ask your contact at impact.com whether they can be credited."
        f" This is told for {EXPIRED_TOLD_FOR.days} days."
    )
    return Alarm(Kind.ORDERS_EXPIRED, str(export_id), detail)


def corrections_unsent(oldest: datetime | None, hours: int, now: datetime) -> list[Alarm]:
    """Say so if the `oldest` correction that has not been delivered was made more than so many hours ago."""
    if oldest is None or now - oldest <= timedelta(hours=hours):
        return []
    detail = (
        f"The oldest correction that has not been delivered was made at {_at(oldest)}, more than {hours} hours ago"
        " (CAPTURE_ALARM_UNSENT_HOURS): see that `conversion-capture export` runs each day, and in GET /batches that"
        " what left of its order before is delivered, since it waits for that; with CAPTURE_CORRECTIONS_AFTER=accepted,"
        " that impact.com's results of it are known."
    )
    return [Alarm(Kind.CORRECTIONS_UNSENT, "", detail)]


def corrections_held(held: Sequence[tuple[str, str, str | None]]) -> list[Alarm]:
    """Say so if corrections do not leave, given as order id, reason, and what the export said of it."""
    if not held:
        return []
    named = " ".join(f"{order_id}: {detail or _HELD[reason]}" for order_id, reason, detail in held[:MOST_NAMED])
    number = f"{len(held)} or more" if len(held) == MOST_COUNTED else len(held)
    detail = f"Corrections that do not leave before you have seen to them: {number}; GET /orders tells of each. {named}"
    return [Alarm(Kind.CORRECTIONS_HELD, "", detail)]


_HELD: Final = {
    "zero_amount": (
        "An order of nothing cannot be reversed by a file; reverse it in impact.com's interface, or set"
        " CAPTURE_IMPACT_ACCOUNT_SID and CAPTURE_IMPACT_AUTH_TOKEN, and the next export does it by a call. This is told"
        f" for {HELD_TOLD_FOR.days} days."
    )
}


def actions_differ(last: Comparison | None) -> list[Alarm]:
    """Say so if the last comparison of a worker found orders that impact.com does not have, or has several times."""
    if last is None or not last.missing + last.doubled:
        return []
    detail = (
        f"Of the orders of {last.first} to {last.last} impact.com lacks {last.missing} that were delivered, and has"
        f" {last.doubled} several times: `conversion-capture reconcile` with these days names them. This is looked at"
        " again each day."
    )
    return [Alarm(Kind.ACTIONS_DIFFER, "", detail)]


def no_export(last: datetime | None, hours: int, now: datetime) -> list[Alarm]:
    """Say so if the last export was completed more than so many hours ago; `last` is the first order if none was."""
    if last is None or now - last <= timedelta(hours=hours):
        return []
    detail = (
        f"No export was completed since {_at(last)}, more than {hours} hours ago (CAPTURE_ALARM_EXPORT_HOURS): let cron"
        " run `conversion-capture export` or POST /exports each day, and see that a worker runs."
    )
    return [Alarm(Kind.NO_EXPORT, "", detail)]


def export_failed(export_id: int, failure: str | None) -> Alarm:
    """Say that the newest export that ended did not succeed."""
    detail = f"Export {export_id} failed: {failure or 'see the log.'} Correct that and run `conversion-capture export`."
    return Alarm(Kind.EXPORT_FAILED, "", detail)


def delivery_stuck(batch_id: str, filename: str, stuck: str, channel: str | None = None) -> Alarm:
    """Say that a batch waits for a person; `stuck` says whether it failed or may have arrived."""
    if stuck == "failed":
        detail = (
            f"{filename} has not arrived and is not sent again by itself: GET /batches/{batch_id} tells why; correct"
            f" that, then POST /batches/{batch_id}/redelivery or {RESUME}."
        )
        return Alarm(Kind.DELIVERY_FAILED, batch_id, detail)
    if channel == HTTP_API:
        detail = (
            f"It is not known whether all calls of {filename} arrived: look for its orders at impact.com, which GET"
            f" /batches/{batch_id}/file names; if they are there, POST /batches/{batch_id}/confirmation, else POST"
            f" /batches/{batch_id}/redelivery, which makes only the calls that were not answered."
        )
        return Alarm(Kind.DELIVERY_UNKNOWN, batch_id, detail)
    detail = (
        f"It is not known whether {filename} arrived: look at impact.com's File Submissions; if it is there,"
        f" POST /batches/{batch_id}/confirmation, else POST /batches/{batch_id}/redelivery."
    )
    return Alarm(Kind.DELIVERY_UNKNOWN, batch_id, detail)


def result_missing(batch_id: str, filename: str, delivered_at: datetime, *, is_pulled: bool) -> Alarm:
    """Say that impact.com has told nothing of a batch that was delivered so long ago."""
    pulled = " that it fetches files from the folder (Connections)," if is_pulled else ""
    hours = (RESULT_AFTER_A_PULL if is_pulled else RESULT_AFTER) // timedelta(hours=1)
    detail = (
        f"No result of {filename} is told, delivered at {_at(delivered_at)}, more than {hours} hours ago: look in"
        f" impact.com's File Submissions{pulled} and that the file is there under this name; if it is not, POST"
        f" /batches/{batch_id}/redelivery. A result that you see there is recorded by `conversion-capture results`."
    )
    return Alarm(Kind.RESULT_MISSING, batch_id, detail)


def result_doubtful(batch_id: str, filename: str, trouble: str, counted: tuple[int | None, int]) -> Alarm:
    """Say why what impact.com tells of a batch is not taken for its result; `counted` are its records and our rows."""
    by_hand = "`conversion-capture results --accepted --batch ID`"
    detail = _DOUBTS.get(trouble, _DOUBTS["not_joined"]).format(
        file=filename, batch=batch_id, records=counted[0], rows=counted[1], by_hand=by_hand
    )
    return Alarm(Kind.RESULT_DOUBTFUL, batch_id, detail)


_DOUBTS: Final = {
    "records_differ": (
        "{file} has {rows} rows, and impact.com counts {records} records: it may have been cut on its way. POST"
        " /batches/{batch}/redelivery sends it again; what is there already counts as accepted then. If all of it is"
        " there, {by_hand} records that."
    ),
    "errors_missing": (
        "More errors are counted in {file} than are shown: look in impact.com's File Submissions; `conversion-capture"
        " results FILE --batch ID` reads its error report, and {by_hand} says that nothing else was refused."
    ),
    "not_joined": (
        "Errors that impact.com lists in {file} are of none of its lines: GET /submissions shows them. Look which"
        " orders they are about; {by_hand} says that nothing was refused but what is shown at its orders."
    ),
    "given_up": (
        "No result of {file} was told in 90 days, and none will be any more: its orders stay delivered. Compare them"
        " with impact.com's list of actions, then {by_hand} or nothing."
    ),
}


def orders_rejected(number: int, reasons: Sequence[tuple[str, str, str]]) -> list[Alarm]:
    """Say so if impact.com has not taken orders or corrections lately; `reasons` as code, meaning and what to do."""
    if not number:
        return []
    count = f"{number} or more" if number >= MOST_REJECTED else number
    told = " ".join(f"{code}: {meaning}; {what_to_do}." for code, meaning, what_to_do in reasons[:MOST_NAMED])
    detail = (
        f"Orders and corrections that impact.com has not taken, or not whole: {count}; list orders with GET"
        f" /orders?state=rejected and partly_accepted; each order shows its reasons. {told}"
        f" This is told for {REJECTED_TOLD_FOR.days} days."
    )
    return [Alarm(Kind.ORDERS_REJECTED, "", detail)]


def channel_stopped(channel: str, code: str, told: str) -> Alarm:
    """Say that nothing leaves by a channel; `told` is the sentence of the attempt that stopped it."""
    if channel == IMPACT:
        detail = (
            f"Nobody asks impact.com what became of what was sent: {told} When CAPTURE_IMPACT_ACCOUNT_SID and"
            " CAPTURE_IMPACT_AUTH_TOKEN are right, and the token may read submissions, restart the service."
        )
        return Alarm(Kind.CREDENTIALS_REFUSED, channel, detail)
    prefix = "IMPACT" if channel == HTTP_API else channel.upper()
    settings = f"the settings CAPTURE_{prefix}_… are right"
    if code == "RECEIVER_NOT_TRUSTED":
        detail = (
            f"Nothing leaves by {channel}: {told} Ask the receiver's operator whether that is its new key or"
            f" certificate; when {settings}, restart the service or run {RESUME}."
        )
        return Alarm(Kind.RECEIVER_NOT_TRUSTED, channel, detail)
    detail = (
        f"Nothing leaves by {channel} after its login was refused repeatedly: {told} When {settings}, restart the"
        f" service or run {RESUME}."
    )
    return Alarm(Kind.CREDENTIALS_REFUSED, channel, detail)


def database_away(host: str) -> Alarm:
    """Say that this host cannot use the database."""
    detail = (
        f"{host} cannot use the database: start it, or correct CAPTURE_DATABASE_URL; until then clicks wait in"
        " CAPTURE_SPOOL_PATH, and no order is accepted or exported there."
    )
    return Alarm(Kind.DATABASE_AWAY, host, detail)


def database_is_older(host: str, told: str) -> Alarm:
    """Say that everything is held since the journal on this host knows more than the database, as `told`."""
    return Alarm(Kind.DATABASE_IS_OLDER, host, told)


def journal_unusable(host: str, told: str) -> Alarm:
    """Say that everything is held since the journal on this host cannot be used, as `told`."""
    return Alarm(Kind.JOURNAL_UNUSABLE, host, f"{told} See that the service may read and write that folder.")


def spool_in_use(host: str) -> Alarm:
    """Say that clicks wait on this host although the database is there."""
    detail = (
        f"Clicks wait in CAPTURE_SPOOL_PATH on {host} and do not get into the database: see that"
        " `conversion-capture serve` runs there, and what GET /readyz and its log say of the database and the spool."
    )
    return Alarm(Kind.SPOOL_IN_USE, host, detail)


def disk_nearly_full(host: str, places: Sequence[str], floor: int) -> Alarm:
    """Say that a disk of this host has less than `floor` bytes left; `places` are the settings that point to it."""
    detail = (
        f"The disk of {' and '.join(places)} on {host} has less than {floor // 1024**2} MiB left"
        " (CAPTURE_ALARM_DISK_BYTES): make room before orders and clicks have to be refused."
    )
    return Alarm(Kind.DISK_NEARLY_FULL, host, detail)


def _at(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")

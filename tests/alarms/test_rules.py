"""The sentences of alarms: each says what to do, and names what there is."""

import re
from datetime import timedelta

import pytest
from typer.testing import CliRunner

from app.actions.store import Compared
from app.alarms import rules
from app.alarms.alarm import RENEW_AFTER, UNHEARD_AFTER, Alarm, Held, Kind, Severity, changes
from app.cli import cli
from app.config import Settings
from app.main import openapi
from tests.support import NOW

OLD = NOW - timedelta(days=90)
DAY = OLD.date()
BATCH, FILE = "0123456789abcdef", "2026-11-22_ActionData_default_0123456789abcdef.csv"
TOLD = "The host key is another one."
ALL = {
    one.kind: one
    for one in (
        *rules.orders_unsent(OLD, 48, NOW),
        *rules.orders_expiring(3, NOW),
        rules.orders_expired(7, 2),
        *rules.corrections_unsent(OLD, 48, NOW),
        *rules.corrections_held([("A-1", "zero_amount", None), ("A-2", "too_many_items", "Raise CAPTURE_MAX_ROWS.")]),
        *rules.actions_differ(Compared(day=DAY, first=DAY, last=DAY, missing=2, doubled=0)),
        *rules.no_export(OLD, 26, NOW),
        rules.export_failed(7, "The disk is full."),
        rules.delivery_stuck(BATCH, FILE, "failed"),
        rules.delivery_stuck(BATCH, FILE, "unknown"),
        rules.channel_stopped("sftp", "CREDENTIALS_REFUSED", TOLD),
        rules.channel_stopped("sftp", "RECEIVER_NOT_TRUSTED", TOLD),
        rules.result_missing(BATCH, FILE, OLD, is_pulled=True),
        rules.result_doubtful(BATCH, FILE, "records_differ", (3, 4)),
        *rules.orders_rejected(2, [("NO_ITEM", "Sale without items", "Send at least one item line")]),
        rules.database_away("host-1"),
        rules.database_is_older("host-1", "It is older; run `conversion-capture doctor`."),
        rules.journal_unusable("host-1", "CAPTURE_JOURNAL_PATH cannot be read."),
        rules.spool_in_use("host-1"),
        rules.disk_nearly_full("host-1", ["CAPTURE_SPOOL_PATH", "CAPTURE_FOLDER_PATH"], 512 * 1024**2),
    )
}


@pytest.mark.parametrize("kind", Kind)
def test_every_alarm_says_what_to_do(kind: Kind) -> None:
    """A sentence with a setting, a command, a call or a place at impact.com to go to."""
    told = ALL[kind].detail
    assert told.startswith((FILE, "host-1")) or told[0].isupper()
    assert told.endswith(".")
    assert re.search(r"CAPTURE_[A-Z]+|`conversion-capture |(GET|POST) /|impact\.com's File Submissions", told), told


@pytest.mark.parametrize("kind", Kind)
def test_what_a_sentence_names_exists(kind: Kind) -> None:
    """Settings, calls and commands are spelled as they are."""
    told = ALL[kind].detail
    settings = {f"CAPTURE_{name}".upper() for name in Settings.model_fields} | {"CAPTURE_FOLDER_PATH", "CAPTURE_SFTP_"}
    assert set(re.findall(r"CAPTURE_[A-Z_]+", told)) <= settings
    known = {(method.upper(), path) for path, methods in openapi()["paths"].items() for method in methods}
    for method, path in re.findall(r"(GET|POST) (/[A-Za-z0-9/]*)", told):
        assert (method, path.replace(BATCH, "{batch_id}")) in known
    for command in re.findall(r"`conversion-capture ([^`]*)`", told):
        name, *options = command.split()
        shown = CliRunner().invoke(cli, [name, "--help"], terminal_width=200).output
        assert "Usage" in shown
        assert [one for one in options if one not in re.sub(r"\x1b\[[0-9;]*m", "", shown)] == []


def test_what_loses_orders_is_an_error() -> None:
    """What is late or tight is a warning."""
    warnings = {kind for kind, alarm in ALL.items() if alarm.severity is Severity.WARNING}
    late = {Kind.ORDERS_UNSENT, Kind.ORDERS_EXPIRING, Kind.CORRECTIONS_UNSENT}
    assert warnings == late | {Kind.SPOOL_IN_USE, Kind.DISK_NEARLY_FULL}


@pytest.mark.parametrize(("age", "number"), [(0, 0), (47, 0), (48, 0), (48.01, 1), (500, 1)])
def test_late_is_later_than_the_limit(age: float, number: int) -> None:
    """Not at the limit itself, and not without anything that is late."""
    then = NOW - timedelta(hours=age)
    assert len(rules.orders_unsent(then, 48, NOW)) == len(rules.no_export(then, 48, NOW)) == number
    assert rules.orders_unsent(None, 48, NOW) == rules.no_export(None, 48, NOW) == []


def held(kind: str = Kind.SPOOL_IN_USE, subject: str = "host-1", *, age: timedelta = timedelta(0)) -> Held:
    """Return an alarm on record that was seen so long ago."""
    return Held(1, kind, subject, OLD, "As before.", "warning", NOW - age)


@pytest.mark.parametrize(
    ("one", "is_over"),
    [
        (held(), True),
        (held(subject="host-2"), False),  # that host knows better
        (held(subject="host-2", age=UNHEARD_AFTER - timedelta(seconds=1)), False),
        (held(subject="host-2", age=UNHEARD_AFTER), True),  # which is no more
        (held(Kind.DELIVERY_FAILED, BATCH), True),
        (held("of_a_newer_version", ""), False),  # which runs beside this one
        (held("of_a_newer_version", "", age=UNHEARD_AFTER), True),
    ],
)
def test_who_may_call_an_alarm_over(one: Held, is_over: bool) -> None:
    """Whoever can see it; anybody, once nobody has seen it for a quarter of an hour."""
    assert list(changes([one], {}, "host-1", NOW).over) == ([one] if is_over else [])


def test_what_still_holds_is_written_down_seldom() -> None:
    """Every few minutes, and when its sentence has changed: not at every look."""
    same = Alarm(Kind.SPOOL_IN_USE, "host-1", "As before.")
    for one, alarm, again in (
        (held(), same, False),
        (held(age=RENEW_AFTER), same, True),
        (held(), Alarm(Kind.SPOOL_IN_USE, "host-1", "Otherwise."), True),
    ):
        change = changes([one], {alarm.key: alarm}, "host-1", NOW)
        assert (list(change.new), list(change.over), list(change.again)) == ([], [], [(one, alarm)] if again else [])


def test_a_batch_of_calls_is_not_looked_for_among_files() -> None:
    """Its file has never left: what may be there are its orders."""
    told = rules.delivery_stuck(BATCH, FILE, "unknown", "http_api").detail
    assert f"GET /batches/{BATCH}/file" in told
    assert "File Submissions" not in told

"""Each alarm is raised once, with the sentence that says what to do, and cleared when it is over."""

import logging
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import delete, event, insert, update

from app.alarms.alarm import RENEW_AFTER, UNHEARD_AFTER, Alarm, Kind
from app.alarms.outage import SETTLE
from app.alarms.watch import Watch, on_host
from app.batches.store import EXPORT, UNDELIVERED
from app.config import Settings
from app.conversions.record import record
from app.database import Database
from app.delivery.store import TROUBLE
from app.errors import Unavailable
from app.ledger.export_routes import request_export
from app.service import Service
from app.watcher import alarms_here
from tests.conftest import Clock
from tests.corrections import Left, correct
from tests.support import EXPORT_KEY, NOW, READ_KEY, bearer, order, work
from tests.test_metrics import samples

HOST = "host-1"


@pytest.fixture
def service(service: Service) -> Service:
    """The service with the time of day set by the test, on a disk that is large enough."""
    service.settings = service.settings.model_copy(update={"alarm_disk_bytes": 0})
    return service


def watching(service: Service, *here: Alarm, host: str = HOST) -> Watch:
    """Return what looks after alarms in a process on a host where these hold."""
    return Watch(service.database, service.settings, host, lambda: list(here), service.require_usable)


@pytest.fixture
def watch(service: Service) -> Watch:
    """What looks after alarms on a host where all is well."""
    return watching(service)


@pytest.fixture
def clock(clock: Clock) -> Clock:
    """A clock whose type is known here."""
    return clock


Told = Callable[[], list[tuple[str, str]]]


@pytest.fixture
def told(client: TestClient) -> Told:
    """Return kind and subject of the alarms that hold, as GET /alarms lists them."""
    return lambda: [(one["kind"], one["subject"]) for one in shown(client)]


def shown(client: TestClient, **query: bool) -> list[dict[str, Any]]:
    """Return the alarms as they are listed."""
    answer = client.get("/alarms", params=query, headers=bearer(READ_KEY))
    assert answer.status_code == 200
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


def events(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    """Return what the log says of alarms, and forget it."""
    found = [(one.message, vars(one)["kind"]) for one in caplog.records if one.message.startswith("alarm.")]
    caplog.clear()
    return found


def export(service: Service) -> None:
    """Export what waits, and try to deliver it."""
    request_export(service.database)
    work(service)


def test_nothing_is_wrong_with_a_new_service(watch: Watch, told: Told, clock: Clock) -> None:
    """Without orders there is nothing to export, for however long."""
    watch.look(NOW)
    watch.look(NOW + timedelta(days=400))
    assert told() == []


def test_orders_that_are_not_sent(watch: Watch, told: Told, service: Service, clock: Clock, outbox: Path) -> None:
    """From two days on, whether no export came or nothing arrives; over when they have arrived."""
    record(service.database, [order("held", click_id=None)], NOW - timedelta(days=30))
    record(service.database, [order()], NOW)
    clock.now = NOW + timedelta(hours=48)
    watch.look(clock())
    assert ("orders_unsent", "") not in told()
    clock.now += timedelta(seconds=1)
    watch.look(clock())
    assert ("orders_unsent", "") in told()
    outbox.write_text("no folder")
    export(service)  # a batch does not help while it is not delivered
    watch.look(clock())
    assert ("orders_unsent", "") in told()
    outbox.unlink()
    due_now(service.database)
    work(service)
    watch.look(clock())
    assert told() == []


def test_a_child_is_late_when_its_parent_does_not_arrive(watch: Watch, told: Told, service: Service) -> None:
    """A chained action that waits is to leave, and nobody else would notice that it cannot."""
    parent = order("T-1", event_type="trial", customer_id="c", click_id=None)
    child = order("P-1", event_type="paid", customer_id="c", parent=parent.key, age=timedelta(days=85))
    record(service.database, [parent, child], NOW)
    watch.look(NOW)
    assert ("orders_expiring", "") in told()
    watch.look(NOW + timedelta(hours=48, seconds=1))
    assert ("orders_unsent", "") in told()


def test_corrections_that_are_not_sent(watch: Watch, told: Told, service: Service, clock: Clock, outbox: Path) -> None:
    """From two days on, whether no export came, their order has not arrived, or their file has not."""
    record(service.database, [order()], NOW)
    export(service)
    correct(service.database, "A-1001")
    clock.now = NOW + timedelta(hours=48)
    watch.look(clock())
    assert ("corrections_unsent", "") not in told()
    clock.now += timedelta(seconds=1)
    watch.look(clock())
    assert ("corrections_unsent", "") in told()
    shutil.rmtree(outbox)
    outbox.write_text("no folder")
    export(service)  # a batch does not help while it is not delivered
    watch.look(clock())
    assert ("corrections_unsent", "") in told()
    outbox.unlink()
    due_now(service.database)
    work(service)
    watch.look(clock())
    assert "corrections_unsent" not in dict(told())


def test_corrections_that_do_not_leave(watch: Watch, client: TestClient, service: Service, clock: Clock) -> None:
    """Each with what to do; what only impact.com's interface can do is told for a week."""
    record(service.database, [order("A"), order("B")], NOW)
    export(service)
    correct(service.database, "A", hold_reason="zero_amount")
    correct(service.database, "B", [Left("SKU-0", 1), Left("SKU-1", 2)])
    service.settings = service.settings.model_copy(update={"max_rows": 1})
    export(service)
    watch.look(clock())
    [alarm] = [one for one in shown(client) if one["kind"] == "corrections_held"]
    assert "before you have seen to them: 2;" in alarm["detail"]
    assert "A: An order of nothing" in alarm["detail"]
    assert "B: It has 2 lines, and a file at most 1 rows; raise CAPTURE_MAX_ROWS." in alarm["detail"]
    clock.now += timedelta(days=7)
    watch.look(clock())
    [alarm] = [one for one in shown(client) if one["kind"] == "corrections_held"]
    assert ("them: 1;" in alarm["detail"], "A: " in alarm["detail"]) == (True, False)
    service.settings = service.settings.model_copy(update={"max_rows": 2})
    export(service)
    watch.look(clock())
    assert [one for one in shown(client) if one["kind"].startswith("corrections")] == []


def due_now(database: Database) -> None:
    """Let the time of the next try come."""
    with database.transaction() as session:
        session.connection().execute(update(UNDELIVERED).values(due_at=NOW - timedelta(days=1), leased_until=None))


def test_a_batch_that_is_sent_again_on_purpose_is_not_late(
    watch: Watch, told: Told, service: Service, clock: Clock, client: TestClient
) -> None:
    """Its orders arrived long ago."""
    record(service.database, [order()], NOW)
    export(service)
    [batch] = client.get("/batches", headers=bearer(READ_KEY)).json()["items"]
    client.post(f"/batches/{batch['id']}/redelivery", headers=bearer(EXPORT_KEY))
    clock.now = NOW + timedelta(hours=90)
    request_export(service.database)
    watch.look(clock())
    assert ("orders_unsent", "") not in told()


def test_orders_about_to_be_too_old(
    watch: Watch, client: TestClient, service: Service, clock: Clock, outbox: Path
) -> None:
    """From day 80 on, a year later for those of a partner, in a file that does not arrive as much as without one."""
    young, old = timedelta(days=79, hours=23), timedelta(days=81)
    record(service.database, [order("young", age=young), order("held", age=old, click_id=None)], NOW)
    record(service.database, [order("partner", age=old, media_id="55")], NOW)
    outbox.write_text("no folder")
    watch.look(NOW)
    assert shown(client) == []
    clock.now = NOW + timedelta(hours=2)
    watch.look(clock())
    [alarm] = shown(client)
    ends = (NOW - young + timedelta(days=87)).isoformat()
    assert (alarm["kind"], alarm["severity"]) == ("orders_expiring", "warning")
    assert alarm["detail"].startswith(
        f"Orders that become too old for impact.com before they are delivered: 1, the first at {ends}"
    )
    export(service)
    record(service.database, [order("older", age=old)], NOW)
    watch.look(clock())
    [alarm] = shown(client)
    assert "delivered: 2, the first at" in alarm["detail"]
    outbox.unlink()
    due_now(service.database)
    export(service)
    watch.look(clock())
    assert shown(client) == []


def test_orders_that_became_too_old(watch: Watch, client: TestClient, service: Service, clock: Clock) -> None:
    """Told with the export that left them out, for a week."""
    clock.now = NOW + timedelta(days=3)
    record(service.database, [order("A", age=timedelta(days=85)), order("B", age=timedelta(days=86))], NOW)
    export(service)
    watch.look(clock())
    [alarm] = shown(client)
    assert (alarm["kind"], alarm["severity"]) == ("orders_expired", "error")
    assert "when export 1 ran, and are not sent: 2;" in alarm["detail"]
    clock.now = datetime.now(UTC) + timedelta(days=8)  # exports are asked for at the real time
    watch.look(clock())
    assert [one["kind"] for one in shown(client)] == ["no_export"]


def test_no_export_for_26_hours(watch: Watch, told: Told, service: Service, clock: Clock) -> None:
    """Counted from the first order, then from the last export that was completed; one that waits does not count."""
    record(service.database, [order()], NOW)
    clock.now = NOW + timedelta(hours=26, minutes=1)
    watch.look(clock())
    assert told() == [("no_export", "")]
    request_export(service.database)
    watch.look(clock())
    assert told() == [("no_export", "")]
    work(service)
    watch.look(clock())
    assert told() == []
    clock.now += timedelta(hours=26, minutes=1)
    watch.look(clock())
    assert told() == [("no_export", "")]


def test_an_export_that_failed_does_not_count(watch: Watch, told: Told, service: Service, clock: Clock) -> None:
    """Orders wait as long as if there had been none."""
    record(service.database, [order()], NOW)
    clock.now = NOW + timedelta(hours=27)
    export(service)
    with service.database.transaction() as session:
        session.connection().execute(update(EXPORT).values(state="failed"))
    watch.look(clock())
    assert told() == [("no_export", ""), ("export_failed", "")]


def test_an_export_that_failed(watch: Watch, client: TestClient, service: Service) -> None:
    """Told with the reason, until one has succeeded."""
    row = {"state": "failed", "requested_at": NOW, "ended_at": NOW, "exported": 0, "held": 0, "expired": 0, "token": 1}
    with service.database.transaction() as session:
        session.connection().execute(insert(EXPORT), [row | {"failure": "The file would be refused."}])
    watch.look(NOW)
    [alarm] = shown(client)
    assert (alarm["kind"], alarm["subject"]) == ("export_failed", "")
    assert alarm["detail"].startswith("Export 1 failed: The file would be refused.")
    export(service)
    watch.look(NOW)
    assert shown(client) == []


@pytest.mark.parametrize("stuck", ["failed", "unknown"])
def test_a_delivery_that_waits_for_a_person(
    watch: Watch, client: TestClient, service: Service, outbox: Path, stuck: str
) -> None:
    """Each batch by itself, with its name, until it is decided on."""
    outbox.write_text("no folder")
    record(service.database, [order()], NOW)
    export(service)
    watch.look(NOW)
    assert shown(client) == []  # it is tried again by itself
    with service.database.transaction() as session:
        session.connection().execute(update(UNDELIVERED).values(stuck=stuck))
    watch.look(NOW)
    [alarm], [batch] = shown(client), client.get("/batches", headers=bearer(READ_KEY)).json()["items"]
    assert (alarm["kind"], alarm["subject"], alarm["severity"]) == (f"delivery_{stuck}", batch["id"], "error")
    assert batch["filename"] in alarm["detail"]
    decision = "confirmation" if stuck == "unknown" else "redelivery"
    assert f"POST /batches/{batch['id']}/{decision}" in alarm["detail"]
    client.post(f"/batches/{batch['id']}/{decision}", headers=bearer(EXPORT_KEY))
    watch.look(NOW)
    assert shown(client) == []


@pytest.mark.parametrize(
    ("code", "kind"),
    [("CREDENTIALS_REFUSED", "credentials_refused"), ("RECEIVER_NOT_TRUSTED", "receiver_not_trusted")],
)
def test_a_channel_that_is_used_no_more(
    watch: Watch, client: TestClient, service: Service, caplog: pytest.LogCaptureFixture, code: str, kind: str
) -> None:
    """Told once, also while it is let try again; over when something got through."""
    trouble = {"channel": "sftp", "code": code, "detail": "The key of the host is another one."}
    with service.database.transaction() as session:
        session.connection().execute(insert(TROUBLE), [trouble | {"denials": 1, "stopped_at": None}])
    watch.look(NOW)
    assert shown(client) == []  # one refusal may be a mistake of the receiver's
    for denials, stopped_at in ((3, NOW), (2, None), (3, NOW)):
        with service.database.transaction() as session:
            session.connection().execute(update(TROUBLE).values(denials=denials, stopped_at=stopped_at))
        watch.look(NOW)
        assert [(one["kind"], one["subject"]) for one in shown(client)] == [(kind, "sftp")]
    assert "The key of the host is another one." in shown(client)[0]["detail"]
    with service.database.transaction() as session:
        session.connection().execute(delete(TROUBLE))
    watch.look(NOW)
    assert events(caplog) == [("alarm.raised", kind)]
    assert shown(client) == []


# What a host sees -------------------------------------------------------------------------------------------------


def settings(**given: object) -> Settings:
    """Return settings with a spool in the test's own folder."""
    return Settings.model_validate({"campaign_id": 1000, "action_tracker_id": 4321, "alarm_disk_bytes": 0} | given)


def test_clicks_in_the_spool() -> None:
    """Whichever process left them, as long as there are any."""
    spool = settings().spool_path
    assert on_host(settings(), {}, HOST) == []
    spool.mkdir(parents=True)
    (spool / "000000000001-0123456789abcdef.spool").write_bytes(b"")
    assert on_host(settings(), {}, HOST) == []
    (spool / "000000000002-0123456789abcdef.spool").write_bytes(b"a click")
    assert [(one.kind, one.subject) for one in on_host(settings(), {}, HOST)] == [("spool_in_use", HOST)]


def test_a_disk_without_room(tmp_path: Path) -> None:
    """Named by the settings that point to it, also where the folder is not made yet."""
    places = {"CAPTURE_SPOOL_PATH": tmp_path / "not" / "there", "CAPTURE_FOLDER_PATH": Path("relative")}
    assert on_host(settings(), places, HOST) == []
    [alarm] = on_host(settings(alarm_disk_bytes=2**62), places, HOST)
    assert (alarm.kind, alarm.subject) == ("disk_nearly_full", HOST)
    assert "CAPTURE_SPOOL_PATH and CAPTURE_FOLDER_PATH" in alarm.detail


def test_a_database_that_knows_less_than_the_journal(service: Service) -> None:
    """Told by every process of the host, whether it works or only watches; so is a journal that cannot be read."""
    assert alarms_here(service, HOST) == []
    service.settings.journal_path.mkdir(parents=True)
    kept = service.settings.journal_path / "2026-11-22_ActionData_default_0123456789abcdef.csv"
    kept.write_bytes(b"CampaignId")
    [alarm] = alarms_here(service, HOST)
    assert (alarm.key, alarm.severity) == (("database_is_older", HOST), "error")
    assert "conversion-capture doctor" in alarm.detail
    kept.unlink()
    service.settings.journal_path.rmdir()
    service.settings.journal_path.write_text("a file in the way")
    [alarm] = alarms_here(service, HOST)
    assert (alarm.key, alarm.severity) == (("journal_unusable", HOST), "error")


def test_trouble_that_passes_is_no_alarm(service: Service, told: Told) -> None:
    """A host's own trouble counts once it has lasted a minute, without a break."""
    here = [Alarm(Kind.SPOOL_IN_USE, HOST, "Clicks wait.")]
    watch = Watch(service.database, service.settings, HOST, lambda: list(here), service.require_usable)
    watch.look(NOW)
    trouble = here.pop()
    watch.look(NOW + SETTLE / 2)
    here.append(trouble)
    for moment in (SETTLE * 0.6, SETTLE * 1.5):
        watch.look(NOW + moment)
        assert told() == []
    watch.look(NOW + SETTLE * 1.6)
    assert told() == [("spool_in_use", HOST)]


def test_a_host_that_is_gone_has_no_alarms(service: Service, told: Told) -> None:
    """Another host leaves them alone for a quarter of an hour, during which the first would say that they hold."""
    alarm = Alarm(Kind.SPOOL_IN_USE, "host-2", "Clicks wait.")
    gone, here = watching(service, alarm, host="host-2"), watching(service)
    raised = NOW + SETTLE
    gone.look(NOW)
    gone.look(raised)
    gone.look(raised + RENEW_AFTER)
    for moment, holds in ((UNHEARD_AFTER, True), (RENEW_AFTER + UNHEARD_AFTER, False)):
        here.look(raised + moment)
        assert told() == ([("spool_in_use", "host-2")] if holds else [])


def test_a_second_process_of_a_host_clears_nothing_that_holds(service: Service, told: Told) -> None:
    """It has just begun, and sees the same."""
    alarm = Alarm(Kind.SPOOL_IN_USE, HOST, "Clicks wait.")
    first, second = watching(service, alarm), watching(service, alarm)
    first.look(NOW)
    first.look(NOW + SETTLE)
    second.look(NOW + SETTLE)
    assert told() == [("spool_in_use", HOST)]


# How it is told ---------------------------------------------------------------------------------------------------


def test_an_alarm_is_told_once_by_log_metrics_and_list(
    watch: Watch, client: TestClient, service: Service, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """However often it is seen: raised once, cleared once, and kept among those that are over."""
    caplog.set_level(logging.INFO)
    assert {name[1] for name in samples(client) if name[0] == "capture_alarms"} == set(Kind)
    record(service.database, [order()], NOW)
    clock.now = NOW + timedelta(hours=27)
    for _ in range(3):
        watch.look(clock())
    assert events(caplog) == [("alarm.raised", "no_export")]
    assert samples(client)["capture_alarms", "no_export"] == 1
    [alarm] = shown(client)
    assert (alarm["since"], alarm["cleared_at"]) == ("2026-11-23T15:00:00Z", None)
    export(service)
    clock.now += timedelta(minutes=1)
    for _ in range(3):
        watch.look(clock())
    assert events(caplog) == [("alarm.cleared", "no_export")]
    assert samples(client)["capture_alarms", "no_export"] == 0
    assert shown(client) == []
    assert shown(client, all=True) == [alarm | {"cleared_at": "2026-11-23T15:01:00Z"}]


def test_of_two_watchers_one_tells(
    service: Service, clock: Clock, caplog: pytest.LogCaptureFixture, told: Told
) -> None:
    """Both see that it holds before either has written it down, and later that it is over."""
    caplog.set_level(logging.INFO)
    record(service.database, [order()], NOW)
    late, rival = NOW + timedelta(hours=27), watching(service, host="host-2")
    at_once(service, rival, late)
    assert events(caplog) == [("alarm.raised", "no_export")]
    assert told() == [("no_export", "")]
    clock.now = late
    export(service)
    at_once(service, rival, late)
    assert events(caplog) == [("alarm.cleared", "no_export")]
    assert told() == []


def at_once(service: Service, rival: Watch, moment: Any) -> None:
    """Look, and let a rival look between the reading and the writing."""

    class Overtaken(Database):
        def transaction(self) -> Any:
            rival.look(moment)
            return super().transaction()

    database = Overtaken(service.database.url)
    Watch(database, service.settings, HOST, list, service.require_usable).look(moment)
    database.close()


def test_looking_writes_nothing_while_nothing_changes(watch: Watch, service: Service) -> None:
    """Every process looks every few seconds: that must not keep orders waiting, nor wear out a disk."""
    record(service.database, [order()], NOW)
    late = NOW + timedelta(hours=27)
    watch.look(late)
    statements: list[str] = []
    event.listen(service.database.engine, "before_cursor_execute", lambda *args: statements.append(args[2]))
    watch.look(late)
    assert statements
    assert [one for one in statements if not one.lstrip().startswith(("SELECT", "BEGIN", "PRAGMA"))] == []


HISTORY = ("revision", "conversion", "item", "batch", "batch_line", "batch_content", "attempt", "left_out", "alarm")


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_looking_reads_no_history(watch: Watch, service: Service) -> None:
    """A look is as quick after years: what grows for ever is only read by a key."""
    statements: list[tuple[str, Any]] = []
    event.listen(service.database.engine, "before_cursor_execute", lambda *args: statements.append((args[2], args[3])))
    watch.look(NOW)
    reads = [(text, values) for text, values in statements if text.startswith("SELECT")]
    with service.database.engine.connect() as connection:
        plans = [connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", values).all() for text, values in reads]
    steps = [row[3] for plan in plans for row in plan]
    assert "SCAN undelivered" in steps
    assert [one for one in steps if one.startswith(tuple(f"SCAN {table}" for table in HISTORY))] == []


# The database away ------------------------------------------------------------------------------------------------


def test_a_database_that_is_away(client: TestClient, service: Service, caplog: pytest.LogCaptureFixture) -> None:
    """Said once when it has lasted a minute, though no table can hold it then; on record once it is over."""
    caplog.set_level(logging.INFO)
    away = True

    def check() -> None:
        if away:
            raise Unavailable("The database cannot be used now.")

    watch = Watch(service.database, service.settings, HOST, list, check)
    for seconds in (0, 30, 60, 70):
        with pytest.raises(Unavailable):
            watch.look(NOW + timedelta(seconds=seconds))
    assert events(caplog) == [("alarm.raised", "database_away")]
    assert samples(client)["capture_alarms", "database_away"] == 1
    away = False
    watch.look(NOW + timedelta(minutes=5))
    watch.look(NOW + timedelta(minutes=6))
    assert events(caplog) == [("alarm.cleared", "database_away")]
    assert samples(client)["capture_alarms", "database_away"] == 0
    [past] = shown(client, all=True)
    assert (past["kind"], past["since"], past["cleared_at"]) == (
        "database_away",
        "2026-11-22T12:00:00Z",
        "2026-11-22T12:05:00Z",
    )
    assert shown(client) == []


def test_a_short_outage_is_no_alarm(service: Service, client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    """A database that restarts now and then is not away."""
    outage = [Unavailable("away"), None, Unavailable("away")]

    def check() -> None:
        if error := outage.pop(0):
            raise error

    watch = Watch(service.database, service.settings, HOST, list, check)
    for minutes in range(3):
        try:
            watch.look(NOW + timedelta(minutes=minutes))
        except Unavailable:
            continue
    assert events(caplog) == []
    assert shown(client, all=True) == []

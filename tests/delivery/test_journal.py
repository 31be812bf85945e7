"""What has left is known outside the database too: after an old backup was restored, nothing leaves a second time."""

import logging
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text

from app import worker
from app.conversions import store as conversions
from app.conversions.record import record
from app.conversions.wish import Kind
from app.database import Database
from app.delivery import hold as holds
from app.delivery.hold import Hold
from app.delivery.journal import Journal
from app.delivery.kept import Damaged, is_ours, read_kept
from app.delivery.parcel import Parcel, Progress
from app.delivery.recover import Fate, Recovery, explain, recover
from app.ledger.corrections import Request, accept
from app.ledger.export_routes import request_export
from app.ledger.revise import attribute
from app.main import create_app
from app.migrations import migrate
from app.service import Service
from tests.conftest import SettingsFactory
from tests.delivery.backup import back_up
from tests.servers import wait_until
from tests.support import EXPORT_KEY, NOW, READ_KEY, bearer, order, parse_rfc4180, work

ON_ONE_DATABASE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
"""For promises that no database can break."""
EXPORTING, READING = bearer(EXPORT_KEY), bearer(READ_KEY)


def export(service: Service, *order_ids: str) -> None:
    """Record orders, ask for an export, and let the worker do what it may."""
    if order_ids:
        record(service.database, [order(one) for one in order_ids], NOW)
    request_export(service.database)
    work(service)


class Shipments:
    """A channel that remembers every file that ever left."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.orders: Counter[str] = Counter()

    def send(self, parcel: Parcel, _progress: Progress) -> None:
        """Take the file."""
        self.names.append(parcel.name)
        self.orders.update({row[3] for row in list(parse_rfc4180(parcel.content))[1:]})

    def ask(self, _parcel: Parcel) -> None:
        """See nothing, as with impact.com's drop."""


@pytest.fixture
def shipments(service: Service) -> Shipments:
    """What left the service."""
    channel = Shipments()
    service.channels = {"folder": channel}
    return channel


def restarted(service: Service) -> Service:
    """Return the service as a new process would put it together."""
    return Service(service.settings, service.database, service.channels, service.clock, schema_is_checked=True)


def state_of_exports(service: Service) -> tuple[str, float]:
    """Return what /readyz and the metrics say of exports."""
    with TestClient(create_app(service, with_worker=False)) as client:
        ready = client.get("/readyz")
        assert ready.status_code == 200  # clicks are taken all the same
        [line] = [one for one in client.get("/metrics").text.splitlines() if one.startswith("capture_exports_held ")]
    service.stopping.clear()
    return ready.json()["exports"], float(line.split()[1])


def fates(found: list[Recovery]) -> list[Fate]:
    """Return what became of each file."""
    return [one.fate for one in found]


def recovered(service: Service, **how: bool) -> list[Recovery]:
    """Run the recovery."""
    return list(recover(service.database, service.hold, NOW, **how))


# The drill --------------------------------------------------------------------------------------------------------


@pytest.fixture
def restored(service: Service, shipments: Shipments, tmp_path: Path) -> Service:
    """The service after its database was put back to a time when `B` had not left yet, and `C` had not come."""
    export(service, "A")
    record(service.database, [order("B")], NOW)
    restore = back_up(service.database, tmp_path)
    export(service, "C")
    assert shipments.orders == {"A": 1, "B": 1, "C": 1}
    restore()
    return service


@pytest.mark.parametrize("again", [restarted, lambda service: service], ids=["restarted", "running"])
def test_after_an_old_backup_was_restored_nothing_leaves(
    restored: Service,
    shipments: Shipments,
    caplog: pytest.LogCaptureFixture,
    again: Callable[[Service], Service],
) -> None:
    """Exports are taken and wait; readiness, metrics and the log say so, once, with what to do."""
    service = again(restored)
    for _ in range(3):
        export(service, "D")
    assert shipments.orders == {"A": 1, "B": 1, "C": 1}
    assert state_of_exports(service) == ("held", 1)
    with TestClient(create_app(service, with_worker=False)) as client:
        asked = client.post("/exports", headers=EXPORTING)
        assert (asked.status_code, asked.json()["state"]) == (202, "queued")
        assert len(client.get("/batches", headers=READING).json()["items"]) == 1
    [said] = [one for one in caplog.records if one.message == "delivery.all_held"]
    assert "conversion-capture doctor" in said.__dict__["detail"]


def test_without_the_hold_orders_leave_twice(restored: Service, shipments: Shipments, tmp_path: Path) -> None:
    """The negative control; and a recovery after that finds them in another batch and says so, and moves nothing."""
    hold, restored.hold = restored.hold, Hold(Journal(tmp_path / "other"))
    export(restored)
    assert shipments.orders == {"A": 1, "B": 2, "C": 1}
    restored.hold = hold
    record(restored.database, [order("C")], NOW)
    [recovery] = recovered(restored)
    assert (recovery.fate, recovery.elsewhere, recovery.missing) == (Fate.RECOVERED, ["B"], [])
    export(restored)
    assert shipments.orders == {"A": 1, "B": 2, "C": 1}


def test_what_has_left_is_put_on_record_again(restored: Service, shipments: Shipments) -> None:
    """Lost orders are named and posted again; then the file is a batch again as it was, and only new orders leave."""
    [refused] = recovered(restored)
    assert (refused.fate, refused.orders, refused.missing) == (Fate.REFUSED, 2, ["C"])
    export(restored)
    assert state_of_exports(restored) == ("held", 1)

    record(restored.database, [order("C")], NOW)
    assert fates(recovered(restored, dry_run=True)) == [Fate.RECOVERED]
    assert fates(recovered(restored)) == [Fate.RECOVERED]
    assert recovered(restored) == []
    assert state_of_exports(restored) == ("open", 0)

    export(restored, "D")
    export(restored)
    assert shipments.orders == {"A": 1, "B": 1, "C": 1, "D": 1}
    with TestClient(create_app(restored, with_worker=False)) as client:
        batches = {one["filename"]: one for one in client.get("/batches", headers=READING).json()["items"]}
        assert sorted(batches) == sorted(shipments.names)
        batch = batches[shipments.names[1]]
        assert (batch["state"], batch["orders"], batch["rows"]) == ("unknown", 2, 4)
        place = client.get("/orders/C", headers=READING).json()
        assert (place["state"], place["batch"]["id"], place["batch"]["first_line"]) == ("unknown", batch["id"], 4)
        kept = restored.hold.journal.read(batch["filename"])
        assert client.get(f"/batches/{batch['id']}/file", headers=READING).content == kept
        answer = client.post(f"/batches/{batch['id']}/confirmation", headers=EXPORTING)
        assert (answer.status_code, answer.json()["state"]) == (200, "delivered")


def test_what_left_after_a_change_is_recovered_as_it_left(
    service: Service, shipments: Shipments, tmp_path: Path
) -> None:
    """The order had two revisions when the backup was taken: the one that waited is in the file, and leaves no more."""
    export(service, "A")
    record(service.database, [order("B", click_id=None)], NOW)
    attribute(service.database, service.settings, ("default", "B"), {"click_id": "late"}, NOW)
    restore = back_up(service.database, tmp_path)
    export(service)
    restore()
    assert fates(recovered(service)) == [Fate.RECOVERED]
    export(service)
    assert shipments.orders == {"A": 1, "B": 1}
    with TestClient(create_app(service, with_worker=False)) as client:
        shown = client.get("/orders/B", headers=READING).json()
    assert (shown["state"], shown["revision"], shown["click_id"]) == ("unknown", 2, "late")


@pytest.mark.parametrize("level", ["item", "order"])
def test_what_was_corrected_too_early_is_named(
    service: Service, shipments: Shipments, tmp_path: Path, make_settings: SettingsFactory, level: str
) -> None:
    """After the restore these orders seemed not to have left and were changed in place; impact.com must be told."""
    types = {"shop": {"campaign_id": 1000, "action_tracker_id": 5000, "level": level}}
    service.settings = make_settings(event_types=types)
    record(service.database, [order(name, event_type="shop") for name in "ABCD"], NOW)
    restore = back_up(service.database, tmp_path)
    export(service)
    restore()
    refund = b'{"reason": "ITEM_RETURNED", "items": [{"sku": "SKU-0", "amount": "1.00"}]}'
    accept(service.database, service.settings, Request("shop", "A", Kind.REFUND, refund), NOW)
    accept(service.database, service.settings, Request("shop", "B", Kind.REVERSAL, b'{"reason": "OTHER"}'), NOW)
    attribute(service.database, service.settings, ("shop", "C"), {"click_id": "late"}, NOW)
    [recovery] = recovered(service)
    assert (recovery.fate, recovery.changed, recovery.missing) == (Fate.RECOVERED, ["A", "B"], [])
    assert "by its API:\n    A\n    B" in explain(recovery)
    export(service)
    assert shipments.orders == dict.fromkeys("ABCD", 1)


def test_an_order_that_changes_during_the_recovery_does_not_leave_again(
    service: Service, database: Database, shipments: Shipments, tmp_path: Path
) -> None:
    """The recovery waits for the change, and puts what the order says then back into the file."""
    record(database, [order("A")], NOW)
    restore = back_up(database, tmp_path)
    export(service)
    restore()
    recovering = threading.Thread(target=recovered, args=[service])
    with database.transaction() as session:
        conversions.lock(session, 1)
        recovering.start()
        if not database.is_sqlite:
            wait_until(lambda: waits_for_a_lock(database), "the recovery does not wait for the change")
        conversions.withdraw(session, 1)
        conversions.add_revisions(session, {1: order("A", customer_id="new")}, number=2, now=NOW)
    recovering.join()
    export(service)
    assert shipments.orders == {"A": 1}


def waits_for_a_lock(database: Database) -> bool:
    """Say whether somebody waits for a lock of PostgreSQL's."""
    with database.snapshot() as session:
        waiting = session.connection().execute(text("SELECT count(*) FROM pg_locks WHERE NOT granted"))
        return bool(waiting.scalar_one())


def test_a_recovered_batch_can_be_sent_again(restored: Service, shipments: Shipments) -> None:
    """A person saw that it did not arrive: the same name, the same bytes."""
    record(restored.database, [order("C")], NOW)
    recovered(restored)
    with TestClient(create_app(restored, with_worker=False)) as client:
        [batch] = [one for one in client.get("/batches", headers=READING).json()["items"] if one["state"] == "unknown"]
        assert client.post(f"/batches/{batch['id']}/redelivery", headers=EXPORTING).status_code == 202
        restored.stopping.clear()
        work(restored)
        assert shipments.names[2:] == [batch["filename"]]
        told = client.get(f"/batches/{batch['id']}", headers=READING).json()
    assert [(one["channel"], one["status"]) for one in told["attempts"]] == [
        ("journal", "unknown"),
        ("folder", "delivered"),
    ]


@ON_ONE_DATABASE
def test_lost_orders_can_be_given_up(restored: Service, shipments: Shipments) -> None:
    """Without them the batch is recorded; one that is posted later leaves again, as was said."""
    assert fates(recovered(restored, without_missing=True)) == [Fate.RECOVERED]
    export(restored)
    assert shipments.orders == {"A": 1, "B": 1, "C": 1}
    export(restored, "C")
    assert shipments.orders == {"A": 1, "B": 1, "C": 2}


@ON_ONE_DATABASE
def test_a_dry_run_changes_nothing(restored: Service) -> None:
    """It tells the same any number of times."""
    record(restored.database, [order("C")], NOW)
    first, second = recovered(restored, dry_run=True), recovered(restored, dry_run=True)
    assert (first, fates(first)) == (second, [Fate.RECOVERED])
    assert restored.hold.applies(restored.database)


def test_the_hold_ends_by_itself_when_the_newer_database_is_back(
    service: Service, shipments: Shipments, tmp_path: Path
) -> None:
    """An operator who finds a better backup needs no further command, nor a restart."""
    record(service.database, [order("A")], NOW)
    restore_older = back_up(service.database, tmp_path)
    export(service)
    restore_newer = back_up(service.database, tmp_path)
    restore_older()
    assert service.hold.applies(service.database)
    restore_newer()
    export(service, "B")
    assert shipments.orders == {"A": 1, "B": 1}


def test_a_batch_that_was_not_sent_yet_when_the_backup_was_taken_is_held_too(
    service: Service, shipments: Shipments, tmp_path: Path
) -> None:
    """The database knows the batch and no attempt, the journal knows better: a person decides."""
    record(service.database, [order("A")], NOW)
    request_export(service.database)
    worker.build_one(service)
    restore = back_up(service.database, tmp_path)
    work(service)
    restore()
    work(service)
    assert len(shipments.names) == 1
    [recovery] = recovered(service)
    assert (recovery.fate, *recovery.missing, *recovery.elsewhere) == (Fate.RECOVERED,)
    export(service)
    assert len(shipments.names) == 1
    assert state_of_exports(service) == ("open", 0)


@ON_ONE_DATABASE
def test_an_empty_database_is_older_than_any_journal(
    service: Service, shipments: Shipments, make_settings: SettingsFactory, tmp_path: Path
) -> None:
    """Whoever begins anew beside the old journal is held, until the orders are recovered or the files moved away."""
    export(service, "A")
    fresh = Database(f"sqlite:///{tmp_path / 'fresh.db'}")
    migrate(fresh)
    other = Service(make_settings(), fresh, {"folder": shipments}, service.clock, schema_is_checked=True)
    export(other, "A")
    assert shipments.orders == {"A": 1}
    assert fates(recovered(other)) == [Fate.RECOVERED]  # it was posted again, so it is known
    service.hold.journal.path.rename(tmp_path / "moved away")
    export(other, "B")
    assert shipments.orders == {"A": 1, "B": 1}
    fresh.close()


@ON_ONE_DATABASE
def test_a_hold_is_told_when_it_ends(restored: Service, caplog: pytest.LogCaptureFixture) -> None:
    """The log tells from when to when."""
    caplog.set_level(logging.INFO)
    export(restored)
    record(restored.database, [order("C")], NOW)
    recovered(restored)
    export(restored)
    events = [one.message for one in caplog.records if one.message.startswith("delivery.all_")]
    assert events == ["delivery.all_held", "delivery.all_released"]


# The journal ------------------------------------------------------------------------------------------------------


@ON_ONE_DATABASE
def test_a_file_is_kept_whole_before_its_first_byte_leaves(service: Service) -> None:
    """Whatever happens to the sender from here on, what may have left is known."""
    seen: list[tuple[bool, int]] = []

    class Onlooker(Shipments):
        def send(self, parcel: Parcel, progress: Progress) -> None:
            with service.database.snapshot() as session:
                count = session.connection().exec_driver_sql("SELECT count(*) FROM attempt").scalar_one()
            seen.append((service.hold.journal.read(parcel.name) == parcel.content, count))
            super().send(parcel, progress)

    service.channels = {"folder": Onlooker()}
    export(service, "A")
    assert seen == [(True, 1)]


@ON_ONE_DATABASE
def test_without_a_journal_nothing_leaves(service: Service, shipments: Shipments) -> None:
    """It cannot be written to: the attempt fails with a sentence that names the setting, and the next one succeeds."""
    record(service.database, [order("A")], NOW)
    request_export(service.database)
    worker.build_one(service)
    path = service.settings.journal_path
    path.parent.mkdir(exist_ok=True)
    path.symlink_to("nowhere/at/all")  # which can be listed as little as written: not even root may
    with service.database.transaction() as session:
        session.connection().exec_driver_sql("UPDATE undelivered SET due_at = due_at")
    worker.deliver_one(service)
    assert shipments.names == []
    with TestClient(create_app(service, with_worker=False)) as client:
        [batch] = client.get("/batches", headers=READING).json()["items"]
        [attempt] = client.get(f"/batches/{batch['id']}", headers=READING).json()["attempts"]
    service.stopping.clear()
    assert (batch["state"], attempt["status"], attempt["code"]) == ("sending", "failed", "DELIVERY_FAILED")
    assert "CAPTURE_JOURNAL_PATH" in attempt["detail"]
    path.unlink()
    with service.database.transaction() as session:
        session.connection().exec_driver_sql("UPDATE undelivered SET due_at = '2020-01-01 00:00:00'")
    work(service)
    assert len(shipments.names) == 1


@ON_ONE_DATABASE
def test_a_journal_that_cannot_be_read_holds_everything(service: Service, shipments: Shipments) -> None:
    """What has left cannot be known then."""
    path = service.settings.journal_path
    path.parent.mkdir(exist_ok=True)
    path.write_text("a file where the folder should be")
    export(service, "A")
    assert shipments.names == []
    assert state_of_exports(service) == ("held", 1)
    assert service.hold.reason
    assert "CAPTURE_JOURNAL_PATH" in service.hold.reason
    path.unlink()
    work(service)
    assert len(shipments.names) == 1


def test_what_another_host_has_sent_is_kept_here_too(
    service: Service, shipments: Shipments, make_settings: SettingsFactory, tmp_path: Path
) -> None:
    """Replicas that share no disk: whichever of them lives notices that the database is older."""
    settings = make_settings(journal_path=tmp_path / "journal of another host")
    other = Service(settings, service.database, service.channels, service.clock, schema_is_checked=True)
    export(service, "A")
    record(service.database, [order("B")], NOW)
    restore = back_up(service.database, tmp_path)
    export(service)
    worker.deliver_one(other)
    assert sorted(other.hold.journal.names()) == sorted(shipments.names)
    for name in shipments.names:
        assert other.hold.journal.read(name) == service.hold.journal.read(name)
    restore()
    export(other)
    assert shipments.orders == {"A": 1, "B": 1}


@ON_ONE_DATABASE
def test_every_kept_file_counts_not_only_the_newest(
    service: Service, shipments: Shipments, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a start all are asked for; later the newest are, and all again as soon as one of them is not known."""
    monkeypatch.setattr(holds, "NEWEST", 1)
    for order_id in "ABC":
        export(service, order_id)
    newest_first = list(reversed(shipments.names))
    assert service.hold.journal.names() == newest_first
    with service.database.transaction() as session:
        session.connection().exec_driver_sql("DELETE FROM attempt")
    assert service.hold.lost(service.database) == newest_first
    assert restarted(service).hold.lost(service.database) == newest_first


@ON_ONE_DATABASE
def test_files_of_others_and_unfinished_ones_do_not_count(service: Service, shipments: Shipments) -> None:
    """A crash leaves half a file under another name, an operator a note."""
    export(service, "A")
    path = service.hold.journal.path
    (path / f"{shipments.names[0].replace('_default_', '_other_')}.1234.part").write_bytes(b"half")
    (path / "README.csv").write_text("a note")
    export(service, "B")
    assert len(shipments.names) == 2


@ON_ONE_DATABASE
def test_a_damaged_file_is_told_and_holds_everything(restored: Service, shipments: Shipments) -> None:
    """The others are recorded; it is not guessed which orders it held."""
    record(restored.database, [order("C")], NOW)
    path = restored.hold.journal.path / shipments.names[1]
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    [damaged] = recovered(restored)
    assert (damaged.fate, path.name in damaged.detail) == (Fate.DAMAGED, True)
    export(restored)
    assert shipments.orders == {"A": 1, "B": 1, "C": 1}
    path.write_bytes(whole)
    assert fates(recovered(restored)) == [Fate.RECOVERED]


NAME = "2026-11-22_ActionData_default_0123456789abcdef.csv"
MINIMUM = (
    "CampaignId,ActionTrackerId,EventDate,OrderId,ClickId,CustomerId,CurrencyCode,Amount,Category,Sku,Quantity\r\n"
)


def row(order_id: str) -> str:
    """Return a line."""
    return f"1,2,2026-11-20T18:00:22+00:00,{order_id},click,,USD,1.00,Tools,SKU,1\r\n"


def test_a_kept_file_is_read_as_it_was_made() -> None:
    """Orders with every character, on the lines on which they stand."""
    content = MINIMUM + row('"A, ""big"""') + row('"A, ""big"""') + row("Ü")
    kept = read_kept(NAME, content.encode())
    assert (kept.event_type, kept.batch_id, kept.rows) == ("default", "0123456789abcdef", 3)
    assert kept.first_lines == {'A, "big"': 2, "Ü": 4}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        MINIMUM.encode(),
        (MINIMUM + row("A"))[:-2].encode(),
        (MINIMUM + row("A") + "1,2\r\n").encode(),
        (MINIMUM + row('"A')).encode(),
        (MINIMUM + row("A")).replace("OrderId", "Order").encode(),
        MINIMUM.encode() + b"\xff" + row("A").encode(),
        b"\x00" * 200,
    ],
)
def test_a_file_that_is_not_as_every_file_is_made_is_damaged(content: bytes) -> None:
    """Nothing is guessed."""
    with pytest.raises(Damaged):
        read_kept(NAME, content)


@pytest.mark.parametrize("name", ["x.csv", f"{NAME}.part", NAME.upper(), f"receipt_{NAME}", NAME.replace("11", "13")])
def test_names_of_others_are_not_ours(name: str) -> None:
    """Only a batch's own name is."""
    assert is_ours(NAME)
    assert not is_ours(name)

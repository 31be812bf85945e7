"""What is old goes by itself, at the age that the settings say and not before."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import func, select

from app.batches import build, exporter
from app.batches.store import BATCH, BATCH_CONTENT
from app.conversions.record import record
from app.conversions.store import REVISION
from app.delivery.channels.folder import FolderChannel, FolderSettings
from app.delivery.parcel import Parcel, Progress
from app.doctor.privacy import fingerprint_key
from app.errors import ChannelUnavailable, LeaseLost, Misconfigured
from app.event_type import EventType
from app.ledger.export_routes import request_export
from app.ledger.revise import attribute
from app.privacy.store import cleared_up_to
from app.purge import everything, purge_once
from app.service import Service
from tests.privacy.persons import CUSTOMER, FIRST_CLICK, SECRETS, hits, of_person
from tests.support import NOW, order, work
from tests.verdicts import judge

ON_ONE_DATABASE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
PERSONAL = (CUSTOMER, FIRST_CLICK, *SECRETS)


@pytest.fixture
def kept(service: Service, tmp_path: Path) -> Service:
    """A service that keeps personal fields for 100 days, and files for 200."""
    values = {
        "keep_personal_days": 100,
        "keep_files_days": 200,
        "fingerprint_key": SecretStr("a secret of thirty-two characters"),
        "journal_path": tmp_path / "journal",
    }
    settings = service.settings.model_copy(update=values)
    return Service(settings, service.database, service.channels, service.clock, schema_is_checked=True)


def later(service: Service, days: int) -> None:
    """Let so many days have passed since NOW."""
    service.clock = lambda: NOW + timedelta(days=days)


def purged(service: Service) -> dict[str, int]:
    """Purge to the end and return what went."""
    gone: dict[str, int] = {}
    for what, number in everything(service, lambda _: None):
        gone[what] = gone.get(what, 0) + number
    return {what: number for what, number in gone.items() if number}


def sent(service: Service, *orders: str) -> None:
    """Let orders of the person leave."""
    record(service.database, [of_person(one) for one in orders], service.clock())
    request_export(service.database)
    work(service)


def customers(service: Service) -> list[str | None]:
    """Return the customer ids of all revisions."""
    with service.database.snapshot() as session:
        return list(session.connection().execute(select(REVISION.c.customer_id).order_by(REVISION.c.id)).scalars())


def test_personal_fields_go_when_they_are_old_and_what_was_sold_stays(kept: Service, tmp_path: Path) -> None:
    """To the day, also out of the files that hold them; a repeat is still a repeat."""
    sent(kept, "A", "B")
    with kept.database.snapshot() as session:
        before = session.connection().execute(select(BATCH.c.sha256)).all()
    later(kept, 100)
    assert purged(kept) == {}
    later(kept, 101)
    assert purged(kept) == {"orders": 2}
    found = hits(kept, tmp_path, PERSONAL)
    assert not any(
        place.startswith(("revision", "item", "batch_content", "2026-")) for one in found.values() for place in one
    )
    assert purged(kept) == {}
    with kept.database.snapshot() as session:
        assert session.connection().execute(select(BATCH.c.sha256)).all() == before
        assert session.connection().execute(select(BATCH.c.removed_why)).all() == [("old",)]
    results = record(kept.database, [of_person("A"), of_person("B", click_id="x")], NOW, kept.settings.fingerprint_key)
    assert [one.outcome for one in results] == ["replayed", "conflict"]


@ON_ONE_DATABASE
def test_a_younger_revision_stays_until_it_is_old_itself(kept: Service) -> None:
    """Retention counts from what was said last, by its recording and by its date."""
    record(kept.database, [of_person("A")], NOW)
    record(kept.database, [of_person("imported", age=timedelta(days=80))], NOW + timedelta(days=10))
    attribute(kept.database, kept.settings, ("default", "A"), {"promo_code": "X"}, NOW + timedelta(days=50))
    for days, left in ((99, 3), (101, 2), (112, 1), (151, 0)):
        later(kept, days)
        purged(kept)
        assert sum(one is not None for one in customers(kept)) == left


@ON_ONE_DATABASE
def test_many_orders_go_in_small_steps_and_on_from_where_it_stopped(kept: Service) -> None:
    """Whoever is told to stop has cleared what it says; the rest goes the next time."""
    record(kept.database, [of_person(f"order-{number}") for number in range(450)], NOW)
    later(kept, 101)
    steps = everything(kept, lambda _: None)
    assert next(number for what, number in steps if what == "orders") == 200
    del steps
    with kept.database.snapshot() as session:
        assert cleared_up_to(session) == 200
    assert purged(kept) == {"orders": 250}
    assert set(customers(kept)) == {None}


@ON_ONE_DATABASE
def test_an_export_that_has_planned_an_old_order_sends_nothing_of_what_went(kept: Service) -> None:
    """By its partner's media id it may leave for longer than personal fields are kept, and leaves without them."""
    record(kept.database, [of_person("A", media_id="7")], NOW)
    later(kept, 101)
    request_export(kept.database)
    claimed = exporter.claim(kept.database, kept.settings)
    assert claimed
    [planned] = build.plans(kept.database, kept.settings, kept.clock)
    assert planned.file
    assert CUSTOMER.encode() in planned.file.content
    assert purged(kept) == {"orders": 1}
    with pytest.raises(LeaseLost):
        build.commit(kept.database, kept.settings, claimed, planned, kept.clock())
    work(kept)
    with kept.database.snapshot() as session:
        [content] = session.connection().execute(select(BATCH_CONTENT.c.content)).scalars()
    assert b",A," in content
    assert CUSTOMER.encode() not in content


class Away(FolderChannel):
    """A folder that never takes a file."""

    def send(self, _parcel: Parcel, _progress: Progress) -> None:
        """Fail."""
        raise ChannelUnavailable("It is away.")


@ON_ONE_DATABASE
def test_what_is_under_way_is_left_alone(kept: Service, outbox: Path) -> None:
    """A file that has not arrived is sent as it was made, however old it is; those recorded after it wait with it."""
    kept.channels = {"folder": Away(FolderSettings(path=outbox))}
    sent(kept, "A")
    record(kept.database, [of_person("B")], NOW)
    for days in (101, 600):
        later(kept, days)
        assert purged(kept) == {}
    assert customers(kept) == [CUSTOMER, CUSTOMER]
    kept.channels = {"folder": FolderChannel(FolderSettings(path=outbox))}
    with kept.database.transaction() as session:
        session.connection().exec_driver_sql("UPDATE undelivered SET due_at = '2026-01-01', leased_until = NULL")
    work(kept)
    later(kept, 604)
    assert purged(kept) == {"files": 1, "orders": 2}


@ON_ONE_DATABASE
def test_the_content_of_a_file_goes_when_it_is_old_and_decided(kept: Service, tmp_path: Path, outbox: Path) -> None:
    """Not before impact.com has said what it makes of it, unless that is past; its place in the journal stays."""
    kept.settings = kept.settings.model_copy(update={"keep_personal_days": None})
    sent(kept, "A")
    judge(kept.database, {})
    sent(kept, "B")
    later(kept, 200)
    assert purged(kept) == {}
    later(kept, 201)
    assert purged(kept) == {"files": 1}
    assert len(list(outbox.iterdir())) == 1
    later(kept, 421)
    assert purged(kept) == {"files": 1}
    assert list(outbox.iterdir()) == []
    with kept.database.snapshot() as session:
        assert session.connection().execute(select(func.count()).select_from(BATCH_CONTENT)).scalar_one() == 0
        assert set(session.connection().execute(select(BATCH.c.removed_why)).scalars()) == {"old"}
    assert len(kept.hold.journal.names()) == 2
    assert not any(CUSTOMER.encode() in path.read_bytes() for path in kept.hold.journal.path.iterdir())
    assert not kept.hold.applies(kept.database)
    assert customers(kept) == [CUSTOMER, CUSTOMER]  # of orders nothing was to be removed
    assert tmp_path.exists()


@ON_ONE_DATABASE
def test_another_key_stops_it_and_the_doctor_says_so(kept: Service) -> None:
    """With it, no order would be known again."""
    record(kept.database, [order("A", customer_id=CUSTOMER)], NOW)
    assert [one.status for one in fingerprint_key(kept)] == ["ok"]
    later(kept, 101)
    purge_once(kept)
    kept.settings = kept.settings.model_copy(update={"fingerprint_key": SecretStr("z" * 32)})
    with pytest.raises(Misconfigured, match="another one"):
        purge_once(kept)
    [finding] = fingerprint_key(kept)
    assert finding.status == "failure"
    kept.settings = kept.settings.model_copy(update={"fingerprint_key": None})
    [finding] = fingerprint_key(kept)
    assert "CAPTURE_FINGERPRINT_KEY is not set" in finding.detail


def test_a_child_of_a_parent_that_was_cleared_is_taken(kept: Service) -> None:
    """A subscription goes on after its first order is so old that its customer id is gone, however that was changed."""
    types = {
        "trial": EventType(campaign_id=1, action_tracker_id=801, level="chained"),
        "paid": EventType(campaign_id=1, action_tracker_id=802, level="chained"),
    }
    kept.settings = kept.settings.model_copy(update={"event_types": types})
    mine: dict[str, Any] = {"customer_id": CUSTOMER, "event_type": "paid", "parent": ("trial", "T-1")}
    record(kept.database, [order("T-1", event_type="trial", customer_id=CUSTOMER)], NOW)
    [other] = record(kept.database, [order("P-0", **mine | {"customer_id": "somebody-else"})], NOW)
    assert [fault.code for fault in other.faults] == ["PARENT_CUSTOMER_DIFFERS"]
    later(kept, 101)
    assert purged(kept) == {"orders": 1}
    assert record(kept.database, [order("P-1", **mine)], NOW)[0].outcome == "new"
    attribute(kept.database, kept.settings, ("trial", "T-1"), {"media_id": "7"}, NOW)
    assert record(kept.database, [order("P-2", **mine)], NOW)[0].outcome == "new"

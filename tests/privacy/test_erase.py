"""Who is erased is found nowhere any more, and what was sold is as it was."""

import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr
from sqlalchemy import func, select

from app.alarms.alarm import Alarm, Kind
from app.alarms.store import ALARM, raise_alarm
from app.batches import build, exporter
from app.batches.store import BATCH, BATCH_CONTENT, BATCH_LINE, UNCONFIRMED
from app.clicks.replay import Replay
from app.clicks.spool import Spool
from app.clicks.store import CLICK
from app.conversions.corrections_store import CORRECTION_ITEM
from app.conversions.record import record
from app.conversions.store import CONVERSION, ITEM, REVISION
from app.conversions.terms_store import ORDER_TERM, Term, number_of
from app.conversions.totals_store import TOTAL
from app.database import Database
from app.delivery.calls_store import CALL
from app.delivery.channels.folder import FolderChannel, FolderSettings
from app.delivery.journal import Journal
from app.delivery.parcel import Parcel, Progress
from app.delivery.removal import Removal
from app.delivery.resume import confirm, redeliver
from app.delivery.store import ATTEMPT
from app.errors import ChannelUnavailable, LeaseLost, Misconfigured
from app.ledger.export_routes import request_export
from app.main import create_app
from app.privacy.erase import Erasure, Person
from app.privacy.files import Places
from app.purge import means_of
from app.service import Service
from app.submissions.store import SUBMISSION, SUBMISSION_ERROR
from tests.privacy.persons import (
    CUSTOMER,
    EVERYTHING,
    FIRST_CLICK,
    OTHER_CLICK,
    OTHER_CUSTOMER,
    SPOOLED_CLICK,
    WAITING_CLICK,
    hits,
    of_person,
    pulled,
)
from tests.support import NOW, ORDER_KEY, READ_KEY, bearer, work
from tests.verdicts import judge

ADA = Person(frozenset({CUSTOMER}), frozenset({SPOOLED_CLICK}))
ON_ONE_DATABASE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def erased(service: Service, person: Person = ADA, **how: bool) -> Erasure:
    """Erase somebody to the end."""
    erasure = Erasure(means_of(service), person, service.clock(), **how)
    assert list(erasure.steps())
    return erasure


def rows(database: Database, statement: Any) -> list[Any]:
    """Return what a statement finds."""
    with database.snapshot() as session:
        return list(session.connection().execute(statement))


@pytest.fixture
def client(lived: Service) -> Iterator[TestClient]:
    """A checkout backend's connection to the service that has lived."""
    with TestClient(create_app(lived, with_worker=False), base_url="https://track.shop.example") as connected:
        yield connected


# Nothing is left --------------------------------------------------------------------------------------------------


def test_who_is_erased_is_found_nowhere(lived: Service, tmp_path: Path) -> None:
    """Not in the database's file nor its log, not in files, the journal or the spool: no byte, however it is spelt."""
    pulled(lived)
    before = hits(lived, tmp_path)
    assert number_of(Term.CUSTOMER, CUSTOMER) in {row.term for row in rows(lived.database, select(ORDER_TERM.c.term))}
    assert before.keys() == set(EVERYTHING)
    kinds = {place.split(" ")[0].rsplit(".", 1)[-1] for place in before[FIRST_CLICK]}
    assert kinds >= {"csv", "click_id", "content", "detail", "reason", "error_reason"}
    assert any(".spool" in place for place in before[SPOOLED_CLICK])
    erasure = erased(lived)
    assert not erasure.waits_for
    said = {"orders": 6, "held": 2, "clicks": 2, "notes": 2, "files": 1, "sentences": 6, "late": 0}
    assert dict(erasure.counts) == said
    assert hits(lived, tmp_path) == {}
    terms = {number_of(kind, one) for kind in (Term.CLICK, Term.CUSTOMER) for one in EVERYTHING}
    assert not terms & {row.term for row in rows(lived.database, select(ORDER_TERM.c.term))}
    assert [one.name for one in lived.hold.journal.path.iterdir()] == [f"{lived.hold.journal.names()[0]}.removed"]


def test_nothing_of_anybody_else_is_touched(lived: Service, tmp_path: Path) -> None:
    """Not even where their ids begin alike: their orders, their click, their waits and their spooled clicks."""
    pulled(lived)
    others = select(REVISION).where(REVISION.c.customer_id == OTHER_CUSTOMER)
    before = rows(lived.database, others), rows(lived.database, select(CLICK).where(CLICK.c.click_id == OTHER_CLICK))
    erased(lived)
    after = rows(lived.database, others), rows(lived.database, select(CLICK).where(CLICK.c.click_id == OTHER_CLICK))
    assert before == after
    assert all(before)
    spool = Spool(tmp_path / "spool", 1 << 20)
    replay = Replay(lived.database, spool, lambda: None)
    assert replay.begin()
    assert not spool.state().waiting
    spool.close()
    assert rows(lived.database, select(CLICK.c.click_id)) == []  # a note to forget the other came last, as it was


@ON_ONE_DATABASE
def test_a_dry_run_counts_the_same_and_changes_nothing(lived: Service, tmp_path: Path) -> None:
    """Neither in the database nor on disk."""
    pulled(lived)
    before = hits(lived, tmp_path)
    foretold = erased_dry(lived)
    assert hits(lived, tmp_path) == before
    assert foretold.counts == erased(lived).counts


@ON_ONE_DATABASE
def test_an_alarm_is_about_the_same_after_whoever_has_its_number_for_an_id(lived: Service) -> None:
    """Shops count their customers, as exports are counted; two alarms must not become one."""
    with lived.database.transaction() as session:
        for number in ("7", "8"):
            raise_alarm(session, Alarm(Kind.ORDERS_EXPIRED, number, f"Of customer {number}."), NOW, owed=False)
    erased(lived, Person(frozenset({"7", "8"})))
    told = select(ALARM.c.subject, ALARM.c.detail).where(ALARM.c.kind == "orders_expired").order_by(ALARM.c.id)
    assert rows(lived.database, told) == [("7", "Of customer [removed]."), ("8", "Of customer [removed].")]


def erased_dry(service: Service) -> Erasure:
    """Only say what would be erased."""
    erasure = Erasure(means_of(service), ADA, service.clock(), dry_run=True)
    list(erasure.steps())
    return erasure


@ON_ONE_DATABASE
def test_the_same_again_finds_nothing(lived: Service) -> None:
    """Which is no failure; nor is an id that nobody has."""
    pulled(lived)
    erased(lived)
    assert erased(lived).found_nothing
    assert erased(lived, Person(frozenset({"nobody"}))).found_nothing


@ON_ONE_DATABASE
def test_by_a_click_alone_its_orders_are_cleared_whole(lived: Service, tmp_path: Path) -> None:
    """Whoever knows the click finds the order; what it says of its customer goes too."""
    pulled(lived)
    erased(lived, Person(click_ids=frozenset({WAITING_CLICK})))
    assert hits(lived, tmp_path, (WAITING_CLICK,)) == {}
    kept = select(REVISION.c.customer_id).join(CONVERSION).where(CONVERSION.c.order_id == "waits")
    assert rows(lived.database, kept) == [(None,)]


@pytest.mark.parametrize("after", range(1, 6))
@ON_ONE_DATABASE
def test_an_erasure_that_was_killed_is_finished_by_another(lived: Service, tmp_path: Path, after: int) -> None:
    """After whichever step it ended; what it had done counts no second time."""
    pulled(lived)
    steps = Erasure(means_of(lived), ADA, lived.clock()).steps()
    done = [one for _, one in zip(range(after), steps, strict=False)]
    del steps
    assert len(done) == after
    erased(lived)
    assert hits(lived, tmp_path) == {}


def end(*_: object, **__: object) -> None:
    """End as a killed process does."""
    raise KeyboardInterrupt


class Full(Journal):
    """A journal on a disk that is full."""

    def keep_removed(self, name: str, _left: bytes, _removal: Removal) -> None:
        """Fail."""
        raise ChannelUnavailable(f"There is no room for {name}.")


@ON_ONE_DATABASE
def test_a_disk_that_is_full_stops_it_and_the_same_again_finishes(lived: Service, tmp_path: Path) -> None:
    """What leads to the rest is still there: nothing of it was cleared before its files."""
    pulled(lived)
    means = means_of(lived)
    full = replace(means, places=replace(means.places, journal=Full(means.places.journal.path)))
    with pytest.raises(ChannelUnavailable):
        list(Erasure(full, ADA, lived.clock()).steps())
    erased(lived)
    assert hits(lived, tmp_path) == {}


@ON_ONE_DATABASE
def test_one_that_was_killed_between_two_names_of_the_journal_is_finished(
    lived: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is left of the file was there already, and the whole file still beside it."""
    pulled(lived)
    with monkeypatch.context() as patch:
        patch.setattr(os, "utime", end)
        with pytest.raises(KeyboardInterrupt):
            erased(lived)
    journal = lived.hold.journal
    assert len(list(journal.path.iterdir())) == 2
    assert erased_dry(lived).counts["files"] == 1
    assert len(list(journal.path.iterdir())) == 2
    erased(lived)
    assert hits(lived, tmp_path) == {}


@ON_ONE_DATABASE
def test_who_had_read_a_file_before_does_not_bring_it_back_into_the_journal(lived: Service, tmp_path: Path) -> None:
    """A worker that copies what other hosts have sent may have read it a moment before."""
    pulled(lived)
    journal = lived.hold.journal
    [name] = journal.names()
    parcel = Parcel(name, journal.read(name))
    erased(lived)
    journal.keep(parcel)
    assert hits(lived, tmp_path) == {}


@ON_ONE_DATABASE
def test_a_file_that_only_the_journal_knows_is_emptied_too(lived: Service, tmp_path: Path) -> None:
    """An older database was restored: the file that left since then is found by what it says."""
    pulled(lived)
    forget_files(lived)
    kept_before(lived, lived.clock() - timedelta(days=4))
    assert erased(lived).counts["files"] == 1
    assert hits(lived, tmp_path) == {}


def forget_files(service: Service) -> None:
    """Let the database be as it was before anything had left."""
    with service.database.transaction() as session:
        for table in (SUBMISSION_ERROR, SUBMISSION, CALL, ATTEMPT, UNCONFIRMED, BATCH_CONTENT, BATCH_LINE, BATCH):
            session.connection().execute(table.delete())


def kept_before(service: Service, moment: datetime) -> None:
    """Let the journal have its file since then."""
    [path] = service.hold.journal.path.iterdir()
    os.utime(path, (moment.timestamp(), moment.timestamp()))


@ON_ONE_DATABASE
def test_such_a_file_is_found_by_an_id_that_it_has_in_quotes(lived: Service, tmp_path: Path) -> None:
    """A quotation mark in an id is doubled there."""
    pulled(lived)
    quoted = 'cus "4712", Ada'
    record(lived.database, [of_person("quoted", customer_id=quoted)], NOW)
    request_export(lived.database)
    work(lived)
    forget_files(lived)
    with lived.database.transaction() as session:
        session.connection().execute(REVISION.update().values(customer_id=None, click_id=None))
    for path in lived.hold.journal.path.iterdir():
        os.utime(path, (NOW.timestamp(), NOW.timestamp()))
    assert erased(lived, Person(frozenset({quoted}))).counts["files"] == 1
    assert hits(lived, tmp_path, ("4712",)) == {}


@ON_ONE_DATABASE
def test_such_a_file_is_waited_for_while_impact_com_may_fetch_it(lived: Service, tmp_path: Path, outbox: Path) -> None:
    """Nobody could send it again, and the orders of everybody in it would be lost."""
    forget_files(lived)
    kept_before(lived, lived.clock() - timedelta(days=2))
    [name] = lived.hold.journal.names()
    assert erased(lived).waits_for == {name}
    assert (outbox / name).read_bytes() == lived.hold.journal.read(name)
    pulled(lived)
    assert not erased(lived).waits_for
    assert hits(lived, tmp_path) == {}


@ON_ONE_DATABASE
def test_one_that_was_killed_before_it_took_such_a_file_out_of_the_folder_is_finished(
    lived: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The journal is all that leads to it, and so is emptied last."""
    pulled(lived)
    forget_files(lived)
    kept_before(lived, lived.clock() - timedelta(days=4))
    with monkeypatch.context() as patch:
        patch.setattr(Places, "take_away", end)
        with pytest.raises(KeyboardInterrupt):
            erased(lived)
    erased(lived)
    assert hits(lived, tmp_path) == {}


# What stays -------------------------------------------------------------------------------------------------------


def kept(service: Service, client: TestClient) -> dict[str, Any]:
    """Return what was sold, as tables and API tell it."""
    database = service.database
    totals = client.get("/totals", params={"from": "2026-11-20", "to": "2026-11-25"}, headers=bearer(READ_KEY))
    states = {
        one["order_id"]: (one["state"], one["amount"], one["currency"], one["event_date"], one["batch"])
        for one in client.get("/orders", headers=bearer(ORDER_KEY)).json()["items"]
    }
    return {
        "totals": rows(database, select(TOTAL)),
        "shown": [one["recorded"] for one in totals.json()["items"]],
        "states": states,
        "items": rows(
            database, select(ITEM.c.sku, ITEM.c.quantity, ITEM.c.amount).order_by(ITEM.c.revision_id, ITEM.c.position)
        ),
        "orders": rows(database, select(CONVERSION).order_by(CONVERSION.c.id)),
        "batches": rows(database, select(BATCH.c.filename, BATCH.c.sha256, BATCH.c.rows, BATCH.c.orders)),
    }


def test_totals_states_and_hashes_are_what_they_were(lived: Service, client: TestClient) -> None:
    """Money is counted as before; only who waits with nothing but a click waits for a credit now."""
    pulled(lived)
    before = kept(lived, client)
    erased(lived)
    after = kept(lived, client)
    for waits in ("waits", "third"):
        assert before["states"].pop(waits)[0] == "pending"
        assert after["states"].pop(waits)[0] == "held"
    assert before == after
    assert before["states"]["waits with code"][0] == "held"  # an export had left it out


def test_a_repeat_is_a_repeat_by_every_way_in(lived: Service, client: TestClient) -> None:
    """One order, many and a file are known again; another body is a conflict, and nothing is recorded twice."""
    sent = {
        "order_id": "again",
        "event_date": "2026-11-22T11:00:00+00:00",
        "currency": "USD",
        "click_id": FIRST_CLICK,
        "customer_id": CUSTOMER,
        "items": [{"sku": "A", "category": "Tools", "quantity": 1, "amount": "1.00"}],
    }
    headers = bearer(ORDER_KEY)
    assert client.post("/orders", json=sent, headers=headers).status_code == 201
    pulled(lived)
    erased(lived)
    again = client.post("/orders", json=sent, headers=headers)
    assert (again.status_code, again.headers["idempotent-replayed"]) == (200, "true")
    assert CUSTOMER not in again.text
    other = client.post("/orders", json=sent | {"customer_id": "cus-2"}, headers=headers)
    assert other.status_code == 409
    lines = b"\n".join(orjson.dumps(one) for one in (sent, sent | {"click_id": "clk-2"}))
    bulk = client.post("/orders/bulk", content=lines, headers=headers | {"content-type": "application/x-ndjson"})
    assert [orjson.loads(line)["status"] for line in bulk.content.splitlines()] == [200, 409]
    put = client.put("/orders/again", json=sent, headers=headers)
    assert put.status_code == 200
    assert record(lived.database, [of_person("sent")], NOW, lived.settings.fingerprint_key)[0].outcome == "replayed"
    with lived.database.snapshot() as session:
        found = select(func.count()).select_from(REVISION).where(REVISION.c.click_id == FIRST_CLICK)
        assert session.connection().execute(found).scalar_one() == 0


@ON_ONE_DATABASE
def test_a_correction_of_an_erased_order_leaves_with_its_order_id(lived: Service, client: TestClient) -> None:
    """What is given back later is told to impact.com all the same."""
    pulled(lived)
    erased(lived)
    body = {"reason": "ITEM_RETURNED", "items": [{"sku": "SKU-0"}]}
    assert client.post("/orders/sent/reversals", json=body, headers=bearer(ORDER_KEY)).status_code == 202
    request_export(lived.database)
    work(lived)
    last = select(BATCH.c.kind, BATCH_CONTENT.c.content).join(BATCH_CONTENT, BATCH_CONTENT.c.batch == BATCH.c.id)
    found = dict(tuple(row) for row in rows(lived.database, last))
    assert b",sent," in found["modifications"]
    assert rows(lived.database, select(CORRECTION_ITEM.c.sku))


@ON_ONE_DATABASE
def test_what_waits_and_is_credited_otherwise_leaves_without_the_click(lived: Service, client: TestClient) -> None:
    """A promo code still credits it; one that had its click alone leaves when somebody names another credit."""
    lived.settings = lived.settings.model_copy(update={"sku_max_length": 255})
    pulled(lived)
    erased(lived)
    credit = client.put("/orders/waits/attribution", json={"promo_code": "ADA10"}, headers=bearer(ORDER_KEY))
    assert (credit.status_code, credit.json()["state"]) == (200, "pending")
    request_export(lived.database)
    work(lived)
    newest = select(BATCH_CONTENT.c.content).order_by(BATCH_CONTENT.c.batch.desc()).limit(1)
    [[content]] = rows(lived.database, newest)
    assert b",waits," in content
    assert b",third," not in content
    assert not any(one.encode() in content.replace(OTHER_CLICK.encode(), b"") for one in (FIRST_CLICK, WAITING_CLICK))


def test_an_export_that_has_planned_an_order_sends_nothing_of_who_is_erased(lived: Service) -> None:
    """It finds that its plan is nobody's any more, and makes another."""
    pulled(lived)
    request_export(lived.database)
    claimed = exporter.claim(lived.database, lived.settings)
    assert claimed
    planned = list(build.plans(lived.database, lived.settings, lived.clock))
    assert WAITING_CLICK.encode() in planned[0].file.content  # type: ignore[union-attr]
    erased(lived)
    with pytest.raises(LeaseLost):
        build.commit(lived.database, lived.settings, claimed, planned[0], lived.clock())
    work(lived)
    contents = [row.content for row in rows(lived.database, select(BATCH_CONTENT.c.content))]
    assert not any(CUSTOMER.encode() in one.replace(OTHER_CUSTOMER.encode(), b"") for one in contents)


@ON_ONE_DATABASE
def test_an_explanation_does_not_say_that_there_never_was_a_click(lived: Service, client: TestClient) -> None:
    """Of what was removed nothing is claimed."""
    pulled(lived)
    erased(lived)
    told = client.get("/orders/sent/explanation", headers=bearer(READ_KEY)).json()
    texts = " ".join(step["text"] for step in told["steps"])
    assert "was removed since" in texts
    assert "none was in the visitor's cookie" not in texts
    assert "nobody to credit" not in texts


# What is under way ------------------------------------------------------------------------------------------------


class Away(FolderChannel):
    """A folder that never takes a file."""

    def send(self, _parcel: Parcel, _progress: Progress) -> None:
        """Fail."""
        raise ChannelUnavailable("It is away.")


def test_a_file_under_way_is_waited_for_and_a_second_run_finishes(lived: Service, tmp_path: Path, outbox: Path) -> None:
    """A batch has one content for ever: the rest is erased, it is named, and its orders lead to it once it has left."""
    pulled(lived)
    folder, lived.channels = lived.channels, {"folder": Away(FolderSettings(path=outbox))}
    request_export(lived.database)
    work(lived)
    first = erased(lived)
    [batch_id] = first.waits_for
    assert first.counts["late"] >= 2
    [[content]] = rows(lived.database, select(BATCH_CONTENT.c.content).where(BATCH_CONTENT.c.batch == 2))
    assert CUSTOMER.encode() in content
    lived.channels = folder
    with lived.database.transaction() as session:
        confirm(session, 2, lived.clock())
    assert not erased(lived).waits_for
    assert hits(lived, tmp_path) == {}
    assert rows(lived.database, select(BATCH.c.batch_id).where(BATCH.c.removed_at.is_not(None)).order_by(BATCH.c.id))[
        -1
    ] == (batch_id,)


@ON_ONE_DATABASE
def test_a_file_that_impact_com_may_not_have_fetched_yet_is_waited_for(lived: Service, outbox: Path) -> None:
    """Taking it out of the folder would lose the orders of everybody in it."""
    first = erased(lived)
    assert len(first.waits_for) == 1
    assert len(list(outbox.iterdir())) == 1
    pulled(lived)
    assert not erased(lived).waits_for
    assert list(outbox.iterdir()) == []


@ON_ONE_DATABASE
def test_a_file_that_was_left_there_again_after_its_result_is_waited_for(lived: Service, outbox: Path) -> None:
    """What impact.com has said of it was said before."""
    with lived.database.transaction() as session:
        session.connection().execute(CALL.delete())
    judge(lived.database, {})
    lived.clock = lambda: NOW + timedelta(hours=1)
    with lived.database.transaction() as session:
        [row] = session.connection().execute(select(BATCH)).all()
        redeliver(session, lived.settings, row.id, row.event_type)
    work(lived)
    assert erased(lived).waits_for == {row.batch_id}
    assert len(list(outbox.iterdir())) == 1


# The key ----------------------------------------------------------------------------------------------------------


@ON_ONE_DATABASE
def test_without_the_key_or_with_another_one_nothing_is_erased(lived: Service, tmp_path: Path) -> None:
    """The sentence says what to set, and nothing has gone before it."""
    pulled(lived)
    right, before = lived.settings, hits(lived, tmp_path)
    lived.settings = right.model_copy(update={"fingerprint_key": None})
    with pytest.raises(Misconfigured, match="CAPTURE_FINGERPRINT_KEY is not set"):
        erased(lived)
    assert hits(lived, tmp_path) == before
    lived.settings = right
    erased(lived)
    lived.settings = right.model_copy(update={"fingerprint_key": SecretStr("z" * 32)})
    with pytest.raises(Misconfigured, match="another one than was used before"):
        erased(lived, Person(frozenset({OTHER_CUSTOMER})))
    assert rows(lived.database, select(REVISION.c.id).where(REVISION.c.customer_id == OTHER_CUSTOMER))

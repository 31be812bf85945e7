"""A file whose content was removed is known for ever by its name and hash, and never leaves again."""

import csv
import io
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Row
from sqlmodel import Session

from app.batches import store as batches
from app.batches.store import BATCH, ERASED, OLD
from app.conversions.record import record
from app.delivery.hold import Hold
from app.delivery.journal import Journal
from app.delivery.parcel import Parcel
from app.delivery.recover import Fate, recover
from app.delivery.removal import NotMarked, Removal, marked, unmarked
from app.delivery.resume import redeliver_all
from app.errors import ContentRemoved
from app.ledger.export_routes import request_export
from app.service import Service
from tests.delivery.backup import back_up
from tests.support import EXPORT_KEY, NOW, READ_KEY, bearer, order, work

ON_ONE_DATABASE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
GONE = Removal("0" * 64, NOW, ERASED)


def exported(service: Service, order_id: str = "A") -> Row[Any]:
    """Let an order leave and return its batch."""
    record(service.database, [order(order_id)], NOW)
    request_export(service.database)
    work(service)
    with service.database.snapshot() as session:
        return session.connection().execute(BATCH.select().order_by(BATCH.c.id.desc()).limit(1)).one()


def emptied(content: bytes) -> bytes:
    """Return a file without its click ids."""
    rows = list(csv.DictReader(io.StringIO(content.decode(), newline="")))
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, list(rows[0]), lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(row | {"ClickId": ""} for row in rows)
    return out.getvalue().encode()


def remove(service: Service, session: Session, number: int, why: str = ERASED) -> None:
    """Leave of a batch all but click ids, or nothing."""
    left = emptied(batches.content_of(session, number)) if why == ERASED else None
    batches.remove_content(session, number, left, service.clock(), why)


@pytest.mark.parametrize(("why", "because"), [(ERASED, "a person who was erased"), (OLD, "it was old")])
def test_a_removed_file_answers_410_and_keeps_its_hash(
    service: Service, client: TestClient, why: str, because: str
) -> None:
    """Whoever asks for it, or to send it again, is told that and why it is gone; its batch is shown as ever."""
    batch = exported(service)
    path = f"/batches/{batch.batch_id}"
    assert client.get(f"{path}/file", headers=bearer(READ_KEY)).status_code == 200
    before = client.get(path, headers=bearer(READ_KEY)).json()
    with service.database.transaction() as session:
        remove(service, session, batch.id, why)
    answers = [
        client.get(f"{path}/file", headers=bearer(READ_KEY)),
        client.post(f"{path}/redelivery", headers=bearer(EXPORT_KEY)),
    ]
    for answer in answers:
        assert (answer.status_code, answer.json()["code"]) == (410, "CONTENT_REMOVED")
        assert because in answer.json()["detail"]
    assert client.get(path, headers=bearer(READ_KEY)).json() == before


@ON_ONE_DATABASE
def test_a_removed_file_guards_against_an_older_database_and_is_not_sent_by_anyone(
    service: Service, tmp_path: Path
) -> None:
    """The journal still shows that it has left: the order is in its batch again, without a click, and stays there."""
    restore = back_up(service.database, tmp_path)
    batch = exported(service)
    with service.database.snapshot() as session:
        left = emptied(batches.content_of(session, batch.id))
    service.hold.journal.keep_removed(batch.filename, left, Removal(batch.sha256, NOW, ERASED))
    service.hold.journal.keep_removed(batch.filename, left, Removal(batch.sha256, NOW, ERASED))
    assert service.hold.journal.names() == [batch.filename]
    assert [path.name for path in service.hold.journal.path.iterdir()] == [f"{batch.filename}.removed"]
    restore()
    record(service.database, [order("A")], NOW)
    request_export(service.database)
    work(service)
    assert service.hold.reason
    [recovery] = recover(service.database, service.hold, NOW)
    assert (recovery.fate, recovery.orders, recovery.missing) == (Fate.RECOVERED, 1, [])
    with service.database.transaction() as session:
        again = session.connection().execute(BATCH.select()).one()
        assert (again.sha256, again.removed_why, again.removed_at) == (batch.sha256, ERASED, NOW)
        assert batches.what_is_left_of(session, again.id) == left
        assert redeliver_all(session, service.settings) == []
        with pytest.raises(ContentRemoved):
            batches.content_of(session, again.id)


@ON_ONE_DATABASE
def test_another_hosts_journal_gets_what_is_left(service: Service, tmp_path: Path) -> None:
    """It notices an older database too, and holds nothing that was removed."""
    batch = exported(service)
    with service.database.transaction() as session:
        remove(service, session, batch.id)
    there = Hold(Journal(tmp_path / "other"))
    assert not there.applies(service.database)
    content, removal = there.journal.look(batch.filename)
    assert removal == Removal(batch.sha256, NOW, ERASED)
    assert b"click-1" not in content


def test_a_file_keeps_its_place_in_the_journal(tmp_path: Path) -> None:
    """The newest files are asked for each time: one that was removed is not the newest."""
    journal = Journal(tmp_path)
    names = [f"2026-11-2{day}_ActionData_default_{day:032x}.csv" for day in range(3)]
    for name in names:
        journal.keep(Parcel(name, b"x\r\n"))
    assert journal.names() == names[::-1]
    journal.keep_removed(names[0], b"", GONE)
    assert journal.names() == names[::-1]


def test_a_mark_says_what_it_was_given_or_that_it_is_damaged() -> None:
    """Nothing is guessed."""
    assert unmarked(marked(GONE, b"a\r\nb\r\n")) == (GONE, b"a\r\nb\r\n")
    for damaged in (b"", b"a\r\nb\r\n", b"{}\n", b'{"sha256": "0", "removed_at": "yesterday", "why": "old"}\n'):
        with pytest.raises(NotMarked):
            unmarked(damaged)

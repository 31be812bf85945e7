"""Files of modifications leave as those of orders do, and an older database that is restored lets none leave twice."""

import logging
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select, text

from app.batches.store import CORRECTION_LINE
from app.conversions.corrections_store import UNSENT_CORRECTION
from app.conversions.record import record
from app.database import Database
from app.delivery.kept import Damaged, read_kept
from app.delivery.parcel import Parcel, Progress
from app.delivery.recover import Fate, Recovery, explain, recover
from app.delivery.resume import redeliver
from app.errors import ChannelRefused, Conflict, DeliveryError, OutcomeUnknown
from app.impact.columns import Level
from app.ledger.export_routes import request_export
from app.main import create_app
from app.service import Service
from tests.corrections import Left, correct, name_action
from tests.delivery.backup import back_up
from tests.servers import wait_until
from tests.support import EXPORT_KEY, NOW, READ_KEY, bearer, order, parse_rfc4180, work

DATA = Path(__file__).parent.parent / "data" / "modifications"
MODIFICATIONS = "2026-11-22_ModificationData_default_0123456789abcdef.csv"


class Shipments:
    """A channel that remembers what left, and may fail."""

    def __init__(self) -> None:
        self.parcels: list[Parcel] = []
        self.failure: DeliveryError | None = None

    def send(self, parcel: Parcel, _progress: Progress) -> None:
        """Take the file."""
        self.parcels.append(parcel)
        if self.failure:
            raise self.failure

    def ask(self, _parcel: Parcel) -> None:
        """See nothing, as with impact.com's drop."""

    @property
    def corrections(self) -> list[list[list[str]]]:
        """The rows of each file of modifications."""
        return [list(parse_rfc4180(one.content))[1:] for one in self.parcels if "_ModificationData_" in one.name]


@pytest.fixture
def shipments(service: Service) -> Shipments:
    """What left the service."""
    channel = Shipments()
    service.channels = {"folder": channel}
    return channel


def export(service: Service) -> None:
    """Ask for an export, and let the worker do what it may."""
    request_export(service.database)
    work(service)


def waiting(service: Service) -> list[int]:
    """Return the corrections that wait."""
    with service.database.snapshot() as session:
        found = select(UNSENT_CORRECTION.c.correction_id).order_by(UNSENT_CORRECTION.c.correction_id)
        return list(session.connection().execute(found).scalars())


def recovered(service: Service, **how: bool) -> list[Recovery]:
    """Run the recovery."""
    return list(recover(service.database, service.hold, NOW, **how))


# Delivery ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("failure", "state", "act", "after"),
    [
        (ChannelRefused("No."), "failed", "redelivery", "delivered"),
        (OutcomeUnknown("Who knows."), "unknown", "confirmation", "delivered"),
    ],
    ids=["refused", "unknown"],
)
def test_a_file_of_modifications_is_a_batch_like_any_other(
    service: Service, shipments: Shipments, failure: DeliveryError, state: str, act: str, after: str
) -> None:
    """Its kind is told, its bytes are kept, and a person decides about it with the same calls.

    The next correction of its order waits until it has arrived.
    """
    service.settings = service.settings.model_copy(update={"unknown_outcome": "hold"})
    record(service.database, [order("A")], NOW)
    export(service)
    correct(service.database, "A")
    shipments.failure = failure
    export(service)
    correct(service.database, "A", [Left("SKU-0", 100)])
    export(service)
    assert len(shipments.corrections) == 1
    with TestClient(create_app(service, with_worker=False)) as client:
        batch = client.get("/batches", headers=bearer(READ_KEY)).json()["items"][1]
        assert (batch["kind"], batch["state"], batch["orders"], batch["rows"]) == ("modifications", state, 1, 1)
        content = client.get(f"/batches/{batch['id']}/file", headers=bearer(READ_KEY)).content
        assert content == shipments.parcels[1].content == service.hold.journal.read(batch["filename"])
        shipments.failure = None
        assert client.post(f"/batches/{batch['id']}/{act}", headers=bearer(EXPORT_KEY)).status_code in {200, 202}
        service.stopping.clear()
        work(service)
        assert client.get(f"/batches/{batch['id']}", headers=bearer(READ_KEY)).json()["state"] == after
    service.stopping.clear()
    export(service)
    assert shipments.corrections[-1][0][3] == "1.00"
    assert waiting(service) == []


def test_an_old_correction_is_not_put_over_a_newer_one(service: Service, shipments: Shipments) -> None:
    """Values are final: the same bytes again would undo what has arrived since; a file without such an order may go."""
    record(service.database, [order("A"), order("B")], NOW)
    export(service)
    for name, amount in (("A", 500), ("B", 500), ("A", 300)):
        correct(service.database, name, [Left("SKU-0", amount)])
        export(service)
    with TestClient(create_app(service, with_worker=False)) as client:
        batches = client.get("/batches", headers=bearer(READ_KEY)).json()["items"][1:]
        answers = [client.post(f"/batches/{one['id']}/redelivery", headers=bearer(EXPORT_KEY)) for one in batches]
    service.stopping.clear()
    assert [one.status_code for one in answers] == [409, 202, 202]
    assert (answers[0].json()["code"], batches[2]["filename"] in answers[0].json()["detail"]) == (
        "CORRECTED_SINCE",
        True,
    )
    work(service)
    assert [rows[0][3] for rows in shipments.corrections] == ["5.00", "5.00", "3.00", "5.00", "3.00"]


def test_an_old_correction_does_not_race_a_newer_one(service: Service, shipments: Shipments) -> None:
    """Both would be under way, and the older one might arrive last."""
    record(service.database, [order("A")], NOW)
    export(service)
    correct(service.database, "A", [Left("SKU-0", 500)])
    export(service)
    shipments.failure = ChannelRefused("Not now.")
    correct(service.database, "A", [Left("SKU-0", 300)])
    export(service)
    with TestClient(create_app(service, with_worker=False)) as client:
        older = client.get("/batches", headers=bearer(READ_KEY)).json()["items"][1]
        answer = client.post(f"/batches/{older['id']}/redelivery", headers=bearer(EXPORT_KEY))
        assert (answer.status_code, answer.json()["code"]) == (409, "CORRECTED_SINCE")


class AtPlace(logging.Handler):
    """Does something when the exporter comes to a place for the first time."""

    def __init__(self, place: str, act: Callable[[], None]) -> None:
        super().__init__()
        self.place, self.act = place, act

    def emit(self, record: logging.LogRecord) -> None:
        """Look where the exporter is."""
        if record.getMessage() == self.place:
            self.place = ""
            self.act()


@pytest.fixture
def at_place() -> Iterator[Callable[[str, Callable[[], None]], None]]:
    """Let something happen at a place of the exporter of corrections."""
    logger, before = logging.getLogger("app.batches.amend"), logging.getLogger("app.batches.amend").level
    handlers: list[AtPlace] = []

    def add(place: str, act: Callable[[], None]) -> None:
        handlers.append(AtPlace(place, act))
        logger.addHandler(handlers[-1])
        logger.setLevel(logging.DEBUG)

    yield add
    logger.setLevel(before)
    for handler in handlers:
        logger.removeHandler(handler)


@pytest.mark.parametrize(
    ("place", "refused", "sent"),
    [("batch.checked", [], ["5.00", "5.00"]), ("batch.committing", ["A"], ["5.00", "3.00"])],
)
def test_a_redelivery_beside_an_export_lets_one_of_both_wait(
    service: Service,
    shipments: Shipments,
    at_place: Callable[[str, Callable[[], None]], None],
    place: str,
    refused: list[str],
    sent: list[str],
) -> None:
    """Whoever comes first: the newer correction waits for the older one, or the older one is not sent again."""
    record(service.database, [order("A")], NOW)
    export(service)
    correct(service.database, "A", [Left("SKU-0", 500)])
    export(service)
    correct(service.database, "A", [Left("SKU-0", 300)])
    conflicts: list[str] = []

    def redeliver_first() -> None:
        try:
            with service.database.transaction() as session:
                redeliver(session, service.settings, 2, "default")
        except Conflict:
            conflicts.append("A")

    thread = threading.Thread(target=redeliver_first)

    def act() -> None:
        thread.start()
        if place == "batch.checked":
            thread.join()
        else:
            wait_until(lambda: somebody_waits(service.database), "the redelivery does not wait for the export")

    at_place(place, act)
    export(service)
    thread.join()
    assert conflicts == refused
    assert [rows[0][3] for rows in shipments.corrections] == sent
    export(service)
    assert shipments.corrections[-1][0][3] == "3.00"


def somebody_waits(database: Database) -> bool:
    """Say whether somebody waits for a lock; on SQLite nobody can be asked, and one writer follows the other."""
    if database.is_sqlite:
        return True
    with database.snapshot() as session:
        waiting = session.connection().execute(text("SELECT count(*) FROM pg_locks WHERE NOT granted"))
        return bool(waiting.scalar_one())


# After an older database was restored -----------------------------------------------------------------------------


@pytest.mark.parametrize("by_action", [False, True], ids=["order", "action"])
def test_a_correction_that_has_left_does_not_leave_again(
    service: Service, shipments: Shipments, tmp_path: Path, by_action: bool
) -> None:
    """The backup knows that it waits, the journal that it left: it goes back into its file, and a person decides."""
    record(service.database, [order("A"), order("B")], NOW)
    export(service)
    if by_action:
        for name in "AB":
            name_action(service.database, name, f"1000.4636.{name}")
    correct(service.database, "A", [Left("SKU-0", 500), Left("SKU-1", 0, 0)])
    correct(service.database, "B", [Left("SKU-0", 0, 0)], level="order", reverses=True)
    restore = back_up(service.database, tmp_path)
    export(service)
    assert len(shipments.corrections) == 2
    restore()
    export(service)
    assert len(shipments.corrections) == 2
    assert [(one.fate, one.missing, one.elsewhere) for one in recovered(service)] == [(Fate.RECOVERED, [], [])] * 2
    export(service)
    assert (len(shipments.corrections), waiting(service)) == (2, [])
    with service.database.snapshot() as session:
        lines = session.connection().execute(select(CORRECTION_LINE).order_by(CORRECTION_LINE.c.correction_id)).all()
    assert [(row.correction_id, row.first_line) for row in lines] == [(1, 2), (2, 2)]
    correct(service.database, "A", [Left("SKU-0", 100)])
    export(service)
    assert (len(shipments.corrections), waiting(service)) == (2, [3])  # nobody has said yet whether the first arrived


def test_a_correction_that_the_backup_lacks_is_named(service: Service, shipments: Shipments, tmp_path: Path) -> None:
    """It is made again and then found in its file; another one that came meanwhile leaves as it should."""
    record(service.database, [order("A"), order("B")], NOW)
    export(service)
    restore = back_up(service.database, tmp_path)
    correct(service.database, "A", [Left("SKU-0", 500)])
    correct(service.database, "B", [Left("SKU-0", 500)])
    export(service)
    restore()
    correct(service.database, "B", [Left("SKU-0", 300)])
    [refused] = recovered(service)
    assert (refused.fate, refused.missing) == (Fate.REFUSED, ["A", "B"])
    assert "these orders' corrections; post them again first" in explain(refused)
    assert [one.fate for one in recovered(service, dry_run=True)] == [Fate.REFUSED]
    correct(service.database, "A", [Left("SKU-0", 500)])
    [recovery] = recovered(service, without_missing=True)
    assert (recovery.fate, recovery.missing) == (Fate.RECOVERED, ["B"])
    assert waiting(service) == [1]
    export(service)
    assert [row[3] for row in shipments.corrections[-1]] == ["3.00"]


def test_a_correction_in_another_batch_stays_there(service: Service, shipments: Shipments, tmp_path: Path) -> None:
    """The negative control: without the journal it leaves twice, which is told."""
    record(service.database, [order("A")], NOW)
    export(service)
    correct(service.database, "A")
    restore = back_up(service.database, tmp_path)
    export(service)
    hold, journal = service.hold, service.hold.journal.path
    restore()
    moved = journal.rename(tmp_path / "moved away")
    export(service)
    assert len(shipments.corrections) == 2
    for path in moved.iterdir():
        (journal / path.name).write_bytes(path.read_bytes())
    [recovery] = list(recover(service.database, hold, NOW))
    assert (recovery.fate, recovery.missing, recovery.elsewhere) == (Fate.RECOVERED, [], ["A"])
    assert "These orders' corrections are in another batch" in explain(recovery)


# Kept files -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", sorted(DATA.glob("*.csv")), ids=lambda path: path.stem)
def test_every_layout_is_read_as_it_was_made(path: Path) -> None:
    """Each order with its first line and its values, whatever names it."""
    content = path.read_bytes().replace(b"\n", b"\r\n")
    kept = read_kept(MODIFICATIONS, content)
    lines = content.decode().split("\r\n")
    assert kept.form
    assert len(kept.first_lines) == 3
    assert all(name.split(",")[0] in lines[line - 1] for name, line in kept.first_lines.items())
    sizes = [2, 1, 1] if kept.form.level is Level.ITEM else [1, 1, 1]
    assert [len(said) for said in kept.said.values()] == sizes
    assert kept.rows == len(lines) - 2


@pytest.mark.parametrize(
    "content",
    [
        "ActionTrackerID,Oid,Amount,Reason\r\n",
        "ActionTrackerID,Oid,Amount,Reason\r\n777,A,1,OTHER",
        "ActionTrackerID,Oid,Amount,Reason\r\n777,A,1\r\n",
        "ActionTrackerID,Oid,Amount\r\n777,A,1\r\n",
        "ActionTrackerID,Oid,SKU,Amount,Quantity,Category,Reason\r\n,,S,1,1,,OTHER\r\n",
        "CampaignId,ActionTrackerId\r\n1,2\r\n",
    ],
)
def test_a_file_that_is_not_as_every_file_is_made_is_damaged(content: str) -> None:
    """Nothing is guessed."""
    with pytest.raises(Damaged):
        read_kept(MODIFICATIONS, content.encode())

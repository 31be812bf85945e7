"""The disk fills up, or fails, and later there is room again."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import httpx
import pytest

from app.delivery.channels.folder import FolderChannel, FolderSettings
from app.delivery.journal import Journal
from app.delivery.parcel import Parcel, Progress
from app.errors import ChannelUnavailable
from tests.crash import shop as shops
from tests.crash.oracle import Body
from tests.crash.replicas import client, export_all, new_shop, replicas
from tests.crash.shop import SECONDS, Shop
from tests.crash.test_serve import FIRST
from tests.crash.tiny_disk import FAULTS, KIB, Disk, tiny_disk
from tests.crash.victim import finish
from tests.delivery.receiver import NAME, PARCEL, ignore
from tests.servers import free_port, wait_until
from tests.support import EXPORT_KEY, ORDER_KEY, bearer

SOAK = bool(os.environ.get("SOAK"))
ROUNDS = 10 if SOAK else 2
MORE = 60
"""Orders that are posted while there is room, and landings while there is none."""
REFUSED = 20
"""Orders that are refused before there is room again."""


@pytest.fixture(params=FAULTS)
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Disk]:
    """A disk that fills up, or that fails."""
    with tiny_disk(tmp_path, request.param) as disk:
        yield disk


class Till:
    """A shop's till: it posts one new order after the other and keeps the answers apart."""

    def __init__(self, connection: httpx.Client, shop: Shop) -> None:
        self.connection, self.shop = connection, shop
        self.refused: list[Body] = []
        self.others: list[httpx.Response] = []
        self._numbers = count(FIRST)
        self._now = datetime.now(UTC)

    def sell(self) -> bool:
        """Post one more order, note it, and say whether it was acknowledged."""
        return self.post(shops.order(next(self._numbers), self._now))

    def post(self, body: Body) -> bool:
        """Post an order."""
        answer = self.connection.post("/orders", json=body, headers=bearer(ORDER_KEY))
        if answer.status_code in {200, 201}:
            self.shop.acknowledgements.add([body])
            return True
        if (answer.status_code, answer.json()["code"]) == (503, "UNAVAILABLE") and answer.headers["Retry-After"]:
            self.refused.append(body)
        else:
            self.others.append(answer)
        return False

    def sell_until_refused(self) -> None:
        """Go on until a number of orders was refused, and ask for exports in between."""
        for number in count():
            if len(self.refused) >= REFUSED or self.others:
                return
            self.sell()
            if number % 10 == 0:
                asked = self.connection.post("/exports", headers=bearer(EXPORT_KEY))
                assert asked.status_code in {202, 503}, asked.text

    def repeat(self) -> None:
        """Post again what was refused, which must be taken now."""
        again, self.refused = self.refused, []
        for body in again:
            assert self.post(body)


def test_a_database_without_room_acknowledges_nothing_that_it_cannot_keep(disk: Disk, tmp_path: Path) -> None:
    """Orders are refused with a sentence, landings are not, the database is intact, and with room all goes on."""
    shop, port = new_shop(f"sqlite:///{disk.path / 'shop.db'}", tmp_path), free_port()
    landed: set[str] = set()
    with replicas(shop, [port]) as [process], client(port) as connection:
        till = Till(connection, shop)
        for round_ in range(ROUNDS):
            assert all(till.sell() for _ in range(MORE))
            disk.fill(process.pid, leaving=(64 + 24 * round_) * KIB)
            till.sell_until_refused()
            for number in range(MORE):
                landed.add(land(connection, f"L-{round_}-{number}"))
            assert till.others == []
            assert shop.faults(at_rest=False, unanswered=till.refused) == []
            disk.free(process.pid)
            wait_until(lambda: taken_again(till), "no orders are taken although there is room")
            till.repeat()
            assert integrity(disk.path / "shop.db") == "ok"
        export_all(connection)
        wait_until(lambda: clicks(disk.path / "shop.db") == landed, "a landing is not recorded")
        wait_until(lambda: shop.facts().open_work == 0, "a file that was tried does not arrive")
        process.terminate()
        assert process.wait(SECONDS) == 0
    assert integrity(disk.path / "shop.db") == "ok"
    assert shop.faults(at_rest=True, filled=False) == []


def land(connection: httpx.Client, click_id: str) -> str:
    """Land on the shop; the cookie is set, whatever the disk does."""
    answer = connection.get("/capture", params={"im_ref": click_id})
    assert answer.status_code == 204
    assert f"im_ref={click_id};" in answer.headers["set-cookie"]
    connection.cookies.clear()
    return click_id


def taken_again(till: Till) -> bool:
    """Say whether the first order that was refused is taken now."""
    refused = till.refused
    till.refused = []
    if till.post(refused[0]):
        till.refused = refused[1:]
        return True
    till.refused = refused
    return False


def integrity(database: Path) -> str:
    """Return what SQLite says of its file."""
    with closing(sqlite3.connect(database)) as connection:
        return str(connection.execute("PRAGMA integrity_check").fetchone()[0])


def clicks(database: Path) -> set[str]:
    """Return the ids of all clicks on record."""
    with closing(sqlite3.connect(database)) as connection:
        return {row[0] for row in connection.execute("SELECT click_id FROM click")}


@pytest.mark.parametrize("leaving", [0, 4 * KIB, 100 * KIB])
@pytest.mark.parametrize("place", ["folder", "journal"])
def test_half_a_file_never_shows_under_its_name(disk: Disk, leaving: int, place: str) -> None:
    """With too little room in the folder or the journal it is tried again later, and then lies there whole."""
    assert len(PARCEL.content) > 100 * KIB
    disk.fill(os.getpid(), leaving)
    try:
        with pytest.raises(ChannelUnavailable, match="cannot be written to"):
            put(place, disk.path)
        assert not list(disk.path.glob("*.csv"))
    finally:
        disk.free(os.getpid())
    put(place, disk.path)
    assert {path.name: path.read_bytes() for path in disk.path.iterdir()} == {NAME: PARCEL.content}


def put(place: str, folder: Path) -> None:
    """Leave the file in the folder that impact.com pulls from, or in the journal."""
    if place == "folder":
        FolderChannel(FolderSettings(path=folder)).send(PARCEL, ignore)
    else:
        Journal(folder).keep(PARCEL)


class Filled(FolderChannel):
    """A folder that has no room for the first files."""

    def __init__(self, disk: Disk) -> None:
        super().__init__(FolderSettings(path=disk.path))
        self.disk, self.failures = disk, 0

    def send(self, parcel: Parcel, progress: Progress) -> None:
        if self.failures == 2:
            super().send(parcel, progress)
            return
        self.failures += 1
        self.disk.fill(os.getpid(), leaving=0)
        try:
            super().send(parcel, progress)
        finally:
            self.disk.free(os.getpid())


def test_files_that_found_no_room_go_when_there_is(disk: Disk, tmp_path: Path) -> None:
    """Their first attempts fail and hold up nothing; the next ones come by themselves, and each file arrives once."""
    shop = replace(new_shop(f"sqlite:///{tmp_path / 'shop.db'}", tmp_path, max_rows=shops.MAX_ROWS), outbox=disk.path)
    with shop.service() as service:
        orders = [shops.order(number, datetime.now(UTC)) for number in range(FIRST, FIRST + 30)]
        shops.fill(service, shop.acknowledgements, orders)
    shops.request_export(shop)
    with shop.service() as service:
        channel = Filled(disk)
        service.channels = {"folder": channel}
        finish(service)
    assert shop.faults(at_rest=True) == []
    assert sorted(shop.facts().attempts.values())[-3:] == [1, 2, 2]

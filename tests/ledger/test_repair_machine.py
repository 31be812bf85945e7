"""Whatever impact.com refuses, and however it is repaired: in the end it believes what the shop believes.

A model of impact.com takes each order once and refuses orders, corrections and single lines by chance; its verdicts
come late. Orders are sold, corrected, changed, exported and sent again meanwhile. Nothing that it took comes a second
time, and at the end everything that can be repaired is there, to the cent.
"""

import csv
import io
import json
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from sqlalchemy import select

from app import worker
from app.batches.store import BATCH
from app.config import Settings
from app.conversions.wish import Kind
from app.database import Database
from app.delivery.channels.folder import FolderChannel, FolderSettings
from app.delivery.hold import Hold
from app.delivery.journal import Journal
from app.delivery.parcel import Parcel, Progress
from app.errors import Conflict, InvalidInput
from app.ledger import corrections, export_routes, intake
from app.ledger.repair import repair
from app.ledger.revise import replace_order
from app.service import Service
from app.submissions.store import refused_in
from tests.conftest import Clock
from tests.ledger.receiver import Receiver, Row
from tests.ledger.shop import Key, Piece, Sold
from tests.soak import SOAK
from tests.verdicts import Codes, judge

TYPES = {
    "items": {"action_tracker_id": 5001, "modification_layout": "repeat"},
    "whole": {"action_tracker_id": 5004, "level": "order"},
}
KEY_OF = {str(one["action_tracker_id"]): key for key, one in TYPES.items()}
SKUS = ("S0", "S1", "S2")
ORDER_CODE, CORRECTION_CODE = "CONTRACT_NOT_FOUND", "BAD_DISPOSITION"

amounts = st.integers(1, 200)
keys = st.sampled_from([("items", "A"), ("items", "A"), ("whole", "B"), ("items", "C")])
several = st.lists(st.builds(Piece, st.integers(500, 5000), st.integers(1, 3)), min_size=2, max_size=3)
moods = st.lists(st.sampled_from(("take", "take", "refuse", "part")), max_size=4)


class Choosy(Receiver):
    """An impact.com that refuses as it is told; `decided` has what it refused, by file and order id."""

    def __init__(self) -> None:
        super().__init__()
        self.moods: list[str] = []
        self.decided: dict[str, dict[str, Codes]] = {}
        self.partly: set[Key] = set()

    def take(self, name: str, content: bytes) -> None:
        """Take of a file what it does not refuse."""
        rows = list(csv.DictReader(io.StringIO(content.decode(), newline="")))
        is_of_orders = "ActionTrackerId" in rows[0]
        tracker, order = ("ActionTrackerId", "OrderId") if is_of_orders else ("ActionTrackerID", "Oid")
        refused: dict[str, Codes] = {}
        kept: list[Row] = []
        for key in dict.fromkeys((row[tracker], row[order]) for row in rows):
            mine = [row for row in rows if (row[tracker], row[order]) == key]
            taken, codes = self._order(key, mine) if is_of_orders else self._correction(key, mine)
            kept += taken
            if codes:
                refused[key[1]] = codes
        self.decided[name] = refused
        (self._convert if is_of_orders else self._modify)(kept)

    def _order(self, key: tuple[str, str], rows: list[Row]) -> tuple[list[Row], Codes]:
        if key in self.actions:
            return rows, []  # which notes it
        mood = self._mood(rows)
        if mood == "refuse":
            return [], [ORDER_CODE]
        if mood == "part":
            self.partly.add((KEY_OF[key[0]], key[1]))
            return rows[1:], {rows[0]["Sku"]: [ORDER_CODE]}
        return rows, []

    def _correction(self, key: tuple[str, str], rows: list[Row]) -> tuple[list[Row], Codes]:
        action = self.actions.get(key)
        if action is None:
            return [], ["ACTION_NOT_FOUND"]
        if (KEY_OF[key[0]], key[1]) in self.partly:  # a person sees to it, and its corrections are not looked at
            return [], []
        mood = self._mood(rows)
        if mood == "refuse":
            return [], [CORRECTION_CODE]
        if mood == "part":
            return rows[1:], {rows[0]["SKU"]: [CORRECTION_CODE]}
        return rows, []

    def _mood(self, rows: list[Row]) -> str:
        mood = self.moods.pop() if self.moods else "take"
        return "refuse" if mood == "part" and len(rows) < 2 else mood


class Channel:
    """A folder that impact.com reads at once."""

    def __init__(self, folder: FolderChannel, impact: Choosy) -> None:
        self.folder, self.impact = folder, impact

    def send(self, parcel: Parcel, progress: Progress) -> None:
        self.folder.send(parcel, progress)
        self.impact.take(parcel.name, parcel.content)

    def ask(self, parcel: Parcel) -> bool | None:
        return self.folder.ask(parcel)


@cache
def configured(corrections_after: str) -> Settings:
    """Return a merchant's settings."""
    types = {key: {"campaign_id": 1000} | values for key, values in TYPES.items()}
    ids = {"campaign_id": 1000, "action_tracker_id": 4321, "max_rows": 5}
    return Settings.model_validate(ids | {"event_types": types, "corrections_after": corrections_after})


class Repairs(RuleBasedStateMachine):
    """The service between a shop and an impact.com that refuses much."""

    def __init__(self, new: Callable[[], tuple[Database, Path]]) -> None:
        super().__init__()
        self.database, outbox = new()
        self.orders: dict[Key, Sold] = {}
        self.impact = Choosy()
        self.clock = Clock(datetime.now(UTC).replace(microsecond=0) - timedelta(days=40))
        channel = Channel(FolderChannel(FolderSettings(path=outbox)), self.impact)
        self.service = Service(
            configured("delivered"), self.database, {"folder": channel}, self.clock, schema_is_checked=True
        )
        self.service.hold = Hold(Journal(outbox.with_name("journal")))
        self.changes = 0

    # The shop -----------------------------------------------------------------------------------------------------

    @initialize(lines=several, more=several, moods=moods, after=st.sampled_from(("delivered", "delivered", "accepted")))
    def open(self, lines: list[Piece], more: list[Piece], moods: list[str], after: str) -> None:
        """Two orders leave, and may be refused."""
        self.service.settings = configured(after)
        self.sell(("items", "A"), lines)
        self.sell(("whole", "B"), more)
        self.export(moods, hears=True)

    @rule(key=keys, lines=several)
    def sell(self, key: Key, lines: list[Piece]) -> None:
        """Record an order, if it is new."""
        if key in self.orders:
            return
        answers = intake.accept_many(self.database, self.service.settings, self.body(key, lines), self.clock.now)
        assert json.loads(answers)["status"] == 201
        self.orders[key] = Sold("USD", dict(zip(SKUS, lines, strict=False)))

    def body(self, key: Key, lines: list[Piece]) -> bytes:
        """Return an order as it is posted."""
        self.changes += 1
        items = [
            {"sku": sku, "category": "Tools", "quantity": line.quantity, "amount": written(line.amount)}
            for sku, line in zip(SKUS, lines, strict=False)
        ]
        date = (self.clock.now - timedelta(hours=1)).isoformat()
        named = {"event_type": key[0], "order_id": key[1], "click_id": f"click-{self.changes}"}
        return json.dumps(named | {"event_date": date, "currency": "USD", "items": items}).encode()

    @rule(key=keys, lines=several)
    def put(self, key: Key, lines: list[Piece]) -> None:
        """Replace an order, as far as that is possible."""
        if key not in self.orders:
            return
        order = intake.read_replacement(self.body(key, lines), key[1], self.service.settings, self.clock.now)
        try:
            replace_order(self.database, self.service.settings, None, order, self.clock.now)
        except Conflict:
            return
        self.orders[key] = Sold("USD", dict(zip(SKUS, lines, strict=False)))

    @rule(
        key=keys,
        kind=st.sampled_from(("refunds", "refunds", "modifications", "modifications", "reversals")),
        sku=st.none() | st.sampled_from(SKUS),
        amount=amounts,
        reason=st.sampled_from(("OTHER", "ITEM_RETURNED")),
        moods=st.none() | moods,
    )
    def correct(self, key: Key, kind: str, sku: str | None, amount: int, reason: str, moods: list[str] | None) -> None:
        """Ask for a correction, which may leave at once; what was refused before may be said again."""
        self._correct(key, kind, sku, amount, reason)
        if moods is not None:
            self.export(moods, hears=True)

    def _correct(self, key: Key, kind: str, sku: str | None, amount: int, reason: str) -> None:
        sold = self.orders.get(key)
        if sold is None or (sku and sku not in sold.lines):
            return
        worth = {} if kind == "reversals" else {"amount": amount}
        said = {"items": [{"sku": sku} | worth]} if sku else worth
        after = sold.corrected(kind, said)
        sent = json.dumps({"reason": reason} | money(said)).encode()
        request = corrections.Request(*key, Kind(kind.removesuffix("s")), sent)
        try:
            answer = json.loads(
                corrections.accept(self.database, self.service.settings, request, self.clock.now).content
            )
        except (Conflict, InvalidInput):
            assert isinstance(after, str)
            return
        if not isinstance(after, str):
            self.orders[key] = after
        left = {one["sku"]: units(one["amount"]) for one in answer["items"] if one["quantity"]}
        assert left == {sku: line.amount for sku, line in self.orders[key].left().items()}

    # The merchant's host and impact.com ---------------------------------------------------------------------------

    @rule(moods=moods, hears=st.booleans())
    def export(self, moods: list[str], *, hears: bool = False) -> None:
        """Let everything leave that can, and perhaps hear of it."""
        self.impact.moods = list(moods)
        self.clock.now += timedelta(hours=1)
        export_routes.request_export(self.database)
        self.work()
        if hears:
            self.hear()

    def work(self) -> None:
        while worker.work(self.service):
            pass
        assert self.impact.refused == []

    @rule()
    def hear(self) -> None:
        """Learn what impact.com made of everything that has left."""
        for batch_id, filename in self.batches():
            if filename in self.impact.decided:
                judge(self.database, self.impact.decided[filename], batch_id)

    @rule(which=st.integers(0, 9), names=st.booleans(), moods=moods)
    def resend(self, which: int, names: bool, moods: list[str]) -> None:
        """Send again what is repaired of a batch, by name or not; the second time nothing happens."""
        self.impact.moods = list(moods)
        batches = self.batches()
        if batches:
            self.repair(batches[which % len(batches)][0], names=names)
            self.work()

    def batches(self) -> list[tuple[str, str]]:
        """Return id and name of every batch."""
        with self.database.snapshot() as session:
            rows = session.connection().execute(select(BATCH.c.batch_id, BATCH.c.filename).order_by(BATCH.c.id))
            return [(row.batch_id, row.filename) for row in rows]

    def repair(self, batch_id: str, *, names: bool) -> int:
        service = self.service
        named = self.refused(batch_id) if names else []
        try:
            view = repair(self.database, service.settings, service.hold, batch_id, named, self.clock)
        except Conflict:  # it is not known what became of the batch
            return 0
        again = repair(self.database, service.settings, service.hold, batch_id, named, self.clock)
        assert again.batches == []
        return len(view.batches)

    def refused(self, batch_id: str) -> list[str]:
        """Return the orders of a batch that were refused."""
        filename = dict(self.batches())[batch_id]
        with self.database.snapshot() as session:
            batch = session.connection().execute(select(BATCH.c.id).where(BATCH.c.batch_id == batch_id)).scalar_one()
            known = bool(refused_in(session, batch))
        return sorted(self.impact.decided.get(filename, {})) if known else []

    # In the end ---------------------------------------------------------------------------------------------------

    def teardown(self) -> None:
        """Repair everything that can be, and hold impact.com against the shop."""
        try:
            if sys.exc_info()[0] is None:
                self.repair_everything()
                self.look()
        finally:
            self.database.close()

    def repair_everything(self) -> None:
        """Export, hear and send again until nothing more comes of it."""
        for _ in range(10):
            before = len(self.batches())
            self.export([])
            self.hear()
            built = [self.repair(batch_id, names=True) for batch_id, _ in self.batches() if self.refused(batch_id)]
            self.work()
            self.hear()
            if len(self.batches()) == before and not any(built):
                return
        raise AssertionError("there is no end of it")

    def look(self) -> None:
        """Assert that both believe the same of every order that no person has to see to."""
        actions = {(KEY_OF[tracker], order_id): one for (tracker, order_id), one in self.impact.actions.items()}
        assert actions.keys() <= self.orders.keys()
        for key, sold in self.orders.items():
            if key in self.impact.partly:
                continue
            if key not in actions:
                assert sold.is_reversed
                continue
            action = actions[key]
            assert (units(str(action.amount)), action.is_reversed) == (sold.amount, sold.is_reversed)
            if key[0] == "items" and not sold.is_reversed:
                found = {sku: units(str(line.amount)) for sku, line in action.lines.items() if line.quantity}
                assert found == {sku: line.amount for sku, line in sold.left().items()}


def written(amount: int) -> str:
    """Return cents as a shop writes them."""
    return f"{amount // 100}.{amount % 100:02}"


def units(text: str) -> int:
    """Return an amount in cents."""
    whole, _, cents = text.partition(".")
    return int(whole) * 100 + int(cents.ljust(2, "0") or 0)


def money(said: Mapping[str, Any]) -> dict[str, Any]:
    """Return a body with its amounts written out."""
    if "items" in said:
        return {"items": [dict(one) | money(one) for one in said["items"]]}
    return {"amount": written(said["amount"])} if "amount" in said else {}


def play(new: Callable[[], tuple[Database, Path]], histories: int) -> None:
    """Play histories until one goes wrong."""

    class Ours(Repairs):
        def __init__(self) -> None:
            super().__init__(new)

    chosen = settings(
        max_examples=histories,
        stateful_step_count=12,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(Ours, settings=chosen)


def test_what_is_refused_is_repaired_on_sqlite(on_sqlite: Callable[[], tuple[Database, Path]]) -> None:
    """Some histories; `SOAK=1` plays thousands."""
    play(on_sqlite, 5_000 if SOAK else 15)


def test_what_is_refused_is_repaired_on_postgresql(on_postgresql: Callable[[], tuple[Database, Path]]) -> None:
    """The same on PostgreSQL, whose transactions see one another otherwise."""
    play(on_postgresql, 6)

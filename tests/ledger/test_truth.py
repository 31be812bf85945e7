"""Whatever a shop says of its orders, and whatever crashes: in the end impact.com believes what the shop believes.

Orders, refunds, modifications, reversals, exports, deliveries and crashes come in any order. Every file is applied to a
model of impact.com's ledger as it arrives there; at the end each action has exactly what the shop has left, item by
item, to the cent, and impact.com refused nothing on the way.
"""

import json
import sys
from collections.abc import Callable, Collection
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from app import worker
from app.config import Settings
from app.conversions.wish import Kind
from app.database import Database
from app.delivery.channels.folder import FolderChannel, FolderSettings
from app.delivery.hold import Hold
from app.delivery.journal import Journal
from app.delivery.parcel import Parcel, Progress
from app.delivery.resume import redeliver
from app.errors import ChannelUnavailable, Conflict, InvalidInput, OutcomeUnknown
from app.ledger import corrections, export_routes, intake
from app.ledger.orders import find_order
from app.ledger.revise import attribute
from app.service import Service
from app.tables import METADATA
from tests.conftest import Clock
from tests.crash.victim import ONCE, PER_FILE
from tests.ledger.receiver import Receiver
from tests.ledger.shop import Key, Piece, Shop, Sold
from tests.ledger.trace import Crash, Trace
from tests.soak import SOAK

DECIMALS = {"USD": 2, "JPY": 0, "KWD": 3}
TYPES = {
    "blank": {"action_tracker_id": 5001, "modification_layout": "blank"},
    "repeat": {"action_tracker_id": 5002, "modification_layout": "repeat"},
    "indexed": {"action_tracker_id": 5003, "modification_layout": "indexed"},
    "whole": {"action_tracker_id": 5004, "level": "order"},
}
SKUS = ("S0", "S1", "S2")
FEWEST_ROWS = 4
CLICK = "c+/="
Body = dict[str, Any]

units = st.one_of(st.integers(0, 12), st.integers(0, 10**6))
keys = st.tuples(st.sampled_from(sorted(TYPES)), st.sampled_from("ABC"))
pieces = st.builds(Piece, units, st.integers(1, 4))
reasons = st.sampled_from(("ITEM_RETURNED", "ORDER_UPDATE", "OTHER"))
some_pieces = st.none() | st.integers(1, 2)
named = st.lists(st.sampled_from(SKUS), min_size=1, max_size=2, unique=True)


@cache
def configured() -> Settings:
    """Return a merchant's settings: an event type for each layout of modifications, and one without items."""
    types = {key: {"campaign_id": 1000} | values for key, values in TYPES.items()}
    return Settings.model_validate(
        {"campaign_id": 1000, "action_tracker_id": 4321, "event_types": types, "max_rows": FEWEST_ROWS}
    )


class Receiving:
    """A folder that impact.com reads at once, and that cannot be reached for some sends."""

    def __init__(self, folder: FolderChannel) -> None:
        self.folder = folder
        self.impact = Receiver()
        self.failures: list[bool] = []

    def send(self, parcel: Parcel, progress: Progress) -> None:
        """Take a file, or fail before or after that."""
        arrives = self.failures.pop() if self.failures else None
        if arrives is False:
            raise ChannelUnavailable("The receiver went away.")
        try:
            self.folder.send(parcel, progress)
        finally:  # the worker may end when the file lies there already
            if self.folder.ask(parcel):
                self.impact.take(parcel.name, parcel.content)
        if arrives:
            raise OutcomeUnknown("The receiver went away before it answered.")

    def ask(self, parcel: Parcel) -> bool | None:
        """Say whether a file lies there."""
        return self.folder.ask(parcel)


class Truth(RuleBasedStateMachine):
    """The service between the shop and impact.com, and a small model of each."""

    def __init__(self, new: Callable[[], tuple[Database, Path]]) -> None:
        super().__init__()
        self.database, outbox = new()
        self.shop = Shop()
        self.clock = Clock(datetime.now(UTC).replace(microsecond=0) - timedelta(days=60))
        self.receiving = Receiving(FolderChannel(FolderSettings(path=outbox)))
        channels = {"folder": self.receiving}
        self.service = Service(configured(), self.database, channels, self.clock, schema_is_checked=True)
        self.service.hold = Hold(Journal(outbox.with_name("journal")))
        self.calls = 0

    # The shop -----------------------------------------------------------------------------------------------------

    @initialize(several=st.lists(st.tuples(keys, st.lists(pieces, min_size=1, max_size=3)), min_size=2, max_size=4))
    def open(self, several: list[tuple[Key, list[Piece]]]) -> None:
        """No history begins with nothing."""
        for key, lines in several:
            self.sell(key, "USD", lines)

    @rule(
        key=keys,
        currency=st.sampled_from(sorted(DECIMALS)),
        lines=st.lists(pieces, min_size=1, max_size=3),
        credited=st.booleans(),
    )
    def sell(self, key: Key, currency: str, lines: list[Piece], *, credited: bool = True) -> None:
        """Record an order, which may be held until it is credited; one that is known is sent by another shop."""
        if key in self.shop.orders:
            return
        sold = Sold(currency, dict(zip(SKUS, lines, strict=False)))
        items = [
            {"sku": sku, "category": "Tools", "quantity": line.quantity, "amount": written(line.amount, currency)}
            for sku, line in sold.lines.items()
        ]
        body = {
            "event_type": key[0],
            "order_id": key[1],
            "event_date": (self.clock.now - timedelta(hours=1)).isoformat(),
            "currency": currency,
            "click_id": CLICK if credited else None,
            "items": items,
        }
        answers = intake.accept_many(self.database, configured(), json.dumps(body).encode(), self.clock.now)
        assert json.loads(answers)["status"] == 201
        self.shop.orders[key] = sold
        if not credited:
            self.shop.held.add(key)

    @rule(key=keys)
    def credit(self, key: Key) -> None:
        """Credit an order; one that is already is credited so, and one that was cancelled meanwhile is no sale."""
        if key not in self.shop.orders:
            return
        try:
            attribute(self.database, configured(), key, {"click_id": CLICK}, self.clock.now)
        except Conflict:
            assert key in self.shop.held & self.shop.cancelled
        else:
            self.shop.held.discard(key)

    @rule(key=keys, skus=named, amounts=st.tuples(units, units), quantity=st.none() | st.integers(1, 4), reason=reasons)
    def modify(self, key: Key, skus: list[str], amounts: tuple[int, int], quantity: int | None, reason: str) -> None:
        """Say what lines come to in the end."""
        some = {} if quantity is None else {"quantity": quantity}
        items = [{"sku": sku, "amount": amount} | some for sku, amount in zip(skus, amounts, strict=False)]
        self.correct(key, "modifications", {"reason": reason, "items": items})

    @rule(key=keys, amount=units, reason=reasons)
    def modify_order(self, key: Key, amount: int, reason: str) -> None:
        """Say what an order comes to in the end."""
        self.correct(key, "modifications", {"reason": reason, "amount": amount})

    @rule(
        key=keys,
        skus=named,
        amount=st.none() | st.integers(0, 12),
        quantity=st.none() | st.integers(1, 2),
        reason=reasons,
    )
    def refund(self, key: Key, skus: list[str], amount: int | None, quantity: int | None, reason: str) -> None:
        """Give back pieces, money, or both."""
        back = {"amount": amount, "quantity": quantity if amount is not None else quantity or 1}
        said = {name: value for name, value in back.items() if value is not None}
        self.correct(key, "refunds", {"reason": reason, "items": [{"sku": sku} | said for sku in skus]})

    @rule(key=keys, amount=units, reason=reasons)
    def refund_order(self, key: Key, amount: int, reason: str) -> None:
        """Give back a sum and say of nothing else."""
        self.correct(key, "refunds", {"reason": reason, "amount": amount})

    @rule(key=keys, sku=st.sampled_from(SKUS), reason=reasons)
    def reverse(self, key: Key, sku: str, reason: str) -> None:
        """Take a line back."""
        self.correct(key, "reversals", {"reason": reason, "items": [{"sku": sku}]})

    @rule(key=keys, reason=reasons)
    def reverse_order(self, key: Key, reason: str) -> None:
        """Take everything back."""
        self.correct(key, "reversals", {"reason": reason})

    def correct(self, key: Key, kind: str, body: Body) -> None:
        """Ask for a correction, twice; the second time is answered as the first, and changes nothing."""
        sold = self.shop.orders.get(key)
        if sold is None or any(item["sku"] not in sold.lines for item in body.get("items", ())):
            return
        self.calls += 1
        sent = json.dumps(in_currency(body, sold.currency)).encode()
        request = corrections.Request(*key, Kind(kind.removesuffix("s")), sent, f"call {self.calls}")
        after = sold.corrected(kind, body)
        if isinstance(after, str):
            assert self.refusal(request) == after
            return
        answer = corrections.accept(self.database, configured(), request, self.clock.now).content
        again = corrections.accept(self.database, configured(), request, self.clock.now)
        assert (again.content, again.replayed) == (answer, True)
        told = json.loads(answer)
        assert lines_of(told["items"], sold.currency) == after.left()
        if after.is_reversed and told["state"] == "applied" and key not in self.taken():
            self.shop.cancelled.add(key)
        self.shop.orders[key] = after

    def refusal(self, request: corrections.Request) -> str:
        try:
            corrections.accept(self.database, configured(), request, self.clock.now)
        except Conflict as conflict:
            return conflict.code
        except InvalidInput as invalid:
            return invalid.faults[0].code
        raise AssertionError("this changes nothing, and was accepted")

    def taken(self) -> set[Key]:
        """Return the orders that are in a file, delivered or not."""
        tables = METADATA.tables
        conversion, revision, line = tables["conversion"], tables["revision"], tables["batch_line"]
        joined = conversion.join(revision, revision.c.conversion_id == conversion.c.id)
        placed = joined.join(line, line.c.revision_id == revision.c.id)
        with self.database.snapshot() as session:
            found = session.connection().execute(
                placed.select().with_only_columns(conversion.c.event_type, conversion.c.order_id)
            )
            return {(row.event_type, row.order_id) for row in found}

    # The merchant's hosts -----------------------------------------------------------------------------------------

    @rule(failures=st.lists(st.booleans(), min_size=1, max_size=2))
    def lose_the_receiver(self, failures: list[bool]) -> None:
        """The next sends fail, before or after the file arrived."""
        self.receiving.failures = failures

    @rule(which=st.integers(0, 20))
    def ask_for_redelivery(self, which: int) -> None:
        """The same bytes go again under the same name, unless that would undo what came later."""
        with self.database.transaction() as session:
            batch = METADATA.tables["batch"]
            numbers = list(session.connection().execute(batch.select().order_by(batch.c.id)).scalars())
            if numbers:
                with suppress(Conflict):
                    redeliver(session, configured(), numbers[which % len(numbers)], "blank")

    @rule()
    def export(self) -> None:
        """Let everything leave that can."""
        export_routes.request_export(self.database)
        self.work(None)

    @rule(step=st.sampled_from((*ONCE, *PER_FILE)), nth=st.integers(1, 3))
    def export_and_crash(self, step: str, nth: int) -> None:
        """Let a worker end at any step."""
        export_routes.request_export(self.database)
        self.work((step, nth))

    def work(self, crash: tuple[str, int] | None) -> None:
        self.clock.now += timedelta(hours=1)
        export, undelivered = METADATA.tables["export"], METADATA.tables["undelivered"]
        with self.database.transaction() as session:  # a dead worker's work is free, and what failed is due
            session.connection().execute(export.update().values(leased_until=None))
            session.connection().execute(undelivered.update().values(leased_until=None, due_at=self.clock.now))
        with Trace(crash).listening():
            try:
                while worker.work(self.service):
                    pass
            except Crash:
                pass
        assert self.receiving.impact.refused == []

    # In the end ---------------------------------------------------------------------------------------------------

    def teardown(self) -> None:
        """Let all of it arrive, and hold what impact.com believes against what the shop believes."""
        try:
            if sys.exc_info()[0] is None:
                self.receiving.failures = []
                for _ in range(4):  # what failed, orders, what waited for them, and nothing more
                    self.export()
                self.look_at_impact()
                self.look_at_orders()
        finally:
            self.database.close()

    def look_at_impact(self) -> None:
        actions, trackers = self.receiving.impact.actions, {key: one["action_tracker_id"] for key, one in TYPES.items()}
        expected = self.shop.orders.keys() - self.shop.cancelled - self.shop.held
        assert actions.keys() == {(str(trackers[event_type]), order_id) for event_type, order_id in expected}
        for event_type, order_id in expected:
            sold, action = self.shop.orders[event_type, order_id], actions[str(trackers[event_type]), order_id]
            assert action.amount == Decimal(sold.amount).scaleb(-DECIMALS[sold.currency])
            if self.cannot_be_told((event_type, order_id), sold):
                continue
            assert action.is_reversed == sold.is_reversed
            if TYPES[event_type].get("level") != "order":
                found = {sku: line for sku, line in action.lines.items() if line.quantity}
                assert {
                    sku: Piece(int(line.amount.scaleb(DECIMALS[sold.currency])), line.quantity or 0)
                    for sku, line in found.items()
                } == sold.left()

    def cannot_be_told(self, key: Key, sold: Sold) -> bool:
        """Say whether an order is reversed whose amount had come to 0 before, which no file can say."""
        waits, conversion = METADATA.tables["unsent_correction"], METADATA.tables["conversion"]
        with self.database.snapshot() as session:
            joined = waits.join(conversion, conversion.c.id == waits.c.conversion_id)
            asked = joined.select().where(conversion.c.event_type == key[0], conversion.c.order_id == key[1])
            held = session.connection().execute(asked).all()
        assert all((row.hold_reason, sold.amount, sold.is_reversed) == ("zero_amount", 0, True) for row in held)
        return bool(held)

    def look_at_orders(self) -> None:
        for (event_type, order_id), sold in self.shop.orders.items():
            with self.database.snapshot() as session:
                view = find_order(session, configured(), event_type, order_id)
            shown = [one.model_dump() for one in view.items]
            assert (view.state == "cancelled") == ((event_type, order_id) in self.shop.cancelled)
            if view.state != "cancelled":
                assert lines_of(shown, sold.currency) == sold.left()


def written(amount: int, currency: str) -> str:
    """Return minor units as a shop writes them."""
    return str(Decimal(amount).scaleb(-DECIMALS[currency]))


def in_currency(body: Body, currency: str) -> Body:
    """Return the body with its amounts written in the currency."""
    if "items" in body:
        return body | {"items": [in_currency(item, currency) for item in body["items"]]}
    return body | ({"amount": written(body["amount"], currency)} if "amount" in body else {})


def lines_of(items: list[dict[str, Any]], currency: str) -> dict[str, Piece]:
    """Return the lines of an answer of which something is left."""
    units_of = DECIMALS[currency]
    lines = {one["sku"]: Piece(int(Decimal(one["amount"]).scaleb(units_of)), one["quantity"]) for one in items}
    return {sku: line for sku, line in lines.items() if line.quantity}


def play(
    new: Callable[[], tuple[Database, Path]],
    histories: int,
    doctor: Callable[[Truth], None] = lambda _: None,
    phases: Collection[Phase] = tuple(Phase),
) -> None:
    """Play histories until one goes wrong; `doctor` may spoil the service first."""

    class Ours(Truth):
        def __init__(self) -> None:
            super().__init__(new)
            doctor(self)

    chosen = settings(
        max_examples=histories,
        phases=phases,
        stateful_step_count=14,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(Ours, settings=chosen)


@pytest.mark.long
@pytest.mark.parametrize("part", range(4))
def test_impact_believes_what_the_shop_believes_on_sqlite(
    on_sqlite: Callable[[], tuple[Database, Path]], part: int
) -> None:
    """Over a thousand histories in four parts; `make soak` plays fifty thousand."""
    assert part >= 0
    play(on_sqlite, 12_500 if SOAK else 260)


@pytest.mark.long
def test_impact_believes_what_the_shop_believes_on_postgresql(
    on_postgresql: Callable[[], tuple[Database, Path]],
) -> None:
    """The same on PostgreSQL, whose transactions see one another otherwise."""
    play(on_postgresql, 200)


def forget_a_reversal(machine: Truth) -> None:
    """Let impact.com miss the files of modifications."""
    take = machine.receiving.impact.take
    machine.receiving.impact.take = (  # type: ignore[method-assign]
        lambda name, content: None if "ModificationData" in name else take(name, content)
    )


def miscount_a_refund(machine: Truth) -> None:
    """Let the shop believe that it keeps a unit of each order that it reverses."""
    sell = machine.sell

    def spoiled(key: Key, currency: str, lines: list[Piece]) -> None:
        sell(key, currency, lines)
        first = machine.shop.orders[key].lines["S0"]
        machine.shop.orders[key].lines["S0"] = Piece(first.amount + 1, first.quantity)

    machine.sell = spoiled  # type: ignore[method-assign]


@pytest.mark.parametrize("doctor", [forget_a_reversal, miscount_a_refund])
def test_a_difference_is_found_out(
    on_sqlite: Callable[[], tuple[Database, Path]], doctor: Callable[[Truth], None]
) -> None:
    """The negative control: corrections that get lost, and a shop that counts otherwise."""
    with pytest.raises((AssertionError, ExceptionGroup)):
        play(on_sqlite, 100, doctor, phases=[Phase.generate])

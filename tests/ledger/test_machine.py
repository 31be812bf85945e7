"""Whatever a shop, cron, time and crashes do in whatever order, the ledger stays what a small model says."""

import asyncio
import json
import sys
from collections import Counter
from collections.abc import Callable, Collection
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from app import worker
from app.config import Settings
from app.conversions.recorder import Recorder
from app.database import Database
from app.delivery import store as deliveries
from app.delivery.channels.folder import FolderChannel, FolderSettings
from app.delivery.hold import Hold
from app.delivery.journal import Journal
from app.delivery.parcel import Parcel, Progress
from app.errors import ChannelUnavailable, Conflict, OutcomeUnknown
from app.event_type import EventType
from app.ledger import export_routes, intake
from app.ledger import store as ledger
from app.ledger.state import OrderState
from app.service import Service
from app.tables import METADATA
from tests.conftest import Clock
from tests.crash import oracle
from tests.crash.victim import ONCE, PER_FILE
from tests.ledger.model import Body, Model
from tests.ledger.trace import Crash, Trace

EVENT_TYPES = {"default": (1000, 4321), "b2b": (1000, 5001), "closed": (1000, 5002)}
MOST_ITEMS, FEWER = 5, 4
CREDITS: tuple[Body, ...] = ({"click_id": "c+/="}, {"promo_code": "SUMMER"}, {"media_id": "2763"}, {})
DECIMALS = {"USD": 2, "JPY": 0, "KWD": 3}


class Receiver:
    """A folder that cannot be reached for some sends, of which the file may have arrived all the same."""

    def __init__(self, folder: FolderChannel) -> None:
        self.folder = folder
        self.failures: list[bool] = []
        self.failed = False

    def send(self, parcel: Parcel, progress: Progress) -> None:
        if not self.failures:
            self.folder.send(parcel, progress)
            return
        self.failed = True
        if not self.failures.pop():
            raise ChannelUnavailable("The receiver went away.")
        self.folder.send(parcel, progress)
        raise OutcomeUnknown("The receiver went away before it answered.")

    def ask(self, parcel: Parcel) -> bool | None:
        return self.folder.ask(parcel)


@st.composite
def bodies(draw: st.DrawFn) -> Body:
    """Return orders of few ids, so that they meet; `age` becomes an event date when it is posted."""
    currency = draw(st.sampled_from(sorted(DECIMALS)))
    units = st.integers(0, 10**15 - 1 if currency == "KWD" else 10**6)
    amounts = draw(st.lists(units, min_size=1, max_size=MOST_ITEMS))
    return {
        "order_id": draw(st.sampled_from("ABCDEFGHIJKL")),
        "event_type": draw(st.sampled_from(("default", "default", "default", "b2b", "closed"))),
        "currency": currency,
        "age": draw(st.sampled_from((0, 1, 80, 85, 86, 100, 390, 398))),
        "items": [
            {
                "sku": f"S{line}",
                "category": "Tools",
                "quantity": 1,
                "amount": str(Decimal(one).scaleb(-DECIMALS[currency])),
            }
            for line, one in enumerate(amounts)
        ],
        **draw(st.sampled_from((*CREDITS[:3], *CREDITS))),
    }


@cache
def configured(rows: int, *, closed: bool) -> Settings:
    """Return a merchant's settings; `closed`: one event type is not set up any more."""
    types = {
        key: EventType(campaign_id=campaign, action_tracker_id=tracker)
        for key, (campaign, tracker) in EVENT_TYPES.items()
        if not (closed and key == "closed")
    }
    return Settings.model_validate({"event_types": types, "max_rows": rows})


class Ledger(RuleBasedStateMachine):
    """The service on a database of its own beside the model."""

    posted = Bundle("posted")

    def __init__(self, new: Callable[[], tuple[Database, Path]]) -> None:
        super().__init__()
        self.database, self.outbox = new()
        self.at_checkout = configured(MOST_ITEMS, closed=False)
        self.clock = Clock(datetime.now(UTC).replace(microsecond=0) - timedelta(days=400))
        self.receiver = Receiver(FolderChannel(FolderSettings(path=self.outbox)))
        self.service = Service(
            self.at_checkout, self.database, {"folder": self.receiver}, self.clock, schema_is_checked=True
        )
        self.service.hold = Hold(Journal(self.outbox.with_name("journal")))
        self.model = Model(0, set())
        self.change_settings(rows=FEWER, closed=True)

    # The shop -------------------------------------------------------------------------------------------------

    @rule(target=posted, body=bodies())
    def post(self, body: Body) -> Body:
        """An order is 201, or 200 if it means the same as the recorded one, or 409."""
        when = self.clock.now - timedelta(days=body["age"])
        body = {name: value for name, value in body.items() if name != "age"} | {"event_date": when.isoformat()}
        assert self.answer(body) == self.model.accept(body)
        return body

    @rule(body=posted, hours=st.integers(-12, 14), as_number=st.booleans())
    def repeat(self, body: Body, hours: int, as_number: bool) -> None:
        """The same order in other writing is the same order."""
        when = datetime.fromisoformat(body["event_date"]).astimezone(timezone(timedelta(hours=hours)))
        items = [
            dict(reversed(item.items())) | {"amount": rewritten(item["amount"], as_number)} for item in body["items"]
        ]
        again = dict(reversed(body.items())) | {"event_date": when.isoformat(), "items": items[::-1]}
        assert self.answer(again) == self.model.accept(body)

    @rule(body=posted, change=st.sampled_from(("amount", "quantity", "credit", "currency")))
    def contradict(self, body: Body, change: str) -> None:
        """Other content under a known id is refused, and changes nothing."""
        other: Body = json.loads(json.dumps(body))
        if change == "credit":
            other |= {"click_id": "another-click"}
        elif change == "currency":
            other |= {"currency": "EUR" if body["currency"] == "USD" else "TND"}
            other["items"] = [item | {"amount": "1"} for item in other["items"]]
        else:
            other["items"][0][change] = 7
        assert self.answer(other) == self.model.accept(other) == 409

    @initialize(target=posted, several=st.lists(bodies(), min_size=4, max_size=8))
    def open_the_shop(self, several: list[Body]) -> Body:
        """No history begins with nothing."""
        return self.send(several)

    @rule(target=posted, several=st.lists(bodies(), min_size=1, max_size=6))
    def post_in_bulk(self, several: list[Body]) -> Body:
        """Each line is answered as if it had been posted alone, one after another."""
        return self.send(several)

    def send(self, several: list[Body]) -> Body:
        when = (self.clock.now - timedelta(days=1)).isoformat()
        lines = [{name: one[name] for name in one if name != "age"} | {"event_date": when} for one in several]
        sent = b"".join(json.dumps(one).encode() + b"\n" for one in lines)
        answers = intake.accept_many(self.database, self.at_checkout, sent, self.clock.now).splitlines()
        assert [json.loads(answer)["status"] for answer in answers] == [self.model.accept(one) for one in lines]
        return lines[0]

    def answer(self, body: Body) -> int:
        try:
            sent = json.dumps(body).encode()
            return asyncio.run(self.accepted(sent))
        except Conflict as conflict:
            return int(conflict.status)

    async def accepted(self, sent: bytes) -> int:
        recorder = Recorder(self.database)
        recorder.start()
        try:
            answer = await intake.Intake(self.at_checkout, self.database, recorder.record).accept(sent, self.clock.now)
            return int(answer.status)
        finally:
            await recorder.close()

    # The merchant ---------------------------------------------------------------------------------------------

    @rule(rows=st.sampled_from((FEWER, MOST_ITEMS)), closed=st.booleans())
    def change_settings(self, rows: int, closed: bool) -> None:
        """What was held for the settings' sake goes when they allow it."""
        self.service.settings = configured(rows, closed=closed)
        self.model.max_rows, self.model.event_types = rows, set(self.service.settings.event_types)

    @rule(days=st.sampled_from((1, 2, 7, 20)))
    def let_time_pass(self, days: int) -> None:
        """Orders grow too old while they wait."""
        self.clock.now = min(self.clock.now + timedelta(days=days), datetime.now(UTC))

    @rule(which=st.integers(0, 20))
    def ask_for_redelivery(self, which: int) -> None:
        """The same bytes go again under the same name."""
        if not self.model.batches:
            return
        number = which % len(self.model.batches)
        with self.database.transaction() as session:
            batch = sorted(self.facts().batches)[number]
            deliveries.requeue(session, batch)
        self.model.undelivered.add(number)

    @rule(failures=st.lists(st.booleans(), min_size=1, max_size=2))
    def lose_the_receiver(self, failures: list[bool]) -> None:
        """The next sends fail, before or after the file arrived."""
        self.receiver.failures = failures

    # The worker -----------------------------------------------------------------------------------------------

    @rule()
    def export(self) -> None:
        """Everything that can go is delivered, and what cannot is held or expired."""
        self.request_export()
        self.work(None)
        while self.receiver.failed:
            self.work(None)
        assert not self.model.export_is_open
        assert not self.model.undelivered

    @rule(step=st.sampled_from((*ONCE, *PER_FILE)), nth=st.integers(1, 3))
    def export_and_crash(self, step: str, nth: int) -> None:
        """A worker ends at any step; what it had committed stays, and nothing else."""
        self.request_export()
        self.work((step, nth))

    @rule(step=st.sampled_from(PER_FILE), nth=st.integers(1, 3))
    def start_again_and_crash(self, step: str, nth: int) -> None:
        """So may the next one, before or after it has taken the export up."""
        self.work((step, nth))

    def request_export(self) -> None:
        assert export_routes.request_export(self.database).state in {"queued", "running"}
        self.model.export_is_open = True

    def work(self, crash: tuple[str, int] | None) -> None:
        self.wait()
        self.receiver.failed = False
        plans = self.model.plans(self.clock.now) if self.model.export_is_open else []
        trace = Trace(crash)
        with trace.listening():
            try:
                while worker.work(self.service):
                    pass
            except Crash:
                pass
        committed = trace.seen["batch.committed"]
        for plan in plans[:committed]:
            self.model.commit(plan)
        assert committed == len(plans) if trace.seen["export.ending"] else committed <= len(plans)
        self.model.export_is_open &= not trace.seen["export.done"]
        numbers = sorted(self.facts().batches)
        for step, batch, code in trace.steps:
            if step == "delivery.started":
                self.model.begin_delivery(numbers.index(batch))
            if step in {"delivery.done", "delivery.failed"}:
                self.model.end_delivery(numbers.index(batch), code)
        self.look_closely()

    def wait(self) -> None:
        """Let the time pass after which a dead worker's work is free and a failed delivery is tried again.

        Both go by the database's own clock.
        """
        export, undelivered = METADATA.tables["export"], METADATA.tables["undelivered"]
        with self.database.transaction() as session:
            session.connection().execute(export.update().values(leased_until=None))
            session.connection().execute(undelivered.update().values(leased_until=None, due_at=self.clock.now))

    # What is always true --------------------------------------------------------------------------------------

    def facts(self) -> oracle.Facts:
        return oracle.read(self.database, self.outbox)

    @invariant()
    def every_order_is_where_the_model_says(self) -> None:
        """One state per order, and counts and amounts per state that add up."""
        facts = self.facts()
        states = {key: facts.states(revision) for revision, key in facts.revisions.items()}
        assert states == {key: [entry.state] for key, entry in self.model.orders.items()}
        assert len(facts.conversions) == len(facts.revisions) == len(states)
        assert set(facts.unsent) == {
            revision for revision, key in facts.revisions.items() if self.model.orders[key].waits
        }
        sums: Counter[tuple[str, str]] = Counter()
        for revision, (currency, amount) in facts.amounts.items():
            sums[facts.states(revision)[0], currency] += amount * 10 ** (3 - DECIMALS[currency])
        assert sums == self.model.sums()
        batches = [
            [facts.revisions[one] for one, at, _ in facts.lines if at == number] for number in sorted(facts.batches)
        ]
        assert batches == self.model.batches

    def look_closely(self) -> None:
        """The files hold what the shop sent, and the service's own lists name each order once."""
        rules = oracle.Rules(MOST_ITEMS, EVENT_TYPES, self.clock.now)
        assert oracle.faults(self.facts(), [entry.body for entry in self.model.orders.values()], rules) == []

    def look_at_lists(self) -> None:
        """The service's own lists name each order once, in its state."""
        with self.database.snapshot() as session:
            pages = {state: ledger.page(session, state, 0) for state in OrderState}
            everything = ledger.page(session, None, 0)
        assert sorted(one for page in pages.values() for one in page) == everything
        assert Counter({str(state): len(page) for state, page in pages.items() if page}) == self.model.counts()

    def teardown(self) -> None:
        """Every history ends well: a last export brings everything to its place."""
        try:
            if sys.exc_info()[0] is None:
                self.look_at_lists()
                self.receiver.failures = []
                self.export()
                self.every_order_is_where_the_model_says()
                self.look_at_lists()
                assert self.facts().open_work == 0
                assert not [name for name in self.facts().files if name.endswith(".part")]
        finally:
            self.database.close()


def rewritten(amount: str, as_number: bool) -> Any:
    """Write an amount otherwise: as a number, or without the zeros at its end."""
    short = amount.rstrip("0").rstrip(".") if "." in amount else amount
    if as_number and abs(Decimal(amount)) < 10**6:
        return float(short) if "." in short else int(short)
    return short


def play(
    new: Callable[[], tuple[Database, Path]],
    histories: int,
    doctor: Callable[[Ledger], None] = lambda _: None,
    phases: Collection[Phase] = tuple(Phase),
) -> None:
    """Play histories until one goes wrong; `doctor` may spoil the service first."""

    class Ours(Ledger):
        def __init__(self) -> None:
            super().__init__(new)
            doctor(self)

    chosen = settings(
        max_examples=histories,
        phases=phases,
        stateful_step_count=16,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(Ours, settings=chosen)


@pytest.mark.long
def test_the_ledger_is_what_the_model_says_on_sqlite(on_sqlite: Callable[[], tuple[Database, Path]]) -> None:
    """Posts, repeats, conflicts, exports, crashes, redeliveries and time, in any order."""
    play(on_sqlite, 200)


def lose_files(ledger: Ledger) -> None:
    """Let the folder take each file and throw it away."""

    class Lossy(FolderChannel):
        def send(self, parcel: Parcel, progress: Progress) -> None:
            super().send(parcel, progress)
            (self.path / parcel.name).unlink()

    ledger.service.channels = {"folder": Lossy(FolderSettings(path=ledger.outbox))}


def allow_one_row_more(ledger: Ledger) -> None:
    """Let the model believe that files are one row longer than they may be."""
    ledger.model.max_rows += 1


@pytest.mark.parametrize("doctor", [lose_files, allow_one_row_more])
def test_a_ledger_that_is_wrong_is_found_out(
    on_sqlite: Callable[[], tuple[Database, Path]], doctor: Callable[[Ledger], None]
) -> None:
    """The negative control: a receiver that loses files, and a model that fills them otherwise."""
    with pytest.raises((AssertionError, ExceptionGroup)):
        play(on_sqlite, 100, doctor, phases=[Phase.generate])


@pytest.mark.long
def test_the_ledger_is_what_the_model_says_on_postgresql(on_postgresql: Callable[[], tuple[Database, Path]]) -> None:
    """The same on PostgreSQL, whose transactions see one another otherwise."""
    play(on_postgresql, 40)

"""What is asked for costs the same with years of history as without: no statement reads or sorts a history."""

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr
from sqlalchemy import insert, select, text

from app import figures, worker
from app.actions.read import read_due
from app.alarms.notify import post_owed
from app.alarms.watch import Watch
from app.batches.store import BATCH_LINE
from app.clicks.release import release
from app.clicks.replay import Replay
from app.clicks.snippet_routes import current_snippet
from app.clicks.spool import Spool
from app.clicks.store import NewClick, Note, note_to_json
from app.conversions.record import record
from app.conversions.terms import file_some, find_by_term, forget_terms
from app.conversions.terms_store import Term, filed
from app.database import Database
from app.delivery.calls_store import CALL, UNANSWERED
from app.delivery.channels.folder import FolderChannel
from app.delivery.parcel import Parcel, Progress
from app.delivery.resume import confirm, redeliver
from app.delivery.store import waiting_for_a_person
from app.errors import ChannelRefused, ChannelUnavailable, CredentialsRefused, DeliveryError, OutcomeUnknown
from app.event_type import EventType
from app.ledger.export_routes import request_export
from app.ledger.import_tally import Fate
from app.ledger.imports import Import, Request
from app.ledger.search import Wanted, search
from app.ledger.standings import count_one
from app.ledger.state import OrderState
from app.main import create_app
from app.promo_code import PromoRule, PromoRules
from app.purge import purge_once
from app.service import Service
from tests.actions.impact import FakeApi, action
from tests.alarms.receiver import listening
from tests.conftest import Clock
from tests.corrections import Left, correct, name_action
from tests.dashboard.person import post, sign_in
from tests.delivery.impact import ACCOUNT, api
from tests.delivery.impact import Impact as Called
from tests.history import CANCELLED, ORDERS, ROWS, add_history
from tests.plans import HISTORIES, MOST_ROWS, Statements, watching
from tests.servers import wait_until
from tests.submissions.impact import Impact, filenames, look
from tests.support import EXPORT_KEY, ORDER_KEY, READ_KEY, bearer, body, order, work
from tests.verdicts import judge

OFTEN = 12
"""A driver prepares a statement that it has seen five times; five more, and the server plans for any parameters."""
EXPECTED = {
    *("INSERT INTO click", "DELETE FROM click", "INSERT INTO spool_segment", "INSERT INTO snippet"),
    *("INSERT INTO daily_clicks", "INSERT INTO daily_total"),
    *("INSERT INTO conversion", "INSERT INTO revision", "INSERT INTO item", "INSERT INTO unsent", "INSERT INTO moved"),
    *("INSERT INTO export", "UPDATE export", "INSERT INTO batch", "INSERT INTO batch_line", "INSERT INTO left_out"),
    *("DELETE FROM unsent", "INSERT INTO undelivered", "UPDATE undelivered", "DELETE FROM undelivered"),
    *("INSERT INTO correction", "INSERT INTO correction_item", "INSERT INTO cancelled", "INSERT INTO action"),
    *("INSERT INTO unsent_correction", "DELETE FROM unsent_correction", "UPDATE unsent_correction"),
    "INSERT INTO correction_line",
    *("INSERT INTO attempt", "UPDATE attempt", "INSERT INTO channel_trouble", "UPDATE channel_trouble"),
    *("INSERT INTO call", "UPDATE call", "INSERT INTO unanswered", "INSERT INTO spent_calls"),
    *("INSERT INTO alarm", "UPDATE alarm", "DELETE FROM alarm"),
    *("INSERT INTO unconfirmed", "UPDATE unconfirmed", "DELETE FROM unconfirmed", "DELETE FROM unanswered"),
    *("INSERT INTO submission", "INSERT INTO submission_error", "INSERT INTO result"),
    *("INSERT INTO judged_order", "INSERT INTO judged_correction"),
    *("INSERT INTO order_term", "UPDATE terms_filed", "DELETE FROM order_term"),
    *("INSERT INTO day_counted", "UPDATE day_counted", "INSERT INTO day_standing", "DELETE FROM day_standing"),
    *("INSERT INTO reported_action", "UPDATE reported_action", "INSERT INTO actions_read", "UPDATE actions_read"),
}
"""What the tour must have run, whoever sends it how: else it was not followed."""


CHAINED = {
    key: EventType(campaign_id=1000, action_tracker_id=number, level="chained")
    for number, key in enumerate(("trial", "paid"), 801)
}


class Moody:
    """A channel that fails as it is told, and then delivers into a folder, slowly enough for a lease to be renewed."""

    def __init__(self, folder: FolderChannel) -> None:
        self.folder = folder
        self.failures: list[DeliveryError] = []
        self.renewed: Callable[[], bool] = lambda: True

    def send(self, parcel: Parcel, progress: Progress) -> None:
        if self.failures:
            raise self.failures.pop(0)
        wait_until(self.renewed, "the lease was not renewed")
        self.folder.send(parcel, progress)

    def ask(self, _parcel: Parcel) -> bool | None:
        return None


class Tour:
    """Everybody who calls the service, once round."""

    def __init__(self, service: Service, client: TestClient, channel: Moody, clock: Clock) -> None:
        self.service, self.client, self.channel, self.clock = service, client, channel, clock

    def get(self, path: str, status: int = 200, /, **query: Any) -> Any:
        """Read as somebody who may read everything."""
        answer = self.client.get(path, params=query or None, headers=bearer(READ_KEY))
        assert answer.status_code == status, answer.text
        return answer.json() if answer.content and "json" in answer.headers["content-type"] else answer.text

    def post(self, path: str, status: int, **request: Any) -> Any:
        """Post with the key that it takes."""
        key = ORDER_KEY if path.startswith("/orders") else EXPORT_KEY
        answer = self.client.post(path, headers=bearer(key), **request)
        assert answer.status_code == status, answer.text
        return answer.json() if "ndjson" not in answer.headers["content-type"] else answer.text

    def visitors(self) -> None:
        """Land, land again, refuse; reach the service by a redirect; load the script; find a spool to replay."""
        for number in [*range(OFTEN), 0]:
            for name in ("new", "history"):
                assert self.client.get("/capture", params={"im_ref": f"{name}-{number}"}).status_code == 204
        assert self.client.post("/capture", json={"im_ref": "posted", "consent": True}).status_code == 204
        assert self.client.get("/capture", params={"consent": "denied"}).status_code == 204
        release(self.service.database, current_snippet(self.service.settings), self.clock.now)
        assert self.client.get("/capture-0123456789abcdef0123.js").status_code == 404
        self._replay()

    def _replay(self) -> None:
        click = NewClick(click_id="spooled", captured_at=self.clock.now, source="get")
        with closing(Spool(Path("another-spool"), 10**6)) as spool:
            spool.append([(note_to_json(Note(click)), False)])
            replay = Replay(self.service.database, spool, self.service.require_usable)
            replay.begin()
            while replay.tidy():
                pass

    def checkouts(self, name: str, count: int = OFTEN) -> None:
        """Post orders one by one and in bulk: new, the same again, with other content; some held, some too old."""
        known = [body(f"{name}-{number}") for number in range(count)]
        known += [body(f"{name}-held", click_id=...), body(f"{name}-old", event_date="2026-01-01T00:00:00+00:00")]
        for one in known:
            self.post("/orders", 201, json=one)
            self.post("/orders", 200, json=one)
            self.post("/orders", 409, json=one | {"currency": "EUR"})
        lines = (
            [body(f"{name}-bulk-{number}") for number in range(count)] + known[:3] + [known[0] | {"currency": "EUR"}]
        )
        content = "\n".join(json.dumps(one) for one in lines)
        self.post("/orders/bulk", 200, content=content)
        self._import(content)

    def _import(self, content: str) -> None:
        """Import a file of orders that are there already, some with other content, after a dry run."""
        service, file = self.service, self.service.settings.spool_path.with_name("orders.ndjson")
        file.write_text(content, "utf-8")
        for dry_run in (True, False):
            request = Request(file, None, dry_run=dry_run)
            tally = Import(service.database, service.settings, request, service.clock, lambda _: None).run()
            assert tally.lines[Fate.PRESENT]

    def chains(self, count: int = OFTEN) -> None:
        """Post chained actions, children of orders that have arrived and of others, one by one and in bulk."""
        for number in range(count):
            parents = [("default", f"H-{number + 1}"), ("trial", f"T-{number}")]
            self.post("/orders", 201, json=body(f"T-{number}", event_type="trial"))
            for key, order_id in parents:
                parent = {"event_type": key, "order_id": order_id}
                customer = {} if key == "trial" else {"customer_id": "history"}
                child = body(f"P-{key}-{number}", event_type="paid", parent=parent, **customer)
                self.post("/orders", 201, json=child)
                self.post("/orders/bulk", 200, content=json.dumps(child))

    def corrections(self, name: str, count: int = OFTEN) -> None:
        """Correct orders that have left, before and after corrections of them left, and others that have not."""
        for number in range(count):
            refund = {"reason": "OTHER", "amount": "0.01", "occurred_at": self.clock.now.isoformat()}
            for order_id in (f"H-{10 * number + 9}", f"H-{10 * number + 1}", f"{name}-{number}"):
                headers = bearer(ORDER_KEY) | {"Idempotency-Key": name}
                refund["action_id"] = order_id.replace("-", ".")
                for _ in range(2):
                    answer = self.client.post(f"/orders/{order_id}/refunds", json=refund, headers=headers)
                    assert answer.status_code == 202, answer.text
            self.post(f"/orders/H-{10 * number + 1}/modifications", 202, json={"reason": "OTHER", "amount": "1.00"})
            self.post(f"/orders/{name}-{number}/reversals", 202, json={"reason": "OTHER", "items": [_first_item()]})
            self.post(f"/orders/H-{10 * number + 1}/reversals", 202, json={"reason": "OTHER"})
            self.post(f"/orders/{name}-{number}/reversals", 202, json={"reason": "OTHER"})
            self.post(f"/orders/{name}-{number}/reversals", 409, json={"reason": "OTHER"})

    def put(self, path: str, status: int, one: dict[str, Any]) -> None:
        """Change an order."""
        answer = self.client.put(path, headers=bearer(ORDER_KEY), json=one)
        assert answer.status_code == status, answer.text

    def changes(self, name: str, count: int = OFTEN) -> None:
        """Replace orders, release held ones, before and after an export, too late; post what a rule moves."""
        for number in range(count):
            self.post("/orders", 201, json=body(f"{name}-{number}", click_id=...))
            self.put(f"/orders/{name}-{number}", 200, body(f"{name}-{number}", customer_id="other", click_id=...))
        self.export()
        for number in range(count):
            for status, click in ((200, "late"), (200, "late"), (200, "later")):
                self.put(f"/orders/{name}-{number}/attribution", status, {"click_id": click})
            self.put(f"/orders/H-{90 * number + 1}/attribution", 409, {"click_id": "late"})
            moved = body(f"{name}-moved-{number}", promo_code="BEN", click_id=...)
            self.post("/orders", 201, json=moved)
            self.post("/orders", 200, json=moved)
            self.get(f"/orders/{name}-moved-{number}")

    def readers(self) -> None:
        """Read everything that can be read, from the beginning, from the middle and from the end."""
        for after in (0, ROWS // 2, 10 * ROWS):
            for state in (None, *OrderState):
                self.get("/orders", after=after, **({} if state is None else {"state": state.value}))
            self.get("/batches", after=after)
        for number in (1, 5, 9, ROWS, 10 * ROWS, 11 * ROWS):
            self.get(f"/orders/H-{number}")
            self.get(f"/orders/H-{number}/explanation")
        self.get("/orders/nobody", 404)
        self.get("/exports/7")
        self.get("/batches/b-7")
        self.get("/batches/b-7/file")
        for query in ({}, {"status": "Complete"}, {"type": "Conversion"}, {"reason": "NO_ITEM"}, {"order_id": "H-7"}):
            more: dict[str, Any]
            for more in ({}, {"after": ROWS // 2}, {"from": "2026-01-01", "to": "2026-12-31"}):
                self.get(f"/submissions?{urlencode(query | more)}")
        self.get("/submissions?reason=NO_ITEM&status=Queued")
        self.get("/submissions/7")
        self.get("/alarms")
        self.get("/alarms", all=True)
        today = self.clock.now.date()
        self.get(f"/totals?from={today - timedelta(days=399)}&to={today}")
        for path in ("/livez", "/readyz", "/readyz/orders", "/metrics"):
            self.client.get(path)

    def searches(self) -> None:
        """Look for orders by each thing that they may be found by, from the newest and from the middle."""
        texts = ("H-7", "history", "history-7", "SKU", "first-1", "nobody")
        wanted = [Wanted(text=text) for text in texts] + [Wanted(state=state) for state in OrderState]
        wanted += [Wanted(reason=reason) for reason in ("NO_ITEM", "no_attribution", "nothing")]
        day = self.clock.now.date() - timedelta(days=30)
        wanted += [Wanted(first=day, last=day), Wanted(text="SKU", state=OrderState.HELD), Wanted(event_type="trial")]
        for one in wanted:
            for after in (None, ORDERS // 2):
                with self.service.database.snapshot() as session:
                    search(session, self.service.settings, one, after)

    def clerk(self) -> None:
        """File orders by their terms, new ones and old ones, find some so and forget it; count some days."""
        database = self.service.database
        while self._filed_down_to() > ROWS - 1_000:
            assert file_some(database, self.clock.now + timedelta(hours=1))
        for kind, sought in ((Term.CLICK, "nobody"), (Term.CUSTOMER, "C"), (Term.SKU, "nothing")):
            with database.snapshot() as session:
                find_by_term(session, kind, sought)
        with database.transaction() as session:
            forget_terms(session, [ORDERS + CANCELLED + 1], tuple(Term))
        self.clock.now -= timedelta(days=2)
        assert count_one(database, self.clock, lambda _took: False)
        self.clock.now += timedelta(days=2)

    def _filed_down_to(self) -> int:
        with self.service.database.snapshot() as session:
            return filed(session).begins

    def people(self) -> None:
        """Sign in to the dashboard and look at its overview and charts."""
        sign_in(self.client, EXPORT_KEY)
        for number in (14, 90):
            self.get(f"/dashboard?days={number}")
            for name in ("clicks", "orders", "share", "revenue/USD"):
                self.get(f"/dashboard/charts/{name}.svg?days={number}")

    def pages(self) -> None:
        """Look through orders, batches and submissions in the dashboard, from both ends, and act on them there."""
        sign_in(self.client, EXPORT_KEY, ORDER_KEY)
        for query in ("", f"after={ROWS}", "state=held", "state=rejected", "reason=NO_ITEM", "first=2026-01-01"):
            self.get(f"/dashboard/orders?{query}")
        for number in (1, 7, ROWS, 11 * ROWS):
            self.get(f"/dashboard/orders/default/H-{number}")
        for path in ("batches", f"batches?before={ROWS // 2}", "batches/b-7", "batches/b-7/file", "batches/b-7/sheet"):
            self.get(f"/dashboard/{path}")
        for path in ("submissions?days=90", f"submissions?before={ROWS // 2}", "submissions/held", "submissions/7"):
            self.get(f"/dashboard/{path}")
        for path in ("exports", "exports/7", "batches/b-7/redelivery", "batches/b-7/corrections"):
            self.get(f"/dashboard/{path}")
        for known in ("H-7", "history-9", "history", "SKU", "nobody"):
            assert post(self.client, "/dashboard/orders/search", text=known).status_code == 200
        for path in ("batches/b-9/redelivery", "batches/b-9/confirmation", "batches/b-9/corrections", "exports"):
            assert post(self.client, f"/dashboard/{path}").status_code in {200, 303, 409}
        released = {"event_type": "default", "order_id": f"H-{10 * ROWS}", "click_id": "late"}
        assert post(self.client, "/dashboard/release", **released).status_code in {303, 409}

    def export(self) -> dict[str, Any]:
        """Trigger an export, let the worker build and try it, and return it."""
        export = self.post("/exports", 202)
        work(self.service)
        return self.get(f"/exports/{export['id']}")  # type: ignore[no-any-return]

    def modification_files(self, name: str) -> None:
        """Let corrections wait, be held, leave, arrive, and be sent again."""
        for number in range(OFTEN):
            correct(self.service.database, f"{name}-{number}", [Left("SKU-0", 100)])
            correct(self.service.database, f"{name}-bulk-{number}", [Left("SKU-0", 0)], level="order", reverses=True)
        name_action(self.service.database, f"{name}-2", "1.2.3")
        correct(self.service.database, f"{name}-1", [Left("", 100)])
        assert self.export()["corrections"] == 2 * OFTEN - 2  # one has no item, and one order was refused
        for batch in self.export()["batches"]:
            self.post(f"/batches/{batch['id']}/redelivery", 202)
        work(self.service)

    def repairs(self) -> None:
        """Let orders and corrections be refused, change some, and send what is repaired again."""
        for number in range(OFTEN):
            names = [f"refused-{number}", f"fixed-{number}", f"taken-{number}"]
            for name in names:
                self.post("/orders", 201, json=body(name))
            [orders] = self.export()["batches"]
            judge(self.service.database, {name: ["CONTRACT_NOT_FOUND"] for name in names[:2]}, orders["id"])
            for name in names:
                self.post(f"/orders/{name}/refunds", 202, json={"reason": "OTHER", "amount": "0.01"})
            self.put(f"/orders/{names[1]}", 200, body(names[1], click_id="right"))
            self.post(f"/batches/{orders['id']}/corrections", 201, json={"order_ids": names[:1]})
            work(self.service)
            [amended] = [one for one in self.export()["batches"] if one["kind"] == "modifications"]
            judge(self.service.database, {names[2]: ["BAD_DISPOSITION"]}, amended["id"])
            self.post(f"/batches/{amended['id']}/corrections", 201, json={"order_ids": names[2:]})
            for name in names:
                self.get(f"/orders/{name}/explanation")
        work(self.service)

    def exports(self) -> None:
        """Let deliveries succeed, fail, be doubtful and be refused; send again, and confirm."""
        for _ in range(OFTEN):
            self.export()
        for failure in (ChannelUnavailable, OutcomeUnknown, CredentialsRefused, ChannelRefused):
            self.checkouts(failure.__name__, 2)
            self.channel.failures = [failure("No.")]
            [batch] = self.export()["batches"]
            self.readers()
            self.watch()
            self.post(f"/batches/{batch['id']}/redelivery", 202)
            work(self.service)
        self.checkouts("last", 2)
        self.channel.failures = [ChannelRefused("No.")]
        [batch] = self.export()["batches"]
        self.post(f"/batches/{batch['id']}/confirmation", 200)
        worker.try_stopped_channels(self.service)

    def results(self, *, reads: bool) -> None:
        """Learn what became of files and of calls, find some wanting, and give up others."""
        api, following = Impact(), Clock(self.clock.now + timedelta(hours=1))
        for number, name in enumerate(filenames(self.service.database, ROWS)):
            api.has(name, {"Line": 2, "Reason": "NO_ITEM"}, *([{"OrderId": "?"}] if number == 0 else []), number=name)
        api.files.pop()
        if reads:
            self._call()
        look(self.service, api, following)
        self.watch()
        if reads:
            self.readers()
            return
        following.now += timedelta(days=90)
        look(self.service, api, following)

    def _call(self) -> None:
        """Let one order of the first file have gone by a call that was refused."""
        with self.service.database.transaction() as session:
            connection = session.connection()
            line = connection.execute(select(BATCH_LINE).where(BATCH_LINE.c.revision_id > ORDERS + CANCELLED)).first()
            assert line
            row = {"batch": line.batch, "revision_id": line.revision_id, "type": "Conversion", "state": "refused"}
            row |= {"tries": 1, "was_unknown": False, "started_at": self.clock.now, "code": "NO_ITEM"}
            number = connection.execute(insert(CALL).returning(CALL.c.id), [row]).scalar_one()
            connection.execute(insert(UNANSWERED), [{"call": number, "due_at": self.clock.now, "looks": 0}])

    def actions(self) -> None:
        """Read impact.com's actions, new ones, known ones and those of nobody, and compare days with all sides."""
        names = [name for number in range(OFTEN) for name in (f"first-{number}", f"H-{number}", f"nobody-{number}")]
        updated = {"State": "APPROVED", "UpdateDate": self.clock.now.isoformat()}
        for _ in range(OFTEN):
            impact = FakeApi(self.clock.now, page_size=len(names))
            impact.rows["StartDate"] = [(self.clock.now, action(name)) for name in names]
            impact.log = [(self.clock.now, {"ActionId": f"1000.4321.{name}"} | updated) for name in names[:3]]
            while read_due(self.service.database, impact.api, self.service.settings, self.clock):
                pass
            self.clock.now += timedelta(hours=1)
        self.get("/orders/H-9")
        for days, form in ((0, "csv"), (72, "json")):
            day = self.clock.now.date() - timedelta(days=days)
            self.get(f"/reconciliation?from={day}&to={day}&format={form}")

    def calls(self) -> None:
        """Let orders and corrections leave by calls that are taken, refused, lost and made again."""
        impact = Called()
        by_calls: dict[str, Any] = {"channel": "http_api", "impact_budget_per_hour": 10_000, "unknown_outcome": "hold"}
        self.service.settings = self.service.settings.model_copy(update=by_calls | ACCOUNT)
        self.service.api = api(impact, self.service)
        failures: list[httpx.Response | BaseException] = [httpx.Response(400), httpx.ReadTimeout("")]
        for number in range(OFTEN // 3):  # each makes three calls and more
            orders = [order(f"{name}-{number}", items=1) for name in ("call", "called")]
            record(self.service.database, orders, self.clock.now)
            impact.answer = lambda order_id, failed=number: failures[failed % 2] if order_id[4] == "-" else None  # type: ignore[misc]
            self._export_by_calls()
            impact.answer = lambda _order_id: None
            with self.service.database.transaction() as session:
                for row in waiting_for_a_person(session):
                    if number % 4 == 1:
                        confirm(session, row.batch, self.clock.now)
                    else:
                        redeliver(session, self.service.settings, row.batch, row.event_type)
            worker.deliver_one(self.service)
            correct(self.service.database, f"call-{number}", [Left("SKU-0", 0)])
            self._export_by_calls()

    def _export_by_calls(self) -> None:
        request_export(self.service.database)
        worker.build_one(self.service)
        while worker.call_one(self.service):
            pass

    def watch(self) -> None:
        """Look for alarms twice, and post what is new."""
        settings, database = self.service.settings, self.service.database
        look = Watch(database, settings, "host", list, self.service.require_usable).look
        look(self.clock.now)
        look(self.clock.now + timedelta(minutes=6))
        assert settings.alarm_url
        post_owed(database, settings.alarm_url)
        with database.snapshot() as session:
            assert list(figures.read(session, settings, self.clock.now))


def _first_item() -> dict[str, str]:
    return {"sku": body()["items"][0]["sku"]}


@pytest.fixture
def clock(clock: Clock) -> Clock:
    """The time of day, which the HTTP side goes by anyway."""
    clock.now = datetime.now(UTC)
    return clock


@pytest.fixture
def channel(service: Service) -> Moody:
    """The way out."""
    folder = service.channels["folder"]
    assert isinstance(folder, FolderChannel)
    moody = Moody(folder)
    service.channels = {"folder": moody}
    return moody


@pytest.fixture
def tour(service: Service, channel: Moody, clock: Clock) -> Iterator[Tour]:
    """The callers of a service whose alarms are posted, with short leases and without a worker of its own."""
    rules = PromoRules(rules=(PromoRule(code="BEN", media_id="2", event_type="creators"),))
    types = CHAINED | {"creators": EventType(campaign_id=1, action_tracker_id=1)}
    changes: dict[str, Any] = {"lease_seconds": 1, "alarm_disk_bytes": 0, "promo_codes": rules, "event_types": types}
    with listening() as receiver:
        changes["alarm_url"] = SecretStr(receiver.url)
        changes |= {"impact_account_sid": "sid", "impact_auth_token": SecretStr("token")}
        service.settings = service.settings.model_copy(update=changes)
        with TestClient(create_app(service, with_worker=False), base_url="https://track.shop.example") as client:
            yield Tour(service, client, channel, clock)


Follow = Callable[[], AbstractContextManager[Statements]]


@pytest.fixture
def follow(database: Database, request: pytest.FixtureRequest) -> Follow:
    """Follow what is run on a database with years of history."""
    add_history(database, datetime.now(UTC))
    return partial(watching, database, None if database.is_sqlite else request.getfixturevalue("postgres"))


@pytest.mark.long
def test_no_statement_reads_a_history(follow: Follow, tour: Tour) -> None:
    """No landing, order, list, export, delivery or look for alarms costs more because of what lies behind."""
    with follow() as statements:
        tour.visitors()
        tour.checkouts("first")
        tour.chains()
        tour.checkouts("corrected")
        tour.corrections("corrected")
        tour.readers()
        tour.changes("changed")
        tour.exports()
        tour.results(reads=True)
        tour.clerk()
        tour.searches()
        tour.people()
        tour.pages()
        tour.modification_files("first")
        tour.results(reads=False)
        tour.repairs()
        tour.actions()
        tour.calls()
        tour.watch()
        purge_once(tour.service)
    seen = [" ".join(one.replace('"', "").split()) for one in statements.seen]
    assert {one for one in EXPECTED if not any(_is_in(one, statement) for statement in seen)} == set()
    assert [f"{fault.why}: {fault.statement}" for fault in statements.faults()] == []


def _is_in(expected: str, statement: str) -> bool:
    """Say whether a statement does what is expected; rows may also come in as a stream."""
    return expected in statement or statement.startswith(expected.replace("INSERT INTO", "COPY"))


NOTICED = (
    "SELECT count(*) FROM revision",
    "SELECT count(*) FROM revision AS r WHERE r.currency = 'EUR'",
    "SELECT id FROM conversion WHERE recorded_at < '2001-01-01' LIMIT 1",
    "SELECT id FROM conversion ORDER BY recorded_at LIMIT 1",
    "SELECT batch FROM batch_line WHERE revision_id > 0 GROUP BY batch ORDER BY count(*) LIMIT 1",
    "SELECT max(number) FROM attempt",
    "DELETE FROM alarm WHERE kind = 'none'",
    "UPDATE export SET held = 0 WHERE exported = 17",
)


def test_what_reads_a_history_is_noticed(follow: Follow, database: Database) -> None:
    """A count, a search, a sort, a walk along a key that finds nothing: none of them passes for a look-up.

    And a table that may not be read whole has ten times as many rows as a step may read.
    """
    with follow() as statements, database.transaction() as session:
        for statement in NOTICED:
            session.connection().execute(text(statement))
    assert set(NOTICED) - {fault.statement for fault in statements.faults()} == set()
    with database.snapshot() as session:  # here, since to make a history takes longer than to count it
        counts = {
            table: session.connection().exec_driver_sql(f"SELECT count(*) FROM {table}").scalar_one()  # noqa: S608
            for table in HISTORIES
        }
    assert {table: count for table, count in counts.items() if count < 10 * MOST_ROWS} == {}

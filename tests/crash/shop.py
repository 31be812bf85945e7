"""A shop whose orders are acknowledged, its service's database and receiver, and the processes that work on them."""

import json
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Final, Protocol

import pytest
from fastapi.testclient import TestClient

from app.database import Database
from app.ledger import export_routes
from app.main import create_app
from app.migrations import migrate
from app.security import hash_of
from app.service import Service, assemble
from tests.crash import oracle
from tests.crash.oracle import Acknowledgements, Body, Facts, Rules
from tests.crash.tally import Tally, tally
from tests.crash.victim import CHANNELS, disturbed
from tests.delivery.receiver import Receiver, environment
from tests.support import EXPORT_KEY, ORDER_KEY, READ_KEY, bearer

ROOT: Final = Path(__file__).parent.parent.parent
MAX_ROWS: Final = 12
EVENT_TYPES: Final = {"default": (1000, 4321), "b2b": (1000, 5001), "closed": (1000, 5002)}
"""The event types when the orders were taken; `closed` is not set up any more when they are exported."""
STILL_SET_UP: Final = ("default", "b2b")
SECONDS: Final = 60.0
PROCESSES: Final = multiprocessing.get_context("forkserver")
"""Each victim is a new process, from one that has imported everything already and done nothing else."""
PROCESSES.set_forkserver_preload(["__main__", "tests.crash.victim", *CHANNELS])
LONG: Final = 5
"""The order whose lines are long, so that its file leaves in several pieces."""
LONG_TEXT: Final = "🎁" * 240


def orders(count: int, now: datetime) -> list[Body]:
    """Return a shop's day: sizes, currencies, event types and ages mixed, and everything that is not to be sent."""
    return [order(number, now) for number in range(count)]


def later_orders(first: int, count: int, now: datetime) -> list[Body]:
    """Return orders of event types that are still set up."""
    bodies = [order(number, now) for number in range(first, first + count)]
    return [body for body in bodies if body["event_type"] in STILL_SET_UP]


def order(number: int, now: datetime) -> Body:
    """Return one of them."""
    currency = ("USD", "JPY", "EUR", "KWD")[number % 4]
    amount = {"USD": "42.50", "JPY": "1350", "EUR": "0.99", "KWD": "7.125"}[currency]
    age = timedelta(days=(3, 0, 120, 1, 80, 0, 400)[number % 7], seconds=number)
    zone = timezone(timedelta(hours=number % 13 - 6, minutes=30 * (number % 2)))
    lines = {LONG: MAX_ROWS, 10: MAX_ROWS + 2}.get(number, 1 + number % 4)
    body: Body = {
        "order_id": f"Ä-{number:04}" if number % 5 else f'{number:04}, "große" 🎁',
        "event_type": ("default", "b2b", "default", "default", "closed")[number % 5],
        "event_date": (now - age).astimezone(zone).isoformat(timespec="seconds"),
        "currency": currency,
        "customer_id": f"C-{number}" + LONG_TEXT * (number == LONG),
        "items": [
            {
                "sku": f"SKU {line}" + LONG_TEXT * (number == LONG),
                "category": 'Tools, "best"' + LONG_TEXT * (number == LONG),
                "quantity": line + 1,
                "amount": amount,
            }
            for line in range(lines)
        ],
    }
    click, promo, media = {"click_id": f"+/=%{number}"}, {"promo_code": "SUMMER"}, {"media_id": "2763"}
    return body | (click, promo, media, {}, click | promo | media, click, media, click, promo)[number % 9]


@dataclass(frozen=True)
class Shop:
    """One database with orders that were acknowledged, and where files go: the folder, or a channel's receiver."""

    url: str
    outbox: Path
    acknowledgements: Acknowledgements
    event_types: Path
    keys: tuple[str, ...] = tuple(EVENT_TYPES)
    """The event types that are set up; write them with `write_event_types`."""
    max_rows: int = MAX_ROWS
    receiver: Receiver | None = None

    @property
    def journal(self) -> Path:
        """The folder outside the database in which everything is kept that may have left."""
        return self.event_types.parent / "journal"

    def environment(self, **changes: object) -> dict[str, str]:
        """Return the settings of a process of this service, with changes."""
        values = {
            "CAPTURE_DATABASE_URL": self.url,
            "CAPTURE_EVENT_TYPES": str(self.event_types),
            "CAPTURE_FOLDER_PATH": str(self.outbox),
            "CAPTURE_JOURNAL_PATH": str(self.journal),
            "CAPTURE_MAX_ROWS": str(self.max_rows),
            "CAPTURE_LEASE_SECONDS": "1",
            "CAPTURE_ORDER_KEYS": f"sha256:{hash_of(ORDER_KEY)}",
            "CAPTURE_EXPORT_KEYS": f"sha256:{hash_of(EXPORT_KEY)}",
            "CAPTURE_READ_KEYS": f"sha256:{hash_of(READ_KEY)}",
        }
        values |= environment(self.receiver.channel) if self.receiver else {}
        return values | {f"CAPTURE_{name.upper()}": str(value) for name, value in changes.items()}

    @contextmanager
    def service(self, **changes: object) -> Iterator[Service]:
        """Give the service in this process, from the same settings, with changes."""
        with pytest.MonkeyPatch.context() as patch:
            for name, value in self.environment(**changes).items():
                patch.setenv(name, value)
            service = assemble()
        service.prepare()
        try:
            yield service
        finally:
            service.database.close()

    @contextmanager
    def process(self, *arguments: str, **changes: object) -> Iterator["subprocess.Popen[str]"]:
        """Start a module of Python in a process of its own, which does not outlive the block."""
        surroundings = {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error", "PATH": os.defpath, "LC_ALL": "C.UTF-8"}
        with subprocess.Popen(
            [sys.executable, "-m", *arguments],
            cwd=self.event_types.parent,
            env=surroundings | self.environment(**changes),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    def write_event_types(self) -> None:
        """Write the TOML file of event types."""
        texts = [
            f"[{key}]\ncampaign_id = {EVENT_TYPES[key][0]}\naction_tracker_id = {EVENT_TYPES[key][1]}\n"
            for key in self.keys
        ]
        self.event_types.write_text("\n".join(texts), "utf-8")

    def migrate(self) -> None:
        """Create the schema."""
        database = Database(self.url)
        migrate(database)
        database.close()

    @contextmanager
    def victim(self, *arguments: str, ready: Event | None = None, flaw: str | None = None) -> Iterator[BaseProcess]:
        """Start a worker that is disturbed as the arguments say, and that does not outlive the block."""
        victim = PROCESSES.Process(target=disturbed, args=(self.environment(), arguments, ready, flaw))
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PYTHONPATH", str(ROOT))  # for the process that the victims come from
            victim.start()
        try:
            yield victim
        finally:
            victim.kill()
            victim.join()

    def run(self, *arguments: str, flaw: str | None = None) -> int | None:
        """Run a victim to its end, which is a signal's negative number if one ended it, and None if it goes on."""
        with self.victim(*arguments, flaw=flaw) as victim:
            victim.join(SECONDS)
            return victim.exitcode

    def facts(self) -> Facts:
        """Return what the database and the folder hold now."""
        database = Database(self.url)
        try:
            return oracle.read(database, self.receiver.files if self.receiver else self.outbox)
        finally:
            database.close()

    def end_leases(self) -> None:
        """Let so much time pass that nobody who died holds anything any more."""
        database = Database(self.url)
        with database.transaction() as session:
            for table in ("export", "undelivered"):
                session.connection().exec_driver_sql(f"UPDATE {table} SET leased_until = NULL")  # noqa: S608 (names)
        database.close()

    def tally(self) -> Tally:
        """Return what came of the orders."""
        arrived = self.receiver.arrived() if self.receiver and self.receiver.arrived else None
        return tally(self.facts(), self.acknowledgements.read(), self._rules(filled=True), arrived)

    def _rules(self, *, filled: bool) -> Rules:
        event_types = {key: EVENT_TYPES[key] for key in self.keys}
        return Rules(self.max_rows, event_types, datetime.now(UTC), filled)

    def faults(self, *, at_rest: bool, filled: bool = True, unanswered: Sequence[Body] = ()) -> list[str]:
        """Return what is wrong, judged from the acknowledgements; `unanswered` orders may be there or not."""
        rules, facts, acknowledged = self._rules(filled=filled), self.facts(), self.acknowledgements.read()
        if at_rest:
            return oracle.faults_at_rest(facts, acknowledged, rules)
        if self.receiver:  # who writes under the final name shows it before it is whole
            oracle.leave_out_parts(facts)
        return oracle.faults(facts, acknowledged, rules, unanswered)


class NewShop(Protocol):
    """Gives a shop on a database of its own, from which files leave by a way out, with an export requested."""

    def __call__(self, kind: str, way: str = "folder") -> Shop: ...


def fill(service: Service, acknowledgements: Acknowledgements, bodies: Sequence[Body]) -> None:
    """Post orders over HTTP, some one by one, some twice, some in conflict, the rest in bulk; note what was kept."""
    headers, singles = bearer(ORDER_KEY), len(bodies) // 3
    with TestClient(create_app(service, with_worker=False)) as client:
        for number, body in enumerate(bodies[:singles]):
            assert client.post("/orders", json=body, headers=headers).status_code == 201
            acknowledgements.add([body])
            if number % 3 == 0:
                assert client.post("/orders", json=body, headers=headers).status_code == 200
            if number % 4 == 0:
                other = body | {"customer_id": "someone else"}
                assert client.post("/orders", json=other, headers=headers).status_code == 409
        lines = "".join(json.dumps(body) + "\n" for body in bodies)
        answer = client.post("/orders/bulk", content=lines.encode(), headers=headers)
        statuses = [json.loads(line)["status"] for line in answer.text.splitlines()]
        assert statuses == [200] * singles + [201] * (len(bodies) - singles)
        acknowledgements.add(bodies)


def request_export(shop: Shop) -> None:
    """Ask for an export."""
    database = Database(shop.url)
    assert export_routes.request_export(database).state == "queued"
    database.close()

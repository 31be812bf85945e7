"""A merchant's service, set up by its environment as in production, with the sandbox in place of impact.com."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

from fastapi.testclient import TestClient

from app import worker
from app.alarms.watch import Watch
from app.sandbox.sandbox import Sandbox
from app.security import hash_of
from app.service import Service
from app.submissions.follow import Follower
from app.tables import METADATA
from tests.conftest import Clock
from tests.support import EXPORT_KEY, ORDER_KEY, READ_KEY, bearer, work

TURNS = 40
ANSWERED = {"accepted", "partly_rejected", "rejected"}
QUEUES = ("undelivered", "unconfirmed", "unanswered")


def environment(box: Sandbox, database_url: str, folder: Path, event_types: str) -> dict[str, str]:
    """Return the settings of a service that talks to the sandbox, and asks it often."""
    file = folder / "event-types.toml"
    file.write_text(event_types, "utf-8")
    return box.settings | {
        "CAPTURE_DATABASE_URL": database_url,
        "CAPTURE_EVENT_TYPES": str(file),
        "CAPTURE_FOLDER_PATH": str(folder / "outbox"),
        "CAPTURE_JOURNAL_PATH": str(folder / "journal"),
        "CAPTURE_SPOOL_PATH": str(folder / "spool"),
        "CAPTURE_HTTP_API_OVERFLOW": "sftp",
        "CAPTURE_FILE_POLL_SECONDS": "1",
        "CAPTURE_API_POLL_SECONDS": "1",
        "CAPTURE_IMPACT_SECONDS": "1",
        "CAPTURE_ORDER_KEYS": f"sha256:{hash_of(ORDER_KEY)}",
        "CAPTURE_EXPORT_KEYS": f"sha256:{hash_of(EXPORT_KEY)}",
        "CAPTURE_READ_KEYS": f"sha256:{hash_of(READ_KEY)}",
    }


class Merchant:
    """What the shop, cron and the analyst do, and the hours that pass; the worker works when it is told to."""

    def __init__(self, service: Service, client: TestClient, box: Sandbox, clock: Clock) -> None:
        assert service.api is not None
        self.service, self.client, self.box, self.clock = service, client, box, clock
        service.clock = service.api.clock = clock
        self.follower = Follower(service.database, service.api, service.settings)

    # Calls --------------------------------------------------------------------------------------------------------

    def call(self, method: str, path: str, key: str, body: Any = None, status: int = 200) -> Any:
        """Call the service and return what it says."""
        answer = self.client.request(method, path, headers=bearer(key), json=body)
        assert answer.status_code == status, answer.text
        return answer.json()

    def sell(self, orders: Sequence[Mapping[str, Any]]) -> None:
        """Post orders, as many in a call as it takes."""
        for start in range(0, len(orders), 2_000):
            content = "\n".join(json.dumps(order) for order in orders[start : start + 2_000])
            headers = bearer(ORDER_KEY) | {"Content-Type": "application/x-ndjson"}
            answer = self.client.post("/orders/bulk", content=content, headers=headers)
            assert {json.loads(line)["status"] for line in answer.text.splitlines()} == {201}

    def listed(self, path: str, **query: str) -> Iterator[dict[str, Any]]:
        """Yield all items of a list."""
        after: str | None = "0"
        while after is not None:
            page = self.client.get(path, params=query | {"after": after}, headers=bearer(READ_KEY)).json()
            yield from page["items"]
            after = page["next"]

    def order(self, event_type: str, order_id: str) -> dict[str, Any]:
        """Return an order as it is shown."""
        path = f"/orders/{quote(order_id, safe='')}?event_type={event_type}"
        shown: dict[str, Any] = self.call("GET", path, READ_KEY)
        return shown

    def states(self) -> dict[tuple[str, str], str]:
        """Return the state of every order."""
        return {(one["event_type"], one["order_id"]): one["state"] for one in self.listed("/orders")}

    def alarms(self) -> list[dict[str, Any]]:
        """Let the watcher look, and return what holds."""
        service = self.service
        Watch(service.database, service.settings, "here", list, service.require_usable).look(self.clock.now)
        shown: list[dict[str, Any]] = self.call("GET", "/alarms", READ_KEY)["items"]
        return shown

    # Time ---------------------------------------------------------------------------------------------------------

    def export(self) -> None:
        """Export what waits, and let the first attempts be made."""
        self.call("POST", "/exports", EXPORT_KEY, status=202)
        self.turn()

    def turn(self) -> None:
        """Let an hour pass: whatever waits for its time is due, is done and is asked for."""
        self.clock.now += timedelta(hours=1)
        with self.service.database.transaction() as session:
            for name in QUEUES:  # which go by the database's clock
                queue = METADATA.tables[name]
                session.connection().execute(queue.update().values(due_at=datetime.now(UTC) - timedelta(hours=1)))
            undelivered = METADATA.tables["undelivered"]
            session.connection().execute(undelivered.update().values(leased_until=None))
        work(self.service)
        self.box.pull()
        while self.follower.step(self.clock.now) or worker.read_actions(self.service):
            pass

    def settle(self, until: Callable[[], bool] | None = None) -> None:
        """Let hours pass until it is known what became of everything that was sent."""
        for _ in range(TURNS):
            if (until or self.is_settled)():
                return
            self.turn()
        raise AssertionError([one for one in self.listed("/batches") if one["state"] not in ANSWERED])

    def is_settled(self) -> bool:
        """Say whether every batch has its result."""
        return all(one["state"] in ANSWERED for one in self.listed("/batches"))

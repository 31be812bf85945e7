"""A shop's life in a few seconds, by luck: orders, exports, deliveries that fail, verdicts, corrections and changes."""

import random
from typing import Any

from fastapi.testclient import TestClient
from sqlalchemy import select

from app.batches.store import BATCH, request_export
from app.delivery.channels.folder import FolderChannel
from app.delivery.parcel import Parcel, Progress
from app.errors import ChannelUnavailable, DeliveryError, OutcomeUnknown
from app.service import Service
from tests.conftest import Clock
from tests.support import ORDER_KEY, bearer, body, work
from tests.verdicts import Codes, judge


class Fickle:
    """A channel that delivers into a folder, or fails, as luck has it."""

    def __init__(self, folder: FolderChannel, luck: random.Random) -> None:
        self.folder, self.luck = folder, luck

    def send(self, parcel: Parcel, progress: Progress) -> None:
        failure: type[DeliveryError] | None = self.luck.choice([None, None, None, ChannelUnavailable, OutcomeUnknown])
        if failure is not None:
            raise failure("No.")
        self.folder.send(parcel, progress)

    def ask(self, _parcel: Parcel) -> bool | None:
        return None


def live(service: Service, client: TestClient, clock: Clock, luck: random.Random, orders: int = 60) -> None:
    """Take orders N-0, N-1, … and let things happen to them."""
    folder = service.channels["folder"]
    assert isinstance(folder, FolderChannel)
    service.channels = {"folder": Fickle(folder, luck)}
    service.settings = service.settings.model_copy(update={"unknown_outcome": "hold"})
    for number in range(orders):
        _take(client, luck, number)
        if luck.random() < 0.2:
            with service.database.transaction() as session:
                request_export(session, clock.now)
            work(service)
            _judge(service, luck, number)
        _change(client, luck, number)


def _judge(service: Service, luck: random.Random, number: int) -> None:
    """Let impact.com have decided about a file, if luck has it, and refuse some orders or lines of them."""
    with service.database.snapshot() as session:
        batches = list(session.connection().execute(select(BATCH.c.batch_id).order_by(BATCH.c.id)).scalars())
    if batches and luck.random() < 0.5:
        some = luck.sample(range(number + 1), (number + 1) // 3)
        codes: list[Codes] = [["NO_ITEM"], {"A-91827645": ["GONE"]}]
        judge(service.database, {f"N-{one}": luck.choice(codes) for one in some}, luck.choice(batches))


def _take(client: TestClient, luck: random.Random, number: int) -> None:
    facts: dict[str, Any] = {"currency": luck.choice(["USD", "EUR"]), "customer_id": f"C-{number % 7}"}
    facts["click_id"] = f"K-{number % 5}" if luck.random() < 0.7 else ...
    items = [{"sku": f"S-{number % 3}", "category": "Tools", "quantity": 1, "amount": "9.50"}] + body()["items"]
    answer = client.post("/orders", json=body(f"N-{number}", **facts, items=items), headers=bearer(ORDER_KEY))
    assert answer.status_code == 201, answer.text


def _change(client: TestClient, luck: random.Random, number: int) -> None:
    """Correct and change orders, whether they can be or not."""
    for path in ("refunds", "reversals"):
        if luck.random() < 0.3:
            asked: dict[str, Any] = {"reason": "OTHER"} | ({"amount": "1.25"} if path == "refunds" else {})
            client.post(f"/orders/N-{luck.randrange(number + 1)}/{path}", json=asked, headers=bearer(ORDER_KEY))
    if luck.random() < 0.3:
        named = {"click_id": f"late-{number}"}
        client.put(f"/orders/N-{luck.randrange(number + 1)}/attribution", json=named, headers=bearer(ORDER_KEY))

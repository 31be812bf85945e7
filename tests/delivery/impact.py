"""impact.com's API as the channel http_api meets it: it takes calls or fails as it is told, and counts what it took."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

import httpx

from app.delivery.api import Api
from app.impact.client import Account, Client
from app.service import Service

SID = "IRsid"
ACCOUNT = {"impact_account_sid": SID, "impact_auth_token": "canary-token-of-the-api"}
Answer = Callable[[str], httpx.Response | BaseException | None]
"""Says how the call about an order is answered; None: it is taken. What is raised comes before it is taken."""


@dataclass
class Impact:
    """What came, and how it is answered. `lost` says of which orders the answer is lost though they were taken."""

    calls: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    taken: Counter[str] = field(default_factory=Counter)
    answer: Answer = lambda _order_id: None
    after: Answer = lambda _order_id: None

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer a call."""
        fields = dict(parse_qsl(request.content.decode()))
        self.calls.append((request.method, request.url.path.rsplit("/", 1)[1], fields))
        order_id = fields.get("OrderId", fields.get("ActionId", ""))
        if (early := self.answer(order_id)) is not None:
            return _raised(early)
        self.taken[order_id] += 1
        if (late := self.after(order_id)) is not None:
            return _raised(late)
        uri = f"/Advertisers/{SID}/APISubmissions/A-{order_id}"
        return httpx.Response(200, json={"Status": "QUEUED", "QueuedUri": uri})

    def orders(self) -> list[str]:
        """Return the order ids of all calls, as they came."""
        return [fields.get("OrderId", "") for _, _, fields in self.calls]


def _raised(answer: httpx.Response | BaseException) -> httpx.Response:
    if isinstance(answer, BaseException):
        raise answer
    return answer


def api(impact: Callable[[httpx.Request], httpx.Response], service: Service) -> Api:
    """Return a replica's way to impact.com."""
    account = Account("https://api.impact.example", SID, "canary-token-of-the-api")
    client = Client(account, httpx.MockTransport(impact))
    return Api(client, service.database, service.settings, service.clock)

"""A shop on the internet as the doctor meets it: pages that redirect, what DNS says, and the service behind a proxy."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address

import httpx
from fastapi.testclient import TestClient

from app.doctor.examine import examine
from app.doctor.finding import Asked, Finding
from app.doctor.web import Web
from app.egress import Address
from app.errors import ChannelUnavailable
from app.main import create_app
from app.service import Service

PAGE, TRACKING = "https://www.shop.example/boots", "https://track.shop.example"
SNIPPET = f'<script async src="{TRACKING}/capture.js"></script>'
HTML = f"<!doctype html><html><head><title>Boots</title>{SNIPPET}</head><body>Boots</body></html>"
CAPTURE = "/capture"

Answer = Callable[[httpx.Request], httpx.Response]


def page(request: httpx.Request, html: str = HTML, **headers: str) -> httpx.Response:
    """Answer with a page."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Response(200, headers={"content-type": "text/html", **named}, text=html, request=request)


def to(url: httpx.URL | str, status: int = 301) -> httpx.Response:
    """Answer with a redirect."""
    return httpx.Response(status, headers={"location": str(url)})


def as_it_should(request: httpx.Request) -> httpx.Response:
    """Bring everybody to https, to www and to the page without a slash, with the query as it came."""
    url = request.url.copy_with(scheme="https", host="www.shop.example", path=request.url.path.rstrip("/") or "/")
    return page(request) if url == request.url else to(url)


@dataclass
class World:
    """Who answers. `proxy` changes what the service's answers are on their way."""

    service: TestClient
    shop: Answer = as_it_should
    proxy: Callable[[httpx.Request, httpx.Response], httpx.Response] = lambda _request, answer: answer
    names: dict[str, tuple[str, list[str]]] = field(
        default_factory=lambda: {
            "www.shop.example": ("www.shop.example", ["203.0.113.10"]),
            "shop.example": ("shop.example", ["203.0.113.10"]),
            "track.shop.example": ("track.shop.example", ["203.0.113.11"]),
        }
    )
    asked: list[str] = field(default_factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer a request."""
        self.asked.append(str(request.url))
        if not request.url.path.startswith(CAPTURE):
            return self.shop(request)
        headers = [(name, value) for name, value in request.headers.multi_items() if name != "connection"]
        self.service.cookies.clear()
        told = self.service.request(request.method, str(request.url), headers=headers, follow_redirects=False)
        return self.proxy(request, httpx.Response(told.status_code, headers=told.headers.raw, content=told.content))

    def look_up(self, host: str, _seconds: float) -> tuple[str, list[Address]]:
        """Answer as DNS does."""
        if host not in self.names:
            raise ChannelUnavailable(f"The name {host} cannot be resolved now; look at its spelling.")
        canonical, addresses = self.names[host]
        return canonical, [ip_address(one) for one in addresses]

    def web(self) -> Web:
        """Return the network that leads here."""
        return Web(allow_private=False, transport=httpx.MockTransport(self), look_up=self.look_up)


@contextmanager
def world(service: Service, **changes: object) -> Iterator[World]:
    """Run the service with the settings of this shop, and changes."""
    shop = {"storefront_origins": ("https://www.shop.example", "https://shop.example")}
    service.settings = service.settings.model_copy(update=shop | changes)
    with TestClient(create_app(service, with_worker=False), base_url=TRACKING) as connected:
        yield World(connected)


def seen(service: Service, found: World, *pages: str, tracking: str = TRACKING) -> list[Finding]:
    """Return what the doctor sees of it."""
    return examine(service, Asked(storefronts=pages or (PAGE,), tracking=tracking), found.web())

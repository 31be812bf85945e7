"""Sandboxes that run for tests, with a caller for their API."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest

from app.sandbox.options import OFF, Options
from app.sandbox.sandbox import Sandbox
from tests.sandbox.world import NOW

ONLY_HTTP = {"sftp_port": OFF, "ftps_port": OFF, "smtp_port": OFF}


class Box:
    """A sandbox that runs with a clock that stands still, and a caller who knows its token."""

    def __init__(self, **options: Any) -> None:
        self.now = NOW
        self.sandbox = Sandbox(Options(**(ONLY_HTTP | options)), clock=lambda: self.now)
        self.http = httpx.Client(auth=(self.sandbox.account_sid, self.sandbox.auth_token), trust_env=False, timeout=20)

    @property
    def base(self) -> str:
        """Where the account's calls are."""
        return f"{self.sandbox.url}/Advertisers/{self.sandbox.account_sid}"

    def call(self, method: str, path: str, **given: Any) -> httpx.Response:
        """Call the API."""
        return self.http.request(method, f"{self.base}/{path}", **given)

    def get(self, path: str, **query: str | int) -> Any:
        """Return a good answer."""
        answer = self.call("GET", path, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def outcome(self, answer: httpx.Response) -> tuple[str, str, str, str]:
        """Return type, status, kind of error and reasons of what was queued."""
        assert (answer.status_code, answer.json()["Status"]) == (200, "QUEUED"), answer.text
        told = self.http.get(self.sandbox.url + answer.json()["QueuedUri"]).json()
        return told["Type"], told["Status"], told["ErrorType"], told["ErrorReason"]


Boxes = Callable[..., Box]


@pytest.fixture
def start() -> Iterator[Boxes]:
    """Start a sandbox with options; without any, only its HTTP API."""
    with ExitStack() as running:

        def begin(**options: Any) -> Box:
            box = Box(**options)
            running.enter_context(box.http)
            running.enter_context(box.sandbox)
            return box

        yield begin

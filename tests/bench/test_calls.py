"""What the load sends is what the service and its peers accept, byte for byte."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi.testclient import TestClient
from sqlmodel import Session, select

from app.security import hash_of
from bench import calls, load, no_database
from bench.goal import Broken
from bench.peers import bare, plain
from tests.support import ORDER_KEY

HOST = "127.0.0.1:8000"
NODE = Path(__file__).parent.parent.parent / "bench" / "peers" / "fastify"


def sent(call: bytes, number: int = 1) -> bytes:
    """Return a call as the script sends it: every `{id}` gives way to the same id."""
    return call.replace(calls.ID, f"a1b2c3{number:09}".encode())


def ask(client: TestClient, call: bytes) -> httpx2.Response:
    """Send the bytes of a call, header for header."""
    head, _, body = call.partition(b"\r\n\r\n")
    first, *lines = head.decode("ascii").split("\r\n")
    method, target, _ = first.split(" ")
    headers = dict(line.split(": ", 1) for line in lines)
    assert headers.get("Content-Length", "0") == str(len(body))
    return client.request(method, target, headers=headers, content=body)


def order(number: int = 1) -> bytes:
    """Return a call with an order."""
    return sent(calls.order(HOST, ORDER_KEY, datetime.now(UTC)), number)


def test_an_id_is_as_long_as_the_script_makes_it() -> None:
    """Else a body would be longer or shorter than announced."""
    script = load.SCRIPT.read_text("utf-8")
    width = re.search(r'"%s%0(\d)d"', script)
    assert width
    assert int(width[1]) == load.NUMBER_WIDTH
    assert len(sent(calls.ID)) == calls.ID_WIDTH


def test_a_landing_is_captured(client: TestClient) -> None:
    """The load is of visitors who get their cookie."""
    answer = ask(client, sent(calls.landing(HOST)))
    assert answer.status_code == 204
    assert "im_ref=QiiWXOVnrQ3SQHl24jQjyxBGa1b2c3000000001;" in answer.headers["set-cookie"]


def test_an_order_of_three_items_is_recorded(client: TestClient) -> None:
    """The load is of orders that are new, each with lines of its own."""
    first, second = order(1), order(2)  # each says when it was made
    answers = [ask(client, one) for one in (first, second, first)]
    assert [answer.status_code for answer in answers] == [201, 201, 200]
    assert len(answers[0].json()["items"]) == 3


def test_the_route_without_a_database_answers_as_the_service_does(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What is left out is the writing alone: keys and bodies are judged, and the answer is the same."""
    url = f"sqlite:///{tmp_path / 'unused.db'}"
    values = {"DATABASE_URL": url, "CAMPAIGN_ID": "1000", "ACTION_TRACKER_ID": "4321"}
    for name, value in (values | {"ORDER_KEYS": f"sha256:{hash_of(ORDER_KEY)}"}).items():
        monkeypatch.setenv(f"CAPTURE_{name}", value)
    call = order()
    with TestClient(no_database.create()) as keeps_nothing:
        answers = [ask(keeps_nothing, call) for _ in range(2)]
        strange = ask(keeps_nothing, call.replace(ORDER_KEY.encode(), b"another-key"))
        invalid = ask(keeps_nothing, call.replace(b'"25.98"', b'"2x.98"'))
    ours = ask(client, call)
    assert [answer.status_code for answer in (*answers, ours, strange, invalid)] == [201, 201, 201, 401, 422]
    at = {"recorded_at": ...}
    assert answers[0].json() | at == ours.json() | at
    assert answers[0].headers["location"] == ours.headers["location"]


def test_the_bare_answer_has_the_headers_of_a_landing(client: TestClient) -> None:
    """The floor is the cost of this very answer."""
    ours = ask(client, sent(calls.landing(HOST)))
    with TestClient(bare.create()) as floor:
        answer = ask(floor, sent(calls.landing(HOST)))
    names = [sorted(name for name, _ in one.headers.multi_items() if name != "x-request-id") for one in (ours, answer)]
    assert (answer.status_code, names[1]) == (ours.status_code, names[0])


@pytest.fixture
def plain_app(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The plain service, on a database of its own."""
    monkeypatch.setenv("PLAIN_DATABASE_URL", database_url.replace("postgresql+psycopg://", "postgresql://"))
    monkeypatch.setenv("PLAIN_JOURNAL", "wal")
    monkeypatch.setenv("PLAIN_KEY", ORDER_KEY)
    app = plain.create()
    yield app
    app.state.engine.dispose()


def test_the_plain_service_does_the_same_job(plain_app: Any) -> None:
    """A landing and an order are durable rows, an order is recorded once, and strangers are refused."""
    with TestClient(plain_app) as client:
        landed = ask(client, sent(calls.landing(HOST)))
        statuses = [ask(client, call).status_code for call in (order(1), order(2), order(1))]
        strange = ask(client, order(3).replace(ORDER_KEY.encode(), b"another-key"))
    assert (landed.status_code, len(landed.headers.get_list("set-cookie"))) == (204, 2)
    assert (statuses, strange.status_code) == ([201, 201, 409], 401)
    with Session(plain_app.state.engine) as session:
        rows = [len(session.exec(select(table)).all()) for table in (plain.Click, plain.Order, plain.Item)]
    assert rows == [1, 2, 6]


def test_a_load_with_an_answer_that_is_no_success_is_not_measured() -> None:
    """A server that refuses is fast."""
    seen = {"answers": 400, "refused": 0, "broken": 0, "microseconds": 2_000_000, "p50": 900, "p99": 2_500}
    good = load.read(json.dumps(seen))
    assert (good.rate, good.cost, good.p99_ms) == (200, 5_000, 2.5)
    for wrong in ({"refused": 1}, {"broken": 1}, {"answers": 0}):
        with pytest.raises(Broken):
            load.read(json.dumps(seen | wrong))


def test_the_node_peer_is_pinned_and_names_no_registry() -> None:
    """Everybody measures against the same versions, from the registry that their npm is set up for."""
    package = json.loads((NODE / "package.json").read_text("utf-8"))
    lock = json.loads((NODE / "package-lock.json").read_text("utf-8"))
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in package["dependencies"].values())
    assert lock["packages"][""]["dependencies"] == package["dependencies"]
    installed = [one for path, one in lock["packages"].items() if path]
    assert all("resolved" not in one and one["integrity"].startswith("sha512-") for one in installed)

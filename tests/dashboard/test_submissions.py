"""The pages of what impact.com made of what was sent: reasons by how often, each with what to do, and one's errors."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import update

from app.service import Service
from app.submissions import frequency, frequency_store
from app.submissions.frequency import frequencies
from app.submissions.store import SUBMISSION
from tests.conftest import Clock
from tests.dashboard.person import sign_in
from tests.support import EXPORT_KEY, NOW, ORDER_KEY, bearer, body, work
from tests.verdicts import judge


@pytest.fixture
def clock(clock: Clock) -> Clock:
    """The time of day, which the HTTP side goes by anyway."""
    clock.now = datetime.now(UTC)
    return clock


def refuse(client: TestClient, service: Service, refused: dict[str, list[str]], ago: timedelta) -> None:
    """Let orders be exported and refused; that was recorded so long ago."""
    for order_id in refused:
        assert client.post("/orders", json=body(order_id), headers=bearer(ORDER_KEY)).status_code == 201
    client.post("/exports", headers=bearer(EXPORT_KEY))
    work(service)
    judge(service.database, refused)
    with service.database.transaction() as session:
        unset = update(SUBMISSION).where(SUBMISSION.c.recorded_at == NOW)
        session.connection().execute(unset.values(recorded_at=datetime.now(UTC) - ago))


def told(service: Service, days: int) -> list[tuple[str, int, int]]:
    """Return the reasons of the last days with their numbers of lines and orders."""
    with service.database.snapshot() as session:
        found = frequencies(session, datetime.now(UTC) - timedelta(days=days))
    return [(one.reason.code, one.errors, one.orders) for one in found.reasons]


def test_reasons_are_counted_over_days_and_lead_to_their_orders(client: TestClient, service: Service) -> None:
    """The most frequent first, with its meaning and what to do; an order with several lines is one order."""
    refuse(client, service, {"OLD": ["NO_ITEM"]}, timedelta(days=20))
    refuse(client, service, {"A-1": ["CONTRACT_NOT_FOUND"], "B-2": ["CONTRACT_NOT_FOUND", "NO_ITEM"]}, timedelta())
    assert told(service, 7) == [("CONTRACT_NOT_FOUND", 2, 2), ("NO_ITEM", 1, 1)]
    assert {code: lines for code, lines, _ in told(service, 30)} == {"CONTRACT_NOT_FOUND": 2, "NO_ITEM": 2}
    sign_in(client)
    text = client.get("/dashboard/submissions?days=7").text
    assert re.findall(r'data-label="Reason"><bdi>(\w+)', text) == ["CONTRACT_NOT_FOUND", "NO_ITEM"]
    assert 'href="/dashboard/orders?reason=CONTRACT_NOT_FOUND"' in text
    orders = client.get("/dashboard/orders?reason=CONTRACT_NOT_FOUND").text
    assert re.findall(r'data-label="Order"><a [^>]*><bdi>([^<]*)', orders) == ["B-2", "A-1"]


def test_a_flood_of_reasons_is_counted_up_to_a_bound(
    client: TestClient, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page says that there were more, and from when on it has counted."""
    monkeypatch.setattr(frequency, "MOST", 4)
    monkeypatch.setattr(frequency_store, "CHUNK", 2)
    refuse(client, service, {f"A-{number}": ["NO_ITEM"] for number in range(4)}, timedelta(hours=1))
    refuse(client, service, {"B-1": ["CONTRACT_NOT_FOUND"]}, timedelta())
    sign_in(client)
    text = client.get("/dashboard/submissions?days=7").text
    assert re.findall(r'data-label="Lines" class="num">(\d\+?)', text) == ["3+", "1+"]
    assert "there were more errors than are counted at once" in text
    monkeypatch.setattr(frequency, "MOST", 100)
    assert told(service, 7) == [("NO_ITEM", 4, 4), ("CONTRACT_NOT_FOUND", 1, 1)]


def test_a_submission_shows_its_errors_with_their_orders(client: TestClient, service: Service) -> None:
    """The newest is listed first, and each error leads to its order."""
    refuse(client, service, {"A/1": ["CONTRACT_NOT_FOUND"]}, timedelta(days=1))
    refuse(client, service, {"B-2": ["NO_ITEM"]}, timedelta())
    sign_in(client)
    text = client.get("/dashboard/submissions").text
    newest, oldest = re.findall(r'href="(/dashboard/submissions/\d+)"', text)
    assert 'href="/dashboard/orders/default/B-2"' in client.get(newest).text
    shown = client.get(oldest).text
    assert ('href="/dashboard/orders/default/A%2F1"' in shown, "CONTRACT_NOT_FOUND" in shown) == (True, True)
    assert client.get("/dashboard/submissions/999").status_code == 404
    assert client.get("/dashboard/submissions/none").status_code == 404


def test_answers_are_listed_page_by_page(client: TestClient, service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """None is left out at the end of a page."""
    monkeypatch.setattr("app.submissions.listing_store.PAGE", 2)
    for number in range(5):
        refuse(client, service, {f"A-{number}": ["NO_ITEM"]}, timedelta())
    sign_in(client)
    found, path = [], "/dashboard/submissions"
    while path:
        text = client.get(path).text
        found += re.findall(r'href="/dashboard/submissions/(\d+)"', text)
        older = re.search(r'href="([^"]*before=[^"]*)"', text)
        path = older[1].replace("&amp;", "&") if older else ""
    assert [int(one) for one in found] == sorted(map(int, found), reverse=True)
    assert len(found) == 5

"""Who may see the dashboard, from signing in to signing out, and what a stolen or foreign form can do."""

import hashlib
import logging
from datetime import UTC, datetime, timedelta

import pytest
from fastapi.testclient import TestClient
from freezegun import freeze_time
from sqlalchemy import select

from app.dashboard.session_store import SESSION
from app.dashboard.sessions import COOKIE
from app.database import Database
from app.main import create_app
from app.purge import purge_once
from app.service import Service
from tests.dashboard.person import FROM_A_PAGE, form_token, is_signed_in, post, sign_in, token_of, try_key
from tests.support import EXPORT_KEY, ORDER_KEY, READ_KEY

HOUR = timedelta(hours=1)


def test_a_read_key_opens_the_dashboard_until_sign_out(client: TestClient) -> None:
    """The token is the browser's alone, and opens nothing any more after sign-out, wherever it was copied to."""
    assert not is_signed_in(client)
    answer = client.post(
        "/dashboard/sign-in", data={"key": f" {READ_KEY}\n"}, headers=FROM_A_PAGE, follow_redirects=False
    )
    cookie = answer.headers["set-cookie"]
    wanted = ("Secure", "HttpOnly", "SameSite=strict", "Path=/dashboard", "Max-Age=43200")
    assert all(f"; {one}" in cookie for one in wanted)
    assert "Domain" not in cookie
    assert is_signed_in(client)
    token = token_of(client)
    left = post(client, "/dashboard/sign-out")
    assert (left.status_code, left.headers["location"]) == (303, "/dashboard/sign-in")
    assert (token_of(client), is_signed_in(client)) == (None, False)
    client.cookies.set(COOKIE, token or "", domain="track.shop.example", path="/dashboard")
    assert not is_signed_in(client)


def test_neither_key_nor_token_is_kept(client: TestClient, database: Database) -> None:
    """A copy of the database opens nothing."""
    sign_in(client, EXPORT_KEY)
    with database.snapshot() as session:
        [row] = session.connection().execute(select(SESSION)).all()
    token = token_of(client) or ""
    assert len(token) >= 43
    assert row.token_hash == hashlib.sha256(token.encode()).hexdigest()
    assert not any(secret in str(tuple(row)) for secret in (token, READ_KEY, EXPORT_KEY))


@pytest.mark.parametrize(
    ("key", "status", "told"),
    [
        ("unknown", 401, "CAPTURE_READ_KEYS"),
        ("", 401, "CAPTURE_READ_KEYS"),
        (EXPORT_KEY, 403, "may not read"),
        (ORDER_KEY, 403, "may not read"),
    ],
)
def test_other_keys_do_not_sign_in_and_are_not_shown(
    client: TestClient, caplog: pytest.LogCaptureFixture, key: str, status: int, told: str
) -> None:
    """The form says what kind of key it takes; what was typed stands neither in the page nor in the log."""
    with caplog.at_level(logging.DEBUG):
        answer = client.post("/dashboard/sign-in", data={"key": key}, headers=FROM_A_PAGE)
    assert (answer.status_code, told in answer.text) == (status, True)
    assert "set-cookie" not in answer.headers
    assert not key or key not in answer.text + caplog.text


def test_a_session_ends_by_itself(client: TestClient, service: Service) -> None:
    """After CAPTURE_DASHBOARD_HOURS, whatever was done meanwhile; adding a key does not lengthen it."""
    with freeze_time(datetime.now(UTC)) as time:
        sign_in(client)
        time.tick(11 * HOUR)
        assert post(client, "/dashboard/rights", key=EXPORT_KEY).status_code == 303
        token = token_of(client) or ""
        time.tick(HOUR - timedelta(seconds=1))
        client.cookies.set(COOKIE, token, domain="track.shop.example", path="/dashboard")
        assert is_signed_in(client)
        time.tick(timedelta(seconds=1))
        client.cookies.set(COOKIE, token, domain="track.shop.example", path="/dashboard")
        assert not is_signed_in(client)
        service.clock = lambda: datetime.now(UTC) + HOUR
        purge_once(service)
        with service.database.snapshot() as session:
            assert session.connection().execute(select(SESSION)).all() == []


@pytest.mark.parametrize("role", ["read", "export"])
def test_a_key_that_is_revoked_ends_what_it_opened(
    client: TestClient, service: Service, database: Database, role: str
) -> None:
    """With the next start, which reads the settings: without the read key all of it, without another key its right."""
    sign_in(client, EXPORT_KEY)
    assert "Rights: export, read" in client.get("/dashboard").text
    service.settings = service.settings.model_copy(update={f"{role}_keys": ()})
    with TestClient(create_app(service, with_worker=False), base_url="https://track.shop.example") as restarted:
        restarted.cookies = client.cookies
        answer = restarted.get("/dashboard", follow_redirects=False)
    if role == "read":
        assert answer.status_code == 303
    else:
        assert "Rights: read<" in answer.text


def test_each_sign_in_has_a_token_of_its_own(client: TestClient) -> None:
    """A token that somebody put into the browser beforehand is not the one that is signed in."""
    client.cookies.set(COOKIE, "planted", domain="track.shop.example", path="/dashboard")
    sign_in(client)
    first = [cookie.value for cookie in client.cookies.jar if cookie.value != "planted"]
    assert len(first) == 1
    assert first != ["planted"]
    client.cookies.clear()
    client.cookies.set(COOKIE, "planted", domain="track.shop.example", path="/dashboard")
    assert not is_signed_in(client)


def test_more_rights_come_under_a_new_token(client: TestClient) -> None:
    """The old token opens nothing any more, and forms made before are refused with what to do."""
    sign_in(client)
    before, old_form = token_of(client) or "", form_token(client)
    assert post(client, "/dashboard/rights", key=ORDER_KEY).status_code == 303
    assert token_of(client) != before
    assert "Rights: order, read" in client.get("/dashboard").text
    answer = client.post("/dashboard/sign-out", data={"token": old_form}, headers=FROM_A_PAGE)
    assert (answer.status_code, "Load the" in answer.text) == (403, True)
    client.cookies.clear()
    client.cookies.set(COOKIE, before, domain="track.shop.example", path="/dashboard")
    assert not is_signed_in(client)


def test_one_comes_back_to_where_a_right_was_missing(client: TestClient) -> None:
    """A wrong key on the way does not lose the place, and nobody is led out of the dashboard."""
    sign_in(client)
    there = "/dashboard/orders/default/A-1#credit"
    for page in (
        client.get("/dashboard/rights", params={"to": there}),
        post(client, "/dashboard/rights", key="unknown", to=there),
    ):
        assert f'name="to" value="{there}"' in page.text
    assert post(client, "/dashboard/rights", key=ORDER_KEY, to=there).headers["location"] == there
    for elsewhere in ("https://evil.example", "//evil.example", "/dashboard/../orders"):
        answer = post(client, "/dashboard/rights", key=EXPORT_KEY, to=elsewhere)
        assert answer.headers["location"] == "/dashboard/rights"


def test_an_unknown_key_adds_no_right(client: TestClient) -> None:
    """It is said, and the session stays as it is."""
    sign_in(client)
    answer = post(client, "/dashboard/rights", key="unknown")
    assert (answer.status_code, "CAPTURE_EXPORT_KEYS" in answer.text) == (401, True)
    assert "Rights: read<" in client.get("/dashboard").text


def test_tries_are_bounded(client: TestClient) -> None:
    """A client that tries many keys is told when to come back, and then even the right one waits."""
    assert {try_key(client, f"guess-{number}")[0] for number in range(10)} == {401}
    answer = client.post("/dashboard/sign-in", data={"key": READ_KEY}, headers=FROM_A_PAGE)
    assert (answer.status_code, "retry-after" in answer.headers) == (429, True)
    assert "Too many calls" in answer.text

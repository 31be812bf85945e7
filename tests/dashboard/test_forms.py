"""Forms of the dashboard: what pages of others send does nothing, and one always comes back to a page of ours."""

import pytest
from fastapi.testclient import TestClient

from app.dashboard.visitor import is_within
from tests.dashboard.person import FROM_A_PAGE, form_token, is_signed_in, sign_in, try_key
from tests.support import READ_KEY


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """No statement differs here."""
    return sqlite_url


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "https://track.shop.example.evil.example"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "https://track.shop.example"},
    ],
)
def test_forms_of_other_pages_are_refused(client: TestClient, headers: dict[str, str]) -> None:
    """Whatever they hold: neither is anybody signed in by them nor anything done in a session."""
    assert client.post("/dashboard/sign-in", data={"key": READ_KEY}, headers=headers).status_code == 403
    sign_in(client)
    data = {"token": form_token(client)}
    assert client.post("/dashboard/sign-out", data=data, headers=headers).status_code == 403
    assert is_signed_in(client)


@pytest.mark.parametrize("token", ["", "0" * 64, "é"])
def test_a_form_without_its_token_does_nothing(client: TestClient, token: str) -> None:
    """Also from a page of this origin, should a stranger ever get one there."""
    sign_in(client)
    for fields, headers in (({"token": token}, {}), ({}, {"X-Form-Token": token.encode().hex()}), ({}, {})):
        answer = client.post("/dashboard/sign-out", data=fields, headers=FROM_A_PAGE | headers)
        assert answer.status_code == 403
    assert is_signed_in(client)
    sent = client.post(
        "/dashboard/sign-out",
        data={"x": "y"},
        headers=FROM_A_PAGE | {"X-Form-Token": form_token(client)},
        follow_redirects=False,
    )
    assert sent.status_code == 303


def test_an_old_browser_is_known_by_its_origin(client: TestClient) -> None:
    """One that does not say where a form comes from names the origin of the page."""
    headers = {"Origin": "https://track.shop.example"}
    answer = client.post("/dashboard/sign-in", data={"key": READ_KEY}, headers=headers, follow_redirects=False)
    assert answer.status_code == 303


@pytest.mark.parametrize(
    ("content", "media_type", "status"),
    [
        ("key=" + "x" * 17_000, "application/x-www-form-urlencoded", 413),
        ("{}", "application/json", 400),
        ("key=%ff", "application/x-www-form-urlencoded", 400),
        ("&".join(f"f{number}=1" for number in range(201)), "application/x-www-form-urlencoded", 400),
    ],
)
def test_what_is_no_form_of_ours_is_refused(client: TestClient, content: str, media_type: str, status: int) -> None:
    """A page says so; nothing of the size that somebody likes is read."""
    headers = FROM_A_PAGE | {"Content-Type": media_type}
    answer = client.post("/dashboard/sign-in", content=content, headers=headers)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "text/html; charset=utf-8")


WITHIN = ["/dashboard", "/dashboard/orders?state=held&after=%2F", "/dashboard/orders/default/A%2F1"]
BEYOND = [
    *("", "/", "//evil.example", "https://evil.example/dashboard", "/dashboardx", "/dashboard.evil.example"),
    *("/dashboard/../capture", "/dashboard/%2e%2E/capture", "/dashboard\\..\\x", "/dashboard/%5c..%5c", "/dashboard@x"),
    *("/dashboard/..#x", "/dashboard/..?x", "/dashboard/%2e.#?x"),
    *("/dashboard/\r\nX: y", "/dashboard/ü", "javascript:alert(1)", " /dashboard"),
]


@pytest.mark.parametrize("to", WITHIN)
def test_one_comes_back_to_the_page_that_was_asked_for(client: TestClient, to: str) -> None:
    """Also by way of the form; who is signed in already goes on at once."""
    assert is_within(to)
    shown = client.get("/dashboard/sign-in", params={"to": to})
    assert f'name="to" value="{to.replace("&", "&amp;")}"' in shown.text
    assert try_key(client, READ_KEY, to) == (303, to)
    answer = client.get("/dashboard/sign-in", params={"to": to}, follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, to)


@pytest.mark.parametrize("to", BEYOND)
def test_one_never_goes_elsewhere(client: TestClient, to: str) -> None:
    """No address that a stranger made up leads out of the dashboard."""
    assert not is_within(to)
    assert try_key(client, READ_KEY, to) == (303, "/dashboard")
    answer = client.get("/dashboard/sign-in", params={"to": to}, follow_redirects=False)
    assert answer.headers["location"] == "/dashboard"


def test_a_link_from_another_site_can_be_gone_on_with(client: TestClient) -> None:
    """The browser keeps a strict cookie to itself then, so the page offers to go on from here."""
    headers = {"Sec-Fetch-Site": "cross-site"}
    answer = client.get("/dashboard/sign-in", params={"to": "/dashboard/batches"}, headers=headers)
    assert '<a href="/dashboard/batches">go on' in answer.text


@pytest.mark.parametrize(
    ("base_url", "warned"),
    [("http://track.shop.example", True), ("https://track.shop.example", False), ("http://127.0.0.1:8000", False)],
)
def test_without_encryption_the_form_says_what_is_wrong(client: TestClient, base_url: str, warned: bool) -> None:
    """The browser would drop the session's cookie, and one would come back to the form again and again."""
    client.base_url = base_url
    assert ("will not keep the session" in client.get("/dashboard/sign-in").text) is warned

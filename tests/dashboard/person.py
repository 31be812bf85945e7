"""A person before the dashboard, without the browser: what a browser sends with a form of one of its pages."""

import re
from typing import Any

import httpx2 as httpx
from fastapi.testclient import TestClient

from app.dashboard.sessions import COOKIE
from tests.support import READ_KEY

FROM_A_PAGE = {"Sec-Fetch-Site": "same-origin"}


def sign_in(client: TestClient, *more_keys: str) -> None:
    """Sign in with the read key, and add the rights of other keys."""
    answer = client.post("/dashboard/sign-in", data={"key": READ_KEY}, headers=FROM_A_PAGE, follow_redirects=False)
    assert answer.status_code == 303, answer.text
    for key in more_keys:
        assert post(client, "/dashboard/rights", key=key).status_code == 303


def try_key(client: TestClient, key: str, to: str = "/dashboard") -> tuple[int, str]:
    """Try a key; return the status and where it leads."""
    answer = client.post("/dashboard/sign-in", data={"key": key, "to": to}, headers=FROM_A_PAGE, follow_redirects=False)
    return answer.status_code, answer.headers.get("location", "")


def is_signed_in(client: TestClient) -> bool:
    """Say whether the overview is shown."""
    return client.get("/dashboard", follow_redirects=False).status_code == 200


def token_of(client: TestClient) -> str | None:
    """Return the token that the browser has."""
    return client.cookies.get(COOKIE)


def form_token(client: TestClient) -> str:
    """Return what the forms of this session carry."""
    found = re.search(r'name="token" value="([0-9a-f]+)"', client.get("/dashboard/rights").text)
    assert found
    return found[1]


def post(client: TestClient, path: str, **fields: Any) -> httpx.Response:
    """Send a form as a page of the dashboard does, and do not follow where it leads."""
    data = {"token": form_token(client)} | fields
    return client.post(path, data=data, headers=FROM_A_PAGE, follow_redirects=False)

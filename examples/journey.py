"""A storefront and its backend, played over HTTP: visitors land, checkouts post, cron triggers the export."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import httpx

from examples.expected import Line
from examples.reconcile import STATES, Answer, Batch
from examples.report import watched
from examples.service import OUTBOX, STOREFRONT, DemoFailed, Keys

BACKLOG: Final = 150
"""So many lines, the oldest, come in one call, as when a shop hands over what it has collected."""

BROWSERS: Final = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 Version/26.0 Safari/605.1.15",
    "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 Version/26.0 Safari/604.1",
)
LANDING_PAGE: Final = f"{STOREFRONT}/angebote/zelte?utm_source=partner&q=2+P"


class Shop:
    """The shop's side of every call. `http` leads to the service."""

    def __init__(self, http: httpx.Client, keys: Keys) -> None:
        self.http = http
        self.keys = keys

    def land(self, query: str, browser: str) -> httpx.Response:
        """Send what a storefront page sends when a new visitor comes."""
        self.http.cookies.clear()
        headers = {"User-Agent": browser, "Origin": STOREFRONT, "Referer": f"{STOREFRONT}/"}
        return self.http.get(f"/capture?{query}", headers=headers)

    def post(self, path: str, key: str, text: str = "", media_type: str = "application/json") -> httpx.Response:
        """Send what a backend sends."""
        headers = {"Authorization": f"Bearer {key}", "Content-Type": media_type}
        return self.http.post(path, content=text.encode(), headers=headers)

    def send(self, method: str, path: str, key: str, body: Mapping[str, Any]) -> httpx.Response:
        """Send JSON."""
        return self.http.request(method, path, json=body, headers={"Authorization": f"Bearer {key}"})

    def read(self, path: str, **query: str) -> httpx.Response:
        """Ask with the key for reading. Raises DemoFailed if there is no answer to work with."""
        answer = self.http.get(path, params=query, headers={"Authorization": f"Bearer {self.keys.read}"})
        if not answer.is_success:
            raise DemoFailed(f"GET {path} was answered {answer.status_code}: {answer.text[:200]}")
        return answer

    def listed(self, path: str, **query: str) -> Iterator[Mapping[str, Any]]:
        """Yield all items of a list, page after page."""
        while True:
            page = self.read(path, **query).json()
            yield from page["items"]
            if page["next"] is None:
                return
            query["after"] = str(page["next"])


# Landings --------------------------------------------------------------------------------------------------------


def land_all(shop: Shop, lines: Iterable[Line]) -> tuple[int, list[str]]:
    """Let a visitor land for every click id; return how many did, and a sentence for each that got another cookie."""
    clicks = list(dict.fromkeys(line.order["click_id"] for line in lines if "click_id" in line.order))
    wrong: list[str] = []
    for (number, click), browser in zip(watched(list(enumerate(clicks)), "Visitors land"), cycle(BROWSERS)):
        answer = shop.land(landing_query(click, number), browser)
        cookie = cookie_value(answer.headers.get_list("set-cookie"))
        if answer.status_code != httpx.codes.NO_CONTENT or cookie != click:
            wrong.append(f"The landing with {click} was answered {answer.status_code} and the cookie {cookie}.")
    return len(clicks), wrong


def landing_query(click: str, number: int) -> str:
    """Return a query as links have it: some encode all they can, some leave + and others as they are."""
    encoded = quote(click, safe="" if number % 2 else "+:/=")
    name = "irclickid" if number % 10 == 9 else "im_ref"
    return f"{name}={encoded}&url={quote(LANDING_PAGE, safe='')}&referrer={quote('https://blog.example/test', safe='')}"


def cookie_value(headers: Iterable[str]) -> str | None:
    """Return the click id that the visitor's browser keeps, byte for byte as it was sent."""
    values = (header.partition(";")[0].removeprefix("im_ref=") for header in headers if header.startswith("im_ref="))
    return next(values, None)


# Orders ----------------------------------------------------------------------------------------------------------


def post_all(shop: Shop, lines: Sequence[Line]) -> list[Answer]:
    """Post the backlog in one call and every other line in a call of its own; return the answers in order."""
    answers = post_backlog(shop, lines[:BACKLOG])
    for line in watched(lines[BACKLOG:], "Checkouts post"):
        answer = shop.post("/orders", shop.keys.order, line.text)
        problem = answer.json() if answer.is_error else {}
        answers.append(Answer(answer.status_code, problem, answer.headers.get("idempotent-replayed") == "true"))
    return answers


def post_backlog(shop: Shop, lines: Sequence[Line]) -> list[Answer]:
    """Post several lines in one call."""
    text = "".join(f"{line.text}\n" for line in lines)
    answer = shop.post("/orders/bulk", shop.keys.order, text, "application/x-ndjson")
    results = [json.loads(one) for one in answer.text.splitlines()] if answer.is_success else []
    if [one.get("order_id") for one in results] != [line.order["order_id"] for line in lines]:
        raise DemoFailed(f"POST /orders/bulk was answered {answer.status_code}, not with a line for each order.")
    return [Answer(one["status"], one.get("problem") or {}) for one in results]


# Export ----------------------------------------------------------------------------------------------------------


def export(shop: Shop) -> Mapping[str, Any]:
    """Trigger an export as cron does, wait for its end and return what the service says of it."""
    answer = shop.post("/exports?wait=60", shop.keys.export)
    if answer.status_code != httpx.codes.OK:
        raise DemoFailed(f"POST /exports?wait=60 was answered {answer.status_code}: {answer.text[:200]}")
    told: Mapping[str, Any] = shop.read(f"/exports/{answer.json()['id']}").json()
    return told


def batches(shop: Shop, directory: Path) -> list[Batch]:
    """Return all batches in the order of their creation, with their files as they lie in the outbox."""
    found: list[Batch] = []
    for facts in shop.listed("/batches"):
        file = directory / OUTBOX / facts["filename"]
        if not file.is_file():
            raise DemoFailed(f"{file} is missing.")
        found.append(Batch(facts, file.read_bytes(), shop.read(f"/batches/{facts['id']}/file").content))
    return found


def states(shop: Shop) -> tuple[list[tuple[str, str]], dict[str, int]]:
    """Return every order's id and state as listed, and how many orders each state's own list has."""
    listed = [(one["order_id"], one["state"]) for one in shop.listed("/orders")]
    return listed, {state: sum(1 for _ in shop.listed("/orders", state=state)) for state in STATES}

"""The pages of orders: one finds an order by what one has in hand, reads why it was credited or not, releases it."""

import json
import re
from datetime import UTC, datetime
from html import unescape

import httpx2 as httpx
import pytest
from fastapi.testclient import TestClient

from app.dashboard.links import order_path
from app.event_type import EventType
from app.main import create_app
from app.service import Service
from tests.conftest import Clock
from tests.dashboard.person import FROM_A_PAGE, post, sign_in
from tests.support import EXPORT_KEY, ORDER_KEY, bearer, body, work
from tests.verdicts import judge


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """The statements themselves are tested with the search, and by tests/test_growth.py, on both databases."""
    return sqlite_url


@pytest.fixture
def clock(clock: Clock) -> Clock:
    """The time of day, which the HTTP side goes by anyway."""
    clock.now = datetime.now(UTC)
    return clock


@pytest.fixture
def person(client: TestClient) -> TestClient:
    """Somebody who is signed in, and may only read."""
    sign_in(client)
    return client


def add(client: TestClient, order_id: str, **changes: object) -> None:
    """Let the shop report an order."""
    answer = client.post("/orders", json=body(order_id, **changes), headers=bearer(ORDER_KEY))
    assert answer.status_code == 201, answer.text


def export(client: TestClient, service: Service) -> str:
    """Run an export and return the id of its batch."""
    number = client.post("/exports", headers=bearer(EXPORT_KEY)).json()["id"]
    work(service)
    batches = client.get(f"/exports/{number}", headers=bearer(EXPORT_KEY)).json()["batches"]
    return str(batches[0]["id"]) if batches else ""


def listed(text: str) -> list[str]:
    """Return the order ids of a list on a page."""
    found = re.findall(r'<th scope="row" data-label="Order"><a [^>]*><bdi>([^<]*)</bdi>', text)
    return [unescape(one) for one in found]


def search(client: TestClient, text: str, **filters: str) -> list[str]:
    """Search as the form does."""
    answer = post(client, "/dashboard/orders/search", text=text, **filters)
    assert answer.status_code == 200, answer.text
    return listed(answer.text)


def test_an_order_is_found_by_what_one_has_in_hand(person: TestClient) -> None:
    """Its id, its click id, its customer's id or a SKU of it, to the letter; blanks around it do not matter."""
    add(person, "A/1", click_id="Click-1", customer_id="c-1")
    add(person, "B-2", click_id="Click-2", customer_id="c-2", items=[body()["items"][0] | {"sku": "lamp"}])
    found = [search(person, text) for text in ("A/1", "Click-2", "c-1", " lamp ", "click-1", "nothing")]
    assert found == [["A/1"], ["B-2"], ["A/1"], ["B-2"], [], []]


def test_what_was_searched_for_stands_in_no_address(person: TestClient) -> None:
    """Customer and click ids would else lie in histories and in logs of proxies: the address has the filters alone."""
    add(person, "A-1", customer_id="c-1")
    for headers in (FROM_A_PAGE, FROM_A_PAGE | {"HX-Request": "true"}):
        token = re.search(r'name="token" value="([0-9a-f]+)"', person.get("/dashboard/orders").text)
        assert token
        fields = {"token": token[1], "text": "c-1", "state": "pending"}
        answer = person.post("/dashboard/orders/search", data=fields, headers=headers, follow_redirects=False)
        assert (answer.status_code, listed(answer.text)) == (200, ["A-1"])
        assert not {"location", "hx-push-url"} & set(answer.headers)
        links = re.findall(r'(?:href|action|hx-get|hx-post)="([^"]*)"', answer.text)
        assert [link for link in links if "c-1" in link] == []
    assert listed(person.get("/dashboard/orders", params={"text": "c-1"}).text) == ["A-1"]  # no filter is made of it
    assert "c-1" not in person.get("/dashboard/orders", params={"text": "c-1"}).text


def test_filters_stand_in_the_address(person: TestClient) -> None:
    """So that a list can be kept as a bookmark, and read again; without a script the form leads there too."""
    add(person, "A-1")
    add(person, "B-2", click_id=...)
    answer = post(person, "/dashboard/orders/search", text="", state="held", reason="no_attribution")
    assert answer.headers["location"] == "/dashboard/orders?state=held&reason=no_attribution"
    assert listed(person.get(answer.headers["location"]).text) == ["B-2"]
    part = person.get("/dashboard/orders", params={"state": "pending"}, headers={"HX-Request": "true"})
    assert part.headers["hx-push-url"] == "/dashboard/orders?state=pending"
    assert listed(part.text) == ["A-1"]


def test_a_list_goes_on_with_older_orders(person: TestClient) -> None:
    """The newest come first; a page leads to the next one, by filters and by a search, and none is left out."""
    lines = [body(f"A-{number}", customer_id="c") for number in range(120)]
    content = "\n".join(json.dumps(one) for one in lines)
    assert person.post("/orders/bulk", content=content, headers=bearer(ORDER_KEY)).status_code == 200
    expected = [f"A-{number}" for number in reversed(range(120))]
    by_filter, path = [], "/dashboard/orders?state=pending"
    for _ in range(3):
        text = person.get(path).text
        by_filter += listed(text)
        older = re.search(r'href="(/dashboard/orders\?[^"]*after=[^"]*)"', text)
        path = unescape(older[1]) if older else ""
    assert (by_filter, path) == (expected, "")
    by_text, fields = [], {"text": "c"}
    for _ in range(3):
        text = post(person, "/dashboard/orders/search", **fields).text
        by_text += listed(text)
        after = re.search(r'name="after" value="(\d+)"', text)
        fields = {"text": "c", "after": after[1] if after else ""}
    assert (by_text, fields["after"]) == (expected, "")


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("first", "yesterday", "Write the day as 2026-11-22."),
        ("last", "20261122", "Write the day as 2026-11-22."),
        ("last", "2026-13-01", "Write the day as 2026-11-22."),
        ("state", "lost", "There is no such state"),
        ("text", "x" * 1001, "No id is so long."),
    ],
)
def test_a_wrong_filter_is_said_at_its_field(person: TestClient, field: str, value: str, told: str) -> None:
    """What was typed stays in the form."""
    answer = post(person, "/dashboard/orders/search", **({"text": "t"} | {field: value}))
    assert (answer.status_code, f'id="{field}-wrong"' in answer.text, told in answer.text) == (422, True, True)
    assert field == "state" or f'value="{value}"' in answer.text


def test_days_are_checked_against_one_another(person: TestClient) -> None:
    """Nobody wonders about an empty list."""
    answer = person.get("/dashboard/orders", params={"first": "2026-11-22", "last": "2026-11-21"})
    assert (answer.status_code, "The last day is before the first." in answer.text) == (422, True)


# One ---------------------------------------------------------------------------------------------------------------


def test_an_order_tells_its_life_and_why(person: TestClient, service: Service) -> None:
    """From landing to impact.com's answer, with the reason in plain sentences and its place in the file."""
    assert person.get("/capture", params={"im_ref": "Click-1"}).status_code == 204
    add(person, "A-1", click_id="Click-1")
    batch = export(person, service)
    judge(service.database, {"A-1": ["CONTRACT_NOT_FOUND"]})
    text = person.get(order_path("default", "A-1")).text
    names = re.findall(r'<p class="row spread"><strong>([^<]*)</strong>', text)
    assert [unescape(name) for name in names] == ["Landing", "Order", "Batch", "Delivery", "impact.com's answer"]
    assert "Not credited" in text
    assert "impact.com has not taken it: CONTRACT_NOT_FOUND" in text
    assert f'href="/dashboard/batches/{batch}"' in text
    assert "line 2" in text


def test_each_file_of_its_life_is_a_link(person: TestClient, service: Service) -> None:
    """Of an order that went twice, and of a refund: whoever wonders what was in a file need not look for it."""
    add(person, "A-1")
    first = export(person, service)
    judge(service.database, {"A-1": ["CONTRACT_NOT_FOUND"]})
    again = person.post(f"/batches/{first}/corrections", json={"order_ids": ["A-1"]}, headers=bearer(EXPORT_KEY))
    work(service)
    second = again.json()["batches"][0]["id"]
    judge(service.database, {})
    refund = {"reason": "ITEM_RETURNED", "amount": "1.00"}
    assert person.post("/orders/A-1/refunds", json=refund, headers=bearer(ORDER_KEY)).status_code == 202
    third = export(person, service)
    text = person.get(order_path("default", "A-1")).text
    assert len({first, second, third}) == 3
    for batch in (first, second, third):
        assert re.search(rf'<p><a href="/dashboard/batches/{batch}">Open the batch</a></p>', text), batch
    assert re.search(rf'data-label="File"><a class="id" href="/dashboard/batches/{third}"', text)


def test_what_is_final_is_not_offered_to_be_sent_again(person: TestClient, service: Service) -> None:
    """What would only be refused once more is no next step; what can be repaired is."""
    add(person, "FINAL")
    add(person, "REPAIRED")
    export(person, service)
    judge(service.database, {"FINAL": ["CREDITING_RULE_MISMATCH"], "REPAIRED": ["CONTRACT_NOT_FOUND"]})
    offers = ("Build the corrections of its batch", "Credit it otherwise</a>, below")
    final, repaired = (person.get(order_path("default", one)).text for one in ("FINAL", "REPAIRED"))
    assert ("Do not send it again" in final, [one in final for one in offers]) == (True, [False, False])
    assert [one in repaired for one in offers] == [True, True]
    told = (
        "<li>Ask the partner manager to settle it at impact.com; then send it again with the corrections of its batch,"
    )
    assert told in repaired


def test_a_held_order_points_to_its_form(person: TestClient, service: Service) -> None:
    """Whoever sits before a browser is not sent to a call; where the right is missing, the way back is known."""
    add(person, "A-1", click_id=...)
    export(person, service)
    text = person.get(order_path("default", "A-1")).text
    assert "name one on this page." in text
    assert "name one by PUT" not in text
    assert 'href="/dashboard/rights?to=%2Fdashboard%2Forders%2Fdefault%2FA-1%23credit"' in text
    assert "name one on its page." in person.get("/dashboard/exports/1").text


def test_every_order_has_a_page(person: TestClient) -> None:
    """Whatever its id is, the list links to it and the page is its own."""
    ids = ["A/1", "..", ".", "50%", "a?b#c", "Größe 🧦", "<b>", '"', "%2F", "+ +"]
    for order_id in ids:
        add(person, order_id)
    links = re.findall(r'data-label="Order"><a class="id" href="([^"]*)"', person.get("/dashboard/orders").text)
    for link, order_id in zip(links, reversed(ids), strict=True):
        found = re.search(r"<h1>Order <bdi>([^<]*)</bdi></h1>", person.get(unescape(link)).text)
        assert found
        assert unescape(found[1]) == order_id


def test_an_order_that_is_not_there_is_a_page(person: TestClient) -> None:
    """It says what could be meant instead."""
    for path in (
        "/dashboard/orders/default/none",
        "/dashboard/orders/other/none",
        "/dashboard/orders/default?order_id=..",
    ):
        answer = person.get(path)
        assert (answer.status_code, "Look for it under Orders" in answer.text) == (404, True)


def test_an_id_that_no_database_can_hold_is_a_page_too(person: TestClient) -> None:
    """NUL in an address is no fault of the service."""
    for path in ("orders/default?order_id=a%00b", "evidence?event_type=default&order_id=%00", "orders/%00?order_id=A"):
        assert person.get(f"/dashboard/{path}").status_code == 404


def test_what_an_order_holds_is_text(person: TestClient) -> None:
    """Markup in it is shown as it is, whatever field it stands in."""
    evil = "<script>alert(1)</script><img src=x onerror=alert(1)>"
    item = body()["items"][0] | {"sku": evil, "category": evil}
    add(person, "<img src=x>", customer_id=evil, promo_code=evil, extra={"Text1": evil[:64]}, items=[item])
    texts = [person.get(path).text for path in ("/dashboard/orders", order_path("default", "<img src=x>"))]
    assert re.findall(r"<script(?! src=\"/dashboard/static)|<img(?! src=\"/dashboard)", "".join(texts)) == []
    assert texts[1].count("&lt;script&gt;alert(1)") >= 5


# Release -----------------------------------------------------------------------------------------------------------


def test_a_held_order_is_released(person: TestClient, service: Service) -> None:
    """By one of the three ids; the page says so, and the order leaves with the next export."""
    add(person, "A-1", click_id=...)
    assert listed(person.get("/dashboard/submissions/held").text) == ["A-1"]
    sign_in(person, ORDER_KEY)
    answer = release(person, "A-1", click_id=" late-click ")
    assert (answer.status_code, answer.headers["location"]) == (303, "/dashboard/orders/default/A-1?done=credited")
    assert "Whom it is credited to is on record" in person.get(answer.headers["location"]).text
    assert listed(person.get("/dashboard/submissions/held").text) == []
    batch = export(person, service)
    assert b"late-click" in person.get(f"/batches/{batch}/file", headers=bearer(EXPORT_KEY)).content


def release(client: TestClient, order_id: str, **fields: str) -> httpx.Response:
    """Send the form of an order's page."""
    return post(client, "/dashboard/release", event_type="default", order_id=order_id, **fields)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"click_id": "not ok"}, 'id="click_id-wrong"'),
        ({"media_id": "partner"}, 'id="media_id-wrong"'),
        ({}, "Name a click_id, a promo_code or a media_id."),
    ],
)
def test_what_is_wrong_is_said_at_the_field(person: TestClient, fields: dict[str, str], told: str) -> None:
    """What was typed is kept, and the order stays as it is."""
    add(person, "A-1", click_id=...)
    sign_in(person, ORDER_KEY)
    answer = release(person, "A-1", **fields)
    assert (answer.status_code, told in answer.text) == (422, True)
    assert all(f'value="{value}"' in answer.text for value in fields.values())
    assert listed(person.get("/dashboard/submissions/held").text) == ["A-1"]


def test_what_was_not_touched_stays_as_it_is_by_then(person: TestClient) -> None:
    """Somebody else may have changed it meanwhile; what was emptied is taken away."""
    add(person, "A-1", click_id="old", promo_code="BEN")
    sign_in(person, ORDER_KEY)
    was = {"was_click_id": "old", "was_promo_code": "BEN"}
    assert release(person, "A-1", click_id="new", promo_code="BEN", **was).status_code == 303
    assert release(person, "A-1", click_id="old", promo_code="", media_id="7", **was).status_code == 303
    order = person.get("/orders/A-1", headers=bearer(ORDER_KEY)).json()
    assert (order["click_id"], order["promo_code"], order["media_id"]) == ("new", None, "7")


def test_an_order_that_has_left_is_not_released(person: TestClient, service: Service) -> None:
    """The page offers no form, and a form from before says why nothing was done."""
    add(person, "A-1")
    sign_in(person, ORDER_KEY)
    export(person, service)
    assert 'action="/dashboard/release"' not in person.get("/dashboard/orders/default/A-1").text
    answer = release(person, "A-1", click_id="late")
    assert (answer.status_code, "stands in a file" in answer.text) == (409, True)


def test_releasing_takes_an_order_key(person: TestClient) -> None:
    """Who may only read is told how to get the right, and a form sent all the same does nothing."""
    add(person, "A-1", click_id=...)
    text = person.get("/dashboard/orders/default/A-1").text
    assert ('action="/dashboard/release"' in text, 'href="/dashboard/rights"' in text) == (False, True)
    assert release(person, "A-1", click_id="late").status_code == 403
    assert listed(person.get("/dashboard/submissions/held").text) == ["A-1"]


def test_evidence_is_handed_over_as_a_file(person: TestClient) -> None:
    """The order's page leads to it, whatever the id is; who the customer is stands nowhere in it."""
    add(person, 'A/1"..', customer_id="secret-customer")
    text = person.get(order_path("default", 'A/1"..')).text
    [link] = re.findall(r'href="(/dashboard/evidence[^"]*)"', text)
    answer = person.get(unescape(link))
    assert answer.headers["content-disposition"] == 'attachment; filename="evidence-A_1_...txt"'
    assert ('A/1"..' in answer.text, "secret-customer" in answer.text) == (True, False)


def test_an_order_that_waits_for_another_is_not_offered_for_release(service: Service) -> None:
    """Whom it is credited to is not what it is held for."""
    names = ("trial", "paid")
    chained = {
        key: EventType(campaign_id=1000, action_tracker_id=number, level="chained")
        for number, key in enumerate(names, 7)
    }
    service.settings = service.settings.model_copy(update={"event_types": chained})
    with TestClient(create_app(service, with_worker=False), base_url="https://track.shop.example") as person:
        sign_in(person)
        add(person, "T-1", event_type="trial")
        add(person, "P-1", event_type="paid", click_id=..., parent={"event_type": "trial", "order_id": "T-1"})
        held = person.get("/dashboard/submissions/held").text
        assert ("Open order P-1" in held, "Release order" in held) == (True, False)
        text = person.get(order_path("paid", "P-1")).text
        assert ("has not been delivered yet" in text, "Release it" in text) == (True, False)

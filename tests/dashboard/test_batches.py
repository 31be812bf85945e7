"""The pages of batches: what became of a file, its lines, its bytes, and what may be done about it."""

import csv
import io
import re
from datetime import UTC, datetime
from html import unescape
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import delete, update

from app import worker
from app.batches.store import BATCH, BATCH_CONTENT, UNDELIVERED
from app.service import Service
from tests.conftest import Clock
from tests.dashboard.person import post, sign_in
from tests.support import EXPORT_KEY, ORDER_KEY, bearer, body, work
from tests.verdicts import judge


@pytest.fixture
def clock(clock: Clock) -> Clock:
    """The time of day, which the HTTP side goes by anyway."""
    clock.now = datetime.now(UTC)
    return clock


@pytest.fixture
def person(client: TestClient) -> TestClient:
    """Somebody who is signed in, and may read and export."""
    sign_in(client, EXPORT_KEY)
    return client


def add(client: TestClient, *order_ids: str, **changes: object) -> None:
    """Let the shop report orders."""
    for order_id in order_ids:
        assert client.post("/orders", json=body(order_id, **changes), headers=bearer(ORDER_KEY)).status_code == 201


def exported(client: TestClient, service: Service) -> str:
    """Run an export, and return the path of its batch's page."""
    number = client.post("/exports", headers=bearer(EXPORT_KEY)).json()["id"]
    work(service)
    [batch] = client.get(f"/exports/{number}", headers=bearer(EXPORT_KEY)).json()["batches"]
    return f"/dashboard/batches/{batch['id']}"


def files(text: str) -> list[str]:
    """Return the batches that a list shows."""
    return [unescape(one) for one in re.findall(r'data-label="File"><a class="id" href="([^"]*)"', text)]


def test_batches_are_listed_newest_first(person: TestClient, service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Page by page, none left out."""
    monkeypatch.setattr("app.ledger.batch_list.PAGE", 2)
    made = []
    for number in range(5):
        add(person, f"A-{number}")
        made.append(exported(person, service))
    found, path = [], "/dashboard/batches"
    while path:
        text = person.get(path).text
        found += files(text)
        older = re.search(r'href="([^"]*before=[^"]*)"', text)
        path = unescape(older[1]) if older else ""
    assert found == made[::-1]


def test_a_batch_says_what_became_of_it(person: TestClient, service: Service) -> None:
    """Its state, each attempt, impact.com's answer, and the lines under their numbers."""
    add(person, "A-1", "B-2")
    path = exported(person, service)
    judge(service.database, {"A-1": ["CONTRACT_NOT_FOUND"]})
    text = person.get(path).text
    assert "1 taken, 1 refused" in text
    assert re.search(r'data-label="By">folder</td>\s*<td data-label="Outcome"><span>\s*<span class="state good">', text)
    assert re.findall(r'<th scope="row" class="num">(\d+)</th>', text) == ["2", "3", "4", "5"]
    assert person.get(path + "?page=99").status_code == 200


def test_both_downloads(person: TestClient, service: Service) -> None:
    """The exact bytes under the file's own name, and apart from them what a spreadsheet may open."""
    formula = '=HYPERLINK("https://evil.example","x")'
    add(person, "@A-1", items=[body()["items"][0] | {"sku": formula}])
    path = exported(person, service)
    name = re.search(r"<h1>Batch <bdi>([^<]*)</bdi>", person.get(path).text)
    assert name
    exact, sheet = person.get(f"{path}/file"), person.get(f"{path}/sheet")
    assert exact.content == person.get(f"{path.removeprefix('/dashboard')}/file", headers=bearer(EXPORT_KEY)).content
    assert exact.headers["content-disposition"] == f'attachment; filename="{name[1]}"'
    assert sheet.headers["content-disposition"] == f'attachment; filename="NOT-FOR-UPLOAD_{name[1]}"'
    rows = list(csv.reader(io.StringIO(sheet.content.decode("utf-8-sig"), newline="")))
    assert rows[0][0].startswith("NOT FOR UPLOAD")
    assert {"'@A-1", f"'{formula}"} <= set(rows[2])


def test_a_file_that_is_not_kept_any_more_says_so(person: TestClient, service: Service) -> None:
    """410 for both downloads, and neither lines nor sending again on its page; its hash stays."""
    add(person, "A-1")
    path = exported(person, service)
    with service.database.transaction() as session:
        session.connection().execute(delete(BATCH_CONTENT))
        session.connection().execute(update(BATCH).values(removed_at=datetime.now(UTC), removed_why="erased"))
    text = person.get(path).text
    sha256 = re.search(r"SHA-256</dt><dd><code>([0-9a-f]{64})", text)
    assert sha256
    assert ("was removed at" in text, "/redelivery" in text, 'id="lines"' in text) == (True, False, False)
    for kind in ("file", "sheet"):
        answer = person.get(f"{path}/{kind}")
        assert (answer.status_code, sha256[1] in answer.text) == (410, True)


def test_what_is_not_there_is_a_page(person: TestClient) -> None:
    """Each of them."""
    for path in ("", "/file", "/sheet", "/redelivery", "/confirmation", "/corrections"):
        assert person.get(f"/dashboard/batches/none{path}").status_code == 404
    assert person.get("/dashboard/exports/99").status_code == 404


# Acts --------------------------------------------------------------------------------------------------------------


def test_sending_again_is_told_before_and_after(person: TestClient, service: Service, outbox: Path) -> None:
    """Nothing is done by looking; the form does it once, and the batch's page says so."""
    add(person, "A-1")
    path = exported(person, service)
    assert "The same bytes go out once more" in person.get(f"{path}/redelivery").text
    work(service)
    assert attempts(person, path) == 1
    answer = post(person, f"{path}/redelivery")
    assert (answer.status_code, answer.headers["location"]) == (303, f"{path}?done=redelivery")
    assert "It is queued, and is sent again next." in person.get(answer.headers["location"]).text
    work(service)
    assert attempts(person, path) == 2
    assert len([*outbox.iterdir()]) == 1


def attempts(client: TestClient, path: str) -> int:
    """Return how many attempts a batch's page tells of."""
    return len(re.findall(r'data-label="By"', client.get(path).text))


def test_a_refusal_is_said_where_it_was_asked(person: TestClient, service: Service) -> None:
    """Confirming what has arrived already changes nothing, and the page says why."""
    add(person, "A-1")
    path = exported(person, service)
    answer = post(person, f"{path}/confirmation")
    assert (answer.status_code, "has been delivered already" in answer.text) == (409, True)


def test_a_batch_of_unknown_outcome_is_confirmed(person: TestClient, service: Service) -> None:
    """As somebody saw at impact.com."""
    add(person, "A-1")
    person.post("/exports", headers=bearer(EXPORT_KEY))
    worker.build_one(service)
    with service.database.transaction() as session:
        session.connection().execute(update(UNDELIVERED).values(stuck="failed"))
    [path] = files(person.get("/dashboard/batches").text)
    answer = post(person, f"{path}/confirmation")
    assert (answer.status_code, answer.headers["location"]) == (303, f"{path}?done=confirmation")
    assert "It is not sent again." in person.get(answer.headers["location"]).text


def test_corrections_are_looked_at_and_built(person: TestClient, service: Service) -> None:
    """The page names how many would go and what stays and why; the outcome links to the new batch."""
    add(person, "A-1", "B-2")
    path = exported(person, service)
    judge(service.database, {"A-1": ["CONTRACT_NOT_FOUND"], "B-2": ["CONTRACT_NOT_FOUND"]})
    assert f"{path}/corrections" in person.get(path).text
    asked = person.get(f"{path}/corrections").text
    assert re.search(r"<strong>0</strong> orders go again as things are; 2 stay as they are:", asked)
    wrong = post(person, f"{path}/corrections", order_ids="A-1\r\nnobody\r\n")
    assert (wrong.status_code, "impact.com has not refused nobody" in wrong.text) == (422, True)
    assert re.search(r"<textarea[^>]*>A-1\s+nobody", wrong.text)
    built = post(person, f"{path}/corrections", order_ids=" A-1 \r\n")
    assert (built.status_code, "1 order goes again" in built.text, "B-2" in built.text) == (200, True, True)
    [made] = files(built.text)
    assert files(person.get("/dashboard/batches").text) == [made, path]
    again = post(person, f"{path}/corrections", order_ids="A-1")
    assert "Nothing was sent" in again.text


def test_corrections_of_what_is_not_judged_are_refused_in_words(person: TestClient, service: Service) -> None:
    """Nothing is guessed."""
    add(person, "A-1")
    path = exported(person, service)
    for answer in (person.get(f"{path}/corrections"), post(person, f"{path}/corrections", order_ids="")):
        assert "impact.com has not said yet what it makes of this batch" in answer.text


def test_an_export_is_run_and_looked_after(person: TestClient, service: Service) -> None:
    """The page follows it to its end by itself; it names what was sent and what was left out."""
    add(person, "A-1")
    add(person, "B-2", click_id=...)
    assert "All orders and corrections that wait" in person.get("/dashboard/exports").text
    answer = post(person, "/dashboard/exports")
    path = answer.headers["location"]
    assert 'hx-trigger="every 2s"' in person.get(path).text
    assert post(person, "/dashboard/exports").headers["location"] == path
    work(service)
    text = person.get(path).text
    assert ('hx-trigger="every 2s"' in text, len(files(text))) == (False, 1)
    assert 'href="/dashboard/orders/default/B-2"' in text


@pytest.mark.parametrize("act", ["redelivery", "confirmation", "corrections"])
def test_acting_takes_an_export_key(client: TestClient, service: Service, act: str) -> None:
    """Who may only read is told what would happen and how to get the right; a form sent all the same does nothing."""
    sign_in(client)
    add(client, "A-1")
    path = exported(client, service)
    text = client.get(f"{path}/{act}").text
    assert ('<form method="post" action="/dashboard/batches' in text, 'href="/dashboard/rights"' in text) == (
        False,
        True,
    )
    assert post(client, f"{path}/{act}").status_code == 403
    assert attempts(client, path) == 1
    assert post(client, "/dashboard/exports").status_code == 403

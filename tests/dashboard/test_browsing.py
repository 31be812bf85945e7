"""Orders, batches and submissions in a real browser: hostile data, a great many orders, what a person does there."""

import csv
import io
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from playwright.sync_api import Browser, ConsoleMessage, Dialog, Page, expect
from sqlalchemy import delete

from app.conversions import terms
from app.conversions.terms_store import ORDER_TERM, TERMS_FILED
from app.dashboard.links import order_path
from app.main import create_app
from app.service import Service
from bench import fill
from tests.dashboard.chromium import Running, running_shop, service_in, sign_in
from tests.servers import served
from tests.soak import SOAK
from tests.support import EXPORT_KEY, ORDER_KEY, READ_KEY, bearer, body, work
from tests.verdicts import judge

pytestmark = pytest.mark.system

MANY = 1_000_000 if SOAK else 100_000
TURNED = "\u202egnp.exe\u2067\u200f"
EVIL = (
    '"><script>alert(1)</script><img src=x onerror=alert(1)>',
    "W" * 64,
    "ﷺ" * 20 + "Z̸͓̊" * 8,
    "{{7*7}}${7*7}<%=7*7%>",
    "javascript:alert(1)//..",
    '=HYPERLINK("https://evil.example","x")',
    "..",
)


def report(client: httpx.Client, order_id: str, **changes: Any) -> None:
    """Let the shop report an order."""
    answer = client.post("/orders", json=body(order_id, **changes), headers=bearer(ORDER_KEY))
    assert answer.status_code == 201, answer.text


def exported(client: httpx.Client, service: Service) -> str:
    """Run an export and return the path of its newest batch's page."""
    number = client.post("/exports", headers=bearer(EXPORT_KEY)).json()["id"]
    work(service)
    batches = client.get(f"/exports/{number}", headers=bearer(EXPORT_KEY)).json()["batches"]
    return f"/dashboard/batches/{batches[-1]['id']}"


def report_evil(client: httpx.Client) -> None:
    """Report orders that are hostile wherever they may be."""
    for number, evil in enumerate(EVIL):
        text = (f"{evil} {TURNED} " * 20)[:255].strip()
        items = [{"sku": text, "category": text[::-1].strip(), "quantity": 1, "amount": "10.00"}]
        items += [{"sku": "x" * 255, "category": "W" * 255, "quantity": 2, "amount": "999999999.99"}]
        extra = {"PageUrl": f"https://e.example/{'y' * 1_900}", "UserAgent": f"{text} " * 7, "Text1": evil[:64]}
        click = {} if number % 2 else {"click_id": ...}
        report(client, evil, customer_id=text[:64].strip(), promo_code=text, extra=extra, items=items, **click)
        report(client, f"{evil[:60]}-h", click_id=..., customer_id=text[:64].strip(), items=items)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, migrated_sqlite: Path) -> Iterator[Running]:
    """A shop of a few days; hostile orders wait, are held, are in a batch and were refused."""
    with running_shop(tmp_path_factory.mktemp("dashboard"), migrated_sqlite, days=3) as shop:
        with httpx.Client(base_url=shop.address) as client:
            report_evil(client)
            exported(client, shop.service)
            judge(shop.service.database, {evil: [f"{TURNED}<b>", "CONTRACT_NOT_FOUND"] for evil in EVIL})
            report(client, "WAITS", promo_code=EVIL[0], items=[body()["items"][0] | {"sku": EVIL[0]}])
        yield shop


@pytest.fixture
def trouble(page: Page, running: Running) -> list[str]:
    """What a page should not do: open a dialog, say something on the console, load from elsewhere or what fails."""
    found: list[str] = []

    def dismiss(dialog: Dialog) -> None:
        found.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def note(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            found.append(message.text)

    page.on("dialog", dismiss)
    page.on("console", note)
    page.on("pageerror", lambda error: found.append(str(error)))
    page.on("request", lambda one: None if one.url.startswith(f"{running.address}/") else found.append(one.url))
    # Whoever goes on to the next page breaks off what the last one was still loading.
    page.on("requestfailed", lambda one: None if one.failure == "net::ERR_ABORTED" else found.append(one.url))
    return found


def pages(client: httpx.Client) -> list[str]:
    """Return the address of every page of orders, batches and submissions, hostile ones too."""
    batches = client.get("/batches", headers=bearer(EXPORT_KEY)).json()["items"]
    newest = f"/dashboard/batches/{batches[-1]['id']}"
    acts = [f"{newest}/{act}" for act in ("redelivery", "confirmation", "corrections")]
    submission = client.get("/submissions", headers=bearer(EXPORT_KEY)).json()["items"][-1]["id"]
    orders = [order_path("default", one) for evil in EVIL for one in (evil, f"{evil[:60]}-h")]
    lists = ["orders", "orders?state=held", "batches", "submissions", "submissions/held", "exports", "exports/1"]
    return [*(f"/dashboard/{one}" for one in lists), f"/dashboard/submissions/{submission}", newest, *acts, *orders]


def test_hostile_orders_are_only_text(page: Page, running: Running, trouble: list[str]) -> None:
    """No script of an order runs, nothing of it breaks the page's policy or its layout: not at 360 pixels either."""
    page.set_viewport_size({"width": 360, "height": 740})
    sign_in(page, ORDER_KEY, EXPORT_KEY)
    with httpx.Client(base_url=running.address) as client:
        addresses = pages(client)
    trouble.clear()
    wide = []
    for address in addresses:
        answer = page.goto(address)
        assert answer
        assert answer.status == 200, address
        if page.evaluate("document.documentElement.scrollWidth") > 360:
            wide.append(address)
    assert (trouble, wide) == ([], [])
    page.goto(order_path("default", EVIL[0]))
    expect(page.get_by_role("heading", level=1)).to_have_text(f"Order {EVIL[0]}")


def test_long_text_is_clipped_with_the_whole_at_hand(signed_in: Page) -> None:
    """It opens where it stands."""
    signed_in.goto(order_path("default", EVIL[0]))
    row = signed_in.get_by_text("1918 characters")
    whole = signed_in.locator("bdi", has_text=re.compile("y{1900}"))
    expect(whole).not_to_be_visible()
    row.click()
    expect(whole).to_be_visible()


def test_a_person_releases_an_order(page: Page, running: Running) -> None:
    """From the list of those that are held; a typing error is said at its field, and what was typed is kept."""
    with httpx.Client(base_url=running.address) as client:
        report(client, "TO-RELEASE", click_id=...)
    sign_in(page)
    page.goto("/dashboard/submissions/held")
    page.get_by_role("link", name="Release order TO-RELEASE").click()
    page.get_by_role("link", name="Add one to your session").click()
    page.get_by_label("Export key or order key").fill(ORDER_KEY)
    page.get_by_role("button", name="Add").click()
    page.goto("/dashboard/orders/default/TO-RELEASE")
    page.get_by_label("Click id", exact=True).fill("not a click id")
    page.get_by_role("button", name="Release").click()
    expect(page.get_by_label("Click id", exact=True)).to_have_value("not a click id")
    expect(page.locator("#click_id-wrong")).to_be_visible()
    page.get_by_label("Click id", exact=True).fill("late-click")
    page.get_by_role("button", name="Release").click()
    expect(page.get_by_role("status")).to_contain_text("Whom it is credited to is on record")
    page.goto("/dashboard/submissions/held")
    expect(page.get_by_role("link", name="TO-RELEASE", exact=True)).to_have_count(0)


def test_a_person_downloads_both_files(signed_in: Page, running: Running) -> None:
    """The exact one byte for byte; the other marked, escaped, and otherwise the same."""
    with httpx.Client(base_url=running.address) as client:
        batch = client.get("/batches", headers=bearer(EXPORT_KEY)).json()["items"][-1]
        kept = client.get(f"/batches/{batch['id']}/file", headers=bearer(EXPORT_KEY)).content
    signed_in.goto(f"/dashboard/batches/{batch['id']}")
    saved = {}
    for name in ("Download the exact file", "Download for a spreadsheet"):
        with signed_in.expect_download() as loading:
            signed_in.get_by_role("link", name=name).click()
        saved[loading.value.suggested_filename] = Path(loading.value.path()).read_bytes()
    assert saved[batch["filename"]] == kept
    sheet = saved[f"NOT-FOR-UPLOAD_{batch['filename']}"].decode("utf-8-sig")
    first, *rows = csv.reader(io.StringIO(sheet, newline=""))
    assert first[0].startswith("NOT FOR UPLOAD")
    exact = list(csv.reader(io.StringIO(kept.decode(), newline="")))
    assert [[cell.replace("'", "") for cell in row] for row in rows] == [
        [cell.replace("'", "") for cell in row] for row in exact
    ]
    assert f"'{EVIL[5]}" in {cell for row in rows for cell in row}


def test_a_person_sends_again_and_builds_corrections(page: Page, running: Running) -> None:
    """Each says what will happen before, and what came of it after."""
    with httpx.Client(base_url=running.address) as client:
        report(client, "TO-REPAIR")
        batch = exported(client, running.service)
    sign_in(page, EXPORT_KEY)
    page.goto(batch)
    page.get_by_role("link", name="Send again").click()
    expect(page.get_by_text("The same bytes go out once more")).to_be_visible()
    page.get_by_role("button", name="Send it again").click()
    expect(page.get_by_role("status")).to_contain_text("It is queued, and is sent again next.")
    work(running.service)
    page.reload()
    expect(page.get_by_role("rowheader", name="2", exact=True).first).to_be_visible()
    judge(running.service.database, {"TO-REPAIR": ["CONTRACT_NOT_FOUND"]})
    page.reload()
    page.get_by_role("link", name="Build corrections").click()
    page.get_by_label("Orders that were repaired").fill("TO-REPAIR")
    page.get_by_role("button", name="Build and send").click()
    expect(page.get_by_role("status")).to_contain_text("1 order goes again.")
    page.locator("main table a").first.click()
    expect(page.get_by_role("cell", name="TO-REPAIR", exact=True).first).to_be_visible()


def test_an_export_is_followed_to_its_end(page: Page, running: Running) -> None:
    """The page goes on by itself while it runs."""
    with httpx.Client(base_url=running.address) as client:
        report(client, "TO-EXPORT")
    sign_in(page, EXPORT_KEY)
    page.goto("/dashboard/batches")
    page.get_by_role("link", name="Run an export now").click()
    page.get_by_role("button", name="Run the export").click()
    expect(page.get_by_role("status")).to_contain_text("queued")
    work(running.service)
    expect(page.get_by_role("status")).to_contain_text("done")


def test_a_search_that_fails_says_so(signed_in: Page) -> None:
    """Where the results would stand, and in the browser's own words where the service cannot be reached."""
    signed_in.goto("/dashboard/orders")
    token = signed_in.locator("#main form input[name=token]")
    signed_in.locator("body").evaluate("body => body.removeAttribute('hx-headers')")
    token.evaluate("field => { field.value = 'of another session'; }")
    signed_in.get_by_label("Order id, click id").fill("S-1011")
    signed_in.get_by_role("button", name="Search").click()
    expect(signed_in.locator("#found").get_by_role("alert")).to_contain_text("This form was made before")
    signed_in.goto("/dashboard/orders")
    signed_in.context.set_offline(True)
    signed_in.get_by_role("button", name="Search").click()
    expect(signed_in).to_have_url(re.compile("^chrome-error:"))


def test_an_analyst_has_three_questions_answered(page: Page) -> None:
    """From a cold start, by reading and clicking alone, in less than a minute.

    Did yesterday's orders arrive? What must I do today? Why was order S-1011 not credited?
    """
    began = time.monotonic()
    page.goto("/dashboard")
    page.get_by_label("Read key").fill(READ_KEY)
    page.get_by_role("button", name="Sign in").click()
    yesterday = page.get_by_role("article").filter(has_text="Yesterday")
    expect(yesterday).to_contain_text(re.compile(r"\d+ of \d+ orders? arrived"))
    to_do = page.get_by_role("region", name="What to do today")
    expect(to_do.get_by_role("heading", name="held")).to_be_visible()
    to_do.get_by_role("listitem").filter(has_text="held").get_by_role("link").first.click()
    expect(page.locator("tbody th a").first).to_be_visible()
    page.get_by_role("link", name="Orders", exact=True).click()
    page.get_by_label("Order id, click id").fill("S-1011")
    page.get_by_role("button", name="Search").click()
    page.get_by_role("link", name="S-1011", exact=True).click()
    expect(page.get_by_role("heading", name="Not credited")).to_be_visible()
    expect(page.get_by_role("main")).to_contain_text("No contract with the partner at the event time")
    expect(page.get_by_role("main")).to_contain_text("Ask the partner manager")
    assert time.monotonic() - began < 60


# A great many ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory, migrated_sqlite: Path) -> Iterator[str]:
    """A service with a great many orders, filed as a worker files them."""
    service = service_in(tmp_path_factory.mktemp("many"), migrated_sqlite)
    fill.delivered(service.database.url, MANY)
    with service.database.transaction() as session:  # the filler has filed nearly all of them under numbers of nothing
        for table in (ORDER_TERM, TERMS_FILED):
            session.connection().execute(delete(table))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(terms, "CHUNK", 5_000)
        patch.setattr(terms, "MOST_TERMS", 50_000)
        while terms.file_some(service.database, service.clock()):
            pass
    with served(create_app(service, with_worker=False)) as address:
        yield address


def test_an_order_is_found_among_a_great_many(chromium: Browser, many: str) -> None:
    """By each kind of id, with the script and without it; what was searched for never shows in the address."""
    for with_script in (True, False):
        context = chromium.new_context(base_url=many, java_script_enabled=with_script)
        page = context.new_page()
        sign_in(page)
        page.get_by_role("link", name="Orders", exact=True).click()
        number = f"{MANY // 2:09}"
        for text in (f"A-{number}", f"QiiWXOVnrQ3SQHl24jQjyxBG{number}", f"BCZ2WVSH674{number}"):
            page.get_by_label("Order id, click id").fill(text)
            began = time.perf_counter()
            page.get_by_role("button", name="Search").click()
            expect(page.get_by_role("heading", name=f"Found for {text}")).to_be_visible()
            assert time.perf_counter() - began < 5  # a scan of a history takes longer
            expect(page.locator("tbody th a")).to_have_text([f"A-{number}"])
            assert number not in page.url
        page.get_by_label("Order id, click id").fill("A-500")  # a SKU, and no order's id
        page.get_by_role("button", name="Search").click()
        expect(page.locator("tbody th a")).to_have_count(50)
        page.get_by_role("button", name="Older orders").click()
        expect(page.locator("tbody th a").first).not_to_have_text(f"A-{MANY - 500:09}")
        page.goto("/dashboard/orders?state=delivered&reason=none")
        expect(page.get_by_role("main")).to_contain_text("No order fits.")
        context.close()

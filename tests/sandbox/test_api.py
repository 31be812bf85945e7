"""The sandbox's HTTP API over real sockets, as impact.com's documents have it."""

from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.sandbox.conftest import Box, Boxes
from tests.sandbox.world import ITEM, NOW, TODAY, days_ago, item

SALE = {
    "CampaignId": "1000",
    "ActionTrackerId": "4321",
    "EventDate": TODAY,
    "OrderId": "A-1",
    "ClickId": "abcDEF",
    "CurrencyCode": "USD",
    "ItemSku1": "MUG-1",
    "ItemCategory1": "Mugs",
    "ItemQuantity1": "2",
    "ItemPrice1": "20.00",
    "ItemSku2": "CRD-9",
    "ItemCategory2": "Cards",
    "ItemQuantity2": "1",
    "ItemSubTotal2": "5.50",
}
TAKEN = ("Conversion", "Complete", "", "")


def without(*names: str, **changes: str) -> dict[str, str]:
    """Return a sale with something missing, or something else."""
    return {name: text for name, text in (SALE | changes).items() if name not in names}


@pytest.fixture
def box(start: Boxes) -> Box:
    """A sandbox with its defaults."""
    return start()


# Conversions ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", ["data", "json", "params"])
def test_a_conversion_becomes_an_action_with_its_items(box: Box, body: str) -> None:
    """As a form, as JSON, and as a query."""
    assert box.outcome(box.call("POST", "Conversions", **{body: SALE})) == TAKEN
    (action,) = box.get("Actions", CampaignId=1000)["Actions"]
    assert (action["Oid"], action["State"], action["Amount"], action["Payout"]) == ("A-1", "PENDING", "45.50", "4.55")
    assert box.get(f"Actions/{action['Id']}") == action
    items = box.get(f"Actions/{action['Id']}/Items")["Items"]
    assert [(one["Sku"], one["Quantity"], one["Amount"]) for one in items] == [
        ("MUG-1", "2", "40.00"),
        ("CRD-9", "1", "5.50"),
    ]
    assert box.get(f"Actions/{action['Id']}/Items/CRD-9") == items[1]


@pytest.mark.parametrize(
    ("given", "field"),
    [
        (without("CampaignId"), "CampaignId"),
        (without("EventDate"), "EventDate"),
        (without("OrderId"), "OrderId"),
        (without("ActionTrackerId"), "ActionTrackerId"),
        (without("ClickId"), "ClickId"),
        (without("CurrencyCode"), "CurrencyCode"),
        (without(MediaId="1", MediaPartnerId="1"), "MediaId"),
        (without(ItemSubTotal1="1"), "ItemPrice1"),
        (without(CustomerEmail="ann@shop.example"), "CustomerEmail"),
    ],
)
def test_what_must_be_there_is_asked_for_at_once(box: Box, given: dict[str, str], field: str) -> None:
    """400 in the spelling that is declared for conversions, and nothing is queued."""
    answer = box.call("POST", "Conversions", data=given)
    assert answer.status_code == 400
    assert [one["field"] for one in answer.json()["errors"]] == [field]
    assert box.sandbox.state()["submissions"] == []


@pytest.mark.parametrize(
    ("given", "kind", "reasons"),
    [
        (without(CurrencyCode="XYZ"), "Validation", "INVALID_CURRENCY_CODE"),
        (without("ClickId", CustomerId="somebody"), "Contract Error", "ACTION_REF_NOT_FOUND"),
        (without(EventDate="yesterday", ItemQuantity1="x"), "Validation", "INVALID_EVENT_DATE MALFORMED"),
        (without(*(name for name in SALE if name.startswith("Item"))), "Validation", "NO_ITEM"),
        (without("ActionTrackerId", EventTypeCode="sale"), "Validation", "ACTIONTRACKER_NOT_FOUND"),
    ],
)
def test_what_is_wrong_is_told_by_the_submission(box: Box, given: dict[str, str], kind: str, reasons: str) -> None:
    """It is queued like any other, and complete with errors."""
    assert box.outcome(box.call("POST", "Conversions", data=given)) == ("Conversion", "Complete", kind, reasons)
    assert box.sandbox.state()["actions"] == []


def test_an_order_s_sum_beside_its_items_changes_nothing(box: Box) -> None:
    """Without items it is the amount."""
    told = box.outcome(box.call("POST", "Conversions", data=SALE | {"Amount": "45.50"}))
    bare = without(*(name for name in SALE if name.startswith("Item")), OrderId="A-2", OrderSubTotalPostDiscount="7.00")
    assert [told, box.outcome(box.call("POST", "Conversions", data=bare))] == [TAKEN, TAKEN]
    assert [one["amount"] for one in box.sandbox.state()["actions"]] == ["45.50", "7.00"]


def test_an_order_is_taken_once_by_whichever_way(box: Box) -> None:
    """What came by file is a duplicate by the API."""
    box.sandbox.desk.receive("a.csv", f"{ITEM}\r\n{item()}\r\n".encode(), "test")
    told = box.outcome(box.call("POST", "Conversions", data=SALE))
    assert told == ("Conversion", "Complete", "Validation", "CONV_DUPLICATE")


def test_the_documented_example_of_a_submission_has_these_fields(box: Box) -> None:
    """Nothing is missing, numbers are strings, and an unknown id is 404."""
    path = box.call("POST", "Conversions", data=SALE).json()["QueuedUri"]
    told = box.http.get(box.sandbox.url + path).json()
    assert set(told) == {
        *("BatchId", "AccountId", "SubmissionDate", "CampaignId", "ActionTrackerId", "MediaPartnerId", "EventCode"),
        *("OrderId", "Payload", "Type", "Status", "CompletionDate", "ErrorType", "ErrorReason", "Uri"),
    }
    assert (told["CampaignId"], told["Uri"], told["Payload"][:16]) == ("1000", path, "CampaignId=1000&")
    assert box.get("APISubmissions")["APISubmission"] == [told]
    assert box.call("GET", "APISubmissions/A-none").status_code == 404


def test_a_submission_takes_its_time_and_is_kept_for_90_days(start: Boxes) -> None:
    """Queued, in progress, complete; then it is gone."""
    box = start(delay_seconds=60)
    answer = box.call("POST", "Conversions", data=SALE)
    seen = []
    for seconds in (0, 31, 60):
        box.now = NOW + timedelta(seconds=seconds)
        seen.append((box.outcome(answer)[1], len(box.sandbox.state()["actions"])))
    assert seen == [("Queued", 0), ("In Progress", 0), ("Complete", 1)]
    box.now = NOW + timedelta(days=91)
    assert box.http.get(box.sandbox.url + answer.json()["QueuedUri"]).status_code == 404


# Corrections ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "told", "amount"),
    [
        ({"Amount": "0", "Reason": "ITEM_RETURNED"}, "", "0.00"),
        ({"Amount": "45.50", "Reason": "OTHER"}, "NO_CHANGE", "45.50"),
        ({"Sku": "MUG-1", "Quantity": "1", "Amount": "20", "Reason": "ORDER_UPDATE"}, "", "25.50"),
        ({"Sku": "MUG-1", "ItemSubTotalDelta": "-2.50", "DispositionCode": "ORDER_UPDATE"}, "", "43.00"),
        ({"Sku": "CRD-9", "Amount": "0", "Quantity": "0", "Sku2": "MUG-1", "Amount2": "1", "Quantity2": "1",
          "Reason": "ORDER_UPDATE"}, "", "1.00"),
        ({"Amount": "1", "Reason": "REJECTED"}, "BAD_DISPOSITION", "45.50"),
        ({"Amount": "1", "Reason": "OTHER", "OrderId": "B-1"}, "ACTION_NOT_FOUND", "45.50"),
    ],
)  # fmt: skip
def test_an_action_is_modified(box: Box, given: dict[str, str], told: str, amount: str) -> None:
    """Whole or by items, and the log has what was changed."""
    box.outcome(box.call("POST", "Conversions", data=SALE))
    answer = box.call("PUT", "Actions", data={"ActionTrackerId": "4321", "OrderId": "A-1"} | given)
    assert box.outcome(answer) == ("Modification", "Complete", "Validation" if told else "", told)
    assert box.get("Actions", CampaignId=1000)["Actions"][0]["Amount"] == amount
    assert bool(box.get("ActionUpdates", CampaignId=1000)["ActionUpdates"]) == (not told)


def test_an_action_is_reversed_by_a_form_on_delete(box: Box) -> None:
    """Also one of amount 0; the second time it is reversed already."""
    free = without(*(name for name in SALE if name.startswith("Item")), Amount="0")
    box.outcome(box.call("POST", "Conversions", data=free))
    given = {"ActionId": box.get("Actions", CampaignId=1000)["Actions"][0]["Id"], "DispositionCode": "REJECTED"}
    told = [box.outcome(box.call("DELETE", "Actions", data=given)) for _ in range(2)]
    assert told == [("Reversal", "Complete", "", ""), ("Reversal", "Complete", "Validation", "ALREADY_REVERSED")]
    assert box.get("Actions", CampaignId=1000, State="REVERSED")["@total"] == "1"
    (update,) = box.get("ActionUpdates", CampaignId=1000)["ActionUpdates"]
    assert (update["State"], update["Disposition"], update["DeltaAmount"]) == ("REVERSED", "REJECTED", "0.00")


@pytest.mark.parametrize(
    ("method", "given"),
    [
        ("PUT", {"OrderId": "A-1", "Reason": "OTHER"}),
        ("PUT", {"ActionId": "1.2.3"}),
        ("DELETE", {"ActionId": "1.2.3", "Reason": "OTHER"}),
        ("DELETE", {"DispositionCode": "OTHER"}),
    ],
)
def test_an_action_has_to_be_named_and_the_reason_too(box: Box, method: str, given: dict[str, str]) -> None:
    """400 otherwise."""
    assert box.call(method, "Actions", data=given).status_code == 400


# Lists ------------------------------------------------------------------------------------------------------------


def test_actions_are_listed_page_by_page(start: Boxes) -> None:
    """Who follows @nextpageuri has seen all of them; more than ten pages are an error."""
    box = start(min_page_size=3, numbers="numbers")
    box.sandbox.desk.receive("a.csv", "\r\n".join([ITEM, *(item(f"A-{n}") for n in range(31))]).encode(), "test")
    assert box.call("GET", "Actions", params={"CampaignId": 1000, "PageSize": 3}).status_code == 400
    told = box.get("Actions", CampaignId=1000, PageSize=4)
    assert (told["@page"], told["@numpages"], told["@total"]) == (1, 8, 31)
    seen = [one["Oid"] for one in told["Actions"]]
    while told["@nextpageuri"]:
        told = box.http.get(box.sandbox.url + told["@nextpageuri"]).json()
        seen += [one["Oid"] for one in told["Actions"]]
    assert seen == [f"A-{n}" for n in range(31)]
    assert told["Actions"][0]["Amount"] == 40


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({}, 400),
        ({"CampaignId": "1000"}, 200),
        ({"CampaignId": "1000", "StartDate": days_ago(1)}, 400),
        ({"CampaignId": "1000", "EndDate": days_ago(1)}, 400),
        ({"CampaignId": "1000", "StartDate": days_ago(46), "EndDate": days_ago(1)}, 200),
        ({"CampaignId": "1000", "StartDate": days_ago(47), "EndDate": days_ago(1)}, 400),
        ({"CampaignId": "1000", "StartDate": days_ago(1100), "EndDate": days_ago(1090)}, 400),
        ({"CampaignId": "1000", "StartDate": "last week", "EndDate": days_ago(1)}, 400),
        ({"CampaignId": "1000", "PageSize": "1999"}, 400),
        ({"CampaignId": "1000", "PageSize": "2000", "Page": "9"}, 200),
        ({"CampaignId": "1000", "Page": "0"}, 400),
    ],
)
@pytest.mark.parametrize("path", ["Actions", "ActionUpdates"])
def test_the_rules_of_dates_and_pages(box: Box, path: str, query: dict[str, str], status: int) -> None:
    """A program, both dates or none, 45 days at most, 3 years back at most, pages of 2,000 at least."""
    assert box.call("GET", path, params=query).status_code == status


def test_actions_are_found_by_their_last_update_and_by_their_lock(box: Box) -> None:
    """Without dates those of the last seven days; becoming approved is no update."""
    box.outcome(box.call("POST", "Conversions", data=SALE))
    locks_at = box.get("Actions", CampaignId=1000)["Actions"][0]["LockingDate"]
    box.now = NOW + timedelta(days=20)
    assert box.get("Actions", CampaignId=1000)["@total"] == "0"
    given = {"ActionTrackerId": "4321", "OrderId": "A-1", "Amount": "1", "Reason": "OTHER"}
    assert box.outcome(box.call("PUT", "Actions", data=given))[3] == ""
    assert box.get("Actions", CampaignId=1000)["@total"] == "1"
    box.now = NOW + timedelta(days=46)
    assert box.get("Actions", CampaignId=1000)["@total"] == "0"
    (found,) = box.get("Actions", CampaignId=1000, LockingDateStart=locks_at, LockingDateEnd=locks_at)["Actions"]
    assert found["State"] == "APPROVED"
    assert box.get("Actions", CampaignId=1000, ActionDateStart=TODAY, ActionDateEnd=TODAY)["@total"] == "1"
    assert box.get("Actions", CampaignId=1000, LockingDateStart=days_ago(-50))["@total"] == "0"


def test_files_are_listed_with_their_errors(box: Box) -> None:
    """By the times of their submission and completion; ErrorsUri leads to the lines."""
    box.sandbox.desk.receive("a.csv", f"{ITEM}\r\n{item()}\r\n{item('B', currency='X')}\r\n".encode(), "test")
    box.sandbox.desk.receive("b.csv", f"{ITEM}\r\n{item('C')}\r\n".encode(), "test")
    first, second = box.get("FTPFileSubmissions")["FTPFileSubmissions"]
    assert [first[name] for name in ("FileName", "Type", "Status", "TotalRecords", "TotalErrors")] == [
        *("a.csv", "Conversion", "Complete", "2", "1")
    ]
    assert second["TotalErrors"] == "0"
    assert box.get(f"FTPFileSubmissions/{first['BatchId']}") == first
    told = box.http.get(box.sandbox.url + first["ErrorsUri"]).json()["ErrorDetail"]
    assert told == [
        {"Line": "3", "OrderId": "B", "Sku": "MUG-1", "Category": "Mugs", "CampaignId": "1000",
         "ActionTrackerId": "4321", "MediaPartnerId": "", "Status": "Validation", "Reason": "INVALID_CURRENCY_CODE"}
    ]  # fmt: skip
    for name, days, number in (("Submission", 1, "2"), ("Submission", -1, "0"), ("Completed", 1, "2")):
        assert box.get("FTPFileSubmissions", **{f"{name}DateStart": days_ago(days)})["@total"] == number
    assert box.get("FTPFileSubmissions", CompletedDateEnd=days_ago(1))["@total"] == "0"
    assert box.call("GET", "FTPFileSubmissions", params={"SubmissionDateStart": "x"}).status_code == 400
    assert box.call("GET", "FTPFileSubmissions/F-none/ErrorDetails").status_code == 404


def test_the_other_spellings_of_lists(start: Boxes) -> None:
    """An older name of the rows, and the other path of errors."""
    box = start(file_rows_key="APISubmission", errors_uri="Errors", numbers="numbers")
    box.sandbox.desk.receive("a.csv", f"{ITEM}\r\n{item(currency='X')}\r\n".encode(), "test")
    (file,) = box.get("FTPFileSubmissions")["APISubmission"]
    assert file["ErrorsUri"].endswith(f"/FTPSubmissions/{file['BatchId']}/Errors")
    assert box.http.get(box.sandbox.url + file["ErrorsUri"]).json()["ErrorDetail"][0]["Line"] == 2


# Who may, and how often -------------------------------------------------------------------------------------------


def test_who_may_call(start: Boxes) -> None:
    """401 without the right token, 403 for another account or a scope that is missing, 404 and 405 for what is not."""
    box = start(deny="Conversions")
    sid, token = box.sandbox.account_sid, box.sandbox.auth_token
    for auth in (None, (sid, "wrong"), ("wrong", token), (sid.lower(), token)):
        answer = httpx.get(f"{box.base}/FTPFileSubmissions", auth=auth, trust_env=False)
        assert (answer.status_code, answer.json()["Status"]) == (401, "ERROR")
        assert token not in answer.text
    assert box.call("POST", "Conversions", data=SALE).status_code == 403
    assert box.http.get(f"{box.sandbox.url}/Advertisers/other/Actions").status_code == 403
    assert box.call("GET", "Catalogs").status_code == 404
    assert box.http.get(f"{box.sandbox.url}/nowhere").status_code == 404
    assert box.call("POST", "Actions", data={}).status_code == 405
    assert box.call("GET", "FTPFileSubmissions", headers={"IR-Version": "14"}).status_code == 200


@pytest.mark.parametrize(
    ("spelling", "conversion", "other"),
    [
        ("documented", {"Status", "errors"}, {"Status", "Message", "Errors"}),
        ("upper", {"Status", "Message", "Errors"}, {"Status", "Message", "Errors"}),
        ("lower", {"Status", "errors"}, {"Status", "errors"}),
    ],
)
def test_errors_are_spelled_in_one_of_two_ways(
    start: Boxes, spelling: str, conversion: set[str], other: set[str]
) -> None:
    """Both are in impact.com's documents."""
    box = start(error_spelling=spelling)
    assert set(box.call("POST", "Conversions", data={}).json()) == conversion
    assert set(box.call("GET", "Actions").json()) == other


@pytest.mark.parametrize(
    "given",
    [
        {"content": b"{", "headers": {"Content-Type": "application/json"}},
        {"content": b"[]", "headers": {"Content-Type": "application/json"}},
        {"json": {"OrderId": {"a": 1}}},
        {"content": b"\xff=1", "headers": {"Content-Type": "application/x-www-form-urlencoded"}},
    ],
)
def test_a_body_that_cannot_be_read_is_refused(box: Box, given: dict[str, Any]) -> None:
    """400, and nothing is queued."""
    assert box.call("POST", "Conversions", **given).status_code == 400
    assert box.sandbox.state()["submissions"] == []


def test_calls_are_limited(start: Boxes) -> None:
    """Each answer tells what is left; too many are 429 until the window is over. The sandbox's own calls are free."""
    box = start(rate_limit=2, rate_window_seconds=3600)
    told = []
    for _ in range(3):
        box.http.get(f"{box.sandbox.url}/sandbox/state")
        answer = box.call("GET", "FTPFileSubmissions")
        told.append((answer.status_code, answer.headers["X-RateLimit-Remaining"], answer.headers["X-RateLimit-Reset"]))
    assert told == [(200, "1", "3600"), (200, "0", "3600"), (429, "0", "3600")]
    box.now = NOW + timedelta(hours=1)
    assert box.call("GET", "FTPFileSubmissions").status_code == 200
    assert box.sandbox.state()["calls_per_minute"] == {"2026-11-27T12:00+00:00": 3, "2026-11-27T13:00+00:00": 1}


def test_the_reset_may_be_a_unix_time(start: Boxes) -> None:
    """As in the documents' example."""
    box = start(rate_reset="unix")
    reset = box.call("GET", "FTPFileSubmissions").headers["X-RateLimit-Reset"]
    assert datetime.fromtimestamp(int(reset), NOW.tzinfo) == NOW + timedelta(hours=1)


# The page ---------------------------------------------------------------------------------------------------------


def test_the_page_shows_what_came_and_runs_none_of_it(box: Box) -> None:
    """Names and values are text there, whatever is in them; it is for who knows the token."""
    evil = "<script>alert(1)</script>"
    box.sandbox.desk.receive(f"{evil}.csv", f"{ITEM}\r\n{item(evil, sku=evil)}\r\n".encode(), "test")
    box.sandbox.desk.receive("b.csv", f"{ITEM}\r\n{item(evil)}\r\n".encode(), "test")
    page = box.http.get(f"{box.sandbox.url}/")
    assert page.headers["Content-Type"].startswith("text/html")
    assert "<script" not in page.text
    assert page.text.count("&lt;script&gt;alert(1)") >= 4
    assert "CONV_DUPLICATE" in page.text
    assert httpx.get(f"{box.sandbox.url}/", trust_env=False).status_code == 401

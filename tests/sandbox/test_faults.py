"""Faults that are planted in a sandbox: what they do, and that they do it every time alike."""

import json
import time
from collections import Counter
from pathlib import Path

import httpx
import pytest

from tests.sandbox.conftest import Box, Boxes
from tests.sandbox.test_api import SALE
from tests.sandbox.world import ITEM, item


@pytest.fixture
def box(start: Boxes) -> Box:
    """A sandbox with its defaults."""
    return start()


def plant(box: Box, *faults: object) -> None:
    """Plant faults while the sandbox runs."""
    answer = box.http.post(f"{box.sandbox.url}/sandbox/faults", json=list(faults))
    assert answer.status_code == 204, answer.text


@pytest.mark.parametrize("status", ["429", "500", "520"])
def test_a_call_is_answered_with_an_error_and_not_carried_out(box: Box, status: str) -> None:
    """So many times, for the calls that are meant, and then all is well."""
    plant(box, {"answer": status, "method": "POST", "path": "Conversions$", "times": 2})
    assert box.call("GET", "FTPFileSubmissions").status_code == 200
    told = [box.call("POST", "Conversions", data=SALE).status_code for _ in range(3)]
    assert told == [int(status), int(status), 200]
    assert len(box.sandbox.state()["submissions"]) == 1


@pytest.mark.parametrize(("after", "number"), [(False, 0), (True, 1)])
@pytest.mark.parametrize(
    ("fault", "trouble"),
    [("cut", httpx.RemoteProtocolError), ("timeout", httpx.ReadTimeout)],
)
def test_a_connection_is_cut_or_silent_before_or_after_the_call_was_taken(
    box: Box, fault: str, trouble: type[Exception], after: bool, number: int
) -> None:
    """The caller cannot know which."""
    plant(box, {"answer": fault, "after": after})
    with pytest.raises(trouble):
        box.call("POST", "Conversions", data=SALE, timeout=0.2)
    assert len(box.sandbox.state()["submissions"]) == number
    assert box.call("POST", "Conversions", data=SALE).status_code == 200


def test_answers_are_not_what_they_should_be(box: Box) -> None:
    """HTML, JSON that breaks off, ten megabytes, and a redirect."""
    plant(box, *({"answer": kind, "after": True} for kind in ("html", "truncated", "huge", "redirect")))
    html, truncated, huge, redirect = (box.call("POST", "Conversions", data=SALE) for _ in range(4))
    assert (html.status_code, html.headers["Content-Type"]) == (200, "text/html")
    with pytest.raises(json.JSONDecodeError):
        truncated.json()
    assert len(huge.content) > 10_000_000
    assert (redirect.status_code, redirect.headers["Location"]) == (302, "/elsewhere")
    assert [one["reasons"] for one in box.sandbox.state()["submissions"]] == [[], *([["CONV_DUPLICATE"]] * 3)]


def test_a_share_of_calls_fails_by_a_seed(start: Boxes) -> None:
    """The same seed fails the same calls."""

    def failed(seed: int) -> list[int]:
        box = start()
        plant(box, {"answer": "500", "share": 0.3, "seed": seed})
        return [number for number in range(40) if box.call("GET", "FTPFileSubmissions").status_code == 500]

    first = failed(7)
    assert 4 < len(first) < 20
    assert failed(7) == first
    assert failed(8) != first


def test_an_order_is_rejected_with_any_code_by_file_and_by_call(box: Box) -> None:
    """Also with one that no list has."""
    plant(box, {"reject": "A-1", "reason": "CONTRACT_NOT_FOUND"}, {"reject": "A-2", "reason": "NEVER_HEARD_OF"})
    box.sandbox.desk.receive(
        "a.csv", "\r\n".join([ITEM, item(), item(sku="S2"), item("A-2"), item("A-3")]).encode(), ""
    )
    (file,) = box.sandbox.state()["files"]
    assert [(one["Line"], one["Status"], one["Reason"]) for one in file["errors"]] == [
        (2, "Contract Error", "CONTRACT_NOT_FOUND"),
        (3, "Contract Error", "CONTRACT_NOT_FOUND"),
        (4, "Validation", "NEVER_HEARD_OF"),
    ]
    told = box.outcome(box.call("POST", "Conversions", data=SALE))
    assert told == ("Conversion", "Complete", "Contract Error", "CONTRACT_NOT_FOUND")
    box.http.delete(f"{box.sandbox.url}/sandbox/faults")
    assert box.outcome(box.call("POST", "Conversions", data=SALE))[3] == ""


def test_files_get_lost_or_are_late(box: Box) -> None:
    """By a pattern of their names: a lost one is in no list of the API."""
    plant(box, {"lose": "lost*"}, {"delay": 60, "file": "late*"})
    for name in ("lost-1.csv", "lost-2.csv", "late.csv"):
        box.sandbox.desk.receive(name, f"{ITEM}\r\n".encode(), "test")
    rows = box.get("FTPFileSubmissions")["FTPFileSubmissions"]
    assert [(one["FileName"], one["Status"]) for one in rows] == [("lost-2.csv", "Complete"), ("late.csv", "Queued")]
    assert box.sandbox.state()["lost_files"] == ["lost-1.csv"]


def test_actions_are_closed_by_hand(box: Box) -> None:
    """Approved and locked ones are changed no more."""
    box.sandbox.desk.receive("a.csv", "\r\n".join([ITEM, item("A"), item("B")]).encode(), "test")
    plant(box, {"approve": "A"}, {"lock": "B"})
    told = [
        box.outcome(
            box.call(
                "DELETE", "Actions", data={"ActionTrackerId": "4321", "OrderId": order, "DispositionCode": "OTHER"}
            )
        )
        for order in ("A", "B")
    ]
    assert [one[3] for one in told] == ["ALREADY_APPROVED", "ALREADY_LOCKED"]


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        ({}, "exactly one of"),
        ({"answer": "499"}, "answer: one of"),
        ({"answer": "500", "share": 2}, "share: a number"),
        ({"answer": "500", "times": -1}, "times: a whole number"),
        ({"answer": "500", "path": "("}, "no regular expression"),
        ({"answer": "500", "tiems": 1}, "'tiems'"),
        ({"answer": "cut", "after": "no"}, "after: true or false"),
        ({"reject": "A-1"}, "reason: a text"),
        ({"lose": 3}, "lose: a text"),
        ([[]], "a JSON object"),
    ],
)
def test_a_fault_that_is_none_is_refused_with_a_sentence(box: Box, fault: object, sentence: str) -> None:
    """And nothing is planted; a page elsewhere cannot plant any."""
    url = f"{box.sandbox.url}/sandbox/faults"
    answer = box.http.post(url, json=fault)
    assert answer.status_code == 400
    assert sentence in answer.json()["Message"]
    assert box.http.post(url, content=b'{"lose": "*"}', headers={"Content-Type": "text/plain"}).status_code == 415
    assert httpx.post(url, json={"lose": "*"}, trust_env=False).status_code == 401
    assert box.call("GET", "FTPFileSubmissions").status_code == 200


def test_faults_may_be_there_from_the_start(start: Boxes, tmp_path: Path) -> None:
    """From a file."""
    (tmp_path / "faults.json").write_text('[{"answer": "503", "times": 1}]', "utf-8")
    box = start(faults=tmp_path / "faults.json")
    assert Counter(box.call("GET", "FTPFileSubmissions").status_code for _ in range(3)) == {503: 1, 200: 2}


def test_a_call_that_is_held_up_holds_up_no_end(start: Boxes) -> None:
    """Who leaves the sandbox does not wait for a planted silence."""
    box = start()
    plant(box, {"answer": "timeout", "seconds": 600})
    with pytest.raises(httpx.ReadTimeout):
        box.call("GET", "FTPFileSubmissions", timeout=0.1)
    began = time.monotonic()
    box.sandbox.__exit__()
    assert time.monotonic() - began < 10

"""Without access to the API a person reads impact.com's report, and gets the same as if it had been asked."""

import json
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from app.cli import cli
from app.errors import Conflict, InvalidFile, NotFound
from app.service import Service
from app.submissions.by_hand import Outcome, batch_in_name, record_by_hand
from app.submissions.record import Trouble
from app.submissions.report import read_report
from app.submissions.submission import ErrorLine
from tests.conftest import Clock
from tests.submissions.impact import Impact, export, look
from tests.submissions.test_follow import HOUR, states
from tests.support import NOW, order

NAME = "2026-11-22_ActionData_default_0123456789abcdef.csv"
ONE = ErrorLine(("NO_ITEM",), 3, "A", "x", None, "Validation")


@pytest.mark.parametrize(
    "content",
    [
        "Line,OrderId,Sku,Status,Reason\r\n3,A,x,Validation,NO_ITEM\r\n",
        "\ufeffreason;ORDER ID;sku;line number;Error Type;Oid\n NO_ITEM ;A;x;3;Validation;\n;;;;;\n",
        "Oid\tSKU\tRow\tstatus\tError Code\nA\tx\t3\tValidation\tNO_ITEM\n",
        json.dumps([{"Line": 3, "OrderId": "A", "Sku": "x", "Status": "Validation", "Reason": "NO_ITEM", "More": {}}]),
        json.dumps({"@total": "1", "ErrorDetail": [{"Line": "3", "OrderId": "A", "Sku": "x", "Status": "Validation"}
            | {"Reason": "NO_ITEM"}]}),
    ],
)  # fmt: skip
def test_an_error_report_is_read_however_it_is_spelled(content: str) -> None:
    """Columns in any order, case and spelling, with commas, semicolons or tabs, or as the API's JSON."""
    assert read_report(content.encode(), NAME).errors == (ONE,)


def test_a_report_takes_back_no_refusal(service: Service, client: TestClient, clock: Clock) -> None:
    """Where impact.com's API shows one of two errors and a person's report the other, both orders are rejected."""
    [name] = export(service, *(order(one, items=1) for one in "ABC"))
    api = Impact()
    api.has(name, {"Line": "2", "OrderId": "A", "Reason": "CONTRACT_NOT_FOUND"}, records=3, TotalErrors="2")
    clock.now += HOUR
    look(service, api, clock)
    assert states(client, "A", "B", "C") == ["rejected", "delivered", "delivered"]
    read(service, name, "Line,OrderId,Reason\n3,B,CONTRACT_NOT_FOUND\n")
    assert states(client, "A", "B", "C") == ["rejected", "rejected", "accepted"]


def test_what_became_of_each_row_is_read_too() -> None:
    """A result file that lists good rows as well says how many there are."""
    report = read_report(b"Line,OrderId,Result\n2,A,Success\n3,B,failed\n", NAME)
    assert (report.errors, report.total_records) == ((ErrorLine(("failed",), 3, "B", error_type="failed"),), 2)


def test_a_list_of_files_says_how_ours_went() -> None:
    """Of several files the one with the name of ours counts; a single row may leave the name out."""
    listing = f"File Name,Status,Total Records,Total Errors\nother.csv,Complete,9,9\n{NAME},Complete,4,0\n"
    for content in (listing, "Records,Errors,Status\n4,0,Complete\n"):
        report = read_report(content.encode(), NAME)
        assert (report.total_records, report.total_errors, report.is_through) == (4, 0, True)


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"Line,OrderId,Reason\n", b"\xff\xfe", b"{", b'["a"]', b"<html><body>Sign in</body></html>"),
        *(b"Hello,World\n1,2\n", b"Line,Reason\n,NO_ITEM\n", b"Line,Status\n2,Whatever\n", b"OrderId,Amount\nA,1\n"),
        b"FileName,TotalErrors\nother.csv,0\n",
        b"FileName,TotalErrors\n" + NAME.encode() + b",many\n",
    ],
)
def test_what_is_not_understood_is_refused(content: bytes) -> None:
    """Nothing is guessed: the sentence says so, and that nothing was recorded."""
    with pytest.raises(InvalidFile, match=r"Nothing was recorded\.$"):
        read_report(content, NAME)


@pytest.mark.parametrize("name", [NAME, f"receipt_{NAME}", f"result_{NAME}", f"{NAME[:-4]} (1).json"])
def test_the_name_of_a_report_tells_the_batch(name: str) -> None:
    """impact.com names its reports after our files."""
    assert batch_in_name(name) == "0123456789abcdef"
    assert batch_in_name("ErrorDetails.csv") is None


def read(service: Service, filename: str, content: str | None, *, dry_run: bool = False) -> Outcome:
    """Record what a report says of a file."""
    report = None if content is None else read_report(content.encode(), filename)
    batch_id = batch_in_name(filename)
    assert batch_id
    return record_by_hand(service.database, batch_id, report, NOW, dry_run=dry_run)


def test_a_report_does_what_the_api_would(service: Service, client: TestClient) -> None:
    """Orders and batch get their states; a dry run records nothing, and the same report again changes nothing."""
    [name] = export(service, order("A", items=1), order("B", items=1))
    report = "Line,OrderId,Reason\n3,B,CONTRACT_NOT_FOUND\n"
    told = read(service, name, report, dry_run=True)
    assert ((told.accepted, told.rejected), states(client, "A", "B")) == ((1, 1), ["delivered", "delivered"])
    assert read(service, name, report) == told
    assert states(client, "A", "B") == ["accepted", "rejected"]
    assert not read(service, name, report).is_new
    with pytest.raises(Conflict, match=r"not what is known .* Nothing was recorded\."):
        read(service, name, None)
    with pytest.raises(Conflict):
        read(service, name, "OrderId,Reason\nA,CONTRACT_NOT_FOUND\nB,CONTRACT_NOT_FOUND\n")
    assert states(client, "A", "B") == ["accepted", "rejected"]


def test_a_person_vouches_for_a_file(service: Service, client: TestClient) -> None:
    """Complete with 0 errors, as seen in the interface: all is accepted, once."""
    [name] = export(service, "A")
    assert read(service, name, None).accepted == 1
    assert states(client, "A") == ["accepted"]
    assert not read(service, name, None).is_new
    with pytest.raises(Conflict):
        read(service, name, "OrderId,Reason\nA,NO_ITEM\n")


def test_a_person_ends_what_did_not_add_up(service: Service, client: TestClient, clock: Clock) -> None:
    """Errors of nobody keep the rest open, and are kept; a person who has looked says that nothing else was refused."""
    [name] = export(service, "A", "B")
    api = Impact()
    api.has(name, {"OrderId": "?", "Reason": "NO_ITEM"}, {"OrderId": "B", "Reason": "NO_ITEM"})
    clock.now += HOUR
    look(service, api, clock)
    assert states(client, "A", "B") == ["delivered", "rejected"]
    assert (read(service, name, None).accepted, states(client, "A", "B")) == (1, ["accepted", "rejected"])


def test_counts_without_reasons_are_no_result(service: Service, client: TestClient) -> None:
    """A list of files says how many errors there are; which ones, its error report has to tell."""
    [name] = export(service, "A", "B")
    listing = f"FileName,Status,TotalRecords,TotalErrors\n{name},Complete,4,1\n"
    assert read(service, name, listing).trouble is Trouble.ERRORS_MISSING
    assert states(client, "A", "B") == ["delivered", "delivered"]
    assert read(service, name, "OrderId,Reason\nB,NO_ITEM\n").trouble is None
    assert states(client, "A", "B") == ["accepted", "rejected"]


def test_what_has_not_left_has_no_result(service: Service) -> None:
    """Neither has what does not exist."""
    service.channels = {}
    with pytest.raises(NotFound, match="There is no batch"):
        record_by_hand(service.database, "none", None, NOW)


def test_the_command_says_what_it_did(
    service: Service, client: TestClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Counts, how lines were counted, and status 1 where a person has to look; the report's name tells the batch."""
    [name] = export(service, "A", "B")
    values: dict[str, Any] = {"DATABASE_URL": service.settings.database_url.get_secret_value()}
    values |= {"CAMPAIGN_ID": "1000", "ACTION_TRACKER_ID": "4321"}
    for key, value in values.items():
        monkeypatch.setenv(f"CAPTURE_{key}", value.replace("+psycopg", ""))
    report = tmp_path / f"result_{name}"
    report.write_text("Line,OrderId,Sku,Reason\n2,A,SKU-1,NO_ITEM\n", "utf-8")
    told = CliRunner().invoke(cli, ["results", str(report)])
    assert told.exit_code == 0, told.output
    assert f"{name}: 1 accepted, 1 accepted in part, 0 rejected." in told.stdout
    assert "Line does not count the header" in told.stdout
    assert states(client, "A", "B") == ["partly_accepted", "accepted"]
    assert "known already" in CliRunner().invoke(cli, ["results", str(report)]).stdout
    report = report.rename(tmp_path / "report.csv")
    assert CliRunner().invoke(cli, ["results", str(report)]).exit_code == 2
    assert CliRunner().invoke(cli, ["results", "--accepted"]).exit_code == 2

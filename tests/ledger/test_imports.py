"""Importing files: every line is recorded, was there, or is rejected with its reason; again and after a kill, too."""

import csv
import hashlib
import io
import json
import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from app.batches.batch import AgeLimit, render
from app.conversions.order import Item, Order, merge
from app.conversions.store import CONVERSION, ITEM, REVISION, load
from app.database import Database
from app.errors import Conflict, InvalidFile, NotFound, Unavailable
from app.event_type import EventType
from app.ledger import imports
from app.ledger.import_tally import Fate, Tally, sentences
from app.ledger.imports import Import, Request
from tests.conftest import SettingsFactory
from tests.soak import SOAK, chance
from tests.support import NOW, ORDER_KEY, bearer, body
from tests.test_cli import COMMAND, run, surroundings

OWN = "CampaignId,ActionTrackerId,EventDate,OrderId,ClickId,CustomerId,CurrencyCode,Amount,Category,Sku,Quantity"
RECORDED, PRESENT, REJECTED = Fate
LIMIT = AgeLimit(87, 397)
BEGAN = datetime.now(UTC).replace(microsecond=0)
KILLS = 60 if SOAK else 6


def no_sleep(_: float) -> None:
    """Wait for nothing."""


@pytest.fixture
def take(database: Database, make_settings: SettingsFactory, tmp_path: Path) -> Callable[..., Tally]:
    """Import a file's content, or the file."""

    def take(content: str | bytes | Path, name: str = "orders.csv", **request: Any) -> Tally:
        path = content if isinstance(content, Path) else tmp_path / name
        if not isinstance(content, Path):
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        chosen = make_settings(event_types=request.pop("event_types", {}))
        asked = {"rejects": tmp_path / "rejects.csv"} | request
        return Import(database, chosen, Request(path, **asked), lambda: NOW, no_sleep).run()

    return take


def recorded(database: Database) -> list[Order]:
    """Return the orders in the database, in the order of recording."""
    with database.snapshot() as session:
        ids = list(session.connection().execute(select(REVISION.c.id).order_by(REVISION.c.id)).scalars())
        return [one.order for one in load(session, ids)]


def line(order_id: str, sku: str = "S-1", amount: str = "10.00", click: str = "c1", date: str = "") -> str:
    """Return a line in impact.com's item-level layout."""
    date = date or (NOW - timedelta(days=2)).isoformat()
    return f"1000,4321,{date},{order_id},{click},u1,USD,{amount},Mugs,{sku},1"


def file(*lines: str) -> str:
    """Return a file in that layout."""
    return "\r\n".join((OWN, *lines, ""))


def rows(path: Path) -> list[dict[str, str]]:
    """Return the lines of a rejects file."""
    return list(csv.DictReader(io.StringIO(path.read_text("utf-8"), newline="")))


# What became of the lines -----------------------------------------------------------------------------------------


def test_every_line_is_recorded_there_already_or_rejected(
    take: Callable[..., Tally], database: Database, tmp_path: Path
) -> None:
    """The counts add up to the file, amounts to the cent, and the rejected lines lie there with their reasons."""
    take(file(line("OLD"), line("CHANGED")), name="before.csv")
    old = (NOW - timedelta(days=100)).isoformat()
    tally = take(
        file(
            *(line("A"), line("A", "S-2", "0.55"), line("OLD"), line("CHANGED", amount="9.99")),
            *(line("HELD", click=""), line("BAD", amount="x"), line("BAD", "S-2"), line("ANCIENT", date=old)),
        )
    )
    assert tally.lines == {RECORDED: 4, PRESENT: 1, REJECTED: 3}
    assert tally.orders == {RECORDED: 3, PRESENT: 1, REJECTED: 2}
    assert tally.sums == {"USD": {RECORDED: [3, 4, 3055], PRESENT: [1, 1, 1000]}}
    assert (tally.held, tally.too_old) == (1, 1)
    assert tally.codes == {"ORDER_EXISTS": 1, "AMOUNT_NEGATIVE_OR_NOT_A_NUMBER": 1}
    rejected = rows(tmp_path / "rejects.csv")
    assert [(row["OrderId"], row["RejectLine"], row["RejectCode"]) for row in rejected] == [
        ("CHANGED", "5", "ORDER_EXISTS"),
        ("BAD", "7", "AMOUNT_NEGATIVE_OR_NOT_A_NUMBER"),
        ("BAD", "8", "AMOUNT_NEGATIVE_OR_NOT_A_NUMBER"),
    ]
    assert "line 7, Amount" in rejected[2]["RejectReason"]
    assert [one.order_id for one in recorded(database)] == ["OLD", "CHANGED", "A", "HELD", "ANCIENT"]
    told = "\n".join(sentences(tally, dry_run=False))
    assert "8 lines: 4 were recorded, 1 were there already, 3 were rejected." in told
    assert "USD: 3 orders of 4 items, 30.55, were recorded." in told


def test_the_same_file_again_changes_nothing(take: Callable[..., Tally], database: Database, tmp_path: Path) -> None:
    """Everything was there already; nothing lies about."""
    content = file(line("A"), line("B"), line("B", "S-2"))
    assert take(content).lines == {RECORDED: 3}
    before = recorded(database)
    assert take(content).lines == {PRESENT: 3}
    assert recorded(database) == before
    assert sorted(path.name for path in tmp_path.iterdir() if "rejects" in path.name) == []


def test_a_rejects_file_is_never_overwritten(take: Callable[..., Tally], tmp_path: Path) -> None:
    """It may be the only trace of what is missing."""
    take(file(line("A", amount="x")))
    before = (tmp_path / "rejects.csv").read_bytes()
    with pytest.raises(Conflict, match="move it away"):
        take(file(line("B", amount="x")))
    assert (tmp_path / "rejects.csv").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir() if "rejects" in path.name) == ["rejects.csv"]


def test_a_repaired_rejects_file_can_be_imported(
    take: Callable[..., Tally], database: Database, tmp_path: Path
) -> None:
    """As it is, notes and all; what is rejected of it again has one set of notes, and is as it came otherwise."""
    first, second, third = (tmp_path / f"rejects-{number}.csv" for number in range(3))
    take(file(line("A", amount="x"), line("B", sku='"S,""é"', amount="x"), line("C", click="ä")), rejects=first)
    assert line("B", sku='"S,""é"', amount="x") in first.read_text("utf-8")
    repaired = first.read_text("utf-8").replace("x,Mugs,S-1", "10.00,Mugs,S-1")
    assert take(repaired, name="repaired.csv", rejects=second).lines == {RECORDED: 1, REJECTED: 2}
    assert [(row["OrderId"], row["RejectLine"], row["Sku"]) for row in rows(second)] == [
        ("B", "3", 'S,"é'),
        ("C", "4", "S-1"),
    ]
    assert second.read_text("utf-8").count("RejectLine") == 1
    repaired = second.read_text("utf-8").replace("x,Mugs", "10.00,Mugs").replace("ä", "")
    assert take(repaired, name="repaired.csv", rejects=third).lines == {RECORDED: 2}
    assert [one.order_id for one in recorded(database)] == ["A", "B", "C"]


def test_lines_that_cannot_be_read_are_kept_as_they_came(take: Callable[..., Tally], tmp_path: Path) -> None:
    """In the file's own bytes, or as one cell where they are no line of the table."""
    broken = '1000,"4321"x,y'
    take(file(line("A", sku="ä")).encode("latin-1"), rejects=tmp_path / "bytes.csv")
    assert line("A", sku="ä").encode("latin-1") in (tmp_path / "bytes.csv").read_bytes()
    take(file(broken, "too,short"), rejects=tmp_path / "cells.csv")
    assert [(row["CampaignId"], row["RejectLine"], row["RejectCode"]) for row in rows(tmp_path / "cells.csv")] == [
        (broken, "2", "INVALID"),
        ("too,short", "3", "INVALID"),
    ]


def test_rejected_ndjson_keeps_its_bodies(take: Callable[..., Tally], database: Database, tmp_path: Path) -> None:
    """Each with its line, code and reason; repaired it is imported; numbers keep every digit."""
    good = json.dumps(body("A", event_date=NOW.isoformat()))
    bad = json.dumps(body("B", event_date="soon")).replace('"42.50"', "42.50")
    target = tmp_path / "rejects.ndjson"
    tally = take(f"{good}\n{bad}\nnonsense\n", name="orders.ndjson", rejects=target)
    assert tally.lines == {RECORDED: 1, REJECTED: 2}
    first, second = target.read_text().splitlines()
    assert first.startswith(bad[:-1])
    assert json.loads(first)["rejected"]["line"] == 2
    assert json.loads(first)["rejected"]["code"] == "INVALID_EVENT_DATE"
    assert json.loads(second)["rejected"]["text"] == "nonsense"
    repaired = first.replace('"soon"', json.dumps(NOW.isoformat()))
    assert take(repaired, name="repaired.ndjson", rejects=tmp_path / "none").lines == {RECORDED: 1}
    assert [one.order_id for one in recorded(database)] == ["A", "B"]


def test_a_child_without_its_parent_is_rejected_for_that(
    take: Callable[..., Tally], database: Database, tmp_path: Path
) -> None:
    """A chained action whose parent is neither recorded nor in the file says so; one that comes with it is recorded."""
    types = {
        "trial": EventType(campaign_id=1, action_tracker_id=2),
        "paid": EventType(campaign_id=1, action_tracker_id=3, level="chained"),
    }
    chain = [
        body("T-1", event_type="trial", event_date=NOW.isoformat()),
        body("P-1", event_type="paid", event_date=NOW.isoformat(), parent={"event_type": "trial", "order_id": "T-1"}),
        body("P-2", event_type="paid", event_date=NOW.isoformat(), parent={"event_type": "trial", "order_id": "T-2"}),
    ]
    tally = take("\n".join(map(json.dumps, chain)), name="chain.ndjson", event_types=types)
    assert tally.lines == {RECORDED: 2, REJECTED: 1}
    [rejected] = (tmp_path / "rejects.csv").read_text().splitlines()
    assert json.loads(rejected)["rejected"]["code"] == "PARENT_NOT_FOUND"


def test_a_dry_run_changes_nothing(take: Callable[..., Tally], database: Database, tmp_path: Path) -> None:
    """It says what an import would do, of orders that are there already too, and leaves no file."""
    take(file(line("OLD"), line("CHANGED")), name="before.csv")
    before = recorded(database)
    content = file(line("A"), line("OLD"), line("CHANGED", amount="1"), line("BAD", amount="x"))
    tally = take(content, rejects=None, dry_run=True)
    assert tally.lines == {RECORDED: 1, PRESENT: 1, REJECTED: 2}
    assert recorded(database) == before
    assert [path.name for path in tmp_path.iterdir() if "rejects" in path.name] == []
    assert take(content).lines == tally.lines


def test_two_lines_of_ndjson_may_be_one_order(take: Callable[..., Tally], database: Database) -> None:
    """The same body twice is one order; another body under its id is rejected, and the first stays."""
    one = body("A", event_date=NOW.isoformat())
    other = one | {"currency": "EUR"}
    content = "".join(json.dumps(each) + "\n" for each in (one, one, other))
    assert take(content).lines == {RECORDED: 1, PRESENT: 1, REJECTED: 1}
    assert [each.currency for each in recorded(database)] == ["USD"]


def test_a_shop_s_column_of_addresses_comes_in_as_hashes(
    take: Callable[..., Tally], database: Database, tmp_path: Path
) -> None:
    """As with POST /orders: an empty cell is none, and what is no address is rejected without being quoted."""
    header = OWN.replace("CustomerId", "customer_email")
    lines = [line(name).replace(",u1,", f",{address},") for name, address in EMAILS.items()]
    take("\r\n".join((header, *lines, "")))
    hashed = hashlib.sha256(b"anna@shop.example").hexdigest()
    assert {one.order_id: dict(one.extra) for one in recorded(database)} == {"A": {"CustomerEmail": hashed}, "B": {}}
    [rejected] = rows(tmp_path / "rejects.csv")
    assert (rejected["OrderId"], rejected["RejectCode"]) == ("C", "INVALID_EMAIL")
    assert "anna" not in rejected["RejectReason"]


EMAILS = {"A": "Anna@shop.example", "B": "", "C": "anna at shop"}


def test_csv_over_http(client: TestClient, database: Database) -> None:
    """POST /orders/bulk takes the same layouts as text/csv, and answers one line an order, in their order."""

    def post(content: str) -> Any:
        headers = bearer(ORDER_KEY) | {"Content-Type": "text/csv; charset=utf-8"}
        return client.post("/orders/bulk", content=content.encode(), headers=headers)

    content = file(line("A"), line("A", "S-2"), line("B", amount="x"), line("C"))
    for status in (201, 200):
        answer = post(content)
        assert (answer.status_code, answer.headers["content-type"]) == (200, "application/x-ndjson")
        told = [json.loads(each) for each in answer.content.splitlines()]
        assert [(each["line"], each["order_id"], each["status"]) for each in told] == [
            (2, "A", status),
            (4, "B", 422),
            (5, "C", status),
        ]
        assert told[1]["problem"]["code"] == "AMOUNT_NEGATIVE_OR_NOT_A_NUMBER"
    assert [one.order_id for one in recorded(database)] == ["A", "C"]
    unclear = [json.loads(each) for each in post(file(line("D"), line("E") + ",more", line("F"))).content.splitlines()]
    assert [(each["line"], each["order_id"], each["status"]) for each in unclear] == [(2, None, 422)]
    refused = post("Colour\nred\n")
    assert (refused.status_code, refused.json()["code"]) == (422, "FILE_INVALID")
    assert post(file(*(line(f"N-{number}") for number in range(10_001)))).status_code == 413


# What leaves comes back -------------------------------------------------------------------------------------------

TEXT = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), min_size=1, max_size=12).filter(str.strip)
CURRENCIES = st.sampled_from(["USD", "JPY", "KWD", "EUR"])
ITEMS = st.lists(
    st.builds(Item, TEXT, TEXT, st.integers(1, 2**31 - 1), st.integers(0, 10**12 - 1)), min_size=1, max_size=4
)
ORDERS = st.lists(
    st.builds(
        Order,
        event_type=st.sampled_from(["default"]),
        order_id=st.text(st.characters(min_codepoint=33, max_codepoint=0x24F), min_size=1, max_size=20).filter(
            lambda text: text.isprintable() and text == text.strip()
        ),
        event_date=st.builds(
            lambda seconds, zone: (NOW - timedelta(seconds=seconds)).astimezone(timezone(timedelta(minutes=zone))),
            st.integers(0, 80 * 86_400),
            st.integers(-14 * 60, 14 * 60),
        ),
        currency=CURRENCIES,
        items=ITEMS.map(lambda items: merge(list({item.sku: item for item in items}.values()))),
        click_id=st.none() | st.from_regex(r"[A-Za-z0-9._~:%+/=-]{1,64}", fullmatch=True),
        promo_code=st.none() | TEXT,
        media_id=st.none() | st.integers(1, 10**18).map(str),
        customer_id=st.none() | TEXT.filter(lambda text: "@" not in text),
        customer_status=st.none() | TEXT,
    ),
    min_size=1,
    max_size=8,
    unique_by=lambda one: one.key,
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(sold=ORDERS)
def test_what_a_conversion_file_says_comes_back(
    sold: list[Order], database: Database, make_settings: SettingsFactory, tmp_path: Path
) -> None:
    """Orders, rendered as our own file and imported, are the same orders, to the last character and the cent."""
    with database.transaction() as session:
        for table in reversed(CONVERSION.metadata.sorted_tables):
            if table.name != "alembic_version":
                session.connection().execute(table.delete())
    columns = ("CustomerStatus", "PromoCode", "MediaId")
    made = render("x.csv", sold, EventType(campaign_id=1000, action_tracker_id=4321, columns=columns), LIMIT, NOW)
    path = tmp_path / "made.csv"
    path.write_bytes(made.content)
    tally = Import(database, make_settings(), Request(path, tmp_path / "none"), lambda: NOW, no_sleep).run()
    assert tally.lines == {RECORDED: made.rows}
    assert recorded(database) == sold


# Files that are none ----------------------------------------------------------------------------------------------


def test_what_is_no_file_of_orders_is_told(take: Callable[..., Tally], tmp_path: Path) -> None:
    """One sentence each; nothing is left behind."""
    for content, expected in (("", "is empty"), ("\n\n", "no header line"), ('"a', "never closed")):
        with pytest.raises(InvalidFile, match=expected):
            take(content)
    with pytest.raises(NotFound, match="directory"):
        take(tmp_path)
    with pytest.raises(NotFound, match="No such file"):
        take(tmp_path / "nothing.csv")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InvalidFile, match="read twice"):
        take(tmp_path / "pipe")
    assert take(file()).lines == {}
    assert [path.name for path in tmp_path.iterdir() if "rejects" in path.name] == []


def test_a_place_that_cannot_be_written_is_told(take: Callable[..., Tally], tmp_path: Path) -> None:
    """Before anything is recorded, with the option that helps."""
    with pytest.raises(NotFound, match="--rejects"):
        take(file(line("A")), rejects=tmp_path / "no" / "such" / "folder.csv")


def test_a_file_that_grows_is_not_read_half(
    database: Database, make_settings: SettingsFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its last line may be half of one. What was recorded stays, and the complete file can be imported."""
    monkeypatch.setattr("app.conversions.csv_records.PIECE", 1 << 12)
    path, complete = tmp_path / "grows.csv", file(*(line(f"A-{number}") for number in range(1_000)))
    path.write_text(complete[: len(complete) // 2], newline="")
    seen = 0

    def clock() -> datetime:  # is looked at once at the beginning, and once for every group
        nonlocal seen
        seen += 1
        if seen == 3:
            path.write_text(complete, newline="")
        return NOW

    request = Request(path, tmp_path / "rejects.csv")
    with pytest.raises(InvalidFile, match="changed while it was read"):
        Import(database, make_settings(), request, clock, no_sleep).run()
    with pytest.raises(Conflict, match="of what this file was before"):
        Import(database, make_settings(), request, lambda: NOW, no_sleep).run()
    (tmp_path / "rejects.csv.progress").unlink()
    tally = Import(database, make_settings(), request, lambda: NOW, no_sleep).run()
    assert tally.lines.total() == 1_000
    assert tally.lines[REJECTED] == 0
    assert [one.order_id for one in recorded(database)] == [f"A-{number}" for number in range(1_000)]


# Interrupted ------------------------------------------------------------------------------------------------------


class Troubled(Database):
    """A database that raises something when rows are to be recorded for the first, second, … time."""

    def __init__(self, url: str, *troubles: BaseException | None) -> None:
        super().__init__(url)
        self._troubles = list(troubles)

    @contextmanager
    def group(self) -> Iterator[Any]:
        """Raise what is due, or record."""
        if self._troubles and (trouble := self._troubles.pop(0)):
            raise trouble
        with super().group() as cursor:
            yield cursor


def test_a_database_that_is_away_for_a_while_is_waited_for(
    database_url: str, make_settings: SettingsFactory, tmp_path: Path
) -> None:
    """An import of an hour does not fail for a second's sake; when it fails, the same command goes on."""
    path, request = tmp_path / "orders.csv", Request(tmp_path / "orders.csv", tmp_path / "rejects.csv")
    path.write_text(file(line("A")))
    away, waited = Unavailable("The database cannot be used now."), Counter[float]()
    for tries, ends_well in ((imports.TRIES, False), (imports.TRIES - 1, True)):
        database = Troubled(database_url, *[away] * tries)
        waited.clear()
        work = Import(database, make_settings(), request, lambda: NOW, lambda seconds: waited.update([seconds]))
        if ends_well:
            assert work.run().lines == {RECORDED: 1}
        else:
            with pytest.raises(Unavailable, match="goes on where it was"):
                work.run()
        assert waited == {imports.PAUSE: imports.TRIES - 1}
        database.close()


def test_a_full_disk_is_told_and_costs_nothing(
    database: Database, make_settings: SettingsFactory, tmp_path: Path
) -> None:
    """One sentence, no traceback; the same command goes on when there is room."""
    path = tmp_path / "orders.csv"
    path.write_text(file(line("A"), line("B", amount="x")))
    (tmp_path / "full.csv.part").symlink_to("/dev/full")
    request = Request(path, tmp_path / "full.csv")
    with pytest.raises(Unavailable, match="goes on where it was"):
        Import(database, make_settings(), request, lambda: NOW, no_sleep).run()
    (tmp_path / "full.csv.part").unlink()
    tally = Import(database, make_settings(), request, lambda: NOW, no_sleep).run()
    assert tally.lines == {RECORDED: 1, REJECTED: 1}


def test_a_run_goes_on_from_its_note(
    database_url: str,
    database: Database,
    make_settings: SettingsFactory,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What was done is not done again, the counts go on, and the rejects file is complete and has nothing twice."""
    monkeypatch.setattr("app.conversions.csv_records.PIECE", 1 << 12)
    monkeypatch.setattr(imports, "NOTE_BYTES", 1 << 13)
    lines = [line(f"A-{number}", amount="x" if number % 7 == 0 else "1.00") for number in range(500)]
    path, request = tmp_path / "orders.csv", Request(tmp_path / "orders.csv", tmp_path / "rejects.csv")
    path.write_text(file(*lines), newline="")
    troubled = Troubled(database_url, *[None] * 7, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        Import(troubled, make_settings(), request, lambda: NOW, no_sleep).run()
    troubled.close()
    assert not (tmp_path / "rejects.csv").exists()
    going_on = Import(database, make_settings(), request, lambda: NOW, no_sleep)
    tally = going_on.run()
    assert going_on.resumed_at > 50
    assert tally.lines[RECORDED] + tally.lines[PRESENT] == len(recorded(database)) == 428
    assert tally.lines[PRESENT] < 250  # a note's distance and the two pieces that are under way
    assert tally.lines[REJECTED] == 72
    assert [row["OrderId"] for row in rows(tmp_path / "rejects.csv")] == [f"A-{number}" for number in range(0, 500, 7)]


def test_two_imports_do_not_write_to_one_rejects_file(
    database: Database, make_settings: SettingsFactory, tmp_path: Path
) -> None:
    """The second one is told to wait."""
    path = tmp_path / "orders.csv"
    path.write_text(file(line("A")))
    request, told = Request(path, tmp_path / "rejects.csv"), list[bool]()

    def clock() -> datetime:
        if not told and recording:
            told.append(True)
            with pytest.raises(Conflict, match="Another import"):
                Import(database, make_settings(), request, lambda: NOW, no_sleep).run()
        return NOW

    recording = False
    first = Import(database, make_settings(), request, clock, no_sleep)
    recording = True
    assert first.run().lines == {RECORDED: 1}
    assert told


def test_killed_at_any_moment_and_run_again(
    database_url: str, database: Database, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Every order is there exactly once, every line is accounted for, and every rejected line lies there once."""
    luck = chance(request)
    lines = [
        line(f"A-{number // 2}", f"S-{number % 2}", "x" if number % 100 == 0 else "1.00", date=_ago(number))
        for number in range(12_000)
    ]
    path, rejects = tmp_path / "orders.csv", tmp_path / "rejected.csv"
    path.write_text(file(*lines), newline="")
    url = database_url.replace("postgresql+psycopg", "postgresql")
    environment = surroundings({"CAPTURE_DATABASE_URL": url})
    command = [*COMMAND, "import", str(path), "--rejects", str(rejects), "--json"]
    killed = 0
    for number in range(KILLS):
        if rejects.exists():
            break
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            _wait_for(rejects, process)
            time.sleep(luck.random() * (0.8 if number else 0.1))
            process.send_signal(signal.SIGKILL)
            killed += process.wait() == -signal.SIGKILL
    if not rejects.exists():
        ended = subprocess.run(command, env=environment, capture_output=True, check=False, timeout=120)
        assert ended.returncode == 1, ended.stderr
        told = json.loads(ended.stdout)
        assert told["lines"]["recorded"] + told["lines"]["present"] == 11_760
        assert (told["lines"]["rejected"], told["lines_read"]) == (240, 12_000)
    assert killed > 0
    with database.snapshot() as session:
        counts = [
            session.connection().execute(select(func.count()).select_from(one)).scalar_one()
            for one in (CONVERSION, REVISION, ITEM)
        ]
        amount = session.connection().execute(select(func.sum(ITEM.c.amount))).scalar_one()
    assert counts == [5_880, 5_880, 11_760]
    assert amount == 11_760 * 100
    expected = [str(2 + number) for number in range(12_000) if number % 100 < 2]
    assert [row["RejectLine"] for row in rows(rejects)] == expected


def _ago(number: int) -> str:
    """Return when an order of two lines happened; both lines say the same."""
    return (BEGAN - timedelta(days=2, seconds=number // 2)).isoformat()


def _wait_for(rejects: Path, process: subprocess.Popen[bytes]) -> None:
    """Wait until the import has begun to record."""
    note = rejects.with_name(f"{rejects.name}.progress")
    while process.poll() is None and not note.exists():
        time.sleep(0.005)


# The command ------------------------------------------------------------------------------------------------------


def test_the_command_says_what_it_did(sqlite_url: str, tmp_path: Path) -> None:
    """Status 0 when all is recorded, 1 when something was rejected, 2 for a wrong option; counts, sums, reasons."""
    settings = {"CAPTURE_DATABASE_URL": sqlite_url}
    good, bad = tmp_path / "good.csv", tmp_path / "bad.csv"
    good.write_text(file(line("A", date=_ago(0))))
    bad.write_text(file(line("B", date=_ago(0)), line("C", amount="x", date=_ago(0))))
    told = run("import", str(good), **settings)
    assert (told.returncode, told.stderr) == (0, "")
    assert told.stdout.startswith("1 lines: 1 were recorded, 0 were there already, 0 were rejected.\nUSD: 1 orders")
    told = run("import", str(bad), **settings)
    assert told.returncode == 1
    assert "line 3: AMOUNT_NEGATIVE_OR_NOT_A_NUMBER: line 3, Amount: This must be" in told.stdout
    assert str(tmp_path / "bad.rejects.csv") in told.stdout
    assert rows(tmp_path / "bad.rejects.csv")[0]["OrderId"] == "C"
    told = run("import", str(good), "--event-type", "nothing", **settings)
    assert (told.returncode, told.stdout) == (2, "")
    told = run("import", str(good), "--mapping", str(tmp_path / "nothing.toml"), **settings)
    assert (told.returncode, told.stdout) == (1, "")
    assert "nothing.toml cannot be read" in told.stderr
